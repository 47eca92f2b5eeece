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
pub const SDDMM_CODES_AHEAD: u32 = 3;
pub const SDDMM_COLUMN_BITS: u32 = 13;
pub const SDDMM_ZERO_COLUMNS: u32 = 8;
pub const SDDMM_NO_ENTRY: u32 = 4294967295;
pub const SDDMM_SLAB_THREADS: u32 = 512;
pub const SDDMM_ENTRY_THREADS: u32 = 256;
pub const SDDMM_DENSE_ROWS: u32 = 256;
pub const SDDMM_DENSE_COLS: u32 = 128;
pub const SDDMM_DENSE_TOKENS: u32 = 16;
pub const SDDMM_DENSE_STAGES: u32 = 4;
pub const SDDMM_DENSE_THREADS: u32 = 256;
pub const ELEMENTWISE_THREADS: u32 = 256;
pub const ROW_THREADS: u32 = 512;
pub const ROW_KEPT_COLUMNS: u32 = 16;
pub const ROPE_HEADS: u32 = 8;
pub const OCCURRENCE_THREADS: u32 = 256;
pub const COLUMN_THREADS: u32 = 256;
pub const BIAS_ROWS: u32 = 128;
pub const NORM_THREADS: u32 = 512;
pub const NORM_BLOCK_ELEMENTS: u32 = 8192;
pub const NORM_BLOCKS: u32 = 1024;
pub const MATMUL_STEP: u32 = 32;
pub const MATMUL_WIDE_ROWS: u32 = 128;
pub const MATMUL_WIDE_COLS: u32 = 256;
pub const MATMUL_WIDE_THREADS: u32 = 256;
pub const MATMUL_WIDE_STAGES: u32 = 4;
pub const MATMUL_MIDDLE_ROWS: u32 = 128;
pub const MATMUL_MIDDLE_COLS: u32 = 128;
pub const MATMUL_MIDDLE_THREADS: u32 = 128;
pub const MATMUL_MIDDLE_STAGES: u32 = 3;
pub const MATMUL_MIDDLE_F32_THREADS: u32 = 256;
pub const MATMUL_NARROW_ROWS: u32 = 128;
pub const MATMUL_NARROW_COLS: u32 = 64;
pub const MATMUL_NARROW_THREADS: u32 = 128;
pub const MATMUL_NARROW_STAGES: u32 = 3;
pub const MATMUL_SMALL_ROWS: u32 = 64;
pub const MATMUL_SMALL_COLS: u32 = 64;
pub const MATMUL_SMALL_THREADS: u32 = 128;
pub const MATMUL_SMALL_STAGES: u32 = 4;
pub const MATMUL_90A_STEP: u32 = 64;
pub const MATMUL_90A_ROWS: u32 = 128;
pub const MATMUL_90A_THREADS: u32 = 256;
pub const MATMUL_90A_WIDE_COLS: u32 = 256;
pub const MATMUL_90A_WIDE_STAGES: u32 = 4;
pub const MATMUL_90A_MIDDLE_COLS: u32 = 128;
pub const MATMUL_90A_MIDDLE_STAGES: u32 = 6;
pub const MATMUL_BAND: u32 = 8;
pub const MATMUL_SUM_THREADS: u32 = 256;
pub const MATMUL_OVERWRITE: u32 = 0;
pub const MATMUL_ADD: u32 = 1;
pub const MATMUL_ADD_SQUARE: u32 = 2;
pub const ATTENTION_THREADS: u32 = 128;
pub const ATTENTION_TILE: u32 = 64;
pub const ATTENTION_WIDE: u32 = 128;
pub const ATTENTION_NARROW: u32 = 64;
pub const ATTENTION_PADDING: u32 = 8;
pub const NF4_QUANTIZE_THREADS: u32 = 256;
pub const NF4_QUANTIZE_CHUNK: u32 = 4096;
pub const NF4_DEQUANTIZE_THREADS: u32 = 128;
pub const NF4_DEQUANTIZE_CHUNK: u32 = 4096;
pub const NF4_DEQUANTIZE_BLOCKS: u32 = 6;
pub const NF4_MATMUL_ROWS: u32 = 128;
pub const NF4_MATMUL_COLS: u32 = 256;
pub const NF4_MATMUL_THREADS: u32 = 256;
pub const NF4_MATMUL_STEP: u32 = 64;
pub const NF4_MATMUL_STAGES: u32 = 3;
pub const NF4_MATMUL_UNITS: u32 = 2048;
pub const NF4_MATMUL_ENTRIES: u32 = 255;
pub const NF4_MATMUL_PLACE_SHIFT: u32 = 11;
pub const NF4_MATMUL_SLOT_SHIFT: u32 = 14;
pub const NF4_GEMV_ROWS: u32 = 32;
pub const NF4_GEMV_THREADS: u32 = 256;
pub const NF4_GEMV_TOKENS: u32 = 8;
pub const NF4_GEMV_SPAN: u32 = 128;
pub const NF4_GEMV_SPANS_SHIFT: u32 = 2;
pub const NF4_GEMV_PADDING: u32 = 64;
#[repr(C)]
#[derive(Debug, Copy, Clone, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Nf4Weight {
    pub block_shift: u32,
    pub offset: f32,
    pub packed: u64,
    pub codes: u64,
    pub absmax: u64,
    pub dynamic_codes: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of Nf4Weight"][::core::mem::size_of::<Nf4Weight>() - 40usize];
    ["Alignment of Nf4Weight"][::core::mem::align_of::<Nf4Weight>() - 8usize];
    [
        "Offset of field: Nf4Weight::block_shift",
    ][::core::mem::offset_of!(Nf4Weight, block_shift) - 0usize];
    [
        "Offset of field: Nf4Weight::offset",
    ][::core::mem::offset_of!(Nf4Weight, offset) - 4usize];
    [
        "Offset of field: Nf4Weight::packed",
    ][::core::mem::offset_of!(Nf4Weight, packed) - 8usize];
    [
        "Offset of field: Nf4Weight::codes",
    ][::core::mem::offset_of!(Nf4Weight, codes) - 16usize];
    [
        "Offset of field: Nf4Weight::absmax",
    ][::core::mem::offset_of!(Nf4Weight, absmax) - 24usize];
    [
        "Offset of field: Nf4Weight::dynamic_codes",
    ][::core::mem::offset_of!(Nf4Weight, dynamic_codes) - 32usize];
};
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
pub struct ScoreTimesNf4Args {
    pub len: u64,
    pub w: Nf4Weight,
    pub scores: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of ScoreTimesNf4Args"][::core::mem::size_of::<ScoreTimesNf4Args>() - 56usize];
    [
        "Alignment of ScoreTimesNf4Args",
    ][::core::mem::align_of::<ScoreTimesNf4Args>() - 8usize];
    [
        "Offset of field: ScoreTimesNf4Args::len",
    ][::core::mem::offset_of!(ScoreTimesNf4Args, len) - 0usize];
    [
        "Offset of field: ScoreTimesNf4Args::w",
    ][::core::mem::offset_of!(ScoreTimesNf4Args, w) - 8usize];
    [
        "Offset of field: ScoreTimesNf4Args::scores",
    ][::core::mem::offset_of!(ScoreTimesNf4Args, scores) - 48usize];
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
    pub held_tokens: u32,
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
        "Offset of field: SddmmDenseArgs::held_tokens",
    ][::core::mem::offset_of!(SddmmDenseArgs, held_tokens) - 12usize];
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
#[repr(C)]
#[derive(Debug, Copy, Clone, bytemuck::Pod, bytemuck::Zeroable)]
pub struct RmsnormArgs {
    pub rows: u64,
    pub cols: u32,
    pub eps: f32,
    pub x: u64,
    pub gain: u64,
    pub y: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of RmsnormArgs"][::core::mem::size_of::<RmsnormArgs>() - 40usize];
    ["Alignment of RmsnormArgs"][::core::mem::align_of::<RmsnormArgs>() - 8usize];
    [
        "Offset of field: RmsnormArgs::rows",
    ][::core::mem::offset_of!(RmsnormArgs, rows) - 0usize];
    [
        "Offset of field: RmsnormArgs::cols",
    ][::core::mem::offset_of!(RmsnormArgs, cols) - 8usize];
    [
        "Offset of field: RmsnormArgs::eps",
    ][::core::mem::offset_of!(RmsnormArgs, eps) - 12usize];
    [
        "Offset of field: RmsnormArgs::x",
    ][::core::mem::offset_of!(RmsnormArgs, x) - 16usize];
    [
        "Offset of field: RmsnormArgs::gain",
    ][::core::mem::offset_of!(RmsnormArgs, gain) - 24usize];
    [
        "Offset of field: RmsnormArgs::y",
    ][::core::mem::offset_of!(RmsnormArgs, y) - 32usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone, bytemuck::Pod, bytemuck::Zeroable)]
