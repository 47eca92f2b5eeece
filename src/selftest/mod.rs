//! Every operation against naive f64 arithmetic, on the device at hand: a proof that needs nothing but the binary.
//!
//! A [`Case`] is an op on operands, and what each element of its outputs should be, by a formula that shares nothing
//! with the backends, with a bound on the error that is derived, not tuned. [`proofs()`] are small and reach every kernel;
//! those of a [`Layer`] have the shapes of a model, and are there to be timed. To add an op: a function here that makes
//! its case, and a line in `proofs` and in `layer`.

mod attention;
mod case;
mod elementwise;
mod inputs;
mod layer;
mod linear;
mod lookup;
mod loss;
mod nf4;
mod optimizer;
mod products;
mod proofs;
mod sparse;
mod verdict;

pub use case::Case;
pub use layer::{Layer, layer};
pub use proofs::{proofs, sparse_proofs};
pub use verdict::{Exact, Verdict};

use crate::error::Result;

/// What is told each case in turn: the op's name, and the case or why it could not be made.
pub type Each<'a> = dyn FnMut(&'static str, Result<Case>) + 'a;
