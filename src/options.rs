//! The settings of a training run: one struct, from which flags, TOML keys, help and defaults all come.

use crate::{
    adapter::Init,
    architecture::Architecture,
    checkpoint::{AdapterConfig, HeldAs, Method as AdapterMethod},
    error::{Error, Result},
    mask::{Scope, ScoreKind},
    nf4::{self, Quantization},
    num::whole,
    pass::{Granularity, Keep},
    pattern::Pattern,
    schedule::{Decay, Schedule},
    tensor::Precision,
};
use clap::{Args, Command, FromArgMatches, ValueEnum};
use serde::Serialize;
use std::{ffi::OsString, path::PathBuf};

/// What is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// A low-rank and a sparse adapter together.
    Rosa,
    /// The low-rank adapter alone; written as a plain LoRA for PEFT.
    Lora,
    /// The sparse adapter alone.
    Spa,
    /// Every weight of the model.
    Full,
}

/// Where a run computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeviceKind {
    /// The processor.
    Cpu,
    /// The first NVIDIA GPU; CUDA_VISIBLE_DEVICES chooses among several.
    Cuda,
}

/// A pattern and the value for the modules it matches, as in `q_proj=8`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(into = "String")]
pub struct PatternValue {
    /// Matches a module whose path ends with it: the regular expression `(.*\.)?pattern`.
    pub pattern: String,
    /// The value for these modules.
    pub value: f64,
}

impl From<PatternValue> for String {
    fn from(p: PatternValue) -> Self {
        format!("{}={}", p.pattern, p.value)
    }
}

impl std::str::FromStr for PatternValue {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parsed = text.rsplit_once('=').and_then(|(pattern, value)| {
            Some(Self { pattern: pattern.to_owned(), value: value.parse().ok()? })
        });
        let expected = "PATTERN=NUMBER, such as `mlp.down_proj=8`";
        parsed.ok_or_else(|| Error::setting("pattern", format!("`{text}`"), expected))
    }
}

/// How the frozen weights are held.
#[derive(Args, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct BaseOptions {
    /// Type of the frozen weights. Unless given: to train, nf4 for a checkpoint that is quantized, else f32; to use a
    /// model, what its adapter was trained on, else what each weight is stored in
    #[arg(long, value_enum, help_heading = "Base")]
    pub base: Option<Precision>,
    /// nf4: quantize the magnitudes of the blocks too, 4.127 bits a weight instead of 4.5
    #[arg(long, help_heading = "Base")]
    pub double_quant: bool,
    /// nf4: how many weights share a magnitude; 64 unless given
    #[arg(long, value_name = "N", help_heading = "Base")]
    pub block: Option<usize>,
}

impl From<HeldAs> for BaseOptions {
    fn from(held_as: HeldAs) -> Self {
        let base = held_as.precision();
        match held_as {
            HeldAs::Stored | HeldAs::F32 | HeldAs::Bf16 => Self { base, ..Self::default() },
            HeldAs::Nf4(how) => Self { base, double_quant: how.double, block: Some(how.block) },
        }
    }
}

impl BaseOptions {
    /// How the weights of a checkpoint are held that is quantized like `quantized`, if it is: as the flags say, else as
    /// `usual`. A quantized one that is to be held in 4 bits has its own settings.
    ///
    /// # Errors
    /// [`Error::Setting`] for settings of nf4 without it, for others than those of a quantized checkpoint, and for a block
    /// size that there is not.
    pub fn held_as(&self, quantized: Option<Quantization>, usual: HeldAs) -> Result<HeldAs> {
        match (self.base.or(usual.precision()), quantized, usual) {
            (Some(Precision::Nf4), Some(quantized), _) => self.as_stored(quantized).map(HeldAs::Nf4),
            (Some(Precision::Nf4), None, HeldAs::Nf4(own)) => self.quantization(own).map(HeldAs::Nf4),
            (Some(Precision::Nf4), None, _) => self.quantization(Quantization::default()).map(HeldAs::Nf4),
            (None, Some(quantized), _) => self.as_stored(quantized).map(|_| HeldAs::Stored),
            _ if self.double_quant => Err(Error::setting("--double-quant", "given", "--base nf4 with it")),
            _ if self.block.is_some() => Err(Error::setting("--block", "given", "--base nf4 with it")),
            (Some(Precision::Bf16), ..) => Ok(HeldAs::Bf16),
            (Some(Precision::F32), ..) => Ok(HeldAs::F32),
            (None, None, _) => Ok(HeldAs::Stored),
        }
    }

