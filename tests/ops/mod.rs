//! A file per op.

mod csr_add;
mod csr_embedding;
mod csr_transpose;
mod score;
mod sddmm;
mod spmm;
mod topk_mask;
