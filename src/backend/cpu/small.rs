//! Products too small to be packed, as those within a tile of attention are: each takes a microsecond, of
//! which a general product spends half on copying its operands and choosing how to go about it.

use super::{
    Cpu,
    strided::{View, ViewMut},
};
use crate::backend::Write;
use pulp::Simd;

/// `c ← [c +] scale · a · b` on this thread, for b with contiguous rows that fits into the cache.
///
/// An element of c is summed over the depth in order, whatever stands around it.
pub(super) fn small_product(
    cpu: &Cpu,
    scale: f32,
    a: View<'_>,
    b: View<'_>,
    write: Write,
    mut c: ViewMut<'_>,
) {
    assert_eq!((a.rows(), b.cols(), a.cols()), (c.rows(), c.cols(), b.rows()), "the dimensions agree");
    assert!(b.is_row_major(), "the rows of b are contiguous");
    cpu.arch.dispatch(Product { scale, a, b, write, c: c.reborrow() });
}

struct Product<'a> {
    scale: f32,
    a: View<'a>,
    b: View<'a>,
    write: Write,
    c: ViewMut<'a>,
}

impl pulp::WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let lanes = S::F32_LANES;
        let mut col = 0;
        while col < self.c.cols() {
            col += match self.c.cols() - col {
                left if left >= 2 * lanes => self.columns::<S, 2>(simd, col, 2 * lanes),
                left if left >= lanes => self.columns::<S, 1>(simd, col, lanes),
                left => self.columns::<S, 1>(simd, col, left),
            };
        }
    }
}

impl Product<'_> {
    /// The columns `col..col + width` of c, in N vectors; returns `width`.
    #[inline(always)]
    fn columns<S: Simd, const N: usize>(&mut self, simd: S, col: usize, width: usize) -> usize {
        let mut row = 0;
        while row < self.c.rows() {
            // As many sums at a time as there are registers for.
            row += match self.c.rows() - row {
                8.. if S::REGISTER_COUNT >= 32 => self.block::<S, 8, N>(simd, row, col, width),
                4.. => self.block::<S, 4, N>(simd, row, col, width),
                _ => self.block::<S, 1, N>(simd, row, col, width),
            };
        }
        width
    }

    /// R rows of these columns; returns R.
    #[inline(always)]
    fn block<S: Simd, const R: usize, const N: usize>(
        &mut self,
        simd: S,
        row: usize,
        col: usize,
        width: usize,
    ) -> usize {
        let (a, b) =
            (self.a.block(row..row + R, 0..self.a.cols()), self.b.block(0..self.b.rows(), col..col + width));
        let mut sums = [[simd.splat_f32s(0.0); N]; R];
        for d in 0..a.cols() {
            // SAFETY: d counts the columns of a and the rows of b, which were proven equal; `block` checked
            // the rest.
            let b = load::<S, N>(simd, unsafe { b.row_unchecked(d) });
            for (r, sums) in sums.iter_mut().enumerate() {
                // SAFETY: as above.
                let a = simd.splat_f32s(unsafe { a.at_unchecked(r, d) });
                for (sum, &b) in sums.iter_mut().zip(&b) {
                    *sum = simd.mul_add_e_f32s(a, b, *sum);
                }
            }
        }
        let scale = simd.splat_f32s(self.scale);
        for (r, sums) in sums.iter().enumerate() {
            let c = &mut self.c.row(row + r)[col..col + width];
            let before = match self.write {
                // Adding −0 changes no number.
                Write::Overwrite => [simd.splat_f32s(-0.0); N],
                Write::Add => load::<S, N>(simd, c),
            };
            let sums: [_; N] = std::array::from_fn(|n| simd.mul_add_e_f32s(scale, sums[n], before[n]));
            match S::as_mut_simd_f32s(c).0.first_chunk_mut() {
                Some(c) => *c = sums,
                None => simd.partial_store_f32s(c, sums[0]),
            }
        }
        R
    }
}

/// N vectors from the start of a slice; 0 beyond the end of one that is shorter than a vector.
#[inline(always)]
fn load<S: Simd, const N: usize>(simd: S, from: &[f32]) -> [S::f32s; N] {
    let whole = S::as_simd_f32s(from).0;
    whole.first_chunk().copied().unwrap_or_else(|| [simd.partial_load_f32s(from); N])
}
