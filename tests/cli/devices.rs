//! Machines without a driver, without a device, with too old ones: one clear sentence each, and the CPU goes on. vgpu
//! stands in for them; where there is a GPU, it cannot be made any of these.

use super::{Workspace, assert_fails, stderr, train};
use crate::support::{cuda, tiny};
use rosa_kernels::backend::cuda::RESOURCES;
use serde_json::Value;
use std::{collections::BTreeSet, process::Output};

/// Whether vgpu is in the driver's place; says so where it is not.
fn on_vgpu() -> bool {
    let found = cuda().properties().name.starts_with("vgpu");
    if !found {
        println!("not run: needs tools/with-vgpu");
    }
    found
}

fn run(w: &Workspace, args: &[&str], variables: &[(&str, &str)]) -> Output {
    w.command(args).envs(variables.iter().copied()).output().expect("the binary")
}

/// What vgpu reports of a command that succeeds, where the driver's settings are `variables`.
fn report(w: &Workspace, args: &[&str], variables: &[(&str, &str)]) -> Value {
    let path = w.path("report.json");
    let output = run(w, args, &[variables, &[("VGPU_REPORT", path.to_str().expect("text"))]].concat());
    assert!(output.status.success(), "{args:?} failed: {}", stderr(&output));
    serde_json::from_slice(&w.read("report.json")).expect("JSON")
}

/// Runs `--device cuda` where the driver's settings are `variables`: it fails with a sentence that holds `words`;
/// `doctor` says the same and succeeds; and the CPU trains.
fn assert_says(variables: &[(&str, &str)], words: &[&str]) {
    if !on_vgpu() {
        return;
    }
    let w = Workspace::new();
    let command = |args: &[&str]| run(&w, args, variables);
    assert_fails(&command(&train("--device cuda")), 1, words);
    let doctor = command(&["doctor"]);
    let text = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(doctor.status.success() && words.iter().all(|word| text.contains(word)), "{text}");
    assert!(command(&train("--schedule wl0 --steps 2")).status.success(), "the CPU does not train");
}

#[test]
fn no_driver() {
    assert_says(&[("LD_LIBRARY_PATH", "")], &["no CUDA driver", "use the CPU"]);
}

#[test]
fn a_driver_without_a_device() {
    assert_says(&[("VGPU_CAPABILITY", "0")], &["no CUDA device 0: the driver finds 0", "use the CPU"]);
}

#[test]
fn an_old_driver() {
    let words = ["the CUDA driver supports CUDA 11.8", "need", "update the driver", "use the CPU"];
    assert_says(&[("VGPU_DRIVER", "11080")], &words);
}

#[test]
fn an_old_device() {
    assert_says(&[("VGPU_CAPABILITY", "75")], &["compute capability 7.5", "8.0", "use the CPU"]);
}

#[test]
fn a_device_that_computes() {
    let w = Workspace::new();
    w.run(&train("--device cuda --schedule wl0 --steps 2 --batch 2"));
    let eval = |model: &[&str]| {
        let loss = &w.json(&[&["eval", "--data", "valid.jsonl", "--limit", "2"], model].concat())["loss"];
        loss.as_f64().expect("a loss")
    };
    let adapted = eval(&["--device", "cuda", "--model", "model", "--adapter", "out"]);
    w.run(&["merge", "--device", "cuda", "--model", "model", "--adapter", "out", "--out", "merged"]);
    w.run(&["merge", "--model", "model", "--adapter", "out", "--out", "on-cpu"]);
    let merged = eval(&["--device", "cuda", "--model", "merged"]);
    // Rounding to bf16 comes between them; merged by the one device or the other hardly any.
    assert!((adapted - merged).abs() < 0.05, "{adapted} and, merged, {merged}");
    let [merged, on_cpu] = ["merged", "on-cpu"].map(|model| eval(&["--model", model]));
    assert!((merged - on_cpu).abs() < 1e-5, "{merged} and, merged on the CPU, {on_cpu}");
    let prompt = ["generate", "--prompt", "a b c\n", "--max-new", "2", "--device", "cuda"];
    assert!(w.run(&[&prompt[..], &["--model", "merged"]].concat()).starts_with("a b c\n"));
}

#[test]
fn doctor_reaches_every_kernel() {
    if !on_vgpu() {
        return;
    }
    let w = Workspace::new();
    // Some kernels are for compute capability 9.0 alone, and stand there for others.
    let mut missing: BTreeSet<_> = RESOURCES.iter().map(|resources| resources.kernel).collect();
    for variables in [&[][..], &[("VGPU_DEVICE", "h100"), ("VGPU_CAPABILITY", "90")]] {
        let report = report(&w, &["doctor"], variables);
        for kernel in report["kernels"].as_array().expect("kernels") {
            missing.remove(kernel["kernel"].as_str().expect("a name"));
        }
    }
    assert!(missing.is_empty(), "kernels that no case of src/selftest/proofs.rs runs: {missing:?}");
}

