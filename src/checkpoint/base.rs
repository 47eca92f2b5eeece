//! The base model from its directory.

use super::{Stored, Weights};
use crate::{
    architecture::Architecture,
    backend::Backend,
    device::Element,
    error::Result,
    model::{Model, WeightSource},
    tensor::{Frozen, Matrix, Precision},
};
use safetensors::Dtype;
use std::path::Path;

/// Weights of a directory, uploaded in the precision asked for.
struct FromDirectory<'a, B: Backend> {
    be: &'a B,
    weights: Weights,
    /// That of each tensor in the file for `None`.
    precision: Option<Precision>,
}

impl<B: Backend> FromDirectory<'_, B> {
    /// The precision that matrix `name` is held in.
    fn precision(&self, name: &str) -> Result<Precision> {
        Ok(match (self.precision, self.weights.dtype(name)?) {
            (Some(precision), _) => precision,
            (None, Dtype::BF16) => Precision::Bf16,
            (None, _) => Precision::F32,
        })
    }

    /// The matrix where the file stores it as `T`: without a copy, where the device can do without.
    fn stored<T: Stored + Element>(
        &self,
        name: &str,
        rows: usize,
        cols: usize,
    ) -> Result<Option<Matrix<B, T>>> {
        let Some(mapped) = self.weights.mapped(name, &[rows, cols])? else { return Ok(None) };
        Matrix::new(rows, cols, self.be.adopt(mapped)?).map(Some)
    }
}

impl<B: Backend> WeightSource<B> for FromDirectory<'_, B> {
    fn matrix(&mut self, name: &str, rows: usize, cols: usize) -> Result<Frozen<B>> {
        let shape = [rows, cols];
        Ok(match self.precision(name)? {
            Precision::F32 => Frozen::F32(match self.stored(name, rows, cols)? {
                Some(stored) => stored,
                None => Matrix::upload(self.be, rows, cols, self.weights.f32(name, &shape)?)?,
            }),
            Precision::Bf16 => Frozen::Bf16(match self.stored(name, rows, cols)? {
                Some(stored) => stored,
                None => Matrix::upload(self.be, rows, cols, self.weights.bf16(name, &shape)?)?,
            }),
        })
    }

    fn vector(&mut self, name: &str, len: usize) -> Result<Matrix<B, f32>> {
        Matrix::upload(self.be, 1, len, self.weights.f32(name, &[len])?)
    }
}

/// The model in `dir`, for sequences of up to `positions` tokens. Without a `precision`, matrices that are stored in
/// bf16 stay bf16 and the others become f32: no number changes.
///
/// # Errors
/// When a file is missing or malformed, a tensor is missing or of another shape, or the device is out of memory.
pub fn load_model<B: Backend>(
    be: &B,
    dir: &Path,
    precision: impl Into<Option<Precision>>,
    positions: usize,
) -> Result<Model<B>> {
    let architecture = Architecture::read(dir)?;
    let weights = Weights::open(dir)?;
    Model::new(be, architecture, positions, &mut FromDirectory { be, weights, precision: precision.into() })
}
