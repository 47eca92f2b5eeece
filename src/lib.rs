//! RoSA fine-tuning without an ML framework (work in progress).
#![deny(missing_docs)]

pub mod architecture;
pub mod backend;
pub mod checkpoint;
pub mod data;
pub mod device;
pub mod error;
pub mod json;
pub mod num;
pub mod ops;
pub mod packing;
pub mod pattern;
pub mod rng;
pub mod sparse;
pub mod tensor;
pub mod text;
