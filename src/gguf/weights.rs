//! A GGUF file's tensors under their Hugging Face names and in the order of rows that transformers has.

use super::{Gguf, architecture::ROPE_FACTORS};
use crate::{architecture::Architecture, error::Result};
use std::collections::{BTreeMap, BTreeSet};

/// The tensors of a model, proven to be all that the file holds.
pub struct ModelTensors<'a> {
    gguf: &'a Gguf,
    architecture: &'a Architecture,
    /// Hugging Face names to the file's.
    names: BTreeMap<String, String>,
}

impl<'a> ModelTensors<'a> {
    /// The tensors of the model that `gguf` holds.
    ///
    /// # Errors
    /// When one is missing, of another shape, or belongs to no part of such a model.
    pub fn new(gguf: &'a Gguf, architecture: &'a Architecture) -> Result<Self> {
        let mut left: BTreeSet<_> = gguf.tensors().keys().map(String::as_str).collect();
        left.remove(ROPE_FACTORS);
        let mut names = BTreeMap::new();
        for (name, shape) in architecture.tensors() {
            let stored = stored_name(&name);
            let found = &gguf.tensor(&stored)?.shape;
            if *found != shape {
                return Err(gguf.wrong(stored, format!("shape {found:?}"), format!("shape {shape:?}")));
            }
            left.remove(&*stored);
            names.insert(name, stored);
        }
        match left.first() {
            None => Ok(Self { gguf, architecture, names }),
            Some(name) => {
                let expected = format!("the tensors of a {} model", architecture.model_type);
                Err(gguf.wrong(name, "a tensor that the model has no place for", expected))
            }
        }
    }

    /// Tensor `name` of shape `shape` in f32.
    ///
    /// # Errors
    /// [`Error::Format`](crate::error::Error::Format) when there is no such tensor or its shape is another.
    pub fn f32(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let values = self.gguf.f32(self.stored(name)?, shape)?;
        // Only the converters of Llama permute.
        if self.architecture.model_type != "llama" {
            return Ok(values);
        }
        let heads = match name.rsplit('.').nth(1) {
            Some("q_proj") => self.architecture.heads,
            Some("k_proj") => self.architecture.kv_heads,
            _ => return Ok(values),
        };
        let width = if let [_, width] = shape { *width } else { 1 };
        Ok(halves_of_heads(&values, heads, width))
    }

    /// The name of tensor `name` in the file.
    ///
    /// # Errors
    /// [`Error::Format`](crate::error::Error::Format) when there is no such tensor.
    pub fn stored(&self, name: &str) -> Result<&str> {
        let stored = self.names.get(name).map(String::as_str);
        stored.ok_or_else(|| self.gguf.wrong(name, "no such tensor", "the weights of the model"))
    }
}

/// What llama.cpp calls the tensor that transformers calls `name`.
fn stored_name(name: &str) -> String {
    const PARTS: [(&str, &str); 9] = [
        ("self_attn.q_proj", "attn_q"),
        ("self_attn.k_proj", "attn_k"),
        ("self_attn.v_proj", "attn_v"),
        ("self_attn.o_proj", "attn_output"),
        ("mlp.gate_proj", "ffn_gate"),
        ("mlp.up_proj", "ffn_up"),
        ("mlp.down_proj", "ffn_down"),
        ("input_layernorm", "attn_norm"),
        ("post_attention_layernorm", "ffn_norm"),
    ];
    const WHOLE: [(&str, &str); 3] =
        [("model.embed_tokens", "token_embd"), ("model.norm", "output_norm"), ("lm_head", "output")];
    let (module, kind) = name.rsplit_once('.').unwrap_or((name, "weight"));
    let renamed = match module.strip_prefix("model.layers.").and_then(|rest| rest.split_once('.')) {
        Some((layer, part)) => {
            let known = PARTS.iter().find(|(theirs, _)| *theirs == part);
            known.map(|(_, ours)| format!("blk.{layer}.{ours}"))
        }
        None => WHOLE.iter().find(|(theirs, _)| *theirs == module).map(|(_, ours)| (*ours).to_owned()),
    };
    format!("{}.{kind}", renamed.unwrap_or_else(|| module.to_owned()))
}

/// The rows of a projection to queries or keys in transformers' order. Rotary embedding turns pairs of rows; in the
/// file those of a pair are neighbours, in transformers they stand half a head apart: row `i` of half `b` is row
/// `2·i + b` of the head in the file.
fn halves_of_heads(values: &[f32], heads: usize, width: usize) -> Vec<f32> {
    let head = values.len() / width / heads;
    let row = |h: usize, b: usize, i: usize| &values[(h * head + 2 * i + b) * width..][..width];
    let mut out = Vec::with_capacity(values.len());
    for h in 0..heads {
        for b in 0..2 {
            (0..head / 2).for_each(|i| out.extend_from_slice(row(h, b, i)));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_move_half_a_head_apart() {
        // Two heads of four rows, two columns; the numbers are the places of the rows in the file.
        let file: Vec<f32> = [0, 1, 2, 3, 4, 5, 6, 7].into_iter().flat_map(|r| [r as f32; 2]).collect();
        let rows: Vec<f32> = halves_of_heads(&file, 2, 2).into_iter().step_by(2).collect();
        assert_eq!(rows, [0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0]);
    }
}
