//! Rows by number: embedding tables, dense and sparse, their gradients; gathered, scattered and best ones.

use super::{
    Case, Exact,
    inputs::{act, bytes, frozen, ids, indices, matrix, name, numbers},
    sparse::Host,
};
use crate::{
    backend::Backend,
    error::Result,
    num::{to_u32, to_usize},
    ops,
    profile::Work,
    rng::{Purpose, Stream},
    tensor::Precision,
};

/// `y[t] = table[ids[t]]`, to the bit.
pub(super) fn embedding<B: Backend>(
    be: &B,
    t: usize,
    [vocab, k]: [usize; 2],
    precision: Precision,
) -> Result<Case> {
    let ((table, numbers), (y, _)) = (frozen(be, [vocab, k], precision)?, act(be, t, k, 9)?);
    let (chosen, rows) = ids(be, indices(1, t, to_u32("words", vocab)?))?;
    let (on, after) = (be.clone(), be.clone());
    Ok(Case::new(
        format!("{t} of {vocab} × {k}, {}", name(precision)),
        Work::traffic(t * k * (bytes::<B>() + if precision == Precision::F32 { 4 } else { 2 })),
        y,
        move |y| ops::embedding(&on, table.weight(), &chosen, y),
        move |y, verdict| {
            // A rounding to the activation's type is all that may happen.
            verdict.matrix(&after, y, 0, |i| Exact::of(numbers[to_usize(rows[i / k]) * k + i % k].into()))
        },
    ))
}

/// `dtable[ids[t]] += dy[t]`: a term passes at most a sum for each token.
pub(super) fn embedding_grad<B: Backend>(be: &B, t: usize, [vocab, k]: [usize; 2]) -> Result<Case> {
    let ((dy, dys), before) = (act(be, t, k, 1)?, numbers::<f32>(2, vocab * k));
    let dtable = matrix::<_, f32>(be, vocab, k, &before)?;
    let (chosen, rows) = ids(be, indices(3, t, to_u32("words", vocab)?))?;
    let (on, after) = (be.clone(), be.clone());
    Ok(Case::new(
        format!("{t} of {vocab} × {k}"),
        Work::new(t * k, t * k * (bytes::<B>() + 8)),
        dtable,
        move |dtable| ops::embedding_grad_add(&on, &chosen, &dy, dtable),
        move |dtable, verdict| {
            verdict.matrix(&after, dtable, t, |i| {
                let terms =
                    (0..t).filter(|&t| to_usize(rows[t]) == i / k).map(|t| (dys[t * k + i % k].into(), 1.0));
                Exact::sum(terms).plus(before[i].into())
            })
        },
    ))
}

/// `y[t] += s[ids[t]]`: one sum.
pub(super) fn csr_embedding<B: Backend>(
    be: &B,
    t: usize,
    [vocab, k]: [usize; 2],
    density: f64,
) -> Result<Case> {
    let host = Host::new(vocab, k, density)?;
    let (s, (y, ys)) = (host.upload(be)?, act(be, t, k, 1)?);
    let (chosen, rows) = ids(be, indices(3, t, to_u32("words", vocab)?))?;
    let entries = host.nnz() * t / vocab.max(1);
    let (on, after) = (be.clone(), be.clone());
    Ok(Case::new(
        format!("{t} of {vocab} × {k}, {} entries", host.nnz()),
        Work::new(entries, entries * (8 + 2 * bytes::<B>())),
        y,
        move |y| ops::csr_embedding_add(&on, &s, &chosen, y),
        move |y, verdict| {
            verdict.matrix(&after, y, 1, |i| {
                let value = host.row(to_usize(rows[i / k])).find(|e| e.0 == i % k).map_or(0.0, |e| e.1);
                Exact::of(ys[i].into()).plus(value)
            })
        },
    ))
}

