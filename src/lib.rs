//! RoSA fine-tuning without an ML framework (work in progress).
#![deny(missing_docs)]

pub mod backend;
pub mod demo;
pub mod device;
pub mod error;
pub mod num;
pub mod ops;
pub mod packing;
pub mod rng;
pub mod sparse;
pub mod tensor;
