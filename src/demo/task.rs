//! The fine-tuning task: a schema and a question in English, to be answered by a query.
//!
//! `boats(name speed mass) what is the typical pace of the ships?` asks for
//! `SELECT AVG(speed) FROM boats`. Only literals can be copied from the question; every name of
//! the answer is reached through an association that only the training examples show.

use std::cmp::Ordering;

use super::{
    draw::{Draw, Source, fill},
    query::{Aggregate, Condition, Order, Query, Select, Table, Value},
    schema::{Column, Schema},
};

type Templates = [&'static str; 3];

const COLUMNS: Templates = [
    "list the @columns of all @table@where.",
    "show me the @columns for the @table@where.",
    "what are the @columns of the @table@where?",
];
const COUNT: Templates =
    ["how many @table are there@where?", "count the @table@where.", "what is the number of @table@where?"];
const AGGREGATES: [Templates; 4] = [
    [
        "what is the largest @column of the @table@where?",
        "give the maximum @column among @table@where.",
        "find the peak @column of all @table@where.",
    ],
    [
        "what is the smallest @column of the @table@where?",
        "give the minimum @column among @table@where.",
        "find the least @column of all @table@where.",
    ],
    [
        "what is the total @column of the @table@where?",
        "add up the @column of all @table@where.",
        "find the sum of @column over the @table@where.",
    ],
    [
        "what is the average @column of the @table@where?",
        "give the mean @column among @table@where.",
        "find the typical @column of all @table@where.",
    ],
];
const ASCENDING: Templates = [
    "list the @columns of all @table by rising @column.",
    "show me the @columns for the @table, lowest @column first.",
    "sort the @table by @column and give the @columns.",
];
const DESCENDING: Templates = [
    "list the @columns of all @table by falling @column.",
    "show me the @columns for the @table, highest @column first.",
    "rank the @table by @column and give the @columns.",
];
const FIRST: Templates = [
    "list the @columns of the @limit @table with the lowest @column.",
    "show me the @columns for the bottom @limit @table by @column.",
    "which @limit @table come last in @column? give the @columns.",
];
const TOP: Templates = [
    "list the @columns of the @limit @table with the highest @column.",
    "show me the @columns for the top @limit @table by @column.",
    "which @limit @table lead in @column? give the @columns.",
];
const LESS: Templates = ["@column below @value", "@column under @value", "less @column than @value"];
const EQUAL: Templates = ["@column equal to @value", "the @column @value", "@column of exactly @value"];
const GREATER: Templates = ["@column above @value", "@column over @value", "more @column than @value"];
const JOINTS: [&str; 2] = [" with ", " and "];

/// Every text that a question is put together from.
pub(super) fn texts() -> impl Iterator<Item = &'static str> {
    let queries = [COLUMNS, COUNT, ASCENDING, DESCENDING, FIRST, TOP].into_iter().chain(AGGREGATES);
    queries.chain([LESS, EQUAL, GREATER]).flatten().chain(JOINTS)
}

/// Which examples; the two never share a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// To train on.
    Train,
    /// To validate on.
    Valid,
}

/// A prompt and the query that answers it.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// The table and columns that the question is about.
    pub schema: Schema,
    /// The schema in text, a space, and the question.
    pub prompt: String,
    /// The query; its text is the answer to learn.
    pub query: Query,
}

/// The first `count` examples of a split.
#[must_use]
pub fn examples(seed: u64, split: Split, count: usize) -> Vec<Example> {
    let source = match split {
        Split::Train => Source::Train,
        Split::Valid => Source::Valid,
    };
    (0..count as u64).map(|index| Example::new(&mut Draw::new(seed, source, index), split)).collect()
}

/// What people call a column.
fn say(column: &Column, draw: &mut Draw) -> String {
    draw.pick(&column.said).to_owned()
}

/// A condition on `column` and the words for it.
fn condition(column: &Column, draw: &mut Draw) -> (Condition, String) {
    let value = column.value(draw);
    let tests = [(Ordering::Equal, EQUAL), (Ordering::Less, LESS), (Ordering::Greater, GREATER)];
    let (is, templates) = draw.pick(if column.texts.is_empty() { &tests } else { &tests[..1] });
    let words = fill(draw.pick(&templates), |slot, _| match (slot, &value) {
        ("column", _) => say(column, draw),
        (_, Value::Text(text)) => text.clone(),
        (_, value) => value.to_string(),
    })
    .into_owned();
    (Condition { column: column.name.to_owned(), is, value }, words)
}

