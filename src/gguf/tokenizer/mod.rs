//! A GGUF file's tokenizer as `tokenizer.json` and `tokenizer_config.json`.

mod byte_level;
mod sentencepiece;

use super::Gguf;
use crate::error::Result;
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// A tokenizer's two files.
pub struct TokenizerFiles {
    /// `tokenizer.json`, for the library `tokenizers`.
    pub tokenizer: Value,
    /// `tokenizer_config.json`: the special tokens and the chat template.
    pub config: Value,
}

/// The tokenizer of the model in `gguf`, whose embedding has `vocab_size` rows.
///
/// # Errors
/// When it is of an unknown kind, or its tokens, types, scores, merges and special ids do not fit each other.
pub fn tokenizer(gguf: &Gguf, vocab_size: usize) -> Result<TokenizerFiles> {
    let vocabulary = Vocabulary::read(gguf, vocab_size)?;
    match &*gguf.need::<String>(MODEL)? {
        "gpt2" => byte_level::tokenizer(gguf, &vocabulary),
        "llama" => sentencepiece::tokenizer(gguf, &vocabulary),
        other => {
            Err(gguf.wrong(MODEL, format!("{other:?}"), "gpt2 (byte-level BPE) or llama (SentencePiece)"))
        }
    }
}

const MODEL: &str = "tokenizer.ggml.model";
const TOKENS: &str = "tokenizer.ggml.tokens";
const TYPES: &str = "tokenizer.ggml.token_type";
const MERGES: &str = "tokenizer.ggml.merges";

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Normal,
    /// Stands for what no token covers.
    Unknown,
    /// Found whole in a text and left out when tokens are turned back into text.
    Control,
    /// Found whole in a text.
    UserDefined,
    /// Never found.
    Unused,
    /// One byte.
    Byte,
}

impl Kind {
    fn of(number: u32) -> Option<Self> {
        const ALL: [Kind; 6] =
            [Kind::Normal, Kind::Unknown, Kind::Control, Kind::UserDefined, Kind::Unused, Kind::Byte];
        ALL.get(usize::try_from(number).ok()?.checked_sub(1)?).copied()
    }
}

/// The tokens, each once, and what they are for.
struct Vocabulary {
    tokens: Vec<String>,
    kinds: Vec<Kind>,
    /// The place of each token in `tokens`.
    ids: HashMap<String, usize>,
}

impl Vocabulary {
    fn read(gguf: &Gguf, vocab_size: usize) -> Result<Self> {
        let tokens: Vec<String> = gguf.need(TOKENS)?;
        if tokens.is_empty() || tokens.len() > vocab_size {
            let expected = format!("from 1 to {vocab_size}, the rows of token_embd.weight");
            return Err(gguf.wrong(TOKENS, format!("{} tokens", tokens.len()), expected));
        }
        let kinds = match gguf.get::<Vec<u32>>(TYPES)? {
            None => vec![Kind::Normal; tokens.len()],
            Some(types) => {
                same_length(gguf, TYPES, types.len(), tokens.len())?;
                let kind = |(id, &number): (usize, &u32)| {
                    let wrong =
                        || gguf.wrong(format_args!("{TYPES}, element {id}"), number, "a type from 1 to 6");
                    Kind::of(number).ok_or_else(wrong)
                };
                types.iter().enumerate().map(kind).collect::<Result<_>>()?
            }
        };
        let mut ids = HashMap::with_capacity(tokens.len());
        for (id, token) in tokens.iter().enumerate() {
            if let Some(other) = ids.insert(token.clone(), id) {
                let place = format_args!("{TOKENS}, element {id}");
                return Err(gguf.wrong(
                    place,
                    format!("{token:?}, which is element {other} too"),
                    "each token once",
                ));
            }
        }
        Ok(Self { tokens, kinds, ids })
    }

    /// The token that the key `tokenizer.ggml.{name}_token_id` names.
    fn special(&self, gguf: &Gguf, name: &str) -> Result<Option<&str>> {
        let key = format!("tokenizer.ggml.{name}_token_id");
        let Some(id) = gguf.get::<usize>(&key)? else { return Ok(None) };
        let token = self.tokens.get(id).map(|token| Some(token.as_str()));
        token.ok_or_else(|| gguf.wrong(key, id, format!("below the {} tokens", self.tokens.len())))
    }

    /// `model.vocab`.
    fn to_json(&self) -> Value {
        let entry = |(id, token): (usize, &String)| (token.clone(), json!(id));
        Value::Object(self.tokens.iter().enumerate().map(entry).collect::<Map<_, _>>())
    }

