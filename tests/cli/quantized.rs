//! A 4-bit base from the command line: training on it, quantizing, merging out of it and back.

use super::{Workspace, assert_fails, stderr, train};
use crate::support::{cpu, tiny};
use rosa_kernels::{
    architecture::Architecture,
    checkpoint::{BaseWeights, HeldAs},
};
use serde_json::{Value, json};

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// The line of tensor `name` in a merge's report.
fn tensor<'a>(report: &'a Value, name: &str) -> &'a Value {
    let tensors = report["tensors"].as_array().expect("tensors");
    tensors.iter().find(|tensor| tensor["name"] == name).unwrap_or_else(|| panic!("no {name} in {report}"))
}

/// Merges `adapter` into `model` with these flags and measures the loss on `valid.jsonl`.
fn merge(w: &Workspace, model: &str, adapter: &str, out: &str, flags: &str) -> Value {
    let own = format!("merge --model {model} --adapter {adapter} --out {out} --data valid.jsonl --seq 64");
    let flags: Vec<&str> = own.split(' ').chain(flags.split_whitespace()).collect();
    let report = w.json(&flags);
    let text = w.json(&["eval", "--model", out, "--data", "valid.jsonl", "--seq", "64"]);
    let (merged, read) = (number(&report["loss_merged"]), number(&text["loss"]));
    assert!((merged - read).abs() < 1e-6 * read, "{flags:?}: {merged} and {read}");
    report
}

#[test]
fn an_adapter_on_a_4_bit_base_is_trained_evaluated_and_resumed() {
    let w = Workspace::new();
    let flags = "--base nf4 --double-quant --block 32 --valid valid.jsonl";
    let summary = w.json(&train(&format!("{flags} --steps 20")));
    assert!(number(&summary["valid_after"]["loss"]) < number(&summary["valid_before"]["loss"]));
    let config: Value = serde_json::from_slice(&w.read("out/adapter_config.json")).expect("JSON");
    assert_eq!(config["base_held_as"], json!({ "type": "nf4", "block": 32, "double_quant": true }));

    // The adapter brings its base; another one can be had.
    let loss = |flags: &str| {
        let own = "eval --model model --data valid.jsonl --seq 64 --adapter out ";
        w.json(&(own.to_owned() + flags).split_whitespace().collect::<Vec<_>>())["loss"].clone()
    };
    let own = number(&loss(""));
    assert!((own - number(&summary["valid_after"]["loss"])).abs() < 1e-6 * own);
    assert_eq!(loss(""), loss("--base nf4 --double-quant --block 32"));
    assert_ne!(loss(""), loss("--base nf4 --block 128"));
    assert_ne!(loss(""), loss("--base f32"));
    let generate = ["generate", "--model", "model", "--prompt", "a b c\n", "--max-new", "4", "--base", "nf4"];
    assert!(w.run(&generate).starts_with("a b c\n"));
}

#[test]
fn a_quantized_checkpoint_is_the_base_that_quantizing_on_the_way_in_makes() {
    let w = Workspace::new();
    let summary = w.json(&["quantize", "--model", "model", "--out", "quantized", "--double-quant"]);
    let all = &summary["report"]["all"];
    // Of weights that are normally distributed, 4 bits keep all but a tenth.
    assert!((0.05..0.15).contains(&number(&all["relative_error"])), "{summary}");
    assert!(all["relative_to_delta"].is_null());
    assert_eq!(number(&tensor(&summary["report"], "lm_head")["error"]), 0.0);
    let bytes = |dir: &str| BaseWeights::open(&w.path(dir)).expect("weights").total_bytes();
    assert_eq!(summary["report"]["bytes_before"], bytes("model"));
    assert_eq!(summary["report"]["bytes_after"], bytes("quantized"));

    w.run(&train("--base nf4 --double-quant --out left"));
    w.run(&train("--model quantized --out right"));
    let adapter = |out: &str| w.read(&format!("{out}/adapter_model.safetensors"));
    assert!(adapter("left") == adapter("right"));
    let text = w.run(&["quantize", "--model", "model", "--out", "single"]);
    assert!(text.contains("model.layers.1.mlp.up_proj") && text.contains("in blocks of 64"), "{text}");
}

