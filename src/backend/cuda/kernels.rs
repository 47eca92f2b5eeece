//! The Rust form of `cuda/include/kernels.h`, which explains it. Written by `cargo run -p bindings`.
#![allow(unreachable_pub, dead_code)]

pub const SCORE_THREADS: u32 = 256;
pub const SDDMM_WINDOW: u32 = 16;
pub const SDDMM_CHUNK: u32 = 16;
pub const SDDMM_COLUMN_BITS: u32 = 13;
pub const SDDMM_ZERO_COLUMNS: u32 = 8;
pub const SDDMM_NO_ENTRY: u32 = 4294967295;
pub const SDDMM_SLAB_THREADS: u32 = 512;
pub const SDDMM_ENTRY_THREADS: u32 = 256;
pub const SDDMM_DENSE_ROWS: u32 = 128;
pub const SDDMM_DENSE_COLS: u32 = 256;
pub const SDDMM_DENSE_TOKENS: u32 = 32;
pub const SDDMM_DENSE_STAGES: u32 = 4;
pub const SDDMM_DENSE_THREADS: u32 = 256;
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
pub struct SddmmTile {
    pub first_column: u32,
    pub first_item: u32,
    pub end_item: u32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of SddmmTile"][::core::mem::size_of::<SddmmTile>() - 12usize];
    ["Alignment of SddmmTile"][::core::mem::align_of::<SddmmTile>() - 4usize];
    [
        "Offset of field: SddmmTile::first_column",
    ][::core::mem::offset_of!(SddmmTile, first_column) - 0usize];
    [
        "Offset of field: SddmmTile::first_item",
    ][::core::mem::offset_of!(SddmmTile, first_item) - 4usize];
    [
        "Offset of field: SddmmTile::end_item",
    ][::core::mem::offset_of!(SddmmTile, end_item) - 8usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone, bytemuck::Pod, bytemuck::Zeroable)]
pub struct SddmmItem {
    pub first_row: u32,
    pub begin: u32,
    pub middle: u32,
    pub end: u32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of SddmmItem"][::core::mem::size_of::<SddmmItem>() - 16usize];
    ["Alignment of SddmmItem"][::core::mem::align_of::<SddmmItem>() - 4usize];
    [
        "Offset of field: SddmmItem::first_row",
    ][::core::mem::offset_of!(SddmmItem, first_row) - 0usize];
    [
        "Offset of field: SddmmItem::begin",
    ][::core::mem::offset_of!(SddmmItem, begin) - 4usize];
    [
        "Offset of field: SddmmItem::middle",
    ][::core::mem::offset_of!(SddmmItem, middle) - 8usize];
    [
        "Offset of field: SddmmItem::end",
    ][::core::mem::offset_of!(SddmmItem, end) - 12usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone, bytemuck::Pod, bytemuck::Zeroable)]
pub struct SddmmSlabArgs {
    pub tokens: u32,
    pub rows: u32,
    pub cols: u32,
    pub columns: u32,
    pub slots: u64,
    pub dy: u64,
    pub x: u64,
    pub tiles: u64,
    pub items: u64,
    pub codes: u64,
    pub partials: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of SddmmSlabArgs"][::core::mem::size_of::<SddmmSlabArgs>() - 72usize];
    ["Alignment of SddmmSlabArgs"][::core::mem::align_of::<SddmmSlabArgs>() - 8usize];
    [
        "Offset of field: SddmmSlabArgs::tokens",
    ][::core::mem::offset_of!(SddmmSlabArgs, tokens) - 0usize];
    [
        "Offset of field: SddmmSlabArgs::rows",
    ][::core::mem::offset_of!(SddmmSlabArgs, rows) - 4usize];
    [
        "Offset of field: SddmmSlabArgs::cols",
    ][::core::mem::offset_of!(SddmmSlabArgs, cols) - 8usize];
    [
        "Offset of field: SddmmSlabArgs::columns",
    ][::core::mem::offset_of!(SddmmSlabArgs, columns) - 12usize];
    [
        "Offset of field: SddmmSlabArgs::slots",
    ][::core::mem::offset_of!(SddmmSlabArgs, slots) - 16usize];
    [
        "Offset of field: SddmmSlabArgs::dy",
    ][::core::mem::offset_of!(SddmmSlabArgs, dy) - 24usize];
    [
        "Offset of field: SddmmSlabArgs::x",
    ][::core::mem::offset_of!(SddmmSlabArgs, x) - 32usize];
    [
        "Offset of field: SddmmSlabArgs::tiles",
    ][::core::mem::offset_of!(SddmmSlabArgs, tiles) - 40usize];
    [
        "Offset of field: SddmmSlabArgs::items",
    ][::core::mem::offset_of!(SddmmSlabArgs, items) - 48usize];
    [
        "Offset of field: SddmmSlabArgs::codes",
    ][::core::mem::offset_of!(SddmmSlabArgs, codes) - 56usize];
    [
        "Offset of field: SddmmSlabArgs::partials",
    ][::core::mem::offset_of!(SddmmSlabArgs, partials) - 64usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone, bytemuck::Pod, bytemuck::Zeroable)]
