//! The Rust form of `cuda/include/kernels.h`, which explains it. Written by `cargo run -p bindings`.
#![allow(unreachable_pub, dead_code)]

pub const SCORE_THREADS: u32 = 256;
pub const CSR_WINDOW: u32 = 128;
pub const CSR_ADD_THREADS: u32 = 128;
pub const CSR_TRANSPOSE_CHUNK: u32 = 512;
pub const CSR_TRANSPOSE_THREADS: u32 = 128;
pub const CSR_TRANSPOSE_SCAN_THREADS: u32 = 1024;
#[repr(C)]
#[derive(Debug, Copy, Clone, bytemuck::Pod, bytemuck::Zeroable)]
pub struct ScoreAddArgs {
    pub len: u64,
    pub g: u64,
    pub scores: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of ScoreAddArgs"][::core::mem::size_of::<ScoreAddArgs>() - 24usize];
    ["Alignment of ScoreAddArgs"][::core::mem::align_of::<ScoreAddArgs>() - 8usize];
    [
        "Offset of field: ScoreAddArgs::len",
    ][::core::mem::offset_of!(ScoreAddArgs, len) - 0usize];
    [
        "Offset of field: ScoreAddArgs::g",
    ][::core::mem::offset_of!(ScoreAddArgs, g) - 8usize];
    [
        "Offset of field: ScoreAddArgs::scores",
    ][::core::mem::offset_of!(ScoreAddArgs, scores) - 16usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone, bytemuck::Pod, bytemuck::Zeroable)]
pub struct ScoreTimesArgs {
    pub len: u64,
    pub w: u64,
    pub scores: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of ScoreTimesArgs"][::core::mem::size_of::<ScoreTimesArgs>() - 24usize];
    ["Alignment of ScoreTimesArgs"][::core::mem::align_of::<ScoreTimesArgs>() - 8usize];
    [
        "Offset of field: ScoreTimesArgs::len",
    ][::core::mem::offset_of!(ScoreTimesArgs, len) - 0usize];
    [
        "Offset of field: ScoreTimesArgs::w",
    ][::core::mem::offset_of!(ScoreTimesArgs, w) - 8usize];
    [
        "Offset of field: ScoreTimesArgs::scores",
    ][::core::mem::offset_of!(ScoreTimesArgs, scores) - 16usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone, bytemuck::Pod, bytemuck::Zeroable)]
pub struct ScoreRandomArgs {
    pub len: u64,
    pub seed: u64,
    pub stream: u64,
    pub scores: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of ScoreRandomArgs"][::core::mem::size_of::<ScoreRandomArgs>() - 32usize];
    [
        "Alignment of ScoreRandomArgs",
    ][::core::mem::align_of::<ScoreRandomArgs>() - 8usize];
    [
        "Offset of field: ScoreRandomArgs::len",
    ][::core::mem::offset_of!(ScoreRandomArgs, len) - 0usize];
    [
        "Offset of field: ScoreRandomArgs::seed",
    ][::core::mem::offset_of!(ScoreRandomArgs, seed) - 8usize];
    [
        "Offset of field: ScoreRandomArgs::stream",
    ][::core::mem::offset_of!(ScoreRandomArgs, stream) - 16usize];
    [
        "Offset of field: ScoreRandomArgs::scores",
    ][::core::mem::offset_of!(ScoreRandomArgs, scores) - 24usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone, bytemuck::Pod, bytemuck::Zeroable)]
pub struct CsrAddArgs {
    pub rows: u32,
    pub cols: u32,
    pub nnz: u32,
    pub windows: u32,
    pub row_offsets: u64,
    pub col_indices: u64,
    pub values: u64,
    pub window_rows: u64,
    pub w: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of CsrAddArgs"][::core::mem::size_of::<CsrAddArgs>() - 56usize];
    ["Alignment of CsrAddArgs"][::core::mem::align_of::<CsrAddArgs>() - 8usize];
    [
        "Offset of field: CsrAddArgs::rows",
    ][::core::mem::offset_of!(CsrAddArgs, rows) - 0usize];
    [
        "Offset of field: CsrAddArgs::cols",
    ][::core::mem::offset_of!(CsrAddArgs, cols) - 4usize];
    [
        "Offset of field: CsrAddArgs::nnz",
    ][::core::mem::offset_of!(CsrAddArgs, nnz) - 8usize];
    [
        "Offset of field: CsrAddArgs::windows",
    ][::core::mem::offset_of!(CsrAddArgs, windows) - 12usize];
    [
        "Offset of field: CsrAddArgs::row_offsets",
    ][::core::mem::offset_of!(CsrAddArgs, row_offsets) - 16usize];
    [
        "Offset of field: CsrAddArgs::col_indices",
    ][::core::mem::offset_of!(CsrAddArgs, col_indices) - 24usize];
    [
        "Offset of field: CsrAddArgs::values",
    ][::core::mem::offset_of!(CsrAddArgs, values) - 32usize];
    [
        "Offset of field: CsrAddArgs::window_rows",
    ][::core::mem::offset_of!(CsrAddArgs, window_rows) - 40usize];
    ["Offset of field: CsrAddArgs::w"][::core::mem::offset_of!(CsrAddArgs, w) - 48usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone, bytemuck::Pod, bytemuck::Zeroable)]
pub struct CsrTransposeArgs {
    pub rows: u32,
    pub cols: u32,
    pub nnz: u32,
    pub chunk: u32,
    pub row_offsets: u64,
    pub col_indices: u64,
    pub counts: u64,
    pub offsets: u64,
    pub indices: u64,
    pub permutation: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of CsrTransposeArgs"][::core::mem::size_of::<CsrTransposeArgs>() - 64usize];
    [
        "Alignment of CsrTransposeArgs",
    ][::core::mem::align_of::<CsrTransposeArgs>() - 8usize];
    [
        "Offset of field: CsrTransposeArgs::rows",
    ][::core::mem::offset_of!(CsrTransposeArgs, rows) - 0usize];
    [
        "Offset of field: CsrTransposeArgs::cols",
    ][::core::mem::offset_of!(CsrTransposeArgs, cols) - 4usize];
    [
        "Offset of field: CsrTransposeArgs::nnz",
    ][::core::mem::offset_of!(CsrTransposeArgs, nnz) - 8usize];
    [
        "Offset of field: CsrTransposeArgs::chunk",
    ][::core::mem::offset_of!(CsrTransposeArgs, chunk) - 12usize];
    [
        "Offset of field: CsrTransposeArgs::row_offsets",
    ][::core::mem::offset_of!(CsrTransposeArgs, row_offsets) - 16usize];
    [
        "Offset of field: CsrTransposeArgs::col_indices",
    ][::core::mem::offset_of!(CsrTransposeArgs, col_indices) - 24usize];
    [
        "Offset of field: CsrTransposeArgs::counts",
    ][::core::mem::offset_of!(CsrTransposeArgs, counts) - 32usize];
    [
        "Offset of field: CsrTransposeArgs::offsets",
    ][::core::mem::offset_of!(CsrTransposeArgs, offsets) - 40usize];
    [
        "Offset of field: CsrTransposeArgs::indices",
    ][::core::mem::offset_of!(CsrTransposeArgs, indices) - 48usize];
    [
        "Offset of field: CsrTransposeArgs::permutation",
    ][::core::mem::offset_of!(CsrTransposeArgs, permutation) - 56usize];
};
