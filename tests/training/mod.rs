//! Whole runs against each other and against naive computations: what must not change the result does not, and what
//! is trained and selected is what the options say.

#[cfg(feature = "cuda")]
mod devices;
mod equality;
mod methods;
mod quantized;
mod scores;

use crate::support::{cpu, tiny};
use rosa_kernels::{
    backend::{Backend, cpu::Cpu},
    model::Model,
    pass::Batch,
    train::{Outcome, StepReport, Trainer},
};
use std::collections::BTreeMap;

/// Everything that a model has learnt, to the bit, by name: values, moments, numbers of updates, masks and scores.
fn learnt(trainer: &mut Trainer<Cpu>) -> BTreeMap<String, Vec<u32>> {
    let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    let mut all = BTreeMap::new();
    for view in trainer.model_mut().params() {
        all.insert(format!("{} value", view.name), bits(view.value));
        all.insert(format!("{} m", view.name), bits(view.m));
        all.insert(format!("{} v", view.name), bits(view.v));
        all.insert(format!("{} updates", view.name), vec![*view.updates]);
    }
    for (adapter, _) in trainer.model().adapters() {
        if let Some(sum) = adapter.scores.as_ref().and_then(|scores| scores.sum.as_ref()) {
            all.insert(format!("{} scores", adapter.module), bits(sum.buffer()));
        }
    }
    all.extend(masks(trainer.model()).into_iter().map(|(module, mask)| {
        let entries = mask.into_iter().flat_map(|(row, column)| [row, column]);
        (format!("{module} mask"), entries.collect())
    }));
    all
}

/// The `(row, column)` of each entry of every mask, by module.
fn masks(model: &Model<Cpu>) -> BTreeMap<String, Vec<(u32, u32)>> {
    let mut all = BTreeMap::new();
    for (adapter, _) in model.adapters() {
        let Some(s) = &adapter.sparse else { continue };
        let pattern = s.value.pattern();
        let rows = pattern.row_offsets().windows(2).zip(0..);
        let rows = rows.flat_map(|(w, row)| std::iter::repeat_n(row, (w[1] - w[0]) as usize));
        all.insert(adapter.module.clone(), rows.zip(pattern.col_indices().iter().copied()).collect());
    }
    all
}

/// Trains to the end; what each step reported.
fn finish<B: Backend>(trainer: &mut Trainer<B>) -> Vec<StepReport> {
    let mut reports = Vec::new();
    let outcome = trainer.run(|_, report| {
        reports.push(report.clone());
        Ok(true)
    });
    assert_ne!(outcome.expect("a run"), Outcome::Stopped);
    reports
}

/// Trains until `steps` steps are done, not to the end.
fn stop_after<B: Backend>(trainer: &mut Trainer<B>, steps: usize) -> Vec<StepReport> {
    let mut reports = Vec::new();
    let outcome = trainer.run(|_, report| {
        reports.push(report.clone());
        Ok(report.step < steps)
    });
    assert_eq!(outcome.expect("a run"), Outcome::Stopped);
    reports
}

/// A finished run with its reports.
fn run(flags: &str) -> (Trainer<Cpu>, Vec<StepReport>) {
    let mut trainer = tiny::trainer(&cpu(), flags);
    let reports = finish(&mut trainer);
    (trainer, reports)
}

fn losses(reports: &[StepReport]) -> Vec<f64> {
    reports.iter().map(|report| report.loss).collect()
}

/// The logits of every token of the first examples, without dropout.
fn logits(be: &Cpu, model: &Model<Cpu>) -> Vec<f32> {
    let examples = tiny::examples(4);
    let sequences: Vec<_> = examples.iter().map(|example| example.sequence()).collect();
    let batch = Batch::new(be, &sequences).expect("a batch");
    let pass = batch.pass(be, &model.rope);
    let h = model.hidden(&pass, &batch.ids, None).expect("forward");
    model.head.logits(&pass, &model.embedding, &h).expect("forward").download(be).expect("download")
}
