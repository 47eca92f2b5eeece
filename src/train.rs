//! The training loop: batches, phases, updates, checkpoints.

use crate::{
    adapter::LowRank,
    backend::Backend,
    checkpoint::{Masks, adapter_file, load_masks, merge, state},
    data::{Example, epoch_order},
    error::{Error, Need, Result},
    mask,
    model::Model,
    num::{to_f32, to_usize, whole},
    optim::{LearningRates, Optimizer},
    options::{Method, TrainOptions},
    pass::{Batch, Dropout, Granularity, Keep, Pass},
    schedule::Phase,
    tensor::Matrix,
};
use serde::Serialize;
use std::{iter, path::Path, sync::Arc, time::Instant};

/// A run in progress.
pub struct Trainer<B: Backend> {
    be: B,
    model: Model<B>,
    options: TrainOptions,
    examples: Vec<Example>,
    total_steps: usize,
    /// Steps that are done.
    step: usize,
    /// Masks from a file, waiting for their step.
    masks: Option<Masks<B>>,
    has_mask: bool,
}

/// What one step did; a line of `metrics.jsonl`.
#[derive(Clone, Debug, Serialize)]
pub struct StepReport {
    /// Counted from 1.
    pub step: usize,
    /// What was trained or collected.
    pub phase: Phase,
    /// Mean loss over the batch's tokens that carry loss, in nats.
    pub loss: f64,
    /// The learning rates.
    #[serde(flatten)]
    pub rates: LearningRates,
    /// Norm of the gradient before clipping.
    pub grad_norm: f32,
    /// Tokens read.
    pub tokens: usize,
    /// Tokens read per second.
    pub tokens_per_second: f64,
    /// The least time for the step's work on a machine of this one's measured peak, over the time it took; absent
    /// where the peak was not measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of_peak: Option<f64>,
    /// The most memory that the device, or on the CPU the process, has held so far, in bytes; absent where the system does
    /// not tell.
    pub peak_memory: Option<u64>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// All steps are done.
    Finished,
    /// The mask is chosen, and the options ask to stop there.
    MaskChosen,
    /// The caller asked to stop.
    Stopped,
}

/// Attaches fresh adapters as the options say, or makes the base trainable.
///
/// # Errors
/// [`Error::Setting`] when no module is a target, a rank exceeds a weight's smaller side or a density is not one;
/// out of memory.
pub fn attach<B: Backend>(be: &B, model: &mut Model<B>, options: &TrainOptions) -> Result<()> {
    if options.method == Method::Full {
        return model.train_base(be);
    }
    let config = options.adapter_config()?;
    options.check_names(&model.adapters().iter().map(|(adapter, _)| &*adapter.module).collect::<Vec<_>>())?;
    for adapter in model.adapters_mut().into_iter().filter(|adapter| options.targets(&adapter.module)) {
        let (rows, cols) = adapter.shape;
        adapter.density = config.density_of(&adapter.module);
        let rank = config.rank_of(&adapter.module);
        if rank > rows.min(cols) {
            let expected = format!("at most {}, the smaller side of {}", rows.min(cols), adapter.module);
            return Err(Error::setting("--rank", rank, expected));
        }
        if rank > 0 {
            let scale = config.scale(&adapter.module);
            adapter.low_rank = Some(LowRank::new(be, adapter, rank, scale, options.init, options.seed)?);
        }
    }
    Ok(())
}

/// A number that tells other examples, or another order of them, from these: FNV-1a of all tokens and targets, a number at a time.
fn digest(examples: &[Example]) -> u64 {
    let number = |of: usize| of as u64;
    let numbers = examples.iter().flat_map(|example| {
        let tokens = example.tokens.iter().map(|&token| u64::from(token));
        let targets = example.targets.iter().flat_map(|target| [target.start, target.end]);
        let lengths = [example.tokens.len(), example.targets.len()];
        lengths.into_iter().map(number).chain(tokens).chain(targets.map(number))
    });
    numbers.fold(0xcbf2_9ce4_8422_2325, |hash, number| (hash ^ number).wrapping_mul(0x0100_0000_01b3))
}

