#![expect(clippy::single_range_in_vec_init, reason = "a list of one range is meant")]

use super::{assert_says, shared, temp_dir, text::message, write, write_json, write_tokenizer};
use rosa_kernels::{
    data::{Dataset, Question, Template, TooLong, epoch_order},
    error::Result,
    text::Text,
};
use serde_json::json;
use std::time::Instant;
use tempfile::TempDir;

/// Ids from 4 on, in this order; `ab` starts with the same letters as `a` does but is a token of its own.
const WORDS: [&str; 8] = ["a", "ab", "\n", " b", " c", "user", "assistant", ":"];
const CHAT: &str = "{{ bos_token }}{% for m in messages %}{{ m.role }}\n{{ m.content }}{{ eos_token }}\n\
    {% endfor %}{% if add_generation_prompt %}assistant\n{% endif %}";

struct Fixture {
    dir: TempDir,
    text: Text,
}

impl Fixture {
    fn new() -> Self {
        let dir = temp_dir();
        write_tokenizer(dir.path(), &WORDS);
        let text = Text::open(dir.path()).unwrap();
        Self { dir, text }
    }

    fn with_chat(template: &str) -> Self {
        let Self { dir, .. } = Self::new();
        let config = json!({ "bos_token": "<s>", "eos_token": "</s>", "chat_template": template });
        write_json(dir.path(), "tokenizer_config.json", &config);
        let text = Text::open(dir.path()).unwrap();
        Self { dir, text }
    }

    fn read(&self, lines: &str, template: &str, seq: usize, too_long: TooLong) -> Result<Dataset> {
        write(self.dir.path(), "data.jsonl", lines);
        let template = template.parse::<Template>()?;
        Dataset::read(&self.dir.path().join("data.jsonl"), &self.text, &template, seq, too_long)
    }
}

