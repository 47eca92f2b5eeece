//! `rosa-mini train`: files in, adapter out, and everything a person sees on the way.

use super::{
    device::{OnDevice, on_device},
    model::{cause_of, check_length},
    patience::{PAUSE, once_there_is_room},
    print::{note, putln},
    profile,
    progress::Progress,
    report::{self, Summary},
};
use clap::Args;
use rosa_kernels::{
    architecture::Architecture,
    backend::Backend,
    checkpoint::{BaseWeights, HeldAs, load_model, remove_unfinished, save_masks},
    data::{Dataset, Example, Template, TooLong},
    error::{Error, Result},
    eval::{self, Loss},
    options::TrainOptions,
    peak, plan,
    tensor::Precision,
    text::Text,
    train::{Outcome, StepReport, Trainer},
};
use std::{
    fs::{self, File, OpenOptions, TryLockError},
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
    /// Also show where the time went: a table by class of operation, and a picture in --out/profile.svg
    #[arg(long)]
    profile: bool,
    /// Do not measure the machine first; progress lines then do not say which share of its peak a step reached
    #[arg(long)]
    no_probe: bool,
}

/// The files of an output directory, which one run at a time has.
struct Out {
    dir: PathBuf,
    /// Locked while it is open, where the file system knows locks.
    _lock: Option<File>,
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
        let mut out = Self { dir: options.out.clone(), _lock: None };
        if options.resume {
            if !out.checkpoint().exists() {
                let found = format!("{}, which has no checkpoint", options.out.display());
                return Err(Error::setting("--resume", found, "the --out of an interrupted run"));
            }
            out.lock()?;
            remove_unfinished(&out.dir)?;
            return Ok(out);
        }
        let occupied = fs::read_dir(&out.dir).is_ok_and(|mut entries| entries.next().is_some());
        if occupied || out.dir.is_file() {
            let found = format!("{}, which exists", options.out.display());
            let expected = match out.checkpoint().exists() {
                true => "a new directory (or --resume to go on with the run in it)",
                false => "a new directory: this one holds no checkpoint to go on from",
            };
            return Err(Error::setting("--out", found, expected));
        }
        fs::create_dir_all(&out.dir).map_err(Error::io("create", &out.dir))?;
        out.lock()?;
        Ok(out)
    }

    /// Keeps other runs out for as long as this one lasts.
    fn lock(&mut self) -> Result<()> {
        let Ok(dir) = File::open(&self.dir) else { return Ok(()) };
        if let Err(TryLockError::WouldBlock) = dir.try_lock() {
            let found = format!("{}, in which another run is at work", self.dir.display());
            return Err(Error::setting("--out", found, "a directory of its own, or that run ended"));
        }
        self._lock = Some(dir);
        Ok(())
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
    let run = Run { as_json: args.json, profile: args.profile, probe: !args.no_probe, options };
    on_device(run.options.device, run.options.threads, run)
}

struct Run {
    options: TrainOptions,
    as_json: bool,
    profile: bool,
    probe: bool,
}

impl OnDevice for Run {
    fn run<B: Backend>(self, be: B) -> Result<()> {
        if self.profile {
            be.profile().wait_for_ops();
        }
        train(be, self)
    }
}