pub struct RmsnormBackwardArgs {
    pub rows: u64,
    pub cols: u32,
    pub eps: f32,
    pub x: u64,
    pub gain: u64,
    pub dy: u64,
    pub dx: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of RmsnormBackwardArgs",
    ][::core::mem::size_of::<RmsnormBackwardArgs>() - 48usize];
    [
        "Alignment of RmsnormBackwardArgs",
    ][::core::mem::align_of::<RmsnormBackwardArgs>() - 8usize];
    [
        "Offset of field: RmsnormBackwardArgs::rows",
    ][::core::mem::offset_of!(RmsnormBackwardArgs, rows) - 0usize];
    [
        "Offset of field: RmsnormBackwardArgs::cols",
    ][::core::mem::offset_of!(RmsnormBackwardArgs, cols) - 8usize];
    [
        "Offset of field: RmsnormBackwardArgs::eps",
    ][::core::mem::offset_of!(RmsnormBackwardArgs, eps) - 12usize];
    [
        "Offset of field: RmsnormBackwardArgs::x",
    ][::core::mem::offset_of!(RmsnormBackwardArgs, x) - 16usize];
    [
        "Offset of field: RmsnormBackwardArgs::gain",
    ][::core::mem::offset_of!(RmsnormBackwardArgs, gain) - 24usize];
    [
        "Offset of field: RmsnormBackwardArgs::dy",
    ][::core::mem::offset_of!(RmsnormBackwardArgs, dy) - 32usize];
    [
        "Offset of field: RmsnormBackwardArgs::dx",
    ][::core::mem::offset_of!(RmsnormBackwardArgs, dx) - 40usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone, bytemuck::Pod, bytemuck::Zeroable)]
pub struct RmsnormReciprocalArgs {
    pub rows: u64,
    pub cols: u32,
    pub eps: f32,
    pub x: u64,
    pub reciprocals: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of RmsnormReciprocalArgs",
    ][::core::mem::size_of::<RmsnormReciprocalArgs>() - 32usize];
    [
        "Alignment of RmsnormReciprocalArgs",
    ][::core::mem::align_of::<RmsnormReciprocalArgs>() - 8usize];
    [
        "Offset of field: RmsnormReciprocalArgs::rows",
    ][::core::mem::offset_of!(RmsnormReciprocalArgs, rows) - 0usize];
    [
        "Offset of field: RmsnormReciprocalArgs::cols",
    ][::core::mem::offset_of!(RmsnormReciprocalArgs, cols) - 8usize];
    [
        "Offset of field: RmsnormReciprocalArgs::eps",
    ][::core::mem::offset_of!(RmsnormReciprocalArgs, eps) - 12usize];
    [
        "Offset of field: RmsnormReciprocalArgs::x",
    ][::core::mem::offset_of!(RmsnormReciprocalArgs, x) - 16usize];
    [
        "Offset of field: RmsnormReciprocalArgs::reciprocals",
    ][::core::mem::offset_of!(RmsnormReciprocalArgs, reciprocals) - 24usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone, bytemuck::Pod, bytemuck::Zeroable)]
pub struct RmsnormGainArgs {
    pub rows: u32,
    pub cols: u32,
    pub chunk_rows: u64,
    pub x: u64,
    pub dy: u64,
    pub reciprocals: u64,
    pub partials: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of RmsnormGainArgs"][::core::mem::size_of::<RmsnormGainArgs>() - 48usize];
    [
        "Alignment of RmsnormGainArgs",
    ][::core::mem::align_of::<RmsnormGainArgs>() - 8usize];
    [
        "Offset of field: RmsnormGainArgs::rows",
    ][::core::mem::offset_of!(RmsnormGainArgs, rows) - 0usize];
    [
        "Offset of field: RmsnormGainArgs::cols",
    ][::core::mem::offset_of!(RmsnormGainArgs, cols) - 4usize];
    [
        "Offset of field: RmsnormGainArgs::chunk_rows",
    ][::core::mem::offset_of!(RmsnormGainArgs, chunk_rows) - 8usize];
    [
        "Offset of field: RmsnormGainArgs::x",
    ][::core::mem::offset_of!(RmsnormGainArgs, x) - 16usize];
    [
        "Offset of field: RmsnormGainArgs::dy",
    ][::core::mem::offset_of!(RmsnormGainArgs, dy) - 24usize];
    [
        "Offset of field: RmsnormGainArgs::reciprocals",
    ][::core::mem::offset_of!(RmsnormGainArgs, reciprocals) - 32usize];
    [
        "Offset of field: RmsnormGainArgs::partials",
    ][::core::mem::offset_of!(RmsnormGainArgs, partials) - 40usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone, bytemuck::Pod, bytemuck::Zeroable)]
pub struct RopeArgs {
    pub tokens: u32,
    pub heads: u32,
    pub half: u32,
    pub sign: f32,
    pub cos: u64,
    pub sin: u64,
    pub positions: u64,
    pub x: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of RopeArgs"][::core::mem::size_of::<RopeArgs>() - 48usize];
    ["Alignment of RopeArgs"][::core::mem::align_of::<RopeArgs>() - 8usize];
    [
        "Offset of field: RopeArgs::tokens",
    ][::core::mem::offset_of!(RopeArgs, tokens) - 0usize];
    [
        "Offset of field: RopeArgs::heads",
    ][::core::mem::offset_of!(RopeArgs, heads) - 4usize];
    [
        "Offset of field: RopeArgs::half",
    ][::core::mem::offset_of!(RopeArgs, half) - 8usize];
    [
        "Offset of field: RopeArgs::sign",
    ][::core::mem::offset_of!(RopeArgs, sign) - 12usize];
    ["Offset of field: RopeArgs::cos"][::core::mem::offset_of!(RopeArgs, cos) - 16usize];
    ["Offset of field: RopeArgs::sin"][::core::mem::offset_of!(RopeArgs, sin) - 24usize];
    [
        "Offset of field: RopeArgs::positions",
    ][::core::mem::offset_of!(RopeArgs, positions) - 32usize];
    ["Offset of field: RopeArgs::x"][::core::mem::offset_of!(RopeArgs, x) - 40usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone, bytemuck::Pod, bytemuck::Zeroable)]
