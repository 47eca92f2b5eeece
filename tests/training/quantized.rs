//! Runs on a base of 4 bits.

use super::{equality::assert_resumes_with, finish, learnt, losses, masks};
use crate::support::{
    cpu,
    files::{assert_says, temp_dir},
    tiny,
};
use rosa_kernels::{
    backend::cpu::Cpu,
    checkpoint::{HeldAs, load_model},
    train::Trainer,
};

const FLAGS: &str = "--schedule wl2 --collect 2 --steps 8 --dropout 0.2 --batch 10 --micro-batch 5";

fn trainer(be: &Cpu, flags: &str) -> Trainer<Cpu> {
    let model = tiny::quantized(be, tiny::architecture());
    Trainer::new(be.clone(), model, tiny::options(flags), tiny::examples(20)).expect("a trainer")
}

#[test]
fn an_interrupted_run_ends_with_the_same_bits() {
    // In the warm-up, within the collection, right after the selection, and later.
    assert_resumes_with(|be| trainer(be, FLAGS), FLAGS, &[1, 3, 4, 6]);
}

#[test]
fn the_thread_count_changes_nothing() {
    let on = |threads| {
        let be = Cpu::new(Some(threads)).expect("threads");
        let mut trainer = trainer(&be, FLAGS);
        (losses(&finish(&mut trainer)), learnt(&mut trainer))
    };
    let one = on(1);
    assert!(one == on(2), "two threads end with other bits than one");
    assert!(one == on(3), "three threads end with other bits than one");
}

#[test]
fn masks_are_chosen_and_the_loss_falls() {
    let be = cpu();
    let flags = "--schedule wl2 --collect 2 --steps 30 --batch 20 --micro-batch 20 --density 0.1";
    let mut trainer = trainer(&be, flags);
    let losses = losses(&finish(&mut trainer));
    let masks = masks(trainer.model());
    let adapters = trainer.model().adapters();
    let adapted = adapters.iter().filter(|(adapter, _)| adapter.low_rank.is_some());
    for (adapter, _) in adapted {
        let (rows, cols) = adapter.shape;
        assert_eq!(masks[&adapter.module].len(), rows * cols / 10, "{}", adapter.module);
    }
    let (first, last) = (losses[0], losses[losses.len() - 1]);
    assert!(last < 0.8 * first, "the loss went from {first} to {last}");
}

#[test]
fn a_run_goes_on_only_on_the_base_that_it_began_on() {
    let dir = temp_dir();
    let path = dir.path().join("checkpoint.safetensors");
    tiny::write_model(&cpu(), tiny::architecture(), dir.path());
    let run = |flags: &str| {
        let mut options = tiny::options(flags);
        let held_as = options.base.held_as(None, HeldAs::F32).expect("a base");
        options.base = held_as.into();
        let model = load_model(&cpu(), dir.path(), held_as, 64).expect("a model");
        Trainer::new(cpu(), model, options, tiny::examples(20)).expect("a trainer")
    };
    let own = "--base nf4 --double-quant";
    run(own).save(&path).expect("saved");
    run(own).restore(&path).expect("the same settings");
    for (other, words) in [
        ("", "--base: found \"f32\", expected \"nf4\", with which the run began"),
        ("--base nf4", "--double-quant: found false, expected true, with which the run began"),
        ("--base nf4 --double-quant --block 32", "--block: found 32, expected 64, with which the run began"),
    ] {
        assert_says(run(other).restore(&path), &[words]);
    }
}
