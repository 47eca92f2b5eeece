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
pub fn spmm_add<B: Backend>(be: &B, s: &Csr<B>, x: &Matrix<B>, y: &mut Matrix<B>) -> Result<()> {
    todo!()
}

/// …
///
/// # Errors
/// …
pub fn spmm_t_add<B: Backend>(be: &B, s: &Csr<B>, dy: &Matrix<B>, dx: &mut Matrix<B>) -> Result<()> {
    todo!()
}
