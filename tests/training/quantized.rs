//! Runs on a base in 4 bits.

use super::{finish, learnt, losses, stop_after};
use crate::support::{
    cpu,
    files::{assert_says, temp_dir},
    tiny,
};
use rosa_kernels::{backend::cpu::Cpu, checkpoint::{HeldAs, load_model}, train::Trainer};
use std::path::Path;

/// A run over 20 examples on the model in `dir`, from its start.
fn trainer(dir: &Path, flags: &str) -> Trainer<Cpu> {
    let mut options = tiny::options(flags);
    let held_as = options.base.held_as(None, HeldAs::F32).expect("a base");
    options.base = held_as.into();
    let model = load_model(&cpu(), dir, held_as, 64).expect("a model");
    Trainer::new(cpu(), model, options, tiny::examples(20)).expect("a trainer")
}

#[test]
fn an_interrupted_run_on_a_4_bit_base_ends_with_the_same_bits() {
    let dir = temp_dir();
    tiny::write_model(&cpu(), tiny::architecture(), dir.path());
    let path = dir.path().join("checkpoint.safetensors");
    let flags = "--base nf4 --double-quant --schedule wl2 --collect 2 --steps 8 --dropout 0.2";
    let mut whole = trainer(dir.path(), flags);
    let losses_of_whole = losses(&finish(&mut whole));
    // In the warm-up, within the collection, and after the selection.
    for stop in [1, 3, 5] {
        let mut first = trainer(dir.path(), flags);
        let mut seen = losses(&stop_after(&mut first, stop));
        first.save(&path).expect("saved");
        let mut second = trainer(dir.path(), flags);
        second.restore(&path).expect("restored");
        seen.extend(losses(&finish(&mut second)));
        assert_eq!(seen, losses_of_whole, "losses of a run stopped after {stop} steps");
        assert!(learnt(&mut second) == learnt(&mut whole), "the result after a stop at {stop} differs");
    }
    for (other, words) in [
        ("", ["--base: found \"f32\", expected \"nf4\"", "with which the run began"]),
        ("--base nf4", ["--double-quant: found false, expected true", "with which the run began"]),
        (
            "--base nf4 --double-quant --block 32",
            ["--block: found 32, expected 64", "with which the run began"],
        ),
    ] {
        let flags = format!("--schedule wl2 --collect 2 --steps 8 --dropout 0.2 {other}");
        assert_says(trainer(dir.path(), &flags).restore(&path), &words);
    }
}

#[test]
fn a_4_bit_base_learns_with_every_adapter() {
    let dir = temp_dir();
    tiny::write_model(&cpu(), tiny::architecture(), dir.path());
    for method in ["lora", "spa", "rosa"] {
        let flags = format!("--base nf4 --method {method} --steps 30 --batch 20");
        let reports = finish(&mut trainer(dir.path(), &flags));
        let (first, last) = (reports[0].loss, reports[29].loss);
        assert!(last < 0.8 * first, "{method}: from {first} to {last}");
    }
}
