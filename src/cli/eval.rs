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
    data::{Dataset, Question, Template, TooLong},
    error::{Error, Result},
    eval,
    model::Model,
    options::{BaseOptions, DeviceKind},
    text::Text,
};
use serde_json::json;
use std::{path::PathBuf, thread};

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
    /// Most tokens of an answer
    #[arg(long, default_value_t = 256, value_name = "N", requires = "exact_match")]
    max_new: usize,
    /// Use only the first N examples
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Examples computed at once
    #[arg(long, default_value_t = 8, value_name = "N")]
    batch: usize,
    /// Longest example, in tokens; longer ones are left out and counted
    #[arg(long, default_value_t = 512, value_name = "N")]
    seq: usize,
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

fn evaluate<B: Backend>(be: &B, args: &EvalArgs) -> Result<()> {
    let positions = if args.exact_match { args.seq + args.max_new } else { args.seq };
    let (text, model) = args.model.load(be, positions)?;
    let template: Template = args.template.parse()?;
    let mut set = Dataset::read(&args.data, &text, &template, args.seq, TooLong::Skip)?;
    set.examples.truncate(args.limit.unwrap_or(usize::MAX));
    if set.examples.is_empty() {
        return Err(Error::setting("--limit", 0, "1 or more"));
    }
    let examples = set.examples.len();

    let mut progress = Progress::new("loss", 0, examples);
    let chunk = args.batch * 8;
    let (mut sum, mut tokens) = (0.0, 0);
    for (i, part) in set.examples.chunks(chunk).enumerate() {
        let loss = eval::loss(be, &model, part, args.batch)?;
        sum += loss.loss * loss.tokens as f64;
        tokens += loss.tokens;
        progress.at(i * chunk + part.len(), format!("loss {:.4}", sum / tokens as f64));
    }
    progress.finish();
    let loss = sum / tokens as f64;

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
        let batch = args.batch * 8;
        let answers = eval::answers(be, &model, &text, &questions, args.max_new, batch, |done| {
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
            json!({ "loss": loss, "perplexity": loss.exp(), "tokens": tokens, "examples": examples,
                "skipped_too_long": set.skipped_too_long, "exact_match": exact, "exact_match_percent": percent })
        )?;
        return Ok(());
    }
    let mut rows = vec![
        row!["examples", show::count(examples)],
        row!["tokens with loss", show::count(tokens)],
        row!["loss per token", format!("{loss:.4}")],
        row!["perplexity", format!("{:.4}", loss.exp())],
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
