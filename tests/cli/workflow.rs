//! From training to the merged model, and the ways to say what is wanted.

use super::{Workspace, stderr, train};
use serde_json::{Value, json};
use std::{fs, process::Stdio, thread};

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[track_caller]
fn assert_close(left: &Value, right: &Value) {
    assert!((number(left) - number(right)).abs() <= 1e-5 * number(left).abs(), "{left} and {right}");
}

#[test]
fn an_adapter_is_trained_inspected_evaluated_and_merged() {
    let w = Workspace::new();
    let summary = w.json(&train("--valid valid.jsonl --eval-every 2 --steps 20 --out new/out"));
    assert_eq!((&summary["outcome"], &summary["steps"]), (&json!("finished"), &json!(20)));
    assert!(number(&summary["valid_after"]["loss"]) < number(&summary["valid_before"]["loss"]));
    let metrics = String::from_utf8(w.read("new/out/metrics.jsonl")).expect("text");
    let metrics: Vec<Value> = metrics.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(metrics.iter().map(|line| number(&line["step"])).eq((1..=20).map(f64::from)));
    assert_eq!(
        [&metrics[0]["phase"], &metrics[2]["phase"], &metrics[3]["phase"]],
        ["warm-up", "collect", "joint"]
    );
    for key in ["loss", "lr", "lora_lr", "grad_norm", "tokens_per_second"] {
        assert!(number(&metrics[19][key]) > 0.0, "{key}");
    }
    assert!(!w.path("new/out/checkpoint.safetensors").exists());

    let modules = w.json(&["inspect", "--adapter", "new/out"]);
    assert_eq!(modules.as_array().map(Vec::len), Some(14));
    for module in modules.as_array().into_iter().flatten() {
        assert_eq!(module["rank"], 2);
        let size = number(&module["out_features"]) * number(&module["in_features"]);
        assert_eq!(number(&module["nnz"]), (0.1 * size).floor());
        assert!(number(&module["low_rank_norm"]) > 0.0 && number(&module["sparse_norm"]) > 0.0);
    }
    assert!(w.run(&["inspect", "--adapter", "new/out"]).contains("model.layers.1.mlp.down_proj"));

    w.run(&["merge", "--model", "model", "--adapter", "new/out", "--out", "merged"]);
    let eval =
        |model: &[&str]| w.json(&[&["eval", "--data", "valid.jsonl", "--exact-match"], model].concat());
    let base = eval(&["--model", "model"]);
    let adapted = eval(&["--model", "model", "--adapter", "new/out"]);
    let merged = eval(&["--model", "merged"]);
    assert_close(&base["loss"], &summary["valid_before"]["loss"]);
    assert_close(&adapted["loss"], &summary["valid_after"]["loss"]);
    assert_close(&adapted["loss"], &merged["loss"]);
    assert_eq!((&adapted["exact_match"], &adapted["examples"]), (&merged["exact_match"], &json!(5)));

    let generate = |model: &[&str]| {
        w.json(&[&["generate", "--prompt", "a b c\n", "--max-new", "6"], model].concat())["text"].clone()
    };
    let adapted = generate(&["--model", "model", "--adapter", "new/out"]);
    assert!(adapted.as_str().is_some_and(|text| text.starts_with("a b c\n")), "{adapted}");
    assert_eq!(adapted, generate(&["--model", "merged"]));
    let shown = w.run(&["generate", "--prompt", "a b c\n", "--max-new", "6", "--model", "merged"]);
    assert_eq!(shown, format!("{}\n", adapted.as_str().expect("text")));
}

