//! Sparse patterns and values.
