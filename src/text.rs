//! A model's tokenizer and chat template.

use crate::{
    error::{Error, Result},
    json::JsonFile,
};
use minijinja::{
    Environment, ErrorKind, Value, context,
    syntax::SyntaxConfig,
    value::{Kwargs, Serde},
};
use serde::{Deserialize, Serialize};
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use tokenizers::{
    DecoderWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper, Tokenizer, TokenizerImpl,
    models::bpe::BPE,
};

/// Turns text into tokens and back, as one model does.
pub struct Text {
    path: PathBuf,
    tokenizer: Tokenizer,
    bos: Option<String>,
    eos: Option<String>,
    /// The ids that end a text: those of the model's configuration, then `eos`.
    eos_ids: Vec<u32>,
    chat: Option<Environment<'static>>,
}

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// Who speaks: `system`, `user`, `assistant`.
    pub role: String,
    /// What is said.
    pub content: String,
}

/// How a rendered conversation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// After the last turn.
    Closed,
    /// With the opening of an assistant's turn, for the model to go on.
    AssistantToSpeak,
}

/// A special token, spelled as a string or as an object.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a token or an object with its content")]
enum SpecialToken {
    Plain(String),
    Object { content: String },
}

/// `chat_template`, which is one template or a list of named ones.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a template or a list of named templates")]
enum ChatTemplate {
    One(String),
    Named(Vec<NamedTemplate>),
}

#[derive(Deserialize)]
struct NamedTemplate {
    name: String,
    template: String,
}

impl Text {
    /// The tokenizer in `dir`: `tokenizer.json`; the special tokens of `tokenizer_config.json` or
    /// `special_tokens_map.json`; the end-of-text ids of `generation_config.json` or `config.json`; the chat template
    /// of `chat_template.jinja` or `tokenizer_config.json`, where there is one.
    ///
    /// # Errors
    /// When `tokenizer.json` is missing, or any of the files malformed.
    pub fn open(dir: &Path) -> Result<Self> {
        let path = dir.join("tokenizer.json");
        let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
        let mut tokenizer =
            read(&bytes).map_err(|error| Error::format(&path, "tokenizer", error, "a tokenizer"))?;
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|error| Error::format(&path, "truncation", error, "none"))?;

        let present = |name: &str| JsonFile::read_if_present(&dir.join(name));
        let config = present("tokenizer_config.json")?;
        let names: Vec<_> = config.iter().cloned().chain(present("special_tokens_map.json")?).collect();
        let (bos, eos) = (special_token(&names, "bos_token")?, special_token(&names, "eos_token")?);
        let mut eos_ids = Vec::new();
        for file in [present("generation_config.json")?, present("config.json")?].iter().flatten() {
            eos_ids = file.token_ids("eos_token_id")?;
            if !eos_ids.is_empty() {
                break;
            }
        }
        if let Some(id) = eos.as_ref().and_then(|eos| tokenizer.token_to_id(eos))
            && !eos_ids.contains(&id)
        {
            eos_ids.push(id);
        }
        let chat = match chat_template(dir, config.as_ref())? {
            Some((path, source)) => Some(compile(&path, source)?),
            None => None,
        };
        Ok(Self { path, tokenizer, bos, eos, eos_ids, chat })
    }

    /// The tokens of `text` with those that the model expects around every text (a BOS, for many).
    ///
    /// # Errors
    /// When the tokenizer cannot represent it.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.tokens(text, true)
    }

    /// The tokens of `text` and nothing else.
    ///
    /// # Errors
    /// When the tokenizer cannot represent it.
    pub fn encode_bare(&self, text: &str) -> Result<Vec<u32>> {
        self.tokens(text, false)
    }

    fn tokens(&self, text: &str, special: bool) -> Result<Vec<u32>> {
        let encoding = self.tokenizer.encode_fast(text, special).map_err(|error| {
            Error::format(&self.path, "tokenizer", error, "a tokenizer that can represent the text")
        })?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The text of `tokens`, without the special ones.
    ///
    /// # Errors
    /// When the tokenizer's decoder fails.
    pub fn decode(&self, tokens: &[u32]) -> Result<String> {
        let decoded = self.tokenizer.decode(tokens, true);
        decoded.map_err(|error| Error::format(&self.path, "decoder", error, "a decoder for these tokens"))
    }

    /// The ids that end a text; generation stops at any of them.
    #[must_use]
    pub fn eos_ids(&self) -> &[u32] {
        &self.eos_ids
    }

    /// The token that is put after a training text: the tokenizer's EOS.
    ///
    /// # Errors
    /// [`Error::Format`] when neither the tokenizer nor the model's configuration names one.
    pub fn eos(&self) -> Result<u32> {
        let named = self.eos.as_ref().and_then(|eos| self.tokenizer.token_to_id(eos));
        named.or_else(|| self.eos_ids.first().copied()).ok_or_else(|| {
            Error::format(
                &self.path,
                "eos_token",
                "none",
                "one in tokenizer_config.json or generation_config.json",
            )
        })
    }

    /// Checks that an embedding of `vocab_size` rows has a row for every token.
    ///
    /// # Errors
    /// [`Error::Format`] names the token with the largest id.
    pub fn check_fits(&self, vocab_size: usize) -> Result<()> {
        let vocab = self.tokenizer.get_vocab(true);
        match vocab.into_iter().max_by_key(|&(_, id)| id) {
            Some((token, id)) if id as usize >= vocab_size => Err(Error::format(
                &self.path,
                format!("token {token:?}"),
                format!("id {id}"),
                format!("an id below the model's vocab_size of {vocab_size}"),
            )),
            _ => Ok(()),
        }
    }

    /// Whether the model has a chat template.
    #[must_use]
    pub fn has_chat_template(&self) -> bool {
        self.chat.is_some()
    }

    /// `messages` as the model's chat template spells them, special tokens included.
    ///
    /// # Errors
    /// [`Error::Format`] when there is no chat template or it rejects the conversation.
    pub fn render(&self, messages: &[Message], ending: Ending) -> Result<String> {
        let wrong = |found: String| {
            let dir = self.path.parent().unwrap_or(Path::new("."));
            Error::format(dir, "chat template", found, "one that renders the conversation")
        };
        let Some(chat) = &self.chat else { return Err(wrong("none".to_owned())) };
        let rendered = chat.get_template(CHAT).and_then(|template| {
            template.render(context! {
                messages => Value::from(Serde(messages)),
                bos_token => self.bos.as_deref().unwrap_or_default(),
                eos_token => self.eos.as_deref().unwrap_or_default(),
                add_generation_prompt => ending == Ending::AssistantToSpeak,
            })
        });
        rendered.map_err(|error| wrong(error.to_string()))
    }
}

