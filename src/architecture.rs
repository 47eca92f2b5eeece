//! The numbers of a Llama-family model, read from its `config.json`.

use crate::{error::Result, json::JsonFile, num::to_f32};
use serde_json::{Value, json};
use std::{f64::consts::TAU, path::Path};

/// The families that the model code covers, as `model_type` spells them.
const SUPPORTED: [&str; 3] = ["llama", "mistral", "qwen2"];

/// Everything about a model except for its weights.
///
/// Invariants, proven by [`Architecture::read`]: no size is 0, `heads` is a multiple of `kv_heads`, `head_dim` is
/// even.
#[derive(Clone, Debug, PartialEq)]
pub struct Architecture {
    /// The family: `llama`, `mistral` or `qwen2`.
    pub model_type: String,
    /// The number of rows of the embedding.
    pub vocab_size: usize,
    /// The width of the residual stream.
    pub hidden_size: usize,
    /// The width inside of the feed-forward block.
    pub intermediate_size: usize,
    /// The number of transformer blocks.
    pub layers: usize,
    /// The number of query heads.
    pub heads: usize,
    /// The number of key and value heads.
    pub kv_heads: usize,
    /// The width of one head.
    pub head_dim: usize,
    /// What is added to the mean square before its root.
    pub rms_norm_eps: f32,
    /// The base of the rotary frequencies.
    pub rope_theta: f64,
    /// How the rotary frequencies are stretched for long texts.
    pub rope_scaling: RopeScaling,
    /// The longest text that the model was made for, in tokens.
    pub max_position_embeddings: usize,
    /// Whether the output head is the embedding.
    pub tie_word_embeddings: bool,
    /// Whether the q, k and v projections have a bias.
    pub qkv_bias: bool,
    /// Whether the o projection has a bias.
    pub o_bias: bool,
    /// Whether the three projections of the feed-forward block have a bias.
    pub mlp_bias: bool,
    /// How many tokens back attention looks, itself included; `None` for all.
    pub sliding_window: Option<usize>,
    /// The token that starts a text.
    pub bos_token_id: Option<u32>,
    /// The tokens that end a text.
    pub eos_token_ids: Vec<u32>,
}

/// How rotary frequencies are stretched.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RopeScaling {
    /// Not at all.
    None,
    /// All are divided by `factor`.
    Linear {
        /// The divisor.
        factor: f64,
    },
    /// Slow ones are divided by `factor`, fast ones kept, those between blended (Llama 3.1).
    Llama3 {
        /// The divisor.
        factor: f64,
        /// A wavelength above `original_max_position_embeddings / low_freq_factor` is slow.
        low_freq_factor: f64,
        /// A wavelength below `original_max_position_embeddings / high_freq_factor` is fast.
        high_freq_factor: f64,
        /// The context length before stretching.
        original_max_position_embeddings: usize,
    },
}

impl RopeScaling {
    /// `theta^(-2i / head_dim)` for each pair i of a head's dimensions, stretched.
    #[must_use]
    pub fn inverse_frequencies(self, theta: f64, head_dim: usize) -> Vec<f64> {
        let stretched = |frequency: f64| match self {
            Self::None => frequency,
            Self::Linear { factor } => frequency / factor,
            Self::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_position_embeddings } => {
                let turns = original_max_position_embeddings as f64 * frequency / TAU;
                let kept = ((turns - low_freq_factor) / (high_freq_factor - low_freq_factor)).clamp(0.0, 1.0);
                (1.0 - kept) * frequency / factor + kept * frequency
            }
        };
        let frequencies = (0..head_dim / 2).map(|i| theta.powf(-2.0 * i as f64 / head_dim as f64));
        frequencies.map(stretched).collect()
    }
}

/// A linear layer of the model: where it is and its weight's shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinearSpec {
    /// The module's path in Hugging Face names, such as `model.layers.0.self_attn.q_proj`.
    pub path: String,
    /// The rows of its weight.
    pub out_features: usize,
    /// The columns of its weight.
    pub in_features: usize,
}

