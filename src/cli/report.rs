//! What a person reads of a training run: its data and plan before, a step on the way, the summary after.

use super::{
    print::{note, put, putln},
    show::{self, row},
};
use rosa_kernels::{
    architecture::Architecture,
    data::Dataset,
    error::Result,
    eval::Loss,
    options::{Method, TrainOptions},
    plan::{Budget, MemoryPlan, weights_of},
    profile::Peak,
    schedule::Phase,
    train::{Outcome, StepReport},
};
use serde::Serialize;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// What a file of examples holds, and what was left out of it.
pub(super) fn data(path: &Path, set: &Dataset, seq: usize) {
    let tokens: usize = set.examples.iter().map(|e| e.tokens.len()).sum();
    let targets: usize = set.examples.iter().map(|e| e.target_count()).sum();
    note!(
        "data      {}: {} examples, {} tokens, {} of them with loss",
        path.display(),
        show::count(set.examples.len()),
        show::count(tokens),
        show::count(targets)
    );
    if set.skipped_too_long > 0 {
        note!(
            "          {} left out: longer than --seq {seq} (--truncate cuts them instead)",
            show::count(set.skipped_too_long)
        );
    }
    if set.truncated > 0 {
        note!("          {} cut to --seq {seq}", show::count(set.truncated));
    }
}

/// What the machine reaches at its best.
pub(super) fn peak(peak: Peak) {
    note!(
        "machine   {:.0} GFLOP/s in dense products and {:.1} GB/s of memory bandwidth, measured",
        peak.flops / 1e9,
        peak.bytes / 1e9
    );
}

/// What is about to be trained, and what it takes.
///
/// `free` is what the device has free before the model is there, if it has memory of its own.
pub(super) fn plan(
    a: &Architecture,
    o: &TrainOptions,
    steps: usize,
    budget: &Budget,
    memory: &MemoryPlan,
    free: Option<usize>,
) {
    let weights = weights_of(a);
    note!(
        "model     {}: {} weights, {} layers, hidden {}, vocabulary {}",
        o.model.display(),
        show::count(weights),
        a.layers,
        a.hidden_size,
        show::count(a.vocab_size)
    );
    note!(
        "method    {:?}, schedule {}, {} steps of {} examples in micro-batches of {}",
        o.method,
        o.schedule,
        steps,
        o.batch,
        o.micro_batch
    );
    note!("\nTrained parameters");
    let mut rows = Vec::new();
    let parts = [
        ("low rank (A and B)", budget.low_rank),
        ("sparse (S)", budget.sparse),
        ("base weights", budget.base),
    ];
    for (name, n) in parts.into_iter().filter(|(_, n)| *n > 0).chain([("all", budget.total())]) {
        rows.push(row![name, show::count(n), show::percent(n as f64 / weights as f64)]);
    }
    note!("{}", show::table(&rows).trim_end());
    note!("\nMemory plan");
    let base = match memory.quantized.bits() {
        None => "base weights".to_owned(),
        Some(bits) => {
            format!("base weights, {} of them with {bits:.3} bits", show::count(memory.quantized.weights))
        }
    };
    let parts = [
        (&*base, memory.weights),
        ("adapters", memory.adapters),
        ("gradients", memory.gradients),
        ("optimizer moments", memory.moments),
        ("scores of the mask, until it is chosen", memory.scores),
        ("the embedding's dense gradient, likewise", memory.scratch),
        ("activations while they are collected", memory.activations_of_scores),
        ("activations of the largest micro-batch", memory.activations),
        ("in all, at most", memory.total()),
    ];
    let mut rows: Vec<_> =
        parts.iter().filter(|(_, n)| *n > 0).map(|(name, n)| row![name, show::bytes(*n)]).collect();
    rows.extend(free.map(|free| row!["free on the device", show::bytes(free)]));
    note!("{}", show::table(&rows));
    if let Some(lacking) = free.and_then(|free| memory.total().checked_sub(free)).filter(|&n| n > 0) {
        let remedy = if memory.activations > lacking { "--micro-batch or --seq" } else { "--base" };
        note!("warning: the plan is {} more than is free; lower {remedy}\n", show::bytes(lacking));
    }
}

/// A step in a few words.
pub(super) fn step(r: &StepReport) -> String {
    let phase = match r.phase {
        Phase::WarmUp => "warm-up ",
        Phase::Collect => "collecting ",
        Phase::Joint => "",
    };
    let of_peak = r.of_peak.map_or(String::new(), |share| format!("  {:.0} % of peak", 100.0 * share));
    format!("{phase}loss {:.4}  {:.0} tokens/s{of_peak}", r.loss, r.tokens_per_second)
}

/// A run that is over.
#[derive(Serialize)]
pub(super) struct Summary {
    pub(super) outcome: Outcome,
    pub(super) method: Method,
    pub(super) out: PathBuf,
    pub(super) mask: PathBuf,
    pub(super) steps: usize,
    pub(super) seconds: f64,
    pub(super) budget: Budget,
    pub(super) memory_plan: usize,
    pub(super) peak_memory: Option<u64>,
    /// Whether that is memory of the device, without the program.
    #[serde(skip)]
    pub(super) on_device: bool,
    pub(super) last_step: Option<StepReport>,
    /// Mean share of the measured peak over the steps of this run.
    pub(super) of_peak: Option<f64>,
    pub(super) valid_before: Option<Loss>,
    pub(super) valid_after: Option<Loss>,
}

impl Summary {
    /// Prints it for a person.
    pub(super) fn print(&self) -> Result<()> {
        let time = show::duration(Duration::from_secs_f64(self.seconds));
        match self.outcome {
            Outcome::MaskChosen => putln!("The mask is chosen, after {time}.")?,
            _ => putln!("Done in {time}; the result is in {}.", self.out.display())?,
        }
        let mut rows = Vec::new();
        if let Some(last) = &self.last_step {
            rows.push(row!["training loss, last step", format!("{:.4}", last.loss)]);
        }
        if let (Some(before), Some(after)) = (self.valid_before, self.valid_after) {
            let change = |after: f64, before: f64| format!("{after:.4}  (before: {before:.4})");
            rows.push(row!["validation loss", change(after.loss, before.loss)]);
            rows.push(row!["validation perplexity", change(after.perplexity, before.perplexity)]);
        }
        if let Some(share) = self.of_peak {
            rows.push(row!["speed, of the measured peak", show::percent(share)]);
        }
        if let Some(peak) = self.peak_memory {
            let peak = show::bytes(usize::try_from(peak).unwrap_or(usize::MAX));
            let planned = show::bytes(self.memory_plan);
            let program = if self.on_device { "" } else { " and the program" };
            rows.push(row!["peak memory", format!("{peak}  (planned: {planned}{program})")]);
        }
        put!("{}", show::table(&rows))?;
        match (self.outcome, self.method) {
            (Outcome::MaskChosen, _) => {
                putln!("Next: the same run with --schedule default --mask {}", self.mask.display())
            }
            (_, Method::Full) => {
                putln!("Next: rosa-mini eval or generate with --model {}", self.out.display())
            }
            _ => putln!(
                "Next: rosa-mini eval, generate, inspect or merge with --adapter {}",
                self.out.display()
            ),
        }
    }
}
