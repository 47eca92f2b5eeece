//! Training and evaluation data: JSON lines to token sequences with the ranges that carry loss.

use crate::{
    error::{Error, Result},
    num::to_u32,
    pass::Tokens,
    rng::{Purpose, Stream},
    text::{Ending, Message, Text},
};
use rayon::prelude::*;
use serde_json::{Map, Value};
use std::{
    fs::File,
    io::{BufRead, BufReader},
    iter,
    ops::Range,
    path::Path,
    str::FromStr,
};

/// A token sequence to learn from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The tokens, BOS and EOS included.
    pub tokens: Vec<u32>,
    /// The positions of the tokens that carry loss: each is predicted from all tokens before it. Ranges are not
    /// empty, rise, do not touch position 0 and do not overlap.
    pub targets: Vec<Range<usize>>,
    /// The number of tokens before the first target.
    pub prompt_tokens: usize,
    /// What to ask and what to expect, where the line says so.
    pub question: Option<Question>,
}

impl Example {
    /// The tokens and targets, as a batch takes them.
    #[must_use]
    pub fn sequence(&self) -> Tokens<'_> {
        Tokens { tokens: &self.tokens, loss: &self.targets }
    }

    /// The number of tokens that carry loss.
    #[must_use]
    pub fn target_count(&self) -> usize {
        self.targets.iter().map(Range::len).sum()
    }
}

/// What exact-match evaluation asks a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The tokens to continue: the prompt encoded by itself, as at generation.
    pub prompt: Vec<u32>,
    /// The text that should follow.
    pub answer: String,
}

/// How a prompt and its answer become one text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Template {
    /// The model's chat template if it has one, else plain.
    Auto,
    /// The model's chat template: the prompt is the user's turn, the answer the assistant's.
    Chat,
    /// A text around the prompt and the answer.
    Text {
        /// What stands before the prompt.
        before: String,
        /// What stands between the two.
        between: String,
        /// What stands after the answer.
        after: String,
    },
}

impl Template {
    /// `{prompt}\n{answer}`.
    #[must_use]
    pub fn plain() -> Self {
        Self::Text { before: String::new(), between: "\n".to_owned(), after: String::new() }
    }

    /// `Auto` replaced by what it stands for with this model.
    ///
    /// # Errors
    /// [`Error::Setting`] for `Chat` with a model that has no chat template.
    pub fn resolve(&self, text: &Text) -> Result<Self> {
        match self {
            Self::Auto if text.has_chat_template() => Ok(Self::Chat),
            Self::Auto => Ok(Self::plain()),
            Self::Chat if !text.has_chat_template() => Err(Error::Setting {
                name: "template",
                value: "chat".to_owned(),
                expected: "plain or a text, as the model has no chat template".to_owned(),
            }),
            other => Ok(other.clone()),
        }
    }
}

impl FromStr for Template {
    type Err = Error;

    /// `auto`, `chat`, `plain`, or a text that holds `{prompt}` and later `{answer}`.
    fn from_str(template: &str) -> Result<Self> {
        match template {
            "auto" => return Ok(Self::Auto),
            "chat" => return Ok(Self::Chat),
            "plain" => return Ok(Self::plain()),
            _ => {}
        }
        let parts = template.split_once("{prompt}").and_then(|(before, rest)| {
            let (between, after) = rest.split_once("{answer}")?;
            (!after.contains("{answer}") && !rest.contains("{prompt}")).then_some((before, between, after))
        });
        match parts {
            Some((before, between, after)) => {
                Ok(Self::Text { before: before.into(), between: between.into(), after: after.into() })
            }
            None => Err(Error::Setting {
                name: "template",
                value: format!("{template:?}"),
                expected: "auto, chat, plain, or a text with {prompt} once and then {answer} once".to_owned(),
            }),
        }
    }
}

/// What to do with an example of more than `seq` tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooLong {
    /// Leave it out and count it.
    Skip,
    /// Keep its first `seq` tokens and count it; one whose targets are all cut off is left out.
    Truncate,
}

/// The examples of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// The examples in the order of their lines.
    pub examples: Vec<Example>,
    /// How many were left out for their length.
    pub skipped_too_long: usize,
    /// How many were cut.
    pub truncated: usize,
}

