//! Whole models as Hugging Face directories: an adapter merged into its base, or a base that was trained itself.

use super::{
    AdapterFile, ModuleAdapter, TensorSource, Weights, transfer::transpose, write_atomically, write_weights,
};
use crate::{
    architecture::Architecture,
    backend::{Backend, Write},
    device::Float,
    error::{Error, Need, Result},
    model::Model,
    ops,
    sparse::Csr,
    tensor::Matrix,
};
use half::{bf16, f16};
use safetensors::Dtype;
use serde_json::{Value, json};
use std::{borrow::Cow, collections::BTreeMap, fs, io::Write as _, path::Path};

/// The element type of the weights that are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum StoredAs {
    /// As the base stores each of them.
    Keep,
    /// f32.
    F32,
    /// f16.
    F16,
    /// bf16.
    Bf16,
}

impl StoredAs {
    pub(super) fn dtype(self, base: Dtype) -> Dtype {
        match self {
            Self::Keep => base,
            Self::F32 => Dtype::F32,
            Self::F16 => Dtype::F16,
            Self::Bf16 => Dtype::BF16,
        }
    }
}

/// A tensor whose values are made in f32 when its turn comes and rounded once to `dtype`.
pub(super) fn rounded<'a>(
    name: &str,
    shape: &[usize],
    dtype: Dtype,
    values: impl FnOnce() -> Result<Vec<f32>> + 'a,
) -> TensorSource<'a> {
    match dtype {
        Dtype::F16 => TensorSource::lazy(name, shape, move || {
            Ok(Cow::Owned(values()?.into_iter().map(f16::from_f32).collect::<Vec<_>>()))
        }),
        Dtype::BF16 => TensorSource::lazy(name, shape, move || {
            Ok(Cow::Owned(values()?.into_iter().map(bf16::from_f32).collect::<Vec<_>>()))
        }),
        _ => TensorSource::lazy(name, shape, move || Ok(Cow::Owned(values()?))),
    }
}

/// Writes the model in `base` with `adapter` merged into it, `W' = W + S + s·B·A` summed in f32 and rounded once,
/// as a directory `out` that other tools load. One weight is in memory at a time. Where a tied embedding or head
/// has an adapter of its own, the two become separate tensors.
///
/// # Errors
/// When the adapter is for another model, a file is malformed, `out` cannot be written, or the device is out of memory.
pub fn merge<B: Backend>(
    be: &B,
    base: &Path,
    adapter: &AdapterFile,
    out: &Path,
    stored_as: StoredAs,
) -> Result<()> {
    let architecture = Architecture::read(base)?;
    let weights = Weights::open(base)?;
    let adapts = |module: &str| adapter.modules.contains_key(module);
    let untie =
        architecture.tie_word_embeddings && (adapts(Architecture::EMBEDDING) || adapts(Architecture::HEAD));

    let mut tensors = Vec::new();
    let mut tensor = |name: String, stored: String, shape: Vec<usize>| -> Result<()> {
        let dtype = stored_as.dtype(weights.dtype(&stored)?);
        let module = name.strip_suffix(".weight").unwrap_or(&name).to_owned();
        let weights = &weights;
        let source_shape = shape.clone();
        tensors.push(rounded(&name, &shape, dtype, move || {
            let values = weights.f32(&stored, &source_shape)?;
            match adapter.modules.get(&module) {
                None => Ok(values),
                Some(part) => merged(be, &module, values, part, adapter.config.scale(&module))
                    .map_err(Error::needed_for(Need::Merge)),
            }
        }));
        Ok(())
    };
    for (name, shape) in architecture.tensors() {
        tensor(name.clone(), name, shape)?;
    }
    if untie {
        let shape = vec![architecture.vocab_size, architecture.hidden_size];
        let stored = format!("{}.weight", Architecture::EMBEDDING);
        tensor(format!("{}.weight", Architecture::HEAD), stored, shape)?;
    }
    copy_companions(base, out)?;
    let config = base.join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&config).map_err(Error::io("read", &config))?)
        .map_err(|e| Error::format(&config, "the file", e, "JSON"))?;
    if untie {
        config["tie_word_embeddings"] = json!(false);
    }
    write_config(out, config, stored_as)?;
    write_weights(&out.join("model.safetensors"), &BTreeMap::new(), tensors)
}

/// `W + S + s·B·A` of one module in f32; of an embedding's table `[vocab, hidden]`, `W + S + s·(B·A)ᵀ`.
fn merged<B: Backend>(
    be: &B,
    module: &str,
    w: Vec<f32>,
    part: &ModuleAdapter,
    scale: f32,
) -> Result<Vec<f32>> {
    let (out, inp) = (part.out_features, part.in_features);
    let transposed = module == Architecture::EMBEDDING;
    let (rows, cols) = if transposed { (inp, out) } else { (out, inp) };
    let mut w = Matrix::upload(be, rows, cols, w)?;
    if let Some(l) = &part.low_rank {
        let b = transpose(&l.b, out);
        let (left, right) = if transposed { (&l.a, &b) } else { (&b, &l.a) };
        add_product(be, l.rank, left, right, scale, &mut w)?;
    }
    if let Some(s) = &part.sparse {
        let pattern = ops::csr_pattern(be, rows, cols, s.row_offsets.clone(), s.col_indices.clone())?;
        ops::csr_add(be, &Csr::new(pattern, be.upload(s.values.clone())?)?, &mut w)?;
    }
    w.download(be)
}

