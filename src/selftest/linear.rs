//! A linear layer with its bias and its adapter in one call.

use super::{
    Case, Exact,
    inputs::{act, bytes, frozen, matrix, met, name, numbers, on_tensor_cores},
    sparse::Host,
};
use crate::{
    backend::{AdapterGrads, Backend, Factors, LinearTerms, LowRankTerm, Write},
    error::Result,
    ops,
    profile::Work,
    tensor::{Matrix, Precision},
};
use half::bf16;

const SCALE: f32 = 0.75;

/// Sizes of a layer `[n, k]` for `t` tokens, with an adapter of this rank and density.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    pub(super) t: usize,
    pub(super) n: usize,
    pub(super) k: usize,
    pub(super) rank: usize,
    pub(super) density: f64,
    pub(super) precision: Precision,
}

impl Sizes {
    fn shape(self) -> String {
        format!("{} tokens, {} {}×{}, rank {}", self.t, name(self.precision), self.n, self.k, self.rank)
    }

    fn work<B: Backend>(self, weight: usize, nnz: usize) -> Work {
        let Self { t, n, k, rank, .. } = self;
        Work::new(
            2 * t * (n * k + nnz + n * rank),
            bytes::<B>() * t * (n + k + rank) + weight + 8 * nnz + 4 * rank * n,
        )
    }

    /// The roundings of an element with `depth` products with W, as many with S at most, and the low-rank ones; where
    /// the parts do not join, sums of them are rounded to the activations' type three times on the way; where S joins a
    /// 4-bit weight, W counts as rounded here, and S too, but their sum is rounded there: two roundings of either. On tensor
    /// cores a sum may be cut, which counts twice, and an f32 factor is two bf16 numbers, off by 2⁻¹⁷: 128 roundings.
    fn roundings<B: Backend>(self, depth: usize) -> usize {
        let terms = 2 * depth + self.rank + 6;
        if on_tensor_cores::<B>() { 4 * terms + 128 + 4 * (1 << 16) } else { terms }
    }

    /// What activations and weight count as in a product of so many tokens, and S where it has a product of its own.
    fn met<B: Backend>(
        self,
        be: &B,
        tokens: usize,
        xs: Vec<f32>,
        mut ws: Vec<f32>,
        s: Host,
    ) -> (Vec<f32>, Vec<f32>, Host) {
        let joins = self.precision != Precision::F32 && be.rounds_sum_to_bf16(self.t);
        let apart = if joins { s.join(&mut ws) } else { s.counted(be) };
        let (xs, ws) = met(be, tokens, self.precision, xs, ws);
        (xs, ws, apart)
    }

    /// Those of an element with a term through u: u's own sums, and the rounding of its activations, of both factors and of
    /// itself to bf16, each as large as 2¹⁵ to f32.
    fn through_u<B: Backend>(self, depth: usize) -> usize {
        2 * self.roundings::<B>(depth) + 4 * (1 << 15)
    }
}

/// `y = x·(w + s)ᵀ + bias + scale·u·factorᵀ`.
pub(super) fn forward<B: Backend>(be: &B, sizes: Sizes) -> Result<Case> {
    let Sizes { t, n, k, rank, density, precision } = sizes;
    let ((x, xs), (w, ws)) = (act(be, t, k, 1)?, frozen(be, [n, k], precision)?);
    let (biases, host, factors) =
        (numbers::<f32>(3, n), Host::new(n, k, density)?, numbers::<f32>(4, n * rank));
    let (bias, s, (u, us)) = (matrix::<_, f32>(be, 1, n, &biases)?, host.upload(be)?, act(be, t, rank, 5)?);
    let (factor, (y, _)) = (matrix::<_, f32>(be, n, rank, &factors)?, act(be, t, n, 9)?);
    let work = sizes.work::<B>(w.weight().bytes(), host.nnz());
    let (met_xs, ws, apart) = sizes.met(be, t, xs.clone(), ws, host);
    let (on, after) = (be.clone(), be.clone());
    Ok(Case::new(
        sizes.shape(),
        work,
        y,
        move |y| {
            let low_rank = Some(LowRankTerm { u: &u, factor: &factor, scale: SCALE });
            let terms = LinearTerms { bias: Some(&bias), sparse: Some(&s), low_rank };
            ops::linear(&on, &x, w.weight(), terms, y)
        },
        move |y, verdict| {
            verdict.matrix(&after, y, sizes.roundings::<B>(k), |i| {
                let (token, row) = (i / n, i % n);
                let (x, u) = (&xs[token * k..][..k], &us[token * rank..][..rank]);
                let dense = products(met_xs[token * k..][..k].iter().zip(&ws[row * k..]), 1.0);
                let sparse = apart.row(row).map(|(j, value)| (f64::from(x[j]), value));
                let low_rank = products(u.iter().zip(&factors[row * rank..]), SCALE);
                Exact::sum(dense.chain(sparse).chain(low_rank)).plus(biases[row].into())
            })
        },
    ))
}

