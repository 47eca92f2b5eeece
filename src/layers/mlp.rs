//! The gated feed-forward layer.

use super::linear::Linear;
use crate::{
    adapter::AdapterSaved,
    backend::{Backend, Write},
    error::Result,
    ops,
    param::ParamView,
    pass::Pass,
    tensor::Matrix,
};

/// `O = (silu(X·Wgᵀ) ∘ X·Wuᵀ) · Wdᵀ`.
pub struct Mlp<B: Backend> {
    /// The gate, `[intermediate, hidden]`.
    pub gate: Linear<B>,
    /// What is gated, likewise.
    pub up: Linear<B>,
    /// The way back, `[hidden, intermediate]`.
    pub down: Linear<B>,
}

/// What the backward pass needs, beside the layer's input.
pub struct MlpSaved<B: Backend> {
    gate: Matrix<B>,
    up: Matrix<B>,
    gate_saved: AdapterSaved<B>,
    up_saved: AdapterSaved<B>,
    down_saved: AdapterSaved<B>,
}

impl<B: Backend> Mlp<B> {
    /// Returns O `[t, hidden]`.
    ///
    /// # Errors
    /// When shapes disagree or the device is out of memory.
    pub fn forward(&self, pass: &Pass<'_, B>, x: &Matrix<B>) -> Result<(Matrix<B>, MlpSaved<B>)> {
        let _span = pass.be.profile().span("mlp");
        let (gate, gate_saved) = self.gate.forward(pass, x)?;
        let (up, up_saved) = self.up.forward(pass, x)?;
        let mut gated = Matrix::unwritten(pass.be, gate.rows(), gate.cols())?;
        ops::swiglu(pass.be, &gate, &up, &mut gated)?;
        let (y, down_saved) = self.down.forward(pass, &gated)?;
        Ok((y, MlpSaved { gate, up, gate_saved, up_saved, down_saved }))
    }

    /// Returns the gradient with respect to x. The gated product is computed again, not kept, and takes the place of its
    /// gradient.
    ///
    /// # Errors
    /// When shapes disagree or the device is out of memory.
    pub fn backward(
        &mut self,
        pass: &Pass<'_, B>,
        x: &Matrix<B>,
        saved: MlpSaved<B>,
        dy: &Matrix<B>,
    ) -> Result<Matrix<B>> {
        let _span = pass.be.profile().span("mlp");
        let MlpSaved { mut gate, mut up, gate_saved, up_saved, down_saved } = saved;
        let mut dgated = Matrix::unwritten(pass.be, gate.rows(), gate.cols())?;
        let du = self.down.backward_input(pass, dy, Write::Overwrite, &mut dgated)?;
        ops::swiglu_backward(pass.be, &mut gate, &mut up, &mut dgated)?;
        let (dgate, dup, gated) = (gate, up, dgated);
        self.down.backward_params(pass, &gated, down_saved, dy, du)?;
        drop(gated);

        let mut dx = Matrix::unwritten(pass.be, x.rows(), x.cols())?;
        self.gate.backward(pass, x, gate_saved, &dgate, Write::Overwrite, &mut dx)?;
        self.up.backward(pass, x, up_saved, &dup, Write::Add, &mut dx)?;
        Ok(dx)
    }

    /// The projections, in the order in which parameters are listed.
    pub fn linears_mut(&mut self) -> [&mut Linear<B>; 3] {
        [&mut self.gate, &mut self.up, &mut self.down]
    }

    /// Adds the trained parts to `views`.
    pub fn params<'a>(&'a mut self, views: &mut Vec<ParamView<'a, B>>) {
        for linear in self.linears_mut() {
            linear.params(views);
        }
    }
}