impl Architecture {
    /// The module path of the token embedding.
    pub const EMBEDDING: &'static str = "model.embed_tokens";
    /// The module path of the output head.
    pub const HEAD: &'static str = "lm_head";

    /// The architecture of the checkpoint in `dir`, from `config.json` and, where present, `generation_config.json`.
    ///
    /// # Errors
    /// When a file cannot be read, a needed field is missing, or the model is of a kind that is not supported; the
    /// message names the file and the field.
    pub fn read(dir: &Path) -> Result<Self> {
        let config = JsonFile::read(&dir.join("config.json"))?;
        let generation = JsonFile::read_if_present(&dir.join("generation_config.json"))?;
        Self::from_json(&config, generation.as_ref())
    }

    /// The tokens of the longest text that the model was made for.
    #[must_use]
    pub fn longest_text(&self) -> usize {
        self.sliding_window.unwrap_or(usize::MAX).min(self.max_position_embeddings)
    }

    fn from_json(config: &JsonFile, generation: Option<&JsonFile>) -> Result<Self> {
        let model_type: String = config.need("model_type")?;
        if !SUPPORTED.contains(&model_type.as_str()) {
            return Err(config.wrong("model_type", model_type, format!("one of {}", SUPPORTED.join(", "))));
        }
        if let Some(act) = config.get::<String>("hidden_act")?.filter(|act| act != "silu") {
            return Err(config.wrong("hidden_act", act, "silu"));
        }
        let size = |key| match config.need::<usize>(key)? {
            0 => Err(config.wrong(key, 0, "at least 1")),
            n if u32::try_from(n).is_err() => Err(config.wrong(key, n, format!("at most {}", u32::MAX))),
            n => Ok(n),
        };
        let (hidden_size, heads) = (size("hidden_size")?, size("num_attention_heads")?);
        let kv_heads = config.get("num_key_value_heads")?.unwrap_or(heads);
        if kv_heads == 0 || !heads.is_multiple_of(kv_heads) {
            return Err(config.wrong("num_key_value_heads", kv_heads, format!("a divisor of {heads} heads")));
        }
        let head_dim = match config.get::<usize>("head_dim")? {
            Some(head_dim) => head_dim,
            None if hidden_size.is_multiple_of(heads) => hidden_size / heads,
            None => {
                let expected = format!("a multiple of {heads} heads");
                return Err(config.wrong("hidden_size", hidden_size, expected));
            }
        };
        if head_dim == 0 || !head_dim.is_multiple_of(2) {
            return Err(config.wrong("head_dim", head_dim, "an even number"));
        }
        let layers = size("num_hidden_layers")?;
        let (rope_theta, rope_scaling) = rope(config)?;
        let flag = |key| Ok(config.get::<bool>(key)?.unwrap_or(false));
        let llama = model_type == "llama";
        let token_ids = |key| match generation.map_or(Ok(Vec::new()), |file| file.token_ids(key))? {
            ids if ids.is_empty() => config.token_ids(key),
            ids => Ok(ids),
        };
        Ok(Self {
            vocab_size: size("vocab_size")?,
            hidden_size,
            intermediate_size: size("intermediate_size")?,
            layers,
            heads,
            kv_heads,
            head_dim,
            rms_norm_eps: config.get("rms_norm_eps")?.unwrap_or(1e-6),
            rope_theta,
            rope_scaling,
            max_position_embeddings: config.get("max_position_embeddings")?.unwrap_or(match &*model_type {
                "mistral" => 131_072,
                "qwen2" => 32_768,
                _ => 2048,
            }),
            tie_word_embeddings: flag("tie_word_embeddings")?,
            qkv_bias: model_type == "qwen2" || llama && flag("attention_bias")?,
            o_bias: llama && flag("attention_bias")?,
            mlp_bias: llama && flag("mlp_bias")?,
            sliding_window: sliding_window(config, &model_type, layers)?,
            bos_token_id: token_ids("bos_token_id")?.first().copied(),
            eos_token_ids: token_ids("eos_token_id")?,
            model_type,
        })
    }

