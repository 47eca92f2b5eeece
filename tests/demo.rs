//! The demo, scaled down: its stages end to end, its files, its budgets.

use crate::support::cpu;
use rosa_kernels::{
    backend::cpu::Cpu,
    checkpoint::{AdapterFile, attach},
    demo::run::{CONTENDERS, Demo, Size, Trained},
    error::Error,
    options::TrainOptions,
};
use std::{fs, path::Path};

const SIZE: Size = Size { documents: 5 * 24, examples: 3 * 32, questions: 4 };

fn demo(be: Cpu, dir: &Path) -> Demo<Cpu> {
    let demo = Demo::create(be, dir, 7, SIZE).unwrap();
    demo.pretrain(|_, _| {}).unwrap();
    demo
}

#[test]
fn every_contender_trains_at_the_same_budget_and_its_files_hold_what_it_learned() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("demo");
    let demo = demo(cpu(), &dir);
    let base = demo.base().unwrap();
    let untrained = demo.score(&base, |_| {}).unwrap();
    assert_eq!((untrained.asked, untrained.answers.len()), (4, 4));

    let mut budgets = Vec::new();
    for contender in &CONTENDERS {
        let mut losses = Vec::new();
        let Trained { model, budget, .. } =
            demo.fine_tune(contender, |report, total| losses.push((report.loss, total))).unwrap();
        assert_eq!(losses.len(), 3);
        assert!(losses.iter().all(|(_, total)| *total == 3), "{losses:?}");
        let score = demo.score(&model, |_| {}).unwrap();
        assert!(score.loss < untrained.loss, "{}: {} from {}", contender.name, score.loss, untrained.loss);
        budgets.push(budget.total());

        let out = dir.join(contender.dir);
        if contender.name == "full" {
            assert!(out.join("model.safetensors").exists() && out.join("tokenizer.json").exists());
            continue;
        }
        let mut loaded = demo.base().unwrap();
        let file = AdapterFile::read(&out, Some(&loaded.architecture)).unwrap();
        attach(&cpu(), &mut loaded, file).unwrap();
        assert_eq!(demo.score(&loaded, |_| {}).unwrap(), score, "{}", contender.name);
    }
    let (lora, rosa) = (budgets[0], budgets[1]);
    assert!(lora.abs_diff(rosa) * 1000 < lora, "{lora} and {rosa}");
}

#[test]
fn a_seed_gives_the_same_model_on_any_number_of_threads() {
    let temporary = tempfile::tempdir().unwrap();
    let model = |name: &str, threads| {
        let dir = temporary.path().join(name);
        let be = Cpu::new(Some(threads)).unwrap();
        let demo = demo(be, &dir);
        demo.fine_tune(&CONTENDERS[1], |_, _| {}).unwrap();
        let read = |file: &str| fs::read(dir.join(file)).unwrap();
        (read("model/model.safetensors"), read("rosa/adapter_model.safetensors"), read("valid.jsonl"))
    };
    assert!(model("one", 1) == model("three", 3));
}

#[test]
fn the_flags_that_the_demo_prints_are_flags_of_train() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("demo");
    let demo = Demo::create(cpu(), &dir, 7, SIZE).unwrap();
    let options = TrainOptions::from_flags(demo.fine_tune_flags(&CONTENDERS[1], "again")).unwrap();
    assert_eq!((options.out, options.seed), (dir.join("again"), 7));
}

#[test]
fn a_directory_that_exists_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let refused = Demo::create(cpu(), dir.path(), 7, SIZE).map(|_| ());
    assert!(matches!(refused, Err(Error::Setting { name: "--out", .. })), "{refused:?}");
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
}
