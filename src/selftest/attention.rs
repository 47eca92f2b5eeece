//! Attention over packed sequences, and its gradients.

use super::{
    Case, Exact,
    inputs::{bytes, matrix, numbers, on_tensor_cores},
};
use crate::{
    backend::{Backend, Heads, Rounding},
    error::Result,
    num::to_usize,
    ops,
    packing::{Packing, Sequence},
    profile::Work,
    tensor::Matrix,
};
use half::bf16;
use std::ops::Range;

/// The operands on the host, in f64.
struct Problem {
    sequences: Vec<Sequence>,
    heads: Heads,
    q: Vec<f64>,
    k: Vec<f64>,
    v: Vec<f64>,
    /// Of a backward pass.
    dy: Vec<f64>,
    y: Vec<f64>,
    lse: Vec<f64>,
}

impl Problem {
    fn group(&self) -> usize {
        self.heads.heads / self.heads.kv_heads
    }

    /// The rows of the sequence that a row belongs to.
    fn sequence(&self, row: usize) -> Range<usize> {
        let rows = |s: &Sequence| to_usize(s.q_start)..to_usize(s.q_start + s.q_len);
        self.sequences.iter().map(rows).find(|rows| rows.contains(&row)).unwrap_or(0..0)
    }

    /// The keys that a query sees.
    fn keys(&self, query: usize) -> Range<usize> {
        self.sequence(query).start..query + 1
    }

    fn query(&self, row: usize, head: usize) -> Range<usize> {
        let start = (row * self.heads.heads + head) * self.heads.head_dim;
        start..start + self.heads.head_dim
    }

    fn key(&self, row: usize, head: usize) -> Range<usize> {
        let start = (row * self.heads.kv_heads + head / self.group()) * self.heads.head_dim;
        start..start + self.heads.head_dim
    }

    /// `q·kᵀ/√e`.
    fn score(&self, query: usize, head: usize, key: usize) -> f64 {
        let (q, k) = (&self.q[self.query(query, head)], &self.k[self.key(key, head)]);
        q.iter().zip(k).map(|(q, k)| q * k).sum::<f64>() / (self.heads.head_dim as f64).sqrt()
    }

    fn log_sum(&self, query: usize, head: usize) -> f64 {
        self.keys(query).map(|key| self.score(query, head, key).exp()).sum::<f64>().ln()
    }

    /// `P` of a pair, from what the forward pass has saved.
    fn weight(&self, query: usize, head: usize, key: usize) -> f64 {
        (self.score(query, head, key) - self.lse[query * self.heads.heads + head]).exp()
    }

    /// `dS` of a pair, with the magnitude of the terms it is made of.
    fn slope(&self, query: usize, head: usize, key: usize) -> Exact {
        let (of_query, of_key) = (self.query(query, head), self.key(key, head));
        let (dy, y) = (&self.dy[of_query.clone()], &self.y[of_query]);
        let towards = dy.iter().zip(&self.v[of_key]).map(|(dy, v)| (*dy, *v));
        let mean = dy.iter().zip(y).map(|(dy, y)| (-dy, *y));
        let factor = self.weight(query, head, key) / (self.heads.head_dim as f64).sqrt();
        let sum = Exact::sum(towards.chain(mean));
        Exact { value: factor * sum.value, magnitude: factor * sum.magnitude }
    }

    /// `Σ slope·factor` over the pairs.
    fn sum(pairs: impl Iterator<Item = (Exact, f64)>) -> Exact {
        pairs.fold(Exact::default(), |sum, (slope, factor)| Exact {
            value: sum.value + slope.value * factor,
            magnitude: sum.magnitude + slope.magnitude * factor.abs(),
        })
    }

    /// The queries that see a key, with each head that shares it.
    fn pairs_of_key(&self, key: usize, kv_head: usize) -> impl Iterator<Item = (usize, usize)> {
        let heads = kv_head * self.group()..(kv_head + 1) * self.group();
        (key..self.sequence(key).end).flat_map(move |query| heads.clone().map(move |head| (query, head)))
    }
}