#[test]
fn a_gguf_file_becomes_a_model() {
    let w = Workspace::new();
    fs::write(w.path("model.gguf"), crate::files::gguf::model_file(&w.path("model")).bytes())
        .expect("written");
    let convert = ["convert", "--gguf", "model.gguf", "--out"];
    let summary = w.json(&[&convert[..], &["exact"]].concat());
    let weights = &summary["weights"];
    assert_eq!(summary, json!({ "out": "exact", "dtype": "f32", "weights": weights, "rounded": 0 }));
    let weights = |model: &str| w.read(&format!("{model}/model.safetensors"));
    assert!(weights("exact") == weights("model"));
    let said = w.run(&[&convert[..], &["small", "--dtype", "bf16"]].concat());
    assert!(said.contains("as bf16 to small") && said.contains("were rounded"), "{said}");

    // What is stored in bf16 stays bf16, and the numbers are those of f32.
    let text = |flags: &[&str]| {
        let generate = ["generate", "--model", "small", "--prompt", "the ab", "--max-new", "5"];
        w.json(&[&generate[..], flags].concat())["text"].clone()
    };
    assert!(text(&[]).as_str().is_some_and(|text| text.starts_with("the ab")));
    assert_eq!(text(&[]), text(&["--base", "f32"]));

    w.fails(2, &[&convert[..], &["model"]].concat(), &["--out is model, which exists"]);
    w.fails(1, &["convert", "--gguf", "none.gguf", "--out", "new"], &["none.gguf", "cannot read"]);
    w.fails(1, &["convert", "--gguf", "train.jsonl", "--out", "new"], &["train.jsonl: magic", "GGUF"]);
    assert!(!w.path("new").exists());
}

#[test]
fn every_method_writes_what_it_is_for() {
    let w = Workspace::new();
    w.run(&train("--method lora --out lora"));
    let config: Value = serde_json::from_slice(&w.read("lora/adapter_config.json")).expect("JSON");
    assert_eq!(config["peft_type"], "LORA");
    let loss = |model: &[&str]| w.json(&[&["eval", "--data", "valid.jsonl"], model].concat())["loss"].clone();
    let base = loss(&["--model", "model"]);
    assert_ne!(loss(&["--model", "model", "--adapter", "lora"]), base);

    w.run(&train("--method spa --out spa"));
    let modules = w.json(&["inspect", "--adapter", "spa"]);
    assert!(modules.as_array().is_some_and(|all| all.iter().all(|m| m["rank"] == 0 && m["nnz"] != 0)));

    w.run(&train("--method full --out full"));
    assert_ne!(loss(&["--model", "full"]), base);

    w.run(&train("--stop-after-mask --out first"));
    assert!(!w.path("first/adapter_config.json").exists());
    w.run(&train("--schedule default --mask first/mask.safetensors --out second"));
    assert_eq!(w.read("first/mask.safetensors"), w.read("second/mask.safetensors"));

    // A mask counts, not the density that a run with one asks for.
    let given = "--schedule default --mask first/mask.safetensors --density 0.3 --out third";
    let parameters = w.json(&train(given))["budget"]["sparse"].clone();
    let modules = w.json(&["inspect", "--adapter", "third"]);
    let entries = |module: &Value| module["nnz"].as_u64().expect("a count");
    assert_eq!(parameters, modules.as_array().expect("modules").iter().map(entries).sum::<u64>());
    let shown = w.run(&["inspect", "--adapter", "third"]);
    assert!(shown.contains("rank 2, alpha 16, density 9.7"), "{shown}");

    // Six entries for fourteen weights: a mask without any is one too.
    w.run(&train("--mask-scope global --density 0.003 --stop-after-mask --out few"));
    w.run(&train("--schedule default --mask few/mask.safetensors --out fourth"));
    let modules = w.json(&["inspect", "--adapter", "fourth"]);
    let modules = modules.as_array().expect("modules");
    assert_eq!(modules.iter().map(entries).sum::<u64>(), 6);
    assert_eq!(modules.len(), 14);
}

