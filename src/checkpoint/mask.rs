//! Masks alone: which entries of each module's weight the sparse part may change.

use super::{TensorSource, Weights, write_weights};
use crate::{
    error::{Error, Result},
    sparse::check_pattern,
};
use std::{collections::BTreeMap, path::Path};

/// The mask of one weight `[rows, cols]`, in compressed-row form (see [`CsrPattern`](crate::sparse::CsrPattern)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaskPart {
    /// The rows of the weight.
    pub rows: usize,
    /// The columns of the weight.
    pub cols: usize,
    /// Where each row's entries start: `rows + 1` offsets.
    pub row_offsets: Vec<u32>,
    /// The column of each entry, strictly rising within a row.
    pub col_indices: Vec<u32>,
}

/// Writes one mask per module path: `<module>.row_offsets` and `<module>.col_indices` in u32, and the shape as the
/// metadata string `<module>` = `[rows, cols]`.
///
/// # Errors
/// When a mask is not a valid pattern or the file cannot be written.
pub fn write_masks(path: &Path, masks: &BTreeMap<String, MaskPart>) -> Result<()> {
    let mut shapes = BTreeMap::new();
    let mut tensors = Vec::with_capacity(2 * masks.len());
    for (module, mask) in masks {
        mask.check(path, module)?;
        shapes.insert(module.clone(), format!("[{}, {}]", mask.rows, mask.cols));
        for (part, vector) in [("row_offsets", &mask.row_offsets), ("col_indices", &mask.col_indices)] {
            tensors.push(TensorSource::slice(format!("{module}.{part}"), &[vector.len()], vector));
        }
    }
    write_weights(path, &shapes, tensors)
}

/// Reads what [`write_masks`] wrote.
///
/// # Errors
/// When the file is malformed or a mask is not a valid pattern; the message names the module.
pub fn read_masks(path: &Path) -> Result<BTreeMap<String, MaskPart>> {
    let file = Weights::open_file(path)?;
    let mut masks = BTreeMap::new();
    for name in file.names() {
        let Some(module) = name.strip_suffix(".row_offsets") else {
            if name.ends_with(".col_indices") {
                continue;
            }
            return Err(file.wrong(name, "a tensor", "only row_offsets and col_indices of modules"));
        };
        let shape = file.metadata().get(module);
        let Some([rows, cols]) = shape.and_then(|shape| serde_json::from_str::<[usize; 2]>(shape).ok())
        else {
            let found = shape.map_or("no shape", String::as_str);
            return Err(file.wrong(module, found, "the metadata string [rows, cols]"));
        };
        let mask = MaskPart {
            rows,
            cols,
            row_offsets: file.indices(name)?,
            col_indices: file.indices(&format!("{module}.col_indices"))?,
        };
        mask.check(path, module)?;
        masks.insert(module.to_owned(), mask);
    }
    if masks.is_empty() {
        return Err(Error::format(path, "tensors", "no mask", "at least one"));
    }
    Ok(masks)
}

impl MaskPart {
    fn check(&self, path: &Path, module: &str) -> Result<()> {
        check_pattern(self.rows, self.cols, &self.row_offsets, &self.col_indices)
            .map_err(|error| Error::format(path, module, error, "a valid sparse pattern"))
    }
}
