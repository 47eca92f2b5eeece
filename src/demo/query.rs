//! A small subset of SQL: its syntax tree, printer, parser and executor.
//!
//! ```text
//! SELECT column[, column] | COUNT(*) | MAX(column) | MIN(column) | SUM(column) | AVG(column)
//! FROM table [WHERE column {<|=|>} literal [AND …]] [ORDER BY column [DESC]] [LIMIT n]
//! ```

use std::{cmp::Ordering, fmt, str::FromStr, sync::LazyLock};

use regex::Regex;

/// Every word and sign that the printer writes, names and literals aside.
pub(super) const SIGNS: &str = "SELECT COUNT(*) MAX MIN SUM AVG FROM WHERE < = > ' AND ORDER BY DESC LIMIT ,";

/// A cell of a table, a literal, or a result. Ordered as in SQL: null, numbers, text.
#[derive(Clone, Debug, PartialEq, PartialOrd)]
pub enum Value {
    /// The maximum, minimum, sum or average of no rows.
    Null,
    /// A whole number.
    Int(i64),
    /// An average.
    Real(f64),
    /// A string.
    Text(String),
}

/// A function over the selected rows of one column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregate {
    /// The largest value.
    Max,
    /// The smallest value.
    Min,
    /// The sum of numbers.
    Sum,
    /// The arithmetic mean of numbers.
    Avg,
}

/// What a query returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Select {
    /// One row per selected row: these columns of it.
    Columns(Vec<String>),
    /// The number of selected rows.
    Count,
    /// One value computed from one column.
    Aggregate(Aggregate, String),
}

/// `column < value`, `column = value` or `column > value`.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// The column on the left.
    pub column: String,
    /// How the column compares to the literal.
    pub is: Ordering,
    /// The literal on the right: `Int` or `Text`.
    pub value: Value,
}

/// `ORDER BY column [DESC]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The column to sort by.
    pub column: String,
    /// Whether the largest comes first.
    pub descending: bool,
}

/// A query of the subset.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// What is returned.
    pub select: Select,
    /// The table that is read.
    pub table: String,
    /// What must all hold for a row to be selected.
    pub conditions: Vec<Condition>,
    /// The order of the result's rows, if it matters.
    pub order: Option<Order>,
    /// The most rows to return.
    pub limit: Option<usize>,
}

/// A named table with its rows; each row has a value per column.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// The name that `FROM` must give.
    pub name: String,
    /// The columns' names.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<Value>>,
}

/// Why a text is no query, or why a query has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueryError {
    /// The text leaves the grammar.
    Syntax {
        /// The token there, counted from 1.
        token: usize,
        /// The token, empty at the end of the text.
        found: String,
        /// What the grammar allows there.
        expected: &'static str,
    },
    /// The query names another table than the one it is run on.
    NoTable {
        /// The query's table.
        asked: String,
        /// The table at hand.
        given: String,
    },
    /// The table has no column of that name.
    NoColumn {
        /// The name.
        column: String,
    },
    /// `SUM` or `AVG` over text.
    NotNumeric {
        /// The column.
        column: String,
    },
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { token, found, expected } => {
                write!(f, "token {token}: found `{found}`, expected {expected}")
            }
            Self::NoTable { asked, given } => write!(f, "no table {asked}, only {given}"),
            Self::NoColumn { column } => write!(f, "no column {column}"),
            Self::NotNumeric { column } => write!(f, "column {column} holds text, not numbers"),
        }
    }
}

impl std::error::Error for QueryError {}