pub struct SwigluArgs {
    pub len: u64,
    pub gate: u64,
    pub up: u64,
    pub y: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of SwigluArgs"][::core::mem::size_of::<SwigluArgs>() - 32usize];
    ["Alignment of SwigluArgs"][::core::mem::align_of::<SwigluArgs>() - 8usize];
    [
        "Offset of field: SwigluArgs::len",
    ][::core::mem::offset_of!(SwigluArgs, len) - 0usize];
    [
        "Offset of field: SwigluArgs::gate",
    ][::core::mem::offset_of!(SwigluArgs, gate) - 8usize];
    [
        "Offset of field: SwigluArgs::up",
    ][::core::mem::offset_of!(SwigluArgs, up) - 16usize];
    ["Offset of field: SwigluArgs::y"][::core::mem::offset_of!(SwigluArgs, y) - 24usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone, bytemuck::Pod, bytemuck::Zeroable)]
pub struct SwigluBackwardArgs {
    pub len: u64,
    pub gate: u64,
    pub up: u64,
    pub dy: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of SwigluBackwardArgs",
    ][::core::mem::size_of::<SwigluBackwardArgs>() - 32usize];
    [
        "Alignment of SwigluBackwardArgs",
    ][::core::mem::align_of::<SwigluBackwardArgs>() - 8usize];
    [
        "Offset of field: SwigluBackwardArgs::len",
    ][::core::mem::offset_of!(SwigluBackwardArgs, len) - 0usize];
    [
        "Offset of field: SwigluBackwardArgs::gate",
    ][::core::mem::offset_of!(SwigluBackwardArgs, gate) - 8usize];
    [
        "Offset of field: SwigluBackwardArgs::up",
    ][::core::mem::offset_of!(SwigluBackwardArgs, up) - 16usize];
    [
        "Offset of field: SwigluBackwardArgs::dy",
    ][::core::mem::offset_of!(SwigluBackwardArgs, dy) - 24usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone, bytemuck::Pod, bytemuck::Zeroable)]
pub struct EmbeddingArgs {
    pub tokens: u64,
    pub cols: u64,
    pub table: u64,
    pub ids: u64,
    pub y: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of EmbeddingArgs"][::core::mem::size_of::<EmbeddingArgs>() - 40usize];
    ["Alignment of EmbeddingArgs"][::core::mem::align_of::<EmbeddingArgs>() - 8usize];
    [
        "Offset of field: EmbeddingArgs::tokens",
    ][::core::mem::offset_of!(EmbeddingArgs, tokens) - 0usize];
    [
        "Offset of field: EmbeddingArgs::cols",
    ][::core::mem::offset_of!(EmbeddingArgs, cols) - 8usize];
    [
        "Offset of field: EmbeddingArgs::table",
    ][::core::mem::offset_of!(EmbeddingArgs, table) - 16usize];
    [
        "Offset of field: EmbeddingArgs::ids",
    ][::core::mem::offset_of!(EmbeddingArgs, ids) - 24usize];
    [
        "Offset of field: EmbeddingArgs::y",
    ][::core::mem::offset_of!(EmbeddingArgs, y) - 32usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone, bytemuck::Pod, bytemuck::Zeroable)]
pub struct EmbeddingNf4Args {
    pub tokens: u64,
    pub cols: u64,
    pub table: Nf4Weight,
    pub ids: u64,
    pub y: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of EmbeddingNf4Args"][::core::mem::size_of::<EmbeddingNf4Args>() - 72usize];
    [
        "Alignment of EmbeddingNf4Args",
    ][::core::mem::align_of::<EmbeddingNf4Args>() - 8usize];
    [
        "Offset of field: EmbeddingNf4Args::tokens",
    ][::core::mem::offset_of!(EmbeddingNf4Args, tokens) - 0usize];
    [
        "Offset of field: EmbeddingNf4Args::cols",
    ][::core::mem::offset_of!(EmbeddingNf4Args, cols) - 8usize];
    [
        "Offset of field: EmbeddingNf4Args::table",
    ][::core::mem::offset_of!(EmbeddingNf4Args, table) - 16usize];
    [
        "Offset of field: EmbeddingNf4Args::ids",
    ][::core::mem::offset_of!(EmbeddingNf4Args, ids) - 56usize];
    [
        "Offset of field: EmbeddingNf4Args::y",
    ][::core::mem::offset_of!(EmbeddingNf4Args, y) - 64usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone, bytemuck::Pod, bytemuck::Zeroable)]
pub struct EmbeddingGradArgs {
    pub tokens: u32,
    pub cols: u32,
    pub ids: u64,
    pub dy: u64,
    pub dtable: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of EmbeddingGradArgs"][::core::mem::size_of::<EmbeddingGradArgs>() - 32usize];
    [
        "Alignment of EmbeddingGradArgs",
    ][::core::mem::align_of::<EmbeddingGradArgs>() - 8usize];
    [
        "Offset of field: EmbeddingGradArgs::tokens",
    ][::core::mem::offset_of!(EmbeddingGradArgs, tokens) - 0usize];
    [
        "Offset of field: EmbeddingGradArgs::cols",
    ][::core::mem::offset_of!(EmbeddingGradArgs, cols) - 4usize];
    [
        "Offset of field: EmbeddingGradArgs::ids",
    ][::core::mem::offset_of!(EmbeddingGradArgs, ids) - 8usize];
    [
        "Offset of field: EmbeddingGradArgs::dy",
    ][::core::mem::offset_of!(EmbeddingGradArgs, dy) - 16usize];
    [
        "Offset of field: EmbeddingGradArgs::dtable",
    ][::core::mem::offset_of!(EmbeddingGradArgs, dtable) - 24usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone, bytemuck::Pod, bytemuck::Zeroable)]
pub struct CsrEmbeddingArgs {
    pub tokens: u64,
    pub cols: u64,
    pub row_offsets: u64,
    pub col_indices: u64,
    pub values: u64,
    pub ids: u64,
    pub y: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of CsrEmbeddingArgs"][::core::mem::size_of::<CsrEmbeddingArgs>() - 56usize];
    [
        "Alignment of CsrEmbeddingArgs",
    ][::core::mem::align_of::<CsrEmbeddingArgs>() - 8usize];
    [
        "Offset of field: CsrEmbeddingArgs::tokens",
    ][::core::mem::offset_of!(CsrEmbeddingArgs, tokens) - 0usize];
    [
        "Offset of field: CsrEmbeddingArgs::cols",
    ][::core::mem::offset_of!(CsrEmbeddingArgs, cols) - 8usize];
    [
        "Offset of field: CsrEmbeddingArgs::row_offsets",
    ][::core::mem::offset_of!(CsrEmbeddingArgs, row_offsets) - 16usize];
    [
        "Offset of field: CsrEmbeddingArgs::col_indices",
    ][::core::mem::offset_of!(CsrEmbeddingArgs, col_indices) - 24usize];
    [
        "Offset of field: CsrEmbeddingArgs::values",
    ][::core::mem::offset_of!(CsrEmbeddingArgs, values) - 32usize];
    [
        "Offset of field: CsrEmbeddingArgs::ids",
    ][::core::mem::offset_of!(CsrEmbeddingArgs, ids) - 40usize];
    [
        "Offset of field: CsrEmbeddingArgs::y",
    ][::core::mem::offset_of!(CsrEmbeddingArgs, y) - 48usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone, bytemuck::Pod, bytemuck::Zeroable)]