impl Dataset {
    /// Reads a file of JSON lines; empty lines are passed over. Each line is one of
    /// - `{"prompt": …, "answer": …}`, brought together by `template`: loss on the answer and the EOS after it;
    /// - `{"text": …}`: loss on all tokens but the first, and on the EOS after them;
    /// - `{"messages": [{"role": …, "content": …}, …]}` through the model's chat template: loss on the assistant's
    ///   turns.
    ///
    /// No example has more than `seq` tokens.
    ///
    /// # Errors
    /// [`Error::Format`] names the line that is not JSON, lacks a key or has an empty answer; an error too when there
    /// is no example, or none is left.
    pub fn read(
        path: &Path,
        text: &Text,
        template: &Template,
        seq: usize,
        too_long: TooLong,
    ) -> Result<Self> {
        let template = template.resolve(text)?;
        let eos = text.eos()?;
        let file = File::open(path).map_err(Error::io("read", path))?;
        let lines: Vec<Vec<u8>> = BufReader::new(file)
            .split(b'\n')
            .collect::<std::io::Result<_>>()
            .map_err(Error::io("read", path))?;
        let reader = Reader { path, text, template, eos };
        let parsed: Vec<_> = lines
            .par_iter()
            .enumerate()
            .filter(|(_, line)| !line.trim_ascii().is_empty())
            .map(|(i, line)| reader.example(i + 1, line))
            .collect();
        if parsed.is_empty() {
            return Err(Error::format(path, "data set", "no examples", "at least one line"));
        }
        let mut set = Self { examples: Vec::with_capacity(parsed.len()), skipped_too_long: 0, truncated: 0 };
        for example in parsed {
            set.add(example?, seq, too_long);
        }
        if set.examples.is_empty() {
            return Err(Error::format(
                path,
                "data set",
                format!("{} examples, all longer than {seq} tokens", set.skipped_too_long),
                "at least one that fits (--seq)",
            ));
        }
        Ok(set)
    }

    fn add(&mut self, mut example: Example, seq: usize, too_long: TooLong) {
        if example.tokens.len() <= seq {
            self.examples.push(example);
        } else if too_long == TooLong::Truncate && example.prompt_tokens < seq {
            example.tokens.truncate(seq);
            example.targets.retain(|range| range.start < seq);
            for range in &mut example.targets {
                range.end = range.end.min(seq);
            }
            self.truncated += 1;
            self.examples.push(example);
        } else {
            self.skipped_too_long += 1;
        }
    }
}

/// The order in which the `n` examples of a data set are seen in `epoch`: a function of these three alone.
///
/// # Errors
/// [`Error::TooLarge`] for more than 2³² - 1 examples.
pub fn epoch_order(seed: u64, epoch: u64, n: usize) -> Result<Vec<u32>> {
    Ok(Stream::new(seed, Purpose::Shuffle, epoch, 0).permutation(to_u32("the number of examples", n)?))
}

/// What is needed to turn a line into an example.
struct Reader<'a> {
    path: &'a Path,
    text: &'a Text,
    template: Template,
    eos: u32,
}

