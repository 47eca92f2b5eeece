//! Files on disk: weights, adapters, masks. Everything here is host memory; no file is ever left half-written.

mod adapter;
mod adapter_config;
mod atomic;
mod base;
mod bitsandbytes;
pub mod convert;
mod delta;
mod mask;
pub mod merge;
mod merge_report;
pub mod state;
mod transfer;
mod weights;

pub use adapter::{AdapterFile, LowRank, ModuleAdapter, SparsePart};
pub use adapter_config::{AdapterConfig, Method};
pub use atomic::{remove_unfinished, write_atomically};
pub use base::{BaseWeights, HeldAs, load_model};
pub use mask::{MaskPart, read_masks, write_masks};
pub use merge_report::{MergeReport, TensorReport};
pub use transfer::{Masks, adapter_file, attach, load_masks, save_masks};
pub use weights::{Stored, TensorSource, Weights, write_weights};
