//! 4-bit weights as bitsandbytes stores them: a weight's codes under its own name, all else under names that begin
//! with it.

use super::{TensorSource, Weights};
use crate::{
    backend::Backend,
    device::Device,
    error::Result,
    json::JsonFile,
    nf4::{
        ABSMAX_BLOCK, Absmax, CODES, DYNAMIC_CODES, DoubleQuantized, Nf4Matrix, Quantization, is_block_size,
    },
    num::to_f32,
};
use safetensors::Dtype;
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::Path;

/// What follows a weight's name in the name of the tensor that holds its [`State`] as JSON.
const STATE: &str = ".quant_state.bitsandbytes__nf4";
/// What `config.json` keeps its settings under.
pub(super) const CONFIG_KEY: &str = "quantization_config";

/// What does not stand in a tensor of its own.
#[derive(Deserialize)]
struct State {
    quant_type: String,
    blocksize: usize,
    dtype: String,
    shape: Vec<usize>,
    /// This and what follows: only where the magnitudes are quantized in turn.
    nested_blocksize: Option<usize>,
    nested_dtype: Option<String>,
    nested_offset: Option<f64>,
}

/// Checks that what `config.json` says of quantization, if anything, is what this module reads.
///
/// # Errors
/// When the weights are quantized in another way.
pub(super) fn check_config(dir: &Path) -> Result<()> {
    let config = JsonFile::read(&dir.join("config.json"))?;
    let Some(config) = config.object(CONFIG_KEY)? else { return Ok(()) };
    let method = config.get("quant_method")?.unwrap_or_else(|| "bitsandbytes".to_owned());
    if method != "bitsandbytes" {
        return Err(config.wrong("quant_method", method, "bitsandbytes"));
    }
    if config.get("load_in_8bit")?.unwrap_or(false) {
        return Err(config.wrong("load_in_8bit", true, "false: 8-bit weights are not read"));
    }
    if !config.get("load_in_4bit")?.unwrap_or(false) {
        return Err(config.wrong("load_in_4bit", false, true));
    }
    match config.get("bnb_4bit_quant_type")?.unwrap_or_else(|| "fp4".to_owned()) {
        kind if kind == "nf4" => Ok(()),
        kind => Err(config.wrong("bnb_4bit_quant_type", kind, "nf4")),
    }
}

/// The settings for `config.json` of weights quantized like this, whose products are to be computed in `dtype`.
pub(super) fn config(how: Quantization, dtype: Dtype) -> Value {
    json!({
        "quant_method": "bitsandbytes",
        "load_in_4bit": true,
        "load_in_8bit": false,
        "bnb_4bit_quant_type": "nf4",
        "bnb_4bit_use_double_quant": how.double,
        "bnb_4bit_compute_dtype": torch_name(dtype),
        "bnb_4bit_quant_storage": "uint8",
        "llm_int8_enable_fp32_cpu_offload": false,
        "llm_int8_has_fp16_weight": false,
        "llm_int8_skip_modules": null,
        "llm_int8_threshold": 6.0,
    })
}

/// Whether weight `name` is stored in 4 bits.
///
/// # Errors
/// When it is quantized in another way, or what belongs to its codes is missing.
pub(super) fn is_quantized(weights: &Weights, name: &str) -> Result<bool> {
    let beside = |end: &str| weights.contains(&format!("{name}{end}"));
    if beside(STATE) {
        return Ok(true);
    }
    if beside(".quant_state.bitsandbytes__fp4") {
        return Err(weights.wrong(name, "4-bit weights of type fp4", "nf4"));
    }
    let scales = format!("{}.SCB", name.strip_suffix(".weight").unwrap_or(name));
    if weights.contains(&scales) || weights.dtype(name)? == Dtype::I8 {
        return Err(weights.wrong(name, "8-bit weights", "nf4, f32, f16 or bf16"));
    }
    if beside(".absmax") || weights.dtype(name)? == Dtype::U8 {
        return Err(weights.wrong(
            &format!("{name}{STATE}"),
            "no such tensor",
            "what belongs to the codes of the weight",
        ));
    }
    Ok(false)
}

