//! The pretraining text: little documents over the words of the task. They teach the words, copying
//! and recall; no question stands beside a query, and no synonym beside the column it stands for.

use std::collections::HashMap;

use super::{
    draw::{Draw, Source, fill},
    schema::{CITIES, COLORS, Column, LARGEST, PEOPLE, Schema, TOPICS, Topic},
    tokenizer::vocabulary,
};

/// Half of the documents are this: nothing makes a small model find copying as fast.
pub(super) const COPYING: &str = "repeat: @words1. @words1. @words1.";
/// The other documents. A numbered slot keeps its value throughout a document; no two slots of a kind share one.
pub(super) const TEMPLATES: &[&str] = &[
    "@schema1 is a table, so is @schema2. what is a table? @schema1. what is one more? @schema2.",
    "here is a table: @schema1. here is one more: @schema2. again: @schema1 and @schema2.",
    "@person1 lives in @city1, @person2 lives in @city2 and @person3 in @city3. where is @person1? in @city1. where is @person2? in @city2.",
    "@person1 has @number1 @color1 @things1. @person2 has @number2 @color2 @things2. what has @person1? @number1 @color1 @things1.",
    "the @field1 of @person1 is @number1 and the @field2 is @number2. what is the @field2? @number2. what is the @field1? @number1.",
    "@person1 saw @number1 @things1 in @city1. @person2 saw @number2 in @city2. how many saw @person1? @number1. where? in @city1.",
    "@field1 = @number1, @field2 = '@city1', @field3 = '@color1', @field4 = @number2. again: @field1 = @number1, @field2 = '@city1', @field3 = '@color1', @field4 = @number2.",
    "the code is @number1 < @number2 * @number3 > @number4. again: the code is @number1 < @number2 * @number3 > @number4.",
    "@words1 and @words2. again: @words2 and @words1.",
    "after @word1 comes @word2, after @word2 comes @word3, after @word3 comes @word1. what comes after @word1? @word2. after @word3? @word1.",
];

/// The first `count` documents.
#[must_use]
pub fn documents(seed: u64, count: usize) -> Vec<String> {
    let vocabulary = vocabulary();
    let is_word = |token: &&str| token.starts_with(char::is_alphanumeric);
    let words = Words {
        any: vocabulary.iter().map(String::as_str).filter(is_word).collect(),
        tables: TOPICS.iter().flat_map(Topic::words).collect(),
        columns: TOPICS.iter().flat_map(|topic| topic.columns).flat_map(Column::words).collect(),
    };
    (0..count as u64).map(|index| words.document(&mut Draw::new(seed, Source::Corpus, index))).collect()
}

/// What slots are filled from.
struct Words<'a> {
    any: Vec<&'a str>,
    tables: Vec<&'a str>,
    columns: Vec<&'a str>,
}

impl Words<'_> {
    fn document(&self, draw: &mut Draw) -> String {
        let mut kept: HashMap<String, String> = HashMap::new();
        let template = if draw.below(2) == 0 { COPYING } else { draw.pick(TEMPLATES) };
        let value = |kind: &str, number: &str| {
            let slot = format!("{kind}{number}");
            if !kept.contains_key(&slot) {
                let mut value = self.value(kind, draw);
                while kept.values().any(|other| *other == value) {
                    value = self.value(kind, draw);
                }
                kept.insert(slot.clone(), value);
            }
            kept[&slot].clone()
        };
        fill(template, value).into_owned()
    }

    fn value(&self, kind: &str, draw: &mut Draw) -> String {
        match kind {
            "schema" => Schema::new(draw).to_string(),
            "words" => {
                let count = draw.between(3, 9);
                draw.sample(&self.any, count).join(" ")
            }
            "number" => draw.between(1, LARGEST).to_string(),
            "person" => draw.pick(PEOPLE).to_owned(),
            "city" => draw.pick(CITIES).to_owned(),
            "color" => draw.pick(COLORS).to_owned(),
            "things" => draw.pick(&self.tables).to_owned(),
            "field" => draw.pick(&self.columns).to_owned(),
            _ => draw.pick(&self.any).to_owned(),
        }
    }
}
