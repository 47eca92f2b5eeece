//! What the kernels work out from a pattern alone, once.

use super::{Cuda, csr_add, nf4, nf4_matmul, sddmm, spmm};
use crate::error::Result;

/// The offsets and indices of a pattern, on the host.
pub(super) struct HostPattern {
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) row_offsets: Vec<u32>,
    pub(super) col_indices: Vec<u32>,
}

/// The order in which the sparse kernels walk a pattern.
pub struct PatternPlan {
    /// For `y += x·Sᵀ`.
    pub(super) spmm: spmm::Slots,
    /// For `dx += dy·S`: those of the transposed pattern.
    pub(super) spmm_t: spmm::Slots,
    /// For `dS += (dyᵀ·x)∘mask`.
    pub(super) sddmm: sddmm::Plan,
    /// For `w += S`.
    pub(super) csr_add: csr_add::Windows,
    /// For products with `w + S` where w has 4 bits, when there are any.
    pub(super) nf4: nf4_matmul::Plans,
    /// For such a weight in bf16 or f32 with S added.
    pub(super) nf4_places: nf4::Plan,
}

impl PatternPlan {
    /// The plan of `pattern`, whose transpose is `transpose`.
    pub(super) fn new(cuda: &Cuda, pattern: &HostPattern, transpose: &HostPattern) -> Result<Self> {
        Ok(Self {
            spmm: spmm::Slots::new(cuda, pattern)?,
            spmm_t: spmm::Slots::new(cuda, transpose)?,
            sddmm: sddmm::Plan::new(cuda, pattern)?,
            csr_add: csr_add::Windows::new(cuda, pattern)?,
            nf4: nf4_matmul::Plans::default(),
            nf4_places: nf4::Plan::default(),
        })
    }
}
