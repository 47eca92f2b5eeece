//! What the tests share: the oracle, error bounds, random inputs, backends.

pub mod arbitrary;
pub mod bound;
pub mod reference;

use rosa_kernels::{
    backend::{Backend, cpu::Cpu},
    device::Device,
    tensor::Matrix,
};

/// The CPU backend with two threads.
pub fn cpu() -> Cpu {
    Cpu::new(Some(2)).expect("two threads")
}

/// Stamps a test for each backend of the build.
///
/// `on_every_backend! { fn adds_up(be: &impl Backend) { … } }` makes `adds_up::cpu`.
macro_rules! on_every_backend {
    ($($(#[$meta:meta])* fn $name:ident($be:ident: &impl Backend) $body:block)+) => { $(
        mod $name {
            #[allow(unused_imports)]
            use super::*;
            fn case<B: rosa_kernels::backend::Backend>($be: &B) $body
            $(#[$meta])*
            #[test]
            fn cpu() {
                case(&crate::support::cpu());
            }
        }
    )+ };
}

/// An activation matrix `[rows, cols]`; give values that the activation type holds exactly, or compare with
/// [`stored`].
pub fn act<B: Backend>(be: &B, rows: usize, cols: usize, host: &[f32]) -> Matrix<B> {
    Matrix::from_f32(be, rows, cols, host).expect("upload")
}

/// An f32 matrix `[rows, cols]`.
pub fn f32s<B: Backend>(be: &B, rows: usize, cols: usize, host: &[f32]) -> Matrix<B, f32> {
    Matrix::from_f32(be, rows, cols, host).expect("upload")
}

/// The elements of an activation matrix as f32.
pub fn host<B: Backend>(be: &B, x: &Matrix<B>) -> Vec<f32> {
    use rosa_kernels::device::Float;
    x.download(be).expect("download").into_iter().map(Float::to_f32).collect()
}

/// `x` rounded to the activation type of the backend: what the op really sees.
pub fn stored<B: Backend>(x: &[f32]) -> Vec<f32> {
    use rosa_kernels::device::Float;
    x.iter().map(|&x| <B as Device>::Act::from_f32(x).to_f32()).collect()
}
