//! What the commands share that take a model: its flags, how long its texts are, and which of its numbers is to blame.

use super::print::note;
use clap::Args;
use rosa_kernels::{
    architecture::Architecture,
    backend::Backend,
    checkpoint::{AdapterFile, BaseWeights, HeldAs, attach, load_model},
    error::{Error, Result},
    model::Model,
    options::{BaseOptions, DeviceKind},
    text::Text,
};
use std::{
    path::{Path, PathBuf},
    thread,
};

/// The model to use, of the commands that only read one.
#[derive(Args)]
pub(super) struct ModelArgs {
    /// Directory of the model
    #[arg(long, value_name = "DIR")]
    pub(super) model: PathBuf,
    /// Directory of an adapter for it
    #[arg(long, value_name = "DIR")]
    pub(super) adapter: Option<PathBuf>,
    #[command(flatten)]
    pub(super) base: BaseOptions,
    /// Where to compute
    #[arg(long, value_enum, default_value_t = DeviceKind::Cpu)]
    pub(super) device: DeviceKind,
    /// Threads; one per core unless given
    #[arg(long, value_name = "N")]
    pub(super) threads: Option<usize>,
}

impl ModelArgs {
    /// The tokenizer, which fits the model, and the model with its adapter, for texts of up to `positions` tokens.
    pub(super) fn load<B: Backend>(&self, be: &B, positions: usize) -> Result<(Text, Model<B>)> {
        let architecture = Architecture::read(&self.model)?;
        let text = || {
            let text = Text::open(&self.model)?;
            text.check_fits(architecture.vocab_size)?;
            Ok(text)
        };
        // Reading a large tokenizer takes as long as mapping the weights and a forward pass.
        thread::scope(|scope| {
            let text = scope.spawn(text);
            let model = self.load_model(be, positions);
            let text = text.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            Ok((text, model?))
        })
    }

    fn load_model<B: Backend>(&self, be: &B, positions: usize) -> Result<Model<B>> {
        let architecture = Architecture::read(&self.model)?;
        let adapter = self.adapter.as_deref().map(|dir| AdapterFile::read(dir, Some(&architecture)));
        let adapter = adapter.transpose()?;
        let trained_on = adapter.as_ref().and_then(|adapter| adapter.config.base_held_as);
        let quantized = BaseWeights::open(&self.model)?.quantized();
        let held_as = self.base.held_as(quantized, trained_on.unwrap_or(HeldAs::Stored))?;
        note!("base      {held_as}");
        let mut model = load_model(be, &self.model, held_as, positions)?;
        if let Some(adapter) = adapter {
            attach(be, &mut model, adapter)?;
        }
        Ok(model)
    }
}

/// Tokens of the longest example, unless more or fewer are asked for.
pub(super) const SEQ: usize = 512;

/// The tokens that `flag` gives, or `default`, or fewer where the model was made for shorter texts.
///
/// # Errors
/// As [`check_length`].
pub(super) fn length(
    flag: &'static str,
    given: Option<usize>,
    default: usize,
    architecture: &Architecture,
) -> Result<usize> {
    let tokens = given.unwrap_or_else(|| default.min(architecture.longest_text()));
    check_length(flag, tokens, architecture)?;
    Ok(tokens)
}

/// Refuses more tokens than the longest text that the model was made for, as the value of `flag`.
pub(super) fn check_length(flag: &'static str, tokens: usize, architecture: &Architecture) -> Result<()> {
    let longest = architecture.longest_text();
    if tokens > longest {
        let expected = format!("at most {longest}, the longest text this model attends to");
        return Err(Error::setting(flag, tokens, expected));
    }
    Ok(())
}

/// For a loss or logits that are not finite, the first number of the base in `model` that is not, if there is one; else the
/// error itself.
pub(super) fn cause_of(error: Error, model: &Path) -> Error {
    match error {
        Error::NotFinite { .. } | Error::NoToken => {
            let checked = BaseWeights::open(model).and_then(|weights| weights.check_finite());
            checked.err().unwrap_or(error)
        }
        other => other,
    }
}
