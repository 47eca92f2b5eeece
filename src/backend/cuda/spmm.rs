//! `y += x·Sᵀ` and `dx += dy·S`.

use super::{Cuda, plan::HostPattern};
use crate::error::Result;

/// The entries of a pattern in the order of the slab kernel.
pub(super) struct Slots {}

impl Slots {
    pub(super) fn new(_cuda: &Cuda, _pattern: &HostPattern) -> Result<Self> {
        Ok(Self {})
    }
}

/// The values of a sparse matrix in the order of the slots.
pub struct PackedValues {}
