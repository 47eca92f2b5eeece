//! To 4-bit weights and back.

use crate::{
    backend::Backend,
    device::Float,
    error::{Error, Result, dims},
    nf4::{Absmax, Nf4Matrix, check_block},
    sparse::Csr,
    tensor::Matrix,
};

/// w in blocks of `block` values, row-major, a magnitude a block: bit for bit what bitsandbytes makes of it on a CPU.
///
/// # Errors
/// [`Error::Setting`] and [`Error::Dims`] where [`check_block`] says so, [`Error::NotFiniteBlock`] for a value that is
/// not finite.
pub fn nf4_quantize<B: Backend>(be: &B, w: &Matrix<B, f32>, block: usize) -> Result<Nf4Matrix<B>> {
    check_block(w.rows(), w.cols(), block)?;
    // SAFETY: check_block proved that w is whole blocks.
    let quantized = unsafe { be.nf4_quantize(w, block)? };
    if let Absmax::Single(absmax) = quantized.absmax() {
        let absmax = be.download(absmax)?;
        if let Some(number) = absmax.iter().position(|a| !a.is_finite()) {
            return Err(Error::NotFiniteBlock { op: "nf4_quantize", first: number * block, len: block });
        }
    }
    Ok(quantized)
}

/// `y = w + s`, all `[n, k]`: code times magnitude and the sum rounded to f32 each, then once to the type of y.
///
/// # Errors
/// [`Error::Dims`] when the shapes differ.
pub fn nf4_dequantize<B: Backend, T: Float>(
    be: &B,
    w: &Nf4Matrix<B>,
    s: Option<&Csr<B>>,
    y: &mut Matrix<B, T>,
) -> Result<()> {
    dims!("nf4_dequantize": w.rows = y.rows, w.cols = y.cols);
    if let Some(s) = s {
        dims!("nf4_dequantize": s.rows = w.rows, s.cols = w.cols);
    }
    // SAFETY: the dimensions agree, and the indices of s are in range by the invariants of its pattern.
    unsafe { be.nf4_dequantize(w, s, y) }
}
