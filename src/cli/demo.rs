//! `rosa-mini demo`: the story around [`rosa_kernels::demo::run`], told on stderr; the results go to stdout.

use super::{
    print::{note, put, putln},
    progress::Progress,
    show,
};
use clap::Args;
use rosa_kernels::{
    backend::{Backend, cpu::Cpu},
    demo::run::{CONTENDERS, Demo, Score, Size, Trained},
    error::Result,
    model::Model,
    plan::{Budget, weights_of},
    train::StepReport,
};
use serde_json::json;
use std::{ffi::OsStr, iter, path::PathBuf, time::Instant};

/// Steps whose mean loss is shown.
const RECENT: usize = 20;
/// How many questions are shown with all answers: the first ones, not chosen ones.
const SHOWN: usize = 3;
/// The longest answer that is shown whole.
const WIDTH: usize = 90;

/// Pretrain a tiny model, then teach it text-to-SQL with LoRA and with RoSA at equal budgets.
#[derive(Args)]
pub(super) struct DemoArgs {
    /// Directory to create for the data, the model and the adapters
    #[arg(long, default_value = "rosa-demo", value_name = "DIR")]
    out: PathBuf,
    /// Every random choice is a function of this number
    #[arg(long, default_value_t = 42, value_name = "N")]
    seed: u64,
    /// Threads; one per core unless given. The result does not depend on it
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Print the results as JSON on stdout
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    size: SizeArgs,
}

/// Hidden flags, to try the demo itself in seconds.
#[derive(Args)]
struct SizeArgs {
    #[arg(long, hide = true, default_value_t = Size::default().documents)]
    documents: usize,
    #[arg(long, hide = true, default_value_t = Size::default().examples)]
    examples: usize,
    #[arg(long, hide = true, default_value_t = Size::default().questions)]
    questions: usize,
}

/// A column of the table.
struct Column {
    name: &'static str,
    /// Trained parameters and seconds; none for the model that was not fine-tuned.
    training: Option<(Budget, f64)>,
    score: Score,
}

pub(super) fn run(args: &DemoArgs) -> Result<()> {
    let cpu = Cpu::new(args.threads)?;
    cpu.clone().install(|| demo(cpu, args))
}

fn demo<B: Backend>(be: B, args: &DemoArgs) -> Result<()> {
    let started = Instant::now();
    let SizeArgs { documents, examples, questions } = args.size;
    let demo = Demo::create(be, &args.out, args.seed, Size { documents, examples, questions })?;
    let example = &demo.questions()[0];

    note!(
        "1  Pretraining. A tiny Llama, all of it random numbers, reads {} little texts and learns\n   \
         their words, to copy and to recall. No question about a table is among them.",
        show::count(documents)
    );
    in_stage("pretraining", |observe| demo.pretrain(observe))?;
    let base = demo.base()?;
    let weights = weights_of(&base.architecture);

    note!(
        "\n2  The task. From a table's columns and a question in English, write the query:\n     {}\n     {}\n   \
         Which word stands for which column, only the {} training examples tell. Before them:",
        example.prompt,
        example.query,
        show::count(examples)
    );
    let mut columns = vec![Column { name: "base model", training: None, score: score(&demo, &base)? }];
    drop(base);

    for (number, contender) in CONTENDERS.iter().enumerate() {
        note!("\n{}  {}. {}", number + 3, contender.name, contender.idea);
        let Trained { model, budget, seconds } =
            in_stage("fine-tuning", |observe| demo.fine_tune(contender, observe))?;
        note!("   {}", describe(&budget, weights));
        let score = score(&demo, &model)?;
        columns.push(Column { name: contender.name, training: Some((budget, seconds)), score });
    }

    let seconds = started.elapsed();
    if args.json {
        putln!("{:#}", as_json(&demo, args, &columns, weights, seconds.as_secs_f64()))?;
        return Ok(());
    }
    putln!("\nThe {questions} held-out questions are about tables that no training example has.\n")?;
    put!("{}", table(&columns, weights))?;
    putln!(
        "\nA right result is what the right query returns on three tables of random rows; a query\n\
         may be spelled differently and still give it.\n"
    )?;
    putln!("The first {SHOWN} questions:\n")?;
    put!("{}", answers(&demo, &columns))?;
    putln!("Done in {}. Everything is in {}. Next:", show::duration(seconds), args.out.display())?;
    put!("{}", next_steps(&demo, args))?;
    Ok(())
}

/// A stage of training under a progress bar, then its loss (at the end, a mean over [`RECENT`] steps) and time.
fn in_stage<T>(
    what: &'static str,
    stage: impl FnOnce(&mut dyn FnMut(&StepReport, usize)) -> Result<T>,
) -> Result<T> {
    let started = Instant::now();
    let mut progress: Option<Progress> = None;
    let mut losses = Vec::new();
    let result = stage(&mut |report, total| {
        losses.push(report.loss);
        let progress = progress.get_or_insert_with(|| Progress::new(what, 0, total));
        progress.at(report.step, format!("loss {:.2}", recent(&losses)));
    })?;
    progress.into_iter().for_each(Progress::finish);
    let (first, last) = (recent(&losses[..1]), recent(&losses));
    let seconds = started.elapsed().as_secs_f64();
    note!("   loss {first:.2} -> {last:.2} in {} steps, {seconds:.0} s", losses.len());
    Ok(result)
}

