//! Root-mean-square normalisation with a learned gain.

use crate::{
    backend::Backend,
    error::Result,
    ops,
    param::{Base, BaseVector, ParamView},
    tensor::Matrix,
};

/// `y = x / √(mean x² + eps) ∘ gain`, row by row.
pub struct Norm<B: Backend> {
    /// The tensor's name.
    pub name: String,
    /// The gain `[1, features]`.
    pub gain: BaseVector<B>,
    /// Keeps the root away from zero.
    pub eps: f32,
}

impl<B: Backend> Norm<B> {
    /// Returns y `[t, features]`.
    ///
    /// # Errors
    /// When shapes disagree or the device is out of memory.
    pub fn forward(&self, be: &B, x: &Matrix<B>) -> Result<Matrix<B>> {
        let mut y = Matrix::unwritten(be, x.rows(), x.cols())?;
        ops::rmsnorm(be, x, self.gain.vector(), self.eps, &mut y)?;
        Ok(y)
    }

    /// Adds the gradient with respect to x to `dx`, and the gain's to its own where it is trained.
    ///
    /// # Errors
    /// When shapes disagree or the device is out of memory.
    pub fn backward_add(&mut self, be: &B, x: &Matrix<B>, dy: &Matrix<B>, dx: &mut Matrix<B>) -> Result<()> {
        if let Some(dgain) = self.gain.grad_mut() {
            ops::rmsnorm_gain_grad_add(be, x, self.eps, dy, dgain)?;
        }
        ops::rmsnorm_backward_add(be, x, self.gain.vector(), self.eps, dy, dx)
    }

    /// Adds the gain to `views`, if it is trained.
    pub fn params<'a>(&'a mut self, views: &mut Vec<ParamView<'a, B>>) {
        let Self { name, gain, .. } = self;
        Base::params(gain, name, views);
    }
}
