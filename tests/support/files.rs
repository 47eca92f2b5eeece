//! Files for tests: directories that vanish, fixtures, and what errors must say.

use rosa_kernels::error::Error;
use serde_json::{Value, json};
use std::{fmt::Debug, fs, path::Path};
use tempfile::TempDir;

/// An empty directory, gone when dropped.
pub fn temp_dir() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

pub fn write(dir: &Path, name: &str, content: impl AsRef<[u8]>) {
    fs::write(dir.join(name), content).expect("write a fixture");
}

pub fn write_json(dir: &Path, name: &str, content: &Value) {
    write(dir, name, content.to_string());
}

/// Asserts that `result` is an error whose message holds every one of `words`.
#[track_caller]
pub fn assert_says<T: Debug>(result: Result<T, Error>, words: &[&str]) {
    let message = result.expect_err("this must fail").to_string();
    for word in words {
        assert!(message.contains(word), "no {word:?} in: {message}");
    }
}

/// A tokenizer of the given words, of which `<s>`, `</s>` and `<|im_end|>` are special; `<s>` starts every text.
pub fn write_tokenizer(dir: &Path, words: &[&str]) {
    let special = ["<unk>", "<s>", "</s>", "<|im_end|>"];
    let vocab: serde_json::Map<String, Value> =
        special.iter().chain(words).enumerate().map(|(id, &word)| (word.to_owned(), json!(id))).collect();
    let added: Vec<_> = (0..).zip(special).map(|(id, word): (u32, _)| {
        json!({ "id": id, "content": word, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true })
    }).collect();
    let bos = json!({ "SpecialToken": { "id": "<s>", "type_id": 0 } });
    let text = json!({ "Sequence": { "id": "A", "type_id": 0 } });
    write_json(
        dir,
        "tokenizer.json",
        &json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
            "pre_tokenizer": { "type": "Split", "pattern": { "Regex": r"\n| ?[^ \n]+" }, "behavior": "Isolated", "invert": false },
            "post_processor": { "type": "TemplateProcessing", "single": [bos, text], "pair": [bos, text, text],
                "special_tokens": { "<s>": { "id": "<s>", "ids": [1], "tokens": ["<s>"] } } },
            "decoder": { "type": "Fuse" },
            "model": { "type": "WordLevel", "vocab": vocab, "unk_token": "<unk>" },
        }),
    );
    write_json(
        dir,
        "tokenizer_config.json",
        &json!({ "bos_token": "<s>", "eos_token": { "content": "</s>" } }),
    );
}
