//! `dS += (dyᵀ·x)∘mask`.

use super::{Cuda, plan::HostPattern};
use crate::error::Result;

/// The entries of a pattern in the order of the slab kernel.
pub(super) struct Slots {}

impl Slots {
    pub(super) fn new(_cuda: &Cuda, _pattern: &HostPattern) -> Result<Self> {
        Ok(Self {})
    }
}
