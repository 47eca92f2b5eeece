//! A linear layer: a weight of the base, an optional bias, and the adapter beside them.

use crate::{
    adapter::{Adapter, AdapterSaved},
    backend::{Backend, Write},
    error::Result,
    ops,
    param::{Base, BaseVector, ParamView},
    pass::Pass,
    tensor::Matrix,
};

/// `O = X·(W + S)ᵀ + bias + s·(X∘D/q)·Aᵀ·Bᵀ`, with W `[out, in]`.
pub struct Linear<B: Backend> {
    /// W.
    pub weight: Base<B>,
    /// The bias `[1, out]`, where the architecture has one.
    pub bias: Option<BaseVector<B>>,
    /// S, A and B.
    pub adapter: Adapter<B>,
}

impl<B: Backend> Linear<B> {
    /// Returns O `[t, out]` for x `[t, in]`.
    ///
    /// # Errors
    /// When shapes disagree or the device is out of memory.
    pub fn forward(&self, pass: &Pass<'_, B>, x: &Matrix<B>) -> Result<(Matrix<B>, AdapterSaved<B>)> {
        let weight = self.weight.weight();
        let mut y = Matrix::unwritten(pass.be, x.rows(), weight.rows())?;
        let first_row = pass.dropout.map_or(0, |d| d.first_row);
        let bias = self.bias.as_ref().map(Base::vector);
        let saved = self.adapter.forward(pass, first_row, weight, bias, x, &mut y)?;
        Ok((y, saved))
    }

    /// `dX ← [dX +] dO·(W + S) + s·(dO·B·A)∘D/q`; the gradients of the trained parts accumulate, and `dW = dOᵀ·X`
    /// where W itself is trained.
    ///
    /// # Errors
    /// When shapes disagree or the device is out of memory.
    pub fn backward(
        &mut self,
        pass: &Pass<'_, B>,
        x: &Matrix<B>,
        saved: AdapterSaved<B>,
        dy: &Matrix<B>,
        write: Write,
        dx: &mut Matrix<B>,
    ) -> Result<()> {
        let du = self.backward_input(pass, dy, write, dx)?;
        self.backward_params(pass, x, saved, dy, du)
    }

    /// The gradients of the trained parts alone.
    ///
    /// # Errors
    /// When shapes disagree or the device is out of memory.
    pub fn backward_without_input(
        &mut self,
        pass: &Pass<'_, B>,
        x: &Matrix<B>,
        saved: AdapterSaved<B>,
        dy: &Matrix<B>,
    ) -> Result<()> {
        let du = self.adapter.backward_without_input(pass.be, dy)?;
        self.backward_params(pass, x, saved, dy, du)
    }

    /// The part of [`backward`](Self::backward) that does without x: dX, and what the other part makes dA of.
    ///
    /// # Errors
    /// When shapes disagree or the device is out of memory.
    pub fn backward_input(
        &self,
        pass: &Pass<'_, B>,
        dy: &Matrix<B>,
        write: Write,
        dx: &mut Matrix<B>,
    ) -> Result<Option<Matrix<B>>> {
        let first_row = pass.dropout.map_or(0, |d| d.first_row);
        self.adapter.backward_input(pass, first_row, self.weight.weight(), dy, write, dx)
    }

    /// The other part: the gradients of what is trained.
    ///
    /// # Errors
    /// When shapes disagree or the device is out of memory.
    pub fn backward_params(
        &mut self,
        pass: &Pass<'_, B>,
        x: &Matrix<B>,
        saved: AdapterSaved<B>,
        dy: &Matrix<B>,
        du: Option<Matrix<B>>,
    ) -> Result<()> {
        if let Some(dw) = self.weight.grad_mut() {
            ops::matmul_tn(pass.be, dy, x, 0..x.rows(), 1.0, Write::Add, dw)?;
        }
        if let Some(dbias) = self.bias.as_mut().and_then(Base::grad_mut) {
            ops::bias_grad_add(pass.be, dy, dbias)?;
        }
        let first_row = pass.dropout.map_or(0, |d| d.first_row);
        self.adapter.backward_params(pass, first_row, self.weight.weight(), x, &saved, dy, du.as_ref())
    }

    /// Adds the trained parts to `views`.
    pub fn params<'a>(&'a mut self, views: &mut Vec<ParamView<'a, B>>) {
        self.weight.params(&format!("{}.weight", self.adapter.module), views);
        if let Some(bias) = &mut self.bias {
            bias.params(&format!("{}.bias", self.adapter.module), views);
        }
        self.adapter.params(views);
    }
}
