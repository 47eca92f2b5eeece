//! The output head: the last norm, the vocabulary's logits, the loss and its gradient, in chunks.

use super::{embedding::Embedding, norm::Norm};
use crate::{
    adapter::Adapter,
    backend::{Backend, Write},
    error::Result,
    ops,
    param::{Base, ParamView},
    pass::{Batch, Granularity, Pass},
    tensor::{Ids, Matrix, Weight},
};
use std::{ops::Range, slice};

/// The most logits that exist at a time, in elements: 128 MiB of f32. A product packs the whole vocabulary for each
/// chunk, so small chunks cost time.
const CHUNK_LOGITS: usize = 1 << 25;
/// A product takes as long for some more rows as for the next multiple of this.
const WHOLE_ROWS: usize = 32;

/// `logits = norm(H)·(W + S)ᵀ + s·(norm(H)∘D/q)·Aᵀ·Bᵀ`. With tied embeddings W is the embedding's table.
pub struct Head<B: Backend> {
    /// The norm after the last block.
    pub norm: Norm<B>,
    /// W `[vocab, hidden]`, or nothing where the embedding's table serves.
    pub weight: Option<Base<B>>,
    /// S, A and B, when the head is among the targets.
    pub adapter: Adapter<B>,
}

impl<B: Backend> Head<B> {
    /// Of `rows` with a loss, those whose logits over a vocabulary of `vocab` exist at a time: the fewest chunks that fit,
    /// as equal as whole panels allow; at least one.
    #[must_use]
    pub fn chunk_rows(vocab: usize, rows: usize) -> usize {
        let most = (CHUNK_LOGITS / vocab).max(1);
        let equal = rows.div_ceil(rows.div_ceil(most).max(1));
        equal.next_multiple_of(WHOLE_ROWS).clamp(1, most)
    }

    /// The logits of each row of h.
    ///
    /// # Errors
    /// When shapes disagree or the device is out of memory.
    pub fn logits(&self, pass: &Pass<'_, B>, embedding: &Embedding<B>, h: &Matrix<B>) -> Result<Matrix<B>> {
        let normed = self.norm.forward(pass.be, h)?;
        let weight = self.weight.as_ref().unwrap_or(&embedding.table).weight();
        self.forward(pass, 0, weight, &normed).map(|(logits, _)| logits)
    }

    fn forward(
        &self,
        pass: &Pass<'_, B>,
        first_row: usize,
        weight: Weight<'_, B>,
        x: &Matrix<B>,
    ) -> Result<(Matrix<B>, crate::adapter::AdapterSaved<B>)> {
        let mut logits = Matrix::unwritten(pass.be, x.rows(), weight.rows())?;
        let saved = self.adapter.forward(pass, first_row, weight, None, x, &mut logits)?;
        Ok((logits, saved))
    }

    /// The loss of each of the batch's loss rows, `[1, loss rows]`.
    ///
    /// # Errors
    /// When shapes disagree or the device is out of memory.
    pub fn losses(
        &self,
        pass: &Pass<'_, B>,
        embedding: &Embedding<B>,
        batch: &Batch<B>,
        h: &Matrix<B>,
    ) -> Result<Matrix<B, f32>> {
        let weight = self.weight.as_ref().unwrap_or(&embedding.table).weight();
        let mut losses = Matrix::zeros(pass.be, 1, batch.loss_rows.len())?;
        for range in chunks(batch.loss_rows.len(), Self::chunk_rows(weight.rows(), batch.loss_rows.len())) {
            let first = range.start;
            let chunk = Chunk::gather(pass.be, batch, h, range)?;
            let normed = self.norm.forward(pass.be, &chunk.h)?;
            let (mut logits, _) = self.forward(pass, 0, weight, &normed)?;
            ops::cross_entropy(pass.be, &chunk.targets, 1.0, &mut logits, first, &mut losses)?;
        }
        Ok(losses)
    }