#[test]
fn merging_out_of_4_bits_says_what_it_loses() {
    let w = Workspace::new();
    w.run(&train("--base nf4 --steps 20"));
    let q = "model.layers.0.self_attn.q_proj";
    let all = |report: &Value, key: &str| number(&report["report"]["all"][key]);
    let loss = |report: &Value| number(&report["loss_merged"]) - number(&report["loss_unmerged"]);

    // In f32, onto what training saw: one rounding. A product with 4-bit weights may round what it multiplies to bf16.
    let exact = merge(&w, "model", "out", "exact", "--into f32");
    assert!(all(&exact, "relative_error") < 1e-7 && loss(&exact).abs() < 1e-2, "{exact}");
    // In bf16: at most half an ulp, 2⁻⁸ of each weight.
    let narrow = merge(&w, "model", "out", "narrow", "--into bf16");
    let relative = all(&narrow, "relative_error");
    assert!(all(&exact, "relative_error") < relative && relative < 1.0 / 256.0, "{narrow}");
    assert!(number(&tensor(&narrow["report"], q)["relative_to_delta"]) > relative, "{narrow}");
    // Onto the original, the error is that of quantization.
    let original = merge(&w, "model", "out", "original", "--into f32 --onto original");
    let quantize = w.json(&["quantize", "--model", "model", "--out", "quantized"]);
    let [left, right] = [&original, &quantize].map(|report| number(&tensor(&report["report"], q)["error"]));
    assert!((left - right).abs() < 1e-5 * right, "{left} and {right}");
    // In 4 bits again.
    let again = merge(&w, "model", "out", "again", "--into nf4");
    assert!((0.01..0.2).contains(&all(&again, "relative_error")), "{again}");
    let (model, config) = (w.path("again"), w.read("again/config.json"));
    let config: Value = serde_json::from_slice(&config).expect("JSON");
    assert_eq!(config["quantization_config"]["bnb_4bit_quant_type"], "nf4");
    let quantization = BaseWeights::open(&model).expect("weights").quantized().expect("a quantized one");
    assert_eq!(HeldAs::Nf4(quantization).to_string(), "nf4, single quantization in blocks of 64");
    // And out of a checkpoint that is quantized: kept so, or dequantized.
    w.run(&train("--model quantized --steps 20 --out other"));
    let [left, right] = ["again", "kept"].map(|out| format!("{out}/model.safetensors"));
    merge(&w, "quantized", "other", "kept", "");
    assert!(w.read(&left) == w.read(&right));
    let wide = merge(&w, "quantized", "other", "wide", "--into f32");
    assert!(all(&wide, "relative_error") < 1e-7, "{wide}");
    let config: Value = serde_json::from_slice(&w.read("wide/config.json")).expect("JSON");
    assert!(config.get("quantization_config").is_none(), "{config}");

    let text = w.run(&["merge", "--model", "model", "--adapter", "out", "--out", "shown", "--into", "bf16"]);
    assert!(text.contains(q) && text.contains("of ‖ΔW‖") && text.contains("Merged 14 modules"), "{text}");
}

#[test]
fn a_merge_into_bf16_shows_that_small_entries_of_s_are_lost() {
    let w = Workspace::new();
    w.run(&train("--method spa --lr 1e-5 --steps 4"));
    let share = |into: &str| {
        let report = merge(&w, "model", "out", into, &format!("--into {into}"));
        number(&report["report"]["all"]["relative_to_delta"])
    };
    // Entries near 1e-5 beside weights near 0.25, whose ulp is 2⁻¹⁰ in bf16 and 2⁻²⁶ in f32.
    assert!(share("bf16") > 1.0);
    assert!(share("f32") < 1e-2);
}

