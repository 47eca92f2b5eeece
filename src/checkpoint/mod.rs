//! Files on disk: weights, adapters, masks. Everything here is host memory; no file is ever left half-written.

mod adapter;
mod atomic;
mod mask;
mod weights;

pub use adapter::{AdapterConfig, AdapterFile, LowRank, Method, ModuleAdapter, SparsePart};
pub use atomic::write_atomically;
pub use mask::{MaskPart, read_masks, write_masks};
pub use weights::{Stored, TensorSource, Weights, write_weights};
