//! A weight made anew for one product: 4-bit values as bf16, and S added to what it belongs to.

use super::{Cuda, csr_add, nf4};
use crate::{
    backend::work,
    device::Device,
    error::Result,
    sparse::Csr,
    tensor::{Matrix, Weight},
};
use half::bf16;

/// Tokens from which on a product with S copies its weight and adds S to the copy. On an H200, 4096 × 4096 and 0.6 %, that
/// takes about 20 µs whatever the tokens, and a product with S alone 19 for each 512.
const MANY: usize = 1024;
/// The same for taking a weight from 4 bits where products have Hopper's own instructions: 13 µs, and a product of 512
/// tokens then takes 33 µs instead of the 148 of one that takes it from 4 bits on the way. Up to so many tokens, such a
/// product does that once.
const MORE_THAN_A_TILE: usize = 129;

impl Cuda {
    /// Whether a product of so many tokens has its weight made anew, with S where there is one.
    pub(super) fn makes_anew(&self, tokens: usize, w: &Weight<'_, Self>, s: Option<&Csr<Self>>) -> bool {
        match w {
            Weight::F32(_) => false,
            Weight::Bf16(_) => tokens >= MANY && s.is_some_and(|s| s.nnz() > 0),
            Weight::Nf4(_) => tokens >= if self.properties().is_hopper() { MORE_THAN_A_TILE } else { MANY },
        }
    }

    /// Whether such a product counts w and s as their sum, rounded to bf16.
    pub(super) fn joins(tokens: usize) -> bool {
        tokens >= MANY
    }

    /// `w + s`, each sum in f32, rounded to bf16; for weights that [`makes_anew`](Self::makes_anew) names.
    pub(super) fn made_anew(&self, w: Weight<'_, Self>, s: Option<&Csr<Self>>) -> Result<Matrix<Self, bf16>> {
        let (rows, cols) = (w.rows(), w.cols());
        let mut sum = Matrix::new(rows, cols, self.driver.uninit(rows * cols)?)?;
        s.into_iter().for_each(|s| self.profile.note(work::joined(s)));
        match w {
            Weight::F32(_) => unreachable!("weights in f32 stay as they are"),
            Weight::Bf16(w) => {
                self.copy(w.buffer(), sum.buffer_mut())?;
                if let Some(s) = s {
                    csr_add::csr_add(self, s, &mut sum)?;
                }
            }
            Weight::Nf4(w) => nf4::nf4_dequantize(self, w, s, &mut sum)?,
        }
        Ok(sum)
    }
}