impl Aggregate {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Max, Self::Min, Self::Sum, Self::Avg];

    const fn name(self) -> &'static str {
        match self {
            Self::Max => "MAX",
            Self::Min => "MIN",
            Self::Sum => "SUM",
            Self::Avg => "AVG",
        }
    }

    /// The function over `values`; `None` if they are not numbers and must be.
    fn over(self, values: &[&Value]) -> Option<Value> {
        let largest_first = |a: &&&Value, b: &&&Value| a.partial_cmp(b).unwrap_or(Ordering::Equal);
        let total = || {
            values.iter().try_fold(0_i64, |sum, value| match value {
                Value::Int(n) => Some(sum.saturating_add(*n)),
                _ => None,
            })
        };
        match self {
            _ if values.is_empty() => Some(Value::Null),
            Self::Max => values.iter().max_by(largest_first).map(|&v| v.clone()),
            Self::Min => values.iter().min_by(largest_first).map(|&v| v.clone()),
            Self::Sum => total().map(Value::Int),
            Self::Avg => total().map(|sum| Value::Real(sum as f64 / values.len() as f64)),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => write!(f, "NULL"),
            Self::Int(n) => write!(f, "{n}"),
            Self::Real(x) => write!(f, "{x}"),
            Self::Text(text) => write!(f, "'{}'", text.replace('\'', "''")),
        }
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.select {
            Select::Columns(columns) => write!(f, "SELECT {}", columns.join(", "))?,
            Select::Count => write!(f, "SELECT COUNT(*)")?,
            Select::Aggregate(function, column) => write!(f, "SELECT {}({column})", function.name())?,
        }
        write!(f, " FROM {}", self.table)?;
        for (i, Condition { column, is, value }) in self.conditions.iter().enumerate() {
            let sign = match is {
                Ordering::Less => '<',
                Ordering::Equal => '=',
                Ordering::Greater => '>',
            };
            write!(f, " {} {column} {sign} {value}", if i == 0 { "WHERE" } else { "AND" })?;
        }
        if let Some(Order { column, descending }) = &self.order {
            write!(f, " ORDER BY {column}{}", if *descending { " DESC" } else { "" })?;
        }
        self.limit.map_or(Ok(()), |limit| write!(f, " LIMIT {limit}"))
    }
}

static TOKEN: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"'(?:[^']|'')*'|-?\d+|\w+|\S").expect("the pattern is a constant"));

/// A text cut into tokens, and how many of them were read.
struct Parser<'a> {
    tokens: Vec<&'a str>,
    read: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> &'a str {
        self.tokens.get(self.read).copied().unwrap_or("")
    }

    fn accept(&mut self, word: &str) -> bool {
        let found = self.peek() == word;
        self.read += usize::from(found);
        found
    }

    fn expect(&mut self, word: &'static str) -> Result<(), QueryError> {
        if self.accept(word) { Ok(()) } else { Err(self.unexpected(word)) }
    }

    /// The next token through `parse`, which returns `None` for what is not `expected`.
    fn take<T>(
        &mut self,
        expected: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<T, QueryError> {
        let value = parse(self.peek()).ok_or_else(|| self.unexpected(expected))?;
        self.read += 1;
        Ok(value)
    }

    fn name(&mut self) -> Result<String, QueryError> {
        self.take("a name", |token| {
            let starts = token.starts_with(|c: char| c.is_alphabetic() || c == '_');
            (starts && !SIGNS.split(' ').any(|sign| sign == token)).then(|| token.to_owned())
        })
    }

    fn select(&mut self) -> Result<Select, QueryError> {
        let called = self.tokens.get(self.read + 1) == Some(&"(");
        if called && self.accept("COUNT") {
            ["(", "*", ")"].into_iter().try_for_each(|sign| self.expect(sign))?;
            return Ok(Select::Count);
        }
        if let Some(function) = Aggregate::ALL.into_iter().find(|a| called && self.accept(a.name())) {
            self.expect("(")?;
            let column = self.name()?;
            return self.expect(")").map(|()| Select::Aggregate(function, column));
        }
        let mut columns = vec![self.name()?];
        while self.accept(",") {
            columns.push(self.name()?);
        }
        Ok(Select::Columns(columns))
    }

    fn condition(&mut self) -> Result<Condition, QueryError> {
        Ok(Condition {
            column: self.name()?,
            is: self.take("<, = or >", |token| match token {
                "<" => Some(Ordering::Less),
                "=" => Some(Ordering::Equal),
                ">" => Some(Ordering::Greater),
                _ => None,
            })?,
            value: self.take("a number or a quoted text", |token| {
                let quoted = token.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
                let text = quoted.map(|inner| Value::Text(inner.replace("''", "'")));
                text.or_else(|| token.parse().ok().map(Value::Int))
            })?,
        })
    }

    fn unexpected(&self, expected: &'static str) -> QueryError {
        QueryError::Syntax { token: self.read + 1, found: self.peek().to_owned(), expected }
    }
}

impl FromStr for Query {
    type Err = QueryError;

