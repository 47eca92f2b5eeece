//! `rosa-mini demo`.

use super::{
    progress::Progress,
    show::{self, row},
};
use clap::Args;
use rosa_kernels::{
    backend::{Backend, cpu::Cpu},
    demo::run::{CONTENDERS, Contender, Demo, Score, Size, Trained},
    error::Result,
    plan::{Budget, weights_of},
    train::StepReport,
};
use serde_json::json;
use std::{
    path::{Path, PathBuf},
    time::Instant,
};

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

/// Hidden flags, for trying the demo in seconds.
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
    /// None for the model that was not fine-tuned.
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

    say("1  A tiny Llama learns to read and copy: random weights, every one of them trained on little texts.");
    in_stage("pretraining", |observe| demo.pretrain(observe))?;
    let base = demo.base()?;
    let weights = weights_of(&base.architecture);
    let score = score(&demo, &base)?;
    let mut columns = vec![Column { name: "base model", training: None, score }];
    drop(base);

    for contender in &CONTENDERS {
        say(contender.name);
        let Trained { model, budget, seconds } =
            in_stage("fine-tuning", |observe| demo.fine_tune(contender, observe))?;
        let score = self::score(&demo, &model)?;
        columns.push(Column { name: contender.name, training: Some((budget, seconds)), score });
    }
    print!("{}", table(&columns, weights));
    println!("{:?}", started.elapsed());
    Ok(())
}

fn say(line: &str) {
    eprintln!("\n{line}");
}

/// A stage of training under a progress bar.
fn in_stage<T>(
    what: &'static str,
    stage: impl FnOnce(&mut dyn FnMut(&StepReport, usize)) -> Result<T>,
) -> Result<T> {
    let mut progress: Option<Progress> = None;
    let result = stage(&mut |report, total| {
        let progress = progress.get_or_insert_with(|| Progress::new(what, 0, total));
        progress.at(report.step, format!("loss {:.3}", report.loss));
    });
    progress.into_iter().for_each(Progress::finish);
    result
}

fn score<B: Backend>(demo: &Demo<B>, model: &rosa_kernels::model::Model<B>) -> Result<Score> {
    let mut progress = Progress::new("answering", 0, demo.questions().len());
    let score = demo.score(model, |done| progress.at(done, String::new()));
    progress.finish();
    score
}

fn table(columns: &[Column], weights: usize) -> String {
    let line = |name: &str, cell: &dyn Fn(&Column) -> String| {
        std::iter::once(name.to_owned()).chain(columns.iter().map(cell)).collect::<Vec<_>>()
    };
    let trained = |cell: &dyn Fn(&Budget, f64) -> String, c: &Column| {
        c.training.as_ref().map_or_else(|| "–".to_owned(), |(budget, seconds)| cell(budget, *seconds))
    };
    let share = |right: usize, asked: usize| format!("{:.1} %", 100.0 * right as f64 / asked.max(1) as f64);
    show::table(&[
        line("", &|c| c.name.to_owned()),
        line("trained parameters", &|c| trained(&|b, _| show::count(b.total()), c)),
        line("share of the weights", &|c| {
            trained(&|b, _| show::percent(b.total() as f64 / weights as f64), c)
        }),
        line("training time", &|c| trained(&|_, s| format!("{s:.1} s"), c)),
        line("loss per token", &|c| format!("{:.3}", c.score.loss)),
        line("exact match", &|c| share(c.score.exact, c.score.asked)),
        line("right results", &|c| share(c.score.executed, c.score.asked)),
    ])
}