pub struct CsrEmbeddingGradArgs {
    pub tokens: u32,
    pub cols: u32,
    pub row_offsets: u64,
    pub col_indices: u64,
    pub ids: u64,
    pub dy: u64,
    pub values: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of CsrEmbeddingGradArgs",
    ][::core::mem::size_of::<CsrEmbeddingGradArgs>() - 48usize];
    [
        "Alignment of CsrEmbeddingGradArgs",
    ][::core::mem::align_of::<CsrEmbeddingGradArgs>() - 8usize];
    [
        "Offset of field: CsrEmbeddingGradArgs::tokens",
    ][::core::mem::offset_of!(CsrEmbeddingGradArgs, tokens) - 0usize];
    [
        "Offset of field: CsrEmbeddingGradArgs::cols",
    ][::core::mem::offset_of!(CsrEmbeddingGradArgs, cols) - 4usize];
    [
        "Offset of field: CsrEmbeddingGradArgs::row_offsets",
    ][::core::mem::offset_of!(CsrEmbeddingGradArgs, row_offsets) - 8usize];
    [
        "Offset of field: CsrEmbeddingGradArgs::col_indices",
    ][::core::mem::offset_of!(CsrEmbeddingGradArgs, col_indices) - 16usize];
    [
        "Offset of field: CsrEmbeddingGradArgs::ids",
    ][::core::mem::offset_of!(CsrEmbeddingGradArgs, ids) - 24usize];
    [
        "Offset of field: CsrEmbeddingGradArgs::dy",
    ][::core::mem::offset_of!(CsrEmbeddingGradArgs, dy) - 32usize];
    [
        "Offset of field: CsrEmbeddingGradArgs::values",
    ][::core::mem::offset_of!(CsrEmbeddingGradArgs, values) - 40usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone, bytemuck::Pod, bytemuck::Zeroable)]
pub struct RowsArgs {
    pub count: u64,
    pub cols: u64,
    pub x: u64,
    pub rows: u64,
    pub y: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of RowsArgs"][::core::mem::size_of::<RowsArgs>() - 40usize];
    ["Alignment of RowsArgs"][::core::mem::align_of::<RowsArgs>() - 8usize];
    [
        "Offset of field: RowsArgs::count",
    ][::core::mem::offset_of!(RowsArgs, count) - 0usize];
    [
        "Offset of field: RowsArgs::cols",
    ][::core::mem::offset_of!(RowsArgs, cols) - 8usize];
    ["Offset of field: RowsArgs::x"][::core::mem::offset_of!(RowsArgs, x) - 16usize];
    [
        "Offset of field: RowsArgs::rows",
    ][::core::mem::offset_of!(RowsArgs, rows) - 24usize];
    ["Offset of field: RowsArgs::y"][::core::mem::offset_of!(RowsArgs, y) - 32usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone, bytemuck::Pod, bytemuck::Zeroable)]
pub struct AddArgs {
    pub len: u64,
    pub x: u64,
    pub y: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of AddArgs"][::core::mem::size_of::<AddArgs>() - 24usize];
    ["Alignment of AddArgs"][::core::mem::align_of::<AddArgs>() - 8usize];
    ["Offset of field: AddArgs::len"][::core::mem::offset_of!(AddArgs, len) - 0usize];
    ["Offset of field: AddArgs::x"][::core::mem::offset_of!(AddArgs, x) - 8usize];
    ["Offset of field: AddArgs::y"][::core::mem::offset_of!(AddArgs, y) - 16usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone, bytemuck::Pod, bytemuck::Zeroable)]
pub struct BiasAddArgs {
    pub rows: u64,
    pub cols: u64,
    pub bias: u64,
    pub x: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of BiasAddArgs"][::core::mem::size_of::<BiasAddArgs>() - 32usize];
    ["Alignment of BiasAddArgs"][::core::mem::align_of::<BiasAddArgs>() - 8usize];
    [
        "Offset of field: BiasAddArgs::rows",
    ][::core::mem::offset_of!(BiasAddArgs, rows) - 0usize];
    [
        "Offset of field: BiasAddArgs::cols",
    ][::core::mem::offset_of!(BiasAddArgs, cols) - 8usize];
    [
        "Offset of field: BiasAddArgs::bias",
    ][::core::mem::offset_of!(BiasAddArgs, bias) - 16usize];
    [
        "Offset of field: BiasAddArgs::x",
    ][::core::mem::offset_of!(BiasAddArgs, x) - 24usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone, bytemuck::Pod, bytemuck::Zeroable)]
pub struct BiasGradArgs {
    pub rows: u32,
    pub cols: u32,
    pub chunk_rows: u64,
    pub dy: u64,
    pub partials: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of BiasGradArgs"][::core::mem::size_of::<BiasGradArgs>() - 32usize];
    ["Alignment of BiasGradArgs"][::core::mem::align_of::<BiasGradArgs>() - 8usize];
    [
        "Offset of field: BiasGradArgs::rows",
    ][::core::mem::offset_of!(BiasGradArgs, rows) - 0usize];
    [
        "Offset of field: BiasGradArgs::cols",
    ][::core::mem::offset_of!(BiasGradArgs, cols) - 4usize];
    [
        "Offset of field: BiasGradArgs::chunk_rows",
    ][::core::mem::offset_of!(BiasGradArgs, chunk_rows) - 8usize];
    [
        "Offset of field: BiasGradArgs::dy",
    ][::core::mem::offset_of!(BiasGradArgs, dy) - 16usize];
    [
        "Offset of field: BiasGradArgs::partials",
    ][::core::mem::offset_of!(BiasGradArgs, partials) - 24usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone, bytemuck::Pod, bytemuck::Zeroable)]
pub struct ColumnTotalsArgs {
    pub chunks: u64,
    pub cols: u64,
    pub partials: u64,
    pub sums: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of ColumnTotalsArgs"][::core::mem::size_of::<ColumnTotalsArgs>() - 32usize];
    [
        "Alignment of ColumnTotalsArgs",
    ][::core::mem::align_of::<ColumnTotalsArgs>() - 8usize];
    [
        "Offset of field: ColumnTotalsArgs::chunks",
    ][::core::mem::offset_of!(ColumnTotalsArgs, chunks) - 0usize];
    [
        "Offset of field: ColumnTotalsArgs::cols",
    ][::core::mem::offset_of!(ColumnTotalsArgs, cols) - 8usize];
    [
        "Offset of field: ColumnTotalsArgs::partials",
    ][::core::mem::offset_of!(ColumnTotalsArgs, partials) - 16usize];
    [
        "Offset of field: ColumnTotalsArgs::sums",
    ][::core::mem::offset_of!(ColumnTotalsArgs, sums) - 24usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone, bytemuck::Pod, bytemuck::Zeroable)]
