//! The Rust form of `cuda/include/kernels.h`, which explains it. Written by `cargo run -p bindings`.
#![allow(unreachable_pub, dead_code)]

pub const SCORE_THREADS: u32 = 256;
pub const MATMUL_STEP: u32 = 32;
pub const MATMUL_WIDE_ROWS: u32 = 128;
pub const MATMUL_WIDE_COLS: u32 = 256;
pub const MATMUL_WIDE_THREADS: u32 = 256;
pub const MATMUL_WIDE_STAGES: u32 = 4;
pub const MATMUL_MIDDLE_ROWS: u32 = 128;
pub const MATMUL_MIDDLE_COLS: u32 = 128;
pub const MATMUL_MIDDLE_THREADS: u32 = 128;
pub const MATMUL_MIDDLE_STAGES: u32 = 3;
pub const MATMUL_SMALL_ROWS: u32 = 64;
pub const MATMUL_SMALL_COLS: u32 = 64;
pub const MATMUL_SMALL_THREADS: u32 = 128;
pub const MATMUL_SMALL_STAGES: u32 = 4;
pub const MATMUL_BAND: u32 = 8;
pub const MATMUL_SUM_THREADS: u32 = 256;
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
pub struct MatmulArgs {
    pub rows: u32,
    pub cols: u32,
    pub depth: u32,
    pub split_depth: u32,
    pub add: u32,
    pub scale: f32,
    pub left: u64,
    pub right: u64,
    pub partials: u64,
    pub out: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of MatmulArgs"][::core::mem::size_of::<MatmulArgs>() - 56usize];
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
        "Offset of field: MatmulArgs::add",
    ][::core::mem::offset_of!(MatmulArgs, add) - 16usize];
    [
        "Offset of field: MatmulArgs::scale",
    ][::core::mem::offset_of!(MatmulArgs, scale) - 20usize];
    [
        "Offset of field: MatmulArgs::left",
    ][::core::mem::offset_of!(MatmulArgs, left) - 24usize];
    [
        "Offset of field: MatmulArgs::right",
    ][::core::mem::offset_of!(MatmulArgs, right) - 32usize];
    [
        "Offset of field: MatmulArgs::partials",
    ][::core::mem::offset_of!(MatmulArgs, partials) - 40usize];
    [
        "Offset of field: MatmulArgs::out",
    ][::core::mem::offset_of!(MatmulArgs, out) - 48usize];
};
