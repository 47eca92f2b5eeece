//! What vgpu counts of the dense products: sectors beside those of a 128 × 256 tiling, and bank conflicts.

use crate::counters::{Counted, Log};
use half::bf16;
use rosa_kernels::{
    backend::{LinearTerms, LowRankTerm, ScoreTerm, Write, cuda::Cuda},
    error::Result,
    ops,
    tensor::{Matrix, Weight},
};

/// Rows and columns of an output, and the depth of its sums.
type Dims = [usize; 3];
/// What the limits hold for.
const LIMITED: Dims = [512, 4096, 4096];
/// What is counted beside it, under `cargo bench`: more tokens, and the wide layers of Llama 2 7B.
const MORE: [Dims; 4] = [[1024, 4096, 4096], [2048, 4096, 4096], [512, 4096, 11008], [512, 11008, 4096]];
/// The depths that are run: whatever is counted grows evenly with the depth, so two of them tell it for any.
const RUN: [usize; 2] = [64, 128];
const RANK: usize = 16;

/// The limits, over a 128 × 256 tiling.
const EXCESS: f64 = 1.3;
/// An f32 weight takes two products, so tiles of half the size keep the tensor cores as busy; and an A100 has fewer
/// multiprocessors than there are of those, 128, and takes a quarter of the size.
const EXCESS_OF_F32_ON_A100: f64 = 1.65;
/// 64 wide tiles leave half of an H100 idle. Measured on an H200, tiles of half the size take 71 µs, wide ones 113.
const EXCESS_ON_H100: f64 = 1.4;

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

impl Op {
    const ALL: [Self; 8] = {
        use Op::*;
        [Nt, Nn, Tn, Linear, LinearT, Score, NtF32, NnF32]
    };

    fn is_of_f32(self) -> bool {
        matches!(self, Self::NtF32 | Self::NnF32)
    }

    fn limit(self, device: &str) -> f64 {
        match (device, self.is_of_f32()) {
            ("a100", true) => EXCESS_OF_F32_ON_A100,
            ("h100", false) => EXCESS_ON_H100,
            _ => EXCESS,
        }
    }
}

/// Prints what each product executed and the limits beside it; whether all limits hold.
pub fn counted(cuda: &Cuda, device: &str, bench: bool, log: &mut Log) -> Result<bool> {
    println!("\nDense products on {device}; sectors over those of a 128 x 256 tiling");
    println!(
        "{:<9}{:>17}{:>12}{:>8}{:>11}{:>9}  {:<8}{:<30}  kernels",
        "op", "rows cols depth", "sectors", "tiling", "conflicts", "us", "bound", "must"
    );
    let mut good = true;
    for op in Op::ALL {
        let counted = count(cuda, device, op, LIMITED, log)?;
        let limit = op.limit(device);
        let held = counted.sectors / tiling(op, LIMITED) <= limit && counted.conflicts == 0.0;
        good &= held;
        let must = format!("tiling <= {limit}, no conflict{}", if held { "" } else { " MISSED" });
        print(op, LIMITED, &counted, &must);
    }
    for dims in MORE.into_iter().filter(|_| bench) {
        for op in [Op::Nt, Op::NtF32] {
            print(op, dims, &count(cuda, device, op, dims, log)?, "");
        }
    }
    Ok(good)
}

fn print(op: Op, dims: Dims, counted: &Counted, must: &str) {
    let (bound, time) = counted.slowest().unwrap_or_default();
    println!(
        "{:<9}{:>17}{:>12}{:>8.2}{:>11}{:>9.2}  {:<8}{:<30}  {}",
        format!("{op:?}"),
        dims.map(|n| n.to_string()).join(" "),
        counted.sectors,
        counted.sectors / tiling(op, dims),
        counted.conflicts,
        time,
        bound,
        must,
        counted.kernels.join(" ")
    );
}

