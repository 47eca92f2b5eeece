//! `rosa-mini merge`.

use super::{
    device::{OnDevice, on_device},
    eval::shown_loss,
    model::{SEQ, length},
    print::{put, putln},
    progress::Progress,
    show::{self, row},
};
use clap::{Args, ValueEnum};
use rosa_kernels::{
    architecture::Architecture,
    backend::Backend,
    checkpoint::{
        AdapterFile, BaseWeights, HeldAs, MergeReport, TensorReport, attach, load_model,
        merge::{MergedAs, Merging, Onto, StoredAs, merge},
    },
    data::{Dataset, Example, Template, TooLong},
    error::{Error, Result},
    options::{BaseOptions, DeviceKind},
    tensor::Precision,
    text::Text,
};
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Examples whose loss is computed at once.
const BATCH: usize = 8;

/// Merge an adapter into its base model, as a Hugging Face directory that other tools load, and say what that loses.
#[derive(Args)]
pub(super) struct MergeArgs {
    /// Directory of the base model
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Directory of the adapter
    #[arg(long, value_name = "DIR")]
    adapter: PathBuf,
    /// Directory to create for the merged model
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Type of the merged weights; keep is that of each in the base
    #[arg(long, alias = "dtype", value_enum, default_value_t = IntoArg::Keep)]
    into: IntoArg,
    /// What the adapter is added to, where training held the base in another type than the checkpoint: the weights of
    /// the checkpoint, or those that training saw; the latter unless given
    #[arg(long, value_enum)]
    onto: Option<Onto>,
    #[command(flatten)]
    base: BaseOptions,
    /// Examples, as for training, to measure the loss on before and after merging
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Longest example, in tokens, 512 unless given; longer ones are left out
    #[arg(long, value_name = "N", requires = "data")]
    seq: Option<usize>,
    /// As for training
    #[arg(long, default_value = "auto", requires = "data")]
    template: String,
    /// Where to compute
    #[arg(long, value_enum, default_value_t = DeviceKind::Cpu)]
    device: DeviceKind,
    /// Threads; one per core unless given
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Print the result as JSON on stdout
    #[arg(long)]
    json: bool,
}

/// The types of `--into`.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum IntoArg {
    /// As the base stores each weight
    Keep,
    F32,
    F16,
    /// Small changes are lost below half an ulp of a weight
    Bf16,
    /// The projections of the blocks in 4 bits, quantized as in training; after training on another base, as
    /// --double-quant and --block say
    Nf4,
}

pub(super) fn run(args: &MergeArgs) -> Result<()> {
    new_directory(&args.out)?;
    on_device(args.device, args.threads, args)
}

/// Refuses a directory that holds something.
pub(super) fn new_directory(out: &Path) -> Result<()> {
    if out.is_file() || fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Error::setting("--out", format!("{}, which exists", out.display()), "a new directory"));
    }
    Ok(())
}

impl OnDevice for &MergeArgs {
    fn run<B: Backend>(self, be: B) -> Result<()> {
        merge_into(&be, self)
    }
}

fn merge_into<B: Backend>(be: &B, args: &MergeArgs) -> Result<()> {
    let architecture = Architecture::read(&args.model)?;
    let adapter = AdapterFile::read(&args.adapter, Some(&architecture))?;
    let how = args.merging(&adapter)?;
    let seq = length("--seq", args.seq, SEQ, &architecture)?;
    let examples = args.data.as_deref().map(|path| args.examples(path, seq)).transpose()?;

    let mut progress: Option<Progress> = None;
    let report = merge(be, &args.model, Some(&adapter), &args.out, how, &mut |done, total| {
        progress.get_or_insert_with(|| Progress::new("merging", 0, total)).at(done, String::new());
    })?;
    progress.into_iter().for_each(Progress::finish);
    let losses = match &examples {
        None => None,
        Some(examples) => Some(args.losses(be, adapter.clone(), how.trained_on, examples, seq)?),
    };
    if args.json {
        let [unmerged, merged] = losses.map_or([None; 2], |losses| losses.map(Some));
        return putln!(
            "{:#}",
            json!({ "out": args.out, "modules": adapter.modules.len(), "report": as_json(&report),
                "loss_unmerged": unmerged, "loss_merged": merged })
        );
    }
    put!("{}", table(&report, |tensor| tensor.delta_norm > 0.0 || tensor.error > 0.0))?;
    if let Some([unmerged, merged]) = losses {
        putln!("loss per token: {merged:.4}, {:+.4} by merging ({unmerged:.4} before)", merged - unmerged)?;
    }
    putln!("Merged {} modules into {}.", adapter.modules.len(), args.out.display())
}

