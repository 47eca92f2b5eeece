//! One block of a Llama: attention and feed-forward, each behind a norm and beside a residual.

use super::{
    attention::{Attention, AttentionSaved, LayerCache},
    linear::Linear,
    mlp::{Mlp, MlpSaved},
    norm::Norm,
};
use crate::{
    backend::Backend,
    error::Result,
    ops,
    param::ParamView,
    pass::Pass,
    tensor::{Ids, Matrix},
};

/// `H = X + attention(norm(X))`, `O = H + mlp(norm(H))`.
pub struct Block<B: Backend> {
    /// The norm before the attention.
    pub attention_norm: Norm<B>,
    /// The attention.
    pub attention: Attention<B>,
    /// The norm before the feed-forward layer.
    pub mlp_norm: Norm<B>,
    /// The feed-forward layer.
    pub mlp: Mlp<B>,
}

/// What the backward pass needs. The normed inputs are computed again, not kept.
pub struct BlockSaved<B: Backend> {
    x: Matrix<B>,
    h: Matrix<B>,
    attention: AttentionSaved<B>,
    mlp: MlpSaved<B>,
}

impl<B: Backend> BlockSaved<B> {
    /// X alone, from which [`Block::forward`] makes the rest again.
    pub fn into_input(self) -> Matrix<B> {
        self.x
    }
}

impl<B: Backend> Block<B> {
    /// Returns O `[t, hidden]`.
    ///
    /// # Errors
    /// When shapes disagree or the device is out of memory.
    pub fn forward(
        &self,
        pass: &Pass<'_, B>,
        x: Matrix<B>,
        cache: Option<(&mut LayerCache<B>, &Ids<B>)>,
    ) -> Result<(Matrix<B>, BlockSaved<B>)> {
        let normed = self.attention_norm.forward(pass.be, &x)?;
        let (mut h, attention) = self.attention.forward(pass, &normed, cache)?;
        ops::add(pass.be, &x, &mut h)?;
        let normed = self.mlp_norm.forward(pass.be, &h)?;
        let (mut y, mlp) = self.mlp.forward(pass, &normed)?;
        ops::add(pass.be, &h, &mut y)?;
        Ok((y, BlockSaved { x, h, attention, mlp }))
    }

    /// Turns the gradient with respect to O, in place, into the one with respect to X, if that is `wanted`.
    ///
    /// # Errors
    /// When shapes disagree or the device is out of memory.
    pub fn backward(
        &mut self,
        pass: &Pass<'_, B>,
        saved: BlockSaved<B>,
        dy: Matrix<B>,
        wanted: bool,
    ) -> Result<Option<Matrix<B>>> {
        let be = pass.be;
        let BlockSaved { x, h, attention, mlp } = saved;
        let mut d = dy;

        let normed = self.mlp_norm.forward(be, &h)?;
        let dnormed = self.mlp.backward(pass, &normed, mlp, &d)?;
        self.mlp_norm.backward_add(be, &h, &dnormed, &mut d)?;

        let normed = self.attention_norm.forward(be, &x)?;
        let through_norm = wanted || self.attention_norm.gain.is_trained();
        let dnormed = self.attention.backward(pass, &normed, attention, &d, through_norm)?;
        let Some(dnormed) = dnormed else { return Ok(None) };
        self.attention_norm.backward_add(be, &x, &dnormed, &mut d)?;
        Ok(wanted.then_some(d))
    }

    /// The seven projections, in the order in which parameters are listed.
    pub fn linears_mut(&mut self) -> impl Iterator<Item = &mut Linear<B>> {
        self.attention.linears_mut().into_iter().chain(self.mlp.linears_mut())
    }

    /// Adds the trained parts to `views`.
    pub fn params<'a>(&'a mut self, views: &mut Vec<ParamView<'a, B>>) {
        self.attention_norm.params(views);
        self.attention.params(views);
        self.mlp_norm.params(views);
        self.mlp.params(views);
    }
}