impl Reader<'_> {
    fn example(&self, line: usize, json: &[u8]) -> Result<Example> {
        let wrong =
            |found: String, expected: &str| Error::format(self.path, format!("line {line}"), found, expected);
        // Some editors begin a file of UTF-8 with a mark of the byte order.
        let json = json.strip_prefix("\u{feff}".as_bytes()).unwrap_or(json);
        let fields: Map<String, Value> = match serde_json::from_slice(json) {
            Ok(fields) => fields,
            Err(error) => return Err(wrong(format!("invalid JSON ({error})"), "a JSON object")),
        };
        let string = |key: &str| match fields.get(key) {
            Some(Value::String(text)) if text.trim().is_empty() => {
                Err(wrong(format!("an empty {key:?}"), "a text"))
            }
            Some(Value::String(text)) => Ok(text.as_str()),
            Some(other) => Err(wrong(format!("{key:?}: {other}"), "a text")),
            None => Err(wrong(format!("no key {key:?}"), "both \"prompt\" and \"answer\"")),
        };
        let has = |key| fields.contains_key(key);
        match (has("prompt") || has("answer"), has("text"), has("messages")) {
            (true, false, false) => self.prompt_and_answer(string("prompt")?, string("answer")?),
            (false, true, false) => self.whole_text(string("text")?),
            (false, false, true) => {
                let messages: Vec<Message> =
                    serde_json::from_value(fields["messages"].clone()).map_err(|error| {
                        // What serde expects is said in its words for types.
                        let error = error.to_string();
                        let found = error.split_once(", expected").map_or(&*error, |(found, _)| found);
                        let expected = "a list of {\"role\", \"content\"}, both texts";
                        wrong(format!("\"messages\": {found}"), expected)
                    })?;
                if !messages.iter().any(|message| message.role == "assistant") {
                    return Err(wrong("no turn of the assistant".to_owned(), "at least one"));
                }
                self.conversation(&messages)
                    .map_err(|error| wrong(error.to_string(), "a conversation that the model can render"))
            }
            _ => {
                let keys: Vec<_> = fields.keys().map(String::as_str).collect();
                let expected = "either \"prompt\" and \"answer\", or \"text\", or \"messages\"";
                Err(wrong(format!("the keys [{}]", keys.join(", ")), expected))
            }
        }
    }

    fn prompt_and_answer(&self, prompt: &str, answer: &str) -> Result<Example> {
        match &self.template {
            Template::Text { before, between, after } => {
                let prompt = format!("{before}{prompt}{between}");
                let whole = self.text.encode(&format!("{prompt}{answer}{after}"))?;
                let mut prompt = self.text.encode(&prompt)?;
                // Some tokenizers close every text by themselves; a prompt must stay open.
                prompt.pop_if(|last| *last == self.eos);
                let (start, end) = (common_prefix(&prompt, &whole), whole.len());
                Ok(self.finish(
                    whole,
                    iter::once(start..end).collect(),
                    Some(Question { prompt, answer: answer.to_owned() }),
                ))
            }
            Template::Auto | Template::Chat => {
                let turn = |role: &str, content: &str| Message { role: role.into(), content: content.into() };
                self.conversation(&[turn("user", prompt), turn("assistant", answer)])
            }
        }
    }

    fn whole_text(&self, text: &str) -> Result<Example> {
        let tokens = self.text.encode(text)?;
        let end = tokens.len();
        Ok(self.finish(tokens, iter::once(0..end).collect(), None))
    }

    /// The tokens of a turn are those between the common prefixes that the whole conversation has with the
    /// conversation cut before and after the turn.
    fn conversation(&self, messages: &[Message]) -> Result<Example> {
        let render = |n: usize, ending| self.text.encode_bare(&self.text.render(&messages[..n], ending)?);
        let whole = render(messages.len(), Ending::Closed)?;
        let mut targets = Vec::new();
        let mut question = None;
        for (i, message) in messages.iter().enumerate().filter(|(_, message)| message.role == "assistant") {
            let prompt = render(i, Ending::AssistantToSpeak)?;
            let start = common_prefix(&prompt, &whole);
            let end = match i + 1 == messages.len() {
                true => whole.len(),
                false => common_prefix(&render(i + 1, Ending::Closed)?, &whole),
            };
            if end <= start || targets.last().is_some_and(|last: &Range<usize>| start < last.end) {
                let place = format!("turn {} in the chat template", i + 1);
                return Err(Error::format(self.path, place, "a turn that others rewrite", "one that stays"));
            }
            // What a template puts after the end of a turn is not the assistant's to say.
            let stop = whole[start..end].iter().position(|token| self.text.eos_ids().contains(token));
            let end = stop.map_or(end, |stop| start + stop + 1);
            targets.push(start..end);
            question = Some(Question { prompt, answer: message.content.clone() });
        }
        let ends = messages.last().is_some_and(|last| last.role == "assistant");
        Ok(self.finish(whole, targets, question.filter(|_| ends)))
    }

    /// `tokens` up to the last target, with an EOS added where that is the last token and not an EOS itself; the
    /// first token is never a target, as nothing stands before it.
    fn finish(
        &self,
        mut tokens: Vec<u32>,
        mut targets: Vec<Range<usize>>,
        question: Option<Question>,
    ) -> Example {
        if let Some(last) = targets.last_mut() {
            let open =
                tokens[last.start..last.end].last().is_none_or(|token| !self.text.eos_ids().contains(token));
            if last.end == tokens.len() && open {
                tokens.push(self.eos);
                last.end += 1;
            }
            tokens.truncate(last.end);
        }
        for range in &mut targets {
            range.start = range.start.max(1);
        }
        targets.retain(|range| !range.is_empty());
        let prompt_tokens = targets.first().map_or(tokens.len(), |range| range.start);
        Example { tokens, targets, prompt_tokens, question }
    }
}

/// The number of tokens that `a` and `b` start with in common.
fn common_prefix(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}
