//! `rosa-mini train`: files in, adapter out, and everything a person sees on the way.

use super::{
    print::{note, put, putln},
    progress::Progress,
    show::{self, row},
};
use clap::Args;
use rosa_kernels::{
    architecture::Architecture,
    backend::{Backend, cpu::Cpu},
    checkpoint::{load_model, save_masks},
    data::{Dataset, Template, TooLong},
    error::{Error, Result},
    eval::{self, Loss},
    options::{DeviceKind, TrainOptions},
    plan,
    text::Text,
    train::{Outcome, StepReport, Trainer},
};
use serde_json::json;
use std::{
    fs::{self, File, OpenOptions},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

/// Train an adapter (or all weights) on a JSONL file.
#[derive(Args)]
pub(super) struct TrainArgs {
    #[command(flatten)]
    options: TrainOptions,
    /// TOML file with any of these flags as keys (without the dashes); the command line wins
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the summary as JSON on stdout
    #[arg(long)]
    json: bool,
}

/// The files of an output directory.
struct Out {
    dir: PathBuf,
}

impl Out {
    fn checkpoint(&self) -> PathBuf {
        self.dir.join("checkpoint.safetensors")
    }
    fn metrics(&self) -> PathBuf {
        self.dir.join("metrics.jsonl")
    }
    fn mask(&self) -> PathBuf {
        self.dir.join("mask.safetensors")
    }

    /// The directory, new or empty; or with a checkpoint in it, to resume.
    fn prepare(options: &TrainOptions) -> Result<Self> {
        let out = Self { dir: options.out.clone() };
        if options.resume {
            if !out.checkpoint().exists() {
                let found = format!("{}, which has no checkpoint", options.out.display());
                return Err(Error::setting("--resume", found, "the --out of an interrupted run"));
            }
            return Ok(out);
        }
        let occupied = fs::read_dir(&out.dir).is_ok_and(|mut entries| entries.next().is_some());
        if occupied || out.dir.is_file() {
            let found = format!("{}, which exists", options.out.display());
            return Err(Error::setting(
                "--out",
                found,
                "a new directory (or --resume to go on with the run in it)",
            ));
        }
        fs::create_dir_all(&out.dir).map_err(Error::io("create", &out.dir))?;
        Ok(out)
    }

    /// Opens metrics.jsonl for appending, with the lines of the first `steps` steps kept.
    fn open_metrics(&self, steps: usize) -> Result<File> {
        let path = self.metrics();
        if let Ok(file) = File::open(&path) {
            let kept: Vec<_> = BufReader::new(file)
                .lines()
                .take(steps)
                .collect::<std::io::Result<_>>()
                .map_err(Error::io("read", &path))?;
            let text: String = kept.into_iter().map(|line| line + "\n").collect();
            fs::write(&path, text).map_err(Error::io("write", &path))?;
        }
        OpenOptions::new().create(true).append(true).open(&path).map_err(Error::io("write", &path))
    }
}

pub(super) fn run(args: TrainArgs) -> Result<()> {
    let _ = args.config;
    let options = args.options.settle()?;
    match options.device {
        DeviceKind::Cpu => {
            let cpu = Cpu::new(options.threads)?;
            note!("device    CPU, {} threads", cpu.threads());
            cpu.clone().install(|| train(cpu, options, args.json))
        }
    }
}

fn train<B: Backend>(be: B, options: TrainOptions, as_json: bool) -> Result<()> {
    let started = Instant::now();
    let interrupted = on_interrupt();
    let text = Text::open(&options.model)?;
    let architecture = Architecture::read(&options.model)?;
    text.check_fits(architecture.vocab_size)?;
    check_length(&architecture, options.seq)?;
    let template: Template = options.template.parse()?;
    let read = |path: &Path| {
        let too_long = if options.truncate { TooLong::Truncate } else { TooLong::Skip };
        let set = Dataset::read(path, &text, &template, options.seq, too_long)?;
        describe_data(path, &set, options.seq);
        Ok(set.examples)
    };
    let examples = read(&options.data)?;
    let valid = options.valid.as_deref().map(read).transpose()?;
    let model = load_model(&be, &options.model, options.base, options.seq)?;
    let out = Out::prepare(&options)?;

    let plan_examples = examples.clone();
    let mut trainer = Trainer::new(be.clone(), model, options, examples)?;
    if trainer.options().resume {
        trainer.restore(&out.checkpoint())?;
        note!("resuming  after step {}", trainer.steps_done());
    }
    let budget = plan::budget(trainer.model(), trainer.options());
    let memory = plan::memory(trainer.model(), trainer.options(), &plan_examples);
    drop(plan_examples);
    describe_plan(&architecture, trainer.options(), trainer.total_steps(), &budget, &memory);
    let before = valid
        .as_ref()
        .map(|v| eval::loss(&be, trainer.model(), v, trainer.options().micro_batch))
        .transpose()?;
    if let Some(Loss { loss, perplexity, .. }) = before {
        note!("valid     loss {loss:.4}, perplexity {perplexity:.2} before the run");
    }

    let mut metrics = out.open_metrics(trainer.steps_done())?;
    let mut progress = Progress::new("training", trainer.steps_done(), trainer.total_steps());
    let mut last = None;
    let outcome = trainer.run(|trainer, report| {
        write_metrics(&mut metrics, &out, report)?;
        progress.at(report.step, describe_step(report));
        let o = trainer.options();
        let due = |every: usize| every > 0 && report.step % every == 0 && report.step < trainer.total_steps();
        let (save, evaluate) = (due(o.save_every), o.eval_every.is_some_and(due));
        if let (true, Some(valid)) = (evaluate, &valid) {
            let loss = eval::loss(&be, trainer.model(), valid, o.micro_batch)?;
            progress.note(&format!("step {}: validation loss {:.4}", report.step, loss.loss));
        }
        last = Some(report.clone());
        let go_on = !interrupted.load(Ordering::Relaxed);
        if save || !go_on {
            trainer.save(&out.checkpoint())?;
        }
        Ok(go_on)
    })?;
    progress.finish();
    if outcome == Outcome::Stopped {
        return Err(Error::Interrupted { step: trainer.steps_done(), checkpoint: out.checkpoint() });
    }

    let has_mask = trainer.model().adapters().iter().any(|(adapter, _)| adapter.sparse.is_some());
    if has_mask {
        save_masks(&be, trainer.model(), &out.mask())?;
    }
    let after = match (&valid, outcome) {
        (Some(v), Outcome::Finished) => {
            Some(eval::loss(&be, trainer.model(), v, trainer.options().micro_batch)?)
        }
        _ => None,
    };
    if outcome == Outcome::Finished {
        trainer.write_result(&out.dir)?;
    }
    remove_checkpoint(&out)?;
    let summary = json!({
        "outcome": if outcome == Outcome::Finished { "finished" } else { "mask chosen" },
        "out": out.dir,
        "steps": trainer.steps_done(),
        "seconds": started.elapsed().as_secs_f64(),
        "budget": budget,
        "memory_plan": memory.total(),
        "peak_memory": rosa_kernels::memory::peak(),
        "last_step": last,
        "valid_before": before,
        "valid_after": after,
    });
    if as_json {
        putln!("{summary:#}")?;
    } else {
        summarise(&out, outcome, last.as_ref(), before, after, memory.total(), started)?;
    }
    Ok(())
}

/// Removes the checkpoint that is no longer needed.
fn remove_checkpoint(out: &Out) -> Result<()> {
    match fs::remove_file(out.checkpoint()) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", out.checkpoint())(e)),
        _ => Ok(()),
    }
}