    /// The rotary frequency of each pair of a head's dimensions: `head_dim / 2` numbers, rounded once.
    #[must_use]
    pub fn rope_inverse_frequencies(&self) -> Vec<f32> {
        let exact = self.rope_scaling.inverse_frequencies(self.rope_theta, self.head_dim);
        exact.into_iter().map(to_f32).collect()
    }

    /// The linear layers of the blocks in forward order: q, k, v, o, gate, up, down of each.
    #[must_use]
    pub fn linears(&self) -> Vec<LinearSpec> {
        (0..self.layers).flat_map(|layer| self.block(layer)).collect()
    }

    fn block(&self, layer: usize) -> [LinearSpec; 7] {
        let (hidden, inner) = (self.hidden_size, self.intermediate_size);
        let (q, kv) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
        [
            ("self_attn.q_proj", q, hidden),
            ("self_attn.k_proj", kv, hidden),
            ("self_attn.v_proj", kv, hidden),
            ("self_attn.o_proj", hidden, q),
            ("mlp.gate_proj", inner, hidden),
            ("mlp.up_proj", inner, hidden),
            ("mlp.down_proj", hidden, inner),
        ]
        .map(|(name, out_features, in_features)| LinearSpec {
            path: format!("model.layers.{layer}.{name}"),
            out_features,
            in_features,
        })
    }

    /// Whether this is the name of a projection's weight: of a matrix inside of a block.
    #[must_use]
    pub fn is_projection(tensor: &str) -> bool {
        tensor.starts_with("model.layers.") && tensor.ends_with("_proj.weight")
    }

    /// The sizes of any module that can carry an adapter: the linear layers, the output head (tied or not) and the
    /// embedding, which maps `vocab_size` one-hot features to `hidden_size`.
    #[must_use]
    pub fn module(&self, path: &str) -> Option<LinearSpec> {
        let (vocab, hidden) = (self.vocab_size, self.hidden_size);
        let spec =
            |out_features, in_features| Some(LinearSpec { path: path.to_owned(), out_features, in_features });
        match path {
            Self::EMBEDDING => spec(hidden, vocab),
            Self::HEAD => spec(vocab, hidden),
            _ => {
                let layer = path.strip_prefix("model.layers.")?.split('.').next()?.parse().ok()?;
                self.block(layer).into_iter().find(|spec| layer < self.layers && spec.path == path)
            }
        }
    }

    /// Every weight tensor of the checkpoint, name and shape, in forward order.
    #[must_use]
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let (vocab, hidden) = (self.vocab_size, self.hidden_size);
        let mut all = vec![(format!("{}.weight", Self::EMBEDDING), vec![vocab, hidden])];
        for layer in 0..self.layers {
            let [attention @ .., gate, up, down] = self.block(layer);
            let norm = |name: &str| (format!("model.layers.{layer}.{name}.weight"), vec![hidden]);
            let mut linear = |spec: LinearSpec, bias| {
                all.push((format!("{}.weight", spec.path), vec![spec.out_features, spec.in_features]));
                if bias {
                    all.push((format!("{}.bias", spec.path), vec![spec.out_features]));
                }
            };
            let [q, k, v, o] = attention;
            [q, k, v].into_iter().for_each(|spec| linear(spec, self.qkv_bias));
            linear(o, self.o_bias);
            [gate, up, down].into_iter().for_each(|spec| linear(spec, self.mlp_bias));
            all.extend([norm("input_layernorm"), norm("post_attention_layernorm")]);
        }
        all.push(("model.norm.weight".to_owned(), vec![hidden]));
        if !self.tie_word_embeddings {
            all.push((format!("{}.weight", Self::HEAD), vec![vocab, hidden]));
        }
        all
    }

    /// The `config.json` of this architecture; [`Architecture::read`] gives it back.
    #[must_use]
    pub fn to_config_json(&self) -> Value {
        let class = match &*self.model_type {
            "mistral" => "MistralForCausalLM",
            "qwen2" => "Qwen2ForCausalLM",
            _ => "LlamaForCausalLM",
        };
        let rope_scaling = match self.rope_scaling {
            RopeScaling::None => Value::Null,
            RopeScaling::Linear { factor } => json!({ "rope_type": "linear", "factor": factor }),
            RopeScaling::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_max_position_embeddings,
            } => json!({
                "rope_type": "llama3",
                "factor": factor,
                "low_freq_factor": low_freq_factor,
                "high_freq_factor": high_freq_factor,
                "original_max_position_embeddings": original_max_position_embeddings,
            }),
        };
        let eos = match &self.eos_token_ids[..] {
            [] => Value::Null,
            [id] => json!(id),
            ids => json!(ids),
        };
        let mut config = json!({
            "architectures": [class],
            "model_type": self.model_type,
            "vocab_size": self.vocab_size,
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.head_dim,
            "hidden_act": "silu",
            "rms_norm_eps": shortest(self.rms_norm_eps),
            "rope_theta": self.rope_theta,
            "rope_scaling": rope_scaling,
            "max_position_embeddings": self.max_position_embeddings,
            "tie_word_embeddings": self.tie_word_embeddings,
            "sliding_window": self.sliding_window,
            "bos_token_id": self.bos_token_id,
            "eos_token_id": eos,
        });
        match &*self.model_type {
            "llama" => {
                config["attention_bias"] = json!(self.o_bias);
                config["mlp_bias"] = json!(self.mlp_bias);
            }
            "qwen2" => {
                config["use_sliding_window"] = json!(self.sliding_window.is_some());
                config["max_window_layers"] = json!(0);
            }
            _ => {}
        }
        config
    }
}

