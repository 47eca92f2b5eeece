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
pub fn sddmm_add<B: Backend>(be: &B, dy: &Matrix<B>, x: &Matrix<B>, ds: &mut Csr<B>) -> Result<()> {
    todo!()
}
