//! Whole models as Hugging Face directories: an adapter merged into its base, or a base that was trained itself.

use super::{
    AdapterFile, BaseWeights, HeldAs, MergeReport, TensorReport, TensorSource, Weights, bitsandbytes,
    delta::delta, write_atomically, write_weights,
};
use crate::{
    architecture::Architecture,
    backend::Backend,
    error::{Error, Need, Result},
    model::Model,
    nf4::{Nf4Matrix, Quantization},
};
use half::{bf16, f16};
use safetensors::Dtype;
use serde_json::{Value, json};
use std::{borrow::Cow, cell::RefCell, collections::BTreeMap, fs, io::Write as _, path::Path};

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

/// What the adapter is added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Onto {
    /// The weights as the checkpoint stores them.
    Original,
    /// The weights as training held them: dequantized from 4 bits, or rounded to bf16.
    Dequantized,
}

/// How the merged weights are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergedAs {
    /// One by one; of a quantized base, [`StoredAs::Keep`] quantizes again what is quantized there.
    Plain(StoredAs),
    /// The projections of the blocks in 4 bits, the rest as the base stores it.
    Nf4(Quantization),
}

/// How an adapter is merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Merging {
    /// How training held the base: W of the model that the merged one is measured against.
    pub trained_on: HeldAs,
    /// What the adapter is added to.
    pub onto: Onto,
    /// How the sum is stored.
    pub stored: MergedAs,
}

impl From<StoredAs> for Merging {
    /// For an adapter that was trained on the weights as they are.
    fn from(stored_as: StoredAs) -> Self {
        Self { trained_on: HeldAs::F32, onto: Onto::Original, stored: MergedAs::Plain(stored_as) }
    }
}

/// Writes the model in `base` with `adapter` merged into it, `W' = W + (s·B·A + S)` summed in f32 and rounded once,
/// as a directory `out` that other tools load. One weight is in memory at a time, beside those that were quantized.
/// Where a tied embedding or head has an adapter of its own, the two become separate tensors. Without an adapter the
/// model is only stored in another way. `on_tensor` hears how many tensors of how many are done.
///
/// # Errors
/// When the adapter is for another model, a file is malformed, a weight cannot be quantized, `out` cannot be written,
/// or the device is out of memory.
pub fn merge<B: Backend>(
    be: &B,
    base: &Path,
    adapter: Option<&AdapterFile>,
    out: &Path,
    how: Merging,
    on_tensor: &mut dyn FnMut(usize, usize),
) -> Result<MergeReport> {
    let architecture = Architecture::read(base)?;
    let weights = BaseWeights::open(base)?;
    let adapts = |module| adapter.is_some_and(|adapter| adapter.modules.contains_key(module));
    let untie =
        architecture.tie_word_embeddings && (adapts(Architecture::EMBEDDING) || adapts(Architecture::HEAD));
    let mut list: Vec<_> =
        architecture.tensors().into_iter().map(|(name, shape)| (name.clone(), name, shape)).collect();
    if untie {
        let [head, table] =
            [Architecture::HEAD, Architecture::EMBEDDING].map(|module| format!("{module}.weight"));
        list.push((head, table, vec![architecture.vocab_size, architecture.hidden_size]));
    }

    let total = list.len();
    let progress = RefCell::new((Vec::with_capacity(total), on_tensor));
    let record = |report: TensorReport| {
        let (reports, on_tensor) = &mut *progress.borrow_mut();
        reports.push(report);
        on_tensor(reports.len(), total);
    };
    let mut tensors = Vec::new();
    for (name, stored, shape) in list {
        let dtype = weights.dtype(&stored)?;
        let tensor = Merged { be, weights: &weights, adapter, how, name: name.clone(), stored, shape };
        if let Some(quantization) = tensor.quantization()? {
            let (weight, report) = tensor.quantized(quantization)?;
            tensors.extend(bitsandbytes::tensors(be, &name, &weight, dtype)?);
            record(report);
            continue;
        }
        let dtype = match how.stored {
            MergedAs::Plain(stored_as) => stored_as.dtype(dtype),
            MergedAs::Nf4(_) => dtype,
        };
        let (shape, record) = (tensor.shape.clone(), &record);
        tensors.push(rounded(&name, &shape, dtype, move || {
            let (values, report) = tensor.rounded_to(dtype)?;
            record(report);
            Ok(values)
        }));
    }
    write_texts(base, out, &architecture, &weights, how.stored, untie)?;
    let path = out.join("model.safetensors");
    write_weights(&path, &BTreeMap::new(), tensors)?;
    let bytes_after = Weights::open_file(&path)?.total_bytes();
    let (tensors, _) = progress.into_inner();
    Ok(MergeReport { tensors, bytes_before: weights.total_bytes(), bytes_after })
}

/// A tensor of a model that is being merged.
struct Merged<'a, B: Backend> {
    be: &'a B,
    weights: &'a BaseWeights,
    adapter: Option<&'a AdapterFile>,
    how: Merging,
    /// Its name in the merged model.
    name: String,
    /// The name of the base's tensor.
    stored: String,
    shape: Vec<usize>,
}

/// What a merged tensor is made of.
struct Parts {
    /// What the adapter is added to.
    base: Vec<f32>,
    /// What training held, where that is another thing.
    held: Option<Vec<f32>>,
    /// What the adapter adds.
    delta: Option<Vec<f32>>,
}