impl<B: Backend> Trainer<B> {
    /// A run from the start: attaches the adapters to `model` and reads the mask, if one is given.
    ///
    /// # Errors
    /// [`Error::Setting`] when the schedule leaves S no step; see [`attach`] and [`mask::check`].
    pub fn new(be: B, mut model: Model<B>, options: TrainOptions, examples: Vec<Example>) -> Result<Self> {
        let masks = options.mask.as_ref().map(|path| load_masks(&be, path)).transpose()?;
        attach(&be, &mut model, &options).map_err(Error::needed_for(Need::Parameters))?;
        if let Some(masks) = &masks {
            mask::check(&model, masks)?;
            mask::take_densities(&mut model, masks);
        }
        let has_mask = masks.is_some();
        let per_epoch = examples.len().div_ceil(options.batch);
        let total_steps =
            options.steps.unwrap_or_else(|| whole((options.epochs * per_epoch as f64).round())).max(1);
        let wants_sparse = model.adapters().iter().any(|(adapter, _)| adapter.density > 0.0);
        let first = options.schedule.first_joint_step(options.collect, has_mask);
        let needed = if options.stop_after_mask { first } else { first.saturating_add(1) };
        if wants_sparse && needed > total_steps {
            return Err(Error::setting(
                "--schedule",
                format!(
                    "{}, whose sparse adapter starts at step {}",
                    options.schedule,
                    first.saturating_add(1)
                ),
                format!(
                    "it to start within the {total_steps} steps of this run ({}more {})",
                    match first {
                        0..2 => String::new(),
                        _ => format!("a shorter warm-up such as wl{}, or ", total_steps / 4),
                    },
                    if options.steps.is_some() { "--steps" } else { "--epochs" },
                ),
            ));
        }
        Ok(Self { be, model, options, examples, total_steps, step: 0, masks, has_mask })
    }

    /// The model in its present state.
    pub fn model(&self) -> &Model<B> {
        &self.model
    }

    /// The model, to be written out.
    pub fn model_mut(&mut self) -> &mut Model<B> {
        &mut self.model
    }

    /// The model, to be used.
    pub fn into_model(self) -> Model<B> {
        self.model
    }

    /// Steps that are done.
    pub fn steps_done(&self) -> usize {
        self.step
    }

    /// Steps in all.
    pub fn total_steps(&self) -> usize {
        self.total_steps
    }

    /// The settings.
    pub fn options(&self) -> &TrainOptions {
        &self.options
    }

    /// Trains until the end, the mask (if the options stop there), or until `observe` returns false, which it
    /// is asked after every step.
    ///
    /// # Errors
    /// [`Error::NotFinite`] names the step whose loss or gradient is not a number; nothing was updated by it.
    pub fn run(
        &mut self,
        mut observe: impl FnMut(&mut Self, &StepReport) -> Result<bool>,
    ) -> Result<Outcome> {
        while self.step < self.total_steps {
            let report = self.train_step()?;
            let mask_chosen = report.phase == Phase::Collect && self.phase() != Phase::Collect;
            let go_on = observe(self, &report)?;
            if mask_chosen && self.options.stop_after_mask {
                return Ok(Outcome::MaskChosen);
            }
            if !go_on && self.step < self.total_steps {
                return Ok(Outcome::Stopped);
            }
        }
        Ok(Outcome::Finished)
    }

    /// The phase of the next step.
    fn phase(&self) -> Phase {
        self.options.schedule.phase(self.step, self.options.collect, self.has_mask)
    }

    /// One optimizer step.
    fn train_step(&mut self) -> Result<StepReport> {
        let started = Instant::now();
        let be = self.be.clone();
        let least_before = be.profile().least();
        let step = be.profile().span("step");
        let phase = self.phase();
        self.begin(phase)?;
        let (loss, tokens) = self.accumulate(phase).map_err(Error::needed_for(Need::Step))?;
        let factor = self.options.lr_schedule.factor(self.step, self.options.warmup_steps, self.total_steps);
        let rates = LearningRates {
            lr: to_f32(f64::from(self.options.lr) * factor),
            lora_lr: to_f32(f64::from(self.options.lora_lr) * factor),
        };
        let not_finite = |what, value| Err(Error::NotFinite { step: self.step + 1, what, value });
        if !loss.is_finite() {
            return not_finite("the loss", to_f32(loss));
        }
        let grad_norm = self.optimizer().step(&self.be, rates, self.model.params())?;
        if !grad_norm.is_finite() {
            return not_finite("the gradient's norm", grad_norm);
        }
        self.step += 1;
        if phase == Phase::Collect && self.phase() == Phase::Joint {
            let o = &self.options;
            let masks = mask::select(&self.be, &mut self.model, o.score, o.mask_scope, o.seed);
            let masks = masks.map_err(Error::needed_for(Need::Scores))?;
            mask::install(&self.be, &mut self.model, masks).map_err(Error::needed_for(Need::Parameters))?;
        }
        drop(step);
        let elapsed = started.elapsed();
        let least = be.profile().least() - least_before;
        Ok(StepReport {
            step: self.step,
            phase,
            loss,
            rates,
            grad_norm,
            tokens,
            tokens_per_second: tokens as f64 / elapsed.as_secs_f64(),
            of_peak: be.profile().peak().map(|_| least.as_secs_f64() / elapsed.as_secs_f64()),
            peak_memory: self.be.peak_memory(),
        })
    }

