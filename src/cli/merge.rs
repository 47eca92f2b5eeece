//! `rosa-mini merge`.

use super::{
    device::{OnDevice, on_device},
    print::putln,
};
use clap::Args;
use rosa_kernels::{
    architecture::Architecture,
    backend::Backend,
    checkpoint::{AdapterFile, merge},
    error::{Error, Result},
    options::DeviceKind,
};
use serde_json::json;
use std::{fs, path::PathBuf};

/// Merge an adapter into its base model, as a Hugging Face directory that other tools load.
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
    /// Type of the merged weights; small changes are lost below half an ulp of it
    #[arg(long, value_enum, default_value_t = merge::StoredAs::Keep)]
    dtype: merge::StoredAs,
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

pub(super) fn run(args: &MergeArgs) -> Result<()> {
    if args.out.is_file() || fs::read_dir(&args.out).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Error::setting(
            "--out",
            format!("{}, which exists", args.out.display()),
            "a new directory",
        ));
    }
    on_device(args.device, args.threads, args)
}

impl OnDevice for &MergeArgs {
    fn run<B: Backend>(self, be: B) -> Result<()> {
        write_merged(&be, self)
    }
}

fn write_merged<B: Backend>(be: &B, args: &MergeArgs) -> Result<()> {
    let architecture = Architecture::read(&args.model)?;
    let adapter = AdapterFile::read(&args.adapter, Some(&architecture))?;
    merge::merge(be, &args.model, &adapter, &args.out, args.dtype)?;
    if args.json {
        putln!("{:#}", json!({ "out": args.out, "modules": adapter.modules.len() }))?;
    } else {
        putln!("Merged {} modules into {}.", adapter.modules.len(), args.out.display())?;
    }
    Ok(())
}
