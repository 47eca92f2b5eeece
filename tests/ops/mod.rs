//! A file per op.
