//! A file per op.

mod adamw;
mod adapted_linear;
mod adapter_grads;
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
mod nf4_linear;
mod nf4_matmul;
mod rmsnorm;
mod rope;
mod rows;
mod score;
mod sddmm;
mod spmm;
mod swiglu;
mod topk_mask;
