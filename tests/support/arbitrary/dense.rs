//! Dense values, and the packed sequences of a batch.

use proptest::prelude::*;
use rosa_kernels::{
    backend::{Backend, Heads},
    rng::{Purpose, Stream},
};

/// `count` numbers in `[-1, 1)`, rounded to the activation type of the backend.
pub fn numbers<B: Backend>(seed: u64, count: usize) -> Vec<f32> {
    let stream = Stream::new(seed, Purpose::Data, 0, 0);
    let raw: Vec<f32> = (0..count as u64).map(|i| 2.0 * stream.uniform(i) - 1.0).collect();
    crate::support::stored::<B>(&raw)
}

/// `count` indices below `bound`, with repetitions.
pub fn indices(seed: u64, count: usize, bound: u32) -> Vec<u32> {
    let stream = Stream::new(seed, Purpose::Shuffle, 0, 0);
    (0..count as u64).map(|i| stream.below(i, bound)).collect()
}

/// An attention problem: lengths of the sequences, and heads that share keys evenly.
pub fn attention() -> impl Strategy<Value = (Vec<usize>, Heads)> {
    let heads = (1..4_usize, 1..4_usize, 1..9_usize).prop_map(|(kv_heads, group, half)| Heads {
        heads: kv_heads * group,
        kv_heads,
        head_dim: 2 * half,
    });
    (prop::collection::vec(1..90_usize, 1..4), heads)
}