#[test]
fn loss_is_on_the_answer_and_the_end() {
    let fixture = Fixture::new();
    let set = fixture.read(r#"{"prompt": "a b", "answer": "a c"}"#, "auto", 99, TooLong::Skip).unwrap();
    let example = &set.examples[0];
    assert_eq!(example.tokens, [1, 4, 7, 6, 4, 8, 2]);
    assert_eq!((&example.targets[..], example.prompt_tokens), (&[4..7][..], 4));
    let question = Question { prompt: vec![1, 4, 7, 6], answer: "a c".to_owned() };
    assert_eq!(example.question, Some(question));
}

#[test]
fn a_token_across_the_border_belongs_to_the_answer() {
    let fixture = Fixture::new();
    let template = "{prompt}{answer} c";
    let set = fixture.read(r#"{"prompt": "a b\na", "answer": "b"}"#, template, 99, TooLong::Skip).unwrap();
    let example = &set.examples[0];
    assert_eq!(example.tokens, [1, 4, 7, 6, 5, 8, 2]);
    assert_eq!((&example.targets[..], example.prompt_tokens), (&[4..7][..], 4));
    assert_eq!(example.question.as_ref().unwrap().prompt, [1, 4, 7, 6, 4]);
}

#[test]
fn a_template_is_filled_once() {
    let fixture = Fixture::new();
    let line = r#"{"prompt": "{answer}", "answer": "{prompt}"}"#;
    let set = fixture.read(line, "a {prompt}\n{answer}", 99, TooLong::Skip).unwrap();
    assert_eq!(set.examples[0].tokens, [1, 4, 0, 6, 0, 2]);
    for bad in ["{prompt}", "{answer}{prompt}", "", "{prompt}{prompt}{answer}", "{prompt}{answer}{answer}"] {
        assert_says(bad.parse::<Template>(), &["template", bad, "{prompt}"]);
    }
    assert_says(fixture.read(line, "chat", 99, TooLong::Skip), &["template", "chat", "no chat template"]);
}

#[test]
fn text_carries_loss_from_its_second_token() {
    let fixture = Fixture::new();
    let set = fixture.read("\n{\"text\": \"a b c\"}\r\n  \n", "auto", 99, TooLong::Skip).unwrap();
    assert_eq!(set.examples.len(), 1);
    let example = &set.examples[0];
    assert_eq!((&example.tokens[..], &example.targets[..]), (&[1, 4, 7, 8, 2][..], &[1..5][..]));
    assert_eq!(example.question, None);
}

#[test]
fn conversations_carry_loss_on_the_turns_of_the_assistant() {
    let fixture = Fixture::with_chat(CHAT);
    let turns = [
        message("user", "a"),
        message("assistant", "a b"),
        message("user", "ab"),
        message("assistant", "a c"),
    ];
    let set = fixture.read(&json!({ "messages": turns }).to_string(), "auto", 99, TooLong::Skip).unwrap();
    let example = &set.examples[0];
    let want = [1, 9, 6, 4, 2, 6, 10, 6, 4, 7, 2, 6, 9, 6, 5, 2, 6, 10, 6, 4, 8, 2];
    assert_eq!(example.tokens, want);
    assert_eq!((&example.targets[..], example.prompt_tokens), (&[8..11, 19..22][..], 8));
    let question = Question { prompt: want[..19].to_vec(), answer: "a c".to_owned() };
    assert_eq!(example.question, Some(question));

    let line = json!({ "prompt": "a", "answer": "a b" }).to_string();
    let set = fixture.read(&line, "auto", 99, TooLong::Skip).unwrap();
    assert_eq!((&set.examples[0].tokens[..], &set.examples[0].targets[..]), (&want[..11], &[8..11][..]));
}

#[test]
fn a_turn_that_the_template_drops_later_is_an_error() {
    let fixture = Fixture::with_chat("{{ bos_token }}{{ messages | map(attribute='content') | last }}");
    let turns = [
        message("user", "a"),
        message("assistant", "a b"),
        message("user", " c"),
        message("assistant", "ab"),
    ];
    let read = fixture.read(&json!({ "messages": turns }).to_string(), "auto", 99, TooLong::Skip);
    assert_says(read, &["line 1", "turn 2", "rewrite"]);
}

#[test]
fn long_examples_are_counted_and_cut_only_when_asked() {
    let fixture = Fixture::new();
    // 7 tokens with 4 of them the prompt, 5 tokens, and 9 tokens with 8 of them the prompt.
    let lines = r#"{"prompt": "a b", "answer": "a c"}
        {"text": "a b c"}
        {"prompt": "a b b b b b", "answer": "a"}"#;
    let skipped = fixture.read(lines, "auto", 5, TooLong::Skip).unwrap();
    assert_eq!((skipped.examples.len(), skipped.skipped_too_long, skipped.truncated), (1, 2, 0));
    let cut = fixture.read(lines, "auto", 5, TooLong::Truncate).unwrap();
    assert_eq!((cut.examples.len(), cut.skipped_too_long, cut.truncated), (2, 1, 1));
    assert_eq!(
        (&cut.examples[0].tokens[..], &cut.examples[0].targets[..]),
        (&[1, 4, 7, 6, 4][..], &[4..5][..])
    );
    assert_says(
        fixture.read(lines, "auto", 4, TooLong::Skip),
        &["data.jsonl", "3 examples", "4 tokens", "--seq"],
    );
}

#[test]
fn a_bad_line_is_named_with_its_number() {
    let fixture = Fixture::new();
    let good = r#"{"prompt": "a", "answer": "a"}"#;
    for (line, words) in [
        ("not json", &["invalid JSON"][..]),
        ("[1, 2]", &["invalid JSON", "a JSON object"]),
        (r#"{"prompt": "a"}"#, &["no key \"answer\""]),
        (r#"{"answer": "a"}"#, &["no key \"prompt\""]),
        (r#"{"prompt": "a", "answer": " "}"#, &["an empty \"answer\""]),
        (r#"{"prompt": "a", "answer": 7}"#, &["\"answer\": 7", "a text"]),
        (r#"{"question": "a", "reply": "a"}"#, &["question, reply", "\"messages\""]),
        (r#"{"text": "a", "prompt": "a", "answer": "a"}"#, &["text, prompt, answer", "either"]),
        (r#"{"messages": [{"role": "user"}]}"#, &["messages", "missing field `content`"]),
        (
            r#"{"messages": "a"}"#,
            &[r#"found "messages": invalid type: string "a", expected a list of {"role""#],
        ),
        (r#"{"messages": [{"role": "user", "content": "a"}]}"#, &["no turn of the assistant"]),
        (r#"{"messages": [{"role": "assistant", "content": "a"}]}"#, &["chat template", "none"]),
    ] {
        let lines = format!("{good}\n\n{line}\n{good}\n{line}\n");
        let read = fixture.read(&lines, "auto", 99, TooLong::Skip);
        assert_says(read, &[&["data.jsonl", "line 3:"], words].concat());
    }
    assert_says(fixture.read("\n \n", "auto", 99, TooLong::Skip), &["data.jsonl", "no examples"]);
    let absent =
        Dataset::read(&fixture.dir.path().join("no.jsonl"), &fixture.text, &Template::Auto, 9, TooLong::Skip);
    assert_says(absent, &["no.jsonl", "cannot read"]);
}

#[test]
fn the_order_depends_on_seed_and_epoch_alone() {
    let order = epoch_order(42, 0, 100).unwrap();
    assert_eq!(order, epoch_order(42, 0, 100).unwrap());
    assert_ne!(order, epoch_order(42, 1, 100).unwrap());
    assert_ne!(order, epoch_order(43, 0, 100).unwrap());
    let mut sorted = order;
    sorted.sort_unstable();
    assert!(sorted.into_iter().eq(0..100));
}

#[test]
fn a_real_data_set_is_read_quickly() {
    let (Some(model), Some(data)) = (shared("models/stories260k"), shared("data/viggo_train.jsonl")) else {
        return;
    };
    let text = Text::open(&model).unwrap();
    let start = Instant::now();
    let set = Dataset::read(&data, &text, &Template::Auto, 512, TooLong::Skip).unwrap();
    eprintln!("{} examples in {:?}", set.examples.len(), start.elapsed());
    assert_eq!((set.examples.len() + set.skipped_too_long, set.truncated), (5103, 0));
    for example in &set.examples {
        let question = example.question.as_ref().unwrap();
        let answer = text.decode(&example.tokens[example.prompt_tokens..]).unwrap();
        assert_eq!(answer.trim(), question.answer.trim());
        assert_eq!((example.tokens[0], example.tokens.last()), (1, Some(&2)));
        assert_eq!(example.targets, [example.prompt_tokens..example.tokens.len()]);
    }
}