/// How the first quantized weight of a checkpoint is quantized; `None` where there is none.
///
/// # Errors
/// When its state is malformed.
pub(super) fn first_quantization(weights: &Weights) -> Result<Option<Quantization>> {
    let Some(name) = weights.names().find_map(|name| name.strip_suffix(STATE)) else { return Ok(None) };
    let state = State::read(weights, name)?;
    Ok(Some(Quantization { block: state.blocksize, double: state.nested_blocksize.is_some() }))
}

/// The type that a quantized weight was made from, and that bitsandbytes dequantizes it to.
///
/// # Errors
/// When its state is malformed.
pub(super) fn dtype(weights: &Weights, name: &str) -> Result<Dtype> {
    let state = State::read(weights, name)?;
    match state.dtype.as_str() {
        "float32" => Ok(Dtype::F32),
        "float16" => Ok(Dtype::F16),
        "bfloat16" => Ok(Dtype::BF16),
        other => Err(weights.wrong(
            &format!("{name}{STATE}"),
            format!("dtype {other}"),
            "float32, float16 or bfloat16",
        )),
    }
}

/// The quantized weight `[rows, cols]` of this name: its codes and magnitudes as they are.
///
/// # Errors
/// When a part is missing, malformed or does not fit the others.
pub(super) fn read<B: Backend>(
    be: &B,
    weights: &Weights,
    name: &str,
    rows: usize,
    cols: usize,
) -> Result<Nf4Matrix<B>> {
    let state = State::read(weights, name)?;
    let state_name = format!("{name}{STATE}");
    if state.shape != [rows, cols] {
        let expected = format!("shape {:?} as the model has it", [rows, cols]);
        return Err(weights.wrong(&state_name, format!("shape {:?}", state.shape), expected));
    }
    check_blocks(weights, &state_name, rows, cols, state.blocksize)?;
    let packed = weights.bytes(name)?;
    if packed.len() != rows * cols / 2 {
        let expected = format!("{} bytes, 4 bits for each of {rows}×{cols} weights", rows * cols / 2);
        return Err(weights.wrong(name, format!("{} bytes", packed.len()), expected));
    }
    check_map(weights, &format!("{name}.quant_map"), &CODES, "NF4")?;

    let part = |end: &str| format!("{name}.{end}");
    let blocks = rows * cols / state.blocksize;
    let absmax = match state.offset(weights, &state_name)? {
        None => Absmax::Single(be.upload_weight(magnitudes(weights, &part("absmax"), blocks)?)?),
        Some(offset) => {
            check_map(weights, &part("nested_quant_map"), &DYNAMIC_CODES, "the dynamic map")?;
            let codes = weights.u8(&part("absmax"), &[blocks])?;
            let absmax = magnitudes(weights, &part("nested_absmax"), blocks.div_ceil(ABSMAX_BLOCK))?;
            Absmax::Double(DoubleQuantized {
                codes: be.upload_weight(codes)?,
                absmax: be.upload_weight(absmax)?,
                offset,
            })
        }
    };
    Nf4Matrix::new(rows, cols, state.blocksize, be.upload_weight(packed)?, absmax)
}

/// The tensors that store a quantized weight made from numbers of type `dtype`.
///
/// # Errors
/// When queued work failed.
pub(super) fn tensors<D: Device>(
    device: &D,
    name: &str,
    weight: &Nf4Matrix<D>,
    dtype: Dtype,
) -> Result<Vec<TensorSource<'static>>> {
    let mut state = json!({
        "quant_type": "nf4",
        "blocksize": weight.block(),
        "dtype": torch_name(dtype),
        "shape": [weight.rows(), weight.cols()],
    });
    let packed = device.download(weight.packed())?;
    let part = |end: &str| format!("{name}.{end}");
    let mut tensors = vec![TensorSource::slice(part("quant_map"), &[CODES.len()], &CODES)];
    match weight.absmax() {
        Absmax::Single(absmax) => {
            let absmax = device.download(absmax)?;
            tensors.push(TensorSource::owned(part("absmax"), &[absmax.len()], absmax));
        }
        Absmax::Double(DoubleQuantized { codes, absmax, offset }) => {
            let (codes, absmax) = (device.download(codes)?, device.download(absmax)?);
            tensors.push(TensorSource::owned(part("absmax"), &[codes.len()], codes));
            tensors.push(TensorSource::owned(part("nested_absmax"), &[absmax.len()], absmax));
            let map = part("nested_quant_map");
            tensors.push(TensorSource::slice(map, &[DYNAMIC_CODES.len()], &DYNAMIC_CODES));
            state["nested_blocksize"] = json!(ABSMAX_BLOCK);
            state["nested_dtype"] = json!("float32");
            state["nested_offset"] = json!(f64::from(*offset));
        }
    }
    let state = state.to_string().into_bytes();
    tensors.push(TensorSource::owned(format!("{name}{STATE}"), &[state.len()], state));
    tensors.push(TensorSource::owned(name, &[packed.len(), 1], packed));
    Ok(tensors)
}

