//! What this machine reaches at its best, measured in a second.

use crate::{
    backend::{Backend, Write},
    error::Result,
    ops,
    profile::Peak,
    tensor::{Frozen, Matrix, Precision},
};
use half::bf16;
use std::time::{Duration, Instant};

/// How long each of the two measurements goes on.
const BUDGET: Duration = Duration::from_millis(200);
/// Rows, columns and depth of the first product; they double while time remains.
const FIRST_PRODUCT: usize = 128;
/// The largest: beyond it nothing is gained.
const LAST_PRODUCT: usize = 1024;
/// Elements of the first vectors; there are eight times as many while time remains.
const FIRST_VECTORS: usize = 1 << 17;
/// The most: no more memory than any run needs, and more than the cache of a core holds.
const LAST_VECTORS: usize = 1 << 23;

/// Measures the peak of `be`: the rate of dense products with weights of this precision, and the bandwidth of sums of
/// two vectors. The best of many runs counts, so a machine that is busy meanwhile shows too low a peak.
///
/// # Errors
/// When the device is out of memory.
pub fn measure<B: Backend>(be: &B, precision: Precision) -> Result<Peak> {
    let mut peak = Peak { flops: 0.0, bytes: 0.0 };
    let mut left = BUDGET;
    let mut n = FIRST_PRODUCT;
    loop {
        let started = Instant::now();
        let x = Matrix::from_f32(be, n, n, &vec![1.0; n * n])?;
        let w = match precision {
            Precision::F32 => Frozen::F32(Matrix::from_f32(be, n, n, &vec![1.0; n * n])?),
            // Weights of 4 bits are multiplied as bf16.
            Precision::Bf16 | Precision::Nf4 => {
                Frozen::Bf16(Matrix::<B, bf16>::from_f32(be, n, n, &vec![1.0; n * n])?)
            }
        };
        let mut y = Matrix::zeros(be, n, n)?;
        let fastest = fastest(be, || ops::matmul_nt(be, &x, w.weight(), 1.0, Write::Overwrite, &mut y))?;
        peak.flops = peak.flops.max(2.0 * (n as f64).powi(3) / fastest.as_secs_f64());
        left = left.saturating_sub(started.elapsed());
        n = (2 * n).min(LAST_PRODUCT);
        if left < 8 * started.elapsed() {
            break;
        }
    }
    let mut left = BUDGET;
    let mut len = FIRST_VECTORS;
    loop {
        let started = Instant::now();
        let x = Matrix::zeros(be, 1, len)?;
        let mut y = Matrix::zeros(be, 1, len)?;
        let bytes = 3 * len * size_of::<B::Act>();
        let fastest = fastest(be, || ops::add(be, &x, &mut y))?;
        // The longest vectors count: shorter ones stay in caches.
        peak.bytes = bytes as f64 / fastest.as_secs_f64();
        left = left.saturating_sub(started.elapsed());
        len = (8 * len).min(LAST_VECTORS);
        if left < 8 * started.elapsed() {
            break;
        }
    }
    Ok(peak)
}

/// The time of the fastest of a few runs.
fn fastest<B: Backend>(be: &B, mut run: impl FnMut() -> Result<()>) -> Result<Duration> {
    let mut best = Duration::MAX;
    for _ in 0..4 {
        be.synchronize()?;
        let started = Instant::now();
        run()?;
        be.synchronize()?;
        best = best.min(started.elapsed());
    }
    Ok(best.max(Duration::from_nanos(1)))
}