/// The report as JSON, with the shares that a person is shown.
pub(super) fn as_json(report: &MergeReport) -> serde_json::Value {
    let line = |tensor: &TensorReport| {
        json!({ "name": tensor.name, "delta_norm": tensor.delta_norm, "norm": tensor.norm, "error": tensor.error,
            "relative_error": tensor.relative(), "relative_to_delta": tensor.relative_to_delta() })
    };
    json!({ "all": line(&report.total()), "tensors": report.tensors.iter().map(line).collect::<Vec<_>>(),
        "bytes_before": report.bytes_before, "bytes_after": report.bytes_after })
}

/// The tensors of the report that `shown` picks, and the sum of all.
pub(super) fn table(report: &MergeReport, shown: impl Fn(&TensorReport) -> bool) -> String {
    let total = report.total();
    let adapted = total.delta_norm > 0.0;
    let share = |share: Option<f64>| share.map_or_else(|| "-".to_owned(), |share| format!("{share:.1e}"));
    let mut heads = row!["", "‖error‖", "of ‖W+ΔW‖"];
    heads.extend(adapted.then(|| row!["‖ΔW‖", "of ‖ΔW‖"]).into_iter().flatten());
    let mut rows = vec![heads];
    for tensor in report.tensors.iter().filter(|tensor| shown(tensor)).chain([&total]) {
        let error = format!("{:.3e}", tensor.error);
        let mut cells = row![tensor.name, error, share(Some(tensor.relative()))];
        if adapted {
            cells.extend(row![format!("{:.4}", tensor.delta_norm), share(tensor.relative_to_delta())]);
        }
        rows.push(cells);
    }
    show::table(&rows)
}

impl MergeArgs {
    /// What the flags mean for this adapter.
    fn merging(&self, adapter: &AdapterFile) -> Result<Merging> {
        let quantized = BaseWeights::open(&self.model)?.quantized();
        if self.onto == Some(Onto::Original) && quantized.is_some() {
            let found = format!("original, but {} is quantized", self.model.display());
            let expected = "the directory of the original as --model, or --onto dequantized";
            return Err(Error::setting("--onto", found, expected));
        }
        let recorded = adapter.config.base_held_as;
        let usual = recorded.or(quantized.map(HeldAs::Nf4)).unwrap_or(HeldAs::F32);
        // --double-quant and --block are those of training, else those of the result.
        let trained_on_nf4 = self.base.base.or(usual.precision()) == Some(Precision::Nf4);
        let training = match self.into == IntoArg::Nf4 && !trained_on_nf4 {
            true => BaseOptions { base: self.base.base, ..BaseOptions::default() },
            false => self.base,
        };
        let trained_on = training.held_as(quantized, usual)?;
        if let Some(recorded) = recorded.filter(|&recorded| recorded != trained_on) {
            let expected = format!("{recorded}, which the adapter was trained on");
            return Err(Error::setting("--base", trained_on, expected));
        }
        let stored = match (self.into, trained_on) {
            (IntoArg::Keep, _) => MergedAs::Plain(StoredAs::Keep),
            (IntoArg::F32, _) => MergedAs::Plain(StoredAs::F32),
            (IntoArg::F16, _) => MergedAs::Plain(StoredAs::F16),
            (IntoArg::Bf16, _) => MergedAs::Plain(StoredAs::Bf16),
            (IntoArg::Nf4, HeldAs::Nf4(how)) => MergedAs::Nf4(how),
            (IntoArg::Nf4, _) => MergedAs::Nf4(self.base.quantization(quantized.unwrap_or_default())?),
        };
        Ok(Merging { trained_on, onto: self.onto.unwrap_or(Onto::Dequantized), stored })
    }

    /// The examples to measure the loss on.
    fn examples(&self, path: &Path, seq: usize) -> Result<Vec<Example>> {
        let text = Text::open(&self.model)?;
        let template: Template = self.template.parse()?;
        Ok(Dataset::read(path, &text, &template, seq, TooLong::Skip)?.examples)
    }

    /// The losses of the model with its adapter and of the merged one.
    fn losses<B: Backend>(
        &self,
        be: &B,
        adapter: AdapterFile,
        trained_on: HeldAs,
        examples: &[Example],
        seq: usize,
    ) -> Result<[f64; 2]> {
        let mut unmerged = load_model(be, &self.model, trained_on, seq)?;
        attach(be, &mut unmerged, adapter)?;
        let before = shown_loss(be, &unmerged, examples, BATCH, "loss before")?.loss;
        drop(unmerged);
        let merged = load_model(be, &self.out, HeldAs::Stored, seq)?;
        Ok([before, shown_loss(be, &merged, examples, BATCH, "loss after")?.loss])
    }
}