/// `dx += dy·(w + s) + scale·u·factor`.
pub(super) fn backward<B: Backend>(be: &B, sizes: Sizes) -> Result<Case> {
    let Sizes { t, n, k, rank, density, precision } = sizes;
    let ((dy, dys), (w, ws)) = (act(be, t, n, 1)?, frozen(be, [n, k], precision)?);
    let (host, factors) = (Host::new(n, k, density)?, numbers::<f32>(4, rank * k));
    let (s, (u, us)) = (host.upload(be)?, act(be, t, rank, 5)?);
    let (factor, (dx, dxs)) = (matrix::<_, f32>(be, rank, k, &factors)?, act(be, t, k, 6)?);
    let work = sizes.work::<B>(w.weight().bytes(), host.nnz());
    let (met_dys, ws, apart) = sizes.met(be, usize::MAX, dys.clone(), ws, host);
    let (on, after) = (be.clone(), be.clone());
    Ok(Case::new(
        sizes.shape(),
        work,
        dx,
        move |dx| {
            let low_rank = Some(LowRankTerm { u: &u, factor: &factor, scale: SCALE });
            let terms = LinearTerms { bias: None, sparse: Some(&s), low_rank };
            ops::linear_t(&on, &dy, w.weight(), terms, Write::Add, dx)
        },
        move |dx, verdict| {
            verdict.matrix(&after, dx, sizes.roundings::<B>(n), |i| {
                let (token, column) = (i / k, i % k);
                let (dy, u) = (&dys[token * n..][..n], &us[token * rank..][..rank]);
                let dense =
                    products(met_dys[token * n..][..n].iter().zip(ws.iter().skip(column).step_by(k)), 1.0);
                let sparse = apart.column(column).map(|(row, value)| (f64::from(dy[row]), value));
                let low_rank = products(u.iter().zip(factors.iter().skip(column).step_by(k)), SCALE);
                Exact::sum(dense.chain(sparse).chain(low_rank)).plus(dxs[i].into())
            })
        },
    ))
}

/// `u = x·aᵀ`, `y = x·(w + s)ᵀ + scale·u·bᵀ`, where u may be made of activations that are rounded for the product with w.
pub(super) fn adapted<B: Backend>(be: &B, sizes: Sizes) -> Result<Case> {
    let Sizes { t, n, k, rank, density, precision } = sizes;
    let ((x, xs), (w, ws)) = (act(be, t, k, 1)?, frozen(be, [n, k], precision)?);
    let (firsts, seconds) = (numbers::<f32>(3, rank * k), numbers::<f32>(4, n * rank));
    let (a, b) = (matrix::<_, f32>(be, rank, k, &firsts)?, matrix::<_, f32>(be, n, rank, &seconds)?);
    let host = Host::new(n, k, density)?;
    let (s, (y, _)) = (host.upload(be)?, act(be, t, n, 9)?);
    let work = sizes.work::<B>(w.weight().bytes(), host.nnz());
    let (met_xs, ws, apart) = sizes.met(be, t, xs.clone(), ws, host);
    let (on, after) = (be.clone(), be.clone());
    Ok(Case::new(
        sizes.shape(),
        work,
        y,
        move |y| {
            let (mut u, factors) = (Matrix::unwritten(&on, t, rank)?, Factors { a: &a, b: &b, scale: SCALE });
            let terms = LinearTerms { bias: None, sparse: Some(&s), low_rank: None };
            ops::adapted_linear(&on, &x, w.weight(), terms, factors, &mut u, y)
        },
        move |y, verdict| {
            verdict.matrix(&after, y, sizes.through_u::<B>(k), |i| {
                let (token, row) = (i / n, i % n);
                let x = &xs[token * k..][..k];
                let dense = products(met_xs[token * k..][..k].iter().zip(&ws[row * k..]), 1.0);
                let sparse = apart.row(row).map(|(j, value)| (f64::from(x[j]), value));
                let low_rank = seconds[row * rank..][..rank].iter().enumerate().flat_map(|(l, &b)| {
                    products(x.iter().zip(&firsts[l * k..]), SCALE).map(move |(x, a)| (x * f64::from(b), a))
                });
                Exact::sum(dense.chain(sparse).chain(low_rank))
            })
        },
    ))
}

