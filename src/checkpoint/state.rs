//! The state of a run between two steps, in one file: with it a run goes on to the same bits.
//!
//! Random numbers are functions of (seed, step) and the data order of (seed, epoch), so the step is all that
//! there is to keep of generators and data position.

use super::{TensorSource, Weights, write_weights};
use crate::{
    adapter::Scores,
    backend::Backend,
    error::{Error, Result},
    mask::ScoreKind,
    model::Model,
    ops,
    param::ParamView,
    tensor::Matrix,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// What stands beside the tensors.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    /// Steps that are done.
    step: usize,
    /// How many updates each parameter has had.
    updates: BTreeMap<String, u32>,
    /// The settings that the result depends on.
    settings: Map<String, Value>,
}

const HEADER: &str = "rosa_state";

/// The flat f32 parts of a parameter and their names in the file.
fn parts<'a, B: Backend>(view: ParamView<'a, B>) -> [(String, &'a mut B::Buffer<f32>); 3] {
    let ParamView { name, value, m, v, .. } = view;
    [(format!("{name}.value"), value), (format!("{name}.m"), m), (format!("{name}.v"), v)]
}

/// Writes the state after `step` steps of a run with these `settings`, atomically.
///
/// # Errors
/// When queued work failed or the file cannot be written; a previous state then survives.
pub fn save<B: Backend>(
    be: &B,
    model: &mut Model<B>,
    path: &Path,
    step: usize,
    settings: Map<String, Value>,
) -> Result<()> {
    let mut tensors = Vec::new();
    for (adapter, _) in model.adapters() {
        let module = &adapter.module;
        if let Some(s) = &adapter.sparse {
            let pattern = s.value.pattern();
            for (part, buffer) in
                [("row_offsets", pattern.row_offsets()), ("col_indices", pattern.col_indices())]
            {
                let host = be.download(buffer)?;
                tensors.push(TensorSource::owned(format!("{module}.{part}"), &[host.len()], host));
            }
        }
        if let Some(sum) = adapter.scores.as_ref().and_then(|scores| scores.sum.as_ref()) {
            let shape = [sum.rows(), sum.cols()];
            tensors.push(TensorSource::owned(format!("{module}.scores"), &shape, sum.download(be)?));
        }
    }
    let mut updates = BTreeMap::new();
    for view in model.params() {
        updates.insert(view.name.clone(), *view.updates);
        for (name, buffer) in parts(view) {
            let host = be.download(buffer)?;
            tensors.push(TensorSource::owned(name, &[host.len()], host));
        }
    }
    let header = serde_json::to_string(&Header { step, updates, settings }).expect("a header is plain data");
    write_weights(path, &BTreeMap::from([(HEADER.to_owned(), header)]), tensors)
}

/// Puts the state in `path` into `model`, whose adapters are attached as at the start of the run, and returns the
/// number of steps done.
///
/// # Errors
/// [`Error::Format`] when the file is not a state, or `settings` differ from those of the run: the message names
/// the setting and both values.
pub fn load<B: Backend>(
    be: &B,
    model: &mut Model<B>,
    path: &Path,
    score: ScoreKind,
    settings: &Map<String, Value>,
) -> Result<usize> {
    let file = Weights::open_file(path)?;
    let header = file.metadata().get(HEADER).ok_or_else(|| file.wrong(HEADER, "nothing", "a saved run"))?;
    let header: Header =
        serde_json::from_str(header).map_err(|e| file.wrong(HEADER, e, "the header of a saved run"))?;
    let keys: BTreeSet<_> = header.settings.keys().chain(settings.keys()).collect();
    for key in keys {
        let (then, now) = (header.settings.get(key), settings.get(key));
        if then != now {
            let show = |value: Option<&Value>| value.map_or_else(|| "nothing".to_owned(), Value::to_string);
            let expected = format!("{}, with which the run began", show(then));
            return Err(Error::format(path, format!("--{key}"), show(now), expected));
        }
    }

    for adapter in model.adapters_mut() {
        let module = adapter.module.clone();
        if file.contains(&format!("{module}.row_offsets")) {
            let row_offsets = file.indices(&format!("{module}.row_offsets"))?;
            let col_indices = file.indices(&format!("{module}.col_indices"))?;
            let (rows, cols) = adapter.shape;
            adapter.begin_sparse(be, ops::csr_pattern(be, rows, cols, row_offsets, col_indices)?)?;
        }
        if file.contains(&format!("{module}.scores")) {
            let (rows, cols) = adapter.shape;
            let sum = Matrix::upload(be, rows, cols, file.f32(&format!("{module}.scores"), &[rows, cols])?)?;
            adapter.scores = Some(Scores { sum: Some(sum), term: score.term() });
        }
    }
    for view in model.params() {
        let updates = header.updates.get(&view.name);
        *view.updates = *updates.ok_or_else(|| file.wrong(&view.name, "nothing", "a trained parameter"))?;
        for (name, buffer) in parts(view) {
            let host = file.f32(&name, &[B::len(buffer)])?;
            *buffer = be.upload(host)?;
        }
    }
    Ok(header.step)
}
