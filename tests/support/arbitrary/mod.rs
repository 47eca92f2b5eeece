//! Random inputs for proptest: shapes, values, patterns.

pub mod sparse;