    /// `added_tokens`: those that are found whole in a text. Of these, special ones vanish from decoded text.
    fn added(&self) -> Value {
        let added = |(id, token): (usize, &String)| {
            let special = match self.kinds[id] {
                Kind::Control | Kind::Unknown => true,
                Kind::UserDefined => false,
                Kind::Normal | Kind::Unused | Kind::Byte => return None,
            };
            Some(json!({
                "id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": special,
            }))
        };
        self.tokens.iter().enumerate().filter_map(added).collect()
    }

    /// The merges that the file lists, each a pair of tokens whose join is a token; `None` where it lists none.
    fn merges(&self, gguf: &Gguf) -> Result<Option<Vec<(String, String)>>> {
        let Some(lines) = gguf.get::<Vec<String>>(MERGES)? else { return Ok(None) };
        let mut merges = Vec::with_capacity(lines.len());
        for (rank, line) in lines.iter().enumerate() {
            let wrong = |found: String, expected| {
                Err(gguf.wrong(format_args!("{MERGES}, element {rank}"), found, expected))
            };
            let Some((left, right)) = line.split_once(' ').filter(|(_, right)| !right.contains(' ')) else {
                return wrong(format!("{line:?}"), "two tokens with a space between them");
            };
            for token in [left, right, &format!("{left}{right}")] {
                if !self.ids.contains_key(token) {
                    return wrong(
                        format!("{token:?}, which is no token"),
                        "two tokens whose join is a token",
                    );
                }
            }
            merges.push((left.to_owned(), right.to_owned()));
        }
        Ok(Some(merges))
    }
}

fn same_length(gguf: &Gguf, key: &str, found: usize, tokens: usize) -> Result<()> {
    match found == tokens {
        true => Ok(()),
        false => Err(gguf.wrong(key, format!("{found} elements"), format!("{tokens}, one for each token"))),
    }
}

/// What the two kinds of tokenizer differ in.
struct Parts {
    normalizer: Value,
    pre_tokenizer: Value,
    decoder: Value,
    /// `model`, without its vocabulary and merges.
    model: Value,
    merges: Vec<(String, String)>,
    /// Whether a BOS starts each text where the file does not say.
    bos_by_default: bool,
}

impl Parts {
    fn into_files(self, gguf: &Gguf, vocabulary: &Vocabulary) -> Result<TokenizerFiles> {
        let special = |name| vocabulary.special(gguf, name);
        let (bos, eos) = (special("bos")?, special("eos")?);
        let adds = |name: &str| gguf.get::<bool>(&format!("tokenizer.ggml.add_{name}_token"));
        let add_bos = adds("bos")?.unwrap_or(self.bos_by_default) && bos.is_some();
        let add_eos = adds("eos")?.unwrap_or(false) && eos.is_some();

        let mut model = self.model;
        model["vocab"] = vocabulary.to_json();
        model["merges"] = json!(self.merges);
        let tokenizer = json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": vocabulary.added(),
            "normalizer": self.normalizer,
            "pre_tokenizer": self.pre_tokenizer,
            "post_processor": around(vocabulary, bos.filter(|_| add_bos), eos.filter(|_| add_eos)),
            "decoder": self.decoder,
            "model": model,
        });
        let mut config = json!({
            "tokenizer_class": "PreTrainedTokenizerFast",
            "add_bos_token": add_bos,
            "add_eos_token": add_eos,
            "clean_up_tokenization_spaces": false,
        });
        for (key, name) in [("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding")] {
            if let Some(token) = special(name)? {
                config[format!("{key}_token")] = json!(token);
            }
        }
        if let Some(template) = gguf.get::<String>("tokenizer.chat_template")? {
            config["chat_template"] = json!(template);
        }
        Ok(TokenizerFiles { tokenizer, config })
    }
}

/// The post-processor that puts these tokens around every text; null where there is none.
fn around(vocabulary: &Vocabulary, bos: Option<&str>, eos: Option<&str>) -> Value {
    if bos.is_none() && eos.is_none() {
        return Value::Null;
    }
    let piece =
        |token: Option<&str>, kind| token.map(|t| json!({ "SpecialToken": { "id": t, "type_id": kind } }));
    let text = |id: &str, kind| Some(json!({ "Sequence": { "id": id, "type_id": kind } }));
    let single = |id, kind| [piece(bos, kind), text(id, kind), piece(eos, kind)].into_iter().flatten();
    let special = |token: &str| {
        let id = vocabulary.ids[token];
        (token.to_owned(), json!({ "id": token, "ids": [id], "tokens": [token] }))
    };
    let special_tokens: Map<_, _> = [bos, eos].into_iter().flatten().map(special).collect();
    json!({
        "type": "TemplateProcessing",
        "single": single("A", 0).collect::<Vec<_>>(),
        "pair": single("A", 0).chain(single("B", 1)).collect::<Vec<_>>(),
        "special_tokens": special_tokens,
    })
}
