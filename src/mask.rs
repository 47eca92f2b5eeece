//! Choosing the mask of S: which scores are collected, and how entries are selected from them
//! (arXiv 2401.04679, section 4.2 and algorithm 1).

use crate::{
    adapter::{Adapter, Scores},
    backend::{Backend, ScoreTerm},
    error::{Error, Result},
    model::Model,
    num::fraction_of,
    ops,
    rng::{Purpose, Stream},
    sparse::CsrPattern,
    tensor::{Matrix, Weight},
};
use clap::ValueEnum;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What an entry is scored by. The last three are for ablation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScoreKind {
    /// Mean of g²: the diagonal of the empirical Fisher information.
    MeanSquared,
    /// |mean of g|.
    Mean,
    /// |w|.
    Magnitude,
    /// A uniform random number.
    Random,
    /// |w · mean of g| (Lee et al., arXiv 1810.02340).
    Snip,
}

/// Among which entries the largest scores are sought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Each weight matrix keeps its own density.
    Matrix,
    /// All matrices compete for the same total.
    Global,
}

impl ScoreKind {
    /// What each collected gradient adds, if gradients matter.
    #[must_use]
    pub fn term(self) -> Option<ScoreTerm> {
        match self {
            Self::MeanSquared => Some(ScoreTerm::Square),
            Self::Mean | Self::Snip => Some(ScoreTerm::Sum),
            Self::Magnitude | Self::Random => None,
        }
    }
}

/// The number of entries of a weight that S holds at this adapter's density.
fn entries<B: Backend>(adapter: &Adapter<B>) -> usize {
    fraction_of(adapter.density, adapter.shape.0 * adapter.shape.1)
}

/// Has the backward pass collect scores for every adapter with a density above zero.
pub fn begin_collection<B: Backend>(be: &B, model: &mut Model<B>, kind: ScoreKind) {
    // Four bytes a weight will take the place of activations.
    be.trim();
    for adapter in model.adapters_mut() {
        if adapter.density > 0.0 && adapter.sparse.is_none() {
            adapter.scores = Some(Scores { sum: None, term: kind.term() });
        }
    }
}

/// The masks of all scored adapters, by module; the scores are freed. Every mask is a function of the
/// scores alone: the largest |score|, ties to the lowest index.
///
/// # Errors
/// When the device is out of memory.
pub fn select<B: Backend>(
    be: &B,
    model: &mut Model<B>,
    kind: ScoreKind,
    scope: Scope,
    seed: u64,
) -> Result<BTreeMap<String, Arc<CsrPattern<B>>>> {
    // Patterns take the place of activations.
    be.trim();
    let taken: Vec<_> = model.adapters_mut().into_iter().map(|adapter| adapter.scores.take()).collect();
    let mut modules = Vec::new();
    let mut scored = Vec::new();
    for ((adapter, weight), scores) in model.adapters().into_iter().zip(taken) {
        let Some(Scores { sum, .. }) = scores else { continue };
        let (rows, cols) = adapter.shape;
        let mut sum = sum.map_or_else(|| Matrix::zeros(be, rows, cols), Ok)?;
        finish(be, adapter, weight, kind, seed, &mut sum)?;
        modules.push((adapter.module.clone(), entries(adapter)));
        scored.push(sum);
    }
    let patterns = match scope {
        Scope::Global => {
            let all: Vec<_> = scored.iter().collect();
            let patterns = ops::topk_mask(be, &all, modules.iter().map(|(_, k)| k).sum())?;
            drop(scored);
            patterns
        }
        Scope::Matrix => {
            let mut patterns = Vec::with_capacity(scored.len());
            for (sum, (_, k)) in scored.into_iter().zip(&modules) {
                patterns.extend(ops::topk_mask(be, &[&sum], *k)?);
            }
            patterns
        }
    };
    // And activations take the place of the scores.
    be.trim();
    Ok(modules.into_iter().map(|(module, _)| module).zip(patterns).collect())
}

/// Turns sums of gradients into the scores of `kind`.
fn finish<B: Backend>(
    be: &B,
    adapter: &Adapter<B>,
    weight: Weight<'_, B>,
    kind: ScoreKind,
    seed: u64,
    scores: &mut Matrix<B, f32>,
) -> Result<()> {
    match kind {
        ScoreKind::MeanSquared | ScoreKind::Mean => Ok(()),
        ScoreKind::Snip => ops::score_times_weight(be, weight, scores),
        ScoreKind::Random => {
            ops::score_random(be, Stream::new(seed, Purpose::Mask, 0, u64::from(adapter.site)), scores)
        }
        ScoreKind::Magnitude => {
            *scores = Matrix::upload(be, scores.rows(), scores.cols(), vec![1.0; scores.len()])?;
            ops::score_times_weight(be, weight, scores)
        }
    }
}

/// Checks that `masks` holds one for every adapter with a density above zero, and no other.
///
/// # Errors
/// [`Error::Setting`] when a target has no mask, a mask has another shape than its weight, or its module is not
/// among the targets.
pub fn check<B: Backend>(model: &Model<B>, masks: &BTreeMap<String, Arc<CsrPattern<B>>>) -> Result<()> {
    let wrong = |found: String, expected: String| Err(Error::setting("--mask", found, expected));
    let mut foreign: BTreeSet<_> = masks.keys().collect();
    for (adapter, _) in model.adapters().into_iter().filter(|(adapter, _)| adapter.density > 0.0) {
        let (module, (rows, cols)) = (&adapter.module, adapter.shape);
        let Some(mask) = masks.get(module) else {
            return wrong("without a mask".to_owned(), format!("one for {module}"));
        };
        if (mask.rows(), mask.cols()) != (rows, cols) {
            let found = format!("a mask of shape [{}, {}] for {module}", mask.rows(), mask.cols());
            return wrong(found, format!("[{rows}, {cols}], as the weight has"));
        }
        foreign.remove(module);
    }
    match foreign.first() {
        None => Ok(()),
        Some(module) => wrong(format!("a mask for {module}"), "target modules only".to_owned()),
    }
}

/// Gives each adapter the density of its mask in place of the one that was asked for.
pub fn take_densities<B: Backend>(model: &mut Model<B>, masks: &BTreeMap<String, Arc<CsrPattern<B>>>) {
    for adapter in model.adapters_mut() {
        if let Some(mask) = masks.get(&adapter.module) {
            // An empty mask is one too: none of its entries, but above zero.
            adapter.density = mask.density().max(f64::MIN_POSITIVE);
        }
    }
}

/// Begins S in every adapter that `masks` names.
///
/// # Errors
/// See [`check`]; out of memory.
pub fn install<B: Backend>(
    be: &B,
    model: &mut Model<B>,
    mut masks: BTreeMap<String, Arc<CsrPattern<B>>>,
) -> Result<()> {
    check(model, &masks)?;
    for adapter in model.adapters_mut() {
        if let Some(pattern) = masks.remove(&adapter.module) {
            adapter.begin_sparse(be, pattern)?;
        }
    }
    Ok(())
}
