//! The Rust form of `cuda/include/kernels.h`, which explains it. Written by `cargo run -p bindings`.
#![allow(unreachable_pub, dead_code)]

pub const SCORE_THREADS: u32 = 256;
pub const ELEMENTWISE_THREADS: u32 = 256;
pub const ROW_THREADS: u32 = 512;
pub const ROW_KEPT_COLUMNS: u32 = 16;
pub const ROPE_HEADS: u32 = 8;
pub const OCCURRENCE_THREADS: u32 = 256;
pub const COLUMN_THREADS: u32 = 256;
pub const BIAS_ROWS: u32 = 128;
pub const NORM_THREADS: u32 = 512;
pub const NORM_BLOCK_ELEMENTS: u32 = 65536;
pub const NORM_BLOCKS: u32 = 1024;
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
    pub dgate: u64,
    pub dup: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of SwigluBackwardArgs",
    ][::core::mem::size_of::<SwigluBackwardArgs>() - 48usize];
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
    [
        "Offset of field: SwigluBackwardArgs::dgate",
    ][::core::mem::offset_of!(SwigluBackwardArgs, dgate) - 32usize];
    [
        "Offset of field: SwigluBackwardArgs::dup",
    ][::core::mem::offset_of!(SwigluBackwardArgs, dup) - 40usize];
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
    pub sum: u64,
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
        "Offset of field: SumPartialsArgs::sum",
    ][::core::mem::offset_of!(SumPartialsArgs, sum) - 16usize];
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