pub struct SddmmSumArgs {
    pub slots: u64,
    pub slabs: u64,
    pub entries: u64,
    pub partials: u64,
    pub ds: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of SddmmSumArgs"][::core::mem::size_of::<SddmmSumArgs>() - 40usize];
    ["Alignment of SddmmSumArgs"][::core::mem::align_of::<SddmmSumArgs>() - 8usize];
    [
        "Offset of field: SddmmSumArgs::slots",
    ][::core::mem::offset_of!(SddmmSumArgs, slots) - 0usize];
    [
        "Offset of field: SddmmSumArgs::slabs",
    ][::core::mem::offset_of!(SddmmSumArgs, slabs) - 8usize];
    [
        "Offset of field: SddmmSumArgs::entries",
    ][::core::mem::offset_of!(SddmmSumArgs, entries) - 16usize];
    [
        "Offset of field: SddmmSumArgs::partials",
    ][::core::mem::offset_of!(SddmmSumArgs, partials) - 24usize];
    [
        "Offset of field: SddmmSumArgs::ds",
    ][::core::mem::offset_of!(SddmmSumArgs, ds) - 32usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone, bytemuck::Pod, bytemuck::Zeroable)]
pub struct SddmmDenseArgs {
    pub tokens: u32,
    pub rows: u32,
    pub cols: u32,
    pub column_tiles: u32,
    pub dy: u64,
    pub x: u64,
    pub starts: u64,
    pub col_indices: u64,
    pub ds: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of SddmmDenseArgs"][::core::mem::size_of::<SddmmDenseArgs>() - 56usize];
    ["Alignment of SddmmDenseArgs"][::core::mem::align_of::<SddmmDenseArgs>() - 8usize];
    [
        "Offset of field: SddmmDenseArgs::tokens",
    ][::core::mem::offset_of!(SddmmDenseArgs, tokens) - 0usize];
    [
        "Offset of field: SddmmDenseArgs::rows",
    ][::core::mem::offset_of!(SddmmDenseArgs, rows) - 4usize];
    [
        "Offset of field: SddmmDenseArgs::cols",
    ][::core::mem::offset_of!(SddmmDenseArgs, cols) - 8usize];
    [
        "Offset of field: SddmmDenseArgs::column_tiles",
    ][::core::mem::offset_of!(SddmmDenseArgs, column_tiles) - 12usize];
    [
        "Offset of field: SddmmDenseArgs::dy",
    ][::core::mem::offset_of!(SddmmDenseArgs, dy) - 16usize];
    [
        "Offset of field: SddmmDenseArgs::x",
    ][::core::mem::offset_of!(SddmmDenseArgs, x) - 24usize];
    [
        "Offset of field: SddmmDenseArgs::starts",
    ][::core::mem::offset_of!(SddmmDenseArgs, starts) - 32usize];
    [
        "Offset of field: SddmmDenseArgs::col_indices",
    ][::core::mem::offset_of!(SddmmDenseArgs, col_indices) - 40usize];
    [
        "Offset of field: SddmmDenseArgs::ds",
    ][::core::mem::offset_of!(SddmmDenseArgs, ds) - 48usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone, bytemuck::Pod, bytemuck::Zeroable)]
pub struct SddmmGatherArgs {
    pub tokens: u32,
    pub rows: u32,
    pub cols: u32,
    pub entries: u32,
    pub dy: u64,
    pub x: u64,
    pub row_offsets: u64,
    pub col_indices: u64,
    pub ds: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of SddmmGatherArgs"][::core::mem::size_of::<SddmmGatherArgs>() - 56usize];
    [
        "Alignment of SddmmGatherArgs",
    ][::core::mem::align_of::<SddmmGatherArgs>() - 8usize];
    [
        "Offset of field: SddmmGatherArgs::tokens",
    ][::core::mem::offset_of!(SddmmGatherArgs, tokens) - 0usize];
    [
        "Offset of field: SddmmGatherArgs::rows",
    ][::core::mem::offset_of!(SddmmGatherArgs, rows) - 4usize];
    [
        "Offset of field: SddmmGatherArgs::cols",
    ][::core::mem::offset_of!(SddmmGatherArgs, cols) - 8usize];
    [
        "Offset of field: SddmmGatherArgs::entries",
    ][::core::mem::offset_of!(SddmmGatherArgs, entries) - 12usize];
    [
        "Offset of field: SddmmGatherArgs::dy",
    ][::core::mem::offset_of!(SddmmGatherArgs, dy) - 16usize];
    [
        "Offset of field: SddmmGatherArgs::x",
    ][::core::mem::offset_of!(SddmmGatherArgs, x) - 24usize];
    [
        "Offset of field: SddmmGatherArgs::row_offsets",
    ][::core::mem::offset_of!(SddmmGatherArgs, row_offsets) - 32usize];
    [
        "Offset of field: SddmmGatherArgs::col_indices",
    ][::core::mem::offset_of!(SddmmGatherArgs, col_indices) - 40usize];
    [
        "Offset of field: SddmmGatherArgs::ds",
    ][::core::mem::offset_of!(SddmmGatherArgs, ds) - 48usize];
};
