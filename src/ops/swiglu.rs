//! The gated activation of a Llama's feed-forward block.

use crate::{
    backend::{Backend, work},
    error::{Result, dims},
    profile::OpClass,
    tensor::Matrix,
};

/// `y = gate·σ(gate) ∘ up`, all of one shape.
///
/// # Errors
/// [`Error::Dims`](crate::error::Error::Dims) when the shapes do not agree.
pub fn swiglu<B: Backend>(be: &B, gate: &Matrix<B>, up: &Matrix<B>, y: &mut Matrix<B>) -> Result<()> {
    dims!("swiglu": up.rows = gate.rows, up.cols = gate.cols, y.rows = gate.rows, y.cols = gate.cols);
    // SAFETY: dims! proved the shapes that Backend::swiglu states.
    be.profiled(OpClass::Elementwise, work::passes(3, y), || unsafe { be.swiglu(gate, up, y) })
}

/// The gradients of [`swiglu`], in place, all of one shape: gate becomes
/// `dgate = σ(gate)·(1 + gate·(1 − σ(gate))) ∘ up ∘ dy`, up becomes `dup = gate·σ(gate) ∘ dy`, and dy becomes
/// `y = gate·σ(gate) ∘ up`, which the product with y needs next and nobody kept.
///
/// # Errors
/// [`Error::Dims`](crate::error::Error::Dims) when the shapes do not agree.
pub fn swiglu_backward<B: Backend>(
    be: &B,
    gate: &mut Matrix<B>,
    up: &mut Matrix<B>,
    dy: &mut Matrix<B>,
) -> Result<()> {
    dims!("swiglu_backward":
        up.rows = gate.rows, up.cols = gate.cols, dy.rows = gate.rows, dy.cols = gate.cols);
    // SAFETY: dims! proved the shapes that Backend::swiglu_backward states.
    be.profiled(OpClass::Elementwise, work::passes(6, dy), || unsafe { be.swiglu_backward(gate, up, dy) })
}