/// Checks that `[rows, cols]` is whole blocks; errors are about tensor `name`.
///
/// # Errors
/// When it is not, or when there is no such block size.
pub(super) fn check_blocks(
    weights: &Weights,
    name: &str,
    rows: usize,
    cols: usize,
    block: usize,
) -> Result<()> {
    if !is_block_size(block) {
        return Err(weights.wrong(name, format!("blocksize {block}"), "a power of two from 32 to 4096"));
    }
    if !(rows * cols).is_multiple_of(block) {
        let found = format!("{rows}×{cols} = {} weights", rows * cols);
        return Err(weights.wrong(name, found, format!("a multiple of the block of {block}")));
    }
    Ok(())
}

impl State {
    fn read(weights: &Weights, name: &str) -> Result<Self> {
        let name = format!("{name}{STATE}");
        let state: Self = serde_json::from_slice(&weights.bytes(&name)?)
            .map_err(|error| weights.wrong(&name, error, "the JSON of a quantized weight's state"))?;
        if state.quant_type != "nf4" {
            return Err(weights.wrong(&name, format!("quant_type {}", state.quant_type), "nf4"));
        }
        Ok(state)
    }

    /// The mean of the magnitudes, where they are quantized in turn.
    fn offset(&self, weights: &Weights, name: &str) -> Result<Option<f32>> {
        let Some(block) = self.nested_blocksize else { return Ok(None) };
        if block != ABSMAX_BLOCK {
            return Err(weights.wrong(name, format!("nested_blocksize {block}"), ABSMAX_BLOCK));
        }
        if let Some(dtype) = self.nested_dtype.as_ref().filter(|&dtype| dtype != "float32") {
            return Err(weights.wrong(name, format!("nested_dtype {dtype}"), "float32"));
        }
        match self.nested_offset.map(to_f32) {
            Some(offset) if offset.is_finite() => Ok(Some(offset)),
            Some(offset) => Err(weights.wrong(name, format!("nested_offset {offset}"), "a finite number")),
            None => Err(weights.wrong(name, "no nested_offset", "one, as there is a nested_blocksize")),
        }
    }
}

/// Checks that tensor `name` holds the numbers `map`.
fn check_map(weights: &Weights, name: &str, map: &[f32], what: &str) -> Result<()> {
    let found = weights.f32(name, &[map.len()])?;
    match (0..map.len()).find(|&i| found[i] != map[i]) {
        None => Ok(()),
        Some(i) => {
            Err(weights.wrong(name, format!("{} at index {i}", found[i]), format!("{} of {what}", map[i])))
        }
    }
}

/// Tensor `name`: `count` magnitudes, all finite and none negative.
fn magnitudes(weights: &Weights, name: &str, count: usize) -> Result<Vec<f32>> {
    let dtype = weights.dtype(name)?;
    if dtype != Dtype::F32 {
        return Err(weights.wrong(name, dtype, Dtype::F32));
    }
    let magnitudes = weights.f32(name, &[count])?;
    match magnitudes.iter().position(|&a| !a.is_finite() || a < 0.0) {
        None => Ok(magnitudes),
        Some(i) => Err(weights.wrong(
            name,
            format!("{} at index {i}", magnitudes[i]),
            "a finite number of 0 or more",
        )),
    }
}

/// The name that PyTorch has for a type of weights.
fn torch_name(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::F16 => "float16",
        Dtype::BF16 => "bfloat16",
        _ => "float32",
    }
}