/// `ds[ids[t]] += dy[t]` where s is set.
pub(super) fn csr_embedding_grad<B: Backend>(
    be: &B,
    t: usize,
    [vocab, k]: [usize; 2],
    density: f64,
) -> Result<Case> {
    let host = Host::new(vocab, k, density)?;
    let (ds, (dy, dys)) = (host.upload(be)?, act(be, t, k, 1)?);
    let (chosen, rows) = ids(be, indices(3, t, to_u32("words", vocab)?))?;
    let entries = host.nnz() * t / vocab.max(1);
    let (on, after) = (be.clone(), be.clone());
    Ok(Case::new(
        format!("{t} of {vocab} × {k}, {} entries", host.nnz()),
        Work::new(entries, entries * (12 + bytes::<B>())),
        ds,
        move |ds| ops::csr_embedding_grad_add(&on, &chosen, &dy, ds),
        move |ds, verdict| {
            verdict.within(&after.download(ds.values())?, t + 1, |entry| {
                let (row, column) = (host.row_of(entry), host.column_of(entry));
                let terms =
                    (0..t).filter(|&t| to_usize(rows[t]) == row).map(|t| (dys[t * k + column].into(), 1.0));
                Exact::sum(terms).plus(host.value_of(entry))
            });
            Ok(())
        },
    ))
}

/// `y[i] = x[rows[i]]`, to the bit.
pub(super) fn gather<B: Backend>(be: &B, count: usize, [t, k]: [usize; 2]) -> Result<Case> {
    let ((x, xs), (y, _)) = (act(be, t, k, 1)?, act(be, count, k, 9)?);
    let (chosen, rows) = ids(be, indices(2, count, to_u32("rows", t)?))?;
    let (on, after) = (be.clone(), be.clone());
    Ok(Case::new(
        format!("{count} of {t} × {k}"),
        Work::traffic(2 * bytes::<B>() * count * k),
        y,
        move |y| ops::gather_rows(&on, &x, &chosen, y),
        move |y, verdict| {
            verdict.matrix(&after, y, 0, |i| Exact::of(xs[to_usize(rows[i / k]) * k + i % k].into()))
        },
    ))
}

/// `y[rows[i]] = x[i]`; half of the rows of y stay as they are.
pub(super) fn scatter<B: Backend>(be: &B, [t, k]: [usize; 2]) -> Result<Case> {
    let order = Stream::new(3, Purpose::Shuffle, 0, 0).permutation(to_u32("rows", t)?);
    let (chosen, rows) = ids(be, order[..t / 2].to_vec())?;
    let ((x, xs), (y, ys)) = (act(be, t / 2, k, 1)?, act(be, t, k, 2)?);
    let (on, after) = (be.clone(), be.clone());
    Ok(Case::new(
        format!("{} of {t} × {k}", t / 2),
        Work::traffic(2 * bytes::<B>() * t / 2 * k),
        y,
        move |y| ops::scatter_rows(&on, &x, &chosen, y),
        move |y, verdict| {
            verdict.matrix(&after, y, 0, |i| {
                let from = rows.iter().position(|&row| to_usize(row) == i / k);
                Exact::of(from.map_or(ys[i], |row| xs[row * k + i % k]).into())
            })
        },
    ))
}

/// `best[t] = argmax x[t]`, ties to the lowest index: every row has its largest number twice.
pub(super) fn argmax<B: Backend>(be: &B, [t, k]: [usize; 2]) -> Result<Case> {
    let mut host = numbers::<B::Act>(1, t * k);
    let best = move |t: usize| (7 * t + 3) % k;
    for (t, row) in host.chunks_mut(k).enumerate() {
        row[best(t)] = 2.0;
        row[(best(t) + k / 2).min(k - 1)] = 2.0;
    }
    let x = matrix::<_, B::Act>(be, t, k, &host)?;
    let out = be.zeros::<u32>(t)?;
    let (on, after) = (be.clone(), be.clone());
    Ok(Case::new(
        format!("{t}×{k}"),
        Work::traffic(bytes::<B>() * t * k),
        out,
        move |out| ops::argmax_rows(&on, &x, out),
        move |out, verdict| {
            let want: Vec<u32> = (0..t).map(|t| to_u32("columns", best(t))).collect::<Result<_>>()?;
            verdict.equal(&after.download(out)?, &want);
            Ok(())
        },
    ))
}