/// The roundings of a number that `of_weights` weights and `others` sums make, as many as f32 has at most.
///
/// A weight's score is a sum of e products of magnitude √e at most, scaled, less a maximum; exp adds 4. On tensor cores a
/// sum may be cut, which counts twice, and the constants that take a score to a power of 2 and back round too: three
/// units for one. One number of each term, P or dS, is rounded to the activations' type, or as an operation may.
fn roundings<B: Backend>(
    rounding: Rounding,
    e: usize,
    longest: usize,
    of_weights: usize,
    others: usize,
) -> usize {
    let scores = (e as f64 + 4.0) * (e as f64).sqrt() + (longest as f64).ln();
    let n = of_weights * (crate::num::whole(scores.ceil()) + 4) + others;
    let n = if on_tensor_cores::<B>() { 3 * n } else { n };
    // 2⁻⁸, in units of 2⁻²⁴.
    if on_tensor_cores::<B>() || rounding == Rounding::ToBf16 { n + (1 << 16) } else { n }
}

fn shape(lengths: &[usize], heads: Heads, rounding: Rounding) -> String {
    let Heads { heads, kv_heads, head_dim } = heads;
    let lengths: Vec<_> = lengths.iter().map(usize::to_string).collect();
    let rounded = if rounding == Rounding::ToBf16 { ", bf16" } else { "" };
    format!("{} tokens, {heads}/{kv_heads} heads of {head_dim}{rounded}", lengths.join("+"))
}

/// An activation matrix with the numbers of `seed`, which `rounding` leaves as they are, and these numbers.
fn act<B: Backend>(
    be: &B,
    rounding: Rounding,
    rows: usize,
    cols: usize,
    seed: u64,
) -> Result<(Matrix<B>, Vec<f32>)> {
    let numbers = match rounding {
        Rounding::Never => numbers::<B::Act>(seed, rows * cols),
        Rounding::ToBf16 => numbers::<bf16>(seed, rows * cols),
    };
    Ok((matrix(be, rows, cols, &numbers)?, numbers))
}

/// `products` products of queries with all the keys that they see.
fn flops(lengths: &[usize], heads: Heads, products: usize) -> usize {
    lengths.iter().map(|t| products * t * (t + 1) * heads.heads * heads.head_dim).sum()
}

fn wide<B: Backend>(be: &B, x: &Matrix<B>) -> Result<Vec<f64>> {
    use crate::device::Float;
    Ok(x.download(be)?.into_iter().map(|x| x.to_f32().into()).collect())
}

/// Operands and outputs of a forward pass.
struct Forward<B: Backend> {
    packing: Packing<B>,
    /// q, k, v.
    operands: [Matrix<B>; 3],
    /// Of no value yet.
    y: Matrix<B>,
    lse: Matrix<B, f32>,
    problem: Problem,
}

fn prepare<B: Backend>(be: &B, lengths: &[usize], heads: Heads, rounding: Rounding) -> Result<Forward<B>> {
    let packing = Packing::causal(be, lengths)?;
    let t = packing.tokens();
    let (width, kv_width) = (heads.heads * heads.head_dim, heads.kv_heads * heads.head_dim);
    let ((q, qs), (k, ks), (v, vs)) = (
        act(be, rounding, t, width, 1)?,
        act(be, rounding, t, kv_width, 2)?,
        act(be, rounding, t, kv_width, 3)?,
    );
    let [qs, ks, vs] = [qs, ks, vs].map(|x| x.into_iter().map(f64::from).collect());
    let none = Vec::new;
    let sequences = packing.sequences().to_vec();
    let problem = Problem { sequences, heads, q: qs, k: ks, v: vs, dy: none(), y: none(), lse: none() };
    let (y, lse) = (act(be, rounding, t, width, 9)?.0, Matrix::zeros(be, t, heads.heads)?);
    Ok(Forward { packing, operands: [q, k, v], y, lse, problem })
}