/// `du = scale·dy·b`, `dx ← dy·(w + s) + du·a`, in the same way.
pub(super) fn adapted_t<B: Backend>(be: &B, sizes: Sizes) -> Result<Case> {
    let Sizes { t, n, k, rank, density, precision } = sizes;
    let ((dy, dys), (w, ws)) = (act(be, t, n, 1)?, frozen(be, [n, k], precision)?);
    let (firsts, seconds) = (numbers::<f32>(3, rank * k), numbers::<f32>(4, n * rank));
    let (a, b) = (matrix::<_, f32>(be, rank, k, &firsts)?, matrix::<_, f32>(be, n, rank, &seconds)?);
    let host = Host::new(n, k, density)?;
    let (s, (dx, _)) = (host.upload(be)?, act(be, t, k, 9)?);
    let work = sizes.work::<B>(w.weight().bytes(), host.nnz());
    let (met_dys, ws, apart) = sizes.met(be, usize::MAX, dys.clone(), ws, host);
    let (on, after) = (be.clone(), be.clone());
    Ok(Case::new(
        sizes.shape(),
        work,
        dx,
        move |dx| {
            let (mut du, factors) =
                (Matrix::unwritten(&on, t, rank)?, Factors { a: &a, b: &b, scale: SCALE });
            let terms = LinearTerms { bias: None, sparse: Some(&s), low_rank: None };
            ops::adapted_linear_t(&on, &dy, w.weight(), terms, factors, Write::Overwrite, &mut du, dx)
        },
        move |dx, verdict| {
            verdict.matrix(&after, dx, sizes.through_u::<B>(n), |i| {
                let (token, column) = (i / k, i % k);
                let dy = &dys[token * n..][..n];
                let dense =
                    products(met_dys[token * n..][..n].iter().zip(ws.iter().skip(column).step_by(k)), 1.0);
                let sparse = apart.column(column).map(|(row, value)| (f64::from(dy[row]), value));
                let low_rank = (0..rank).flat_map(|l| {
                    let a = f64::from(firsts[l * k + column]);
                    products(dy.iter().zip(seconds.iter().skip(l).step_by(rank)), SCALE)
                        .map(move |(dy, b)| (dy * b, a))
                });
                Exact::sum(dense.chain(sparse).chain(low_rank))
            })
        },
    ))
}

/// `da += duᵀ·x`, `db += scale·dyᵀ·u` and `ds += dyᵀ·x` where s is set, where activations may be rounded as for the product
/// with w.
pub(super) fn adapter_grads<B: Backend>(be: &B, sizes: Sizes) -> Result<Case> {
    let Sizes { t, n, k, rank, density, precision } = sizes;
    let ((x, mut xs), (dy, mut dys), (w, _)) =
        (act(be, t, k, 1)?, act(be, t, n, 2)?, frozen(be, [n, k], precision)?);
    let ((u, mut us), (du, mut dus), host) =
        (act(be, t, rank, 3)?, act(be, t, rank, 4)?, Host::new(n, k, density)?);
    let (firsts, seconds) = (numbers::<f32>(5, rank * k), numbers::<f32>(6, n * rank));
    let outputs =
        (matrix::<_, f32>(be, rank, k, &firsts)?, matrix::<_, f32>(be, n, rank, &seconds)?, host.upload(be)?);
    if precision != Precision::F32 && be.rounds_sum_to_bf16(t) {
        let all = xs.iter_mut().chain(&mut dys).chain(&mut us).chain(&mut dus);
        all.for_each(|x| *x = bf16::from_f32(*x).to_f32());
    }
    let work = Work::new(
        2 * t * (rank * (n + k) + host.nnz()),
        bytes::<B>() * t * (n + k + 2 * rank) + 8 * rank * (n + k) + 12 * host.nnz(),
    );
    // A term passes t sums and one of two groups of tokens; on tensor cores a sum counts twice.
    let roundings = if on_tensor_cores::<B>() { 2 * t } else { t } + 3;
    let (on, after) = (be.clone(), be.clone());
    Ok(Case::new(
        sizes.shape(),
        work,
        outputs,
        move |(da, db, ds)| {
            let grads = AdapterGrads { a: da, b: db, s: Some(ds) };
            ops::adapter_grads_add(&on, &x, &dy, w.weight(), [&u, &du], SCALE, grads)
        },
        move |(da, db, ds), verdict| {
            let sum = |left: &[f32],
                       right: &[f32],
                       [row, rows]: [usize; 2],
                       [col, cols]: [usize; 2],
                       scale: f32| {
                let column =
                    |of: &[f32], at, width| of.iter().skip(at).step_by(width).copied().collect::<Vec<_>>();
                let (left, right) = (column(left, row, rows), column(right, col, cols));
                Exact::sum(products(left.iter().zip(&right), scale))
            };
            verdict.matrix(&after, da, roundings, |i| {
                sum(&dus, &xs, [i / k, rank], [i % k, k], 1.0).plus(firsts[i].into())
            })?;
            verdict.matrix(&after, db, roundings, |i| {
                sum(&dys, &us, [i / rank, n], [i % rank, rank], SCALE).plus(seconds[i].into())
            })?;
            verdict.within(&after.download(ds.values())?, roundings, |entry| {
                let (row, col) = (host.row_of(entry), host.column_of(entry));
                sum(&dys, &xs, [row, n], [col, k], 1.0).plus(host.value_of(entry))
            });
            Ok(())
        },
    ))
}

fn products<'a>(
    pairs: impl Iterator<Item = (&'a f32, &'a f32)>,
    scale: f32,
) -> impl Iterator<Item = (f64, f64)> {
    pairs.map(move |(&a, &b)| (f64::from(scale) * f64::from(a), f64::from(b)))
}
