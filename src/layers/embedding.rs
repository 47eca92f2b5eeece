//! The embedding table and its adapter.

use crate::{
    adapter::{Adapter, LowRank},
    backend::{Backend, Write},
    error::Result,
    ops,
    param::{Base, ParamView},
    pass::{Batch, Pass},
    tensor::{Ids, Matrix},
};

/// `X[t] = E[id] + S[id] + s·Aᵀ[id]·Bᵀ`, with E and S `[vocab, hidden]`.
///
/// Seen as a linear layer of one-hot inputs the table is `Eᵀ`. The low-rank part follows PEFT: its `a` here is
/// PEFT's `lora_embedding_A` transposed, `[vocab, rank]`, and its `b` is `lora_embedding_B`, `[hidden, rank]`.
pub struct Embedding<B: Backend> {
    /// E.
    pub table: Base<B>,
    /// S, A and B, when the embedding is among the targets.
    pub adapter: Adapter<B>,
}

impl<B: Backend> Embedding<B> {
    /// Returns X `[t, hidden]` for t token ids.
    ///
    /// # Errors
    /// When an id is beyond the table or the device is out of memory.
    pub fn forward(&self, be: &B, ids: &Ids<B>) -> Result<Matrix<B>> {
        let table = self.table.weight();
        let mut x = Matrix::unwritten(be, ids.len(), table.cols())?;
        ops::embedding(be, table, ids, &mut x)?;
        if let Some(s) = &self.adapter.sparse {
            ops::csr_embedding_add(be, &s.value, ids, &mut x)?;
        }
        if let Some(LowRank { a, b, scale }) = &self.adapter.low_rank {
            let u = rows_of(be, &a.value, ids)?;
            ops::matmul_nt(be, &u, (&b.value).into(), *scale, Write::Add, &mut x)?;
        }
        Ok(x)
    }

    /// `dS[id] += dX[t]` where the mask is set, `dB += s·dXᵀ·u`, `da[id] += s·dX[t]·B`, and `dE[id] += dX[t]` where
    /// the table is trained.
    ///
    /// # Errors
    /// When shapes disagree or the device is out of memory.
    pub fn backward(&mut self, pass: &Pass<'_, B>, batch: &Batch<B>, dx: &Matrix<B>) -> Result<()> {
        let (be, ids) = (pass.be, &batch.ids);
        if let Some(dtable) = self.table.grad_mut() {
            ops::embedding_grad_add(be, ids, dx, dtable)?;
        }
        if let Some(s) = &mut self.adapter.sparse {
            ops::csr_embedding_grad_add(be, ids, dx, &mut s.grad)?;
        }
        if let Some(LowRank { a, b, scale }) = &mut self.adapter.low_rank {
            let u = rows_of(be, &a.value, ids)?;
            ops::matmul_tn(be, dx, &u, 0..dx.rows(), *scale, Write::Add, &mut b.grad)?;
            let mut du = u;
            ops::matmul_nn(be, dx, (&b.value).into(), *scale, Write::Overwrite, &mut du)?;
            ops::embedding_grad_add(be, ids, &du, &mut a.grad)?;
        }
        self.collect(pass, batch, dx)
    }

    /// Each range's dense `G[id] = Σ dX[t]` joins the scores.
    fn collect(&mut self, pass: &Pass<'_, B>, batch: &Batch<B>, dx: &Matrix<B>) -> Result<()> {
        let be = pass.be;
        let Some(scores) = &mut self.adapter.scores else { return Ok(()) };
        let Some(term) = scores.term else { return Ok(()) };
        let (rows, cols) = self.adapter.shape;
        let mut g = Matrix::zeros(be, rows, cols)?;
        let sum = scores.sum(be, (rows, cols))?;
        for range in pass.score_ranges {
            be.clear(g.buffer_mut())?;
            let rows = (crate::num::to_u32("tokens", range.start)?..crate::num::to_u32("tokens", range.end)?)
                .collect();
            let mut dx_range = Matrix::zeros(be, range.len(), dx.cols())?;
            ops::gather_rows(be, dx, &Ids::upload(be, rows)?, &mut dx_range)?;
            let ids = Ids::upload(be, batch.tokens[range.clone()].to_vec())?;
            ops::embedding_grad_add(be, &ids, &dx_range, &mut g)?;
            ops::score_add(be, &g, term, sum)?;
        }
        Ok(())
    }

    /// Whether the gradient with respect to X is needed at all.
    pub fn is_trained(&self) -> bool {
        self.table.is_trained()
            || self.adapter.low_rank.is_some()
            || self.adapter.sparse.is_some()
            || self.adapter.scores.is_some()
    }

    /// Adds the trained parts to `views`.
    pub fn params<'a>(&'a mut self, views: &mut Vec<ParamView<'a, B>>) {
        self.table.params(&format!("{}.weight", self.adapter.module), views);
        self.adapter.params(views);
    }
}

/// `a[ids[t],·]`, `[t, rank]`.
fn rows_of<B: Backend>(be: &B, a: &Matrix<B, f32>, ids: &Ids<B>) -> Result<Matrix<B>> {
    let mut u = Matrix::unwritten(be, ids.len(), a.cols())?;
    ops::embedding(be, a.into(), ids, &mut u)?;
    Ok(u)
}
