//! Output that survives a reader who has left: `rosa-mini … | head` ends quietly, and a training run whose stderr
//! is closed goes on.

use rosa_kernels::error::{Error, Result};
use std::{
    fmt,
    io::{self, Write},
};

/// Writes a result to stdout. A pipe that nobody reads any more ends the program, successfully.
///
/// # Errors
/// [`Error::Io`] when stdout cannot be written, such as to a full disk.
pub(super) fn to_stdout(text: fmt::Arguments<'_>) -> Result<()> {
    let mut stdout = io::stdout();
    match stdout.write_fmt(text).and_then(|()| stdout.flush()) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        written => written.map_err(Error::io("write", "standard output")),
    }
}

/// Writes a remark to stderr; nobody may be there to read it.
pub(super) fn to_stderr(text: fmt::Arguments<'_>) {
    let _ = io::stderr().write_fmt(text);
}

/// `print!` for results, without its panic: a `Result`.
macro_rules! put {
    ($($text:tt)*) => { $crate::cli::print::to_stdout(format_args!($($text)*)) };
}

/// `println!` for results, without its panic: a `Result`.
macro_rules! putln {
    ($($text:tt)*) => { $crate::cli::print::to_stdout(format_args!("{}\n", format_args!($($text)*))) };
}

/// `eprintln!` for remarks, without its panic.
macro_rules! note {
    ($($text:tt)*) => { $crate::cli::print::to_stderr(format_args!("{}\n", format_args!($($text)*))) };
}

pub(super) use {note, put, putln};