/// `y = softmax(q·kᵀ/√e)·v` and `lse = ln Σ exp(q·kᵀ/√e)`.
pub(super) fn forward<B: Backend>(
    be: &B,
    lengths: &[usize],
    heads: Heads,
    rounding: Rounding,
) -> Result<Case> {
    let Forward { packing, operands: [q, k, v], y, lse, problem } = prepare(be, lengths, heads, rounding)?;
    let (h, e, longest) = (heads.heads, heads.head_dim, packing.longest());
    let (t, width, kv_width) = (packing.tokens(), h * e, heads.kv_heads * e);
    let (on, after) = (be.clone(), be.clone());
    Ok(Case::new(
        shape(lengths, heads, rounding),
        Work::new(flops(lengths, heads, 2), bytes::<B>() * t * (2 * width + 2 * kv_width) + 4 * t * h),
        (y, lse),
        move |(y, lse)| ops::attention(&on, &q, &k, &v, &packing, heads, rounding, y, lse),
        move |(y, lse), verdict| {
            // The weights stand above and below the division; each is in a sum over the keys.
            verdict.matrix(&after, y, roundings::<B>(rounding, e, longest, 2, 2 * longest + 2), |i| {
                let (query, head, column) = (i / width, i / e % h, i % e);
                let log_sum = problem.log_sum(query, head);
                Exact::sum(problem.keys(query).map(|key| {
                    let weight = (problem.score(query, head, key) - log_sum).exp();
                    (weight, problem.v[problem.key(key, head).start + column])
                }))
            })?;
            // A relative error of the sum, which is one of weights as they are, is an absolute one of its logarithm.
            verdict.matrix(&after, lse, roundings::<B>(Rounding::Never, e, longest, 1, longest + 4), |i| {
                let magnitude = 1.0 + (e as f64).sqrt() + (longest as f64).ln();
                Exact { value: problem.log_sum(i / h, i % h), magnitude }
            })
        },
    ))
}

/// `dq = dS·k`, `dk = dSᵀ·q`, `dv = Pᵀ·dy`.
pub(super) fn backward<B: Backend>(
    be: &B,
    lengths: &[usize],
    heads: Heads,
    rounding: Rounding,
) -> Result<Case> {
    let Forward { packing, operands: [q, k, v], mut y, mut lse, mut problem } =
        prepare(be, lengths, heads, rounding)?;
    ops::attention(be, &q, &k, &v, &packing, heads, rounding, &mut y, &mut lse)?;
    let (h, g, e) = (heads.heads, heads.kv_heads, heads.head_dim);
    let (t, width, kv_width) = (packing.tokens(), h * e, g * e);
    let (dy, dys) = act(be, rounding, t, width, 4)?;
    problem.dy = dys.into_iter().map(f64::from).collect();
    problem.y = wide(be, &y)?;
    problem.lse = lse.download(be)?.into_iter().map(f64::from).collect();
    let outputs = (
        act(be, rounding, t, width, 7)?.0,
        act(be, rounding, t, kv_width, 8)?.0,
        act(be, rounding, t, kv_width, 9)?.0,
    );
    // A weight, dy·(v − y) with e products and sums and their difference, three products, and a sum over all keys or
    // over all queries of the heads that share a key.
    let terms = packing.longest() * problem.group();
    let n = roundings::<B>(rounding, e, packing.longest(), 1, e + 1 + 3 + terms);
    let (on, after) = (be.clone(), be.clone());
    Ok(Case::new(
        shape(lengths, heads, rounding),
        Work::new(flops(lengths, heads, 5), bytes::<B>() * t * (4 * width + 4 * kv_width) + 4 * t * h),
        outputs,
        move |(dq, dk, dv)| {
            ops::attention_backward(&on, &q, &k, &v, &y, &lse, &dy, &packing, heads, rounding, dq, dk, dv)
        },
        move |(dq, dk, dv), verdict| {
            verdict.matrix(&after, dq, n, |i| {
                let (query, head, column) = (i / width, i / e % h, i % e);
                Problem::sum(problem.keys(query).map(|key| {
                    (problem.slope(query, head, key), problem.k[problem.key(key, head).start + column])
                }))
            })?;
            verdict.matrix(&after, dk, n, |i| {
                let (key, kv_head, column) = (i / kv_width, i / e % g, i % e);
                Problem::sum(problem.pairs_of_key(key, kv_head).map(|(query, head)| {
                    (problem.slope(query, head, key), problem.q[problem.query(query, head).start + column])
                }))
            })?;
            verdict.matrix(&after, dv, n, |i| {
                let (key, kv_head, column) = (i / kv_width, i / e % g, i % e);
                Exact::sum(problem.pairs_of_key(key, kv_head).map(|(query, head)| {
                    (problem.weight(query, head, key), problem.dy[problem.query(query, head).start + column])
                }))
            })
        },
    ))
}
