//! Dense row-major matrices, and the frozen weights of the base model.

use crate::{
    device::{Device, Element, Float},
    error::{Error, Result},
    nf4::Nf4Matrix,
};
use half::bf16;

/// A dense matrix `[rows, cols]`, row-major and contiguous. A vector is a matrix with one row.
///
/// Invariant: `buffer` holds exactly `rows · cols` elements.
pub struct Matrix<D: Device, T: Element = <D as Device>::Act> {
    rows: usize,
    cols: usize,
    buffer: D::Buffer<T>,
}

impl<D: Device, T: Element> Matrix<D, T> {
    /// A matrix over `buffer`.
    ///
    /// # Errors
    /// [`Error::Dims`] unless `buffer` holds `rows · cols` elements.
    pub fn new(rows: usize, cols: usize, buffer: D::Buffer<T>) -> Result<Self> {
        if D::len(&buffer) != rows * cols {
            return Err(Error::Dims {
                op: "Matrix::new",
                left: ("buffer", "elements", D::len(&buffer)),
                right: ("shape", "elements", rows * cols),
            });
        }
        Ok(Self { rows, cols, buffer })
    }

    /// All zeros.
    ///
    /// # Errors
    /// When the device is out of memory.
    pub fn zeros(device: &D, rows: usize, cols: usize) -> Result<Self> {
        Self::new(rows, cols, device.zeros(rows * cols)?)
    }

    /// A copy of `host`, row-major, on `device`.
    ///
    /// # Errors
    /// [`Error::Dims`] unless `host` holds `rows · cols` elements; out of memory.
    pub fn upload(device: &D, rows: usize, cols: usize, host: Vec<T>) -> Result<Self> {
        Self::new(rows, cols, device.upload(host)?)
    }

    /// The same of a weight; see [`Device::upload_weight`].
    ///
    /// # Errors
    /// [`Error::Dims`] unless `host` holds `rows · cols` elements; out of memory.
    pub fn upload_weight(device: &D, rows: usize, cols: usize, host: Vec<T>) -> Result<Self> {
        Self::new(rows, cols, device.upload_weight(host)?)
    }

    /// The elements, row-major, on the host.
    ///
    /// # Errors
    /// When work queued on the device failed.
    pub fn download(&self, device: &D) -> Result<Vec<T>> {
        device.download(&self.buffer)
    }

    /// A second matrix with the same elements.
    ///
    /// # Errors
    /// When the device is out of memory.
    pub fn duplicate(&self, device: &D) -> Result<Self> {
        let mut copy = Self::zeros(device, self.rows, self.cols)?;
        device.copy(&self.buffer, &mut copy.buffer)?;
        Ok(copy)
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// `rows · cols`.
    pub fn len(&self) -> usize {
        self.rows * self.cols
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements where they live.
    pub fn buffer(&self) -> &D::Buffer<T> {
        &self.buffer
    }

    /// The elements where they live, to be overwritten.
    pub fn buffer_mut(&mut self) -> &mut D::Buffer<T> {
        &mut self.buffer
    }

    /// The same elements under another shape of the same size.
    ///
    /// # Errors
    /// [`Error::Dims`] unless `rows · cols` stays the same.
    pub fn reshape(self, rows: usize, cols: usize) -> Result<Self> {
        Self::new(rows, cols, self.buffer)
    }
}

impl<D: Device> Matrix<D> {
    /// Activations that an op is about to overwrite; until then they have any value.
    ///
    /// # Errors
    /// When the device is out of memory.
    pub fn unwritten(device: &D, rows: usize, cols: usize) -> Result<Self> {
        Self::new(rows, cols, device.unwritten(rows * cols)?)
    }
}

impl<D: Device, T: Float> Matrix<D, T> {
    /// A matrix of `T` from f32 values, each rounded to nearest.
    ///
    /// # Errors
    /// [`Error::Dims`] unless `host` holds `rows · cols` elements; out of memory.
    pub fn from_f32(device: &D, rows: usize, cols: usize, host: &[f32]) -> Result<Self> {
        Self::upload_weight(device, rows, cols, host.iter().map(|&x| T::from_f32(x)).collect())
    }
}

/// The type that the frozen weights are held in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// 4 bytes a weight.
    F32,
    /// 2 bytes a weight.
    Bf16,
    /// 4 bits a weight of the blocks' projections and a magnitude for each block of them; the rest in bf16.
    Nf4,
}

impl Precision {
    /// The error for weights of this type that are to be trained themselves.
    pub fn not_trainable(self) -> Error {
        let name = match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Nf4 => "nf4",
        };
        Error::setting("--base", name, "f32: full fine-tuning trains the weights themselves")
    }
}

