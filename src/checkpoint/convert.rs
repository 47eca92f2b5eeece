//! A GGUF file as a Hugging Face directory.

use super::{
    merge::{StoredAs, rounded, write_config},
    write_atomically, write_weights,
};
use crate::{
    architecture::Architecture,
    error::{Error, Result},
    gguf::{
        Gguf,
        architecture::architecture,
        blocks::Format,
        tokenizer::{TokenizerFiles, tokenizer},
        weights::ModelTensors,
    },
};
use half::{bf16, f16};
use safetensors::Dtype;
use serde_json::{Value, json};
use std::{cell::RefCell, collections::BTreeMap, fs, io::Write as _, path::Path};

/// What a conversion did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Converted {
    /// The type of all weights.
    pub dtype: Dtype,
    /// How many weights there are.
    pub weights: usize,
    /// How many of them that type does not hold exactly.
    pub rounded: usize,
}

/// Writes the model in `gguf` as a directory `out` that other tools load: configuration, tokenizer with chat
/// template, and weights, one of them in memory at a time. `on_tensor` hears how many of how many are done.
///
/// [`StoredAs::Keep`] means f32, f16 or bf16 as the file stores its matrices, and bf16 for quantized ones: rounding to
/// its 8 bits errs by at most half a step of `Q8_0` and a 32nd of one of `Q4_0`, where half a step is what quantized
/// numbers are uncertain by.
///
/// # Errors
/// When the model is of an unknown kind, its parts do not fit each other, a weight is not finite in the type asked
/// for, or `out` cannot be written. All but the weights is checked before anything is written.
pub fn convert(
    gguf: &Gguf,
    out: &Path,
    stored_as: StoredAs,
    on_tensor: &mut dyn FnMut(usize, usize),
) -> Result<Converted> {
    let architecture = architecture(gguf)?;
    let tensors = ModelTensors::new(gguf, &architecture)?;
    let files = tokenizer(gguf, architecture.vocab_size)?;
    let dtype = stored_as.dtype(dtype_of_matrices(gguf));

    fs::create_dir_all(out).map_err(Error::io("create", out))?;
    write_texts(gguf, out, &architecture, files, dtype)?;
    let total = architecture.tensors().len();
    let progress = RefCell::new((0, on_tensor, Converted { dtype, weights: 0, rounded: 0 }));
    let sources = architecture.tensors().into_iter().map(|(name, shape)| {
        let (tensors, progress, own) = (&tensors, &progress, shape.clone());
        rounded(&name.clone(), &shape, dtype, move || {
            let values = tensors.f32(&name, &own)?;
            let changed = count_changed(gguf, tensors.stored(&name)?, &values, dtype)?;
            let (done, on_tensor, converted) = &mut *progress.borrow_mut();
            *done += 1;
            converted.weights += values.len();
            converted.rounded += changed;
            on_tensor(*done, total);
            Ok(values)
        })
    });
    write_weights(&out.join("model.safetensors"), &BTreeMap::new(), sources.collect())?;
    Ok(progress.into_inner().2)
}

/// The type that holds every matrix of the file as it stands there; bf16 where all are quantized.
fn dtype_of_matrices(gguf: &Gguf) -> Dtype {
    let matrices = gguf.tensors().values().filter(|tensor| tensor.shape.len() > 1);
    let plain = matrices.filter_map(|tensor| match tensor.format {
        Format::F32 => Some(Dtype::F32),
        Format::F16 => Some(Dtype::F16),
        Format::Bf16 => Some(Dtype::BF16),
        _ => None,
    });
    plain.reduce(|one, other| if one == other { one } else { Dtype::F32 }).unwrap_or(Dtype::BF16)
}

/// How many of `values` another number stands for in `dtype`; none may become infinite.
fn count_changed(gguf: &Gguf, name: &str, values: &[f32], dtype: Dtype) -> Result<usize> {
    let stored = |x: f32| match dtype {
        Dtype::F16 => f16::from_f32(x).to_f32(),
        Dtype::BF16 => bf16::from_f32(x).to_f32(),
        _ => x,
    };
    if let Some((i, x)) = values.iter().enumerate().find(|&(_, &x)| !stored(x).is_finite()) {
        let expected = format!("a number that is finite in {dtype}");
        return Err(gguf.wrong(format_args!("{name}, element {i}"), x, expected));
    }
    Ok(values.iter().filter(|&&x| stored(x) != x).count())
}

/// Everything but the weights.
fn write_texts(
    gguf: &Gguf,
    out: &Path,
    architecture: &Architecture,
    files: TokenizerFiles,
    dtype: Dtype,
) -> Result<()> {
    let stored_as = match dtype {
        Dtype::F16 => StoredAs::F16,
        Dtype::BF16 => StoredAs::Bf16,
        _ => StoredAs::F32,
    };
    write_config(out, architecture.to_config_json(), stored_as)?;
    let mut config = files.config;
    config["model_max_length"] = json!(architecture.max_position_embeddings);
    write_json(out, "tokenizer_config.json", &config)?;
    let text = files.tokenizer.to_string(); // 50,000 merges, which nobody reads line by line
    write_atomically(&out.join("tokenizer.json"), |file| file.write_all(text.as_bytes()))?;

    let mut generation = json!({});
    if let Some(id) = architecture.bos_token_id {
        generation["bos_token_id"] = json!(id);
    }
    match &architecture.eos_token_ids[..] {
        [] => {}
        [id] => generation["eos_token_id"] = json!(id),
        ids => generation["eos_token_id"] = json!(ids),
    }
    if let Some(id) = gguf.get::<u32>("tokenizer.ggml.padding_token_id")? {
        generation["pad_token_id"] = json!(id);
    }
    write_json(out, "generation_config.json", &generation)
}

fn write_json(out: &Path, name: &str, value: &Value) -> Result<()> {
    let text = format!("{value:#}\n");
    write_atomically(&out.join(name), |file| file.write_all(text.as_bytes()))
}
