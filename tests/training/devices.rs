//! The same run on a GPU: it follows the CPU's, and an interruption changes no bit of it.

use super::{finish, run, stop_after};
use crate::support::{cpu, cuda, files::temp_dir, tiny};
use rosa_kernels::{
    adapter::Scores,
    backend::{Backend, ScoreTerm, cuda::Cuda},
    checkpoint::save_masks,
    device::Device,
    mask::{self, Scope, ScoreKind},
    plan,
    rng::{Purpose, Stream},
    tensor::Matrix,
    train::{StepReport, Trainer},
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

/// What is compared of each step. AdamW forgets how large a gradient is, so losses do not show one that is off by a
/// factor: its norm does.
fn measures(reports: &[StepReport]) -> Vec<[f64; 2]> {
    reports.iter().map(|report| [report.loss, report.grad_norm.into()]).collect()
}

/// The measures of a run on the CPU, and the root mean square of how far noisy runs are from each.
fn measures_and_spreads(flags: &str) -> Vec<([f64; 2], [f64; 2])> {
    let run = |noise| measures(&finish(&mut tiny::noisy_trainer(&cpu(), flags, noise)));
    let exact = run(None);
    let noisy: Vec<_> = (0..NOISY_RUNS).map(|seed| run(Some(seed))).collect();
    let spreads = (0..exact.len()).map(|step| {
        [0, 1].map(|of| {
            let squares = noisy.iter().map(|run| (run[step][of] - exact[step][of]).powi(2));
            (squares.sum::<f64>() / NOISY_RUNS as f64).sqrt()
        })
    });
    exact.iter().copied().zip(spreads).collect()
}

/// The run on the GPU.
#[track_caller]
fn assert_follows(flags: &str) -> Trainer<Cuda> {
    let on_cpu = measures_and_spreads(flags);
    let mut trainer = tiny::trainer(cuda(), flags);
    let on_gpu = measures(&finish(&mut trainer));
    assert_eq!(on_cpu.len(), on_gpu.len());
    for (step, ((cpu, spread), gpu)) in (1..).zip(on_cpu.iter().zip(&on_gpu)) {
        println!(
            "{flags}: step {step}: loss and norm {cpu:.5?} on the CPU, {gpu:.5?} on the GPU, spreads {spread:.5?}"
        );
    }
    for (step, ((cpu, spread), gpu)) in (1..).zip(on_cpu.iter().zip(&on_gpu)) {
        // Only the first norm is close: AdamW turns noise of a small gradient into whole steps, S may differ in its mask.
        let most_of_norm = if step == 1 { 0.015 * cpu[1] } else { f64::INFINITY };
        for (of, name, most) in [(0, "loss", 0.1), (1, "norm", most_of_norm)] {
            let (cpu, gpu, bound) = (cpu[of], gpu[of], SPREADS * spread[of]);
            assert!(
                (cpu - gpu).abs() <= bound,
                "{flags}: step {step}: {name} {cpu} and {gpu}, more than {bound} apart"
            );
            assert!(bound <= most, "{flags}: step {step}: a bound of {bound} for {name} {cpu} proves little");
        }
    }
    trainer
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
            adapter.scores = Some(Scores { sum: Some(sum), term: Some(ScoreTerm::Square) });
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

/// LoRA's dropout is drawn anew after the interruption; S and the mask are there, or yet to be read or chosen.
#[test]
fn an_interrupted_run_ends_with_the_same_bits() {
    let dir = temp_dir();
    let [path, mask] = ["checkpoint.safetensors", "mask.safetensors"].map(|name| dir.path().join(name));
    save_masks(&cpu(), run("--schedule default --steps 2").0.model(), &mask).expect("saved");
    let end = |trainer: &mut Trainer<Cuda>| {
        finish(trainer);
        trainer.save(&path).expect("saved");
        fs::read(&path).expect("a checkpoint")
    };
    for (flags, steps) in [
        (FLAGS.to_owned(), 2),
        (format!("--schedule wl1 --steps 2 --batch 2 --mask {}", mask.display()), 1),
        ("--method lora --dropout 0.2 --steps 2 --batch 2".to_owned(), 1),
        ("--method spa --steps 3 --batch 2".to_owned(), 2),
        ("--method full --lr 1e-3 --steps 2 --batch 2".to_owned(), 1),
    ] {
        let whole = end(&mut tiny::trainer(cuda(), &flags));
        let mut first = tiny::trainer(cuda(), &flags);
        stop_after(&mut first, steps);
        first.save(&path).expect("saved");
        let mut second = tiny::trainer(cuda(), &flags);
        second.restore(&path).expect("restored");
        assert!(end(&mut second) == whole, "{flags}: the checkpoint after the last step differs");
    }
}

#[test]
fn a_mask_that_is_read_is_the_cpus() {
    let dir = temp_dir();
    let [chosen, held] = ["chosen.safetensors", "held.safetensors"].map(|name| dir.path().join(name));
    save_masks(&cpu(), run("--schedule default --steps 2").0.model(), &chosen).expect("saved");
    let trainer =
        assert_follows(&format!("--schedule default --steps 2 --batch 2 --mask {}", chosen.display()));
    save_masks(cuda(), trainer.model(), &held).expect("saved");
    let [chosen, held] = [chosen, held].map(|path| fs::read(path).expect("a mask"));
    assert!(held == chosen, "the mask in use differs from the one in the file");
}
