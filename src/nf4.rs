//! Weights in 4-bit NormalFloat, laid out as bitsandbytes stores them (Dettmers et al., arXiv 2305.14314, section 3).
//!
//! The numbers are those of bitsandbytes 0.50 on a CPU, bit for bit, whatever the backend:
//! - a value is multiplied by the reciprocal of its block's magnitude, 1e-38 at least, and one midway between two codes
//!   takes the lower;
//! - the code of a magnitude is looked up for a point of a grid, see [`Nf4Matrix::double_quantize`];
//! - code times magnitude is rounded to f32, a magnitude that was quantized before that after its product and after
//!   its sum, and the element last to the type that is asked for.
//!
//! Two things may differ. The mean of the magnitudes is their f64 sum rounded once; PyTorch sums in f32, in an order of
//! its own, and comes out an ulp away at times. And bf16 elements below the normal range are kept, where the AVX-512
//! instruction that bitsandbytes rounds with has zeros.

use crate::{
    device::Device,
    error::{Error, Result},
    num::to_f32,
};
use std::fmt;

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

/// The values of the signed 8-bit dynamic map, rising: the index is the code. As bitsandbytes' `create_dynamic_map`.
pub static DYNAMIC_CODES: [f32; 256] = dynamic_codes();

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

/// How weights are quantized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantization {
    /// Weights that share a magnitude: a power of two from 32 to 4096.
    pub block: usize,
    /// Whether the magnitudes are quantized in turn.
    pub double: bool,
}

impl Default for Quantization {
    /// What bitsandbytes does unless told otherwise.
    fn default() -> Self {
        Self { block: 64, double: false }
    }
}

