//! The Rust form of `cuda/include/kernels.h`, which explains it. Written by `cargo run -p bindings`.
#![allow(unreachable_pub, dead_code)]

pub const SCORE_THREADS: u32 = 256;
pub const CSR_WINDOW: u32 = 256;
pub const CSR_ADD_THREADS: u32 = 128;
pub const CSR_TRANSPOSE_CHUNK: u32 = 512;
pub const CSR_TRANSPOSE_THREADS: u32 = 128;
pub const CSR_TRANSPOSE_SCAN_THREADS: u32 = 1024;
pub const TOPK_TILE: u32 = 1024;
pub const TOPK_THREADS: u32 = 512;
pub const TOPK_SCAN_THREADS: u32 = 1024;
pub const TOPK_SHIFT_1: u32 = 20;
pub const TOPK_SHIFT_2: u32 = 10;
pub const TOPK_SHIFT_3: u32 = 0;
pub const TOPK_BINS_1: u32 = 2048;
pub const TOPK_BINS_2: u32 = 1024;
pub const TOPK_BINS_3: u32 = 1024;
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
#[repr(C)]
#[derive(Debug, Copy, Clone, bytemuck::Pod, bytemuck::Zeroable)]
pub struct TopkHistogramArgs {
    pub len: u64,
    pub scores: u64,
    pub histogram: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of TopkHistogramArgs"][::core::mem::size_of::<TopkHistogramArgs>() - 24usize];
    [
        "Alignment of TopkHistogramArgs",
    ][::core::mem::align_of::<TopkHistogramArgs>() - 8usize];
    [
        "Offset of field: TopkHistogramArgs::len",
    ][::core::mem::offset_of!(TopkHistogramArgs, len) - 0usize];
    [
        "Offset of field: TopkHistogramArgs::scores",
    ][::core::mem::offset_of!(TopkHistogramArgs, scores) - 8usize];
    [
        "Offset of field: TopkHistogramArgs::histogram",
    ][::core::mem::offset_of!(TopkHistogramArgs, histogram) - 16usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone, bytemuck::Pod, bytemuck::Zeroable)]
pub struct TopkChooseArgs {
    pub shift: u32,
    pub bins: u32,
    pub histogram: u64,
    pub state: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of TopkChooseArgs"][::core::mem::size_of::<TopkChooseArgs>() - 24usize];
    ["Alignment of TopkChooseArgs"][::core::mem::align_of::<TopkChooseArgs>() - 8usize];
    [
        "Offset of field: TopkChooseArgs::shift",
    ][::core::mem::offset_of!(TopkChooseArgs, shift) - 0usize];
    [
        "Offset of field: TopkChooseArgs::bins",
    ][::core::mem::offset_of!(TopkChooseArgs, bins) - 4usize];
    [
        "Offset of field: TopkChooseArgs::histogram",
    ][::core::mem::offset_of!(TopkChooseArgs, histogram) - 8usize];
    [
        "Offset of field: TopkChooseArgs::state",
    ][::core::mem::offset_of!(TopkChooseArgs, state) - 16usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone, bytemuck::Pod, bytemuck::Zeroable)]
pub struct TopkPassArgs {
    pub len: u64,
    pub scores: u64,
    pub state: u64,
    pub candidates: u64,
    pub result: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of TopkPassArgs"][::core::mem::size_of::<TopkPassArgs>() - 40usize];
    ["Alignment of TopkPassArgs"][::core::mem::align_of::<TopkPassArgs>() - 8usize];
    [
        "Offset of field: TopkPassArgs::len",
    ][::core::mem::offset_of!(TopkPassArgs, len) - 0usize];
    [
        "Offset of field: TopkPassArgs::scores",
    ][::core::mem::offset_of!(TopkPassArgs, scores) - 8usize];
    [
        "Offset of field: TopkPassArgs::state",
    ][::core::mem::offset_of!(TopkPassArgs, state) - 16usize];
    [
        "Offset of field: TopkPassArgs::candidates",
    ][::core::mem::offset_of!(TopkPassArgs, candidates) - 24usize];
    [
        "Offset of field: TopkPassArgs::result",
    ][::core::mem::offset_of!(TopkPassArgs, result) - 32usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone, bytemuck::Pod, bytemuck::Zeroable)]
pub struct TopkOffsetsArgs {
    pub tiles: u64,
    pub counts: u64,
    pub state: u64,
    pub offsets: u64,
    pub nnz: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of TopkOffsetsArgs"][::core::mem::size_of::<TopkOffsetsArgs>() - 40usize];
    [
        "Alignment of TopkOffsetsArgs",
    ][::core::mem::align_of::<TopkOffsetsArgs>() - 8usize];
    [
        "Offset of field: TopkOffsetsArgs::tiles",
    ][::core::mem::offset_of!(TopkOffsetsArgs, tiles) - 0usize];
    [
        "Offset of field: TopkOffsetsArgs::counts",
    ][::core::mem::offset_of!(TopkOffsetsArgs, counts) - 8usize];
    [
        "Offset of field: TopkOffsetsArgs::state",
    ][::core::mem::offset_of!(TopkOffsetsArgs, state) - 16usize];
    [
        "Offset of field: TopkOffsetsArgs::offsets",
    ][::core::mem::offset_of!(TopkOffsetsArgs, offsets) - 24usize];
    [
        "Offset of field: TopkOffsetsArgs::nnz",
    ][::core::mem::offset_of!(TopkOffsetsArgs, nnz) - 32usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone, bytemuck::Pod, bytemuck::Zeroable)]
pub struct TopkFillArgs {
    pub len: u64,
    pub rows: u32,
    pub cols: u32,
    pub scores: u64,
    pub state: u64,
    pub candidates: u64,
    pub ties: u64,
    pub offsets: u64,
    pub row_offsets: u64,
    pub col_indices: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of TopkFillArgs"][::core::mem::size_of::<TopkFillArgs>() - 72usize];
    ["Alignment of TopkFillArgs"][::core::mem::align_of::<TopkFillArgs>() - 8usize];
    [
        "Offset of field: TopkFillArgs::len",
    ][::core::mem::offset_of!(TopkFillArgs, len) - 0usize];
    [
        "Offset of field: TopkFillArgs::rows",
    ][::core::mem::offset_of!(TopkFillArgs, rows) - 8usize];
    [
        "Offset of field: TopkFillArgs::cols",
    ][::core::mem::offset_of!(TopkFillArgs, cols) - 12usize];
    [
        "Offset of field: TopkFillArgs::scores",
    ][::core::mem::offset_of!(TopkFillArgs, scores) - 16usize];
    [
        "Offset of field: TopkFillArgs::state",
    ][::core::mem::offset_of!(TopkFillArgs, state) - 24usize];
    [
        "Offset of field: TopkFillArgs::candidates",
    ][::core::mem::offset_of!(TopkFillArgs, candidates) - 32usize];
    [
        "Offset of field: TopkFillArgs::ties",
    ][::core::mem::offset_of!(TopkFillArgs, ties) - 40usize];
    [
        "Offset of field: TopkFillArgs::offsets",
    ][::core::mem::offset_of!(TopkFillArgs, offsets) - 48usize];
    [
        "Offset of field: TopkFillArgs::row_offsets",
    ][::core::mem::offset_of!(TopkFillArgs, row_offsets) - 56usize];
    [
        "Offset of field: TopkFillArgs::col_indices",
    ][::core::mem::offset_of!(TopkFillArgs, col_indices) - 64usize];
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
