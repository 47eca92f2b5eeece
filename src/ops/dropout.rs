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
pub fn dropout<B: Backend>(
    be: &B,
    x: &Matrix<B>,
    p: f32,
    stream: Stream,
    first_row: usize,
    write: Write,
    y: &mut Matrix<B>,
) -> Result<()> {
    todo!()
}
