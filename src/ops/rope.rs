#[allow(unused_imports)]
use crate::{
    backend::*,
    error::{Result, dims},
    packing::Packing,
    rng::Stream,
    sparse::*,
    tensor::*,
};
#[allow(unused_imports)]
use std::{ops::Range, sync::Arc};

/// …
///
/// # Errors
/// …
pub fn rope<B: Backend>(
    be: &B,
    cos: &Matrix<B, f32>,
    sin: &Matrix<B, f32>,
    positions: &Ids<B>,
    turn: Turn,
    x: &mut Matrix<B>,
) -> Result<()> {
    todo!()
}
