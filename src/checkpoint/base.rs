//! The base model from its directory.

use super::{Stored, Weights, bitsandbytes};
use crate::{
    architecture::Architecture,
    backend::Backend,
    device::Element,
    error::{Error, Need, Result},
    model::{Model, WeightSource},
    nf4::{Nf4Matrix, Quantization},
    ops,
    tensor::{Frozen, Matrix, Precision},
};
use safetensors::Dtype;
use std::{fmt, path::Path};

/// How the matrices of the base are held in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldAs {
    /// Each as it is stored, f16 in f32: no number changes.
    Stored,
    /// All in f32.
    F32,
    /// All in bf16.
    Bf16,
    /// The projections of the blocks in 4 bits: quantized like this, or as they are stored where they are so already.
    /// The embedding and the head in bf16, and with them every projection that a quantized checkpoint leaves out.
    Nf4(Quantization),
}

impl HeldAs {
    /// The kind of weights, without its settings, where it is one for all.
    #[must_use]
    pub fn precision(self) -> Option<Precision> {
        match self {
            Self::Stored => None,
            Self::F32 => Some(Precision::F32),
            Self::Bf16 => Some(Precision::Bf16),
            Self::Nf4(_) => Some(Precision::Nf4),
        }
    }
}

impl fmt::Display for HeldAs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stored => f.write_str("as it is stored"),
            Self::F32 => f.write_str("f32"),
            Self::Bf16 => f.write_str("bf16"),
            Self::Nf4(how) => write!(f, "nf4, {how}"),
        }
    }
}

/// The weights in a model's directory, which may be quantized.
pub struct BaseWeights {
    weights: Weights,
    quantized: Option<Quantization>,
}

impl BaseWeights {
    /// The weights in `dir`.
    ///
    /// # Errors
    /// When a file is missing or malformed, or weights are quantized in a way that is not supported.
    pub fn open(dir: &Path) -> Result<Self> {
        bitsandbytes::check_config(dir)?;
        let weights = Weights::open(dir)?;
        let quantized = bitsandbytes::first_quantization(&weights)?;
        Ok(Self { weights, quantized })
    }

    /// How the weights are quantized, if any is: the settings of the first one.
    #[must_use]
    pub fn quantized(&self) -> Option<Quantization> {
        self.quantized
    }

    /// Refuses tensors of layers beyond the first `layers`: a model that leaves some of its file out is another one.
    ///
    /// # Errors
    /// [`Error::Format`] names the first such tensor.
    fn check_layers(&self, layers: usize) -> Result<()> {
        let layer = |name: &str| name.strip_prefix("model.layers.")?.split_once('.')?.0.parse::<usize>().ok();
        match self.weights.names().find(|name| layer(name).is_some_and(|layer| layer >= layers)) {
            None => Ok(()),
            Some(name) => {
                let expected = format!(
                    "tensors of the {layers} layers that num_hidden_layers in config.json states, of which the first is 0"
                );
                Err(self.weights.wrong(name, "a tensor", expected))
            }
        }
    }

    /// As [`Weights::check_finite`].
    ///
    /// # Errors
    /// See there.
    pub fn check_finite(&self) -> Result<()> {
        self.weights.check_finite()
    }

    /// The bytes that all tensors take.
    #[must_use]
    pub fn total_bytes(&self) -> usize {
        self.weights.total_bytes()
    }

    /// Whether tensor `name` is stored in 4 bits.
    ///
    /// # Errors
    /// When it is quantized in another way, or what belongs to its codes is missing.
    pub fn is_quantized(&self, name: &str) -> Result<bool> {
        bitsandbytes::is_quantized(&self.weights, name)
    }

    /// The type of tensor `name`; of a quantized one, the type that it was made from.
    ///
    /// # Errors
    /// When it is missing or malformed.
    pub fn dtype(&self, name: &str) -> Result<Dtype> {
        match self.is_quantized(name)? {
            true => bitsandbytes::dtype(&self.weights, name),
            false => self.weights.dtype(name),
        }
    }

    /// Tensor `name` of shape `shape` as it is stored; exact.
    ///
    /// # Errors
    /// When it is missing, malformed or of another shape or type.
    pub fn f32<B: Backend>(&self, be: &B, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        match *shape {
            [rows, cols] if self.is_quantized(name)? => {
                self.quantized_matrix(be, name, rows, cols)?.download(be)
            }
            _ => self.weights.f32(name, shape),
        }
    }

    /// The codes and magnitudes of a quantized weight `[rows, cols]`, as they are.
    ///
    /// # Errors
    /// When a part is missing, malformed or does not fit the others.
    pub fn quantized_matrix<B: Backend>(
        &self,
        be: &B,
        name: &str,
        rows: usize,
        cols: usize,
    ) -> Result<Nf4Matrix<B>> {
        bitsandbytes::read(be, &self.weights, name, rows, cols)
    }