/// The tokenizer of a `tokenizer.json`. The library copies a model of unknown kind twice before it builds it, which
/// takes most of the time to start: nearly all are BPE, so that is tried first.
fn read(bytes: &[u8]) -> tokenizers::Result<Tokenizer> {
    type WithBpe =
        TokenizerImpl<BPE, NormalizerWrapper, PreTokenizerWrapper, PostProcessorWrapper, DecoderWrapper>;
    match WithBpe::from_bytes(bytes) {
        Ok(tokenizer) => Ok(tokenizer.into()),
        Err(_) => Tokenizer::from_bytes(bytes),
    }
}

fn special_token(files: &[JsonFile], key: &str) -> Result<Option<String>> {
    for file in files {
        match file.get(key)? {
            Some(SpecialToken::Plain(content) | SpecialToken::Object { content }) => {
                return Ok(Some(content));
            }
            None => {}
        }
    }
    Ok(None)
}

/// The chat template's source and the file that it comes from.
fn chat_template(dir: &Path, config: Option<&JsonFile>) -> Result<Option<(PathBuf, String)>> {
    let path = dir.join("chat_template.jinja");
    match fs::read_to_string(&path) {
        Ok(source) => return Ok(Some((path, source))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(Error::io("read", path)(error)),
    }
    let Some(config) = config else { return Ok(None) };
    let source = match config.get("chat_template")? {
        None => return Ok(None),
        Some(ChatTemplate::One(source)) => source,
        Some(ChatTemplate::Named(list)) => match list.into_iter().find(|named| named.name == "default") {
            Some(default) => default.template,
            None => return Err(config.wrong("chat_template", "no template named default", "one")),
        },
    };
    Ok(Some((config.path().to_owned(), source)))
}

/// The name of the only template.
const CHAT: &str = "chat";

/// An environment that renders `source` as transformers' Jinja does.
fn compile(path: &Path, source: String) -> Result<Environment<'static>> {
    let mut jinja = Environment::new();
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .build()
        .expect("the default delimiters");
    jinja.set_syntax(syntax);
    jinja.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    jinja.add_function("raise_exception", |message: String| {
        Err::<Value, _>(minijinja::Error::new(ErrorKind::InvalidOperation, message))
    });
    jinja.add_function("strftime_now", strftime_now);
    jinja.add_filter("tojson", tojson);
    // transformers marks the assistant's words with this tag, which changes nothing in the output.
    let source = source
        .replace("{%- generation ", "{%- if true ")
        .replace("{% generation ", "{% if true ")
        .replace("{%- endgeneration ", "{%- endif ")
        .replace("{% endgeneration ", "{% endif ");
    jinja
        .add_template_owned(CHAT, source)
        .map_err(|error| Error::format(path, "chat template", error, "a Jinja template"))?;
    Ok(jinja)
}

/// The date in `format`: always 26 July 2024, the date that Llama 3's template assumes when it is told none, so that
/// equal data gives equal tokens on every day.
fn strftime_now(format: &str) -> String {
    let parts = [
        ("%A", "Friday"),
        ("%a", "Fri"),
        ("%B", "July"),
        ("%b", "Jul"),
        ("%Y", "2024"),
        ("%y", "24"),
        ("%m", "07"),
        ("%d", "26"),
        ("%H", "00"),
        ("%M", "00"),
        ("%S", "00"),
    ];
    parts.into_iter().fold(format.to_owned(), |text, (code, value)| text.replace(code, value))
}

/// Python's `json.dumps(value, ensure_ascii=False, indent=indent)`, which is what templates mean by `tojson`.
fn tojson(value: Serde<serde_json::Value>, options: Kwargs) -> std::result::Result<Value, minijinja::Error> {
    let indent: Option<usize> = options.get("indent")?;
    let mut json = Vec::new();
    let written = match indent {
        Some(indent) => {
            let indent = " ".repeat(indent);
            let pretty = PrettyFormatter::with_indent(indent.as_bytes());
            value.serialize(&mut Serializer::with_formatter(&mut json, pretty))
        }
        None => value.serialize(&mut Serializer::with_formatter(&mut json, Spaced)),
    };
    written.map_err(|error| minijinja::Error::new(ErrorKind::BadSerialization, error.to_string()))?;
    Ok(Value::from_safe_string(String::from_utf8_lossy(&json).into_owned()))
}

/// One line with a space after each comma and colon.
struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}
