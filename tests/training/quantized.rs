//! Runs on a base of 4 bits.

use super::{equality::assert_resumes_with, finish, learnt, losses, masks};
use crate::support::{cpu, tiny};
use rosa_kernels::{backend::cpu::Cpu, train::Trainer};

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
