//! Packed sequences: a batch is its sequences one after the other, without padding.

use crate::{
    device::Device,
    error::{Error, Result},
    num,
};

/// One sequence: which rows of `q` attend to which rows of `k` and `v`.
///
/// Query `i` of the sequence sees its keys `0 ..= k_len − q_len + i`: in training `k_len = q_len`
/// (causal attention), in decoding the keys of earlier tokens stand in a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct Sequence {
    /// First row in `q`.
    pub q_start: u32,
    /// Rows in `q`, at least 1.
    pub q_len: u32,
    /// First row in `k` and `v`.
    pub k_start: u32,
    /// Rows in `k` and `v`, at least `q_len`.
    pub k_len: u32,
}

/// The sequences of a batch.
///
/// Invariants: the query rows of consecutive sequences follow each other from 0 to `tokens()`;
/// `1 ≤ q_len ≤ k_len`; every key row lies below `keys()`.
pub struct Packing<D: Device> {
    sequences: Vec<Sequence>,
    on_device: D::Buffer<u32>,
    tokens: usize,
    keys: usize,
}

impl<D: Device> Packing<D> {
    /// Sequences of these lengths, each attending to itself: the packing of a training batch.
    ///
    /// # Errors
    /// [`Error::Index`] for an empty sequence, [`Error::TooLarge`] beyond 2³² tokens.
    pub fn causal(device: &D, lengths: &[usize]) -> Result<Self> {
        let mut start = 0;
        let mut sequences = Vec::with_capacity(lengths.len());
        for &length in lengths {
            let (q_start, q_len) = (num::to_u32("tokens", start)?, num::to_u32("tokens", length)?);
            sequences.push(Sequence { q_start, q_len, k_start: q_start, k_len: q_len });
            start += length;
        }
        Self::new(device, sequences)
    }

    /// Any sequences that keep the invariants.
    ///
    /// # Errors
    /// [`Error::Index`] for the first sequence that breaks one.
    pub fn new(device: &D, sequences: Vec<Sequence>) -> Result<Self> {
        let (mut tokens, mut keys) = (0, 0);
        for s in &sequences {
            let broken = |what, index: u32, bound| {
                Err(Error::Index { op: "Packing::new", what, index: index as usize, bound })
            };
            if s.q_start as usize != tokens {
                return broken("query start (sequences must follow each other)", s.q_start, tokens);
            }
            if s.q_len == 0 || s.q_len > s.k_len {
                return broken("query length (from 1 to the number of keys)", s.q_len, s.k_len as usize + 1);
            }
            tokens += s.q_len as usize;
            keys = keys.max(s.k_start as usize + s.k_len as usize);
        }
        num::to_u32("tokens", tokens.max(keys))?;
        let on_device = device.upload(bytemuck::cast_slice(&sequences).to_vec())?;
        Ok(Self { sequences, on_device, tokens, keys })
    }

    /// The sequences, on the host.
    pub fn sequences(&self) -> &[Sequence] {
        &self.sequences
    }

    /// The same, four u32 each ([`Sequence`]'s fields in order), on the device.
    pub fn on_device(&self) -> &D::Buffer<u32> {
        &self.on_device
    }

    /// The number of query rows.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// The number of key rows that must exist.
    pub fn keys(&self) -> usize {
        self.keys
    }

    /// The position of every query within its sequence, which is what rotary embedding turns by.
    #[must_use]
    pub fn positions(&self) -> Vec<u32> {
        self.sequences.iter().flat_map(|s| s.k_len - s.q_len..s.k_len).collect()
    }

    /// The query rows of each sequence.
    #[must_use]
    pub fn query_ranges(&self) -> Vec<std::ops::Range<usize>> {
        self.sequences.iter().map(|s| s.q_start as usize..(s.q_start + s.q_len) as usize).collect()
    }

    /// The length of the longest sequence, keys included.
    pub fn longest(&self) -> usize {
        self.sequences.iter().map(|s| s.k_len as usize).max().unwrap_or(0)
    }
}
