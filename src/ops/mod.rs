//! The safe operations: each checks its operands' dimensions and indices, then calls the backend.
//!
//! Every function takes the backend first and then what the [`Backend`](crate::backend::Backend)
//! method of the same name takes; the mathematics stands there. Forward and backward of an op stand
//! side by side in one file.

mod adamw;
mod attention;
mod bias;
mod cross_entropy;
mod csr_add;
mod csr_embedding;
mod csr_transpose;
mod dropout;
mod embedding;
mod grad_norm;
mod linear;
mod matmul;
mod nf4;
mod rmsnorm;
mod rope;
mod rows;
mod score;
mod sddmm;
mod spmm;
mod swiglu;
mod topk_mask;

pub use adamw::*;
pub use attention::*;
pub use bias::*;
pub use cross_entropy::*;
pub use csr_add::*;
pub use csr_embedding::*;
pub use csr_transpose::*;
pub use dropout::*;
pub use embedding::*;
pub use grad_norm::*;
pub use linear::*;
pub use matmul::*;
pub use nf4::*;
pub use rmsnorm::*;
pub use rope::*;
pub use rows::*;
pub use score::*;
pub use sddmm::*;
pub use spmm::*;
pub use swiglu::*;
pub use topk_mask::*;
