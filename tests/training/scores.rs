//! Which entries a mask selects, against naive computations from weights and whole gradients.

use super::{finish, masks, run, stop_after};
use crate::support::{cpu, tiny};
use rosa_kernels::{
    backend::cpu::Cpu,
    data::epoch_order,
    num::fraction_of,
    options::TrainOptions,
    pass::{Batch, Granularity},
    rng::{Purpose, Stream},
    tensor::Matrix,
};
use std::collections::BTreeMap;

/// Dense values by module, as `(rows, cols, values)`.
type Dense = BTreeMap<String, (usize, usize, Vec<f64>)>;

/// The gradient of the first batch's mean loss with respect to every weight of the base, apart for each group of
/// `together` examples.
fn base_gradients(be: &Cpu, options: &TrainOptions, together: usize) -> Vec<Dense> {
    let examples = tiny::examples(20);
    let order = epoch_order(options.seed, 0, examples.len()).expect("an order");
    let batch: Vec<_> = order[..options.batch].iter().map(|&i| &examples[i as usize]).collect();
    let scale = 1.0 / batch.iter().map(|example| example.target_count()).sum::<usize>() as f32;
    let gradients_of = |examples: &[&rosa_kernels::data::Example]| {
        let mut model = tiny::model(be, tiny::architecture());
        model.train_base(be).expect("an f32 base");
        let sequences: Vec<_> = examples.iter().map(|example| example.sequence()).collect();
        let batch = Batch::new(be, &sequences).expect("a batch");
        let rope = std::sync::Arc::clone(&model.rope);
        let pass = batch.pass(be, &rope);
        let mut losses = Matrix::zeros(be, 1, batch.loss_rows.len()).expect("memory");
        model
            .losses_and_gradients(&pass, Granularity::Example, &batch, scale, 0, &mut losses)
            .expect("backward");
        let shapes: BTreeMap<_, _> =
            model.adapters().iter().map(|(a, _)| (a.module.clone(), a.shape)).collect();
        let weights = model.params().into_iter().filter_map(|view| {
            let module = view.name.strip_suffix(".weight")?;
            let &(rows, cols) = shapes.get(module)?;
            let gradient = view.grad.iter().map(|&g| f64::from(g)).collect();
            Some((module.to_owned(), (rows, cols, gradient)))
        });
        weights.collect()
    };
    batch.chunks(together).map(gradients_of).collect()
}

/// `Σ f(g)` over the gradients, element by element.
fn sum(gradients: &[Dense], f: impl Fn(f64) -> f64) -> Dense {
    let mut total = gradients[0].clone();
    for (module, (_, _, values)) in &mut total {
        for (i, value) in values.iter_mut().enumerate() {
            *value = gradients.iter().map(|g| f(g[module].2[i])).sum();
        }
    }
    total
}

fn weights(be: &Cpu) -> Dense {
    let model = tiny::model(be, tiny::architecture());
    let dense = model.adapters().into_iter().map(|(adapter, weight)| {
        let values = weight.download(be).expect("download").into_iter().map(f64::from).collect();
        (adapter.module.clone(), (weight.rows(), weight.cols(), values))
    });
    dense.collect()
}

/// The places of the `k` largest |score|, row-major.
fn largest((rows, cols, scores): &(usize, usize, Vec<f64>), k: usize) -> Vec<(u32, u32)> {
    let mut order: Vec<usize> = (0..rows * cols).collect();
    order.sort_by(|&i, &j| scores[j].abs().total_cmp(&scores[i].abs()).then(i.cmp(&j)));
    order.truncate(k);
    order.sort_unstable();
    order.into_iter().map(|i| ((i / cols) as u32, (i % cols) as u32)).collect()
}

/// Asserts that a run with `flags`, which collects in its first step, selects the largest `scores`.
#[track_caller]
fn assert_selects(flags: &str, scores: &Dense) {
    let (trainer, _) = run(&format!("--schedule default --steps 2 {flags}"));
    let selected = masks(trainer.model());
    assert!(selected.len() >= 14);
    for (module, mask) in selected {
        let k = fraction_of(0.1, scores[&module].2.len());
        assert!(mask == largest(&scores[&module], k), "{flags}: another mask for {module}");
    }
}

