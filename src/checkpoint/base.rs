//! The base model from its directory.

use super::Weights;
use crate::{
    architecture::Architecture,
    backend::Backend,
    error::{Error, Need, Result},
    model::{Model, WeightSource},
    tensor::{Frozen, Matrix, Precision},
};
use std::path::Path;

/// Weights of a directory, uploaded in the precision asked for.
struct FromDirectory<'a, B: Backend> {
    be: &'a B,
    weights: Weights,
    precision: Precision,
}

impl<B: Backend> WeightSource<B> for FromDirectory<'_, B> {
    fn matrix(&mut self, name: &str, rows: usize, cols: usize) -> Result<Frozen<B>> {
        let shape = [rows, cols];
        Ok(match self.precision {
            Precision::F32 => {
                Frozen::F32(Matrix::upload(self.be, rows, cols, self.weights.f32(name, &shape)?)?)
            }
            Precision::Bf16 => {
                Frozen::Bf16(Matrix::upload(self.be, rows, cols, self.weights.bf16(name, &shape)?)?)
            }
        })
    }

    fn vector(&mut self, name: &str, len: usize) -> Result<Matrix<B, f32>> {
        Matrix::upload(self.be, 1, len, self.weights.f32(name, &[len])?)
    }
}

/// The model in `dir`, for sequences of up to `positions` tokens.
///
/// # Errors
/// When a file is missing or malformed, a tensor is missing or of another shape, or the device is out of memory.
pub fn load_model<B: Backend>(
    be: &B,
    dir: &Path,
    precision: Precision,
    positions: usize,
) -> Result<Model<B>> {
    let architecture = Architecture::read(dir)?;
    let weights = Weights::open(dir)?;
    Model::new(be, architecture, positions, &mut FromDirectory { be, weights, precision })
        .map_err(Error::needed_for(Need::Weights))
}
