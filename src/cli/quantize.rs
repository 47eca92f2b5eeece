//! `rosa-mini quantize`.

use super::{
    device::{OnDevice, on_device},
    merge::{as_json, new_directory, table},
    print::{put, putln},
    progress::Progress,
    show,
};
use clap::Args;
use rosa_kernels::{
    backend::Backend,
    checkpoint::{
        BaseWeights, HeldAs,
        merge::{MergedAs, Merging, Onto, merge},
    },
    error::{Error, Result},
    nf4::Quantization,
    options::{BaseOptions, DeviceKind},
};
use serde_json::json;
use std::path::PathBuf;

/// Quantize the projections of a model's blocks to 4 bits (NF4), as a directory that transformers and bitsandbytes load.
#[derive(Args)]
pub(super) struct QuantizeArgs {
    /// Directory of the model
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Directory to create for the quantized model
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Quantize the magnitudes of the blocks too: 4.127 bits a weight instead of 4.5
    #[arg(long)]
    double_quant: bool,
    /// How many weights share a magnitude
    #[arg(long, default_value_t = Quantization::default().block, value_name = "N")]
    block: usize,
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

pub(super) fn run(args: &QuantizeArgs) -> Result<()> {
    new_directory(&args.out)?;
    on_device(args.device, args.threads, args)
}

impl OnDevice for &QuantizeArgs {
    fn run<B: Backend>(self, be: B) -> Result<()> {
        quantize(&be, self)
    }
}

fn quantize<B: Backend>(be: &B, args: &QuantizeArgs) -> Result<()> {
    let flags =
        BaseOptions { double_quant: args.double_quant, block: Some(args.block), ..BaseOptions::default() };
    let quantization = flags.quantization(Quantization::default())?;
    if let Some(stored) = BaseWeights::open(&args.model)?.quantized() {
        let found = format!("{}, which has {stored} already", args.model.display());
        return Err(Error::setting("--model", found, "a model that is not quantized"));
    }
    let how = Merging { trained_on: HeldAs::F32, onto: Onto::Original, stored: MergedAs::Nf4(quantization) };
    let mut progress: Option<Progress> = None;
    let report = merge(be, &args.model, None, &args.out, how, &mut |done, total| {
        progress.get_or_insert_with(|| Progress::new("quantizing", 0, total)).at(done, String::new());
    })?;
    progress.into_iter().for_each(Progress::finish);
    if args.json {
        return putln!("{:#}", json!({ "out": args.out, "report": as_json(&report) }));
    }
    put!("{}", table(&report, |tensor| tensor.error > 0.0))?;
    putln!(
        "Wrote {} instead of {}, {quantization}, to {}.",
        show::bytes(report.bytes_after),
        show::bytes(report.bytes_before),
        args.out.display()
    )
}
