//! Runs that must end equal: interrupted and not, on any number of threads, in one run and in two, merged and not.

use super::{finish, learnt, logits, losses, masks, run, stop_after};
use crate::support::{
    bound::gamma,
    cpu,
    files::{assert_says, temp_dir},
    tiny,
};
use rosa_kernels::{
    architecture::Architecture,
    backend::cpu::Cpu,
    checkpoint::{self, AdapterFile, load_model, merge, save_masks},
    rng::{Purpose, Stream},
    tensor::Precision,
    train::{Outcome, Trainer},
};
use std::path::Path;

fn assert_resumes(flags: &str, stops: &[usize]) {
    assert_resumes_with(|be| tiny::trainer(be, flags), flags, stops);
}

/// A run stopped after each of `stops` steps, saved, and taken up from the file by a new trainer.
pub(super) fn assert_resumes_with(trainer: impl Fn(&Cpu) -> Trainer<Cpu>, flags: &str, stops: &[usize]) {
    let be = cpu();
    let mut whole = trainer(&be);
    let losses_of_whole = losses(&finish(&mut whole));
    let dir = temp_dir();
    let path = dir.path().join("checkpoint.safetensors");
    for &stop in stops {
        let mut first = trainer(&be);
        let mut seen = losses(&stop_after(&mut first, stop));
        first.save(&path).expect("saved");
        let mut second = trainer(&be);
        second.restore(&path).expect("restored");
        assert_eq!(second.steps_done(), stop);
        assert!(learnt(&mut second) == learnt(&mut first), "{flags}: the state after {stop} steps differs");
        seen.extend(losses(&finish(&mut second)));
        assert_eq!(seen, losses_of_whole, "{flags}: losses of a run stopped after {stop} steps");
        assert!(
            learnt(&mut second) == learnt(&mut whole),
            "{flags}: the result after a stop at {stop} differs"
        );
    }
}

#[test]
fn an_interrupted_rosa_run_ends_with_the_same_bits() {
    // In the warm-up, within the collection, right after the selection, and later, in the second epoch.
    assert_resumes("--schedule wl2 --collect 2 --steps 8 --dropout 0.2 --weight-decay 0.1", &[1, 3, 4, 6]);
}

#[test]
fn an_interrupted_run_of_any_method_ends_with_the_same_bits() {
    assert_resumes("--method spa --collect 2 --score snip --steps 4", &[1, 3]);
    assert_resumes("--method lora --dropout 0.2 --init gaussian --steps 4", &[2]);
    assert_resumes("--method full --lr 1e-3 --steps 4", &[2]);
    assert_resumes("--target-modules all-linear,embed_tokens,lm_head --collect 2 --steps 6", &[3, 5]);
}

#[test]
fn an_interrupted_run_with_a_mask_ends_with_the_same_bits() {
    let dir = temp_dir();
    let mask = dir.path().join("mask.safetensors");
    save_masks(&cpu(), run("--schedule default --steps 2").0.model(), &mask).expect("saved");
    assert_resumes(&format!("--schedule wl2 --mask {}", mask.display()), &[1, 2, 4]);
}

#[test]
fn a_run_goes_on_only_with_its_own_settings() {
    let be = cpu();
    let dir = temp_dir();
    let path = dir.path().join("checkpoint.safetensors");
    // Numbers whose decimal digits are hard to read back.
    for i in 0..200 {
        let rate = 1e-3 * Stream::new(1, Purpose::Data, 0, 0).uniform(i);
        let flags = format!("--method lora --lr {rate} --alpha {}", f64::from(rate) / 3.0);
        let mut trainer = tiny::trainer(&be, &flags);
        trainer.save(&path).expect("saved");
        tiny::trainer(&be, &flags).restore(&path).expect("the same settings");
    }
    tiny::trainer(&be, "--method lora --seed 3").save(&path).expect("saved");
    let other = tiny::trainer(&be, "--method lora").restore(&path);
    assert_says(other, &["checkpoint.safetensors: --seed: found 42, expected 3, with which the run began"]);
}

#[test]
fn the_thread_count_changes_nothing() {
    let on = |threads| {
        let be = Cpu::new(Some(threads)).expect("threads");
        let flags = "--schedule wl1 --batch 20 --micro-batch 20 --dropout 0.1 --steps 4 \
            --target-modules all-linear,embed_tokens,lm_head";
        let mut trainer = tiny::trainer(&be, flags);
        (losses(&finish(&mut trainer)), learnt(&mut trainer))
    };
    let one = on(1);
    assert!(one == on(2), "two threads end with other bits than one");
    assert!(one == on(3), "three threads end with other bits than one");
}

/// A gradient is the same sum in another order, so it moves by a few u of its terms, some 1e-7 here. With ε = 0.1
/// an update of AdamW moves by no more than `lr·|Δg|/ε`, 1e-8, and by the same again in each of 8 later steps.
#[test]
fn the_micro_batch_size_changes_results_by_rounding_only() {
    let of = |micro_batch| {
        let flags = "--batch 10 --steps 8 --eps 0.1 --dropout 0.2 --collect 2 \
            --target-modules all-linear,embed_tokens,lm_head --micro-batch";
        let (mut trainer, reports) = run(&format!("{flags} {micro_batch}"));
        let values: Vec<f32> =
            trainer.model_mut().params().into_iter().flat_map(|view| view.value.clone()).collect();
        (losses(&reports), values, masks(trainer.model()))
    };
    let (losses, values, masks) = of(1);
    for micro_batch in [3, 10] {
        let other = of(micro_batch);
        assert!(other.2 == masks, "micro-batches of {micro_batch} select another mask");
        let close =
            |a: f64, b: f64| assert!((a - b).abs() < 2e-6, "micro-batches of {micro_batch}: {a}, {b}");
        losses.iter().zip(&other.0).for_each(|(&a, &b)| close(a, b));
        values.iter().zip(&other.1).for_each(|(&a, &b)| close(a.into(), b.into()));
    }
}