    /// The settings of nf4: those that are given, else those of `own`.
    ///
    /// # Errors
    /// [`Error::Setting`] for a block size that there is not.
    pub fn quantization(&self, own: Quantization) -> Result<Quantization> {
        let block = self.block.unwrap_or(own.block);
        if !nf4::is_block_size(block) {
            return Err(Error::setting("--block", block, "a power of two from 32 to 4096"));
        }
        Ok(Quantization { block, double: self.double_quant || own.double })
    }

    fn as_stored(&self, stored: Quantization) -> Result<Quantization> {
        if let Some(block) = self.block.filter(|&block| block != stored.block) {
            let expected = format!("{}, the block of the quantized checkpoint", stored.block);
            return Err(Error::setting("--block", block, expected));
        }
        if self.double_quant && !stored.double {
            let expected = "none of it: the checkpoint is quantized, with magnitudes in f32";
            return Err(Error::setting("--double-quant", "given", expected));
        }
        Ok(stored)
    }
}

/// Every setting of `rosa-mini train`. Each flag is also a key of the TOML file given with `--config`.
#[derive(Args, Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct TrainOptions {
    /// Directory of the base model: config.json, model.safetensors (or shards), tokenizer.json
    #[arg(long, value_name = "DIR", help_heading = "Files")]
    pub model: PathBuf,
    /// Training examples, a JSON object a line: {"prompt", "answer"}, {"text"} or {"messages"}
    #[arg(long, value_name = "FILE", help_heading = "Files")]
    pub data: PathBuf,
    /// Validation examples, in the same form; their loss is shown during and after the run
    #[arg(long, value_name = "FILE", help_heading = "Files")]
    pub valid: Option<PathBuf>,
    /// Directory to create for the adapter, metrics.jsonl and checkpoint
    #[arg(long, value_name = "DIR", help_heading = "Files")]
    pub out: PathBuf,
    /// Continue the run that was interrupted in --out, to the same result
    #[arg(long, help_heading = "Files")]
    #[serde(skip)]
    pub resume: bool,

    /// What to train
    #[arg(long, value_enum, default_value_t = Method::Rosa, help_heading = "Method")]
    pub method: Method,
    /// Rank of the low-rank adapter; 0 for none
    #[arg(long, default_value_t = 16, value_name = "R", help_heading = "Method")]
    pub rank: usize,
    /// Share of each weight's entries in the sparse adapter; 0 for none
    #[arg(long, default_value_t = 0.006, value_name = "D", help_heading = "Method")]
    pub density: f64,
    /// Strength of the low-rank adapter, which is scaled by alpha / rank
    #[arg(long, default_value_t = 16.0, help_heading = "Method")]
    pub alpha: f64,
    /// Scale by alpha / sqrt(rank) instead (rank-stabilised LoRA)
    #[arg(long, help_heading = "Method")]
    pub rslora: bool,
    /// Probability of dropping an input of the low-rank adapter
    #[arg(long, default_value_t = 0.05, value_name = "P", help_heading = "Method")]
    pub dropout: f32,
    /// How A starts
    #[arg(long, value_enum, default_value_t = Init::Kaiming, help_heading = "Method")]
    pub init: Init,
    /// Modules to adapt, by the end of their names; `all-linear` is every projection but the head
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "all-linear",
        value_name = "NAMES",
        help_heading = "Method"
    )]
    pub target_modules: Vec<String>,
    /// Another rank for some modules, as PATTERN=R; may be repeated
    #[arg(long, value_name = "P=R", help_heading = "Method")]
    pub rank_pattern: Vec<PatternValue>,
    /// Another density for some modules, as PATTERN=D; may be repeated
    #[arg(long, value_name = "P=D", help_heading = "Method")]
    pub density_pattern: Vec<PatternValue>,
    /// Another alpha for some modules, as PATTERN=A; may be repeated
    #[arg(long, value_name = "P=A", help_heading = "Method")]
    pub alpha_pattern: Vec<PatternValue>,

    /// default (mask from the first step), wlN (N steps of LoRA first), spa_only or lora_only
    #[arg(long, default_value_t = Schedule::WarmUp(64), help_heading = "Mask")]
    #[serde(serialize_with = "as_text")]
    pub schedule: Schedule,
    /// Steps whose gradients the mask is chosen from (the reference's spa_num_grads)
    #[arg(long, alias = "spa-num-grads", default_value_t = 1, value_name = "N", help_heading = "Mask")]
    pub collect: usize,
    /// What an entry of a weight is scored by
    #[arg(long, value_enum, default_value_t = ScoreKind::MeanSquared, help_heading = "Mask")]
    pub score: ScoreKind,
    /// Whose gradient is squared: one example's or a micro-batch's
    #[arg(long, value_enum, default_value_t = Granularity::Example, help_heading = "Mask")]
    pub score_granularity: Granularity,
    /// Where the best entries are sought: in each matrix, or in all together at the same total
    #[arg(long, value_enum, default_value_t = Scope::Matrix, help_heading = "Mask")]
    pub mask_scope: Scope,
    /// Use this mask instead of choosing one (second run of the two-run recipe)
    #[arg(long, value_name = "FILE", help_heading = "Mask")]
    pub mask: Option<PathBuf>,
    /// Stop once the mask is chosen and saved (first run of the two-run recipe)
    #[arg(long, conflicts_with = "mask", help_heading = "Mask")]
    pub stop_after_mask: bool,

    /// Learning rate of S (and of all weights with --method full)
    #[arg(long, default_value_t = 2e-4, help_heading = "Optimizer")]
    pub lr: f32,
    /// Learning rate of A and B
    #[arg(long, default_value_t = 7e-4, help_heading = "Optimizer")]
    pub lora_lr: f32,
    /// How the learning rates fall after the warm-up
    #[arg(long, value_enum, default_value_t = Decay::Linear, help_heading = "Optimizer")]
    pub lr_schedule: Decay,
    /// Steps over which the learning rates rise
    #[arg(long, default_value_t = 20, value_name = "N", help_heading = "Optimizer")]
    pub warmup_steps: usize,
    /// Decoupled weight decay
    #[arg(long, default_value_t = 0.0, help_heading = "Optimizer")]
    pub weight_decay: f32,
    /// Largest norm of the gradient; larger ones are scaled down; 0 for no clipping
    #[arg(long, default_value_t = 1.0, value_name = "NORM", help_heading = "Optimizer")]
    pub clip: f32,
    /// AdamW: decay of the mean gradient
    #[arg(long, default_value_t = 0.9, help_heading = "Optimizer")]
    pub beta1: f32,
    /// AdamW: decay of the mean squared gradient
    #[arg(long, default_value_t = 0.999, help_heading = "Optimizer")]
    pub beta2: f32,
    /// AdamW: added to the root of the mean squared gradient
    #[arg(long, default_value_t = 1e-8, help_heading = "Optimizer")]
    pub eps: f32,

    /// Examples per optimizer step
    #[arg(long, default_value_t = 32, value_name = "N", help_heading = "Run")]
    pub batch: usize,
    /// Examples computed at once; lower it to save memory, the result stays the same up to rounding
    #[arg(long, default_value_t = 4, value_name = "N", help_heading = "Run")]
    pub micro_batch: usize,
    /// Keep only each block's input and compute the rest again for the backward pass: less memory, more time, the
    /// same result
    #[arg(long, help_heading = "Run")]
    #[serde(skip)]
    pub gradient_checkpointing: bool,
    /// Passes over the data
    #[arg(long, default_value_t = 1.0, conflicts_with = "steps", help_heading = "Run")]
    pub epochs: f64,
    /// Optimizer steps, instead of epochs
    #[arg(long, value_name = "N", help_heading = "Run")]
    pub steps: Option<usize>,
    /// Longest example, in tokens; longer ones are left out and counted
    #[arg(long, default_value_t = 512, value_name = "N", help_heading = "Run")]
    pub seq: usize,
    /// Cut longer examples to --seq instead
    #[arg(long, help_heading = "Run")]
    pub truncate: bool,
    /// auto (the model's chat template if it has one, else plain), chat, plain, or text with {prompt} and {answer}
    #[arg(long, default_value = "auto", help_heading = "Run")]
    pub template: String,
    /// Every random choice is a function of this number
    #[arg(long, default_value_t = 42, value_name = "N", help_heading = "Run")]
    pub seed: u64,
    /// How the frozen weights are held
    #[command(flatten)]
    #[serde(flatten)]
    pub base: BaseOptions,
    /// Where to compute
    #[arg(long, value_enum, default_value_t = DeviceKind::Cpu, help_heading = "Run")]
    pub device: DeviceKind,
    /// Threads; one per core unless given. The result does not depend on it
    #[arg(long, value_name = "N", help_heading = "Run")]
    #[serde(skip)]
    pub threads: Option<usize>,
    /// Also measure the validation loss every N steps
    #[arg(long, requires = "valid", value_name = "N", help_heading = "Run")]
    #[serde(skip)]
    pub eval_every: Option<usize>,
    /// Save a checkpoint every N steps
    #[arg(long, default_value_t = 100, value_name = "N", help_heading = "Run")]
    #[serde(skip)]
    pub save_every: usize,
}