/// A frozen weight `[out_features, in_features]` in the type it is stored in.
pub enum Frozen<D: Device> {
    /// 4 bytes an element.
    F32(Matrix<D, f32>),
    /// 2 bytes an element.
    Bf16(Matrix<D, bf16>),
    /// 4 bits an element and the magnitudes of the blocks.
    Nf4(Nf4Matrix<D>),
}

impl<D: Device> Frozen<D> {
    /// This weight as an operand of a product.
    pub fn weight(&self) -> Weight<'_, D> {
        match self {
            Self::F32(w) => Weight::F32(w),
            Self::Bf16(w) => Weight::Bf16(w),
            Self::Nf4(w) => Weight::Nf4(w),
        }
    }
}

/// The right operand of a product with activations: a weight `[out, in]`, borrowed.
pub enum Weight<'a, D: Device> {
    /// Trained weights, adapters and f32 bases.
    F32(&'a Matrix<D, f32>),
    /// A bf16 base.
    Bf16(&'a Matrix<D, bf16>),
    /// A 4-bit base.
    Nf4(&'a Nf4Matrix<D>),
}

impl<D: Device> Clone for Weight<'_, D> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<D: Device> Copy for Weight<'_, D> {}

impl<D: Device> Weight<'_, D> {
    /// `out_features`.
    pub fn rows(&self) -> usize {
        match self {
            Self::F32(w) => w.rows(),
            Self::Bf16(w) => w.rows(),
            Self::Nf4(w) => w.rows(),
        }
    }

    /// `in_features`.
    pub fn cols(&self) -> usize {
        match self {
            Self::F32(w) => w.cols(),
            Self::Bf16(w) => w.cols(),
            Self::Nf4(w) => w.cols(),
        }
    }

    /// Bytes of memory that the elements take.
    pub fn bytes(&self) -> usize {
        match self {
            Self::F32(w) => 4 * w.len(),
            Self::Bf16(w) => 2 * w.len(),
            Self::Nf4(w) => w.bytes(),
        }
    }

    /// The elements as f32 on the host; exact.
    ///
    /// # Errors
    /// When work queued on the device failed.
    pub fn download(&self, device: &D) -> Result<Vec<f32>> {
        match self {
            Self::F32(w) => w.download(device),
            Self::Bf16(w) => Ok(w.download(device)?.into_iter().map(bf16::to_f32).collect()),
            Self::Nf4(w) => w.download(device),
        }
    }
}

impl<'a, D: Device> From<&'a Matrix<D, f32>> for Weight<'a, D> {
    fn from(matrix: &'a Matrix<D, f32>) -> Self {
        Weight::F32(matrix)
    }
}

/// Indices on the device (token ids, rows, positions) that were proven on the host to lie below a bound.
///
/// Invariant: every element is below `bound`.
pub struct Ids<D: Device> {
    buffer: D::Buffer<u32>,
    bound: usize,
}

impl<D: Device> Ids<D> {
    /// Uploads `host`; the bound is its largest element plus one.
    ///
    /// # Errors
    /// When the device is out of memory.
    pub fn upload(device: &D, host: Vec<u32>) -> Result<Self> {
        let bound = host.iter().max().map_or(0, |&max| max as usize + 1);
        Ok(Self { buffer: device.upload(host)?, bound })
    }

    /// The indices where they live.
    pub fn buffer(&self) -> &D::Buffer<u32> {
        &self.buffer
    }

    /// The number of indices.
    pub fn len(&self) -> usize {
        D::len(&self.buffer)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What every index is below.
    pub fn bound(&self) -> usize {
        self.bound
    }
}