/// A flag that the first ctrl-C raises; the second one ends the process at once.
fn on_interrupt() -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&flag);
    let handler = move || {
        if raised.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        note!("\nstopping after this step; press ctrl-C again to stop at once and lose it");
    };
    // A second handler in one process is refused; the first one then keeps its flag.
    let _ = ctrlc::set_handler(handler);
    flag
}

/// Refuses sequences beyond what the model was made for.
fn check_length(architecture: &Architecture, seq: usize) -> Result<()> {
    let limit = architecture.sliding_window.unwrap_or(usize::MAX).min(architecture.max_position_embeddings);
    if seq > limit {
        return Err(Error::setting(
            "--seq",
            seq,
            format!("at most {limit}, the longest text this model attends to"),
        ));
    }
    Ok(())
}

fn describe_data(path: &Path, set: &Dataset, seq: usize) {
    let tokens: usize = set.examples.iter().map(|e| e.tokens.len()).sum();
    let targets: usize = set.examples.iter().map(|e| e.target_count()).sum();
    note!(
        "data      {}: {} examples, {} tokens, {} of them with loss",
        path.display(),
        show::count(set.examples.len()),
        show::count(tokens),
        show::count(targets)
    );
    if set.skipped_too_long > 0 {
        note!(
            "          {} left out: longer than --seq {seq} (--truncate cuts them instead)",
            show::count(set.skipped_too_long)
        );
    }
    if set.truncated > 0 {
        note!("          {} cut to --seq {seq}", show::count(set.truncated));
    }
}

