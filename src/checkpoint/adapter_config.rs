//! `adapter_config.json`: how an adapter was made and how strongly it acts.

use super::HeldAs;
use crate::{error::Result, json::JsonFile, nf4::Quantization, num::to_f32, pattern::Pattern};
use serde_json::{Map, Value, json};
use std::path::Path;

/// Which kind of adapter it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Low-rank and sparse.
    Rosa,
    /// Low-rank only, in Hugging Face PEFT's own names.
    Lora,
}

/// The settings in `adapter_config.json` that have a meaning here.
#[derive(Clone, Debug, PartialEq)]
pub struct AdapterConfig {
    /// Which kind of adapter it is.
    pub method: Method,
    /// The rank where `rank_pattern` says nothing.
    pub rank: usize,
    /// Alpha where `alpha_pattern` says nothing.
    pub alpha: f64,
    /// The density where `density_pattern` says nothing.
    pub density: f64,
    /// The dropout of the low-rank branch.
    pub dropout: f64,
    /// Whether the scale is `alpha / √rank` rather than `alpha / rank`.
    pub rslora: bool,
    /// The modules that have an adapter: full paths or their last parts.
    pub target_modules: Vec<String>,
    /// Ranks by module.
    pub rank_pattern: Pattern<usize>,
    /// Alphas by module.
    pub alpha_pattern: Pattern<f64>,
    /// Densities by module.
    pub density_pattern: Pattern<f64>,
    /// The name or directory of the base model.
    pub base_model: String,
    /// The training schedule; only ROSA files have it.
    pub schedule: String,
    /// How training held the base; `None` where the file does not say, as those of other tools.
    pub base_held_as: Option<HeldAs>,
}

impl AdapterConfig {
    /// The rank of the module at `path`.
    #[must_use]
    pub fn rank_of(&self, path: &str) -> usize {
        self.rank_pattern.get(path).copied().unwrap_or(self.rank)
    }

    /// Alpha of the module at `path`.
    #[must_use]
    pub fn alpha_of(&self, path: &str) -> f64 {
        self.alpha_pattern.get(path).copied().unwrap_or(self.alpha)
    }

    /// The density of the module at `path`.
    #[must_use]
    pub fn density_of(&self, path: &str) -> f64 {
        self.density_pattern.get(path).copied().unwrap_or(self.density)
    }

    /// The factor of `B · A` at `path`: `alpha / rank`, or `alpha / √rank` with rsLoRA; 1 where the rank is 0.
    #[must_use]
    pub fn scale(&self, path: &str) -> f32 {
        match self.rank_of(path) as f64 {
            0.0 => 1.0,
            rank => to_f32(self.alpha_of(path) / if self.rslora { rank.sqrt() } else { rank }),
        }
    }

