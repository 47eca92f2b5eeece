#![doc = include_str!("../README.md")]

mod access;
mod atomic;
mod block;
mod collective;
mod counters;
mod decode;
mod device;
mod driver;
mod error;
mod instruction;
mod lexer;
mod memory;
mod module;
mod ops;
mod parser;
pub mod profile;
mod program;
mod race;
mod registers;
mod rounding;
mod types;
mod warp;
mod watch;

pub use counters::{Class, Counters};
pub use device::{Device, Loaded, Options};
pub use error::{Error, Fault, FaultKind};
pub use module::Module;
pub use types::Space;