fn as_text<S: serde::Serializer>(
    value: &impl std::fmt::Display,
    s: S,
) -> std::result::Result<S::Ok, S::Error> {
    s.collect_str(value)
}

impl TrainOptions {
    /// The options that `flags` mean on the command line of `rosa-mini train`, not settled yet.
    ///
    /// # Errors
    /// When a flag is unknown, lacks its value, or a required one is missing.
    pub fn from_flags<F: Into<OsString> + Clone>(
        flags: impl IntoIterator<Item = F>,
    ) -> std::result::Result<Self, clap::Error> {
        let command = Self::augment_args(Command::new("train").no_binary_name(true));
        Self::from_arg_matches(&command.try_get_matches_from(flags)?)
    }

    /// Rejects values that make no sense, and settles what follows from the method: `lora` has no S, `spa` no A
    /// and B, `full` neither.
    ///
    /// # Errors
    /// [`Error::Setting`] names the flag, the value and what is accepted.
    pub fn settle(mut self) -> Result<Self> {
        match self.method {
            Method::Rosa => {}
            Method::Lora => (self.density, self.schedule) = (0.0, Schedule::LowRankOnly),
            Method::Spa => (self.rank, self.schedule) = (0, Schedule::SparseOnly),
            Method::Full => (self.rank, self.density, self.schedule) = (0, 0.0, Schedule::LowRankOnly),
        }
        if self.method == Method::Lora {
            self.density_pattern.clear();
        }
        if self.schedule == Schedule::LowRankOnly {
            self.density = 0.0;
            self.density_pattern.clear();
        }
        if self.schedule == Schedule::SparseOnly {
            self.rank = 0;
            self.rank_pattern.clear();
        }
        if let (Method::Full, Some(base @ (Precision::Bf16 | Precision::Nf4))) = (self.method, self.base.base)
        {
            return Err(base.not_trainable());
        }
        range("--density", self.density, 0.0, 1.0)?;
        for p in &self.density_pattern {
            range("--density-pattern", p.value, 0.0, 1.0)?;
        }
        for p in &self.rank_pattern {
            if p.value < 0.0 || p.value.fract() != 0.0 {
                return Err(Error::setting("--rank-pattern", p.value, "a whole number"));
            }
        }
        if self.rank == 0 && self.density == 0.0 && self.method != Method::Full {
            let patterns = self.rank_pattern.iter().chain(&self.density_pattern);
            if !patterns.into_iter().any(|p| p.value > 0.0) {
                return Err(Error::setting("--rank and --density", "0", "at least one of them above 0"));
            }
        }
        let sparse = self.density > 0.0 || self.density_pattern.iter().any(|p| p.value > 0.0);
        if self.stop_after_mask && !sparse {
            return Err(Error::setting(
                "--stop-after-mask",
                "given without a sparse adapter",
                "a --density above 0",
            ));
        }
        range("--dropout", f64::from(self.dropout), 0.0, 0.999)?;
        for (name, value) in [
            ("--lr", self.lr),
            ("--lora-lr", self.lora_lr),
            ("--clip", self.clip),
            ("--weight-decay", self.weight_decay),
        ] {
            range(name, f64::from(value), 0.0, f64::MAX)?;
        }
        if !(self.eps > 0.0 && self.eps.is_finite()) {
            return Err(Error::setting("--eps", self.eps, "a number above 0"));
        }
        range("--alpha", self.alpha, 0.0, f64::MAX)?;
        for p in &self.alpha_pattern {
            range("--alpha-pattern", p.value, 0.0, f64::MAX)?;
        }
        for (name, value) in [("--beta1", self.beta1), ("--beta2", self.beta2)] {
            range(name, f64::from(value), 0.0, 1.0 - 1e-7)?;
        }
        range("--epochs", self.epochs, 1e-9, 1e9)?;
        let counts =
            [("--batch", self.batch), ("--micro-batch", self.micro_batch), ("--collect", self.collect)];
        for (name, value) in counts.into_iter().chain(self.steps.map(|steps| ("--steps", steps))) {
            if value == 0 {
                return Err(Error::setting(name, 0, "1 or more"));
            }
        }
        if self.seq < 2 {
            return Err(Error::setting("--seq", self.seq, "2 or more"));
        }
        self.micro_batch = self.micro_batch.min(self.batch);
        Ok(self)
    }

