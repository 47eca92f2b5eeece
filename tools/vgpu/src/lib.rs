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
mod fragment;
mod instruction;
mod lexer;
mod memory;
pub mod model;
mod module;
pub mod occupancy;
mod ops;
mod parser;
pub mod profile;
mod program;
mod proxy;
mod race;
mod registers;
mod report;
pub mod resources;
mod rounding;
mod types;
mod warp;
mod warpgroup;
mod watch;

pub use counters::{Class, Counters};
pub use device::{Device, Loaded, Options};
pub use error::{Error, Fault, FaultKind};
pub use module::Module;
pub use types::Space;
