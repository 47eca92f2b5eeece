//! What is said about bad input: one sentence with the place and both values, an exit code, no panic.

use super::{Workspace, train};
use crate::support::{cpu, tiny};
use rosa_kernels::architecture::Architecture;
use serde_json::Value;
use std::fs;

const WEIGHTS: &str = "model/model.safetensors";
const DOWN: &str = "model.layers.0.mlp.down_proj";

/// Puts `number` in the place of the second one of a tensor of f32.
fn spoil(w: &Workspace, file: &str, tensor: &str, number: f32) {
    let size = |of: u64| usize::try_from(of).expect("a size");
    let mut bytes = w.read(file);
    let tensors = 8 + size(u64::from_le_bytes(*bytes.first_chunk().expect("a length")));
    let header: Value = serde_json::from_slice(&bytes[8..tensors]).expect("JSON");
    let start = tensors + size(header[tensor]["data_offsets"][0].as_u64().expect("a tensor"));
    bytes[start + 4..start + 8].copy_from_slice(&number.to_le_bytes());
    fs::write(w.path(file), bytes).expect("written");
}

#[test]
fn weights_that_are_not_finite() {
    let w = Workspace::new();
    spoil(&w, WEIGHTS, "model.norm.weight", f32::NAN);
    let words = &["model/model.safetensors: model.norm.weight: found NaN at element 1, expected finite"];
    w.fails(1, &["eval", "--model", "model", "--data", "valid.jsonl"], words);
    w.fails(1, &["generate", "--model", "model", "--prompt", "a"], words);
    w.fails(1, &train(""), words);

    spoil(&w, WEIGHTS, "model.norm.weight", f32::MAX);
    let words = ["--model is model, whose loss is", "not too large"];
    w.fails(2, &["eval", "--model", "model", "--data", "valid.jsonl"], &words);
    w.fails(1, &train("--out other"), &["step 1: the loss is", "before anything was updated", "too large"]);
}

