//! A GGUF file's numbers as the architecture of a Hugging Face checkpoint.

use super::{FromValue, Gguf};
use crate::{
    architecture::{Architecture, RopeScaling},
    error::Result,
    num::to_u32,
};
use std::fmt;

/// The architectures that are read, as `general.architecture` spells them; Mistral's models are llamas here.
const SUPPORTED: [&str; 2] = ["llama", "qwen2"];

/// The tensor of divisors of the rotary frequencies that converters write for Llama 3.1 and later.
pub(super) const ROPE_FACTORS: &str = "rope_freqs.weight";

/// The keys of one architecture, which all start with its name.
struct Keys<'a> {
    gguf: &'a Gguf,
    name: &'a str,
}

impl Keys<'_> {
    fn get<T: FromValue>(&self, key: &str) -> Result<Option<T>> {
        self.gguf.get(&format!("{}.{key}", self.name))
    }

    /// A count from 1 to what 32 bits hold.
    fn size(&self, key: &str) -> Result<usize> {
        match self.gguf.need(&format!("{}.{key}", self.name))? {
            0 => Err(self.wrong(key, 0, "at least 1")),
            n => to_u32("a size in the file's metadata", n).map(|_| n),
        }
    }

    fn wrong(&self, key: &str, found: impl fmt::Display, expected: impl fmt::Display) -> crate::error::Error {
        self.gguf.wrong(format_args!("{}.{key}", self.name), found, expected)
    }
}

/// The architecture of the model in `gguf`.
///
/// # Errors
/// When it is of another family, uses something that the model code lacks, or a number is missing or makes no sense.
pub fn architecture(gguf: &Gguf) -> Result<Architecture> {
    let name: String = gguf.need("general.architecture")?;
    if !SUPPORTED.contains(&name.as_str()) {
        return Err(gguf.wrong("general.architecture", name, SUPPORTED.join(" or ")));
    }
    let keys = Keys { gguf, name: &name };
    let (hidden_size, heads) = (keys.size("embedding_length")?, keys.size("attention.head_count")?);
    let kv_heads = keys.get("attention.head_count_kv")?.unwrap_or(heads);
    if kv_heads == 0 || !heads.is_multiple_of(kv_heads) {
        let expected = format!("a divisor of {heads} heads");
        return Err(keys.wrong("attention.head_count_kv", kv_heads, expected));
    }
    let head_dim = match keys.get("attention.key_length")? {
        Some(head_dim) => to_u32("the width of a head", head_dim).map(|_| head_dim)?,
        None if hidden_size.is_multiple_of(heads) => hidden_size / heads,
        None => {
            return Err(keys.wrong("embedding_length", hidden_size, format!("a multiple of {heads} heads")));
        }
    };
    if head_dim == 0 || !head_dim.is_multiple_of(2) {
        return Err(keys.wrong("attention.key_length", head_dim, "an even number"));
    }
    for key in ["attention.value_length", "rope.dimension_count"] {
        if let Some(other) = keys.get::<usize>(key)?.filter(|&other| other != head_dim) {
            return Err(keys.wrong(key, other, format!("{head_dim}, the width of a head")));
        }
    }
    if let Some(experts) = keys.get::<usize>("expert_count")?.filter(|&experts| experts > 0) {
        return Err(keys.wrong("expert_count", experts, "no mixture of experts"));
    }

    // Of each block the file holds a few tensors, so that a count beyond theirs is a mistake.
    let (layers, tensors) = (keys.size("block_count")?, gguf.tensors().len());
    if layers > tensors {
        return Err(keys.wrong("block_count", layers, format!("at most the {tensors} tensors of the file")));
    }
    let vocab_size = match gguf.tensor("token_embd.weight")?.shape[..] {
        [vocab, _] => vocab,
        ref shape => return Err(gguf.wrong("token_embd.weight", format!("shape {shape:?}"), "a matrix")),
    };
    let holds = |tensor: &str| gguf.tensors().contains_key(tensor);
    let llama = name == "llama";
    let attention_bias = llama && holds("blk.0.attn_output.bias");
    let rope_theta: f32 = keys.get("rope.freq_base")?.unwrap_or(10_000.0);
    let token = |key: &str| gguf.get::<u32>(&format!("tokenizer.ggml.{key}_token_id"));
    let mut eos_token_ids: Vec<u32> = token("eos")?.into_iter().collect();
    eos_token_ids.extend(token("eot")?.filter(|id| !eos_token_ids.contains(id)));
    Ok(Architecture {
        vocab_size,
        hidden_size,
        intermediate_size: keys.size("feed_forward_length")?,
        layers,
        heads,
        kv_heads,
        head_dim,
        rms_norm_eps: gguf.need(&format!("{name}.attention.layer_norm_rms_epsilon"))?,
        rope_theta: rope_theta.into(),
        rope_scaling: rope_scaling(&keys, head_dim, rope_theta.into())?,
        max_position_embeddings: keys.size("context_length")?,
        tie_word_embeddings: !holds("output.weight"),
        qkv_bias: !llama || attention_bias,
        o_bias: attention_bias,
        mlp_bias: llama && holds("blk.0.ffn_down.bias"),
        sliding_window: None,
        bos_token_id: token("bos")?,
        eos_token_ids,
        model_type: name,
    })
}

