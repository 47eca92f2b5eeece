//! What vgpu counts of the dense products: sectors beside those of a 128 × 256 tiling, and bank conflicts.

use crate::counters::{Counted, Log};
use half::bf16;
use rosa_kernels::{
    backend::{LinearTerms, LowRankTerm, ScoreTerm, Write, cuda::Cuda},
    error::Result,
    ops,
    tensor::{Matrix, Weight},
};

/// The columns of an output, and the depth of its sums.
const COLS: usize = 4096;
const DEPTH: usize = 4096;
/// The depths that are run: whatever is counted grows evenly with the depth, so two of them tell it for any.
const RUN: [usize; 2] = [64, 128];
const RANK: usize = 16;

/// The limits, over a 128 × 256 tiling. An f32 weight is twice as many bytes, and takes two products: tiles of half the
/// size keep the tensor cores as busy.
const EXCESS: f64 = 1.3;
const EXCESS_OF_F32: f64 = 2.7;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Op {
    Nt,
    Nn,
    Tn,
    /// `nt` with a bias and a low-rank term.
    Linear,
    /// `nn` that is added to, with a low-rank term.
    LinearT,
    /// `tn` whose square is added.
    Score,
    NtF32,
    NnF32,
}

/// Prints what each product executed and the limits beside it; whether all limits hold.
pub fn counted(cuda: &Cuda, device: &str, log: &mut Log) -> Result<bool> {
    // As many rows as let wide tiles occupy the device as well as others do.
    let rows = if device == "a100" { 512 } else { 1024 };
    println!("\nDense products [{rows}, {COLS}] over {DEPTH}; sectors over those of a 128 x 256 tiling");
    println!(
        "{:<10}{:>12}{:>8}{:>11}{:>9}  {:<8}{:<30}  kernels",
        "op", "sectors", "tiling", "conflicts", "us", "bound", "must"
    );
    let mut good = true;
    for op in [Op::Nt, Op::Nn, Op::Tn, Op::Linear, Op::LinearT, Op::Score, Op::NtF32, Op::NnF32] {
        let [short, long] = RUN.map(|depth| {
            log.skip();
            run(cuda, op, rows, depth).map(|()| log.read(device))
        });
        let counted = extended(&short?, &long?);
        let excess = counted.sectors / tiling(op, rows);
        let limit = if matches!(op, Op::NtF32 | Op::NnF32) { EXCESS_OF_F32 } else { EXCESS };
        let held = excess <= limit && counted.conflicts == 0.0;
        good &= held;
        let (bound, time) = counted.slowest().unwrap_or_default();
        println!(
            "{:<10}{:>12}{:>8.2}{:>11}{:>9.2}  {:<8}{:<30}  {}",
            format!("{op:?}"),
            counted.sectors,
            excess,
            counted.conflicts,
            time,
            bound,
            format!("tiling <= {limit}, no conflict{}", if held { "" } else { " MISSED" }),
            counted.kernels.join(" ")
        );
    }
    Ok(good)
}

/// What a product over DEPTH counts, from two shorter ones.
fn extended(short: &Counted, long: &Counted) -> Counted {
    let factor = (DEPTH - RUN[0]) as f64 / (RUN[1] - RUN[0]) as f64;
    let at_depth = |short: f64, long: f64| short + factor * (long - short);
    let parts = short.parts.iter().map(|(part, &time)| (part.clone(), at_depth(time, long.parts[part])));
    Counted {
        sectors: at_depth(short.sectors, long.sectors),
        conflicts: at_depth(short.conflicts, long.conflicts),
        parts: parts.collect(),
        kernels: long.kernels.clone(),
        ..Counted::default()
    }
}

/// The sectors of a product of bf16 in tiles of 128 × 256, each of which reads its rows and columns once, and of its
/// output, written once and read where it is added to.
fn tiling(op: Op, rows: usize) -> f64 {
    let read = (rows * COLS * DEPTH * 2) as f64 * (1.0 / 128.0 + 1.0 / 256.0);
    let bytes_an_output = match op {
        Op::Nt | Op::Nn | Op::Linear | Op::NtF32 | Op::NnF32 => 2,
        Op::Tn | Op::LinearT => 4,
        Op::Score => 8,
    };
    (read + (rows * COLS * bytes_an_output) as f64) / 32.0
}

fn run(cuda: &Cuda, op: Op, rows: usize, depth: usize) -> Result<()> {
    let activations = |rows, cols| Matrix::<Cuda>::zeros(cuda, rows, cols);
    let f32s = |rows, cols| Matrix::<Cuda, f32>::zeros(cuda, rows, cols);
    let bf16s = |rows, cols| Matrix::<Cuda, bf16>::zeros(cuda, rows, cols);
    let (u, bias) = (activations(rows, RANK)?, f32s(1, COLS)?);
    let low_rank = |factor| Some(LowRankTerm { u: &u, factor, scale: 2.0 });
    match op {
        Op::Nt | Op::Linear | Op::NtF32 => {
            let (x, mut y) = (activations(rows, depth)?, activations(rows, COLS)?);
            if op == Op::NtF32 {
                let w = f32s(COLS, depth)?;
                return ops::matmul_nt(cuda, &x, (&w).into(), 1.0, Write::Overwrite, &mut y);
            }
            let w = bf16s(COLS, depth)?;
            if op == Op::Nt {
                return ops::matmul_nt(cuda, &x, Weight::Bf16(&w), 1.0, Write::Overwrite, &mut y);
            }
            let b = f32s(COLS, RANK)?;
            let terms = LinearTerms { bias: Some(&bias), sparse: None, low_rank: low_rank(&b) };
            ops::linear(cuda, &x, Weight::Bf16(&w), terms, &mut y)
        }
        Op::Nn | Op::LinearT | Op::NnF32 => {
            let (dy, mut dx) = (activations(rows, depth)?, activations(rows, COLS)?);
            if op == Op::NnF32 {
                let w = f32s(depth, COLS)?;
                return ops::matmul_nn(cuda, &dy, (&w).into(), 1.0, Write::Overwrite, &mut dx);
            }
            let w = bf16s(depth, COLS)?;
            if op == Op::Nn {
                return ops::matmul_nn(cuda, &dy, Weight::Bf16(&w), 1.0, Write::Overwrite, &mut dx);
            }
            let a = f32s(RANK, COLS)?;
            let terms = LinearTerms { bias: None, sparse: None, low_rank: low_rank(&a) };
            ops::linear_t_add(cuda, &dy, Weight::Bf16(&w), terms, &mut dx)
        }
        Op::Tn | Op::Score => {
            let (dy, x, mut dw) = (activations(depth, rows)?, activations(depth, COLS)?, f32s(rows, COLS)?);
            if op == Op::Tn {
                return ops::matmul_tn(cuda, &dy, &x, 0..depth, 1.0, Write::Overwrite, &mut dw);
            }
            ops::score_product_add(cuda, &dy, &x, 0..depth, ScoreTerm::Square, &mut dw)
        }
    }
}