#[test]
fn a_file_of_settings_is_the_same_as_flags() {
    let w = Workspace::new();
    let flags =
        "--target-modules q_proj,up_proj --rank-pattern q_proj=3 --density-pattern up_proj=0.2 --rslora";
    w.run(&train(&format!("{flags} --seed 7 --out flags")));
    w.write(
        "run.toml",
        r#"
        model = "model"
        data = "train.jsonl"
        out = "elsewhere"
        rank = 2
        density = 0.1
        schedule = "wl2"
        lr = 1e-2
        lora-lr = 1e-2
        warmup-steps = 0
        batch = 6
        micro-batch = 2
        epochs = 3
        seq = 64
        threads = 2
        dropout = 0.1
        target-modules = ["q_proj", "up_proj"]
        rank-pattern = ["q_proj=3"]
        density-pattern = ["up_proj=0.2"]
        rslora = true
        seed = 8
        "#,
    );
    // The command line wins: its seed over the file's, its steps over the file's epochs.
    for (config, out) in [("--config run.toml", "apart"), ("--config=run.toml", "joined")] {
        let command = format!("train {config} --seed 7 --steps 6 --out {out}");
        w.run(&command.split(' ').collect::<Vec<_>>());
        for file in ["adapter_model.safetensors", "adapter_config.json"] {
            assert!(w.read(&format!("{out}/{file}")) == w.read(&format!("flags/{file}")), "{config}: {file}");
        }
    }
    assert!(!w.path("elsewhere").exists());
}

#[test]
fn the_plan_stands_before_the_first_step() {
    let w = Workspace::new();
    let output = w.command(&train("")).output().expect("the binary");
    let text = stderr(&output);
    for words in
        ["20 examples", "Trained parameters", "low rank (A and B)", "sparse (S)", "Memory plan", "moments"]
    {
        assert!(text.contains(words), "no {words:?} in {text}");
    }
    let said = String::from_utf8(output.stdout).expect("text");
    assert!(said.contains("Done in") && said.contains("rosa-mini eval"), "{said}");
}

#[test]
fn more_threads_than_the_machine_runs_are_told_so() {
    let w = Workspace::new();
    let most = thread::available_parallelism().expect("a number").get();
    for (threads, told) in [(most, false), (most + 1, true)] {
        let threads = threads.to_string();
        let args = ["eval", "--model", "model", "--data", "valid.jsonl", "--threads", &threads];
        let output = w.command(&args).output().expect("the binary");
        let text = stderr(&output);
        assert!(output.status.success() && text.contains(&format!("CPU, {threads} thread")), "{text}");
        assert_eq!(text.contains(&format!("this machine runs {most} at once")), told, "{text}");
    }
}

#[test]
fn a_reader_may_leave_early() {
    let w = Workspace::new();
    w.run(&train("--steps 4"));
    let commands =
        [&["inspect", "--adapter", "out"][..], &["eval", "--model", "model", "--data", "valid.jsonl"]];
    for args in commands {
        let mut command = w.command(args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("the end");
        assert!(output.status.success() && !stderr(&output).contains("panicked"), "{}", stderr(&output));
    }
}

#[test]
fn long_examples_are_counted_and_left_out_or_cut() {
    let w = Workspace::new();
    let lines = fs::read_to_string(w.path("train.jsonl")).expect("text");
    // BOS, n letters, a new line, n letters, EOS.
    let lengths: Vec<usize> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
        .map(|line| 3 + 2 * line["prompt"].as_str().expect("text").split(' ').count())
        .collect();
    let long = lengths.iter().filter(|&&length| length > 9).count();
    assert!(0 < long && long < 20);
    for (flags, note) in [("", "left out: longer than --seq 9"), ("--truncate", "cut to --seq 9")] {
        let flags = format!("--seq 9 --out out{flags} {flags}");
        let output = w.command(&train(&flags)).output().expect("the binary");
        let text = stderr(&output);
        assert!(output.status.success() && text.contains(&format!("{long} {note}")), "{long} {note}: {text}");
    }
    let result = w.json(&["eval", "--model", "model", "--data", "train.jsonl", "--seq", "9"]);
    assert_eq!((&result["examples"], &result["skipped_too_long"]), (&json!(20 - long), &json!(long)));
}
