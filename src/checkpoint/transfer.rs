//! Adapters and masks between a model and their files.

use super::{
    AdapterConfig, AdapterFile, LowRank, MaskPart, ModuleAdapter, SparsePart, read_masks, write_masks,
};
use crate::{
    adapter::{self, Adapter},
    architecture::Architecture,
    backend::Backend,
    error::{Error, Need, Result},
    model::Model,
    ops,
    param::Param,
    sparse::{Csr, CsrPattern},
    tensor::Matrix,
};
use std::{collections::BTreeMap, path::Path, sync::Arc};

/// Masks by module path.
pub type Masks<B> = BTreeMap<String, Arc<CsrPattern<B>>>;

/// The adapters of `model` as a file. The targets it lists are the last parts of the adapted modules' paths.
///
/// # Errors
/// When queued work failed.
pub fn adapter_file<B: Backend>(be: &B, model: &Model<B>, config: &AdapterConfig) -> Result<AdapterFile> {
    let mut modules = BTreeMap::new();
    for (adapter, weight) in model.adapters() {
        if adapter.low_rank.is_none() && adapter.sparse.is_none() {
            continue;
        }
        let transposed = adapter.module == Architecture::EMBEDDING;
        let (rows, cols) = (weight.rows(), weight.cols());
        let (out_features, in_features) = if transposed { (cols, rows) } else { (rows, cols) };
        let low_rank = match &adapter.low_rank {
            None => None,
            Some(l) => {
                let a = l.a.value.download(be)?;
                let a = if transposed { transpose(&a, in_features) } else { a };
                Some(LowRank { rank: l.rank(), a, b: l.b.value.download(be)? })
            }
        };
        let sparse = match &adapter.sparse {
            None => None,
            Some(s) => Some(SparsePart {
                cols,
                row_offsets: be.download(s.value.pattern().row_offsets())?,
                col_indices: be.download(s.value.pattern().col_indices())?,
                values: be.download(s.value.values())?,
            }),
        };
        modules.insert(adapter.module.clone(), ModuleAdapter { out_features, in_features, low_rank, sparse });
    }
    let mut config = config.clone();
    let mut targets: Vec<_> = modules.keys().map(|m| m.rsplit('.').next().unwrap_or(m).to_owned()).collect();
    targets.sort();
    targets.dedup();
    config.target_modules = targets;
    Ok(AdapterFile { config, modules })
}

/// Gives `model` the adapters of `file`.
///
/// # Errors
/// When a pattern is broken or the device is out of memory. Shapes were checked when the file was read against
/// the model's architecture.
pub fn attach<B: Backend>(be: &B, model: &mut Model<B>, file: AdapterFile) -> Result<()> {
    let AdapterFile { config, mut modules } = file;
    for adapter in model.adapters_mut() {
        let Some(part) = modules.remove(&adapter.module) else { continue };
        attach_module(be, adapter, &config, part).map_err(Error::needed_for(Need::Parameters))?;
    }
    Ok(())
}

fn attach_module<B: Backend>(
    be: &B,
    adapter: &mut Adapter<B>,
    config: &AdapterConfig,
    part: ModuleAdapter,
) -> Result<()> {
    let ModuleAdapter { out_features, in_features, low_rank, sparse } = part;
    let transposed = adapter.module == Architecture::EMBEDDING;
    let rows = if transposed { in_features } else { out_features };
    if let Some(LowRank { rank, a, b }) = low_rank {
        let a = match transposed {
            true => Matrix::upload(be, in_features, rank, transpose(&a, rank))?,
            false => Matrix::upload(be, rank, in_features, a)?,
        };
        adapter.low_rank = Some(adapter::LowRank {
            a: Param::dense(be, a)?,
            b: Param::dense(be, Matrix::upload(be, out_features, rank, b)?)?,
            scale: config.scale(&adapter.module),
        });
    }
    if let Some(SparsePart { cols, row_offsets, col_indices, values }) = sparse {
        let pattern = ops::csr_pattern(be, rows, cols, row_offsets, col_indices)?;
        adapter.density = pattern.density();
        adapter.sparse = Some(Param::sparse(be, Csr::new(pattern, be.upload(values)?)?)?);
    }
    Ok(())
}

/// The transpose of a row-major matrix of `rows` rows.
pub(super) fn transpose(values: &[f32], rows: usize) -> Vec<f32> {
    let cols = values.len() / rows.max(1);
    (0..values.len()).map(|i| values[i % rows * cols + i / rows]).collect()
}

/// Writes the masks of all sparse adapters of `model`.
///
/// # Errors
/// When queued work failed or the file cannot be written.
pub fn save_masks<B: Backend>(be: &B, model: &Model<B>, path: &Path) -> Result<()> {
    let mut masks = BTreeMap::new();
    for (adapter, _) in model.adapters() {
        let Some(s) = &adapter.sparse else { continue };
        let pattern = s.value.pattern();
        let mask = MaskPart {
            rows: pattern.rows(),
            cols: pattern.cols(),
            row_offsets: be.download(pattern.row_offsets())?,
            col_indices: be.download(pattern.col_indices())?,
        };
        masks.insert(adapter.module.clone(), mask);
    }
    write_masks(path, &masks)
}

/// The masks in a file, on the device.
///
/// # Errors
/// When the file is malformed or the device is out of memory.
pub fn load_masks<B: Backend>(be: &B, path: &Path) -> Result<Masks<B>> {
    let upload = |(module, mask): (String, MaskPart)| {
        let pattern = ops::csr_pattern(be, mask.rows, mask.cols, mask.row_offsets, mask.col_indices)?;
        Ok((module, pattern))
    };
    read_masks(path)?.into_iter().map(upload).collect()
}
