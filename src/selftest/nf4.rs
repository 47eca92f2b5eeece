//! To 4-bit weights and back.

use super::{
    Case,
    inputs::{matrix, nf4, numbers},
    sparse::Host,
};
use crate::{backend::Backend, device::Float, error::Result, nf4::CODES, ops, profile::Work, tensor::Matrix};

/// Values that share a magnitude.
const BLOCK: usize = 64;

/// Each value comes back as the nearest code of its block's largest magnitude, or as one as near.
pub(super) fn quantize<B: Backend>(be: &B, [n, k]: [usize; 2]) -> Result<Case> {
    let values = numbers::<f32>(2, n * k);
    let w = matrix::<_, f32>(be, n, k, &values)?;
    let (on, after) = (be.clone(), be.clone());
    Ok(Case::new(
        format!("{n}×{k}"),
        Work::new(n * k, 4 * n * k + n * k / 2),
        None,
        move |quantized| {
            *quantized = Some(ops::nf4_quantize(&on, &w, BLOCK)?);
            Ok(())
        },
        move |quantized, verdict| {
            let Some(quantized) = quantized else { return Ok(()) };
            let got = quantized.download(&after)?;
            for (got, values) in got.chunks(BLOCK).zip(values.chunks(BLOCK)) {
                let magnitude = values.iter().fold(0.0_f64, |m, &x| m.max(f64::from(x).abs()));
                for (&got, &value) in got.iter().zip(values) {
                    let off = |x: f64| (x - f64::from(value)).abs();
                    let nearest =
                        CODES.iter().map(|&code| off(f64::from(code) * magnitude)).fold(f64::MAX, f64::min);
                    // The quotient and the product are rounded, and so is the threshold between two codes.
                    verdict.of(off(got.into()) - nearest, 4.0 * f64::from(f32::EPSILON) * magnitude);
                }
            }
            Ok(())
        },
    ))
}

/// `y = w + s`, to the bit: a product, a sum, and a rounding to the type of y.
pub(super) fn dequantize<B: Backend, T: Float>(
    be: &B,
    [n, k]: [usize; 2],
    density: Option<f64>,
) -> Result<Case> {
    let w = nf4(be, [n, k])?;
    let host = density.map(|density| Host::new(n, k, density)).transpose()?;
    let s = host.as_ref().map(|host| host.upload(be)).transpose()?;
    let mut want = w.download(be)?;
    for (i, row) in want.chunks_mut(k).enumerate() {
        for (j, value) in host.iter().flat_map(|host| host.row(i)) {
            row[j] += crate::num::to_f32(value);
        }
    }
    let want: Vec<T> = want.into_iter().map(T::from_f32).collect();
    let (on, after) = (be.clone(), be.clone());
    Ok(Case::new(
        format!("{} {n}×{k}{}", T::NAME, if density.is_some() { " with S" } else { "" }),
        Work::new(n * k, w.bytes() + n * k * size_of::<T>()),
        Matrix::<B, T>::zeros(be, n, k)?,
        move |y| ops::nf4_dequantize(&on, &w, s.as_ref(), y),
        move |y, verdict| {
            verdict.equal(&y.download(&after)?, &want);
            Ok(())
        },
    ))
}