    /// Parses a query. Keywords are written in capitals.
    ///
    /// # Errors
    /// [`QueryError::Syntax`] at the first token that leaves the grammar.
    fn from_str(text: &str) -> Result<Self, QueryError> {
        let mut parser =
            Parser { tokens: TOKEN.find_iter(text).map(|token| token.as_str()).collect(), read: 0 };
        parser.expect("SELECT")?;
        let select = parser.select()?;
        parser.expect("FROM")?;
        let mut query = Self { select, table: parser.name()?, conditions: vec![], order: None, limit: None };
        let mut more = parser.accept("WHERE");
        while more {
            query.conditions.push(parser.condition()?);
            more = parser.accept("AND");
        }
        if parser.accept("ORDER") {
            parser.expect("BY")?;
            query.order = Some(Order { column: parser.name()?, descending: parser.accept("DESC") });
        }
        if parser.accept("LIMIT") {
            query.limit = Some(parser.take("a count", |token| token.parse().ok())?);
        }
        if parser.read == parser.tokens.len() { Ok(query) } else { Err(parser.unexpected("the end")) }
    }
}

impl Query {
    /// The rows that the query returns from `table`; rows that compare equal keep their order.
    ///
    /// # Errors
    /// Every [`QueryError`] but `Syntax`.
    pub fn run(&self, table: &Table) -> Result<Vec<Vec<Value>>, QueryError> {
        if self.table != table.name {
            return Err(QueryError::NoTable { asked: self.table.clone(), given: table.name.clone() });
        }
        let find = |column: &String| {
            let position = table.columns.iter().position(|c| c == column);
            position.ok_or_else(|| QueryError::NoColumn { column: column.clone() })
        };
        let mut rows: Vec<&Vec<Value>> = table.rows.iter().collect();
        for Condition { column, is, value } in &self.conditions {
            let at = find(column)?;
            rows.retain(|row| row[at].partial_cmp(value) == Some(*is));
        }
        if let Some(Order { column, descending }) = &self.order {
            let at = find(column)?;
            rows.sort_by(|a, b| {
                let order = a[at].partial_cmp(&b[at]).unwrap_or(Ordering::Equal);
                if *descending { order.reverse() } else { order }
            });
        }
        let mut result = match &self.select {
            Select::Columns(columns) => {
                let at = columns.iter().map(find).collect::<Result<Vec<_>, _>>()?;
                rows.iter().map(|row| at.iter().map(|&i| row[i].clone()).collect()).collect()
            }
            Select::Count => vec![vec![Value::Int(i64::try_from(rows.len()).unwrap_or(i64::MAX))]],
            Select::Aggregate(function, column) => {
                let at = find(column)?;
                let values: Vec<&Value> = rows.iter().map(|row| &row[at]).collect();
                let value = function.over(&values);
                vec![vec![value.ok_or_else(|| QueryError::NotNumeric { column: column.clone() })?]]
            }
        };
        result.truncate(self.limit.unwrap_or(usize::MAX));
        Ok(result)
    }

    /// Whether `other` returns the same rows from `table`; in the same order if this query gives one.
    #[must_use]
    pub fn agrees_with(&self, other: &Self, table: &Table) -> bool {
        let (Ok(want), Ok(mut got)) = (self.run(table), other.run(table)) else { return false };
        if self.order.is_some() || want.len() != got.len() {
            return want == got;
        }
        let mut missing = want.iter().filter(|&row| {
            let found = got.iter().position(|candidate| candidate == row);
            found.map(|at| got.swap_remove(at)).is_none()
        });
        missing.next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, option, prelude::*};

    use super::*;

    fn pets() -> Table {
        let row =
            |name: &str, age, weight| vec![Value::Text(name.into()), Value::Int(age), Value::Int(weight)];
        Table {
            name: "pets".into(),
            columns: ["name", "age", "weight"].map(String::from).into(),
            rows: vec![row("Rex", 3, 30), row("Tom", 9, 5), row("Ivy", 3, 4), row("Bo", 12, 30)],
        }
    }