/// How the frequencies are stretched: by a factor that the metadata state, or as the divisors in the file say.
fn rope_scaling(keys: &Keys<'_>, head_dim: usize, theta: f64) -> Result<RopeScaling> {
    let scaling = match keys.get::<String>("rope.scaling.type")?.as_deref() {
        None | Some("none") => RopeScaling::None,
        Some("linear") => match keys.get::<f32>("rope.scaling.factor")? {
            Some(factor) => RopeScaling::Linear { factor: factor.into() },
            None => return Err(keys.wrong("rope.scaling.factor", "nothing", "a number")),
        },
        Some(other) => return Err(keys.wrong("rope.scaling.type", other, "none or linear")),
    };
    if !keys.gguf.tensors().contains_key(ROPE_FACTORS) {
        return Ok(scaling);
    }
    let divisors = keys.gguf.f32(ROPE_FACTORS, &[head_dim / 2])?;
    if divisors.iter().all(|&divisor| divisor == 1.0) {
        return Ok(scaling);
    }
    let llama3 = llama3(&divisors, theta);
    llama3.filter(|_| scaling == RopeScaling::None).ok_or_else(|| {
        let found =
            format!("divisors of the rotary frequencies from {} to {}", divisors[0], largest(&divisors));
        keys.gguf.wrong(ROPE_FACTORS, found, "those of Llama 3 for some factor, and no other scaling")
    })
}

/// The Llama 3 scaling that has these divisors, if there is one. Its factor is the largest divisor; the other three
/// numbers are the same in every model of the family.
fn llama3(divisors: &[f32], theta: f64) -> Option<RopeScaling> {
    let scaling = RopeScaling::Llama3 {
        factor: largest(divisors).into(),
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_max_position_embeddings: 8192,
    };
    let head_dim = 2 * divisors.len();
    let stretched = scaling.inverse_frequencies(theta, head_dim);
    let plain = RopeScaling::None.inverse_frequencies(theta, head_dim);
    // The converter works in f32 throughout: a few roundings, which the blend between kept and divided magnifies.
    let close = |(want, &got): (f64, &f32)| (want - f64::from(got)).abs() <= 1e-4 * want;
    let wanted = plain.iter().zip(&stretched).map(|(plain, stretched)| plain / stretched);
    wanted.zip(divisors).all(close).then_some(scaling)
}

fn largest(divisors: &[f32]) -> f32 {
    divisors.iter().copied().fold(0.0, f32::max)
}
