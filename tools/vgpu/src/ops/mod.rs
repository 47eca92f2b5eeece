//! Instructions by family: each file decodes its opcodes and executes them on a warp's registers.

pub(crate) mod bits;
pub(crate) mod compare;
pub(crate) mod convert;
pub(crate) mod float;
pub(crate) mod integer;
pub(crate) mod matrix;
pub(crate) mod moves;
pub(crate) mod packed;
pub(crate) mod wgmma;
pub(crate) mod wmma;
