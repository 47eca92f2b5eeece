//! The copy of a weight that one product multiplies: 4-bit values as bf16, S added to what it belongs to.

use super::{Cuda, csr_add, nf4};
use crate::{
    backend::work,
    device::Device,
    error::Result,
    sparse::Csr,
    tensor::{Matrix, Weight},
};
use half::bf16;

/// Tokens from which on a product with S copies its weight and adds S to the copy. On an H200, 4096 × 4096 and 0.6 %, a
/// product with S alone takes 19 µs for each 512; adding S takes 4 whatever the tokens, and the copy 14 at the memory's
/// rate.
const MANY: usize = 1024;
/// The same for taking a weight from 4 bits where products have Hopper's own instructions: measured so, 512 tokens take
/// 51 µs, of which the product is 33. One that takes the weight from 4 bits on the way does so for each 128 tokens, and
/// takes 148.
const MORE_THAN_A_TILE: usize = 129;

impl Cuda {
    /// Whether a product of so many tokens copies its weight, with S where there is one.
    pub(super) fn copies_weight(&self, tokens: usize, w: &Weight<'_, Self>, s: Option<&Csr<Self>>) -> bool {
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

    /// `w + s`, each sum in f32, rounded to bf16; for weights that [`copies_weight`](Self::copies_weight) names.
    pub(super) fn weight_copy(
        &self,
        w: Weight<'_, Self>,
        s: Option<&Csr<Self>>,
    ) -> Result<Matrix<Self, bf16>> {
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
