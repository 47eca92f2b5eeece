//! The same run on a GPU: it follows the CPU's, and an interruption changes no bit of it.

use super::{finish, losses, stop_after};
use crate::support::{cpu, cuda, files::temp_dir, tiny};
use rosa_kernels::{
    adapter::Scores,
    backend::{Backend, ScoreTerm, cuda::Cuda},
    device::Device,
    mask::{self, Scope, ScoreKind},
    plan,
    rng::{Purpose, Stream},
    tensor::Matrix,
};
use std::fs;

/// Warm-up, collection, selection, joint training.
const FLAGS: &str = "--schedule wl1 --steps 4 --batch 2";

/// Runs on the CPU whose weights are each off by up to half an ulp of bf16: how much a run's losses move when numbers are
/// rounded as a GPU rounds them.
const NOISY_RUNS: u64 = 24;

/// A GPU rounds what flows where a noisy run rounds what it flows through: a product cannot tell one from the other. On
/// its way through two blocks and the head a number meets 11 noisy weights and is rounded about 26 times, so errors are
/// √(26/11) = 1.5 times as large if they add up as random ones do; but those of weights are the same for all tokens, and
/// average out less. Four times the noisy runs' root mean square leaves room for both.
const SPREADS: f64 = 4.0;

/// The losses of a run on the CPU, and the root mean square of how far noisy runs are from each.
fn losses_and_spreads(flags: &str) -> (Vec<f64>, Vec<f64>) {
    let run = |noise| losses(&finish(&mut tiny::noisy_trainer(&cpu(), flags, noise)));
    let exact = run(None);
    let mut squares = vec![0.0; exact.len()];
    for seed in 0..NOISY_RUNS {
        for ((square, noisy), exact) in squares.iter_mut().zip(run(Some(seed))).zip(&exact) {
            *square += (noisy - exact).powi(2) / NOISY_RUNS as f64;
        }
    }
    (exact, squares.into_iter().map(f64::sqrt).collect())
}

#[track_caller]
fn assert_follows(flags: &str) {
    let (on_cpu, spreads) = losses_and_spreads(flags);
    let on_gpu = losses(&finish(&mut tiny::trainer(cuda(), flags)));
    assert_eq!(on_cpu.len(), on_gpu.len());
    let steps = || on_cpu.iter().zip(&on_gpu).zip(&spreads).zip(1..);
    for (((cpu, gpu), spread), step) in steps() {
        println!("{flags}: step {step}: loss {cpu:.5} on the CPU, {gpu:.5} on the GPU, spread {spread:.5}");
    }
    for (((cpu, gpu), spread), step) in steps() {
        let bound = SPREADS * spread;
        assert!((cpu - gpu).abs() <= bound, "{flags}: step {step}: {cpu} and {gpu}, more than {bound} apart");
        assert!(bound < 0.1, "{flags}: step {step}: a bound of {bound} proves little");
    }
}

#[test]
fn a_rosa_run_follows_the_cpus() {
    assert_follows(FLAGS);
}

#[test]
fn a_run_of_any_method_follows_the_cpus() {
    for method in ["lora --dropout 0.2", "spa", "full --lr 1e-3"] {
        assert_follows(&format!("--steps 2 --batch 2 --method {method}"));
    }
}

/// From equal scores, many of them ties.
#[test]
fn equal_scores_give_equal_masks() {
    /// Offsets and columns of each mask.
    fn masks<B: Backend>(be: &B, scope: Scope) -> Vec<(String, Vec<u32>, Vec<u32>)> {
        let mut trainer = tiny::trainer(be, FLAGS);
        let model = trainer.model_mut();
        for adapter in model.adapters_mut().into_iter().filter(|adapter| adapter.density > 0.0) {
            let (rows, cols) = adapter.shape;
            let stream = Stream::new(1, Purpose::Data, 0, adapter.site.into());
            let scores = (0..(rows * cols) as u64).map(|i| stream.below(i, 40) as f32).collect();
            let sum = Matrix::upload(be, rows, cols, scores).expect("memory");
            adapter.scores = Some(Scores { sum, term: Some(ScoreTerm::Square) });
        }
        let masks = mask::select(be, model, ScoreKind::MeanSquared, scope, 1).expect("masks");
        let parts = masks.into_iter().map(|(module, mask)| {
            let (offsets, columns) = [mask.row_offsets(), mask.col_indices()]
                .map(|part| be.download(part).expect("download"))
                .into();
            (module, offsets, columns)
        });
        parts.collect()
    }
    for scope in [Scope::Matrix, Scope::Global] {
        let on_cpu = masks(&cpu(), scope);
        assert!(on_cpu.iter().any(|(_, _, columns)| !columns.is_empty()));
        assert_eq!(on_cpu, masks(cuda(), scope), "{scope:?}");
    }
}

/// The plan says at least what a run holds at its fullest, and not twice as much.
#[test]
fn the_plan_covers_what_a_run_holds() {
    for flags in ["--method lora --steps 1", "--method full --steps 1"] {
        // A device of its own, whose peak no other test raises.
        let be = Cuda::new(0).expect("a device");
        let mut trainer = tiny::trainer(&be, flags);
        let plan = plan::memory(trainer.model(), trainer.options(), &tiny::examples(20));
        finish(&mut trainer);
        let peak = be.peak_memory().expect("a GPU counts") as usize;
        println!("{flags}: planned {}, held {peak}: {plan:?}", plan.total());
        let planned = peak..2 * peak;
        assert!(planned.contains(&plan.total()), "{flags}: {peak} bytes held, planned {plan:?}");
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
