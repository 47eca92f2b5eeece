//! Errors against their bounds, after Higham, *Accuracy and Stability of Numerical Algorithms*.

use crate::{
    backend::Backend,
    device::{Element, Float},
    error::Result,
    num::to_usize,
    rng::{Purpose, Stream},
    tensor::Matrix,
};

/// Up to so many elements of an output are all compared; of more, [`SAMPLES`] that a fixed seed draws.
const ALL: usize = 4096;
const SAMPLES: u32 = 512;

/// Half the distance from 1 to the next f32.
pub(super) const UNIT_F32: f64 = 1.0 / (1u64 << 24) as f64;

/// One element in f64: its value, and `Σ|aᵢ·bᵢ|` of the sum it comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Exact {
    /// The value.
    pub value: f64,
    /// The sum of its terms' magnitudes.
    pub magnitude: f64,
}

impl Exact {
    /// A number that is computed without cancellation.
    #[must_use]
    pub fn of(value: f64) -> Self {
        Self { value, magnitude: value.abs() }
    }

    /// The sum of these products.
    pub fn sum(products: impl IntoIterator<Item = (f64, f64)>) -> Self {
        products.into_iter().fold(Self::default(), |sum, (a, b)| sum.plus(a * b))
    }

    /// With one term more.
    #[must_use]
    pub fn plus(self, term: f64) -> Self {
        Self { value: self.value + term, magnitude: self.magnitude + term.abs() }
    }
}

/// How far a case's outputs are from what they should be.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Verdict {
    /// The largest error of an element, over its bound; infinite where what must be equal is not.
    pub worst: f64,
    /// Elements compared.
    pub compared: usize,
}

impl Verdict {
    /// Whether every error is within its bound.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.worst <= 1.0
    }

    /// Compares elements of type `T` with `want` of their indices: `|got − want| ≤ γ(n)·magnitude + u(T)·|want|`, where
    /// n counts the roundings to f32 on the path of one element and γ(n) = n·u/(1 − n·u).
    pub fn within<T: Float>(&mut self, got: &[T], roundings: usize, want: impl Fn(usize) -> Exact) {
        let nu = roundings as f64 * UNIT_F32;
        let (gamma, unit) = (nu / (1.0 - nu), unit::<T>());
        let mut compare = |i: usize| {
            let want = want(i);
            let bound = gamma * want.magnitude * (1.0 + unit) + unit * want.value.abs();
            self.of(f64::from(got[i].to_f32()) - want.value, bound);
        };
        match u32::try_from(got.len()) {
            Ok(len) if got.len() > ALL => {
                let stream = Stream::new(1, Purpose::Data, 0, 1);
                (0..SAMPLES).for_each(|i| compare(to_usize(stream.below(i.into(), len))));
            }
            _ => (0..got.len()).for_each(compare),
        }
    }

    /// [`within`](Self::within) for a matrix on a device.
    ///
    /// # Errors
    /// When work queued on the device failed.
    pub fn matrix<B: Backend, T: Float>(
        &mut self,
        be: &B,
        got: &Matrix<B, T>,
        roundings: usize,
        want: impl Fn(usize) -> Exact,
    ) -> Result<()> {
        self.within(&got.download(be)?, roundings, want);
        Ok(())
    }

    /// Compares what must be equal to the bit.
    pub fn equal<T: Element>(&mut self, got: &[T], want: &[T]) {
        self.note(if got.len() == want.len() { 0.0 } else { f64::INFINITY });
        for (got, want) in got.iter().zip(want) {
            self.note(if bytemuck::bytes_of(got) == bytemuck::bytes_of(want) { 0.0 } else { f64::INFINITY });
        }
    }

    /// Takes an error with its bound.
    pub fn of(&mut self, error: f64, bound: f64) {
        self.note(if error == 0.0 { 0.0 } else { error.abs() / bound });
    }

    fn note(&mut self, share: f64) {
        // NaN, of an output that is none or should be none, is as wrong as can be.
        self.worst = self.worst.max(if share.is_nan() { f64::INFINITY } else { share });
        self.compared += 1;
    }
}

/// The relative error of one rounding to `T`.
fn unit<T: Float>() -> f64 {
    if T::NAME == "bf16" { 1.0 / 256.0 } else { UNIT_F32 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::bf16;

    /// Whether `got` passes for 1000, a sum of terms of magnitude 4000 with ten roundings.
    fn passes<T: Float>(got: T) -> bool {
        let mut verdict = Verdict::default();
        let want = Exact { value: 1000.0, magnitude: 4000.0 };
        verdict.within(&[T::from_f32(1000.0), got], 10, |_| want);
        assert_eq!(verdict.compared, 2);
        verdict.holds()
    }

    #[test]
    fn a_wrong_element_is_noticed() {
        // The bounds are 0.00244 and 3.9.
        assert!(passes(1000.002_f32) && !passes(1000.003_f32) && !passes(999.997_f32));
        assert!(passes(bf16::from_f32(1000.0)) && !passes(bf16::from_f32(1004.0)));
        assert!(!passes(f32::NAN) && !passes(f32::INFINITY) && !passes(-1000.0_f32));
    }

    #[test]
    fn what_must_be_zero_may_not_be_anything_else() {
        let mut verdict = Verdict::default();
        verdict.within(&[0.0_f32], 3, |_| Exact::default());
        assert!(verdict.holds());
        verdict.within(&[f32::MIN_POSITIVE], 3, |_| Exact::default());
        assert!(!verdict.holds());
    }

    #[test]
    fn one_wrong_element_of_many_spoils_the_verdict() {
        let mut got = vec![1.0_f32; ALL];
        got[4000] = 1.01;
        let mut verdict = Verdict::default();
        verdict.within(&got, 1, |_| Exact::of(1.0));
        assert!(!verdict.holds() && verdict.compared == ALL);
    }

    #[test]
    fn what_must_be_equal_is_compared_by_bits_and_length() {
        let holds = |got: &[f32], want: &[f32]| {
            let mut verdict = Verdict::default();
            verdict.equal(got, want);
            verdict.holds()
        };
        assert!(holds(&[1.0, f32::NAN], &[1.0, f32::NAN]));
        assert!(!holds(&[0.0], &[-0.0]) && !holds(&[1.0], &[1.0, 2.0]) && !holds(&[1.0], &[]));
    }
}
