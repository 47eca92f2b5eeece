//! Weights in 4-bit NormalFloat, laid out as bitsandbytes stores them (Dettmers et al., arXiv 2305.14314, section 3).

use crate::{
    device::Device,
    error::{Error, Result},
};

/// The 16 values of the type, rising: the index is the code.
pub const CODES: [f32; 16] = [
    -1.0,
    -0.696_192_8,
    -0.525_073_05,
    -0.394_917_5,
    -0.284_441_38,
    -0.184_773_43,
    -0.091_050_036,
    0.0,
    0.079_580_3,
    0.160_930_2,
    0.246_112_3,
    0.337_915_24,
    0.440_709_83,
    0.562_617,
    0.722_956_84,
    1.0,
];

/// Values of a block whose largest magnitude is quantized once more, in double quantization.
pub const ABSMAX_BLOCK: usize = 256;

/// A weight `[rows, cols]` whose element `i`, counted row-major, is `CODES[code i] · absmax[i / block]`.
///
/// Invariants:
/// - `block` is a power of two from 32 to 4096 and divides `rows · cols`;
/// - `packed` holds `rows · cols / 2` bytes: code `2j` in the high four bits of byte `j`, code `2j + 1` in the low ones;
/// - `absmax` describes `rows · cols / block` blocks.
pub struct Nf4Matrix<D: Device> {
    rows: usize,
    cols: usize,
    block: usize,
    packed: D::Buffer<u8>,
    absmax: Absmax<D>,
}

/// The largest magnitude of each block of values.
pub enum Absmax<D: Device> {
    /// As it is: 4.5 bits a weight with blocks of 64.
    Single(D::Buffer<f32>),
    /// Quantized in turn: 4.127 bits a weight.
    Double(DoubleQuantized<D>),
}

/// Magnitudes quantized in blocks of [`ABSMAX_BLOCK`]: magnitude `b` is
/// `DYNAMIC_CODES[codes[b]] · absmax[b / 256] + offset`.
pub struct DoubleQuantized<D: Device> {
    /// A code per magnitude.
    pub codes: D::Buffer<u8>,
    /// The largest distance from `offset` in each block of magnitudes.
    pub absmax: D::Buffer<f32>,
    /// The mean of all magnitudes.
    pub offset: f32,
}

impl<D: Device> Nf4Matrix<D> {
    /// A quantized weight over its parts.
    ///
    /// # Errors
    /// [`Error::Setting`] for a block size that is no power of two from 32 to 4096, [`Error::Dims`] where the block does
    /// not divide `rows · cols` or a buffer has another length than the invariants state.
    pub fn new(
        rows: usize,
        cols: usize,
        block: usize,
        packed: D::Buffer<u8>,
        absmax: Absmax<D>,
    ) -> Result<Self> {
        check_block(rows, cols, block)?;
        let blocks = rows * cols / block;
        let lengths = match &absmax {
            Absmax::Single(absmax) => vec![("absmax", D::len(absmax), blocks)],
            Absmax::Double(double) => vec![
                ("absmax codes", D::len(&double.codes), blocks),
                ("absmax of absmax", D::len(&double.absmax), blocks.div_ceil(ABSMAX_BLOCK)),
            ],
        };
        for (name, found, expected) in
            lengths.into_iter().chain([("packed", D::len(&packed), rows * cols / 2)])
        {
            if found != expected {
                return Err(Error::Dims {
                    op: "Nf4Matrix::new",
                    left: (name, "elements", found),
                    right: ("shape", "elements", expected),
                });
            }
        }
        Ok(Self { rows, cols, block, packed, absmax })
    }

    /// `out_features`.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// `in_features`.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Values that share a magnitude.
    pub fn block(&self) -> usize {
        self.block
    }

    /// The codes, two a byte.
    pub fn packed(&self) -> &D::Buffer<u8> {
        &self.packed
    }

    /// The magnitudes of the blocks.
    pub fn absmax(&self) -> &Absmax<D> {
        &self.absmax
    }

    /// Bytes of memory that the weight takes.
    pub fn bytes(&self) -> usize {
        let absmax = match &self.absmax {
            Absmax::Single(absmax) => 4 * D::len(absmax),
            Absmax::Double(double) => D::len(&double.codes) + 4 * D::len(&double.absmax),
        };
        D::len(&self.packed) + absmax
    }
}

/// Checks that a weight `[rows, cols]` can be quantized in blocks of `block` values.
///
/// # Errors
/// As [`Nf4Matrix::new`].
pub fn check_block(rows: usize, cols: usize, block: usize) -> Result<()> {
    if !block.is_power_of_two() || !(32..=4096).contains(&block) {
        return Err(Error::setting("blocksize", block, "a power of two from 32 to 4096"));
    }
    let rest = rows * cols % block;
    if rest != 0 {
        return Err(Error::Dims {
            op: "nf4 (a weight is quantized in whole blocks)",
            left: ("weight", "elements", rows * cols),
            right: ("whole blocks", "elements", rows * cols - rest),
        });
    }
    Ok(())
}
