//! Sparse operations.