fn train<B: Backend>(be: B, run: Run) -> Result<()> {
    let Run { options, as_json, profile, probe } = run;
    let started = Instant::now();
    let free = be.memory()?.map(|(free, _)| free);
    let interrupted = on_interrupt();
    let text = Text::open(&options.model)?;
    let architecture = Architecture::read(&options.model)?;
    text.check_fits(architecture.vocab_size)?;
    check_length("--seq", options.seq, &architecture)?;
    let template: Template = options.template.parse()?;
    let read = |path: &Path| {
        let too_long = if options.truncate { TooLong::Truncate } else { TooLong::Skip };
        let set = Dataset::read(path, &text, &template, options.seq, too_long)?;
        report::data(path, &set, options.seq);
        Ok(set.examples)
    };
    let examples = read(&options.data)?;
    let valid = options.valid.as_deref().map(read).transpose()?;
    let quantized = BaseWeights::open(&options.model)?.quantized();
    let held_as = options.base.held_as(quantized, quantized.map_or(HeldAs::F32, HeldAs::Nf4))?;
    let options = TrainOptions { base: held_as.into(), ..options }.settle()?;
    note!("base      {held_as}");
    if probe {
        measure_peak(&be, held_as.precision().unwrap_or(Precision::F32))?;
    }
    let out = Out::prepare(&options)?;
    let model = load_model(&be, &options.model, held_as, options.seq)?;

    let plan_examples = examples.clone();
    let mut trainer = Trainer::new(be.clone(), model, options, examples)?;
    if trainer.options().resume {
        trainer.restore(&out.checkpoint())?;
        note!("resuming  after step {}", trainer.steps_done());
    }
    let budget = plan::budget(trainer.model(), trainer.options());
    let memory = plan::memory(trainer.model(), trainer.options(), &plan_examples);
    drop(plan_examples);
    report::plan(&architecture, trainer.options(), trainer.total_steps(), &budget, &memory, free);
    let save =
        |trainer: &mut Trainer<B>, out: &Out| once_there_is_room(PAUSE, || trainer.save(&out.checkpoint()));
    let stopped = |trainer: &mut Trainer<B>, out: &Out| {
        save(trainer, out)?;
        Err(Error::Interrupted { step: trainer.steps_done(), checkpoint: out.checkpoint() })
    };
    let go_on = || !interrupted.load(Ordering::Relaxed);
    let validate = |trainer: &Trainer<B>, valid: &[Example]| {
        let mut progress = Progress::new("validation", 0, valid.len());
        let micro_batch = trainer.options().micro_batch;
        let loss = eval::loss_while(&be, trainer.model(), valid, micro_batch, |done, loss| {
            progress.at(done, format!("loss {loss:.4}"));
            go_on()
        })?;
        progress.finish();
        Ok::<_, Error>(loss)
    };
    let before = match &valid {
        Some(valid) => match validate(&trainer, valid)? {
            None => return stopped(&mut trainer, &out),
            loss => loss,
        },
        None => None,
    };
    if let Some(Loss { loss, perplexity, .. }) = before {
        note!("valid     loss {loss:.4}, perplexity {perplexity:.2} before the run");
    }

    be.profile().reset();
    let mut metrics = out.open_metrics(trainer.steps_done())?;
    let mut progress = Progress::new("training", trainer.steps_done(), trainer.total_steps());
    let (mut last, mut shares) = (None, Vec::new());
    let outcome = trainer.run(|trainer, report| {
        write_metrics(&mut metrics, &out, report)?;
        progress.at(report.step, report::step(report));
        let o = trainer.options();
        let due = |every: usize| every > 0 && report.step % every == 0 && report.step < trainer.total_steps();
        let (due_to_save, evaluate) = (due(o.save_every), o.eval_every.is_some_and(due));
        if let (true, Some(valid)) = (evaluate, &valid) {
            let loss = eval::loss_while(&be, trainer.model(), valid, o.micro_batch, |_, _| go_on())?;
            if let Some(Loss { loss, .. }) = loss {
                progress.note(&format!("step {}: validation loss {loss:.4}", report.step));
            }
        }
        last = Some(report.clone());
        shares.extend(report.of_peak);
        let go_on = go_on();
        if due_to_save || !go_on {
            save(trainer, &out)?;
        }
        Ok(go_on)
    });
    let outcome = outcome.map_err(|error| cause_of(error, &trainer.options().model))?;
    progress.finish();
    if profile {
        profile::show(be.profile(), &out.dir)?;
    }
    if outcome == Outcome::Stopped {
        return Err(Error::Interrupted { step: trainer.steps_done(), checkpoint: out.checkpoint() });
    }

    let has_mask = trainer.model().adapters().iter().any(|(adapter, _)| adapter.sparse.is_some());
    if has_mask {
        once_there_is_room(PAUSE, || save_masks(&be, trainer.model(), &out.mask()))?;
    }
    if outcome == Outcome::Finished {
        once_there_is_room(PAUSE, || trainer.write_result(&out.dir))?;
    }
    remove_checkpoint(&out)?;
    let after = match (&valid, outcome) {
        (Some(valid), Outcome::Finished) => validate(&trainer, valid)?,
        _ => None,
    };
    let summary = Summary {
        outcome,
        method: trainer.options().method,
        mask: out.mask(),
        out: out.dir,
        steps: trainer.steps_done(),
        seconds: started.elapsed().as_secs_f64(),
        budget,
        memory_plan: memory.total(),
        peak_memory: be.peak_memory(),
        on_device: free.is_some(),
        last_step: last,
        of_peak: (!shares.is_empty()).then(|| shares.iter().sum::<f64>() / shares.len() as f64),
        valid_before: before,
        valid_after: after,
    };
    if as_json {
        putln!("{}", serde_json::to_string_pretty(&summary).expect("a summary is plain data"))
    } else {
        summary.print()
    }
}

/// Measures the machine, so that each step can show its share, and leaves no trace of it in what is measured later.
fn measure_peak<B: Backend>(be: &B, precision: Precision) -> Result<()> {
    match peak::measure(be, precision) {
        Ok(peak) => {
            be.profile().set_peak(peak);
            report::peak(peak);
        }
        // A run may fit where the measurement does not.
        Err(Error::DeviceMemory { .. }) => {}
        Err(error) => return Err(error),
    }
    be.profile().reset();
    be.forget_peak_memory();
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

fn write_metrics(metrics: &mut File, out: &Out, report: &StepReport) -> Result<()> {
    let line = serde_json::to_string(report).expect("a report is plain data") + "\n";
    let io = || Error::io("write", out.metrics());
    let before = metrics.metadata().map_err(io())?.len();
    once_there_is_room(PAUSE, || {
        metrics.set_len(before).map_err(io())?;
        metrics.write_all(line.as_bytes()).map_err(io())
    })
}