    /// `--clip` as the optimizer wants it: infinite for 0.
    #[must_use]
    pub fn max_norm(&self) -> f32 {
        if self.clip > 0.0 { self.clip } else { f32::INFINITY }
    }

    /// What `--gradient-checkpointing` means for the passes of the run.
    #[must_use]
    pub fn keep(&self) -> Keep {
        if self.gradient_checkpointing { Keep::BlockInputs } else { Keep::Everything }
    }

    /// The settings that the adapter's file keeps, which are also those that shape it.
    ///
    /// # Errors
    /// [`Error::Setting`] for a pattern that is not a regular expression.
    pub fn adapter_config(&self) -> Result<AdapterConfig> {
        let entries = |patterns: &[PatternValue]| -> Vec<(String, f64)> {
            patterns.iter().map(|p| (p.pattern.clone(), p.value)).collect()
        };
        let ranks = entries(&self.rank_pattern).into_iter().map(|(pattern, rank)| (pattern, whole(rank)));
        Ok(AdapterConfig {
            method: if self.method == Method::Lora { AdapterMethod::Lora } else { AdapterMethod::Rosa },
            rank: self.rank,
            alpha: self.alpha,
            density: self.density,
            dropout: f64::from(self.dropout),
            rslora: self.rslora,
            target_modules: self.target_modules.clone(),
            rank_pattern: Pattern::new("--rank-pattern", ranks)?,
            alpha_pattern: Pattern::new("--alpha-pattern", entries(&self.alpha_pattern))?,
            density_pattern: Pattern::new("--density-pattern", entries(&self.density_pattern))?,
            base_model: self.model.display().to_string(),
            schedule: self.schedule.to_string(),
            base_held_as: Some(self.base.held_as(None, HeldAs::F32)?),
        })
    }

