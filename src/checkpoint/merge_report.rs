//! What storing a merged model changed, against the model with its adapter beside it.

use rayon::prelude::*;
use serde::Serialize;

/// What became of one tensor. All norms are Frobenius norms.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TensorReport {
    /// Its name.
    pub name: String,
    /// `‖ΔW‖` of the adapter; 0 without one.
    pub delta_norm: f64,
    /// `‖W + ΔW‖`, with W as training held it.
    pub norm: f64,
    /// `‖stored − (W + ΔW)‖`.
    pub error: f64,
}

/// What became of all of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MergeReport {
    /// Tensor by tensor.
    pub tensors: Vec<TensorReport>,
    /// The bytes of all tensors in the base.
    pub bytes_before: usize,
    /// The bytes of all tensors that were written.
    pub bytes_after: usize,
}

/// Elements whose squares one thread adds up.
const PIECE: usize = 1 << 16;

impl TensorReport {
    /// The report on tensor `name`, with `W[i]` from `base`, `ΔW[i]` from `delta` and what is stored from `stored`.
    pub(super) fn new(
        name: String,
        len: usize,
        base: impl Fn(usize) -> f32 + Sync,
        delta: impl Fn(usize) -> f32 + Sync,
        stored: impl Fn(usize) -> f32 + Sync,
    ) -> Self {
        let pieces: Vec<[f64; 3]> = (0..len.div_ceil(PIECE))
            .into_par_iter()
            .map(|piece| {
                let mut sums = [0.0; 3];
                for i in piece * PIECE..len.min((piece + 1) * PIECE) {
                    let delta = f64::from(delta(i));
                    let whole = f64::from(base(i)) + delta;
                    let terms = [delta, whole, f64::from(stored(i)) - whole];
                    sums.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term * term);
                }
                sums
            })
            .collect();
        let [delta_norm, norm, error] =
            [0, 1, 2].map(|i| pieces.iter().map(|sums| sums[i]).sum::<f64>().sqrt());
        Self { name, delta_norm, norm, error }
    }

    /// The error as a share of `‖W + ΔW‖`.
    #[must_use]
    pub fn relative(&self) -> f64 {
        self.error / self.norm.max(f64::MIN_POSITIVE)
    }

    /// The error as a share of `‖ΔW‖`: of what the fine-tuning changed. `None` without an adapter.
    #[must_use]
    pub fn relative_to_delta(&self) -> Option<f64> {
        (self.delta_norm > 0.0).then(|| self.error / self.delta_norm)
    }
}

impl MergeReport {
    /// All tensors as if they were one.
    #[must_use]
    pub fn total(&self) -> TensorReport {
        let norm = |of: fn(&TensorReport) -> f64| {
            self.tensors.iter().map(|tensor| of(tensor).powi(2)).sum::<f64>().sqrt()
        };
        TensorReport {
            name: "all".to_owned(),
            delta_norm: norm(|tensor| tensor.delta_norm),
            norm: norm(|tensor| tensor.norm),
            error: norm(|tensor| tensor.error),
        }
    }
}
