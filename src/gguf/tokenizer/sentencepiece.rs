//! SentencePiece BPE (`llama`): spaces are written as ▁, merges follow from scores, and what no token covers falls
//! back to bytes.

use super::{Parts, TokenizerFiles, Vocabulary, same_length};
use crate::{error::Result, gguf::Gguf};
use serde_json::{Value, json};
use std::cmp::Ordering;

const SCORES: &str = "tokenizer.ggml.scores";
const SPACE: &str = "▁";

pub(super) fn tokenizer(gguf: &Gguf, vocabulary: &Vocabulary) -> Result<TokenizerFiles> {
    let merges = match vocabulary.merges(gguf)? {
        Some(merges) => merges,
        None => {
            let scores: Vec<f32> = gguf.need(SCORES)?;
            same_length(gguf, SCORES, scores.len(), vocabulary.tokens.len())?;
            if let Some(id) = scores.iter().position(|score| score.is_nan()) {
                return Err(gguf.wrong(format_args!("{SCORES}, element {id}"), "NaN", "a number"));
            }
            merges_from_scores(vocabulary, &scores)
        }
    };
    let prefix = gguf.get("tokenizer.ggml.add_space_prefix")?.unwrap_or(true);
    let replace =
        |from: &str, to: &str| json!({ "type": "Replace", "pattern": { "String": from }, "content": to });
    let mut normalizers = vec![replace(" ", SPACE)];
    let mut decoders =
        vec![replace(SPACE, " "), json!({ "type": "ByteFallback" }), json!({ "type": "Fuse" })];
    if prefix {
        normalizers.insert(0, json!({ "type": "Prepend", "prepend": SPACE }));
        decoders.push(json!({ "type": "Strip", "content": " ", "start": 1, "stop": 0 }));
    }
    let parts = Parts {
        normalizer: json!({ "type": "Sequence", "normalizers": normalizers }),
        pre_tokenizer: Value::Null,
        decoder: json!({ "type": "Sequence", "decoders": decoders }),
        model: json!({
            "type": "BPE", "dropout": null, "unk_token": vocabulary.special(gguf, "unknown")?,
            "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": true,
            "byte_fallback": true, "ignore_merges": false,
        }),
        merges,
        bos_by_default: true,
    };
    parts.into_files(gguf, vocabulary)
}

/// Every way to make a token of two others, the token with the highest score first; among equal scores the longer
/// left part, then the longer right part, then the order of the vocabulary. As transformers rebuilds them. No score is
/// NaN.
fn merges_from_scores(vocabulary: &Vocabulary, scores: &[f32]) -> Vec<(String, String)> {
    struct Merge<'a> {
        left: &'a str,
        right: &'a str,
        score: f32,
        lengths: (usize, usize),
    }
    let mut merges = Vec::new();
    for (token, &score) in vocabulary.tokens.iter().zip(scores) {
        let length = token.chars().count();
        let mut ways = Vec::new();
        for (characters, (at, _)) in token.char_indices().enumerate().skip(1) {
            let (left, right) = token.split_at(at);
            if let (Some(l), Some(r)) = (vocabulary.ids.get(left), vocabulary.ids.get(right)) {
                ways.push(((l, r), Merge { left, right, score, lengths: (characters, length - characters) }));
            }
        }
        ways.sort_by_key(|&(ids, _)| ids);
        merges.extend(ways.into_iter().map(|(_, merge)| merge));
    }
    merges.sort_by(|one: &Merge<'_>, other| {
        let by_score = other.score.partial_cmp(&one.score).unwrap_or(Ordering::Equal); // −0 is 0
        by_score.then_with(|| other.lengths.cmp(&one.lengths))
    });
    merges.into_iter().map(|merge| (merge.left.to_owned(), merge.right.to_owned())).collect()
}
