//! A file per op.

mod adamw;
mod attention;
mod bias;
mod cross_entropy;
mod dropout;
mod embedding;
mod grad_norm;
mod matmul;
mod rmsnorm;
mod rope;
mod rows;
mod swiglu;
