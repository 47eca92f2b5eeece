//! The Rust form of `cuda/include/kernels.h`, which explains it. Written by `cargo run -p bindings`.
#![allow(unreachable_pub, dead_code)]

pub const SCORE_THREADS: u32 = 256;
pub const ATTENTION_THREADS: u32 = 128;
pub const ATTENTION_TILE: u32 = 64;
pub const ATTENTION_WIDE: u32 = 128;
pub const ATTENTION_NARROW: u32 = 64;
pub const ATTENTION_PADDING: u32 = 8;
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
pub struct AttentionArgs {
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
    pub y: u64,
    pub lse: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of AttentionArgs"][::core::mem::size_of::<AttentionArgs>() - 72usize];
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
        "Offset of field: AttentionArgs::packing",
    ][::core::mem::offset_of!(AttentionArgs, packing) - 24usize];
    [
        "Offset of field: AttentionArgs::q",
    ][::core::mem::offset_of!(AttentionArgs, q) - 32usize];
    [
        "Offset of field: AttentionArgs::k",
    ][::core::mem::offset_of!(AttentionArgs, k) - 40usize];
    [
        "Offset of field: AttentionArgs::v",
    ][::core::mem::offset_of!(AttentionArgs, v) - 48usize];
    [
        "Offset of field: AttentionArgs::y",
    ][::core::mem::offset_of!(AttentionArgs, y) - 56usize];
    [
        "Offset of field: AttentionArgs::lse",
    ][::core::mem::offset_of!(AttentionArgs, lse) - 64usize];
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