pub struct DropoutArgs {
    pub len: u64,
    pub offset: u64,
    pub seed: u64,
    pub stream: u64,
    pub p: f32,
    pub scale: f32,
    pub x: u64,
    pub y: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of DropoutArgs"][::core::mem::size_of::<DropoutArgs>() - 56usize];
    ["Alignment of DropoutArgs"][::core::mem::align_of::<DropoutArgs>() - 8usize];
    [
        "Offset of field: DropoutArgs::len",
    ][::core::mem::offset_of!(DropoutArgs, len) - 0usize];
    [
        "Offset of field: DropoutArgs::offset",
    ][::core::mem::offset_of!(DropoutArgs, offset) - 8usize];
    [
        "Offset of field: DropoutArgs::seed",
    ][::core::mem::offset_of!(DropoutArgs, seed) - 16usize];
    [
        "Offset of field: DropoutArgs::stream",
    ][::core::mem::offset_of!(DropoutArgs, stream) - 24usize];
    [
        "Offset of field: DropoutArgs::p",
    ][::core::mem::offset_of!(DropoutArgs, p) - 32usize];
    [
        "Offset of field: DropoutArgs::scale",
    ][::core::mem::offset_of!(DropoutArgs, scale) - 36usize];
    [
        "Offset of field: DropoutArgs::x",
    ][::core::mem::offset_of!(DropoutArgs, x) - 40usize];
    [
        "Offset of field: DropoutArgs::y",
    ][::core::mem::offset_of!(DropoutArgs, y) - 48usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone, bytemuck::Pod, bytemuck::Zeroable)]
pub struct CrossEntropyArgs {
    pub cols: u32,
    pub scale: f32,
    pub targets: u64,
    pub losses: u64,
    pub logits: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of CrossEntropyArgs"][::core::mem::size_of::<CrossEntropyArgs>() - 32usize];
    [
        "Alignment of CrossEntropyArgs",
    ][::core::mem::align_of::<CrossEntropyArgs>() - 8usize];
    [
        "Offset of field: CrossEntropyArgs::cols",
    ][::core::mem::offset_of!(CrossEntropyArgs, cols) - 0usize];
    [
        "Offset of field: CrossEntropyArgs::scale",
    ][::core::mem::offset_of!(CrossEntropyArgs, scale) - 4usize];
    [
        "Offset of field: CrossEntropyArgs::targets",
    ][::core::mem::offset_of!(CrossEntropyArgs, targets) - 8usize];
    [
        "Offset of field: CrossEntropyArgs::losses",
    ][::core::mem::offset_of!(CrossEntropyArgs, losses) - 16usize];
    [
        "Offset of field: CrossEntropyArgs::logits",
    ][::core::mem::offset_of!(CrossEntropyArgs, logits) - 24usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone, bytemuck::Pod, bytemuck::Zeroable)]
pub struct ArgmaxArgs {
    pub cols: u64,
    pub x: u64,
    pub best: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of ArgmaxArgs"][::core::mem::size_of::<ArgmaxArgs>() - 24usize];
    ["Alignment of ArgmaxArgs"][::core::mem::align_of::<ArgmaxArgs>() - 8usize];
    [
        "Offset of field: ArgmaxArgs::cols",
    ][::core::mem::offset_of!(ArgmaxArgs, cols) - 0usize];
    ["Offset of field: ArgmaxArgs::x"][::core::mem::offset_of!(ArgmaxArgs, x) - 8usize];
    [
        "Offset of field: ArgmaxArgs::best",
    ][::core::mem::offset_of!(ArgmaxArgs, best) - 16usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone, bytemuck::Pod, bytemuck::Zeroable)]
pub struct SumSquaresArgs {
    pub len: u64,
    pub x: u64,
    pub sums: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of SumSquaresArgs"][::core::mem::size_of::<SumSquaresArgs>() - 24usize];
    ["Alignment of SumSquaresArgs"][::core::mem::align_of::<SumSquaresArgs>() - 8usize];
    [
        "Offset of field: SumSquaresArgs::len",
    ][::core::mem::offset_of!(SumSquaresArgs, len) - 0usize];
    [
        "Offset of field: SumSquaresArgs::x",
    ][::core::mem::offset_of!(SumSquaresArgs, x) - 8usize];
    [
        "Offset of field: SumSquaresArgs::sums",
    ][::core::mem::offset_of!(SumSquaresArgs, sums) - 16usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone, bytemuck::Pod, bytemuck::Zeroable)]
pub struct SumPartialsArgs {
    pub len: u64,
    pub partials: u64,
    pub sums: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of SumPartialsArgs"][::core::mem::size_of::<SumPartialsArgs>() - 24usize];
    [
        "Alignment of SumPartialsArgs",
    ][::core::mem::align_of::<SumPartialsArgs>() - 8usize];
    [
        "Offset of field: SumPartialsArgs::len",
    ][::core::mem::offset_of!(SumPartialsArgs, len) - 0usize];
    [
        "Offset of field: SumPartialsArgs::partials",
    ][::core::mem::offset_of!(SumPartialsArgs, partials) - 8usize];
    [
        "Offset of field: SumPartialsArgs::sums",
    ][::core::mem::offset_of!(SumPartialsArgs, sums) - 16usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone, bytemuck::Pod, bytemuck::Zeroable)]
pub struct ClipFactorArgs {
    pub slots: u32,
    pub max_norm: f32,
    pub sums: u64,
    pub clip: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of ClipFactorArgs"][::core::mem::size_of::<ClipFactorArgs>() - 24usize];
    ["Alignment of ClipFactorArgs"][::core::mem::align_of::<ClipFactorArgs>() - 8usize];
    [
        "Offset of field: ClipFactorArgs::slots",
    ][::core::mem::offset_of!(ClipFactorArgs, slots) - 0usize];
    [
        "Offset of field: ClipFactorArgs::max_norm",
    ][::core::mem::offset_of!(ClipFactorArgs, max_norm) - 4usize];
    [
        "Offset of field: ClipFactorArgs::sums",
    ][::core::mem::offset_of!(ClipFactorArgs, sums) - 8usize];
    [
        "Offset of field: ClipFactorArgs::clip",
    ][::core::mem::offset_of!(ClipFactorArgs, clip) - 16usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone, bytemuck::Pod, bytemuck::Zeroable)]
pub struct AdamwArgs {
    pub len: u32,
    pub beta1: f32,
    pub rest1: f32,
    pub beta2: f32,
    pub rest2: f32,
    pub unbias_m: f32,
    pub unbias_v: f32,
    pub lr: f32,
    pub eps: f32,
    pub keep: f32,
    pub clip: u64,
    pub grad: u64,
    pub m: u64,
    pub v: u64,
    pub x: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of AdamwArgs"][::core::mem::size_of::<AdamwArgs>() - 80usize];
    ["Alignment of AdamwArgs"][::core::mem::align_of::<AdamwArgs>() - 8usize];
    [
        "Offset of field: AdamwArgs::len",
    ][::core::mem::offset_of!(AdamwArgs, len) - 0usize];
    [
        "Offset of field: AdamwArgs::beta1",
    ][::core::mem::offset_of!(AdamwArgs, beta1) - 4usize];
    [
        "Offset of field: AdamwArgs::rest1",
    ][::core::mem::offset_of!(AdamwArgs, rest1) - 8usize];
    [
        "Offset of field: AdamwArgs::beta2",
    ][::core::mem::offset_of!(AdamwArgs, beta2) - 12usize];
    [
        "Offset of field: AdamwArgs::rest2",
    ][::core::mem::offset_of!(AdamwArgs, rest2) - 16usize];
    [
        "Offset of field: AdamwArgs::unbias_m",
    ][::core::mem::offset_of!(AdamwArgs, unbias_m) - 20usize];
    [
        "Offset of field: AdamwArgs::unbias_v",
    ][::core::mem::offset_of!(AdamwArgs, unbias_v) - 24usize];
    ["Offset of field: AdamwArgs::lr"][::core::mem::offset_of!(AdamwArgs, lr) - 28usize];
    [
        "Offset of field: AdamwArgs::eps",
    ][::core::mem::offset_of!(AdamwArgs, eps) - 32usize];
    [
        "Offset of field: AdamwArgs::keep",
    ][::core::mem::offset_of!(AdamwArgs, keep) - 36usize];
    [
        "Offset of field: AdamwArgs::clip",
    ][::core::mem::offset_of!(AdamwArgs, clip) - 40usize];
    [
        "Offset of field: AdamwArgs::grad",
    ][::core::mem::offset_of!(AdamwArgs, grad) - 48usize];
    ["Offset of field: AdamwArgs::m"][::core::mem::offset_of!(AdamwArgs, m) - 56usize];
    ["Offset of field: AdamwArgs::v"][::core::mem::offset_of!(AdamwArgs, v) - 64usize];
    ["Offset of field: AdamwArgs::x"][::core::mem::offset_of!(AdamwArgs, x) - 72usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone, bytemuck::Pod, bytemuck::Zeroable)]