#[test]
fn every_score_selects_what_a_naive_computation_does() {
    let be = cpu();
    const ALL: &str = "--target-modules all-linear,embed_tokens,lm_head";
    let per_example = base_gradients(&be, &tiny::options(""), 1);
    assert_selects(ALL, &sum(&per_example, |g| g * g));
    assert_selects(&format!("--method spa {ALL}"), &sum(&per_example, |g| g * g));
    let per_micro_batch = base_gradients(&be, &tiny::options(""), 2);
    assert_selects(&format!("--score-granularity micro-batch {ALL}"), &sum(&per_micro_batch, |g| g * g));

    let mean = sum(&per_example, |g| g);
    assert_selects(&format!("--score mean {ALL}"), &mean);
    let weights = weights(&be);
    assert_selects(&format!("--score magnitude {ALL}"), &weights);
    let mut snip = mean;
    for (module, (_, _, values)) in &mut snip {
        values.iter_mut().zip(&weights[module].2).for_each(|(g, w)| *g *= w);
    }
    assert_selects(&format!("--score snip {ALL}"), &snip);
}

#[test]
fn random_scores_are_those_of_the_seed_and_the_module() {
    let model = tiny::model(&cpu(), tiny::architecture());
    let random = |seed| {
        let dense = model.adapters().into_iter().map(|(adapter, weight)| {
            let stream = Stream::new(seed, Purpose::Mask, 0, u64::from(adapter.site));
            let count = (weight.rows() * weight.cols()) as u64;
            let scores = (0..count).map(|i| f64::from(stream.uniform(i))).collect();
            (adapter.module.clone(), (weight.rows(), weight.cols(), scores))
        });
        dense.collect()
    };
    assert_selects("--score random --seed 3", &random(3));
    assert_selects("--score random --seed 4", &random(4));
}

/// The reference zeroes the input that q, k and v share, and gate and up: all but one of them score 0.
#[test]
fn every_projection_gets_scores_of_its_own() {
    let mut trainer = tiny::trainer(&cpu(), "--schedule default --collect 2");
    stop_after(&mut trainer, 1);
    for (adapter, _) in trainer.model().adapters() {
        let Some(scores) = &adapter.scores else { continue };
        let scores = scores.sum.as_ref().expect("a gradient was collected");
        let scored = scores.buffer().iter().filter(|&&score| score > 0.0).count();
        assert!(scored > scores.len() / 2, "{}: {scored} scores", adapter.module);
    }
    finish(&mut trainer);
    let masks = masks(trainer.model());
    assert_eq!(masks.len(), 14);
    let mask = |layer: usize, module: &str, rows: u32| {
        let mask = &masks[&format!("model.layers.{layer}.{module}_proj")];
        mask.iter().copied().filter(|&(row, _)| row < rows).collect::<Vec<_>>()
    };
    for layer in 0..2 {
        let [q, k, v] = ["self_attn.q", "self_attn.k", "self_attn.v"].map(|m| mask(layer, m, 8));
        assert!(q != k && k != v && q != v);
        assert_ne!(mask(layer, "mlp.gate", 24), mask(layer, "mlp.up", 24));
    }
}

#[test]
fn the_scores_of_two_steps_add_up() {
    let stop = |steps| {
        let mut trainer = tiny::trainer(&cpu(), "--schedule default --collect 3 --lora-lr 0");
        stop_after(&mut trainer, steps);
        let scores = trainer.model().blocks[0].attention.q.adapter.scores.as_ref();
        scores.and_then(|scores| scores.sum.as_ref()).expect("scores").buffer().clone()
    };
    let (one, two) = (stop(1), stop(2));
    assert!(one.iter().zip(&two).all(|(one, two)| one <= two));
    assert!(one.iter().zip(&two).filter(|(one, two)| one < two).count() > one.len() / 2);
}

#[test]
fn matrices_compete_for_the_same_total() {
    let be = cpu();
    let chosen = |flags: &str| masks(run(&format!("--schedule default --steps 2 {flags}")).0.model());
    let (own, global) = (chosen(""), chosen("--mask-scope global"));
    let total: usize = own.values().map(Vec::len).sum();
    assert_eq!(global.values().map(Vec::len).sum::<usize>(), total);

    let scores = sum(&base_gradients(&be, &tiny::options(""), 1), |g| g * g);
    let mut all: Vec<f64> = own.keys().flat_map(|module| &scores[module].2).copied().collect();
    all.sort_by(|a, b| b.total_cmp(a));
    let threshold = all[total - 1];
    for (module, mask) in global {
        let k = scores[&module].2.iter().filter(|&&score| score >= threshold).count();
        assert_eq!(mask, largest(&scores[&module], k), "{module}");
    }
}
