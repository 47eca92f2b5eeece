//! RoSA fine-tuning without an ML framework (work in progress).
#![deny(missing_docs)]

pub mod adapter;
pub mod architecture;
pub mod backend;
pub mod checkpoint;
pub mod data;
pub mod demo;
pub mod device;
pub mod error;
pub mod eval;
pub mod generate;
pub mod json;
pub mod layers;
pub mod mask;
pub mod memory;
pub mod model;
pub mod num;
pub mod ops;
pub mod optim;
pub mod options;
pub mod packing;
pub mod param;
pub mod pass;
pub mod pattern;
pub mod plan;
pub mod rng;
pub mod schedule;
pub mod sparse;
pub mod tensor;
pub mod text;
pub mod train;
