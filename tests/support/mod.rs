//! What the tests share: the oracle, error bounds, random inputs, backends.

pub mod arbitrary;
pub mod bound;
pub mod files;
pub mod gguf;
pub mod reference;
pub mod tiny;

use rosa_kernels::{
    backend::{Backend, cpu::Cpu},
    device::Device,
    tensor::Matrix,
};

/// The CPU backend with two threads.
pub fn cpu() -> Cpu {
    Cpu::new(Some(2)).expect("two threads")
}

/// The one that a user gets, and one for the other way in which this machine can multiply many rows with instructions for
/// bf16, if it has one.
pub fn cpus() -> Vec<Cpu> {
    with_and_without_tiles(cpu())
}

fn with_and_without_tiles(cpu: Cpu) -> Vec<Cpu> {
    let without = cpu.clone().without_tiles();
    let way = |cpu: &Cpu| (cpu.vectors(), cpu.rounds_sum_to_bf16(usize::MAX));
    if way(&cpu) == way(&without) { vec![cpu] } else { vec![cpu, without] }
}

/// The same, and one that has no such instructions.
pub fn cpus_and_without_bf16() -> Vec<Cpu> {
    cpus().into_iter().chain([cpu().without_bf16()]).collect()
}

/// The first GPU, or what stands in for one; shared, because kernels are loaded once.
#[cfg(feature = "cuda")]
pub fn cuda() -> &'static rosa_kernels::backend::cuda::Cuda {
    use rosa_kernels::backend::cuda::Cuda;
    static CUDA: std::sync::LazyLock<Cuda> = std::sync::LazyLock::new(|| {
        Cuda::new(0)
            .unwrap_or_else(|e| panic!("{e}\nwithout a GPU: tools/with-vgpu cargo test --features cuda"))
    });
    &CUDA
}

/// Stamps a test for each backend of the build.
///
/// `on_every_backend! { fn adds_up(be: &impl Backend) { … } }` makes `adds_up::cpu` and, under the feature `cuda`,
/// `adds_up::cuda`.
macro_rules! on_every_backend {
    ($($(#[$meta:meta])* fn $name:ident($be:ident: &impl $bound:ident) $body:block)+) => { $(
        mod $name {
            #[allow(unused_imports)]
            use super::*;
            fn case<B: rosa_kernels::backend::$bound>($be: &B) $body
            $(#[$meta])*
            #[test]
            fn cpu() {
                crate::support::cpus().iter().for_each(case);
            }
            on_every_backend! { @cuda $(#[$meta])* }
        }
    )+ };
    (@cuda $(#[$meta:meta])*) => {
        $(#[$meta])*
        #[cfg(feature = "cuda")]
        #[test]
        fn cuda() {
            case(crate::support::cuda());
        }
    };
}

/// An activation matrix `[rows, cols]`; give values that the activation type holds exactly, or compare with
/// [`stored`].
pub fn act<B: Device>(be: &B, rows: usize, cols: usize, host: &[f32]) -> Matrix<B> {
    Matrix::from_f32(be, rows, cols, host).expect("upload")
}

/// An f32 matrix `[rows, cols]`.
pub fn f32s<B: Device>(be: &B, rows: usize, cols: usize, host: &[f32]) -> Matrix<B, f32> {
    Matrix::from_f32(be, rows, cols, host).expect("upload")
}

/// The elements of an activation matrix as f32.
pub fn host<B: Device>(be: &B, x: &Matrix<B>) -> Vec<f32> {
    use rosa_kernels::device::Float;
    x.download(be).expect("download").into_iter().map(Float::to_f32).collect()
}

/// `x` rounded to the activation type of the backend: what the op really sees.
pub fn stored<B: Device>(x: &[f32]) -> Vec<f32> {
    rounded::<B::Act>(x)
}

/// `x` rounded to `T`.
pub fn rounded<T: rosa_kernels::device::Float>(x: &[f32]) -> Vec<f32> {
    x.iter().map(|&x| T::from_f32(x).to_f32()).collect()
}

/// Asserts that `run` gives the same bits on one, two and three threads.
#[track_caller]
pub fn assert_same_on_any_thread_count(run: impl Fn(&Cpu) -> Vec<f32>) {
    let bits = |threads| -> Vec<u32> {
        let cpus = with_and_without_tiles(Cpu::new(Some(threads)).expect("threads"));
        cpus.iter().flat_map(&run).map(f32::to_bits).collect()
    };
    let one = bits(1);
    assert!(one == bits(2), "two threads give other bits than one");
    assert!(one == bits(3), "three threads give other bits than one");
}

/// Asserts that `gradient` is the gradient of `f` at `x`, by central differences in f64.
///
/// The difference quotient errs by `h²/6·|f‴|` and by `2⁻⁵³·|f|/h`; with `h = 10⁻⁴` and the small
/// problems that tests give, where `f` and `f‴` stay below 500, both together are below 10⁻⁶.
#[track_caller]
pub fn assert_gradient(f: impl Fn(&[f64]) -> f64, x: &[f64], gradient: &[f64]) {
    const H: f64 = 1e-4;
    assert_eq!(x.len(), gradient.len(), "element count");
    for (i, &want) in gradient.iter().enumerate() {
        let at = |shift: f64| {
            let mut moved = x.to_vec();
            moved[i] += shift;
            f(&moved)
        };
        let quotient = (at(H) - at(-H)) / (2.0 * H);
        assert!((quotient - want).abs() <= 1e-6, "element {i}: slope {quotient}, gradient {want}");
    }
}

/// The weighted sum of an oracle's values: a scalar to differentiate.
pub fn weighted(values: &[bound::Exact], weights: &[f64]) -> f64 {
    values.iter().zip(weights).map(|(value, weight)| value.value * weight).sum()
}