/// `w += scale · leftᵀ·right` in f32, with left `[rank, rows]`, right `[rank, cols]`.
///
/// A device that multiplies bf16 numbers gets both factors as sums of such. Every part of one meets every part of the
/// other, as further terms of the same sum: each product is exact, and only the sum is rounded, as any in f32 is.
fn add_product<B: Backend>(
    be: &B,
    rank: usize,
    left: &[f32],
    right: &[f32],
    scale: f32,
    w: &mut Matrix<B, f32>,
) -> Result<()> {
    let (left, right) = (parts::<B::Act>(left), parts::<B::Act>(right));
    let terms = rank * left.len() * right.len();
    let pairs = || left.iter().flat_map(|left| right.iter().map(move |right| (left, right)));
    let lefts = pairs().flat_map(|(left, _)| left).copied().collect();
    let rights = pairs().flat_map(|(_, right)| right).copied().collect();
    let lefts = Matrix::upload(be, terms, w.rows(), lefts)?;
    let rights = Matrix::upload(be, terms, w.cols(), rights)?;
    ops::matmul_tn(be, &lefts, &rights, 0..terms, scale, Write::Add, w)
}

/// Numbers of type `T` that add up to `values`: one each where `T` holds f32, else up to three, each of 8 of the 24 bits.
fn parts<T: Float>(values: &[f32]) -> Vec<Vec<T>> {
    let mut rest = values.to_vec();
    let mut parts = Vec::new();
    while parts.is_empty() || parts.len() < 3 && rest.iter().any(|&x| x != 0.0) {
        let part: Vec<T> = rest.iter().map(|&x| T::from_f32(x)).collect();
        rest.iter_mut().zip(&part).for_each(|(x, part)| *x -= part.to_f32());
        parts.push(part);
    }
    parts
}

/// Writes a model whose base was trained as a Hugging Face directory; `companions` is the directory whose tokenizer
/// and configuration it shares, and whose storage types it keeps.
///
/// # Errors
/// When queued work failed or `out` cannot be written.
pub fn write_trained<B: Backend>(be: &B, model: &mut Model<B>, companions: &Path, out: &Path) -> Result<()> {
    let weights = Weights::open(companions)?;
    copy_companions(companions, out)?;
    let config = companions.join("config.json");
    fs::copy(&config, out.join("config.json")).map_err(Error::io("copy", &config))?;
    let shapes: BTreeMap<_, _> = model.architecture.tensors().into_iter().collect();
    let mut tensors = Vec::new();
    for view in model.params() {
        let (shape, name) = (&shapes[&view.name], view.name);
        let values = be.download(view.value)?;
        tensors.push(rounded(&name, shape, weights.dtype(&name)?, move || Ok(values)));
    }
    write_weights(&out.join("model.safetensors"), &BTreeMap::new(), tensors)
}

/// Writes a model that was trained from nothing, in f32, without a tokenizer.
///
/// # Errors
/// When queued work failed or `out` cannot be written.
pub fn write_new<B: Backend>(be: &B, model: &mut Model<B>, out: &Path) -> Result<()> {
    fs::create_dir_all(out).map_err(Error::io("create", out))?;
    write_config(out, model.architecture.to_config_json(), StoredAs::F32)?;
    let shapes: BTreeMap<_, _> = model.architecture.tensors().into_iter().collect();
    let mut tensors = Vec::new();
    for view in model.params() {
        tensors.push(TensorSource::owned(view.name.clone(), &shapes[&view.name], be.download(view.value)?));
    }
    write_weights(&out.join("model.safetensors"), &BTreeMap::new(), tensors)
}

pub(super) fn write_config(out: &Path, mut config: Value, stored_as: StoredAs) -> Result<()> {
    let dtype = match stored_as {
        StoredAs::Keep => None,
        StoredAs::F32 => Some("float32"),
        StoredAs::F16 => Some("float16"),
        StoredAs::Bf16 => Some("bfloat16"),
    };
    if let Some(dtype) = dtype {
        let key = if config.get("dtype").is_some() { "dtype" } else { "torch_dtype" };
        config[key] = json!(dtype);
    }
    let text = format!("{config:#}\n");
    write_atomically(&out.join("config.json"), |file| file.write_all(text.as_bytes()))
}

/// Copies what stands beside the weights of `base` and belongs to a model: tokenizer, templates, generation settings.
fn copy_companions(base: &Path, out: &Path) -> Result<()> {
    const COMPANIONS: [&str; 10] = [
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "tokenizer.model",
        "special_tokens_map.json",
        "added_tokens.json",
        "vocab.json",
        "merges.txt",
        "chat_template.jinja",
        "chat_template.json",
    ];
    fs::create_dir_all(out).map_err(Error::io("create", out))?;
    for name in COMPANIONS {
        let from = base.join(name);
        if from.exists() {
            fs::copy(&from, out.join(name)).map_err(Error::io("copy", &from))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up_to_the_bit() {
        let values = [1.0, -0.3, f32::EPSILON, 1.0 / 3.0, -16_777_215.0, 2.5e-30, 0.0];
        assert_eq!(parts::<f32>(&values), [values]);
        let parts = parts::<bf16>(&values);
        assert_eq!(parts.len(), 3);
        for (i, value) in values.iter().enumerate() {
            assert_eq!(parts.iter().map(|part| f64::from(part[i].to_f32())).sum::<f64>(), f64::from(*value));
        }
        assert_eq!(super::parts::<bf16>(&[1.0, -0.5]).len(), 1);
    }
}
