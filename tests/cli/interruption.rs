//! Runs that are stopped: by the user, by a full disk, by a loss that is no number.

use super::{Workspace, assert_fails, stderr, train};
use crate::support::{cpu, tiny};
use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

const ADAPTER: [&str; 2] = ["adapter_model.safetensors", "adapter_config.json"];

/// Asserts that the runs in `left` and `right` wrote the same adapter, and metrics of the same steps and losses.
#[track_caller]
fn assert_same_result(w: &Workspace, left: &str, right: &str) {
    for file in ADAPTER {
        let [left, right] = [left, right].map(|out| w.read(&format!("{out}/{file}")));
        assert!(left == right, "another {file}");
    }
    let steps = |out: &str| {
        let text = String::from_utf8(w.read(&format!("{out}/metrics.jsonl"))).expect("text");
        let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
        lines.map(|line| (line["step"].clone(), line["loss"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(steps(left), steps(right));
}

fn files(w: &Workspace, dir: &str) -> Vec<String> {
    let entries = fs::read_dir(w.path(dir)).expect("a directory");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[cfg(unix)]
#[test]
fn ctrl_c_saves_and_the_run_goes_on_to_the_same_bytes() {
    let w = Workspace::new();
    let flags = "--steps 300 --schedule wl20 --save-every 0";
    w.run(&train(&format!("{flags} --out whole")));

    let mut run = w.command(&train(flags));
    let run = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary");
    let started = Instant::now();
    let steps = || fs::read_to_string(w.path("out/metrics.jsonl")).map_or(0, |text| text.lines().count());
    while steps() < 3 {
        assert!(started.elapsed() < Duration::from_secs(60), "no step was taken");
        thread::sleep(Duration::from_millis(1));
    }
    let out = fs::File::open(w.path("out")).expect("a directory");
    assert!(out.try_lock().is_err(), "the run keeps others out");
    let kill = Command::new("kill").args(["-INT", &run.id().to_string()]).status().expect("kill");
    assert!(kill.success());
    let output = run.wait_with_output().expect("the end");
    let done = steps();
    assert!(done < 300, "the run was over before it was interrupted");
    let step = format!("stopped after step {done}, which is saved in out/checkpoint.safetensors");
    assert_fails(&output, 130, &[&step, "--resume"]);
    assert_eq!(files(&w, "out"), ["checkpoint.safetensors", "metrics.jsonl"]);

    let other = format!("{flags} --resume --lr 0.5");
    let words = ["out/checkpoint.safetensors: --lr: found 0.5, expected 0.0", "with which the run began"];
    w.fails(1, &train(&other), &words);
    let data = String::from_utf8(w.read("train.jsonl")).expect("text");
    w.write("train.jsonl", &data.lines().rev().map(|line| format!("{line}\n")).collect::<String>());
    w.fails(1, &train(&format!("{flags} --resume")), &["out/checkpoint.safetensors: --data (digest): found"]);
    w.write("same.jsonl", &data);
    let lock = fs::File::open(w.path("out")).expect("a directory");
    lock.try_lock().expect("nobody else has it");
    let again = train(&format!("{flags} --resume --threads 1 --data same.jsonl")).join(" ");
    let again: Vec<&str> = again.split(' ').collect();
    w.fails(2, &again, &["--out is out, in which another run is at work"]);
    drop(lock);
    w.write("out/.unfinished-checkpoint", "what a run that was killed left");
    let output = w.command(&again).output().expect("the binary");
    assert!(stderr(&output).contains(&format!("after step {done}")), "{}", stderr(&output));
    assert!(output.status.success(), "{}", stderr(&output));
    assert_same_result(&w, "whole", "out");
    assert!(!w.path("out/checkpoint.safetensors").exists());
    assert!(!w.path("out/.unfinished-checkpoint").exists());
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_a_validation_too() {
    let w = Workspace::new();
    let line = "{\"prompt\": \"a b c d e f g h\", \"answer\": \"a b c d e f g h\"}\n";
    w.write("long.jsonl", &line.repeat(40_000));
    let flags = "--steps 3 --schedule wl0 --valid long.jsonl";
    let mut run = w.command(&train(flags));
    let mut run = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary");
    let mut said = BufReader::new(run.stderr.take().expect("piped")).lines().map(|line| line.expect("text"));
    assert!(said.any(|line| line.starts_with("validation ")), "the validation shows itself");
    let kill = Command::new("kill").args(["-INT", &run.id().to_string()]).status().expect("kill");
    assert!(kill.success());
    let said: Vec<String> = said.collect();
    assert_eq!(run.wait().expect("the end").code(), Some(130), "{said:?}");
    assert!(said.last().is_some_and(|line| line.contains("stopped after step 0")), "{said:?}");
    assert!(w.path("out/checkpoint.safetensors").exists());
    w.fails(2, &train("--valid valid.jsonl"), &["--out is out, which exists", "--resume"]);
    w.run(&train("--steps 3 --schedule wl0 --valid valid.jsonl --resume"));
}

/// A limit on the size of files stands for a full disk: the checkpoint of a warm-up step fits, the next one, with
/// its scores, does not.
#[cfg(unix)]
#[test]
fn a_full_disk_leaves_the_previous_checkpoint() {
    let w = Workspace::new();
    let flags = "--schedule wl2 --collect 2 --save-every 1";
    w.run(&train(&format!("{flags} --out whole")));
    let mut trainer = tiny::trainer(&cpu(), "--schedule wl2 --collect 2");
    let mut sizes = Vec::new();
    let outcome = trainer.run(|trainer, report| {
        trainer.save(&w.path("size"))?;
        sizes.push(fs::metadata(w.path("size")).expect("a file").len());
        Ok(report.step < 3)
    });
    outcome.expect("a run");
    let limit = (sizes[1] + sizes[2]) / 2 / 1024;

    let script = format!("trap '' XFSZ; ulimit -f {limit}; exec \"$@\"");
    let mut limited = Command::new("bash");
    limited.args(["-c", &script, "bash", env!("CARGO_BIN_EXE_rosa-mini")]).args(train(flags));
    let output = limited.current_dir(w.dir.path()).output().expect("bash");
    assert_fails(&output, 1, &["out/checkpoint.safetensors: cannot write: File too large"]);
    assert_eq!(files(&w, "out"), ["checkpoint.safetensors", "metrics.jsonl"]);

    let output = w.command(&train(&format!("{flags} --resume"))).output().expect("the binary");
    assert!(stderr(&output).contains("after step 2"), "{}", stderr(&output));
    assert!(output.status.success(), "{}", stderr(&output));
    assert_same_result(&w, "whole", "out");
}

#[test]
fn a_loss_that_is_not_finite_ends_the_run() {
    let w = Workspace::new();
    let flags = "--lr 1e30 --lora-lr 1e30 --clip 0";
    w.fails(1, &train(flags), &["step 2: the loss is", "--lr", "--clip"]);
    assert_eq!(files(&w, "out"), ["metrics.jsonl"]);
}
