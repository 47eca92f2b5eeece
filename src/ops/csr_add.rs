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
pub fn csr_add<B: Backend>(be: &B, s: &Csr<B>, w: &mut Matrix<B, f32>) -> Result<()> {
    todo!()
}
