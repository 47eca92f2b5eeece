//! `rosa-mini`: RoSA fine-tuning of Llama-family models from the command line.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run(std::env::args_os())
}