#[test]
fn weights_that_are_missing_cut_or_of_another_type() {
    let w = Workspace::new();
    let whole = w.read(WEIGHTS);
    let write = |bytes: &[u8]| fs::write(w.path(WEIGHTS), bytes).expect("written");

    fs::remove_file(w.path(WEIGHTS)).expect("removed");
    w.train_fails(1, "", &["model", "neither model.safetensors nor", "expected one of them"]);
    write(&whole[..whole.len() / 2]);
    w.train_fails(
        1,
        "",
        &[WEIGHTS, &format!("{} bytes", whole.len() / 2), &format!("of {} bytes", whole.len())],
    );
    write(b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 538090408\n");
    w.train_fails(1, "", &[WEIGHTS, "found a pointer of Git LFS", "git lfs pull"]);
    fs::remove_file(w.path(WEIGHTS)).expect("removed");
    fs::create_dir(w.path(WEIGHTS)).expect("made");
    w.train_fails(1, "", &[WEIGHTS, "cannot read", "directory"]);
    fs::remove_dir(w.path(WEIGHTS)).expect("removed");
    write(&whole[..5]);
    w.train_fails(1, "", &[WEIGHTS, "5 bytes"]);

    let mut integers = whole.clone();
    let dtype = b"\"dtype\":\"F32\"";
    let at = whole.windows(dtype.len()).position(|bytes| bytes == dtype).expect("a tensor");
    integers[at..at + dtype.len()].copy_from_slice(b"\"dtype\":\"I32\"");
    write(&integers);
    w.train_fails(1, "", &[WEIGHTS, "lm_head.weight", "found I32", "expected f32, f16 or bf16"]);
}

#[test]
fn a_model_whose_files_disagree() {
    let w = Workspace::new();
    let config = String::from_utf8(w.read("model/config.json")).expect("text");
    let with = |from: &str, to: &str| {
        w.write("model/config.json", &config);
        w.patch("model/config.json", from, to);
    };
    with("\"intermediate_size\": 24", "\"intermediate_size\": 20");
    let gate = "model.layers.0.mlp.gate_proj.weight";
    w.train_fails(1, "", &[WEIGHTS, gate, "found shape [24, 16]", "expected shape [20, 16]"]);
    with("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3");
    w.train_fails(1, "", &[WEIGHTS, "model.layers.2.", "no such tensor"]);
    with("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 4000000000");
    w.train_fails(1, "", &[WEIGHTS, "model.layers.2.", "no such tensor"]);
    with("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1");
    let layers = &[WEIGHTS, "model.layers.1.", "the 1 layers that num_hidden_layers", "config.json"];
    w.train_fails(1, "", layers);
    w.fails(1, &["eval", "--model", "model", "--data", "valid.jsonl"], layers);
    with("\"num_attention_heads\": ", "\"num_attention_heads\": 4294967296, \"was\": ");
    w.train_fails(1, "", &["model/config.json", "num_attention_heads", "4294967296", "at most 4294967295"]);
    with("\"hidden_size\": 16,", "");
    w.train_fails(1, "", &["model/config.json", "hidden_size", "found nothing", "expected a value"]);
    with("\"hidden_size\": 16", "\"hidden_size\": \"wide\"");
    w.train_fails(1, "", &["model/config.json", "hidden_size", "wide"]);
    with("\"model_type\": \"qwen2\"", "\"model_type\": \"gpt2\"");
    w.train_fails(1, "", &["model/config.json", "model_type", "gpt2", "llama"]);
    with("\"vocab_size\": 50", "\"vocab_size\": 40");
    w.train_fails(1, "", &["tokenizer.json", "token \" t\"", "found id 44", "vocab_size of 40"]);
    w.write("model/config.json", "{ \"model_type\": ");
    w.train_fails(1, "", &["model/config.json", "line 1", "invalid JSON"]);
    w.write("model/config.json", &config);
    fs::remove_file(w.path("model/tokenizer.json")).expect("removed");
    w.train_fails(1, "", &["model/tokenizer.json", "cannot read", "No such file"]);
    w.train_fails(1, "--model nowhere", &["nowhere/tokenizer.json", "No such file"]);
}

#[test]
fn data_that_cannot_be_learnt_from() {
    let w = Workspace::new();
    let good = "{\"prompt\": \"a\", \"answer\": \"b\"}\n";
    for (line, words) in [
        ("{\"prompt\": \"a\",", &["invalid JSON", "expected a JSON object"][..]),
        ("[1, 2]", &["invalid JSON", "expected a JSON object"]),
        ("{\"prompt\": \"a\"}", &["no key \"answer\"", "both \"prompt\" and \"answer\""]),
        ("{\"question\": \"a\"}", &["the keys [question]", "expected either \"prompt\" and \"answer\""]),
        ("{\"prompt\": \"a\", \"answer\": 3}", &["\"answer\": 3", "expected a text"]),
        ("{\"prompt\": \"a\", \"answer\": \"\"}", &["an empty \"answer\""]),
        ("{\"messages\": []}", &["no turn of the assistant"]),
    ] {
        w.write("bad.jsonl", &format!("{good}\n{line}\n{good}"));
        w.train_fails(1, "--data bad.jsonl", &[&["bad.jsonl: line 3: "], words].concat());
        w.train_fails(1, "--valid bad.jsonl", &["bad.jsonl: line 3: "]);
    }
    w.write("marked.jsonl", &format!("\u{feff}{good}{good}{good}{good}{good}{good}"));
    w.run(&train("--data marked.jsonl --out marked"));
    let generate = ["generate", "--model", "model", "--max-new", "18446744073709551615", "--prompt"];
    w.run(&[&generate[..], &["a"]].concat());
    let words = ["--prompt is 102 tokens, expected from 1 to 64 for this model"];
    w.fails(2, &[&generate[..], &[&"a ".repeat(100)]].concat(), &words);
    w.write("empty.jsonl", "\n\n");
    w.train_fails(1, "--data empty.jsonl", &["empty.jsonl", "no examples", "at least one line"]);
    w.train_fails(1, "--data none.jsonl", &["none.jsonl", "cannot read", "No such file"]);
    let too_long =
        &["train.jsonl", "20 examples, all longer than 3 tokens", "at least one that fits (--seq)"];
    w.train_fails(1, "--seq 3", too_long);
    let eval = |flags: &[&'static str]| [&["eval", "--model", "model"], flags].concat();
    w.fails(1, &eval(&["--data", "empty.jsonl"]), &["empty.jsonl", "no examples"]);
    let beyond = &["--seq is 65, expected at most 64"];
    w.fails(2, &eval(&["--data", "valid.jsonl", "--seq", "65"]), beyond);
    let beyond = &["--max-new is 65, expected at most 64"];
    w.fails(2, &eval(&["--data", "valid.jsonl", "--exact-match", "--max-new", "65"]), beyond);
    w.run(&eval(&["--data", "valid.jsonl", "--batch", "2305843009213693952"]));
}

#[test]
fn settings_out_of_range() {
    let w = Workspace::new();
    let smaller = &["--rank is 9, expected at most 8, the smaller side of model.layers.0.self_attn.k_proj"];
    w.train_fails(2, "--rank 9", smaller);
    w.train_fails(2, "--density 1.5", &["--density is 1.5, expected a number from 0 to 1"]);
    w.train_fails(2, "--density=-0.1", &["--density is -0.1"]);
    w.train_fails(2, "--density nan", &["--density is NaN"]);
    w.train_fails(2, "--density-pattern q_proj=2", &["--density-pattern is 2"]);
    w.train_fails(
        2,
        "--rank 0 --density 0",
        &["--rank and --density is 0, expected at least one of them above 0"],
    );
    w.train_fails(2, "--dropout 1", &["--dropout is 1"]);
    w.train_fails(2, "--lr inf", &["--lr is inf"]);
    w.train_fails(2, "--batch 0", &["--batch is 0, expected 1 or more"]);
    w.train_fails(2, "--steps 0", &["--steps is 0, expected 1 or more"]);
    w.train_fails(2, "--alpha nan", &["--alpha is NaN"]);
    w.train_fails(2, "--alpha-pattern q_proj=inf", &["--alpha-pattern is inf"]);
    w.train_fails(2, "--weight-decay nan", &["--weight-decay is NaN"]);
    w.train_fails(2, "--eps 0", &["--eps is 0"]);
    w.train_fails(2, "--threads 100000", &["--threads is 100000, expected at most"]);
    w.train_fails(2, "--seq 65", &["--seq is 65, expected at most 64"]);
    w.train_fails(2, "--target-modules w_proj", &["--target-modules is w_proj"]);
    w.train_fails(2, "--target-modules q_proj,w_proj", &["--target-modules is w_proj"]);
    w.train_fails(2, "--rank-pattern qq_proj=2", &["--rank-pattern is qq_proj"]);
    w.train_fails(2, "--density-pattern qq_proj=0.1", &["--density-pattern is qq_proj"]);
    w.train_fails(2, "--template {answer}", &["template is \"{answer}\"", "{prompt}"]);
    w.train_fails(2, "--template chat", &["template is chat", "no chat template"]);
    let late =
        &["--schedule is wl6, whose sparse adapter starts at step 8", "within the 6 steps of this run"];
    w.train_fails(2, "--schedule wl6", late);
    w.train_fails(2, "--schedule wl5", &["starts at step 7", "within the 6 steps", "more --steps"]);
    w.train_fails(2, "--schedule wl1 --collect 18446744073709551615", &["--schedule is wl1", "within the 6"]);
    w.train_fails(2, "--schedule wl6 --stop-after-mask", &["--schedule is wl6", "within the 6 steps"]);
    w.run(&train("--schedule wl5 --stop-after-mask"));
}

#[test]
fn flags_and_keys_that_do_not_exist() {
    let w = Workspace::new();
    w.write("run.toml", "rank = 2\nrang = 3\n");
    w.train_fails(1, "--config run.toml", &["run.toml: rang: found an unknown key", "the name of a flag"]);
    w.write("run.toml", "rslora = 3\n");
    w.train_fails(1, "--config run.toml", &["run.toml: rslora: found 3, expected true or false"]);
    w.write("run.toml", "rank = 2\ndensity 3\n");
    w.train_fails(1, "--config run.toml", &["run.toml: line 2"]);
    w.train_fails(1, "--config none.toml", &["none.toml", "cannot read"]);
    // clap's own words, which take a few lines.
    w.write("run.toml", "seed = \"many\"\n");
    for (flags, words) in [
        ("--config run.toml", "--seed is given in run.toml."),
        ("--seed many", "--seed <N>"),
        ("--config run.toml --seed more", "invalid value 'more' for '--seed <N>'"),
        ("--seed -1", "invalid value '-1' for '--seed <N>'"),
        ("--schedule wlx", "--schedule"),
        ("--frobnicate", "--frobnicate"),
        ("--steps 3 --epochs 2", "cannot be used with"),
    ] {
        let output = w.command(&train(flags)).output().expect("the binary");
        let text = super::stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{flags}: {text}");
        assert!(text.starts_with("error: ") && !text.contains("panicked"), "{flags}: {text}");
        assert!(text.contains(words), "{flags}: {text}");
        assert_eq!(text.contains("is given in"), flags == "--config run.toml", "{flags}: {text}");
    }
}

#[test]
fn results_are_not_overwritten() {
    let w = Workspace::new();
    w.run(&train(""));
    let adapter = w.read("out/adapter_model.safetensors");
    w.fails(2, &train(""), &["--out is out, which exists", "expected a new directory", "no checkpoint"]);
    w.fails(2, &train("--out train.jsonl"), &["--out is train.jsonl, which exists"]);
    w.fails(2, &train("--resume"), &["--resume is out, which has no checkpoint"]);
    w.fails(2, &train("--resume --out new"), &["--resume is new, which has no checkpoint"]);
    let merge = ["merge", "--model", "model", "--adapter", "out", "--out"];
    w.fails(2, &[&merge[..], &["model"]].concat(), &["--out is model, which exists"]);
    w.fails(2, &[&merge[..], &["train.jsonl"]].concat(), &["--out is train.jsonl, which exists"]);
    assert_eq!(w.read("out/adapter_model.safetensors"), adapter);
}

#[test]
fn an_adapter_or_mask_for_another_model() {
    let w = Workspace::new();
    w.run(&train(""));
    let wide = Architecture { intermediate_size: 20, ..tiny::architecture() };
    tiny::write_model(&cpu(), wide, &w.path("wide"));
    let shallow = Architecture { layers: 1, ..tiny::architecture() };
    tiny::write_model(&cpu(), shallow, &w.path("shallow"));
    let shapes = &["out/adapter_model.safetensors", "mlp.down_proj", "shape [2, 24]", "shape [2, 20]"];
    let layers = &["out/adapter_model.safetensors", "model.layers.1.", "no such module in the model"];
    for (model, words) in [("wide", &shapes[..]), ("shallow", layers)] {
        w.fails(1, &["eval", "--model", model, "--adapter", "out", "--data", "valid.jsonl"], words);
        w.fails(1, &["generate", "--model", model, "--adapter", "out", "--prompt", "a"], words);
        w.fails(1, &["merge", "--model", model, "--adapter", "out", "--out", "merged"], words);
        assert!(!w.path("merged").exists());
    }
    let whole = w.read("out/adapter_model.safetensors");
    let merge = ["merge", "--model", "model", "--adapter", "out", "--out", "merged"];
    for (tensor, named) in [("rosa_A.weight", "A"), ("rosa_spa.values", "values")] {
        spoil(&w, "out/adapter_model.safetensors", &format!("base_model.model.{DOWN}.{tensor}"), f32::NAN);
        let place = format!("out/adapter_model.safetensors: {DOWN}.{named}: found NaN at element 1");
        w.fails(1, &merge, &[&place]);
        fs::write(w.path("out/adapter_model.safetensors"), &whole).expect("written");
    }
    // Said at once, not when S is due.
    let mask = "--mask out/mask.safetensors --out new";
    w.fails(
        2,
        &train(&format!("{mask} --model wide")),
        &["--mask is a mask of shape [24, 16] for", "mlp.gate_proj, expected [20, 16]"],
    );
    w.fails(
        2,
        &train(&format!("{mask} --model shallow")),
        &["--mask", "model.layers.1.", "target modules only"],
    );
    w.fails(2, &train(&format!("{mask} --target-modules q_proj")), &["--mask", "target modules only"]);
    w.fails(1, &train("--mask valid.jsonl --out new"), &["valid.jsonl", "safetensors"]);
    assert!(!w.path("new/metrics.jsonl").exists());
}