pub struct MatmulArgs {
    pub rows: u32,
    pub cols: u32,
    pub depth: u32,
    pub split_depth: u32,
    pub write: u32,
    pub rank: u32,
    pub scale: f32,
    pub low_rank_scale: f32,
    pub left: u64,
    pub right: u64,
    pub bias: u64,
    pub u: u64,
    pub factor: u64,
    pub partials: u64,
    pub out: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of MatmulArgs"][::core::mem::size_of::<MatmulArgs>() - 88usize];
    ["Alignment of MatmulArgs"][::core::mem::align_of::<MatmulArgs>() - 8usize];
    [
        "Offset of field: MatmulArgs::rows",
    ][::core::mem::offset_of!(MatmulArgs, rows) - 0usize];
    [
        "Offset of field: MatmulArgs::cols",
    ][::core::mem::offset_of!(MatmulArgs, cols) - 4usize];
    [
        "Offset of field: MatmulArgs::depth",
    ][::core::mem::offset_of!(MatmulArgs, depth) - 8usize];
    [
        "Offset of field: MatmulArgs::split_depth",
    ][::core::mem::offset_of!(MatmulArgs, split_depth) - 12usize];
    [
        "Offset of field: MatmulArgs::write",
    ][::core::mem::offset_of!(MatmulArgs, write) - 16usize];
    [
        "Offset of field: MatmulArgs::rank",
    ][::core::mem::offset_of!(MatmulArgs, rank) - 20usize];
    [
        "Offset of field: MatmulArgs::scale",
    ][::core::mem::offset_of!(MatmulArgs, scale) - 24usize];
    [
        "Offset of field: MatmulArgs::low_rank_scale",
    ][::core::mem::offset_of!(MatmulArgs, low_rank_scale) - 28usize];
    [
        "Offset of field: MatmulArgs::left",
    ][::core::mem::offset_of!(MatmulArgs, left) - 32usize];
    [
        "Offset of field: MatmulArgs::right",
    ][::core::mem::offset_of!(MatmulArgs, right) - 40usize];
    [
        "Offset of field: MatmulArgs::bias",
    ][::core::mem::offset_of!(MatmulArgs, bias) - 48usize];
    ["Offset of field: MatmulArgs::u"][::core::mem::offset_of!(MatmulArgs, u) - 56usize];
    [
        "Offset of field: MatmulArgs::factor",
    ][::core::mem::offset_of!(MatmulArgs, factor) - 64usize];
    [
        "Offset of field: MatmulArgs::partials",
    ][::core::mem::offset_of!(MatmulArgs, partials) - 72usize];
    [
        "Offset of field: MatmulArgs::out",
    ][::core::mem::offset_of!(MatmulArgs, out) - 80usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone, bytemuck::Pod, bytemuck::Zeroable)]
pub struct AttentionArgs {
    pub sequences: u32,
    pub heads: u32,
    pub kv_heads: u32,
    pub group: u32,
    pub head_dim: u32,
    pub score_scale: f32,
    pub tokens: u32,
    pub part_keys: u32,
    pub packing: u64,
    pub q: u64,
    pub k: u64,
    pub v: u64,
    pub y: u64,
    pub lse: u64,
    pub partials: u64,
    pub softmax: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of AttentionArgs"][::core::mem::size_of::<AttentionArgs>() - 96usize];
    ["Alignment of AttentionArgs"][::core::mem::align_of::<AttentionArgs>() - 8usize];
    [
        "Offset of field: AttentionArgs::sequences",
    ][::core::mem::offset_of!(AttentionArgs, sequences) - 0usize];
    [
        "Offset of field: AttentionArgs::heads",
    ][::core::mem::offset_of!(AttentionArgs, heads) - 4usize];
    [
        "Offset of field: AttentionArgs::kv_heads",
    ][::core::mem::offset_of!(AttentionArgs, kv_heads) - 8usize];
    [
        "Offset of field: AttentionArgs::group",
    ][::core::mem::offset_of!(AttentionArgs, group) - 12usize];
    [
        "Offset of field: AttentionArgs::head_dim",
    ][::core::mem::offset_of!(AttentionArgs, head_dim) - 16usize];
    [
        "Offset of field: AttentionArgs::score_scale",
    ][::core::mem::offset_of!(AttentionArgs, score_scale) - 20usize];
    [
        "Offset of field: AttentionArgs::tokens",
    ][::core::mem::offset_of!(AttentionArgs, tokens) - 24usize];
    [
        "Offset of field: AttentionArgs::part_keys",
    ][::core::mem::offset_of!(AttentionArgs, part_keys) - 28usize];
    [
        "Offset of field: AttentionArgs::packing",
    ][::core::mem::offset_of!(AttentionArgs, packing) - 32usize];
    [
        "Offset of field: AttentionArgs::q",
    ][::core::mem::offset_of!(AttentionArgs, q) - 40usize];
    [
        "Offset of field: AttentionArgs::k",
    ][::core::mem::offset_of!(AttentionArgs, k) - 48usize];
    [
        "Offset of field: AttentionArgs::v",
    ][::core::mem::offset_of!(AttentionArgs, v) - 56usize];
    [
        "Offset of field: AttentionArgs::y",
    ][::core::mem::offset_of!(AttentionArgs, y) - 64usize];
    [
        "Offset of field: AttentionArgs::lse",
    ][::core::mem::offset_of!(AttentionArgs, lse) - 72usize];
    [
        "Offset of field: AttentionArgs::partials",
    ][::core::mem::offset_of!(AttentionArgs, partials) - 80usize];
    [
        "Offset of field: AttentionArgs::softmax",
    ][::core::mem::offset_of!(AttentionArgs, softmax) - 88usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone, bytemuck::Pod, bytemuck::Zeroable)]
