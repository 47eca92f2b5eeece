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
pub fn csr_pattern<B: Backend>(
    be: &B,
    rows: usize,
    cols: usize,
    row_offsets: Vec<u32>,
    col_indices: Vec<u32>,
) -> Result<Arc<CsrPattern<B>>> {
    todo!()
}

/// …
///
/// # Errors
/// …
pub fn csr_transpose<B: Backend>(be: &B, s: &Csr<B>) -> Result<Csr<B>> {
    todo!()
}
