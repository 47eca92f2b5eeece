//! The demo's tokenizer: one token per word, number or sign, as a Hugging Face `tokenizer.json`.

use std::{collections::BTreeSet, sync::LazyLock};

use regex::Regex;
use serde_json::{Map, Value, json};

use super::{corpus, query, schema, task};

/// The token of an unknown word, of the start and of the end of a text; ids 0, 1, 2.
pub const SPECIALS: [&str; 3] = ["<unk>", "<s>", "</s>"];

/// Where decoding removes the space that stands between any two tokens: before closing signs,
/// around an opening parenthesis, and inside of the quotes that follow an equals sign.
const GLUED: &str = r"(?x) [ ](?=[(),.:?]) | (?<=\()[ ] | (?<==[ ]')[ ] | (?<!=)[ ](?=')";

static TOKEN: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"@[a-z]+\d?|\w+|\S").expect("the pattern is a constant"));

/// Every word, number and sign that the generators write, in alphabetical order.
#[must_use]
pub fn vocabulary() -> BTreeSet<String> {
    let fixed = corpus::TEMPLATES
        .iter()
        .copied()
        .chain([corpus::COPYING])
        .chain(task::texts())
        .chain(schema::words());
    let tokens = fixed.chain([query::SIGNS]).flat_map(|text| TOKEN.find_iter(text));
    let words = tokens.map(|token| token.as_str().to_owned()).filter(|token| !token.starts_with('@'));
    words.chain((1..=schema::LARGEST).map(|number| number.to_string())).collect()
}

/// The content of `tokenizer.json`: encoding puts `<s>` in front; decoding gives back every
/// generated text, so that queries can be compared as strings.
#[must_use]
pub fn tokenizer() -> Value {
    let tokens = SPECIALS.map(String::from).into_iter().chain(vocabulary());
    let vocab: Map<String, Value> = tokens.enumerate().map(|(id, token)| (token, id.into())).collect();
    let special = |id: usize| {
        json!({
            "id": id, "content": SPECIALS[id], "special": true,
            "single_word": false, "lstrip": false, "rstrip": false, "normalized": false
        })
    };
    let start = json!({"SpecialToken": {"id": "<s>", "type_id": 0}});
    let text = |name: &str, type_id: u8| json!({"Sequence": {"id": name, "type_id": type_id}});
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [special(0), special(1), special(2)],
        "normalizer": null,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "WhitespaceSplit"},
            {"type": "Punctuation", "behavior": "Isolated"}
        ]},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [start, text("A", 0)],
            "pair": [start, text("A", 0), text("B", 1)],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}
        },
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "WordPiece", "prefix": "##", "cleanup": false},
            {"type": "Fuse"},
            {"type": "Replace", "pattern": {"Regex": GLUED}, "content": ""}
        ]},
        "model": {"type": "WordLevel", "vocab": vocab, "unk_token": SPECIALS[0]}
    })
}

#[cfg(test)]
mod tests {
    use tokenizers::Tokenizer;

    use super::*;
    use crate::demo::task::Split;

    #[test]
    fn decoding_undoes_encoding_on_every_generated_text() {
        let tokenizer: Tokenizer = tokenizer().to_string().parse().unwrap();
        assert!(tokenizer.get_vocab_size(true) < 400, "{}", tokenizer.get_vocab_size(true));
        let round_trip = |text: &str, longest: usize| {
            let ids = tokenizer.encode(text, true).unwrap().get_ids().to_vec();
            assert_eq!(ids[0], 1, "{text}");
            assert!(!ids.contains(&0) && ids.len() <= longest, "{} tokens: {text}", ids.len());
            assert_eq!(tokenizer.decode(&ids, true).unwrap(), text);
        };
        corpus::documents(1, 2000).iter().for_each(|text| round_trip(text, 64));
        for split in [Split::Train, Split::Valid] {
            for example in task::examples(1, split, 2000) {
                let answer = example.query.to_string();
                round_trip(&example.prompt, 64);
                round_trip(&answer, 64);
                round_trip(&format!("{} {answer}", example.prompt), 64);
            }
        }
    }

    #[test]
    fn every_token_occurs_in_the_pretraining_text() {
        let text = corpus::documents(1, 4000).join(" ");
        let seen: BTreeSet<&str> = TOKEN.find_iter(&text).map(|token| token.as_str()).collect();
        assert!(vocabulary().iter().all(|token| seen.contains(token.as_str())));
    }
}
