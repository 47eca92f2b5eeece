//! The products with S, its gradient, its merging, its transpose; scores and the choice of a mask.

use super::{
    Case, Exact,
    inputs::{act, bytes, frozen, matrix, name, numbers, on_tensor_cores},
};
use crate::{
    backend::{Backend, ScoreTerm},
    device::Float,
    error::Result,
    num::{to_u32, to_usize},
    ops,
    profile::Work,
    rng::{Purpose, Stream},
    sparse::{Csr, CsrPattern},
    tensor::{Matrix, Precision},
};
use std::sync::Arc;

const STREAM: Stream = Stream::new(5, Purpose::Mask, 0, 0);

/// A sparse matrix on the host: each entry set with probability `density`, its values fill all 24 bits.
pub(super) struct Host {
    rows: usize,
    cols: usize,
    offsets: Vec<u32>,
    columns: Vec<u32>,
    values: Vec<f32>,
}

impl Host {
    pub(super) fn new(rows: usize, cols: usize, density: f64) -> Result<Self> {
        let (mut offsets, mut columns) = (vec![0], Vec::new());
        for row in 0..rows {
            let set = |col: &u32| f64::from(STREAM.uniform((row * cols) as u64 + u64::from(*col))) < density;
            columns.extend((0..to_u32("columns", cols)?).filter(set));
            offsets.push(to_u32("entries", columns.len())?);
        }
        let values = numbers::<f32>(7, columns.len());
        Ok(Self { rows, cols, offsets, columns, values })
    }

    pub(super) fn upload<B: Backend>(&self, be: &B) -> Result<Csr<B>> {
        let (offsets, columns) = (self.offsets.clone(), self.columns.clone());
        let pattern = ops::csr_pattern(be, self.rows, self.cols, offsets, columns)?;
        Csr::new(pattern, be.upload(self.values.clone())?)
    }

    /// With the values that a product on `be` counts.
    pub(super) fn counted<B: Backend>(mut self, be: &B) -> Self {
        self.values.iter_mut().for_each(|value| *value = be.counted_value(*value));
        self
    }

    /// Adds itself to a weight, each sum rounded to f32; nothing is left of it.
    pub(super) fn join(self, w: &mut [f32]) -> Self {
        for row in 0..self.rows {
            for entry in to_usize(self.offsets[row])..to_usize(self.offsets[row + 1]) {
                w[row * self.cols + to_usize(self.columns[entry])] += self.values[entry];
            }
        }
        Self { offsets: vec![0; self.rows + 1], columns: Vec::new(), values: Vec::new(), ..self }
    }

    /// Column and value of each entry of a row.
    pub(super) fn row(&self, row: usize) -> impl Iterator<Item = (usize, f64)> {
        let entries = to_usize(self.offsets[row])..to_usize(self.offsets[row + 1]);
        entries.map(|entry| (to_usize(self.columns[entry]), f64::from(self.values[entry])))
    }

    /// Row and value of each entry of a column.
    pub(super) fn column(&self, column: usize) -> impl Iterator<Item = (usize, f64)> {
        (0..self.rows)
            .flat_map(move |row| self.row(row).filter(move |e| e.0 == column).map(move |e| (row, e.1)))
    }

    /// The row of an entry.
    pub(super) fn row_of(&self, entry: usize) -> usize {
        self.offsets.partition_point(|&offset| to_usize(offset) <= entry) - 1
    }

    pub(super) fn column_of(&self, entry: usize) -> usize {
        to_usize(self.columns[entry])
    }

    pub(super) fn value_of(&self, entry: usize) -> f64 {
        f64::from(self.values[entry])
    }

    pub(super) fn nnz(&self) -> usize {
        self.columns.len()
    }

    fn shape(&self) -> String {
        let density = 100.0 * self.nnz() as f64 / (self.rows * self.cols).max(1) as f64;
        format!("{}×{}, {density:.2} %", self.rows, self.cols)
    }

    fn product<B: Backend>(&self, tokens: usize) -> (String, Work) {
        let dense = bytes::<B>() * tokens * (self.rows + 2 * self.cols);
        let work = Work::new(2 * tokens * self.nnz(), dense + 8 * self.nnz());
        (format!("{tokens} tokens, {}", self.shape()), work)
    }
}

/// `y += x·sᵀ`.
pub(super) fn spmm<B: Backend>(be: &B, tokens: usize, [n, k]: [usize; 2], density: f64) -> Result<Case> {
    let host = Host::new(n, k, density)?;
    let (s, (x, xs), (y, ys)) = (host.upload(be)?, act(be, tokens, k, 1)?, act(be, tokens, n, 2)?);
    let ((shape, work), host) = (host.product::<B>(tokens), host.counted(be));
    let (on, after) = (be.clone(), be.clone());
    Ok(Case::new(
        shape,
        work,
        y,
        move |y| ops::spmm_add(&on, &s, &x, y),
        move |y, verdict| {
            // An old value and a product for each entry of the row, at most.
            verdict.matrix(&after, y, k + 1, |i| {
                let (x, old) = (&xs[i / n * k..], Exact::of(ys[i].into()));
                host.row(i % n).fold(old, |sum, (j, value)| sum.plus(value * f64::from(x[j])))
            })
        },
    ))
}