    /// The losses, written to `losses` from `first_loss` on, and their gradient: `dH`, zero in rows without loss, of
    /// `scale · Σ losses`. The logits of a chunk become their own gradient in place and vanish. Chunks are as large as
    /// memory allows, except that while the head's own scores are collected a chunk is what is squared together.
    ///
    /// # Errors
    /// When shapes disagree or the device is out of memory.
    pub fn losses_and_backward(
        &mut self,
        pass: &Pass<'_, B>,
        granularity: Granularity,
        embedding: &mut Embedding<B>,
        batch: &Batch<B>,
        scale: f32,
        h: &Matrix<B>,
        first_loss: usize,
        losses: &mut Matrix<B, f32>,
    ) -> Result<Matrix<B>> {
        let be = pass.be;
        let rows = batch.loss_rows.len();
        let vocab = self.weight.as_ref().unwrap_or(&embedding.table).weight().rows();
        let ranges: Vec<Range<usize>> = match (&self.adapter.scores, granularity) {
            (None, _) => chunks(rows, Self::chunk_rows(vocab, rows)).collect(),
            (Some(_), Granularity::MicroBatch) => chunks(rows, rows.max(1)).collect(),
            (Some(_), Granularity::Example) => batch.loss_ranges.clone(),
        };
        let mut dh = Matrix::zeros(be, h.rows(), h.cols())?;
        for range in ranges.into_iter().filter(|range| !range.is_empty()) {
            let chunk = Chunk::gather(be, batch, h, range.clone())?;
            let normed = self.norm.forward(be, &chunk.h)?;
            let first_row = pass.dropout.map_or(0, |d| d.first_loss_row + range.start);
            let base = self.weight.as_ref().unwrap_or(&embedding.table);
            let (mut logits, saved) = self.forward(pass, first_row, base.weight(), &normed)?;
            ops::cross_entropy(be, &chunk.targets, scale, &mut logits, first_loss + range.start, losses)?;
            let dlogits = logits;

            let base = self.weight.as_mut().unwrap_or(&mut embedding.table);
            if let Some(dw) = base.grad_mut() {
                ops::matmul_tn(be, &dlogits, &normed, 0..normed.rows(), 1.0, Write::Add, dw)?;
            }
            let mut dnormed = Matrix::unwritten(be, normed.rows(), normed.cols())?;
            let whole_chunk = 0..normed.rows();
            let pass = Pass { score_ranges: slice::from_ref(&whole_chunk), ..*pass };
            let weight = base.weight();
            let write = Write::Overwrite;
            self.adapter.backward(
                &pass,
                first_row,
                weight,
                &normed,
                &saved,
                &dlogits,
                write,
                &mut dnormed,
            )?;

            let mut dchunk = Matrix::zeros(be, normed.rows(), normed.cols())?;
            self.norm.backward_add(be, &chunk.h, &dnormed, &mut dchunk)?;
            ops::scatter_rows(be, &dchunk, &chunk.rows, &mut dh)?;
        }
        Ok(dh)
    }

    /// Adds the trained parts to `views`.
    pub fn params<'a>(&'a mut self, views: &mut Vec<ParamView<'a, B>>) {
        self.norm.params(views);
        if let Some(weight) = &mut self.weight {
            weight.params(&format!("{}.weight", self.adapter.module), views);
        }
        self.adapter.params(views);
    }
}

/// `0..rows` in pieces of `size`, the last one shorter.
fn chunks(rows: usize, size: usize) -> impl Iterator<Item = Range<usize>> {
    (0..rows).step_by(size).map(move |start| start..rows.min(start + size))
}

/// Some of the rows that carry loss.
struct Chunk<B: Backend> {
    rows: Ids<B>,
    targets: Ids<B>,
    h: Matrix<B>,
}

impl<B: Backend> Chunk<B> {
    fn gather(be: &B, batch: &Batch<B>, h: &Matrix<B>, range: Range<usize>) -> Result<Self> {
        let rows = Ids::upload(be, batch.loss_rows[range.clone()].to_vec())?;
        let targets = Ids::upload(be, batch.targets[range].to_vec())?;
        let mut gathered = Matrix::unwritten(be, rows.len(), h.cols())?;
        ops::gather_rows(be, h, &rows, &mut gathered)?;
        Ok(Self { rows, targets, h: gathered })
    }
}

#[cfg(test)]
mod tests {
    use super::{CHUNK_LOGITS, Head, chunks};
    use crate::backend::cpu::Cpu;

    #[test]
    fn chunks_are_few_and_equal_and_hold_all_rows() {
        for (vocab, rows, lengths) in [
            (49152, 0, vec![]),
            (49152, 512, vec![512]),
            (49152, 700, vec![352, 348]),
            (128_256, 700, vec![256, 256, 188]),
            (2 * CHUNK_LOGITS, 3, vec![1; 3]),
        ] {
            let found: Vec<_> = chunks(rows, Head::<Cpu>::chunk_rows(vocab, rows)).collect();
            assert!(
                found.iter().map(ExactSizeIterator::len).eq(lengths),
                "{vocab} words, {rows} rows: {found:?}"
            );
            assert!(found.into_iter().flatten().eq(0..rows), "each row once, in order");
        }
    }
}
