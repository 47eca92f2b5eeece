//! The part of the CUDA driver API that Rust programs call, over [`Device`](crate::Device).
//!
//! Every function runs to its end before it returns: a stream is an order, and calls come in an order. Handles are
//! numbers that are looked up, never pointers, so that a stale or foreign one is an error code. Functions have the
//! names, the parameters and the codes of NVIDIA's manual; what this driver adds goes to stderr.
#![allow(non_snake_case, reason = "the names are those of the C interface")]

mod code;
mod context;
mod device;
mod event;
mod function;
mod host;
mod init;
mod launch;
mod memory;
mod module;
mod occupancy;
mod pointer;
mod pool;
mod record;
mod settings;
mod state;
mod stream;

use code::{Answer, Code};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a call answers. A panic inside, which would be a bug of this crate, must not cross into the caller's language.
fn answer(call: impl FnOnce() -> Answer<()>) -> Code {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(())) => Code::Success,
        Ok(Err(code)) => code,
        Err(_) => Code::Unknown,
    }
}

/// Explains an answer on stderr.
fn explain(code: Code, why: impl std::fmt::Display) -> Code {
    eprintln!("vgpu: {}: {why}", code.name());
    code
}
