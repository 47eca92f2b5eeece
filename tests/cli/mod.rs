//! The real binary, as a user runs it.

mod bad_input;
#[cfg(feature = "cuda")]
mod devices;
mod interruption;
mod quantized;
mod workflow;

use crate::support::{cpu, files::temp_dir, tiny};
use serde_json::Value;
use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};
use tempfile::TempDir;

/// A directory with a tiny model in `model`, `train.jsonl` and `valid.jsonl`, where commands run.
struct Workspace {
    dir: TempDir,
}

impl Workspace {
    fn new() -> Self {
        let dir = temp_dir();
        tiny::write_model(&cpu(), tiny::architecture(), &dir.path().join("model"));
        tiny::write_data(dir.path(), "train.jsonl", 20);
        tiny::write_data(dir.path(), "valid.jsonl", 5);
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("written");
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Replaces `from`, which must be there, in the bytes of a file by `to`.
    fn patch(&self, name: &str, from: &str, to: &str) {
        let text = String::from_utf8(self.read(name)).expect("text");
        assert!(text.contains(from), "no {from} in {name}: {text}");
        self.write(name, &text.replace(from, to));
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rosa-mini"));
        command.args(args).current_dir(self.dir.path());
        command
    }

    /// Runs a command that must succeed; its standard output.
    #[track_caller]
    fn run(&self, args: &[&str]) -> String {
        let output = self.command(args).output().expect("the binary");
        assert!(output.status.success(), "{args:?} failed: {}", stderr(&output));
        String::from_utf8(output.stdout).expect("text")
    }

    /// Runs a command with `--json` that must succeed.
    #[track_caller]
    fn json(&self, args: &[&str]) -> Value {
        let out = self.run(&[args, &["--json"]].concat());
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error} in {out}"))
    }

    /// Runs a command that must fail with this exit code and one sentence that holds all of `words`, last.
    #[track_caller]
    fn fails(&self, code: i32, args: &[&str], words: &[&str]) {
        let output = self.command(args).output().expect("the binary");
        assert_fails(&output, code, words);
    }

    /// Runs `train` with `flags`, which must fail before it makes anything.
    #[track_caller]
    fn train_fails(&self, code: i32, flags: &str, words: &[&str]) {
        self.fails(code, &train(flags), words);
        assert!(
            fs::read_dir(self.path("out")).is_ok_and(|mut files| files.next().is_none())
                || !self.path("out").exists()
        );
    }
}

#[track_caller]
fn assert_fails(output: &Output, code: i32, words: &[&str]) {
    let text = stderr(output);
    assert!(!text.contains("panicked"), "{text}");
    let sentence = text.lines().last().unwrap_or_default();
    assert!(sentence.starts_with("rosa-mini: "), "{text}");
    for word in words {
        assert!(sentence.contains(word), "no {word:?} in: {sentence}");
    }
    assert_eq!(output.status.code(), Some(code), "{text}");
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The arguments of a small training run, with `flags` in place of its own.
fn train(flags: &str) -> Vec<&str> {
    const OWN: [&str; 15] = [
        "--model model",
        "--data train.jsonl",
        "--out out",
        "--rank 2",
        "--density 0.1",
        "--schedule wl2",
        "--lr 1e-2",
        "--lora-lr 1e-2",
        "--warmup-steps 0",
        "--batch 6",
        "--micro-batch 2",
        "--steps 6",
        "--seq 64",
        "--threads 2",
        "--dropout 0.1",
    ];
    let given: Vec<&str> = flags.split_whitespace().collect();
    let name = |flag: &'static str| flag.split(' ').next().unwrap_or(flag);
    let own = OWN.iter().filter(|own| !given.iter().any(|given| given.split('=').next() == Some(name(own))));
    std::iter::once("train")
        .chain(own.flat_map(|flag| flag.split(' ')))
        .chain(given.iter().copied())
        .collect()
}
