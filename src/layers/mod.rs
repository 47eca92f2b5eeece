//! The layers of a Llama: each with its forward pass and, right below, the backward pass by hand.
//!
//! `forward` returns what the backward pass needs as a struct with named fields; `backward` takes it by
//! value. Running backward twice, or without forward, does not compile.

mod attention;
mod block;
mod embedding;
mod head;
mod linear;
mod mlp;
mod norm;

pub use attention::{Attention, Cache, LayerCache};
pub use block::{Block, BlockSaved};
pub use embedding::Embedding;
pub use head::Head;
pub use linear::Linear;
pub use mlp::Mlp;
pub use norm::Norm;
