use super::*;
use crate::counters::Class;
use serde_json::Value;

fn counters(scale: u64) -> Counters {
    let mut counters = Counters {
        tensor_operations: 4096 * scale,
        sectors_read: 1000 * scale,
        sectors_written: 200 * scale,
        sectors_ideal: 600 * scale,
        shared_wavefronts: 77 * scale,
        bank_conflicts: 7 * scale,
        barriers: 3 * scale,
        ..Counters::default()
    };
    counters.warp_instructions[Class::Float as usize] = 30_000 * scale;
    counters.thread_instructions[Class::Float as usize] = 900_000 * scale;
    counters
}

/// Two kernels: one that the PTX tells the registers of, launched twice, and one that it does not.
fn with_records(test: impl Fn(&Report, &[Record])) {
    let resources = ResourceReport::parse(
        "// resources: busy sm_80 registers=64 shared=1024 spill_stores=8 spill_loads=16\n\
         // resources: busy sm_90 registers=60 shared=1024 spill_stores=0 spill_loads=0\n",
    );
    let (small, large) = (counters(1), counters(10));
    let record = |kernel, counters, threads| Record {
        kernel,
        grid: [3, 2, 1],
        block: [threads, 1, 1],
        static_shared: 1024,
        dynamic_shared: 512,
        resources: &resources,
        counters,
    };
    let records = [record("quiet", &small, 32), record("busy", &large, 256), record("busy", &small, 32)];
    let mut report = Report::default();
    records.iter().for_each(|record| report.add(record));
    test(&report, &records);
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn a_line_of_the_log() {
    with_records(|_, records| {
        let line = records[1].json();
        assert!(!line.contains('\n'));
        let line: Value = serde_json::from_str(&line).expect("it is JSON");
        assert_eq!(line["kernel"], "busy");
        assert_eq!((&line["grid"][1], &line["block"][0]), (&2.into(), &256.into()));
        assert_eq!((&line["static_shared"], &line["dynamic_shared"]), (&1024.into(), &512.into()));
        assert_eq!(line["counters"]["warp_instructions"]["float"], 300_000);
        assert_eq!(line["counters"]["thread_instructions"]["float"], 9_000_000);
        assert_eq!(line["counters"]["bank_conflicts"], 70);
        let a100 = &line["gpus"]["a100"];
        // 300 000 warp instructions at 108 · 4 · 1.41 G a second.
        assert_eq!(a100["bound"], "instr");
        assert!((number(&a100["seconds"]) / (3e5 / 609.12e9) - 1.0).abs() < 1e-12);
        assert!((number(&a100["terms"]["dram"]) / (6000.0 * 32.0 / 1.555e12) - 1.0).abs() < 1e-12);
        // 8 warps of 2048 registers: 4 blocks of the room for 8.
        assert_eq!((&a100["registers"], &a100["spill_stores"]), (&64.into(), &8.into()));
        assert_eq!(number(&a100["occupancy"]), 0.5);
        assert_eq!(line["gpus"]["h100"]["registers"], 60);
        // No line for sm_89: sm_80's stands in.
        assert_eq!(line["gpus"]["rtx4090"]["registers"], 64);
    });
}

#[test]
fn the_sums_of_a_kernel() {
    with_records(|report, records| {
        let json: Value = serde_json::from_str(&report.json()).expect("it is JSON");
        let kernels = json["kernels"].as_array().expect("there is a list");
        // The expensive one first.
        assert_eq!((&kernels[0]["kernel"], &kernels[1]["kernel"]), (&"busy".into(), &"quiet".into()));
        assert_eq!(kernels[0]["launches"], 2);
        assert_eq!(kernels[0]["counters"]["sectors_ideal"], 6600);
        let alone = |record: &Record| record.on(Profile::ALL[0]).terms.largest().0;
        let sum = number(&kernels[0]["gpus"]["a100"]["seconds"]);
        assert!((sum / (alone(&records[1]) + alone(&records[2])) - 1.0).abs() < 1e-12);
        // The launch of one warp a block: 32 blocks of one warp in room for 64.
        assert_eq!(number(&kernels[0]["gpus"]["a100"]["lowest_occupancy"]), 0.5);
        assert_eq!(kernels[1]["gpus"]["a100"]["registers"], Value::Null);
        assert_eq!(kernels[1]["gpus"]["a100"]["lowest_occupancy"], Value::Null);
    });
}

#[test]
fn tables() {
    with_records(|report, _| {
        let text = report.text();
        let line = |start: &str, nth: usize| {
            let lines = text.lines().filter(|line| line.starts_with(start));
            lines
                .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
                .nth(nth)
                .unwrap_or_default()
        };
        assert_eq!(line("busy", 0), "busy 2 64 50.0 0.54 µs instr 0.36 µs instr 0.26 µs instr");
        assert_eq!(line("quiet", 0), "quiet 1 - - 0.05 µs instr 0.03 µs instr 0.02 µs instr");
        assert_eq!(line("total", 0), "total 3 0.59 µs 0.39 µs 0.28 µs");
        assert_eq!(line("busy", 1), "busy 13.20 k 6600 2.00 847 77 45.06 k");
        assert_eq!(line("busy", 2), "busy 330.0 k 9.900 M 30.0 100.0");
        // Every line of a table is aligned with its head.
        let rows: Vec<_> =
            text.lines().filter(|line| line.contains("ideal ") || line.contains("k 6600")).collect();
        assert_eq!(rows[0].find("ratio").map(|at| at + 5), rows[1].find("2.00").map(|at| at + 4));
    });
}

#[test]
fn an_empty_report() {
    let report = Report::default();
    assert_eq!(
        serde_json::from_str::<Value>(&report.json()).expect("it is JSON")["kernels"],
        Value::Array(vec![])
    );
    assert!(report.text().contains("total"));
}
