//! Whole models as Hugging Face directories: an adapter merged into its base, or a base that was trained itself.

use super::{
    AdapterFile, ModuleAdapter, TensorSource, Weights, transfer::transpose, write_atomically, write_weights,
};
use crate::{
    architecture::Architecture,
    backend::{Backend, Write as Overwrite, cpu::Cpu},
    error::{Error, Result},
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
/// When the adapter is for another model, a file is malformed, or `out` cannot be written.
pub fn merge(cpu: &Cpu, base: &Path, adapter: &AdapterFile, out: &Path, stored_as: StoredAs) -> Result<()> {
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
                Some(part) => merged(cpu, &module, values, part, adapter.config.scale(&module)),
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
fn merged(cpu: &Cpu, module: &str, w: Vec<f32>, part: &ModuleAdapter, scale: f32) -> Result<Vec<f32>> {
    let (out, inp) = (part.out_features, part.in_features);
    let transposed = module == Architecture::EMBEDDING;
    let (rows, cols) = if transposed { (inp, out) } else { (out, inp) };
    let mut w = Matrix::upload(cpu, rows, cols, w)?;
    if let Some(l) = &part.low_rank {
        let a = Matrix::upload(cpu, l.rank, inp, l.a.clone())?;
        let b = Matrix::upload(cpu, out, l.rank, l.b.clone())?;
        match transposed {
            false => ops::matmul_nn(cpu, &b, (&a).into(), scale, Overwrite::Add, &mut w)?,
            true => {
                let bt = transpose(&l.b, out);
                let bt = Matrix::upload(cpu, l.rank, out, bt)?;
                ops::matmul_tn(cpu, &a, &bt, 0..l.rank, scale, Overwrite::Add, &mut w)?;
            }
        }
    }
    if let Some(s) = &part.sparse {
        let pattern = ops::csr_pattern(cpu, rows, cols, s.row_offsets.clone(), s.col_indices.clone())?;
        ops::csr_add(cpu, &Csr::new(pattern, s.values.clone().into())?, &mut w)?;
    }
    w.download(cpu)
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