    /// The settings in the file at `path`.
    ///
    /// # Errors
    /// When it is malformed, or a setting asks for arithmetic that is not supported.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let file = JsonFile::read(path)?;
        let method = match file.need::<String>("peft_type")?.as_str() {
            "ROSA" => Method::Rosa,
            "LORA" => Method::Lora,
            other => return Err(file.wrong("peft_type", other, "ROSA or LORA")),
        };
        for flag in ["fan_in_fan_out", "use_dora", "use_qalora"] {
            if file.get(flag)?.unwrap_or(false) {
                return Err(file.wrong(flag, true, false));
            }
        }
        for setting in ["layer_replication", "alora_invocation_tokens"] {
            if let Some(value) = file.get::<Value>(setting)? {
                return Err(file.wrong(setting, value, "null"));
            }
        }
        // These initializations change the base weights too, and the file does not hold the change.
        if let Some(Value::String(init)) = file.get("init_lora_weights")?
            && ["pissa", "olora", "corda", "loftq", "lora_ga"].iter().any(|kind| init.starts_with(kind))
        {
            return Err(file.wrong("init_lora_weights", init, "one that leaves the base model as it is"));
        }
        let target_modules = match file.get::<Value>("target_modules")? {
            Some(Value::String(one)) => vec![one],
            _ => file.get("target_modules")?.unwrap_or_default(),
        };
        let rosa = method == Method::Rosa;
        Ok(Self {
            method,
            rank: file.need("r")?,
            alpha: file.get("lora_alpha")?.unwrap_or(8.0),
            density: if rosa { file.get("d")?.unwrap_or(0.003) } else { 0.0 },
            dropout: file.get("lora_dropout")?.unwrap_or(0.0),
            rslora: file.get("use_rslora")?.unwrap_or(false),
            target_modules,
            rank_pattern: read_pattern(&file, "rank_pattern")?,
            alpha_pattern: read_pattern(&file, "alpha_pattern")?,
            density_pattern: read_pattern(&file, "density_pattern")?,
            base_model: file.get("base_model_name_or_path")?.unwrap_or_default(),
            schedule: file
                .get("schedule")?
                .unwrap_or_else(|| if rosa { "default" } else { "lora_only" }.to_owned()),
            base_held_as: read_held_as(&file)?,
        })
    }

    /// The JSON that PEFT loads.
    pub(super) fn to_json(&self) -> Value {
        let mut config = json!({
            "peft_type": match self.method { Method::Rosa => "ROSA", Method::Lora => "LORA" },
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": self.base_model,
            "auto_mapping": null,
            "revision": null,
            "inference_mode": true,
            "r": self.rank,
            "lora_alpha": self.alpha,
            "lora_dropout": self.dropout,
            "target_modules": self.target_modules,
            "rank_pattern": write_pattern(&self.rank_pattern),
            "alpha_pattern": write_pattern(&self.alpha_pattern),
            "use_rslora": self.rslora,
            "bias": "none",
            "fan_in_fan_out": false,
            "init_lora_weights": true,
            "layers_pattern": null,
            "layers_to_transform": null,
            "modules_to_save": null,
        });
        if self.method == Method::Rosa {
            config["d"] = json!(self.density);
            config["density_pattern"] = json!(write_pattern(&self.density_pattern));
            config["schedule"] = json!(self.schedule);
            config["rosa_dtype"] = json!("fp32");
        }
        match self.base_held_as {
            // What other tools assume; PEFT warns of a key that it does not know.
            None | Some(HeldAs::Stored | HeldAs::F32) => {}
            Some(HeldAs::Bf16) => config[HELD_AS] = json!({ "type": "bf16" }),
            Some(HeldAs::Nf4(Quantization { block, double })) => {
                config[HELD_AS] = json!({ "type": "nf4", "block": block, "double_quant": double });
            }
        }
        config
    }
}

/// The key of [`AdapterConfig::base_held_as`]; other tools do not know it.
const HELD_AS: &str = "base_held_as";

fn read_held_as(file: &JsonFile) -> Result<Option<HeldAs>> {
    let Some(held_as) = file.object(HELD_AS)? else { return Ok(None) };
    let quantization =
        || Ok(Quantization { block: held_as.need("block")?, double: held_as.need("double_quant")? });
    match held_as.need::<String>("type")?.as_str() {
        "f32" => Ok(Some(HeldAs::F32)),
        "bf16" => Ok(Some(HeldAs::Bf16)),
        "nf4" => quantization().map(|how| Some(HeldAs::Nf4(how))),
        other => Err(held_as.wrong("type", other, "f32, bf16 or nf4")),
    }
}

fn read_pattern<T: serde::de::DeserializeOwned>(file: &JsonFile, key: &'static str) -> Result<Pattern<T>> {
    let entries: Map<String, Value> = file.get(key)?.unwrap_or_default();
    let values = entries.into_iter().map(|(module, value)| match serde_json::from_value(value.clone()) {
        Ok(number) => Ok((module, number)),
        Err(error) => Err(file.wrong(&format!("{key}.{module}"), value, error)),
    });
    Pattern::new(key, values.collect::<Result<Vec<_>>>()?)
}

fn write_pattern<T: serde::Serialize>(pattern: &Pattern<T>) -> Map<String, Value> {
    pattern.iter().map(|(key, value)| (key.to_owned(), json!(value))).collect()
}
