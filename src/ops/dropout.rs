//! Dropout whose mask is drawn anew wherever it is needed: forward and backward are one function.

use crate::{
    backend::{Backend, Write, work},
    error::{Error, Result, dims},
    profile::OpClass,
    rng::Stream,
    tensor::Matrix,
};

/// `y ← [y +] x ∘ D / (1 − p)`, where entry `(t, j)` of D is kept (1) unless
/// `stream.uniform((first_row + t) · cols + j) < p`; x, y `[t, cols]`.
///
/// # Errors
/// [`Error::Dims`] when the shapes do not agree, [`Error::Setting`] unless `0 ≤ p < 1`.
pub fn dropout<B: Backend>(
    be: &B,
    x: &Matrix<B>,
    p: f32,
    stream: Stream,
    first_row: usize,
    write: Write,
    y: &mut Matrix<B>,
) -> Result<()> {
    dims!("dropout": y.rows = x.rows, y.cols = x.cols);
    if !(0.0..1.0).contains(&p) {
        return Err(Error::setting("dropout", p, "a probability from 0 on and below 1"));
    }
    // SAFETY: dims! proved the shapes that Backend::dropout states.
    be.profiled(OpClass::Elementwise, work::passes(2, x), || unsafe {
        be.dropout(x, p, stream, first_row, write, y)
    })
}