fn describe_plan(
    a: &Architecture,
    o: &TrainOptions,
    steps: usize,
    budget: &plan::Budget,
    memory: &plan::MemoryPlan,
) {
    let weights = plan::weights_of(a);
    note!(
        "model     {}: {} weights, {} layers, hidden {}, vocabulary {}",
        o.model.display(),
        show::count(weights),
        a.layers,
        a.hidden_size,
        show::count(a.vocab_size)
    );
    note!(
        "method    {:?}, schedule {}, {} steps of {} examples in micro-batches of {}",
        o.method,
        o.schedule,
        steps,
        o.batch,
        o.micro_batch
    );
    note!("\nTrained parameters");
    let mut rows = Vec::new();
    let parts = [
        ("low rank (A and B)", budget.low_rank),
        ("sparse (S)", budget.sparse),
        ("base weights", budget.base),
    ];
    for (name, n) in parts.into_iter().filter(|(_, n)| *n > 0).chain([("all", budget.total())]) {
        rows.push(row![name, show::count(n), show::percent(n as f64 / weights as f64)]);
    }
    note!("{}", show::table(&rows).trim_end());
    note!("\nMemory plan");
    let parts = [
        ("base weights", memory.weights),
        ("adapters", memory.adapters),
        ("gradients", memory.gradients),
        ("optimizer moments", memory.moments),
        ("mask scores, until the mask is chosen", memory.scores),
        ("one dense gradient, likewise", memory.scratch),
        ("activations of the largest micro-batch", memory.activations),
        ("in all, at most", memory.total()),
    ];
    let rows: Vec<_> =
        parts.iter().filter(|(_, n)| *n > 0).map(|(name, n)| row![name, show::bytes(*n)]).collect();
    note!("{}", show::table(&rows));
}

fn describe_step(r: &StepReport) -> String {
    let phase = match r.phase {
        rosa_kernels::schedule::Phase::WarmUp => "warm-up ",
        rosa_kernels::schedule::Phase::Collect => "collecting ",
        rosa_kernels::schedule::Phase::Joint => "",
    };
    format!("{phase}loss {:.4}  {:.0} tokens/s", r.loss, r.tokens_per_second)
}

fn write_metrics(metrics: &mut File, out: &Out, report: &StepReport) -> Result<()> {
    let line = serde_json::to_string(report).expect("a report is plain data") + "\n";
    metrics.write_all(line.as_bytes()).map_err(Error::io("write", out.metrics()))
}

fn summarise(
    out: &Out,
    outcome: Outcome,
    last: Option<&StepReport>,
    before: Option<Loss>,
    after: Option<Loss>,
    planned: usize,
    started: Instant,
) -> Result<()> {
    let time = show::duration(started.elapsed());
    match outcome {
        Outcome::MaskChosen => putln!(
            "The mask is chosen and saved after {time}. The second run of the recipe:\n  --schedule default --mask {}",
            out.mask().display()
        )?,
        _ => putln!("Done in {time}; the result is in {}.", out.dir.display())?,
    }
    let mut rows = Vec::new();
    if let Some(last) = last {
        rows.push(row!["training loss, last step", format!("{:.4}", last.loss)]);
    }
    if let (Some(before), Some(after)) = (before, after) {
        rows.push(row!["validation loss", format!("{:.4}  (before: {:.4})", after.loss, before.loss)]);
        rows.push(row![
            "validation perplexity",
            format!("{:.3}  (before: {:.3})", after.perplexity, before.perplexity)
        ]);
    }
    if let Some(peak) = rosa_kernels::memory::peak() {
        let peak = usize::try_from(peak).unwrap_or(usize::MAX);
        rows.push(row![
            "peak memory",
            format!("{}  (planned {} and the program)", show::bytes(peak), show::bytes(planned))
        ]);
    }
    put!("{}", show::table(&rows))?;
    if outcome == Outcome::Finished {
        putln!("Next: rosa-mini eval, generate, inspect or merge with --adapter {}", out.dir.display())?;
    }
    Ok(())
}
