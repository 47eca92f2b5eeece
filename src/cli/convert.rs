//! `rosa-mini convert`.

use super::{print::putln, progress::Progress, show};
use clap::Args;
use rosa_kernels::{
    checkpoint::{convert, merge::StoredAs},
    error::{Error, Result},
    gguf::Gguf,
};
use serde_json::json;
use std::{fs, path::PathBuf};

/// Convert a GGUF file, plain or quantized, to a Hugging Face directory with its tokenizer and chat template.
#[derive(Args)]
pub(super) struct ConvertArgs {
    /// The file
    #[arg(long, value_name = "FILE")]
    gguf: PathBuf,
    /// Directory to create for the model
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Type of the weights; keep is that of the file's matrices, bf16 where they are quantized
    #[arg(long, value_enum, default_value_t = StoredAs::Keep)]
    dtype: StoredAs,
    /// Print the result as JSON on stdout
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &ConvertArgs) -> Result<()> {
    if args.out.is_file() || fs::read_dir(&args.out).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Error::setting(
            "--out",
            format!("{}, which exists", args.out.display()),
            "a new directory",
        ));
    }
    let gguf = Gguf::open(&args.gguf)?;
    let mut progress: Option<Progress> = None;
    let converted = convert::convert(&gguf, &args.out, args.dtype, &mut |done, total| {
        progress.get_or_insert_with(|| Progress::new("tensors", 0, total)).at(done, String::new());
    })?;
    if let Some(progress) = progress {
        progress.finish();
    }
    let (dtype, weights, rounded) =
        (converted.dtype.to_string().to_lowercase(), converted.weights, converted.rounded);
    if args.json {
        putln!("{:#}", json!({ "out": args.out, "dtype": dtype, "weights": weights, "rounded": rounded }))?;
    } else {
        putln!("Wrote {} weights as {dtype} to {}.", show::count(weights), args.out.display())?;
        if rounded > 0 {
            putln!("{} of them were rounded; --dtype f32 keeps every bit.", show::count(rounded))?;
        }
    }
    Ok(())
}