#[test]
fn what_does_not_fit_a_4_bit_base_is_refused() {
    let w = Workspace::new();
    w.train_fails(2, "--base nf4 --method full", &["--base is nf4", "expected f32: full fine-tuning"]);
    w.train_fails(2, "--double-quant", &["--double-quant is given", "--base nf4"]);
    w.train_fails(2, "--block 64", &["--block is given", "--base nf4"]);
    w.train_fails(2, "--base nf4 --block 48", &["--block is 48, expected a power of two from 32 to 4096"]);
    let large = ["model.layers.0.self_attn.q_proj.weight", "16×16 = 256 weights", "the block of 512"];
    w.train_fails(1, "--base nf4 --block 512", &large);

    let quantize = |flags: &str| ["quantize --model model --out quantized", flags].join(" ");
    let words = |flags: &str| flags.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let run = |command: &str| {
        let words = words(command);
        w.command(&words.iter().map(String::as_str).collect::<Vec<_>>()).output().expect("the binary")
    };
    assert_fails(&run(&quantize("--block 31")), 2, &["--block is 31"]);
    assert!(run(&quantize("")).status.success());
    assert_fails(&run(&quantize("")), 2, &["--out is quantized, which exists"]);
    let twice = run("quantize --model quantized --out twice");
    assert_fails(&twice, 2, &["--model is quantized, which has single quantization in blocks of 64 already"]);
    w.train_fails(2, "--model quantized --method full", &["--base is nf4", "expected f32"]);
    w.train_fails(
        2,
        "--model quantized --block 32",
        &["--block is 32, expected 64, the block of the quantized"],
    );
    w.train_fails(2, "--model quantized --double-quant", &["--double-quant is given", "magnitudes in f32"]);

    w.run(&train("--base nf4"));
    let merge = |flags: &str| run(&format!("merge --adapter out --out merged {flags}"));
    assert_fails(&merge("--model quantized --onto original"), 2, &["--onto is original, but quantized is"]);
    let other = ["--base is nf4, single quantization in blocks of 128", "blocks of 64, which the adapter"];
    assert_fails(&merge("--model model --block 128"), 2, &other);
    assert_fails(&merge("--model model --base f32"), 2, &["--base is f32, expected nf4"]);
    assert!(!w.path("merged").exists());
}

#[test]
fn all_weights_of_a_quantized_checkpoint_can_be_trained_once_dequantized() {
    let w = Workspace::new();
    w.run(&["quantize", "--model", "model", "--out", "quantized"]);
    w.run(&train("--model quantized --base f32 --method full"));
    let config: Value = serde_json::from_slice(&w.read("out/config.json")).expect("JSON");
    assert!(config.get("quantization_config").is_none(), "{config}");
    assert!(BaseWeights::open(&w.path("out")).expect("weights").quantized().is_none());
    w.run(&["eval", "--model", "out", "--data", "valid.jsonl", "--seq", "64"]);
}

/// Wide enough that the program itself and what training adds are small beside the weights.
#[test]
fn the_plan_counts_4_127_bits_a_weight_and_the_peak_confirms_it() {
    let w = Workspace::new();
    let wide =
        Architecture { hidden_size: 512, intermediate_size: 1024, head_dim: 128, ..tiny::architecture() };
    let weights: usize = wide.linears().iter().map(|spec| spec.out_features * spec.in_features).sum();
    tiny::write_model(&cpu(), wide, &w.path("wide"));
    let run = |base: &str, out: &str| {
        let own = "--model wide --method lora --rank 1 --batch 1 --steps 1 --json --no-probe";
        let flags = format!("{own} --base {base} --out {out}");
        let output = w.command(&train(&flags)).output().expect("the binary");
        assert!(output.status.success(), "{}", stderr(&output));
        let summary: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        (number(&summary["memory_plan"]), number(&summary["peak_memory"]), stderr(&output))
    };
    // What a system at work adds to a peak, it adds at times: the least of three runs is the run's own.
    let least = |base: &str, out: &str| {
        let runs = ["1", "2", "3"].map(|number| run(base, &format!("{out}{number}")));
        runs.into_iter().min_by(|a, b| a.1.total_cmp(&b.1)).expect("three runs")
    };
    let (f32_plan, f32_peak, _) = least("f32", "left");
    let (nf4_plan, nf4_peak, text) = least("nf4 --double-quant", "right");
    assert!(text.contains("with 4.127 bits"), "{text}");
    // 32 bits a weight of the projections are 4.127, of the embedding and the head 16.
    let saved = weights as f64 * (4.0 - 4.127 / 8.0) + 2.0 * 2.0 * 50.0 * 512.0;
    assert!((f32_plan - nf4_plan - saved).abs() < 1e-4 * saved, "{f32_plan} - {nf4_plan}, not {saved}");
    let confirmed = (f32_peak - nf4_peak) / saved;
    assert!((0.75..1.25).contains(&confirmed), "{f32_peak} - {nf4_peak} is {confirmed} of {saved}");
}