    /// Makes what `phase` needs, if it is not there yet.
    fn begin(&mut self, phase: Phase) -> Result<()> {
        match phase {
            Phase::WarmUp => Ok(()),
            Phase::Collect => {
                let collecting = self.model.adapters().iter().any(|(adapter, _)| adapter.scores.is_some());
                if !collecting {
                    mask::begin_collection(&self.be, &mut self.model, self.options.score);
                }
                Ok(())
            }
            Phase::Joint => match self.masks.take() {
                Some(masks) => mask::install(&self.be, &mut self.model, masks)
                    .map_err(Error::needed_for(Need::Parameters)),
                None => Ok(()),
            },
        }
    }

    /// Adds up the gradients of the step's batch, micro-batch by micro-batch, of the mean loss over all of the
    /// batch's tokens that carry loss. Returns that mean and the number of tokens read.
    fn accumulate(&mut self, phase: Phase) -> Result<(f64, usize)> {
        let indices = self.batch_indices()?;
        let loss_tokens: usize = indices.iter().map(|&i| self.examples[i].target_count()).sum();
        let scale = to_f32(1.0 / loss_tokens as f64);
        let (mut tokens, mut first_loss) = (0, 0);
        let mut losses = Matrix::zeros(&self.be, 1, loss_tokens)?;
        for micro_batch in indices.chunks(self.options.micro_batch) {
            let sequences: Vec<_> = micro_batch.iter().map(|&i| self.examples[i].sequence()).collect();
            let batch = Batch::new(&self.be, &sequences)?;
            let dropout = Dropout {
                p: self.options.dropout,
                seed: self.options.seed,
                step: self.step,
                first_row: tokens,
                first_loss_row: first_loss,
            };
            let rope = Arc::clone(&self.model.rope);
            let score_ranges = match (phase, self.options.score_granularity) {
                (Phase::Collect, Granularity::Example) => batch.packing.query_ranges(),
                _ => iter::once(0..batch.packing.tokens()).collect(),
            };
            let pass = Pass {
                dropout: Some(dropout),
                score_ranges: &score_ranges,
                // Scores take four bytes a weight, for a few steps: there the activations make room.
                keep: if phase == Phase::Collect { Keep::BlockInputs } else { self.options.keep() },
                ..batch.pass(&self.be, &rope)
            };
            let granularity = self.options.score_granularity;
            self.model.losses_and_gradients(&pass, granularity, &batch, scale, first_loss, &mut losses)?;
            tokens += batch.packing.tokens();
            first_loss += batch.loss_rows.len();
        }
        let losses = losses.download(&self.be)?;
        let mean = losses.iter().map(|&l| f64::from(l)).sum::<f64>() / loss_tokens as f64;
        Ok((mean, tokens))
    }

    /// Which examples make up the next step's batch: the next ones in the epoch's random order.
    fn batch_indices(&self) -> Result<Vec<usize>> {
        let per_epoch = self.examples.len().div_ceil(self.options.batch);
        let (epoch, position) = (self.step / per_epoch, self.step % per_epoch * self.options.batch);
        let order = epoch_order(self.options.seed, epoch as u64, self.examples.len())?;
        Ok(order.into_iter().skip(position).take(self.options.batch).map(to_usize).collect())
    }

    fn optimizer(&self) -> Optimizer {
        let o = &self.options;
        Optimizer {
            beta1: o.beta1,
            beta2: o.beta2,
            eps: o.eps,
            weight_decay: o.weight_decay,
            max_norm: o.max_norm(),
        }
    }

    /// Writes what was trained to the directory `out`: the adapter, or with [`Method::Full`] the whole model.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_result(&mut self, out: &Path) -> Result<()> {
        match self.options.method {
            Method::Full => merge::write_trained(&self.be, &mut self.model, &self.options.model, out),
            _ => adapter_file(&self.be, &self.model, &self.options.adapter_config()?)?.write(out),
        }
    }

    /// What the result depends on: the options and the data, wherever that lies.
    fn result_settings(&self) -> serde_json::Map<String, serde_json::Value> {
        let mut settings = self.options.result_settings();
        let tokens: usize = self.examples.iter().map(|example| example.tokens.len()).sum();
        settings.insert("data (tokens)".to_owned(), tokens.into());
        settings.insert("data (digest)".to_owned(), format!("{:016x}", digest(&self.examples)).into());
        settings
    }

    /// Saves the state after the last finished step to `path`, atomically.
    ///
    /// # Errors
    /// When the file cannot be written; a previous one then survives.
    pub fn save(&mut self, path: &Path) -> Result<()> {
        let settings = self.result_settings();
        state::save(&self.be, &mut self.model, path, self.step, settings)
    }

    /// Goes on from a state saved by a run with the same settings, to the same bits.
    ///
    /// # Errors
    /// [`Error::Format`] when the file is not such a state; the message names the setting that differs.
    pub fn restore(&mut self, path: &Path) -> Result<()> {
        let settings = self.result_settings();
        self.step = state::load(&self.be, &mut self.model, path, self.options.score, &settings)?;
        if self.model.adapters().iter().any(|(adapter, _)| adapter.sparse.is_some()) {
            self.masks = None;
        }
        Ok(())
    }
}
