//! The commands, and what they share: flags, exit codes, the one choice of a device.

mod config;
mod convert;
mod demo;
mod device;
mod doctor;
mod eval;
mod generate;
mod inspect;
mod merge;
mod model;
mod patience;
mod print;
mod profile;
mod progress;
mod quantize;
mod report;
mod show;
mod train;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use rosa_kernels::error::{Error, Result};
use std::{ffi::OsString, process::ExitCode};

/// Fine-tune a Llama with RoSA: a low-rank and a highly sparse adapter on every frozen weight, trained together
/// (arXiv 2401.04679). Runs on the CPU or an NVIDIA GPU, without any ML framework.
///
/// New here? `rosa-mini demo` needs no model and no data, and shows it all in two minutes.
#[derive(Parser)]
#[command(name = "rosa-mini", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Train an adapter (or all weights) on a JSONL file
    Train(Box<train::TrainArgs>),
    /// Measure loss, perplexity and exact match of a model on a JSONL file
    Eval(eval::EvalArgs),
    /// Continue a prompt
    Generate(generate::GenerateArgs),
    /// Merge an adapter into its base model, as a Hugging Face directory
    Merge(merge::MergeArgs),
    /// Quantize a model to 4 bits, as a directory that transformers and bitsandbytes load
    Quantize(quantize::QuantizeArgs),
    /// Convert a GGUF file to a Hugging Face directory
    Convert(convert::ConvertArgs),
    /// Show what an adapter holds, module by module
    Inspect(inspect::InspectArgs),
    /// Say what this machine and this binary offer: CPU, CUDA driver, GPUs
    Doctor(doctor::DoctorArgs),
    /// Pretrain a tiny model, then teach it text-to-SQL with LoRA and with RoSA at equal budgets
    Demo(demo::DemoArgs),
}

/// Runs the command line `args`: exit code 0 for success, 1 for a failure, 2 for wrong usage, 130 when the user
/// interrupted.
pub(crate) fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let parsed = config::with_config_file(args.into_iter().collect()).map(|(args, from_file)| {
        // That a number is too small, its own check says better than that there is no flag of this name.
        let command = Cli::command().mut_subcommands(|command| command.allow_negative_numbers(true));
        let cli = command.try_get_matches_from(args).and_then(|matches| Cli::from_arg_matches(&matches));
        cli.map_err(|usage| (usage, from_file))
    });
    let result = match parsed {
        Ok(Ok(cli)) => execute(cli.command),
        Ok(Err((usage, from_file))) => {
            let _ = usage.print();
            if let Some(origin) = from_file.and_then(|file| file.origin_of(&usage)) {
                print::note!("{origin}");
            }
            return ExitCode::from(if usage.use_stderr() { 2 } else { 0 });
        }
        Err(error) => Err(error),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print::note!("rosa-mini: {error}");
            match error {
                Error::Interrupted { .. } => ExitCode::from(130),
                Error::Setting { .. } => ExitCode::from(2),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

fn execute(command: Command) -> Result<()> {
    match command {
        Command::Train(args) => train::run(*args),
        Command::Eval(args) => eval::run(&args),
        Command::Generate(args) => generate::run(&args),
        Command::Merge(args) => merge::run(&args),
        Command::Quantize(args) => quantize::run(&args),
        Command::Convert(args) => convert::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Demo(args) => demo::run(&args),
    }
}
