//! What vgpu computes, what it catches, what it counts.

mod checks;
mod counts;
#[cfg(target_os = "linux")] // where LD_LIBRARY_PATH says which driver a program gets
mod driver;
mod floats;
mod host;
mod integers;
mod lanes;
mod models;
mod nvcc;
mod parsing;
mod support;
mod tensors;
mod wgmma;