/// `dx += dy·s`.
pub(super) fn spmm_t<B: Backend>(be: &B, tokens: usize, [n, k]: [usize; 2], density: f64) -> Result<Case> {
    let host = Host::new(n, k, density)?;
    let (s, (dy, dys), (dx, dxs)) = (host.upload(be)?, act(be, tokens, n, 1)?, act(be, tokens, k, 2)?);
    let ((shape, work), host) = (host.product::<B>(tokens), host.counted(be));
    let (on, after) = (be.clone(), be.clone());
    Ok(Case::new(
        shape,
        work,
        dx,
        move |dx| ops::spmm_t_add(&on, &s, &dy, dx),
        move |dx, verdict| {
            verdict.matrix(&after, dx, n + 1, |i| {
                let (dy, old) = (&dys[i / k * n..], Exact::of(dxs[i].into()));
                host.column(i % k).fold(old, |sum, (row, value)| sum.plus(value * f64::from(dy[row])))
            })
        },
    ))
}

/// `ds += (dyᵀ·x)∘mask`.
pub(super) fn sddmm<B: Backend>(be: &B, tokens: usize, [n, k]: [usize; 2], density: f64) -> Result<Case> {
    let host = Host::new(n, k, density)?;
    let (ds, (dy, dys), (x, xs)) = (host.upload(be)?, act(be, tokens, n, 1)?, act(be, tokens, k, 2)?);
    let work = Work::new(2 * tokens * host.nnz(), bytes::<B>() * tokens * (n + k) + 12 * host.nnz());
    // A tensor core may cut a sum instead of rounding it, which counts twice.
    let roundings = if on_tensor_cores::<B>() { 2 * tokens + 1 } else { tokens + 1 };
    let (on, after) = (be.clone(), be.clone());
    Ok(Case::new(
        format!("{tokens} tokens, {}", host.shape()),
        work,
        ds,
        move |ds| ops::sddmm_add(&on, &dy, &x, ds),
        move |ds, verdict| {
            verdict.within(&after.download(ds.values())?, roundings, |entry| {
                let (row, column) = (host.row_of(entry), host.column_of(entry));
                let terms = (0..tokens).map(|t| (f64::from(dys[t * n + row]), f64::from(xs[t * k + column])));
                Exact::sum(terms).plus(host.value_of(entry))
            });
            Ok(())
        },
    ))
}

/// `w += s`: a sum in f32, rounded once to `T`, and so known to the bit.
pub(super) fn csr_add<B: Backend, T: Float>(be: &B, [n, k]: [usize; 2], density: f64) -> Result<Case> {
    let host = Host::new(n, k, density)?;
    let before = numbers::<T>(3, n * k);
    let (s, w) = (host.upload(be)?, matrix::<_, T>(be, n, k, &before)?);
    // An entry's value, its column, and the element that it is added to.
    let work = Work::new(host.nnz(), (8 + 2 * size_of::<T>()) * host.nnz());
    let (on, after) = (be.clone(), be.clone());
    Ok(Case::new(
        format!("{} of {}", T::NAME, host.shape()),
        work,
        w,
        move |w| ops::csr_add(&on, &s, w),
        move |w, verdict| {
            let mut want: Vec<T> = before.iter().map(|&w| T::from_f32(w)).collect();
            for entry in 0..host.nnz() {
                let w = &mut want[host.row_of(entry) * k + host.column_of(entry)];
                *w = T::from_f32(w.to_f32() + host.values[entry]);
            }
            verdict.equal(&w.download(&after)?, &want);
            Ok(())
        },
    ))
}

/// `sᵀ`, with all that a pattern holds.
pub(super) fn csr_transpose<B: Backend>(be: &B, [n, k]: [usize; 2], density: f64) -> Result<Case> {
    let host = Host::new(n, k, density)?;
    let s = host.upload(be)?;
    let work = Work::traffic(16 * host.nnz() + 4 * (n + k));
    let (on, after) = (be.clone(), be.clone());
    Ok(Case::new(
        host.shape(),
        work,
        None,
        move |transposed: &mut Option<Csr<B>>| {
            *transposed = Some(ops::csr_transpose(&on, &s)?);
            Ok(())
        },
        move |transposed, verdict| {
            let mut entries: Vec<_> =
                (0..host.nnz()).map(|e| (host.column_of(e), host.row_of(e), e)).collect();
            entries.sort_unstable();
            let Some(transposed) = transposed else { return Ok(()) };
            let columns: Vec<u32> =
                entries.iter().map(|&(_, row, _)| to_u32("rows", row)).collect::<Result<_>>()?;
            let values: Vec<f32> = entries.iter().map(|&(_, _, entry)| host.values[entry]).collect();
            let offset = |column: usize| entries.partition_point(|&(c, ..)| c < column);
            let offsets: Vec<u32> = (0..=k).map(|c| to_u32("entries", offset(c))).collect::<Result<_>>()?;
            verdict.equal(&after.download(transposed.pattern().row_offsets())?, &offsets);
            verdict.equal(&after.download(transposed.pattern().col_indices())?, &columns);
            verdict.equal(&after.download(transposed.values())?, &values);
            Ok(())
        },
    ))
}

