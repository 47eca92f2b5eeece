//! The integration tests, one binary: every op against an f64 oracle, every layer against finite
//! differences, whole training runs against each other.
#![allow(missing_docs, unreachable_pub, clippy::cast_possible_truncation, clippy::cast_sign_loss)]

#[macro_use]
mod support;
mod cli;
mod demo;
mod files;
mod gradients;
mod house;
#[cfg(feature = "cuda")]
mod kernels;
mod ops;
mod training;