#[test]
fn doctor_finds_no_fault() {
    let doctor = Workspace::new().json(&["doctor"]);
    assert!(doctor["cuda"]["devices"][0]["name"].is_string());
    let tests = doctor["tests"].as_array().expect("tests");
    assert_eq!(tests.len(), 1 + doctor["cuda"]["devices"].as_array().expect("devices").len());
    for test in tests {
        let proofs = test["proofs"].as_array().expect("proofs");
        assert!(proofs.len() > 80 && proofs.iter().all(|proof| proof["ok"] == true));
    }
}

#[test]
fn a_step_waits_for_its_losses_and_its_norm_alone() {
    if !on_vgpu() {
        return;
    }
    let w = Workspace::new();
    // Three micro-batches a step. The measurement of the machine waits as often as time allows.
    let waits = |steps: u64| {
        let flags = format!(
            "--no-probe --device cuda --schedule wl0 --batch 3 --micro-batch 1 --steps {steps} --out out{steps}"
        );
        let report = report(&w, &train(&flags), &[]);
        let calls = report["waits"].as_object().expect("calls");
        calls.values().map(|times| times.as_u64().expect("a count")).sum::<u64>()
    };
    let (two, four) = (waits(2), waits(4));
    // Each of the two copies of a step is a call that waits and a wait of its own.
    assert_eq!(four - two, 2 * 2 * 2, "waits of two steps");
}

#[test]
fn the_order_of_blocks_changes_no_bit() {
    if !on_vgpu() {
        return;
    }
    let w = Workspace::new();
    let results = [None, Some("1"), Some("2")].map(|seed| {
        let out = format!("out{}", seed.unwrap_or_default());
        let variables: Vec<_> = seed.map(|seed| ("VGPU_SEED", seed)).into_iter().collect();
        let flags = format!("--device cuda --schedule wl1 --steps 3 --batch 3 --out {out}");
        let output = run(&w, &train(&flags), &variables);
        assert!(output.status.success(), "{}", stderr(&output));
        let metrics = String::from_utf8(w.read(&format!("{out}/metrics.jsonl"))).expect("text");
        let numbers = metrics.lines().map(|line| {
            let line: Value = serde_json::from_str(line).expect("JSON");
            (line["loss"].clone(), line["grad_norm"].clone())
        });
        let files =
            ["adapter_model.safetensors", "mask.safetensors"].map(|file| w.read(&format!("{out}/{file}")));
        (numbers.collect::<Vec<_>>(), files)
    });
    assert!(results[0] == results[1], "one order of blocks gives other bits than the order of their numbers");
    assert!(results[1] == results[2], "two orders of blocks give different bits");
}

/// A run that had a little less memory than it needed names what did not fit, and what to lower.
#[test]
fn out_of_memory() {
    if !on_vgpu() {
        return;
    }
    let w = Workspace::new();
    let flags = "--device cuda --method lora --steps 1 --batch 2";
    let summary = w.json(&train(flags));
    let peak = summary["peak_memory"].as_u64().expect("a peak");
    let with = |memory: u64| {
        let flags = format!("{flags} --out out{memory}");
        run(&w, &train(&flags), &[("VGPU_MEMORY", &memory.to_string())])
    };
    let enough = with(peak);
    assert!(enough.status.success(), "{}", stderr(&enough));
    assert!(stderr(&enough).contains("free on the device"), "{}", stderr(&enough));

    let total = format!("of {} are free", peak - 1);
    let short = with(peak - 1);
    assert_fails(
        &short,
        1,
        &["out of memory", "the activations of a micro-batch need", "bytes more", &total, "--micro-batch"],
    );
    // The plan has said so before.
    assert!(stderr(&short).contains("warning: the plan is"), "{}", stderr(&short));

    let elements: usize =
        tiny::architecture().tensors().iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
    // With the tables of sines and cosines of 64 positions and two angles.
    let weights = 4 * (elements + 2 * 64 * 2) as u64;
    assert_fails(&with(weights - 1), 1, &["the model's weights need", "--base"]);
    assert_fails(&with(weights + 100), 1, &["the trained parameters", "--rank or --density"]);
    // Where there is a mask to choose: the activations of a short example fit.
    let small = run(
        &w,
        &train("--device cuda --rank 0 --schedule spa_only --steps 2 --micro-batch 1 --seq 8 --out spa"),
        &[("VGPU_MEMORY", &(weights + 8000).to_string())],
    );
    assert_fails(&small, 1, &["the scores of the mask need", "--mask"]);
}