/// `scores += g²` or `scores += g`.
pub(super) fn score_add<B: Backend>(be: &B, [n, k]: [usize; 2], term: ScoreTerm) -> Result<Case> {
    let (gs, before) = (numbers::<f32>(1, n * k), numbers::<f32>(2, n * k));
    let (g, scores) = (matrix::<_, f32>(be, n, k, &gs)?, matrix::<_, f32>(be, n, k, &before)?);
    let (on, after) = (be.clone(), be.clone());
    Ok(Case::new(
        format!("{n}×{k}, {term:?}").to_lowercase(),
        Work::new(2 * n * k, 12 * n * k),
        scores,
        move |scores| ops::score_add(&on, &g, term, scores),
        move |scores, verdict| {
            verdict.matrix(&after, scores, 2, |i| {
                let g = f64::from(gs[i]);
                Exact::of(before[i].into()).plus(if term == ScoreTerm::Square { g * g } else { g })
            })
        },
    ))
}

/// `scores ← scores · w`, a single rounding.
pub(super) fn score_times_weight<B: Backend>(
    be: &B,
    [n, k]: [usize; 2],
    precision: Precision,
) -> Result<Case> {
    let ((w, ws), before) = (frozen(be, [n, k], precision)?, numbers::<f32>(3, n * k));
    let scores = matrix::<_, f32>(be, n, k, &before)?;
    let (on, after) = (be.clone(), be.clone());
    Ok(Case::new(
        format!("{} {n}×{k}", name(precision)),
        Work::new(n * k, 8 * n * k + w.weight().bytes()),
        scores,
        move |scores| ops::score_times_weight(&on, w.weight(), scores),
        move |scores, verdict| {
            let want: Vec<f32> = before.iter().zip(&ws).map(|(score, w)| score * w).collect();
            verdict.equal(&scores.download(&after)?, &want);
            Ok(())
        },
    ))
}

/// `scores[i] ← stream.uniform(i)`.
pub(super) fn score_random<B: Backend>(be: &B, [n, k]: [usize; 2]) -> Result<Case> {
    let scores = Matrix::<B, f32>::zeros(be, n, k)?;
    let (on, after) = (be.clone(), be.clone());
    Ok(Case::new(
        format!("{n}×{k}"),
        Work::traffic(4 * n * k),
        scores,
        move |scores| ops::score_random(&on, STREAM, scores),
        move |scores, verdict| {
            let want: Vec<f32> = (0..(n * k) as u64).map(|i| STREAM.uniform(i)).collect();
            verdict.equal(&scores.download(&after)?, &want);
            Ok(())
        },
    ))
}

/// The largest scores, ties to the lowest index: every tenth score ties.
pub(super) fn topk_mask<B: Backend>(be: &B, [n, k]: [usize; 2], density: f64) -> Result<Case> {
    let mut host = numbers::<f32>(1, n * k);
    host.iter_mut().step_by(10).for_each(|score| *score = -0.75);
    let scores = matrix::<_, f32>(be, n, k, &host)?;
    let keep = crate::num::fraction_of(density, n * k);
    let (on, after) = (be.clone(), be.clone());
    Ok(Case::new(
        format!("{keep} of {n}×{k}"),
        Work::traffic(4 * n * k + 16 * keep),
        None,
        move |mask: &mut Option<Arc<CsrPattern<B>>>| {
            *mask = ops::topk_mask(&on, &[&scores], keep)?.pop();
            Ok(())
        },
        move |mask, verdict| {
            let mut order: Vec<usize> = (0..host.len()).collect();
            let first = |&a: &usize, &b: &usize| host[b].abs().total_cmp(&host[a].abs()).then(a.cmp(&b));
            if keep < order.len() {
                order.select_nth_unstable_by(keep, first);
            }
            let mut kept = order[..keep].to_vec();
            kept.sort_unstable();
            let columns: Vec<u32> = kept.iter().map(|i| to_u32("columns", i % k)).collect::<Result<_>>()?;
            let offset = |row: usize| to_u32("entries", kept.partition_point(|&i| i < row * k));
            let offsets: Vec<u32> = (0..=n).map(offset).collect::<Result<_>>()?;
            let Some(mask) = mask else { return Ok(()) };
            verdict.equal(&after.download(mask.row_offsets())?, &offsets);
            verdict.equal(&after.download(mask.col_indices())?, &columns);
            Ok(())
        },
    ))
}
