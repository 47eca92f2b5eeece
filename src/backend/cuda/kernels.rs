//! The Rust form of `cuda/include/kernels.h`, which explains it. Written by `cargo run -p bindings`.
#![allow(unreachable_pub, dead_code)]

pub const SCORE_THREADS: u32 = 256;
pub const SPMM_WARPS: u32 = 16;
pub const SPMM_PLAIN_WARPS: u32 = 8;
pub const SPMM_SLAB_TOKENS: u32 = 16;
pub const SPMM_WINDOW_ROWS: u32 = 32;
pub const SPMM_CHUNK_SLOTS: u32 = 16;
pub const SPMM_PAD_COLUMNS: u32 = 8;
pub const SPMM_SUM_PITCH: u32 = 17;
pub const SPMM_CHUNKS_AHEAD: u32 = 4;
pub const SPMM_PLAIN_TOKENS: u32 = 4;
pub const SPMM_ONE_ROW: u32 = 32768;
pub const SPMM_NO_ROW: u32 = 255;
pub const SPMM_SOME_ROW_NOT_STORED: u32 = 2147483648;
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
pub struct SpmmSlabArgs {
    pub tokens: u32,
    pub rows: u32,
    pub cols: u32,
    pub tiles: u32,
    pub tile_cols: u32,
    pub windows: u32,
    pub x: u64,
    pub ranges: u64,
    pub slices: u64,
    pub codes: u64,
    pub values: u64,
    pub partial: u64,
    pub y: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of SpmmSlabArgs"][::core::mem::size_of::<SpmmSlabArgs>() - 80usize];
    ["Alignment of SpmmSlabArgs"][::core::mem::align_of::<SpmmSlabArgs>() - 8usize];
    [
        "Offset of field: SpmmSlabArgs::tokens",
    ][::core::mem::offset_of!(SpmmSlabArgs, tokens) - 0usize];
    [
        "Offset of field: SpmmSlabArgs::rows",
    ][::core::mem::offset_of!(SpmmSlabArgs, rows) - 4usize];
    [
        "Offset of field: SpmmSlabArgs::cols",
    ][::core::mem::offset_of!(SpmmSlabArgs, cols) - 8usize];
    [
        "Offset of field: SpmmSlabArgs::tiles",
    ][::core::mem::offset_of!(SpmmSlabArgs, tiles) - 12usize];
    [
        "Offset of field: SpmmSlabArgs::tile_cols",
    ][::core::mem::offset_of!(SpmmSlabArgs, tile_cols) - 16usize];
    [
        "Offset of field: SpmmSlabArgs::windows",
    ][::core::mem::offset_of!(SpmmSlabArgs, windows) - 20usize];
    [
        "Offset of field: SpmmSlabArgs::x",
    ][::core::mem::offset_of!(SpmmSlabArgs, x) - 24usize];
    [
        "Offset of field: SpmmSlabArgs::ranges",
    ][::core::mem::offset_of!(SpmmSlabArgs, ranges) - 32usize];
    [
        "Offset of field: SpmmSlabArgs::slices",
    ][::core::mem::offset_of!(SpmmSlabArgs, slices) - 40usize];
    [
        "Offset of field: SpmmSlabArgs::codes",
    ][::core::mem::offset_of!(SpmmSlabArgs, codes) - 48usize];
    [
        "Offset of field: SpmmSlabArgs::values",
    ][::core::mem::offset_of!(SpmmSlabArgs, values) - 56usize];
    [
        "Offset of field: SpmmSlabArgs::partial",
    ][::core::mem::offset_of!(SpmmSlabArgs, partial) - 64usize];
    [
        "Offset of field: SpmmSlabArgs::y",
    ][::core::mem::offset_of!(SpmmSlabArgs, y) - 72usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone, bytemuck::Pod, bytemuck::Zeroable)]
pub struct SpmmPlainArgs {
    pub tokens: u32,
    pub rows: u32,
    pub cols: u32,
    pub rounded: u32,
    pub row_offsets: u64,
    pub col_indices: u64,
    pub permutation: u64,
    pub values: u64,
    pub x: u64,
    pub y: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of SpmmPlainArgs"][::core::mem::size_of::<SpmmPlainArgs>() - 64usize];
    ["Alignment of SpmmPlainArgs"][::core::mem::align_of::<SpmmPlainArgs>() - 8usize];
    [
        "Offset of field: SpmmPlainArgs::tokens",
    ][::core::mem::offset_of!(SpmmPlainArgs, tokens) - 0usize];
    [
        "Offset of field: SpmmPlainArgs::rows",
    ][::core::mem::offset_of!(SpmmPlainArgs, rows) - 4usize];
    [
        "Offset of field: SpmmPlainArgs::cols",
    ][::core::mem::offset_of!(SpmmPlainArgs, cols) - 8usize];
    [
        "Offset of field: SpmmPlainArgs::rounded",
    ][::core::mem::offset_of!(SpmmPlainArgs, rounded) - 12usize];
    [
        "Offset of field: SpmmPlainArgs::row_offsets",
    ][::core::mem::offset_of!(SpmmPlainArgs, row_offsets) - 16usize];
    [
        "Offset of field: SpmmPlainArgs::col_indices",
    ][::core::mem::offset_of!(SpmmPlainArgs, col_indices) - 24usize];
    [
        "Offset of field: SpmmPlainArgs::permutation",
    ][::core::mem::offset_of!(SpmmPlainArgs, permutation) - 32usize];
    [
        "Offset of field: SpmmPlainArgs::values",
    ][::core::mem::offset_of!(SpmmPlainArgs, values) - 40usize];
    [
        "Offset of field: SpmmPlainArgs::x",
    ][::core::mem::offset_of!(SpmmPlainArgs, x) - 48usize];
    [
        "Offset of field: SpmmPlainArgs::y",
    ][::core::mem::offset_of!(SpmmPlainArgs, y) - 56usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone, bytemuck::Pod, bytemuck::Zeroable)]
pub struct SpmmPackArgs {
    pub chunks: u64,
    pub sources: u64,
    pub permutation: u64,
    pub values: u64,
    pub packed: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of SpmmPackArgs"][::core::mem::size_of::<SpmmPackArgs>() - 40usize];
    ["Alignment of SpmmPackArgs"][::core::mem::align_of::<SpmmPackArgs>() - 8usize];
    [
        "Offset of field: SpmmPackArgs::chunks",
    ][::core::mem::offset_of!(SpmmPackArgs, chunks) - 0usize];
    [
        "Offset of field: SpmmPackArgs::sources",
    ][::core::mem::offset_of!(SpmmPackArgs, sources) - 8usize];
    [
        "Offset of field: SpmmPackArgs::permutation",
    ][::core::mem::offset_of!(SpmmPackArgs, permutation) - 16usize];
    [
        "Offset of field: SpmmPackArgs::values",
    ][::core::mem::offset_of!(SpmmPackArgs, values) - 24usize];
    [
        "Offset of field: SpmmPackArgs::packed",
    ][::core::mem::offset_of!(SpmmPackArgs, packed) - 32usize];
};
