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

/// `dup = gate·σ(gate) ∘ dy`, `dgate = σ(gate)·(1 + gate·(1 − σ(gate))) ∘ up ∘ dy`, all of one shape.
///
/// # Errors
/// [`Error::Dims`](crate::error::Error::Dims) when the shapes do not agree.
pub fn swiglu_backward<B: Backend>(
    be: &B,
    gate: &Matrix<B>,
    up: &Matrix<B>,
    dy: &Matrix<B>,
    dgate: &mut Matrix<B>,
    dup: &mut Matrix<B>,
) -> Result<()> {
    dims!("swiglu_backward":
        up.rows = gate.rows, up.cols = gate.cols, dy.rows = gate.rows, dy.cols = gate.cols,
        dgate.rows = gate.rows, dgate.cols = gate.cols, dup.rows = gate.rows, dup.cols = gate.cols);
    // SAFETY: dims! proved the shapes that Backend::swiglu_backward states.
    be.profiled(OpClass::Elementwise, work::passes(5, dy), || unsafe {
        be.swiglu_backward(gate, up, dy, dgate, dup)
    })
}