/// A mask at hand from the start makes the run that chose it: N steps of A and B and one that also collects are
/// N + 1 steps of A and B.
#[test]
fn a_run_with_the_mask_of_another_is_that_run() {
    let dir = temp_dir();
    let path = dir.path().join("mask.safetensors");
    let (mut single, reports) = run("--schedule wl2 --collect 2");
    save_masks(&cpu(), single.model(), &path).expect("saved");
    let (mut with_mask, reports_with_mask) = run(&format!("--schedule wl4 --mask {}", path.display()));
    assert_eq!(losses(&reports_with_mask), losses(&reports));
    assert!(learnt(&mut with_mask) == learnt(&mut single));
}

#[test]
fn the_first_of_two_runs_chooses_the_mask_of_the_single_run() {
    let be = cpu();
    let dir = temp_dir();
    let path = dir.path().join("mask.safetensors");
    let flags = "--schedule wl2 --steps 6";
    let mut first = tiny::trainer(&be, &format!("{flags} --stop-after-mask"));
    assert_eq!(first.run(|_, _| Ok(true)).expect("a run"), Outcome::MaskChosen);
    assert_eq!(first.steps_done(), 3);
    save_masks(&be, first.model(), &path).expect("saved");
    let chosen = masks(run(flags).0.model());
    assert_eq!(masks(first.model()), chosen);

    let (second, reports) = run(&format!("--schedule default --mask {} --steps 6", path.display()));
    assert_eq!(masks(second.model()), chosen);
    assert!(reports.iter().all(|report| report.phase == rosa_kernels::schedule::Phase::Joint));
}

#[test]
fn a_fresh_adapter_leaves_the_logits_of_the_base() {
    let be = cpu();
    let base = tiny::model(&be, tiny::architecture());
    let fresh = logits(&be, &base);
    let mut trainer = tiny::trainer(
        &be,
        "--spa-num-grads 1 --schedule default --lr 0 --lora-lr 0 --dropout 0.5 --steps 2 \
            --target-modules all-linear,embed_tokens,lm_head",
    );
    finish(&mut trainer);
    assert!(trainer.model().adapters().iter().all(|(a, _)| a.sparse.is_some() && a.low_rank.is_some()));
    let bits = |logits: Vec<f32>| logits.into_iter().map(f32::to_bits).collect::<Vec<_>>();
    assert!(bits(logits(&be, trainer.model())) == bits(fresh));
}

fn load(be: &Cpu, dir: &Path) -> rosa_kernels::model::Model<Cpu> {
    load_model(be, dir, Precision::F32, 64).expect("a model")
}

/// Through files: the adapter that a run writes, attached to the base or merged into it.
///
/// The merged weight is rounded once where the other path rounds the three products apart. On the longest path
/// through two layers fewer than 500 roundings differ; no layer makes a relative error larger, since each starts
/// with a norm and adds to what it got.
fn assert_merges(architecture: Architecture, flags: &str) {
    let be = cpu();
    let dir = temp_dir();
    let [base, adapter, merged] = ["base", "adapter", "merged"].map(|name| dir.path().join(name));
    tiny::write_model(&be, architecture, &base);
    let options = tiny::options(flags);
    let config = options.adapter_config().expect("a configuration");
    let mut trainer =
        Trainer::new(be.clone(), load(&be, &base), options, tiny::examples(20)).expect("a trainer");
    finish(&mut trainer);
    checkpoint::adapter_file(&be, trainer.model(), &config)
        .expect("an adapter")
        .write(&adapter)
        .expect("written");

    let mut adapted = load(&be, &base);
    let before = logits(&be, &adapted);
    let file = AdapterFile::read(&adapter, Some(&adapted.architecture)).expect("an adapter");
    merge::merge(&be, &base, &file, &merged, merge::StoredAs::Keep).expect("merged");
    checkpoint::attach(&be, &mut adapted, file).expect("attached");
    let adapted = logits(&be, &adapted);
    assert_eq!(
        adapted,
        logits(&be, trainer.model()),
        "the adapter from its file differs from the trained one"
    );

    let merged = logits(&be, &load(&be, &merged));
    let largest = |logits: &[f32]| logits.iter().fold(0.0_f32, |max, x| max.max(x.abs()));
    let distance =
        |a: &[f32], b: &[f32]| f64::from(largest(&a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<_>>()));
    let bound = gamma(500) * f64::from(largest(&adapted));
    assert!(distance(&adapted, &merged) <= bound, "{} above {bound}", distance(&adapted, &merged));
    assert!(distance(&adapted, &before) > 1000.0 * bound, "the adapter does nothing");
}

#[test]
fn a_merged_model_is_the_adapted_one() {
    assert_merges(tiny::architecture(), "--steps 8");
    assert_merges(tiny::architecture(), "--method lora --rslora --alpha-pattern q_proj=3");
}

#[test]
fn a_merged_model_with_adapters_on_tied_tables_is_the_adapted_one() {
    assert_merges(tiny::tied(), "--steps 8 --target-modules all-linear,embed_tokens,lm_head");
    assert_merges(tiny::tied(), "--method spa --steps 8 --target-modules embed_tokens");
    assert_merges(tiny::tied(), "--method lora --target-modules lm_head,q_proj");
}
