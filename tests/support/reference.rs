//! The oracle: naive f64 code that shares no line with the product.
