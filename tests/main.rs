//! The integration tests, one binary: every op against an f64 oracle, every layer against finite
//! differences, whole training runs against each other.
#![allow(missing_docs)]

#[macro_use]
mod support;
mod files;
mod ops;