    /// The result on `pets`, a `;` between rows.
    fn run(sql: &str) -> String {
        let rows = sql.parse::<Query>().unwrap().run(&pets()).unwrap();
        let row = |row: &Vec<Value>| row.iter().map(Value::to_string).collect::<Vec<_>>().join(" ");
        rows.iter().map(row).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn each_clause_does_what_sql_says() {
        assert_eq!(run("SELECT name FROM pets"), "'Rex'; 'Tom'; 'Ivy'; 'Bo'");
        assert_eq!(run("SELECT age, name FROM pets WHERE age > 3"), "9 'Tom'; 12 'Bo'");
        assert_eq!(run("SELECT name FROM pets WHERE age = 3 AND weight < 10"), "'Ivy'");
        assert_eq!(run("SELECT COUNT(*) FROM pets WHERE name = 'Tom'"), "1");
        assert_eq!(run("SELECT COUNT(*) FROM pets WHERE age < 0"), "0");
        assert_eq!(run("SELECT MAX(name) FROM pets"), "'Tom'");
        assert_eq!(run("SELECT MIN(age) FROM pets WHERE weight = 30"), "3");
        assert_eq!(run("SELECT SUM(weight) FROM pets"), "69");
        assert_eq!(run("SELECT AVG(age) FROM pets WHERE age < 10"), "5");
        assert_eq!(run("SELECT AVG(age) FROM pets WHERE age > 50"), "NULL");
        assert_eq!(run("SELECT name FROM pets ORDER BY weight"), "'Ivy'; 'Tom'; 'Rex'; 'Bo'");
        assert_eq!(run("SELECT name FROM pets ORDER BY age DESC LIMIT 2"), "'Bo'; 'Tom'");
        assert_eq!(run("SELECT name FROM pets LIMIT 0"), "");
    }

    #[test]
    fn queries_agree_by_result_not_by_text() {
        let agree =
            |a: &str, b: &str| a.parse::<Query>().unwrap().agrees_with(&b.parse::<Query>().unwrap(), &pets());
        assert!(agree("SELECT name FROM pets WHERE age > 3", "SELECT name FROM pets WHERE age > 5"));
        assert!(agree("SELECT age FROM pets", "SELECT age FROM pets ORDER BY age DESC"));
        assert!(!agree("SELECT age FROM pets ORDER BY age", "SELECT age FROM pets ORDER BY age DESC"));
        assert!(!agree("SELECT age FROM pets", "SELECT weight FROM pets"));
        assert!(!agree("SELECT age FROM pets", "SELECT age FROM pets LIMIT 3"));
        assert!(!agree("SELECT age FROM pets", "SELECT age FROM cats"));
        assert!(!agree("SELECT SUM(name) FROM pets", "SELECT SUM(name) FROM pets"));
    }

    #[test]
    fn what_is_no_query_is_refused_where_it_goes_wrong() {
        let message = |sql: &str| sql.parse::<Query>().unwrap_err().to_string();
        assert_eq!(message(""), "token 1: found ``, expected SELECT");
        assert_eq!(message("SELECT FROM pets"), "token 2: found `FROM`, expected a name");
        assert_eq!(message("SELECT MAX(age FROM pets"), "token 5: found `FROM`, expected )");
        assert_eq!(message("SELECT a FROM pets WHERE a ! 3"), "token 7: found `!`, expected <, = or >");
        assert_eq!(
            message("SELECT a FROM pets WHERE a = 'x"),
            "token 8: found `'`, expected a number or a quoted text"
        );
        assert_eq!(message("SELECT a FROM pets LIMIT -1"), "token 6: found `-1`, expected a count");
        assert_eq!(message("SELECT a FROM pets a"), "token 5: found `a`, expected the end");
        let missing = "SELECT size FROM pets".parse::<Query>().unwrap().run(&pets()).unwrap_err();
        assert_eq!(missing.to_string(), "no column size");
    }

    fn queries() -> impl Strategy<Value = Query> {
        let select = prop_oneof![
            vec("[a-z_]{1,6}", 1..4).prop_map(Select::Columns),
            Just(Select::Count),
            (0..4_usize, "[a-z]{1,6}").prop_map(|(i, column)| Select::Aggregate(Aggregate::ALL[i], column)),
        ];
        let is = prop_oneof![Just(Ordering::Less), Just(Ordering::Equal), Just(Ordering::Greater)];
        let value = prop_oneof![any::<i64>().prop_map(Value::Int), "[a-z' ]{0,8}".prop_map(Value::Text)];
        let condition =
            ("[a-z]{1,6}", is, value).prop_map(|(column, is, value)| Condition { column, is, value });
        let order =
            ("[a-z]{1,6}", any::<bool>()).prop_map(|(column, descending)| Order { column, descending });
        (select, "[a-z]{1,6}", vec(condition, 0..3), option::of(order), option::of(any::<usize>())).prop_map(
            |(select, table, conditions, order, limit)| Query { select, table, conditions, order, limit },
        )
    }

    proptest! {
        #[test]
        fn parsing_undoes_printing(query in queries()) {
            prop_assert_eq!(query.to_string().parse(), Ok(query));
        }

        #[test]
        fn any_text_is_parsed_or_refused(text in "(SELECT|FROM|WHERE|[a-z]|[(),*'=<>-]|[0-9]| |é){0,20}") {
            if let Ok(query) = text.parse::<Query>() {
                prop_assert_eq!(query.to_string().parse(), Ok(query));
            }
        }
    }
}
