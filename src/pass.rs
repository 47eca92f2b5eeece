//! What every layer needs to know about the micro-batch at hand.

use crate::{
    backend::Backend,
    error::Result,
    packing::Packing,
    rng::{Purpose, Stream},
    tensor::{Ids, Matrix},
};
use std::ops::Range;

/// A micro-batch on the device: packed sequences, and which of their rows predict which tokens.
pub struct Batch<B: Backend> {
    /// The input token of every row.
    pub ids: Ids<B>,
    /// The same on the host.
    pub tokens: Vec<u32>,
    /// The position of every row within its sequence.
    pub positions: Ids<B>,
    /// The sequences.
    pub packing: Packing<B>,
    /// The rows whose next token carries loss, rising; on the host.
    pub loss_rows: Vec<u32>,
    /// That next token, for each of `loss_rows`.
    pub targets: Vec<u32>,
    /// For each sequence, its part of `loss_rows`.
    pub loss_ranges: Vec<Range<usize>>,
}

/// A sequence of tokens and the ranges of them that carry loss.
#[derive(Clone, Copy, Debug)]
pub struct Tokens<'a> {
    /// All tokens; the last one is only predicted, never read.
    pub tokens: &'a [u32],
    /// Rising, disjoint ranges of `tokens`.
    pub loss: &'a [Range<usize>],
}

impl<B: Backend> Batch<B> {
    /// Packs `sequences` (each of two tokens or more) for training: row `i` of a sequence reads token `i`
    /// and predicts token `i + 1`.
    ///
    /// # Errors
    /// When the device is out of memory, or for a sequence of fewer than two tokens.
    pub fn new(be: &B, sequences: &[Tokens<'_>]) -> Result<Self> {
        let mut tokens = Vec::new();
        let (mut lengths, mut loss_rows, mut targets) = (Vec::new(), Vec::new(), Vec::new());
        let mut loss_ranges = Vec::new();
        for sequence in sequences {
            let (first_row, first_loss) = (tokens.len(), loss_rows.len());
            let inputs = sequence.tokens.len().saturating_sub(1);
            tokens.extend_from_slice(&sequence.tokens[..inputs]);
            lengths.push(inputs);
            for target in sequence.loss.iter().cloned().flatten().filter(|&target| target > 0) {
                loss_rows.push(crate::num::to_u32("tokens", first_row + target - 1)?);
                targets.push(sequence.tokens[target]);
            }
            loss_ranges.push(first_loss..loss_rows.len());
        }
        let packing = Packing::causal(be, &lengths)?;
        Ok(Self {
            ids: Ids::upload(be, tokens.clone())?,
            tokens,
            positions: Ids::upload(be, packing.positions())?,
            packing,
            loss_rows,
            targets,
            loss_ranges,
        })
    }

    /// The pass of this batch through a model whose rotary tables are `rope`, as in evaluation: without dropout.
    pub fn pass<'a>(&'a self, be: &'a B, rope: &'a Rope<B>) -> Pass<'a, B> {
        Pass {
            be,
            packing: &self.packing,
            positions: &self.positions,
            rope,
            dropout: None,
            score_ranges: &[],
            keep: Keep::Everything,
        }
    }
}

/// Which gradients are squared together when a mask's scores are collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Granularity {
    /// Each example's: the empirical Fisher information; the same for every micro-batch size.
    Example,
    /// Each micro-batch's, as the reference implementation does.
    MicroBatch,
}

/// Where the dropout masks of a training step come from; evaluation has none.
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    /// The probability that an element is zeroed.
    pub p: f32,
    /// The run's seed.
    pub seed: u64,
    /// The optimizer step.
    pub step: usize,
    /// The number of the batch's tokens in micro-batches before this one, so that the masks do not
    /// depend on how a batch is split.
    pub first_row: usize,
    /// Likewise for rows that carry loss, which the head counts.
    pub first_loss_row: usize,
}

impl Dropout {
    /// The stream of module number `site` at this step.
    #[must_use]
    pub fn stream(&self, site: u32) -> Stream {
        Stream::new(self.seed, Purpose::Dropout, self.step as u64, u64::from(site))
    }
}

/// What a training step's forward pass keeps of each block for the backward pass. The bits do not depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// All that the backward pass reads.
    Everything,
    /// The block's input: the rest is computed again, right before its backward pass (Chen et al., arXiv 1604.06174).
    BlockInputs,
}

/// One trip of a micro-batch through the model.
pub struct Pass<'a, B: Backend> {
    /// Where everything happens.
    pub be: &'a B,
    /// The sequences.
    pub packing: &'a Packing<B>,
    /// The position of every row within its sequence.
    pub positions: &'a Ids<B>,
    /// The cosines and sines of rotary embedding, a row per position.
    pub rope: &'a Rope<B>,
    /// Dropout, in training.
    pub dropout: Option<Dropout>,
    /// The row ranges whose gradients are squared together when scores are collected.
    pub score_ranges: &'a [Range<usize>],
    /// What is kept for the backward pass.
    pub keep: Keep,
}

/// The rotary embedding's tables `[positions, head_dim / 2]`.
pub struct Rope<B: Backend> {
    /// Cosines.
    pub cos: Matrix<B, f32>,
    /// Sines.
    pub sin: Matrix<B, f32>,
}

impl<B: Backend> Rope<B> {
    /// Tables for positions below `positions`, turning dimension `j` by `position · inverse_frequencies[j]`.
    /// The angle is formed in f32, as the models were trained; its cosine and sine are rounded once.
    ///
    /// # Errors
    /// When the device is out of memory.
    pub fn new(be: &B, inverse_frequencies: &[f32], positions: usize) -> Result<Self> {
        let angles: Vec<f64> = (0..positions)
            .flat_map(|p| inverse_frequencies.iter().map(move |&f| f64::from(p as f32 * f)))
            .collect();
        let table = |f: fn(f64) -> f64| {
            let values = angles.iter().map(|&a| crate::num::to_f32(f(a))).collect();
            Matrix::upload(be, positions, inverse_frequencies.len(), values)
        };
        Ok(Self { cos: table(f64::cos)?, sin: table(f64::sin)? })
    }
}