impl<B: Backend> Merged<'_, B> {
    /// How this tensor is to be quantized, if it is.
    fn quantization(&self) -> Result<Option<Quantization>> {
        Ok(match self.how.stored {
            MergedAs::Nf4(how) => Architecture::is_projection(&self.name).then_some(how),
            MergedAs::Plain(StoredAs::Keep) if self.weights.is_quantized(&self.stored)? => {
                self.weights.quantized()
            }
            MergedAs::Plain(_) => None,
        })
    }

    fn module(&self) -> &str {
        self.name.strip_suffix(".weight").unwrap_or(&self.name)
    }

    fn parts(&self) -> Result<Parts> {
        let Self { be, weights, how, .. } = *self;
        let (module, name, shape) = (self.module(), &self.stored, &self.shape[..]);
        let part = self.adapter.and_then(|adapter| Some((adapter.modules.get(module)?, adapter)));
        let delta = match part {
            None => None,
            Some((part, adapter)) => {
                let delta = delta(be, module, part, adapter.config.scale(module));
                Some(delta.map_err(Error::needed_for(Need::Merge))?)
            }
        };
        let held = match (shape, how.trained_on) {
            (&[rows, cols], HeldAs::Bf16 | HeldAs::Nf4(_)) => {
                let held = weights.matrix(be, name, rows, cols, how.trained_on)?;
                Some(held.weight().download(be)?)
            }
            _ => None,
        };
        Ok(match (how.onto, held) {
            (Onto::Dequantized, Some(base)) => Parts { base, held: None, delta },
            (_, held) => Parts { base: weights.f32(be, name, shape)?, held, delta },
        })
    }

    /// The merged tensor, whose elements are to be stored in `dtype`.
    fn rounded_to(&self, dtype: Dtype) -> Result<(Vec<f32>, TensorReport)> {
        let parts = self.parts()?;
        let sum = parts.sum();
        let stored = |i: usize| match dtype {
            Dtype::F16 => f16::from_f32(sum[i]).to_f32(),
            Dtype::BF16 => bf16::from_f32(sum[i]).to_f32(),
            _ => sum[i],
        };
        let report = parts.report(self.module(), stored);
        Ok((sum, report))
    }

    /// The merged weight in 4 bits; one that is so already and has no adapter stays as it is.
    fn quantized(&self, how: Quantization) -> Result<(Nf4Matrix<B>, TensorReport)> {
        let &[rows, cols] = &self.shape[..] else { unreachable!("only matrices are quantized") };
        let parts = self.parts()?;
        let as_it_is = parts.delta.is_none() && self.weights.is_quantized(&self.stored)?;
        let as_it_is = match as_it_is {
            true => Some(self.weights.quantized_matrix(self.be, &self.stored, rows, cols)?),
            false => None,
        };
        let weight = match as_it_is.filter(|weight| weight.quantization() == how) {
            Some(weight) => weight,
            None => self.weights.quantize(self.be, &self.stored, (rows, cols), parts.sum(), how)?,
        };
        let stored = weight.download(self.be)?;
        let report = parts.report(self.module(), |i| stored[i]);
        Ok((weight, report))
    }
}

impl Parts {
    fn sum(&self) -> Vec<f32> {
        match &self.delta {
            None => self.base.clone(),
            Some(delta) => self.base.iter().zip(delta).map(|(base, delta)| base + delta).collect(),
        }
    }

    fn report(&self, name: &str, stored: impl Fn(usize) -> f32 + Sync) -> TensorReport {
        let held = self.held.as_ref().unwrap_or(&self.base);
        let delta = |i: usize| self.delta.as_ref().map_or(0.0, |delta| delta[i]);
        TensorReport::new(name.to_owned(), held.len(), |i| held[i], delta, stored)
    }
}

/// Everything of a merged model but its weights.
fn write_texts(
    base: &Path,
    out: &Path,
    architecture: &Architecture,
    weights: &BaseWeights,
    stored: MergedAs,
    untie: bool,
) -> Result<()> {
    copy_companions(base, out)?;
    let mut config = read_config(base)?;
    if untie {
        config["tie_word_embeddings"] = json!(false);
    }
    let stored_as = match stored {
        MergedAs::Plain(stored_as) => stored_as,
        MergedAs::Nf4(how) => {
            let first = format!("{}.weight", architecture.linears()[0].path);
            config[bitsandbytes::CONFIG_KEY] = bitsandbytes::config(how, weights.dtype(&first)?);
            StoredAs::Keep
        }
    };
    if matches!(stored, MergedAs::Plain(StoredAs::F32 | StoredAs::F16 | StoredAs::Bf16)) {
        forget_quantization(&mut config);
    }
    write_config(out, config, stored_as)
}

/// Writes a model whose base was trained as a Hugging Face directory; `companions` is the directory whose tokenizer
/// and configuration it shares, and whose storage types it keeps; those of quantized weights are what they were made from.
///
/// # Errors
/// When queued work failed or `out` cannot be written.
pub fn write_trained<B: Backend>(be: &B, model: &mut Model<B>, companions: &Path, out: &Path) -> Result<()> {
    let weights = BaseWeights::open(companions)?;
    copy_companions(companions, out)?;
    let mut config = read_config(companions)?;
    forget_quantization(&mut config);
    write_config(out, config, StoredAs::Keep)?;
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

fn read_config(dir: &Path) -> Result<Value> {
    let path = dir.join("config.json");
    let text = fs::read(&path).map_err(Error::io("read", &path))?;
    serde_json::from_slice(&text).map_err(|e| Error::format(&path, "the file", e, "JSON"))
}

/// Removes what `config` says of quantization: the weights beside it have none.
fn forget_quantization(config: &mut Value) {
    if let Some(fields) = config.as_object_mut() {
        fields.shift_remove(bitsandbytes::CONFIG_KEY);
    }
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
            let (bytes, to) = (fs::read(&from).map_err(Error::io("read", &from))?, out.join(name));
            fs::write(&to, bytes).map_err(Error::io("write", &to))?;
        }
    }
    Ok(())
}
