//! Byte-level BPE (`gpt2`): every byte has a visible character, merges work inside the pieces of a pre-tokenizer.

use super::{MERGES, Parts, TokenizerFiles, Vocabulary};
use crate::{error::Result, gguf::Gguf};
use serde_json::{Value, json};

const PRE: &str = "tokenizer.ggml.pre";

/// A pre-tokenizer with what goes with it.
struct Pre {
    /// The names that llama.cpp's converter gives it.
    names: &'static [&'static str],
    /// How a text is cut before its bytes become characters.
    cuts: &'static [Cut],
    /// Whether a piece that is a token is taken whole, without merges.
    ignore_merges: bool,
    /// Whether a BOS starts each text where the file does not say.
    bos: bool,
    /// Whether texts are brought into Unicode's composed form first.
    composed: bool,
}

/// A step that cuts each piece at, before and after every match.
#[derive(Clone, Copy)]
enum Cut {
    /// At each digit.
    Digits,
    /// At each match of a regular expression.
    At(&'static str),
    /// At words as GPT-2 has them.
    Gpt2,
}

/// The words of Llama 3.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// The words of Qwen 2: those of Llama 3 with single digits.
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// The words of Mistral's Tekken, which end where the case changes.
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Every pre-tokenizer that is known. Source: llama.cpp's `llama-vocab.cpp`, and the `tokenizer.json` of the models.
const KNOWN: [Pre; 7] = [
    Pre {
        names: &["gpt-2", "phi-2", "olmo", "mpt", "jais"],
        cuts: &[Cut::Gpt2],
        ignore_merges: false,
        bos: false,
        composed: false,
    },
    Pre {
        names: &["smollm", "starcoder", "refact", "command-r", "codeshell", "exaone"],
        cuts: &[Cut::Digits, Cut::Gpt2],
        ignore_merges: false,
        bos: false,
        composed: false,
    },
    Pre {
        names: &["llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral"],
        cuts: &[Cut::At(LLAMA3)],
        ignore_merges: true,
        bos: true,
        composed: false,
    },
    Pre {
        names: &["dbrx", "smaug-bpe"],
        cuts: &[Cut::At(LLAMA3)],
        ignore_merges: false,
        bos: false,
        composed: false,
    },
    Pre {
        names: &["qwen2", "deepseek-r1-qwen"],
        cuts: &[Cut::At(QWEN2)],
        ignore_merges: false,
        bos: false,
        composed: true,
    },
    Pre { names: &["tekken"], cuts: &[Cut::At(TEKKEN)], ignore_merges: true, bos: true, composed: false },
    Pre {
        // What llama.cpp does where its converter knew no better.
        names: &["default"],
        cuts: &[
            Cut::At(r"[\p{P}\$\+<=>\^~\|]+"),
            Cut::At(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"),
            Cut::At(r"\p{N}+"),
            Cut::At("[0-9][0-9][0-9]"),
        ],
        ignore_merges: false,
        bos: false,
        composed: false,
    },
];

pub(super) fn tokenizer(gguf: &Gguf, vocabulary: &Vocabulary) -> Result<TokenizerFiles> {
    let name: String = gguf.need(PRE)?;
    let Some(pre) = KNOWN.iter().find(|pre| pre.names.contains(&name.as_str())) else {
        let known: Vec<_> = KNOWN.iter().flat_map(|pre| pre.names).copied().collect();
        return Err(gguf.wrong(PRE, format!("{name:?}"), format!("one of {}", known.join(", "))));
    };
    let Some(merges) = vocabulary.merges(gguf)? else {
        return Err(gguf.wrong(MERGES, "nothing", "an array of texts"));
    };
    let parts = Parts {
        normalizer: if pre.composed { json!({ "type": "NFC" }) } else { Value::Null },
        pre_tokenizer: pre_tokenizer(pre.cuts),
        decoder: bytes(false),
        model: json!({
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
            "ignore_merges": pre.ignore_merges,
        }),
        merges,
        bos_by_default: pre.bos,
    };
    parts.into_files(gguf, vocabulary)
}

/// The cuts one after the other, then bytes to characters.
fn pre_tokenizer(cuts: &[Cut]) -> Value {
    let mut steps = Vec::new();
    for cut in cuts {
        match cut {
            Cut::Digits => steps.push(json!({ "type": "Digits", "individual_digits": true })),
            Cut::At(pattern) => steps.push(json!({
                "type": "Split", "pattern": { "Regex": pattern }, "behavior": "Isolated", "invert": false,
            })),
            Cut::Gpt2 => {}
        }
    }
    steps.push(bytes(cuts.iter().any(|cut| matches!(cut, Cut::Gpt2))));
    json!({ "type": "Sequence", "pretokenizers": steps })
}

/// The step that turns bytes into characters and back; it can cut as GPT-2 does first.
fn bytes(cut: bool) -> Value {
    json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": cut })
}