    /// The settings that the result of a run depends on, by flag: all but those that are not serialised.
    #[must_use]
    pub fn result_settings(&self) -> serde_json::Map<String, serde_json::Value> {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::Object(mut settings)) => {
                settings.remove("out");
                settings.remove("data");
                settings.remove("valid");
                settings
            }
            _ => unreachable!("options are a map of plain values"),
        }
    }

    /// Whether `module` is among the targets.
    #[must_use]
    pub fn targets(&self, module: &str) -> bool {
        self.target_modules.iter().any(|target| is_target(target, module))
    }

    /// Refuses names of modules that none of `modules` has: what is misspelt would have no effect.
    ///
    /// # Errors
    /// [`Error::Setting`] names the first such target or pattern.
    pub fn check_names(&self, modules: &[&str]) -> Result<()> {
        let names = |target: &str| modules.iter().any(|module| is_target(target, module));
        let unknown = self.target_modules.iter().map(String::as_str).find(|&target| !names(target));
        if let Some(found) = unknown.or(self.target_modules.is_empty().then_some("empty")) {
            let expected = "names of modules of this model, such as q_proj";
            return Err(Error::setting("--target-modules", found, expected));
        }
        let config = self.adapter_config()?;
        let unmatched = [
            ("--rank-pattern", config.rank_pattern.unmatched(modules)),
            ("--alpha-pattern", config.alpha_pattern.unmatched(modules)),
            ("--density-pattern", config.density_pattern.unmatched(modules)),
        ];
        for (flag, key) in unmatched {
            if let Some(key) = key {
                let expected = "a pattern that matches modules of this model, such as q_proj";
                return Err(Error::setting(flag, key, expected));
            }
        }
        Ok(())
    }
}

/// Whether `module` is one of those that `target` names.
fn is_target(target: &str, module: &str) -> bool {
    match target {
        "all-linear" => module != Architecture::HEAD && module != Architecture::EMBEDDING,
        target => module.strip_suffix(target).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')),
    }
}

fn range(name: &'static str, value: f64, low: f64, high: f64) -> Result<()> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    let expected = match high {
        f64::MAX => format!("a number from {low}"),
        _ => format!("a number from {low} to {high}"),
    };
    Err(Error::setting(name, value, expected))
}
