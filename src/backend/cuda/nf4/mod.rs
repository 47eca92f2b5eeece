//! To 4-bit weights and back, and such a weight as kernels read it.

mod places;

use super::{
    Cuda,
    driver::{Buffer, Grid, Kernel},
    kernels::{
        NF4_DEQUANTIZE_BLOCKS, NF4_DEQUANTIZE_CHUNK, NF4_DEQUANTIZE_THREADS, NF4_QUANTIZE_CHUNK,
        NF4_QUANTIZE_THREADS, Nf4DequantizeArgs, Nf4QuantizeArgs, Nf4Weight,
    },
};
use crate::{
    device::Float,
    error::Result,
    nf4::{Absmax, DYNAMIC_CODES, Nf4Matrix},
    num::{to_u32, to_usize},
    sparse::Csr,
    tensor::Matrix,
};
pub(super) use places::Plan;
use std::{any::TypeId, sync::OnceLock};

const QUANTIZE: Kernel<Nf4QuantizeArgs> = Kernel::new("nf4_quantize", "nf4_quantize");
const DEQUANTIZE_F32: Kernel<Nf4DequantizeArgs> = Kernel::new("nf4_dequantize", "nf4_dequantize_f32");
const DEQUANTIZE_BF16: Kernel<Nf4DequantizeArgs> = Kernel::new("nf4_dequantize", "nf4_dequantize_bf16");
const DEQUANTIZE_F32_SPARSE: Kernel<Nf4DequantizeArgs> =
    Kernel::new("nf4_dequantize", "nf4_dequantize_f32_sparse");
const DEQUANTIZE_BF16_SPARSE: Kernel<Nf4DequantizeArgs> =
    Kernel::new("nf4_dequantize", "nf4_dequantize_bf16_sparse");

/// What is the same for all weights, brought to the device when it is first needed.
#[derive(Debug, Default)]
pub(super) struct Tables {
    dynamic_codes: OnceLock<Buffer<f32>>,
}

impl Tables {
    fn dynamic_codes(&self, cuda: &Cuda) -> Result<u64> {
        if let Some(codes) = self.dynamic_codes.get() {
            return Ok(cuda.driver.input(codes));
        }
        let codes = cuda.driver.upload(&DYNAMIC_CODES)?;
        Ok(cuda.driver.input(self.dynamic_codes.get_or_init(|| codes)))
    }
}

/// The weight as the kernels read it, valid as long as `w` lives.
pub(super) fn weight(cuda: &Cuda, w: &Nf4Matrix<Cuda>) -> Result<Nf4Weight> {
    let driver = &cuda.driver;
    let (offset, codes, absmax, dynamic_codes) = match w.absmax() {
        Absmax::Single(absmax) => (0.0, 0, absmax, 0),
        Absmax::Double(d) => (d.offset, driver.input(&d.codes), &d.absmax, cuda.nf4.dynamic_codes(cuda)?),
    };
    Ok(Nf4Weight {
        block_shift: w.block().ilog2(),
        offset,
        packed: driver.input(w.packed()),
        codes,
        absmax: driver.input(absmax),
        dynamic_codes,
    })
}

pub(super) fn nf4_quantize(cuda: &Cuda, w: &Matrix<Cuda, f32>, block: usize) -> Result<Nf4Matrix<Cuda>> {
    let driver = &cuda.driver;
    let (mut packed, mut absmax) =
        (driver.uninit::<u8>(w.len() / 2)?, driver.uninit::<f32>(w.len() / block)?);
    let args = Nf4QuantizeArgs {
        len: w.len() as u64,
        block_shift: block.ilog2().into(),
        w: driver.input(w.buffer()),
        packed: driver.output(&mut packed),
        absmax: driver.output(&mut absmax),
    };
    let blocks = to_u32("elements of a weight", w.len().div_ceil(to_usize(NF4_QUANTIZE_CHUNK)))?;
    // SAFETY: w is whole blocks, a power of two from 32 to 4096, by the contract of the op; packed and absmax have room.
    unsafe { driver.launch(&QUANTIZE, Grid::row(blocks, NF4_QUANTIZE_THREADS), args)? };
    Nf4Matrix::new(w.rows(), w.cols(), block, packed, Absmax::Single(absmax))
}

pub(super) fn nf4_dequantize<T: Float>(
    cuda: &Cuda,
    w: &Nf4Matrix<Cuda>,
    s: Option<&Csr<Cuda>>,
    y: &mut Matrix<Cuda, T>,
) -> Result<()> {
    let s = s.filter(|s| s.nnz() > 0);
    let is_f32 = TypeId::of::<T>() == TypeId::of::<f32>();
    let kernel = match (is_f32, s.is_some()) {
        (true, false) => DEQUANTIZE_F32,
        (true, true) => DEQUANTIZE_F32_SPARSE,
        (false, false) => DEQUANTIZE_BF16,
        (false, true) => DEQUANTIZE_BF16_SPARSE,
    };
    let driver = &cuda.driver;
    let places = s.map(|s| s.pattern().plan.nf4_places.places(cuda, s.pattern())).transpose()?;
    let args = Nf4DequantizeArgs {
        len: y.len() as u64,
        w: weight(cuda, w)?,
        starts: places.map_or(0, |places| driver.input(&places.starts)),
        places: places.map_or(0, |places| driver.input(&places.places)),
        values: s.map_or(0, |s| driver.input(s.values())),
        y: driver.output(y.buffer_mut()),
    };
    let of_block = to_usize(NF4_DEQUANTIZE_THREADS / 32 * NF4_DEQUANTIZE_CHUNK);
    let most = cuda.properties().multiprocessors * NF4_DEQUANTIZE_BLOCKS;
    let blocks = u32::try_from(y.len().div_ceil(of_block)).map_or(most, |blocks| blocks.min(most));
    // SAFETY: w and s have the shape of y, by the contract of the op, which is of the kernel's type: the two that
    // implement Float; the invariants of w; the places are those of the pattern.
    unsafe { driver.launch(&kernel, Grid::row(blocks, NF4_DEQUANTIZE_THREADS), args) }
}
