//! Causal grouped-query attention with rotary embedding, and the cache that decoding reads.

use super::linear::Linear;
use crate::{
    adapter::AdapterSaved,
    backend::{Backend, Heads, Rounding, Turn, Write},
    error::Result,
    ops,
    param::ParamView,
    pass::Pass,
    tensor::{Ids, Matrix, Weight},
};

/// The four projections of an attention layer.
pub struct Attention<B: Backend> {
    /// Queries, `[heads·head_dim, hidden]`.
    pub q: Linear<B>,
    /// Keys, `[kv_heads·head_dim, hidden]`.
    pub k: Linear<B>,
    /// Values, like the keys.
    pub v: Linear<B>,
    /// The output, `[hidden, heads·head_dim]`.
    pub o: Linear<B>,
    /// How many heads of which width.
    pub heads: Heads,
}

/// The turned keys and the values of the tokens seen so far, `[capacity, kv_heads·head_dim]` each.
pub struct LayerCache<B: Backend> {
    k: Matrix<B>,
    v: Matrix<B>,
}

/// The caches of all layers, and where the tokens of the current pass go.
pub struct Cache<B: Backend> {
    /// One per layer.
    pub layers: Vec<LayerCache<B>>,
    /// For each row of the pass, its row in the cache.
    pub rows: Ids<B>,
}

impl<B: Backend> LayerCache<B> {
    /// An empty cache of `capacity` rows.
    ///
    /// # Errors
    /// When the device is out of memory.
    pub fn new(be: &B, capacity: usize, heads: Heads) -> Result<Self> {
        let width = heads.kv_heads * heads.head_dim;
        Ok(Self { k: Matrix::zeros(be, capacity, width)?, v: Matrix::zeros(be, capacity, width)? })
    }
}

/// What the backward pass needs, beside the layer's input.
pub struct AttentionSaved<B: Backend> {
    /// Queries and keys after rotation, values, and the heads' output.
    q: Matrix<B>,
    k: Matrix<B>,
    v: Matrix<B>,
    mixed: Matrix<B>,
    /// The logarithm of the softmax's denominator, `[t, heads]`.
    lse: Matrix<B, f32>,
    q_saved: AdapterSaved<B>,
    k_saved: AdapterSaved<B>,
    v_saved: AdapterSaved<B>,
    o_saved: AdapterSaved<B>,
}

impl<B: Backend> Attention<B> {
    /// `O = softmax(rope(X·Wqᵀ)·rope(X·Wkᵀ)ᵀ/√e)·X·Wvᵀ · Woᵀ`. With a cache, the pass's keys and values are
    /// written to it first and the queries see all that it holds of their sequence.
    ///
    /// # Errors
    /// When shapes disagree or the device is out of memory.
    pub fn forward(
        &self,
        pass: &Pass<'_, B>,
        x: &Matrix<B>,
        cache: Option<(&mut LayerCache<B>, &Ids<B>)>,
    ) -> Result<(Matrix<B>, AttentionSaved<B>)> {
        let (be, rope) = (pass.be, pass.rope);
        let _span = be.profile().span("attention layer");
        let (mut q, q_saved) = self.q.forward(pass, x)?;
        let (mut k, k_saved) = self.k.forward(pass, x)?;
        let (v, v_saved) = self.v.forward(pass, x)?;
        ops::rope(be, &rope.cos, &rope.sin, pass.positions, Turn::Forward, &mut q)?;
        ops::rope(be, &rope.cos, &rope.sin, pass.positions, Turn::Forward, &mut k)?;

        let mut mixed = Matrix::unwritten(be, q.rows(), q.cols())?;
        let mut lse = Matrix::zeros(be, q.rows(), self.heads.heads)?;
        let (keys, values) = match cache {
            Some((cache, rows)) => {
                ops::scatter_rows(be, &k, rows, &mut cache.k)?;
                ops::scatter_rows(be, &v, rows, &mut cache.v)?;
                (&cache.k, &cache.v)
            }
            None => (&k, &v),
        };
        ops::attention(
            be,
            &q,
            keys,
            values,
            pass.packing,
            self.heads,
            self.rounding(),
            &mut mixed,
            &mut lse,
        )?;
        let (y, o_saved) = self.o.forward(pass, &mixed)?;
        Ok((y, AttentionSaved { q, k, v, mixed, lse, q_saved, k_saved, v_saved, o_saved }))
    }

    /// Returns the gradient with respect to x, if it is `wanted`.
    ///
    /// # Errors
    /// When shapes disagree or the device is out of memory.
    pub fn backward(
        &mut self,
        pass: &Pass<'_, B>,
        x: &Matrix<B>,
        saved: AttentionSaved<B>,
        dy: &Matrix<B>,
        wanted: bool,
    ) -> Result<Option<Matrix<B>>> {
        let (be, rope) = (pass.be, pass.rope);
        let _span = be.profile().span("attention layer");
        let AttentionSaved { q, k, v, mixed, lse, q_saved, k_saved, v_saved, o_saved } = saved;
        let mut dmixed = Matrix::unwritten(be, mixed.rows(), mixed.cols())?;
        self.o.backward(pass, &mixed, o_saved, dy, Write::Overwrite, &mut dmixed)?;

        let mut dq = Matrix::unwritten(be, q.rows(), q.cols())?;
        let mut dk = Matrix::unwritten(be, k.rows(), k.cols())?;
        let mut dv = Matrix::unwritten(be, v.rows(), v.cols())?;
        let (heads, rounding) = (self.heads, self.rounding());
        ops::attention_backward(
            be,
            &q,
            &k,
            &v,
            &mixed,
            &lse,
            &dmixed,
            pass.packing,
            heads,
            rounding,
            &mut dq,
            &mut dk,
            &mut dv,
        )?;
        ops::rope(be, &rope.cos, &rope.sin, pass.positions, Turn::Backward, &mut dq)?;
        ops::rope(be, &rope.cos, &rope.sin, pass.positions, Turn::Backward, &mut dk)?;

        if !wanted {
            self.q.backward_without_input(pass, x, q_saved, &dq)?;
            self.k.backward_without_input(pass, x, k_saved, &dk)?;
            self.v.backward_without_input(pass, x, v_saved, &dv)?;
            return Ok(None);
        }
        let mut dx = Matrix::unwritten(be, x.rows(), x.cols())?;
        self.q.backward(pass, x, q_saved, &dq, Write::Overwrite, &mut dx)?;
        self.k.backward(pass, x, k_saved, &dk, Write::Add, &mut dx)?;
        self.v.backward(pass, x, v_saved, &dv, Write::Add, &mut dx)?;
        Ok(Some(dx))
    }

    /// Queries, keys and values count as the projections count what they multiply.
    fn rounding(&self) -> Rounding {
        if matches!(self.q.weight.weight(), Weight::F32(_)) { Rounding::Never } else { Rounding::ToBf16 }
    }

    /// The projections, in the order in which parameters are listed.
    pub fn linears_mut(&mut self) -> [&mut Linear<B>; 4] {
        [&mut self.q, &mut self.k, &mut self.v, &mut self.o]
    }

    /// Adds the trained parts to `views`.
    pub fn params<'a>(&'a mut self, views: &mut Vec<ParamView<'a, B>>) {
        for linear in self.linears_mut() {
            linear.params(views);
        }
    }
}
