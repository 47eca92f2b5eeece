//! `rosa-mini eval`.

use super::{
    device::{OnDevice, on_device},
    model::{ModelArgs, SEQ, length},
    print::{put, putln},
    progress::Progress,
    show::{self, row},
};
use clap::Args;
use rosa_kernels::{
    architecture::Architecture,
    backend::Backend,
    checkpoint::BaseWeights,
    data::{Dataset, Example, Question, Template, TooLong},
    error::{Error, Result},
    eval::{self, Loss},
    model::Model,
};
use serde_json::json;
use std::path::PathBuf;

/// Tokens of the longest answer, unless more or fewer are asked for.
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

fn evaluate<B: Backend>(be: &B, args: &EvalArgs) -> Result<()> {
    let architecture = Architecture::read(&args.model.model)?;
    let seq = length("--seq", args.seq, SEQ, &architecture)?;
    let max_new = length("--max-new", args.max_new, ANSWER, &architecture)?;
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
