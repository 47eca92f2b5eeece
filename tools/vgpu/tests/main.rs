//! What vgpu computes, what it catches, what it counts.

mod checks;
mod counts;
mod floats;
mod integers;
mod lanes;
mod nvcc;
mod parsing;
mod support;
mod tensors;