    /// The weight `[rows, cols]` as it is held in memory.
    ///
    /// # Errors
    /// When it is missing, malformed or of another shape, cannot be quantized, or the device is out of memory.
    pub fn matrix<B: Backend>(
        &self,
        be: &B,
        name: &str,
        rows: usize,
        cols: usize,
        held_as: HeldAs,
    ) -> Result<Frozen<B>> {
        let quantized = self.is_quantized(name)?;
        let projection = Architecture::is_projection(name);
        Ok(match held_as {
            HeldAs::Stored | HeldAs::Nf4(_) if quantized => {
                Frozen::Nf4(self.quantized_matrix(be, name, rows, cols)?)
            }
            HeldAs::Nf4(how) if self.quantized.is_none() && projection => {
                let values = self.weights.f32(name, &[rows, cols])?;
                Frozen::Nf4(self.quantize(be, name, (rows, cols), values, how)?)
            }
            HeldAs::Bf16 if quantized => {
                let codes = self.quantized_matrix(be, name, rows, cols)?;
                let mut weight = Matrix::zeros(be, rows, cols)?;
                ops::nf4_dequantize(be, &codes, None, &mut weight)?;
                Frozen::Bf16(weight)
            }
            HeldAs::Stored if self.weights.dtype(name)? != Dtype::BF16 => {
                self.f32_matrix(be, name, rows, cols)?
            }
            HeldAs::F32 => self.f32_matrix(be, name, rows, cols)?,
            HeldAs::Stored | HeldAs::Bf16 | HeldAs::Nf4(_) => {
                Frozen::Bf16(match self.stored(be, name, rows, cols)? {
                    Some(stored) => stored,
                    None => Matrix::upload_weight(be, rows, cols, self.weights.bf16(name, &[rows, cols])?)?,
                })
            }
        })
    }

    fn f32_matrix<B: Backend>(&self, be: &B, name: &str, rows: usize, cols: usize) -> Result<Frozen<B>> {
        Ok(Frozen::F32(match self.stored(be, name, rows, cols)? {
            Some(stored) => stored,
            None => Matrix::upload_weight(be, rows, cols, self.f32(be, name, &[rows, cols])?)?,
        }))
    }

    /// The matrix where the file stores it as `T`: without a copy, where the device can do without.
    fn stored<B: Backend, T: Stored + Element>(
        &self,
        be: &B,
        name: &str,
        rows: usize,
        cols: usize,
    ) -> Result<Option<Matrix<B, T>>> {
        if self.is_quantized(name)? {
            return Ok(None);
        }
        let Some(mapped) = self.weights.mapped(name, &[rows, cols])? else { return Ok(None) };
        Matrix::new(rows, cols, be.adopt(mapped)?).map(Some)
    }

    /// `values` of tensor `name`, `[rows, cols]`, in 4 bits.
    ///
    /// # Errors
    /// When `[rows, cols]` is not whole blocks, a value is not finite, or the device is out of memory.
    pub fn quantize<B: Backend>(
        &self,
        be: &B,
        name: &str,
        (rows, cols): (usize, usize),
        values: Vec<f32>,
        how: Quantization,
    ) -> Result<Nf4Matrix<B>> {
        bitsandbytes::check_blocks(&self.weights, name, rows, cols, how.block)?;
        let values = Matrix::upload(be, rows, cols, values)?;
        let weight = ops::nf4_quantize(be, &values, how.block).map_err(|error| match error {
            Error::NotFiniteBlock { first, len, .. } => {
                let found =
                    format!("a number that is not finite among elements {first} to {}", first + len - 1);
                self.weights.wrong(name, found, "finite numbers, which alone can be quantized")
            }
            other => other,
        })?;
        if how.double { weight.double_quantize(be) } else { Ok(weight) }
    }
}

/// The weights of a directory on their way into a model.
struct Loading<'a, B: Backend> {
    be: &'a B,
    weights: BaseWeights,
    held_as: HeldAs,
}

impl<B: Backend> WeightSource<B> for Loading<'_, B> {
    fn matrix(&mut self, name: &str, rows: usize, cols: usize) -> Result<Frozen<B>> {
        self.weights.matrix(self.be, name, rows, cols, self.held_as)
    }

    fn vector(&mut self, name: &str, len: usize) -> Result<Matrix<B, f32>> {
        Matrix::upload(self.be, 1, len, self.weights.f32(self.be, name, &[len])?)
    }
}

/// The model in `dir`, for sequences of up to `positions` tokens. Matrices are quantized one by one as they come.
///
/// # Errors
/// When a file is missing or malformed, a tensor is missing or of another shape, or the device is out of memory.
pub fn load_model<B: Backend>(be: &B, dir: &Path, held_as: HeldAs, positions: usize) -> Result<Model<B>> {
    let architecture = Architecture::read(dir)?;
    let weights = BaseWeights::open(dir)?;
    weights.check_layers(architecture.layers)?;
    let mut source = Loading { be, weights, held_as };
    Model::new(be, architecture, positions, &mut source).map_err(Error::needed_for(Need::Weights))
}
