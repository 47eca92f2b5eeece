//! A trained parameter with its gradient and its optimizer moments, and the view that treats all alike.

use crate::{
    backend::Backend,
    device::Device,
    error::Result,
    sparse::Csr,
    tensor::{Matrix, Weight},
};
use std::sync::Arc;

/// What a parameter belongs to; groups have learning rates of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Values of a sparse adapter S.
    Sparse,
    /// A and B of a low-rank adapter.
    LowRank,
    /// Weights of the base model, in full fine-tuning.
    Base,
}

/// A trained value `T` (a dense matrix or a sparse one), its gradient and its AdamW moments, all f32.
pub struct Param<D: Device, T = Matrix<D, f32>> {
    /// The value that is trained.
    pub value: T,
    /// The gradient of the batch so far, of the same shape (and pattern).
    pub grad: T,
    m: D::Buffer<f32>,
    v: D::Buffer<f32>,
    updates: u32,
}

impl<B: Backend> Param<B> {
    /// A dense parameter that starts from `value`, with zero gradient and moments.
    ///
    /// # Errors
    /// When the device is out of memory.
    pub fn dense(be: &B, value: Matrix<B, f32>) -> Result<Self> {
        Ok(Self {
            grad: Matrix::zeros(be, value.rows(), value.cols())?,
            m: be.zeros(value.len())?,
            v: be.zeros(value.len())?,
            updates: 0,
            value,
        })
    }

    /// This parameter without its type, named `name`.
    pub fn view(&mut self, name: String, group: Group) -> ParamView<'_, B> {
        ParamView {
            name,
            group,
            value: self.value.buffer_mut(),
            grad: self.grad.buffer_mut(),
            m: &mut self.m,
            v: &mut self.v,
            updates: &mut self.updates,
        }
    }
}

impl<B: Backend> Param<B, Csr<B>> {
    /// A sparse parameter that starts from `value`, with zero gradient and moments.
    ///
    /// # Errors
    /// When the device is out of memory.
    pub fn sparse(be: &B, value: Csr<B>) -> Result<Self> {
        Ok(Self {
            grad: Csr::zeros(be, Arc::clone(value.pattern()))?,
            m: be.zeros(value.nnz())?,
            v: be.zeros(value.nnz())?,
            updates: 0,
            value,
        })
    }

    /// This parameter without its type, named `name`.
    pub fn view(&mut self, name: String) -> ParamView<'_, B> {
        ParamView {
            name,
            group: Group::Sparse,
            value: self.value.values_mut(),
            grad: self.grad.values_mut(),
            m: &mut self.m,
            v: &mut self.v,
            updates: &mut self.updates,
        }
    }
}

/// A parameter as the optimizer and the checkpoint see it: flat buffers of equal length and a name.
pub struct ParamView<'a, D: Device> {
    /// `<module path>.<part>`, unique in a model.
    pub name: String,
    /// Which learning rate applies.
    pub group: Group,
    /// The value.
    pub value: &'a mut D::Buffer<f32>,
    /// Its gradient.
    pub grad: &'a mut D::Buffer<f32>,
    /// The first moment.
    pub m: &'a mut D::Buffer<f32>,
    /// The second moment.
    pub v: &'a mut D::Buffer<f32>,
    /// How many updates it has had: the exponent of the bias correction.
    pub updates: &'a mut u32,
}

/// A part of the base model: frozen in its storage type `F`, or trained in f32.
pub enum Base<D: Device, F = crate::tensor::Frozen<D>> {
    /// Read only.
    Frozen(F),
    /// Full fine-tuning.
    Trained(Param<D>),
}

/// A vector of the base model (a norm's gain or a bias): `[1, features]`.
pub type BaseVector<D> = Base<D, Matrix<D, f32>>;

impl<D: Device> Base<D> {
    /// The matrix as an operand of a product.
    pub fn weight(&self) -> Weight<'_, D> {
        match self {
            Self::Frozen(frozen) => frozen.weight(),
            Self::Trained(param) => Weight::F32(&param.value),
        }
    }
}

impl<D: Device> BaseVector<D> {
    /// The vector.
    pub fn vector(&self) -> &Matrix<D, f32> {
        match self {
            Self::Frozen(vector) => vector,
            Self::Trained(param) => &param.value,
        }
    }
}

impl<D: Device, F> Base<D, F> {
    /// Where the gradient goes, if this part is trained.
    pub fn grad_mut(&mut self) -> Option<&mut Matrix<D, f32>> {
        match self {
            Self::Frozen(_) => None,
            Self::Trained(param) => Some(&mut param.grad),
        }
    }

    /// Whether this part is trained.
    pub fn is_trained(&self) -> bool {
        matches!(self, Self::Trained(_))
    }
}

impl<B: Backend, F> Base<B, F> {
    /// Adds this part's parameter to `views`, if it is trained.
    pub fn params<'a>(&'a mut self, name: &str, views: &mut Vec<ParamView<'a, B>>) {
        if let Self::Trained(param) = self {
            views.push(param.view(name.to_owned(), Group::Base));
        }
    }
}