/// `x` with the fewest digits that give it back, where a plain conversion shows all digits of the f64.
fn shortest(x: f32) -> f64 {
    x.to_string().parse().unwrap_or(x.into())
}

/// The rotary base and scaling, from `rope_parameters` (transformers 5) or `rope_theta` and `rope_scaling`.
fn rope(config: &JsonFile) -> Result<(f64, RopeScaling)> {
    let theta = config.get("rope_theta")?;
    let parameters = match config.object("rope_parameters")? {
        Some(parameters) => Some(parameters),
        None => config.object("rope_scaling")?,
    };
    for place in [Some(config), parameters.as_ref()].into_iter().flatten() {
        if let Some(part) = place.get::<f64>("partial_rotary_factor")?.filter(|&part| part != 1.0) {
            return Err(place.wrong("partial_rotary_factor", part, "1"));
        }
    }
    let Some(parameters) = parameters else { return Ok((theta.unwrap_or(10_000.0), RopeScaling::None)) };
    let theta = parameters.get("rope_theta")?.or(theta).unwrap_or(10_000.0);
    let key = if parameters.has("rope_type") { "rope_type" } else { "type" };
    let scaling = match parameters.get::<String>(key)?.as_deref() {
        None | Some("default") => RopeScaling::None,
        Some("linear") => RopeScaling::Linear { factor: parameters.need("factor")? },
        Some("llama3") => RopeScaling::Llama3 {
            factor: parameters.need("factor")?,
            low_freq_factor: parameters.need("low_freq_factor")?,
            high_freq_factor: parameters.need("high_freq_factor")?,
            original_max_position_embeddings: parameters.need("original_max_position_embeddings")?,
        },
        Some(other) => return Err(parameters.wrong(key, other, "default, linear or llama3")),
    };
    Ok((theta, scaling))
}

/// The window that every layer's attention has, under the rules of each family.
fn sliding_window(config: &JsonFile, model_type: &str, layers: usize) -> Result<Option<usize>> {
    let window = config.get("sliding_window")?;
    match model_type {
        "mistral" if !config.has("sliding_window") => Ok(Some(4096)),
        "mistral" => Ok(window),
        "qwen2" if config.get("use_sliding_window")?.unwrap_or(false) => {
            match config.get::<usize>("max_window_layers")?.unwrap_or(28) {
                0 => Ok(window.or(Some(4096))),
                first if first >= layers => Ok(None),
                first => Err(config.wrong("max_window_layers", first, format!("0 or at least {layers}"))),
            }
        }
        _ => Ok(None),
    }
}
