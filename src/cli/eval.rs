//! `rosa-mini eval`.

use super::{
    device::{OnDevice, on_device},
    print::{note, put, putln},
    progress::Progress,
    show::{self, row},
};
use clap::Args;
use rosa_kernels::{
    architecture::Architecture,
    backend::Backend,
    checkpoint::{AdapterFile, BaseWeights, HeldAs, attach, load_model},
    data::{Dataset, Example, Question, Template, TooLong},
    error::{Error, Result},
    eval::{self, Loss},
    model::Model,
    options::{BaseOptions, DeviceKind},
    text::Text,
};
use serde_json::json;
use std::{
    path::{Path, PathBuf},
    thread,
};

/// The model to use, shared by the commands that only read one.
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
/// Tokens of the longest answer, likewise.
const ANSWER: usize = 256;

/// Measure loss, perplexity and exact match of a model on a JSONL file.
#[derive(Args)]
pub(super) struct EvalArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Examples, as for training
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// Also answer each prompt greedily and count the answers that are exactly right
    #[arg(long)]
    exact_match: bool,
    /// Most tokens of an answer: 256 unless given
    #[arg(long, value_name = "N", requires = "exact_match")]
    max_new: Option<usize>,
    /// Use only the first N examples
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Examples computed at once
    #[arg(long, default_value_t = 8, value_name = "N")]
    batch: usize,
    /// Longest example, in tokens, 512 unless given; longer ones are left out and counted
    #[arg(long, value_name = "N")]
    seq: Option<usize>,
    /// As for training
    #[arg(long, default_value = "auto")]
    template: String,
    /// Print the result as JSON on stdout
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &EvalArgs) -> Result<()> {
    if args.batch == 0 {
        return Err(Error::setting("--batch", 0, "1 or more"));
    }
    on_device(args.model.device, args.model.threads, args)
}

impl OnDevice for &EvalArgs {
    fn run<B: Backend>(self, be: B) -> Result<()> {
        evaluate(&be, self)
    }
}

/// The loss, with its progress as `what`.
pub(super) fn shown_loss<B: Backend>(
    be: &B,
    model: &Model<B>,
    examples: &[Example],
    batch: usize,
    what: &'static str,
) -> Result<Loss> {
    let mut progress = Progress::new(what, 0, examples.len());
    let loss = eval::loss_while(be, model, examples, batch, |done, loss| {
        progress.at(done, format!("loss {loss:.4}"));
        true
    })?;
    progress.finish();
    Ok(loss.expect("nobody ends it"))
}

/// What made a number that is not finite: the first such weight of the base, where it has one. Any other error is its own
/// cause.
pub(super) fn cause(error: Error, model: &Path) -> Error {
    match error {
        Error::NotFinite { .. } | Error::NoToken => {
            let checked = BaseWeights::open(model).and_then(|weights| weights.check_finite());
            checked.err().unwrap_or(error)
        }
        other => other,
    }
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

fn evaluate<B: Backend>(be: &B, args: &EvalArgs) -> Result<()> {
    let architecture = Architecture::read(&args.model.model)?;
    let seq = args.seq.unwrap_or_else(|| SEQ.min(architecture.longest_text()));
    let max_new = args.max_new.unwrap_or_else(|| ANSWER.min(architecture.longest_text()));
    check_length("--seq", seq, &architecture)?;
    check_length("--max-new", max_new, &architecture)?;
    let positions = if args.exact_match { seq + max_new } else { seq };
    let (text, model) = args.model.load(be, positions)?;
    let template: Template = args.template.parse()?;
    let mut set = Dataset::read(&args.data, &text, &template, seq, TooLong::Skip)?;
    set.examples.truncate(args.limit.unwrap_or(usize::MAX));
    if set.examples.is_empty() {
        return Err(Error::setting("--limit", 0, "1 or more"));
    }
    let examples = set.examples.len();

    let Loss { loss, perplexity, tokens } = shown_loss(be, &model, &set.examples, args.batch, "loss")?;
    if !loss.is_finite() {
        BaseWeights::open(&args.model.model)?.check_finite()?;
        let found = format!("{}, whose loss is {loss}", args.model.model.display());
        return Err(Error::setting(
            "--model",
            found,
            "a model and an adapter whose numbers are not too large for a finite one",
        ));
    }

    let exact = if args.exact_match {
        let questions: Vec<&Question> = set.examples.iter().filter_map(|e| e.question.as_ref()).collect();
        if questions.is_empty() {
            return Err(Error::format(
                &args.data,
                "--exact-match",
                "no prompt with an answer",
                "at least one",
            ));
        }
        let mut progress = Progress::new("answers", 0, questions.len());
        let batch = args.batch.saturating_mul(8);
        let answers = eval::answers(be, &model, &text, &questions, max_new, batch, |done| {
            progress.at(done, String::new());
        })?;
        progress.finish();
        Some(eval::exact_match(&questions, &answers))
    } else {
        None
    };

    if args.json {
        let percent = exact.map(|exact| exact.percent());
        putln!(
            "{:#}",
            json!({ "loss": loss, "perplexity": perplexity, "tokens": tokens, "examples": examples,
                "skipped_too_long": set.skipped_too_long, "exact_match": exact, "exact_match_percent": percent })
        )?;
        return Ok(());
    }
    let mut rows = vec![
        row!["examples", show::count(examples)],
        row!["tokens with loss", show::count(tokens)],
        row!["loss per token", format!("{loss:.4}")],
        row!["perplexity", format!("{perplexity:.4}")],
    ];
    if set.skipped_too_long > 0 {
        rows.insert(1, row!["left out, longer than --seq", show::count(set.skipped_too_long)]);
    }
    if let Some(exact) = exact {
        rows.push(row![
            "exact match",
            format!("{:.1} %  ({} of {})", exact.percent(), exact.right, exact.asked)
        ]);
    }
    put!("{}", show::table(&rows))?;
    Ok(())
}
