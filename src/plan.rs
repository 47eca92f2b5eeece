//! What a run will need, before it starts: parameters of each part and bytes of each kind.

use crate::{
    adapter::Adapter,
    architecture::Architecture,
    backend::Backend,
    data::Example,
    device::Device,
    layers::Head,
    model::Model,
    options::{Method, TrainOptions},
    pass::Keep,
    schedule::Schedule,
    tensor::Weight,
};
use serde::Serialize;

/// The number of trained parameters, by part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Budget {
    /// Entries of A and B.
    pub low_rank: usize,
    /// Entries of S.
    pub sparse: usize,
    /// Weights of the base.
    pub base: usize,
}

impl Budget {
    /// All trained parameters.
    #[must_use]
    pub fn total(&self) -> usize {
        self.low_rank + self.sparse + self.base
    }
}

/// The memory that a run holds at its fullest, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MemoryPlan {
    /// The base model.
    pub weights: usize,
    /// The part of it that is held in 4 bits.
    pub quantized: Quantized,
    /// Adapter values, f32, with their sparse indices (the transposed ones too) and what the device's kernels plan.
    pub adapters: usize,
    /// Gradients of what is trained, f32.
    pub gradients: usize,
    /// The two moments of AdamW, f32.
    pub moments: usize,
    /// Scores of the mask, f32, one per entry of every target; only until the mask is chosen.
    pub scores: usize,
    /// The dense gradient of the embedding, f32, while its scores are collected; no other is ever stored.
    pub scratch: usize,
    /// What the forward pass of the largest micro-batch keeps for the backward pass, the loss's logits, and the copy of
    /// its weight that a product may make.
    pub activations: usize,
    /// The same while scores are collected, when blocks keep their inputs alone.
    pub activations_of_scores: usize,
}

/// The weights that are held in 4 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Quantized {
    /// How many there are.
    pub weights: usize,
    /// What they take, with the magnitudes of their blocks.
    pub bytes: usize,
}

impl Quantized {
    /// The bits that each weight takes; `None` where none is quantized.
    #[must_use]
    pub fn bits(&self) -> Option<f64> {
        (self.weights > 0).then(|| (8 * self.bytes) as f64 / self.weights as f64)
    }
}

impl MemoryPlan {
    /// At the fullest, with the scores or with all activations: an upper bound, since S begins only when the scores end.
    #[must_use]
    pub fn total(&self) -> usize {
        let state = self.weights + self.adapters + self.gradients + self.moments;
        state + self.activations.max(self.scores + self.scratch + self.activations_of_scores)
    }
}

/// Trained parameters of a model with its adapters attached, S counted as it will be.
#[must_use]
pub fn budget<B: Backend>(model: &Model<B>, options: &TrainOptions) -> Budget {
    let mut budget = Budget::default();
    for (adapter, _) in model.adapters() {
        let (rows, cols) = adapter.shape;
        budget.sparse += crate::num::fraction_of(adapter.density, rows * cols);
        budget.low_rank += adapter.low_rank.as_ref().map_or(0, |l| l.a.value.len() + l.b.value.len());
    }
    if options.method == Method::Full {
        budget.base = weights_of(&model.architecture);
    }
    budget
}

/// The number of weights of the base.
#[must_use]
pub fn weights_of(architecture: &Architecture) -> usize {
    architecture.tensors().iter().map(|(_, shape)| shape.iter().product::<usize>()).sum()
}

/// The memory that training `model` on `examples` takes.
#[must_use]
pub fn memory<B: Backend>(model: &Model<B>, options: &TrainOptions, examples: &[Example]) -> MemoryPlan {
    const F32: usize = size_of::<f32>();
    let budget = budget(model, options);
    let entries = |counts: &dyn Fn(&Adapter<B>) -> bool| -> usize {
        let adapters = model.adapters();
        let targets = adapters.iter().filter(|(a, _)| a.density > 0.0 && counts(a));
        targets.map(|(a, _)| a.shape.0 * a.shape.1).sum()
    };
    let collects = options.mask.is_none() && options.schedule != Schedule::LowRankOnly;
    let vectors: usize =
        model.architecture.tensors().iter().filter(|(_, s)| s.len() == 1).map(|(_, s)| s[0]).sum();
    let distinct = model.distinct_weights();
    let matrices: usize = distinct.iter().map(Weight::bytes).sum();
    let mut quantized = Quantized::default();
    for weight in distinct.iter().filter(|weight| matches!(weight, Weight::Nf4(_))) {
        quantized.weights += weight.rows() * weight.cols();
        quantized.bytes += weight.bytes();
    }
    let copy = |weight: Weight<'_, B>| match weight {
        Weight::F32(_) => 0,
        weight => B::COPY_BYTES * weight.rows() * weight.cols(),
    };
    let quantized_weights = distinct.iter().filter(|weight| matches!(weight, Weight::Nf4(_))).copied();
    let adapters = model.adapters().into_iter().filter(|(adapter, _)| adapter.density > 0.0);
    let adapted = adapters.map(|(_, weight)| weight);
    let largest_copy = quantized_weights.chain(adapted).map(copy).max().unwrap_or(0);
    let activations =
        |keep| largest_copy + activation_bytes::<B>(&model.architecture, options, keep, examples);
    MemoryPlan {
        weights: matrices + F32 * vectors,
        quantized,
        adapters: F32 * budget.low_rank + (4 * F32 + B::PLAN_BYTES) * budget.sparse,
        gradients: F32 * budget.total(),
        moments: 2 * F32 * budget.total(),
        scores: if collects { F32 * entries(&|_| true) } else { 0 },
        scratch: if collects { F32 * entries(&|a| a.module == Architecture::EMBEDDING) } else { 0 },
        activations: activations(options.keep()),
        activations_of_scores: if collects { activations(Keep::BlockInputs) } else { 0 },
    }
}

/// Bytes that the micro-batch of the longest examples keeps, block by block, with the largest temporaries of the
/// backward pass and a chunk of logits.
fn activation_bytes<B: Backend>(
    a: &Architecture,
    options: &TrainOptions,
    keep: Keep,
    examples: &[Example],
) -> usize {
    let mut lengths: Vec<_> = examples.iter().map(|e| (e.tokens.len() - 1, e.target_count())).collect();
    lengths.sort_unstable_by(|l, r| r.cmp(l));
    lengths.truncate(options.micro_batch);
    let tokens: usize = lengths.iter().map(|(tokens, _)| tokens).sum();
    let loss_tokens: usize = lengths.iter().map(|(_, loss)| loss).sum();

    let (hidden, wide) = (a.hidden_size, a.intermediate_size);
    let (q, kv) = (a.heads * a.head_dim, a.kv_heads * a.head_dim);
    // x, h; q, k, v, mixed; gate, up; u of seven adapters; and the softmax's logarithms, always f32.
    let kept = 2 * hidden + 2 * q + 2 * kv + 2 * wide + 7 * options.rank;
    let in_backward = 3 * hidden + wide.max(2 * q + 2 * kv) + wide.max(hidden);
    let chunk = loss_tokens.min(Head::<B>::chunk_rows(a.vocab_size, loss_tokens));
    let head = chunk * (a.vocab_size + 3 * hidden);
    let act = size_of::<<B as Device>::Act>();
    let block = act * kept + size_of::<f32>() * a.heads;
    let blocks = match keep {
        Keep::Everything => a.layers * block,
        // The inputs of all, and one block in full.
        Keep::BlockInputs => a.layers * act * hidden + block,
    };
    tokens * (blocks + act * in_backward) + act * head
}