pub struct AttentionSumArgs {
    pub rows: u32,
    pub head_dim: u32,
    pub parts: u64,
    pub partials: u64,
    pub softmax: u64,
    pub y: u64,
    pub lse: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of AttentionSumArgs"][::core::mem::size_of::<AttentionSumArgs>() - 48usize];
    [
        "Alignment of AttentionSumArgs",
    ][::core::mem::align_of::<AttentionSumArgs>() - 8usize];
    [
        "Offset of field: AttentionSumArgs::rows",
    ][::core::mem::offset_of!(AttentionSumArgs, rows) - 0usize];
    [
        "Offset of field: AttentionSumArgs::head_dim",
    ][::core::mem::offset_of!(AttentionSumArgs, head_dim) - 4usize];
    [
        "Offset of field: AttentionSumArgs::parts",
    ][::core::mem::offset_of!(AttentionSumArgs, parts) - 8usize];
    [
        "Offset of field: AttentionSumArgs::partials",
    ][::core::mem::offset_of!(AttentionSumArgs, partials) - 16usize];
    [
        "Offset of field: AttentionSumArgs::softmax",
    ][::core::mem::offset_of!(AttentionSumArgs, softmax) - 24usize];
    [
        "Offset of field: AttentionSumArgs::y",
    ][::core::mem::offset_of!(AttentionSumArgs, y) - 32usize];
    [
        "Offset of field: AttentionSumArgs::lse",
    ][::core::mem::offset_of!(AttentionSumArgs, lse) - 40usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone, bytemuck::Pod, bytemuck::Zeroable)]
pub struct AttentionMeansArgs {
    pub rows: u64,
    pub head_dim: u64,
    pub y: u64,
    pub dy: u64,
    pub means: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of AttentionMeansArgs",
    ][::core::mem::size_of::<AttentionMeansArgs>() - 40usize];
    [
        "Alignment of AttentionMeansArgs",
    ][::core::mem::align_of::<AttentionMeansArgs>() - 8usize];
    [
        "Offset of field: AttentionMeansArgs::rows",
    ][::core::mem::offset_of!(AttentionMeansArgs, rows) - 0usize];
    [
        "Offset of field: AttentionMeansArgs::head_dim",
    ][::core::mem::offset_of!(AttentionMeansArgs, head_dim) - 8usize];
    [
        "Offset of field: AttentionMeansArgs::y",
    ][::core::mem::offset_of!(AttentionMeansArgs, y) - 16usize];
    [
        "Offset of field: AttentionMeansArgs::dy",
    ][::core::mem::offset_of!(AttentionMeansArgs, dy) - 24usize];
    [
        "Offset of field: AttentionMeansArgs::means",
    ][::core::mem::offset_of!(AttentionMeansArgs, means) - 32usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone, bytemuck::Pod, bytemuck::Zeroable)]
