//! Random inputs for proptest: shapes, values, patterns.
