//! The same run on a GPU: it follows the CPU's, and an interruption changes no bit of it.

use super::{finish, losses, stop_after};
use crate::support::{cpu, cuda, files::temp_dir, tiny};
use std::fs;

/// Warm-up, collection, selection, joint training.
const FLAGS: &str = "--schedule wl1 --steps 4 --batch 2";

/// A loss moves by at most twice what a logit does. A logit here is below 4, and lies behind two blocks and a head in
/// which some 13 values are rounded to bf16 one after the other: 2·4·13·2⁻⁹ = 0.2, were all errors to add up. Errors of
/// both signs do not: what is seen is a tenth of that. The steps before change the weights by 10⁻² each, in directions
/// that rounding may turn only where a gradient is hardly there.
const BOUND: f64 = 0.2;

#[test]
fn a_rosa_run_follows_the_cpus() {
    let on_cpu = losses(&finish(&mut tiny::trainer(&cpu(), FLAGS)));
    let on_gpu = losses(&finish(&mut tiny::trainer(cuda(), FLAGS)));
    assert_eq!(on_cpu.len(), on_gpu.len());
    for (step, (cpu, gpu)) in on_cpu.iter().zip(&on_gpu).enumerate() {
        println!("step {}: loss {cpu} on the CPU, {gpu} on the GPU", step + 1);
    }
    for (cpu, gpu) in on_cpu.iter().zip(&on_gpu) {
        assert!((cpu - gpu).abs() <= BOUND, "loss {cpu} on the CPU, {gpu} on the GPU");
    }
}

#[test]
fn an_interrupted_run_ends_with_the_same_bits() {
    let dir = temp_dir();
    let path = dir.path().join("checkpoint.safetensors");
    let end = |trainer: &mut rosa_kernels::train::Trainer<_>| {
        finish(trainer);
        trainer.save(&path).expect("saved");
        fs::read(&path).expect("a checkpoint")
    };
    let whole = end(&mut tiny::trainer(cuda(), FLAGS));
    let mut first = tiny::trainer(cuda(), FLAGS);
    stop_after(&mut first, 2);
    first.save(&path).expect("saved");
    let mut second = tiny::trainer(cuda(), FLAGS);
    second.restore(&path).expect("restored");
    assert!(end(&mut second) == whole, "the checkpoint after the last step differs");
}
