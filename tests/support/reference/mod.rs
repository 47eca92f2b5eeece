//! The oracle: naive f64 code that shares no line with the product.

pub mod dense;
pub mod sparse;
