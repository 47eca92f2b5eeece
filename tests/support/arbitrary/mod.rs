//! Random inputs for proptest: shapes, values, patterns.

pub mod dense;
pub mod sparse;
