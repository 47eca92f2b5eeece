//! The files that a program's run leaves.

use super::{run, scratch};
use serde_json::Value;
use std::fs;

/// Runs the three launches of `vector_add`, on 128, 256 and 1024 elements, with one of the variables set; returns what is in the file.
fn written(variable: &str, file: &str) -> String {
    let path = scratch(file).join(file);
    let run = run("three_launches", &[(variable, path.to_str().expect("the path is UTF-8"))]);
    run.expect_success();
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn a_report_for_programs() {
    let report: Value = serde_json::from_str(&written("VGPU_REPORT", "report.json")).expect("it is JSON");
    let kernels = report["kernels"].as_array().expect("there is a list");
    assert_eq!(kernels.len(), 1);
    let add = &kernels[0];
    assert_eq!((&add["kernel"], &add["launches"]), (&"vector_add".into(), &3.into()));
    // Every element is 4 of the 32 bytes of a sector, in three arrays.
    let sectors = 3 * (128 + 256 + 1024) / 8;
    assert_eq!(add["counters"]["sectors_ideal"], sectors);
    assert_eq!(add["counters"]["sectors_read"], sectors / 3 * 2);
    // 24 of 64 warps, of 48 on the RTX 4090.
    assert_eq!(add["gpus"]["a100"]["lowest_occupancy"], 0.375);
    assert_eq!(add["gpus"]["rtx4090"]["lowest_occupancy"], 0.5);
    // Each of the three results was fetched.
    assert_eq!(report["waits"]["cuMemcpyDtoHAsync"], 3);
}

#[test]
fn a_report_for_people() {
    let text = written("VGPU_REPORT", "report.txt");
    let line = text.lines().find(|line| line.starts_with("vector_add")).expect("the kernel has a line");
    let words: Vec<_> = line.split_whitespace().collect();
    assert_eq!(words[..4], ["vector_add", "3", "80", "37.5"], "{text}");
}

#[test]
fn a_line_for_every_launch() {
    let log = written("VGPU_LOG", "log.jsonl");
    let lines: Vec<Value> =
        log.lines().map(|line| serde_json::from_str(line).expect("every line is JSON")).collect();
    let ideal: Vec<_> = lines.iter().map(|line| line["counters"]["sectors_ideal"].clone()).collect();
    assert_eq!(ideal, [48, 96, 384]);
    assert_eq!((&lines[2]["grid"], &lines[2]["block"][0]), (&vec![8, 1, 1].into(), &128.into()));
}

#[test]
fn a_file_that_cannot_be_written() {
    let run = run("three_launches", &[("VGPU_LOG", "/nowhere/log.jsonl")]);
    run.expect_success();
    run.expect_text("vgpu: cannot write /nowhere/log.jsonl: ");
}

#[test]
fn occupancy_queries() {
    let run = run("occupancy", &[]);
    run.expect_success();
    run.expect_text("CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES: vector_add: [1024, 1, 1] threads of 80 registers");
}
