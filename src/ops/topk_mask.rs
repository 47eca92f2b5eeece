use crate::{
    backend::SparseBackend,
    error::{Error, Result},
    num::to_u32,
    profile::{OpClass, Work},
    sparse::CsrPattern,
    tensor::Matrix,
};
use std::sync::Arc;

/// The `k` entries of largest |score| over all `scores` together, as one pattern per matrix.
///
/// The selection is exact, not sampled. Ties go to the earlier matrix and then to the lower
/// row-major index; +0 and −0 tie, infinities are the largest, and a NaN counts as 0.
///
/// # Errors
/// [`Error::Index`] when there are fewer than `k` scores, [`Error::TooLarge`] when `k`, the rows or
/// the columns exceed 2³² − 1; out of memory.
pub fn topk_mask<B: SparseBackend>(
    be: &B,
    scores: &[&Matrix<B, f32>],
    k: usize,
) -> Result<Vec<Arc<CsrPattern<B>>>> {
    let total: usize = scores.iter().map(|scores| scores.len()).sum();
    if k > total {
        return Err(Error::Index { op: "topk_mask", what: "k", index: k, bound: total + 1 });
    }
    to_u32("k of topk_mask", k)?;
    for scores in scores {
        to_u32("rows of a mask", scores.rows())?;
        to_u32("columns of a mask", scores.cols())?;
    }
    be.profiled(OpClass::Mask, Work::traffic(4 * total), || {
        // SAFETY: there are k scores to select, and all counts fit in 32 bits.
        let selected = unsafe { be.topk_mask(scores, k) }?;
        let patterns = scores.iter().zip(selected).map(|(scores, selected)| {
            // SAFETY: a selection forms a pattern of its scores' shape.
            Ok(Arc::new(unsafe { be.csr_transpose(scores.rows(), scores.cols(), selected) }?))
        });
        patterns.collect()
    })
}