impl fmt::Display for Quantization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} quantization in blocks of {}",
            if self.double { "double" } else { "single" },
            self.block
        )
    }
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

    /// The magnitude of each block on the host, as the weight is dequantized with it.
    ///
    /// # Errors
    /// When work queued on the device failed.
    pub fn magnitudes(&self, device: &D) -> Result<Vec<f32>> {
        let double = match &self.absmax {
            Absmax::Single(absmax) => return device.download(absmax),
            Absmax::Double(double) => double,
        };
        let (codes, absmax) = (device.download(&double.codes)?, device.download(&double.absmax)?);
        let magnitude = |(b, &code)| magnitude(code, absmax[b / ABSMAX_BLOCK], double.offset);
        Ok(codes.iter().enumerate().map(magnitude).collect())
    }

    /// The elements on the host, row-major; exact.
    ///
    /// # Errors
    /// When work queued on the device failed.
    pub fn download(&self, device: &D) -> Result<Vec<f32>> {
        let (packed, absmax) = (device.download(&self.packed)?, self.magnitudes(device)?);
        let blocks = packed.chunks_exact(self.block / 2).zip(absmax);
        Ok(blocks
            .flat_map(|(codes, absmax)| codes.iter().flat_map(move |&pair| values(pair, absmax)))
            .collect())
    }

    /// The same codes with the magnitudes quantized once more; a weight whose magnitudes are so already stays as it is.
    ///
    /// The distance of each magnitude from the mean, over the largest of its block, is moved to the nearest of 65 536
    /// points from −1 to 1 and takes the nearest value of [`DYNAMIC_CODES`]: so bitsandbytes does on a CPU. Its GPU code
    /// leaves out the grid, and finds another code, the next one, about once in a thousand times.
    ///
    /// # Errors
    /// When work queued on the device failed or the device is out of memory.
    pub fn double_quantize(self, device: &D) -> Result<Self> {
        let Absmax::Single(absmax) = &self.absmax else { return Ok(self) };
        let (offset, codes, absmax) = quantize_magnitudes(&device.download(absmax)?);
        let double = DoubleQuantized {
            codes: device.upload_weight(codes)?,
            absmax: device.upload_weight(absmax)?,
            offset,
        };
        Ok(Self { absmax: Absmax::Double(double), ..self })
    }

    /// How the weight was quantized.
    pub fn quantization(&self) -> Quantization {
        Quantization { block: self.block, double: matches!(self.absmax, Absmax::Double(_)) }
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

/// Whether `block` values can share a magnitude.
#[must_use]
pub fn is_block_size(block: usize) -> bool {
    block.is_power_of_two() && (32..=4096).contains(&block)
}

/// Checks that a weight `[rows, cols]` can be quantized in blocks of `block` values.
///
/// # Errors
/// As [`Nf4Matrix::new`].
pub fn check_block(rows: usize, cols: usize, block: usize) -> Result<()> {
    if !is_block_size(block) {
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

/// The code of `x`, the element over the magnitude of its block: the nearest value's, at a midpoint the lower one's.
#[inline(always)]
#[must_use]
pub fn code(x: f32) -> u8 {
    THRESHOLDS.iter().map(|&threshold| u8::from(x > threshold)).sum()
}

/// The two elements whose codes stand in one byte, with the magnitude of their block.
#[inline(always)]
#[must_use]
pub fn values(pair: u8, absmax: f32) -> [f32; 2] {
    [CODES[usize::from(pair >> 4)] * absmax, CODES[usize::from(pair & 15)] * absmax]
}

/// A magnitude that was quantized: two roundings.
#[inline(always)]
#[must_use]
pub fn magnitude(code: u8, absmax: f32, offset: f32) -> f32 {
    DYNAMIC_CODES[usize::from(code)] * absmax + offset
}

/// Midway between neighbours of [`CODES`].
pub const THRESHOLDS: [f32; 15] = midpoints(&CODES);

const fn midpoints<const N: usize, const M: usize>(codes: &[f32; N]) -> [f32; M] {
    let mut thresholds = [0.0; M];
    let mut i = 0;
    while i < M {
        thresholds[i] = (codes[i] + codes[i + 1]) / 2.0;
        i += 1;
    }
    thresholds
}

/// The mean of `absmax` (the sum in f64, rounded once), the codes of the distances from it, and the largest distance of each block.
fn quantize_magnitudes(absmax: &[f32]) -> (f32, Vec<u8>, Vec<f32>) {
    let sum: f64 = absmax.iter().map(|&a| f64::from(a)).sum();
    let offset = to_f32(sum / absmax.len().max(1) as f64);
    let mut codes = Vec::with_capacity(absmax.len());
    let mut largest = Vec::with_capacity(absmax.len().div_ceil(ABSMAX_BLOCK));
    for block in absmax.chunks(ABSMAX_BLOCK) {
        let distance = |&a: &f32| a - offset;
        let most = block.iter().map(distance).fold(0.0, |most: f32, d| most.max(d.abs()));
        let code = |d| if most == 0.0 { 0 } else { dynamic_code(d * (1.0 / most)) };
        codes.extend(block.iter().map(distance).map(code));
        largest.push(most);
    }
    (offset, codes, largest)
}

/// The code of the value of [`DYNAMIC_CODES`] nearest to the point of the grid that is nearest to `x`.
fn dynamic_code(x: f32) -> u8 {
    static THRESHOLDS: [f32; 255] = midpoints(&DYNAMIC_CODES);
    const LAST: f32 = 65_535.0;
    let number = ((x.clamp(-1.0, 1.0) + 1.0) * 0.5 * LAST + 0.5).floor();
    let point = -1.0 + 2.0 * number / LAST;
    let below = THRESHOLDS.partition_point(|&threshold| threshold < point);
    u8::try_from(below).expect("at most 255")
}

/// Seven decades, decade `i` with `2^i` values midway between equal steps from 0.1 to 1, their negatives, 0 and 1;
/// the steps rounded as PyTorch's `linspace` rounds them: counted from the nearer end, by a fused multiply-add.
const fn dynamic_codes() -> [f32; 256] {
    const SCALES: [f32; 7] = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0];
    let mut codes = [0.0; 256];
    let mut at = 128;
    let mut decade = 0;
    while decade < SCALES.len() {
        let items = 1 << decade;
        let mut i = 0;
        while i < items {
            let mean = (boundary(i, items) + boundary(i + 1, items)) / 2.0;
            codes[at] = SCALES[decade] * mean;
            codes[254 - at] = -codes[at];
            at += 1;
            i += 1;
        }
        decade += 1;
    }
    codes[255] = 1.0;
    codes
}

/// Boundary `i` of `items` equal steps from 0.1 to 1. The f64 sums are exact, so each is rounded once.
#[expect(clippy::cast_precision_loss, reason = "counts below 2^24")]
const fn boundary(i: usize, items: usize) -> f32 {
    let step = (1.0 - 0.1_f32) / items as f32;
    if i < items.div_ceil(2) {
        to_f32(0.1_f32 as f64 + step as f64 * i as f64)
    } else {
        to_f32(1.0 - step as f64 * (items - i) as f64)
    }
}