/// The mean of the last losses, as a single batch's jumps about.
fn recent(losses: &[f64]) -> f64 {
    let recent = &losses[losses.len().saturating_sub(RECENT)..];
    recent.iter().sum::<f64>() / recent.len() as f64
}

/// Asks the questions under a progress bar, then says in a line how many were answered rightly.
fn score<B: Backend>(demo: &Demo<B>, model: &Model<B>) -> Result<Score> {
    let mut progress = Progress::new("answering", 0, demo.questions().len());
    let score = demo.score(model, |done| progress.at(done, String::new()))?;
    progress.finish();
    note!("   {} of {} held-out questions get the right result", score.executed, score.asked);
    Ok(score)
}

fn describe(budget: &Budget, weights: usize) -> String {
    let parts = [("in BA", budget.low_rank), ("in S", budget.sparse), ("in W", budget.base)];
    let parts = parts.iter().filter(|(_, n)| *n > 0).map(|(name, n)| format!("{} {name}", show::count(*n)));
    let share = show::percent(budget.total() as f64 / weights as f64);
    format!("trained: {} ({share} of the weights)", parts.collect::<Vec<_>>().join(" + "))
}

fn table(columns: &[Column], weights: usize) -> String {
    let line = |name: &str, cell: &dyn Fn(&Column) -> String| {
        iter::once(name.to_owned()).chain(columns.iter().map(cell)).collect::<Vec<_>>()
    };
    let trained = |cell: &dyn Fn(usize, f64) -> String, c: &Column| match c.training {
        Some((budget, seconds)) => cell(budget.total(), seconds),
        None => "-".to_owned(),
    };
    let share = |part: usize, all: usize| format!("{:.1} %", 100.0 * part as f64 / all as f64);
    show::table(&[
        line("", &|c| c.name.to_owned()),
        line("trained parameters", &|c| trained(&|n, _| show::count(n), c)),
        line("share of the weights", &|c| trained(&|n, _| share(n, weights), c)),
        line("training time", &|c| trained(&|_, seconds| format!("{seconds:.1} s"), c)),
        line("loss per token", &|c| format!("{:.3}", c.score.loss)),
        line("exactly the query", &|c| share(c.score.exact, c.score.asked)),
        line("right result", &|c| share(c.score.executed, c.score.asked)),
    ])
}

/// The first questions, the right query and what each model answers.
fn answers<B: Backend>(demo: &Demo<B>, columns: &[Column]) -> String {
    let mut text = String::new();
    for (i, question) in demo.questions().iter().take(SHOWN).enumerate() {
        let mut line = |name, verdict, answer: &str| {
            let end = answer.char_indices().nth(WIDTH).map(|(end, _)| end);
            let shown = end.map_or_else(|| answer.to_owned(), |end| format!("{} ...", &answer[..end]));
            text += &format!("    {name:<10}  {verdict:<5}  {shown}\n");
        };
        line("question", "", &question.prompt);
        line("query", "", &question.query.to_string());
        for Column { name, score, .. } in columns {
            let answer = &score.answers[i];
            line(name, if answer.solves { "right" } else { "wrong" }, &answer.text);
        }
        text.push('\n');
    }
    text
}

fn next_steps<B: Backend>(demo: &Demo<B>, args: &DemoArgs) -> String {
    let path = |name: &str| args.out.join(name).display().to_string();
    let (model, adapter, prompt) = (path("model"), path("rosa"), &demo.questions()[0].prompt);
    let train = demo.fine_tune_flags(&CONTENDERS[1], "again");
    let train: Vec<_> = train.iter().map(|flag| OsStr::to_string_lossy(flag)).collect();
    format!(
        "  rosa-mini inspect --adapter {adapter}\n  \
         rosa-mini generate --model {model} --adapter {adapter} --prompt \"{prompt}\"\n  \
         rosa-mini merge --model {model} --adapter {adapter} --out {}\n\
         RoSA's run by itself, to the same bits; change what you like:\n  \
         rosa-mini train {}\n",
        path("merged"),
        train.join(" ")
    )
}

fn as_json<B: Backend>(
    demo: &Demo<B>,
    args: &DemoArgs,
    columns: &[Column],
    weights: usize,
    seconds: f64,
) -> serde_json::Value {
    let model = |c: &Column| {
        json!({
            "name": c.name,
            "budget": c.training.map(|(budget, _)| budget),
            "training_seconds": c.training.map(|(_, seconds)| seconds),
            "score": c.score,
        })
    };
    json!({
        "out": args.out,
        "seed": args.seed,
        "seconds": seconds,
        "weights": weights,
        "questions": demo.questions().len(),
        "models": columns.iter().map(model).collect::<Vec<_>>(),
    })
}