fn count(cuda: &Cuda, device: &str, op: Op, [rows, cols, depth]: Dims, log: &mut Log) -> Result<Counted> {
    let [short, long] = RUN.map(|depth| {
        log.skip();
        run(cuda, op, [rows, cols, depth]).map(|()| log.read(device))
    });
    Ok(extended(&short?, &long?, depth))
}

/// What a product over `depth` counts, from two shorter ones.
fn extended(short: &Counted, long: &Counted, depth: usize) -> Counted {
    let factor = (depth - RUN[0]) as f64 / (RUN[1] - RUN[0]) as f64;
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

/// The sectors of a product in tiles of 128 × 256, each of which reads its rows and columns once, and of its output,
/// written once and read where it is added to.
fn tiling(op: Op, [rows, cols, depth]: Dims) -> f64 {
    let bytes_a_weight = if op.is_of_f32() { 4.0 } else { 2.0 };
    let read = (rows * cols * depth) as f64 * (bytes_a_weight / 128.0 + 2.0 / 256.0);
    let bytes_an_output = match op {
        Op::Nt | Op::Nn | Op::Linear | Op::NtF32 | Op::NnF32 => 2,
        Op::Tn | Op::LinearT => 4,
        Op::Score => 8,
    };
    (read + (rows * cols * bytes_an_output) as f64) / 32.0
}

fn run(cuda: &Cuda, op: Op, [rows, cols, depth]: Dims) -> Result<()> {
    let activations = |rows, cols| Matrix::<Cuda>::zeros(cuda, rows, cols);
    let f32s = |rows, cols| Matrix::<Cuda, f32>::zeros(cuda, rows, cols);
    let bf16s = |rows, cols| Matrix::<Cuda, bf16>::zeros(cuda, rows, cols);
    let (u, bias) = (activations(rows, RANK)?, f32s(1, cols)?);
    let low_rank = |factor| Some(LowRankTerm { u: &u, factor, scale: 2.0 });
    match op {
        Op::Nt | Op::Linear | Op::NtF32 => {
            let (x, mut y) = (activations(rows, depth)?, activations(rows, cols)?);
            if op == Op::NtF32 {
                let w = f32s(cols, depth)?;
                return ops::matmul_nt(cuda, &x, (&w).into(), 1.0, Write::Overwrite, &mut y);
            }
            let w = bf16s(cols, depth)?;
            if op == Op::Nt {
                return ops::matmul_nt(cuda, &x, Weight::Bf16(&w), 1.0, Write::Overwrite, &mut y);
            }
            let b = f32s(cols, RANK)?;
            let terms = LinearTerms { bias: Some(&bias), sparse: None, low_rank: low_rank(&b) };
            ops::linear(cuda, &x, Weight::Bf16(&w), terms, &mut y)
        }
        Op::Nn | Op::LinearT | Op::NnF32 => {
            let (dy, mut dx) = (activations(rows, depth)?, activations(rows, cols)?);
            if op == Op::NnF32 {
                let w = f32s(depth, cols)?;
                return ops::matmul_nn(cuda, &dy, (&w).into(), 1.0, Write::Overwrite, &mut dx);
            }
            let w = bf16s(depth, cols)?;
            if op == Op::Nn {
                return ops::matmul_nn(cuda, &dy, Weight::Bf16(&w), 1.0, Write::Overwrite, &mut dx);
            }
            let a = f32s(RANK, cols)?;
            let terms = LinearTerms { bias: None, sparse: None, low_rank: low_rank(&a) };
            ops::linear_t(cuda, &dy, Weight::Bf16(&w), terms, Write::Overwrite, &mut dx)
        }
        Op::Tn | Op::Score => {
            let (dy, x, mut dw) = (activations(depth, rows)?, activations(depth, cols)?, f32s(rows, cols)?);
            if op == Op::Tn {
                return ops::matmul_tn(cuda, &dy, &x, 0..depth, 1.0, Write::Overwrite, &mut dw);
            }
            ops::score_product_add(cuda, &dy, &x, 0..depth, ScoreTerm::Square, &mut dw)
        }
    }
}
