//! Error bounds with a derivation, after Higham, *Accuracy and Stability of Numerical Algorithms*.

use rosa_kernels::device::Float;

/// Half the distance from 1 to the next f32.
pub const U32: f64 = 1.0 / (1u64 << 24) as f64;

/// What the oracle says of one element: its value in f64 and `Σ|aᵢ·bᵢ|` of the sum it comes from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Exact {
    pub value: f64,
    pub magnitude: f64,
}

impl Exact {
    /// `self + a·b`.
    pub fn add(&mut self, a: f64, b: f64) {
        self.value += a * b;
        self.magnitude += (a * b).abs();
    }
}

/// `γ(n) = n·u / (1 − n·u)`: the relative error of n roundings in f32 (Higham, lemma 3.1).
pub fn gamma(n: usize) -> f64 {
    let nu = n as f64 * U32;
    nu / (1.0 - nu)
}

/// Half an ulp of `T` at 1: the relative error of one rounding to the storage type.
pub fn unit<T: Float>() -> f64 {
    match T::NAME {
        "bf16" => 1.0 / 256.0,
        "f16" => 1.0 / 2048.0,
        _ => U32,
    }
}

/// Asserts `|got − want| ≤ γ(n)·magnitude + u(T)·|want|` for every element, where `n` counts the roundings on
/// the path of one element (a sum of m products in any order: m + 1) and T is the type of the output.
#[track_caller]
pub fn assert_within<T: Float>(got: &[f32], want: &[Exact], n: usize) {
    assert_eq!(got.len(), want.len(), "element count");
    for (i, (&got, want)) in got.iter().zip(want).enumerate() {
        let bound = gamma(n) * want.magnitude * (1.0 + unit::<T>()) + unit::<T>() * want.value.abs();
        let error = (f64::from(got) - want.value).abs();
        assert!(
            error <= bound,
            "element {i}: got {got}, want {}, error {error:e} above its bound {bound:e}",
            want.value
        );
    }
}