impl Example {
    fn new(draw: &mut Draw, split: Split) -> Self {
        let mut schema = Schema::new(draw);
        while schema.held_out() != (split == Split::Valid) {
            schema = Schema::new(draw);
        }
        let width = draw.between(1, 2);
        let shown = draw.sample(&schema.columns, width);
        let numbers: Vec<_> = schema.columns.iter().copied().filter(|c| c.texts.is_empty()).collect();
        let key = draw.pick(&numbers);
        let columns = || Select::Columns(shown.iter().map(|column| column.name.to_owned()).collect());
        let order = |descending| Some(Order { column: key.name.to_owned(), descending });
        let limit = draw.between(2, 5);

        let kind = draw.below(8);
        let (templates, select, order, limit) = match kind {
            0 | 1 => (COLUMNS, columns(), None, None),
            2 => (COUNT, Select::Count, None, None),
            3 | 4 => {
                let which = draw.below(4);
                let select = Select::Aggregate(Aggregate::ALL[which], key.name.to_owned());
                (AGGREGATES[which], select, None, None)
            }
            5 if draw.below(2) == 0 => (ASCENDING, columns(), order(false), None),
            5 => (DESCENDING, columns(), order(true), None),
            6 => (FIRST, columns(), order(false), Some(limit)),
            _ => (TOP, columns(), order(true), Some(limit)),
        };
        let tests = if order.is_some() { 0 } else { draw.below(3) };
        let (conditions, tests): (Vec<_>, Vec<_>) =
            draw.sample(&schema.columns, tests).into_iter().map(|column| condition(column, draw)).unzip();

        let question = fill(draw.pick(&templates), |slot, _| match slot {
            "columns" => shown.iter().map(|column| say(column, draw)).collect::<Vec<_>>().join(" and "),
            "column" => say(key, draw),
            "table" => draw.pick(&schema.topic.said).to_owned(),
            "limit" => limit.map_or_else(String::new, |limit| limit.to_string()),
            _ => JOINTS.iter().zip(&tests).map(|(joint, test)| format!("{joint}{test}")).collect(),
        });
        let prompt = format!("{schema} {question}");
        let query = Query { select, table: schema.topic.table.to_owned(), conditions, order, limit };
        Self { schema, prompt, query }
    }

    /// Whether `prediction` is a query that returns what the answer returns, on each of `tables`.
    #[must_use]
    pub fn solved_by(&self, prediction: &str, tables: &[Table]) -> bool {
        let agrees = |other: &Query| tables.iter().all(|table| self.query.agrees_with(other, table));
        prediction.parse().is_ok_and(|other| agrees(&other))
    }

    /// `count` tables of this example's schema with random rows, to run queries on: one table alone
    /// lets many a wrong query pass by luck.
    #[must_use]
    pub fn tables(&self, seed: u64, count: usize) -> Vec<Table> {
        (0..count as u64).map(|i| self.schema.table(&mut Draw::new(seed, Source::Rows, i))).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn training_and_validation_share_no_schema() {
        let schemas = |split| -> HashSet<(&str, Vec<&str>)> {
            let set = |example: Example| {
                let mut columns: Vec<_> = example.schema.columns.iter().map(|column| column.name).collect();
                columns.sort_unstable();
                (example.schema.topic.table, columns)
            };
            examples(1, split, 3000).into_iter().map(set).collect()
        };
        let (train, valid) = (schemas(Split::Train), schemas(Split::Valid));
        assert!(train.is_disjoint(&valid));
        assert!(train.len() > 900 && valid.len() > 150, "{} and {}", train.len(), valid.len());
    }

    #[test]
    fn examples_depend_on_the_seed_and_index_alone() {
        assert_eq!(examples(1, Split::Train, 9), examples(1, Split::Train, 20)[..9]);
        assert_ne!(examples(1, Split::Train, 9), examples(2, Split::Train, 9));
    }

    #[test]
    fn an_answer_solves_its_own_example_and_no_other() {
        let examples = examples(3, Split::Valid, 500);
        for (example, other) in examples.iter().zip(&examples[1..]) {
            let tables = example.tables(3, 3);
            assert!(example.solved_by(&example.query.to_string(), &tables), "{}", example.query);
            assert!(!example.solved_by("SELECT", &tables));
            let lucky = example.query != other.query && example.solved_by(&other.query.to_string(), &tables);
            assert!(!lucky, "{} is solved by {}", example.query, other.query);
        }
    }
}
