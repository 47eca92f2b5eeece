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
pub fn topk_mask<B: Backend>(
    be: &B,
    scores: &[&Matrix<B, f32>],
    k: usize,
) -> Result<Vec<Arc<CsrPattern<B>>>> {
    todo!()
}
