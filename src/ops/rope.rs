//! Rotary position embedding; its gradient is the turn back.

use crate::{
    backend::{Backend, Turn, work},
    error::{Error, Result, dims, within},
    profile::OpClass,
    tensor::{Ids, Matrix},
};

/// Turns each pair `(x[j], x[j + e/2])` of each head by the angle whose cosine and sine stand in row
/// `positions[t]` of the tables, in place; cos, sin `[positions, e/2]`, x `[t, heads·e]`.
///
/// # Errors
/// [`Error::Dims`] when the shapes do not agree, [`Error::Setting`] when x does not consist of whole heads,
/// [`Error::Index`] for a position beyond the tables.
pub fn rope<B: Backend>(
    be: &B,
    cos: &Matrix<B, f32>,
    sin: &Matrix<B, f32>,
    positions: &Ids<B>,
    turn: Turn,
    x: &mut Matrix<B>,
) -> Result<()> {
    dims!("rope": sin.rows = cos.rows, sin.cols = cos.cols, positions.len = x.rows);
    within("rope", "position", positions.bound(), cos.rows())?;
    let head = 2 * cos.cols();
    if x.cols().checked_rem(head) != Some(0) {
        return Err(Error::setting("the width of rope's x", x.cols(), format!("a multiple of {head}")));
    }
    // SAFETY: dims! proved the shapes that Backend::rope states, `within` the positions, the test above
    // that every head is whole.
    be.profiled(OpClass::Elementwise, work::passes(2, x), || unsafe { be.rope(cos, sin, positions, turn, x) })
}