pub struct AttentionBackwardArgs {
    pub sequences: u32,
    pub heads: u32,
    pub kv_heads: u32,
    pub group: u32,
    pub head_dim: u32,
    pub score_scale: f32,
    pub packing: u64,
    pub q: u64,
    pub k: u64,
    pub v: u64,
    pub dy: u64,
    pub lse: u64,
    pub means: u64,
    pub dq: u64,
    pub dk: u64,
    pub dv: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of AttentionBackwardArgs",
    ][::core::mem::size_of::<AttentionBackwardArgs>() - 104usize];
    [
        "Alignment of AttentionBackwardArgs",
    ][::core::mem::align_of::<AttentionBackwardArgs>() - 8usize];
    [
        "Offset of field: AttentionBackwardArgs::sequences",
    ][::core::mem::offset_of!(AttentionBackwardArgs, sequences) - 0usize];
    [
        "Offset of field: AttentionBackwardArgs::heads",
    ][::core::mem::offset_of!(AttentionBackwardArgs, heads) - 4usize];
    [
        "Offset of field: AttentionBackwardArgs::kv_heads",
    ][::core::mem::offset_of!(AttentionBackwardArgs, kv_heads) - 8usize];
    [
        "Offset of field: AttentionBackwardArgs::group",
    ][::core::mem::offset_of!(AttentionBackwardArgs, group) - 12usize];
    [
        "Offset of field: AttentionBackwardArgs::head_dim",
    ][::core::mem::offset_of!(AttentionBackwardArgs, head_dim) - 16usize];
    [
        "Offset of field: AttentionBackwardArgs::score_scale",
    ][::core::mem::offset_of!(AttentionBackwardArgs, score_scale) - 20usize];
    [
        "Offset of field: AttentionBackwardArgs::packing",
    ][::core::mem::offset_of!(AttentionBackwardArgs, packing) - 24usize];
    [
        "Offset of field: AttentionBackwardArgs::q",
    ][::core::mem::offset_of!(AttentionBackwardArgs, q) - 32usize];
    [
        "Offset of field: AttentionBackwardArgs::k",
    ][::core::mem::offset_of!(AttentionBackwardArgs, k) - 40usize];
    [
        "Offset of field: AttentionBackwardArgs::v",
    ][::core::mem::offset_of!(AttentionBackwardArgs, v) - 48usize];
    [
        "Offset of field: AttentionBackwardArgs::dy",
    ][::core::mem::offset_of!(AttentionBackwardArgs, dy) - 56usize];
    [
        "Offset of field: AttentionBackwardArgs::lse",
    ][::core::mem::offset_of!(AttentionBackwardArgs, lse) - 64usize];
    [
        "Offset of field: AttentionBackwardArgs::means",
    ][::core::mem::offset_of!(AttentionBackwardArgs, means) - 72usize];
    [
        "Offset of field: AttentionBackwardArgs::dq",
    ][::core::mem::offset_of!(AttentionBackwardArgs, dq) - 80usize];
    [
        "Offset of field: AttentionBackwardArgs::dk",
    ][::core::mem::offset_of!(AttentionBackwardArgs, dk) - 88usize];
    [
        "Offset of field: AttentionBackwardArgs::dv",
    ][::core::mem::offset_of!(AttentionBackwardArgs, dv) - 96usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Nf4QuantizeArgs {
    pub len: u64,
    pub block_shift: u64,
    pub w: u64,
    pub packed: u64,
    pub absmax: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of Nf4QuantizeArgs"][::core::mem::size_of::<Nf4QuantizeArgs>() - 40usize];
    [
        "Alignment of Nf4QuantizeArgs",
    ][::core::mem::align_of::<Nf4QuantizeArgs>() - 8usize];
    [
        "Offset of field: Nf4QuantizeArgs::len",
    ][::core::mem::offset_of!(Nf4QuantizeArgs, len) - 0usize];
    [
        "Offset of field: Nf4QuantizeArgs::block_shift",
    ][::core::mem::offset_of!(Nf4QuantizeArgs, block_shift) - 8usize];
    [
        "Offset of field: Nf4QuantizeArgs::w",
    ][::core::mem::offset_of!(Nf4QuantizeArgs, w) - 16usize];
    [
        "Offset of field: Nf4QuantizeArgs::packed",
    ][::core::mem::offset_of!(Nf4QuantizeArgs, packed) - 24usize];
    [
        "Offset of field: Nf4QuantizeArgs::absmax",
    ][::core::mem::offset_of!(Nf4QuantizeArgs, absmax) - 32usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Nf4DequantizeArgs {
    pub len: u64,
    pub w: Nf4Weight,
    pub starts: u64,
    pub places: u64,
    pub values: u64,
    pub y: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of Nf4DequantizeArgs"][::core::mem::size_of::<Nf4DequantizeArgs>() - 80usize];
    [
        "Alignment of Nf4DequantizeArgs",
    ][::core::mem::align_of::<Nf4DequantizeArgs>() - 8usize];
    [
        "Offset of field: Nf4DequantizeArgs::len",
    ][::core::mem::offset_of!(Nf4DequantizeArgs, len) - 0usize];
    [
        "Offset of field: Nf4DequantizeArgs::w",
    ][::core::mem::offset_of!(Nf4DequantizeArgs, w) - 8usize];
    [
        "Offset of field: Nf4DequantizeArgs::starts",
    ][::core::mem::offset_of!(Nf4DequantizeArgs, starts) - 48usize];
    [
        "Offset of field: Nf4DequantizeArgs::places",
    ][::core::mem::offset_of!(Nf4DequantizeArgs, places) - 56usize];
    [
        "Offset of field: Nf4DequantizeArgs::values",
    ][::core::mem::offset_of!(Nf4DequantizeArgs, values) - 64usize];
    [
        "Offset of field: Nf4DequantizeArgs::y",
    ][::core::mem::offset_of!(Nf4DequantizeArgs, y) - 72usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Nf4MatmulArgs {
    pub rows: u32,
    pub cols: u32,
    pub depth: u32,
    pub split_depth: u32,
    pub add: u32,
    pub rank: u32,
    pub scale: f32,
    pub factor_scale: f32,
    pub w: Nf4Weight,
    pub left: u64,
    pub bias: u64,
    pub u: u64,
    pub factor: u64,
    pub starts: u64,
    pub entries: u64,
    pub values: u64,
    pub partials: u64,
    pub out: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of Nf4MatmulArgs"][::core::mem::size_of::<Nf4MatmulArgs>() - 144usize];
    ["Alignment of Nf4MatmulArgs"][::core::mem::align_of::<Nf4MatmulArgs>() - 8usize];
    [
        "Offset of field: Nf4MatmulArgs::rows",
    ][::core::mem::offset_of!(Nf4MatmulArgs, rows) - 0usize];
    [
        "Offset of field: Nf4MatmulArgs::cols",
    ][::core::mem::offset_of!(Nf4MatmulArgs, cols) - 4usize];
    [
        "Offset of field: Nf4MatmulArgs::depth",
    ][::core::mem::offset_of!(Nf4MatmulArgs, depth) - 8usize];
    [
        "Offset of field: Nf4MatmulArgs::split_depth",
    ][::core::mem::offset_of!(Nf4MatmulArgs, split_depth) - 12usize];
    [
        "Offset of field: Nf4MatmulArgs::add",
    ][::core::mem::offset_of!(Nf4MatmulArgs, add) - 16usize];
    [
        "Offset of field: Nf4MatmulArgs::rank",
    ][::core::mem::offset_of!(Nf4MatmulArgs, rank) - 20usize];
    [
        "Offset of field: Nf4MatmulArgs::scale",
    ][::core::mem::offset_of!(Nf4MatmulArgs, scale) - 24usize];
    [
        "Offset of field: Nf4MatmulArgs::factor_scale",
    ][::core::mem::offset_of!(Nf4MatmulArgs, factor_scale) - 28usize];
    [
        "Offset of field: Nf4MatmulArgs::w",
    ][::core::mem::offset_of!(Nf4MatmulArgs, w) - 32usize];
    [
        "Offset of field: Nf4MatmulArgs::left",
    ][::core::mem::offset_of!(Nf4MatmulArgs, left) - 72usize];
    [
        "Offset of field: Nf4MatmulArgs::bias",
    ][::core::mem::offset_of!(Nf4MatmulArgs, bias) - 80usize];
    [
        "Offset of field: Nf4MatmulArgs::u",
    ][::core::mem::offset_of!(Nf4MatmulArgs, u) - 88usize];
    [
        "Offset of field: Nf4MatmulArgs::factor",
    ][::core::mem::offset_of!(Nf4MatmulArgs, factor) - 96usize];
    [
        "Offset of field: Nf4MatmulArgs::starts",
    ][::core::mem::offset_of!(Nf4MatmulArgs, starts) - 104usize];
    [
        "Offset of field: Nf4MatmulArgs::entries",
    ][::core::mem::offset_of!(Nf4MatmulArgs, entries) - 112usize];
    [
        "Offset of field: Nf4MatmulArgs::values",
    ][::core::mem::offset_of!(Nf4MatmulArgs, values) - 120usize];
    [
        "Offset of field: Nf4MatmulArgs::partials",
    ][::core::mem::offset_of!(Nf4MatmulArgs, partials) - 128usize];
    [
        "Offset of field: Nf4MatmulArgs::out",
    ][::core::mem::offset_of!(Nf4MatmulArgs, out) - 136usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Nf4GemvArgs {
    pub tokens: u32,
    pub rows: u32,
    pub depth: u32,
    pub spans_shift: u32,
    pub add: u32,
    pub rank: u32,
    pub scale: f32,
    pub factor_scale: f32,
    pub w: Nf4Weight,
    pub x: u64,
    pub bias: u64,
    pub u: u64,
    pub factor: u64,
    pub row_offsets: u64,
    pub col_indices: u64,
    pub values: u64,
    pub y: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of Nf4GemvArgs"][::core::mem::size_of::<Nf4GemvArgs>() - 136usize];
    ["Alignment of Nf4GemvArgs"][::core::mem::align_of::<Nf4GemvArgs>() - 8usize];
    [
        "Offset of field: Nf4GemvArgs::tokens",
    ][::core::mem::offset_of!(Nf4GemvArgs, tokens) - 0usize];
    [
        "Offset of field: Nf4GemvArgs::rows",
    ][::core::mem::offset_of!(Nf4GemvArgs, rows) - 4usize];
    [
        "Offset of field: Nf4GemvArgs::depth",
    ][::core::mem::offset_of!(Nf4GemvArgs, depth) - 8usize];
    [
        "Offset of field: Nf4GemvArgs::spans_shift",
    ][::core::mem::offset_of!(Nf4GemvArgs, spans_shift) - 12usize];
    [
        "Offset of field: Nf4GemvArgs::add",
    ][::core::mem::offset_of!(Nf4GemvArgs, add) - 16usize];
    [
        "Offset of field: Nf4GemvArgs::rank",
    ][::core::mem::offset_of!(Nf4GemvArgs, rank) - 20usize];
    [
        "Offset of field: Nf4GemvArgs::scale",
    ][::core::mem::offset_of!(Nf4GemvArgs, scale) - 24usize];
    [
        "Offset of field: Nf4GemvArgs::factor_scale",
    ][::core::mem::offset_of!(Nf4GemvArgs, factor_scale) - 28usize];
    [
        "Offset of field: Nf4GemvArgs::w",
    ][::core::mem::offset_of!(Nf4GemvArgs, w) - 32usize];
    [
        "Offset of field: Nf4GemvArgs::x",
    ][::core::mem::offset_of!(Nf4GemvArgs, x) - 72usize];
    [
        "Offset of field: Nf4GemvArgs::bias",
    ][::core::mem::offset_of!(Nf4GemvArgs, bias) - 80usize];
    [
        "Offset of field: Nf4GemvArgs::u",
    ][::core::mem::offset_of!(Nf4GemvArgs, u) - 88usize];
    [
        "Offset of field: Nf4GemvArgs::factor",
    ][::core::mem::offset_of!(Nf4GemvArgs, factor) - 96usize];
    [
        "Offset of field: Nf4GemvArgs::row_offsets",
    ][::core::mem::offset_of!(Nf4GemvArgs, row_offsets) - 104usize];
    [
        "Offset of field: Nf4GemvArgs::col_indices",
    ][::core::mem::offset_of!(Nf4GemvArgs, col_indices) - 112usize];
    [
        "Offset of field: Nf4GemvArgs::values",
    ][::core::mem::offset_of!(Nf4GemvArgs, values) - 120usize];
    [
        "Offset of field: Nf4GemvArgs::y",
    ][::core::mem::offset_of!(Nf4GemvArgs, y) - 128usize];
};
