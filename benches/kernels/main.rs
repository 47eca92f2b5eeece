//! The CUDA kernels of sparse adapters and 4-bit weights on one weight 4096 × 4096 and 512 tokens, at several densities,
//! with uniform and clustered masks; and, counted only, the dense products.
//!
//! On a GPU it prints times. On vgpu it prints what the kernels executed and the time that vgpu's model gives them, as an
//! A100 and as an H100 would be driven: `tools/with-vgpu cargo bench --features cuda --bench kernels`.
//! Arguments choose: `dense` the dense products, `nf4` the ops with this in their name.
//! Under `cargo test` only those cases run of which something must hold; it fails where that does not.
#![allow(missing_docs, unreachable_pub)]

mod counters;
mod dense;
mod masks;
mod musts;

use counters::Log;
use half::bf16;
use masks::{Clustering, mask};
use musts::Must;
use rosa_kernels::{
    backend::{LinearTerms, LowRankTerm, Write, cuda::Cuda},
    device::Device,
    error::Result,
    ops,
    rng::{Purpose, Stream},
    sparse::Csr,
    tensor::{Matrix, Weight},
};
use std::{
    env,
    process::{Command, ExitCode},
    time::Instant,
};

/// The weight is `[SIZE, SIZE]`.
const SIZE: usize = 4096;
const TOKENS: usize = 512;
/// Of the low-rank term that joins a layer with S.
const RANK: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Op {
    TopkMask,
    CsrTranspose,
    CsrAdd,
    Spmm,
    SpmmT,
    Sddmm,
    Nf4Quantize,
    Nf4Dequantize,
    /// Forward: S, where there is one, joins with a low-rank term of rank 16.
    Nf4Linear,
    /// Backward.
    Nf4LinearT,
    /// Forward for one token.
    Nf4Decode,
}

impl Op {
    /// Whether it is counted for each 32 weights, not for each nonzero.
    fn is_dense(self) -> bool {
        use Op::*;
        matches!(self, Nf4Quantize | Nf4Dequantize | Nf4Linear | Nf4LinearT | Nf4Decode)
    }
}

/// An op on the workload.
pub struct Case {
    pub op: Op,
    /// Entries per hundred.
    pub percent: f64,
    pub clustering: Clustering,
}

impl Case {
    /// What its counts are divided by.
    fn units(&self, nnz: usize) -> f64 {
        if self.op.is_dense() { (SIZE * SIZE / 32) as f64 } else { nnz as f64 }
    }
}

fn cases() -> impl Iterator<Item = Case> {
    use Op::*;
    let ops = [
        TopkMask,
        CsrTranspose,
        CsrAdd,
        Spmm,
        SpmmT,
        Sddmm,
        Nf4Quantize,
        Nf4Dequantize,
        Nf4Linear,
        Nf4LinearT,
        Nf4Decode,
    ];
    let of = |op| {
        let percents = match op {
            // Above these densities another form of sddmm takes over.
            Sddmm => &[0.15, 0.6, 2.4, 4.7, 6.0][..],
            Nf4Quantize => &[0.0],
            // Above 1.2 % S no longer joins the tiles.
            Nf4Linear | Nf4LinearT => &[0.0, 0.6, 1.0, 2.4],
            Nf4Dequantize | Nf4Decode => &[0.0, 0.6],
            _ => &[0.15, 0.6, 2.4],
        };
        let clusterings = if Op::is_dense(op) {
            &[Clustering::Uniform][..]
        } else {
            &[Clustering::Uniform, Clustering::Clustered]
        };
        percents.iter().flat_map(move |&percent| {
            clusterings.iter().map(move |&clustering| Case { op, percent, clustering })
        })
    };
    ops.into_iter().flat_map(of)
}

fn main() -> ExitCode {
    let bench = env::args().any(|argument| argument == "--bench");
    match run(bench) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}\nwithout a GPU: tools/with-vgpu cargo bench --features cuda --bench kernels");
            ExitCode::FAILURE
        }
    }
}

/// Whether all that must hold does. Launches depend on the device, so vgpu is asked as each in a process of its own.
fn run(bench: bool) -> Result<bool> {
    let cuda = Cuda::new(0)?;
    if !cuda.properties().name.starts_with("vgpu") {
        return timed(&cuda).map(|()| true);
    }
    if let Some(log) = env::var_os("VGPU_LOG") {
        let (device, log) = (vgpu_device(), &mut Log::new(log.into()));
        let sparse = counted(&cuda, bench, log)?;
        return Ok(sparse & (!is_chosen("dense") || dense::counted(&cuda, &device, bench, log)?));
    }
    let dir = tempfile::tempdir().expect("a folder for the log");
    let mut good = true;
    for device in ["a100", "h100"] {
        let mut child = Command::new(env::current_exe().expect("this program"));
        child
            .args(env::args_os().skip(1))
            .env("VGPU_DEVICE", device)
            .env("VGPU_LOG", dir.path().join(device));
        good &= child.status().expect("this program runs again").success();
    }
    Ok(good)
}

/// Whether an argument is part of this name, in lower case, or there are none.
fn is_chosen(name: &str) -> bool {
    let mut chosen = env::args().skip(1).filter(|argument| !argument.starts_with("--")).peekable();
    chosen.peek().is_none() || chosen.any(|part| name.to_lowercase().contains(&part))
}

/// The GPU that vgpu stands for.
fn vgpu_device() -> String {
    env::var("VGPU_DEVICE").unwrap_or_else(|_| "a100".to_owned())
}

/// Prints what each case executed and the limits beside it; whether all limits hold.
fn counted(cuda: &Cuda, bench: bool, log: &mut Log) -> Result<bool> {
    let device = vgpu_device();
    println!(
        "\nOn {}, {SIZE} x {SIZE}, {TOKENS} tokens; w, s: warp instructions and sectors per nonzero, with 4-bit weights \
         per 32 weights",
        cuda.properties().name
    );
    println!(
        "{:<14}{:>6}  {:<10}{:>8}{:>8}{:>7}{:>11}{:>9}  {:<8}{:<57}  kernels",
        "op", "%", "mask", "w", "s", "ideal", "conflicts", "us", "bound", "must"
    );
    let mut good = true;
    // The sparse part of a layer: y += x·Sᵀ, and both products of its backward pass.
    let mut layer = [0.0; 2];
    for case in cases() {
        let must = Must::of(&case, &device);
        if (!bench && must.is_none()) || !is_chosen(&format!("{:?}", case.op)) {
            continue;
        }
        let (nnz, mut run) = prepare(cuda, &case)?;
        log.skip();
        run()?;
        let counted = log.read(&device);
        let units = case.units(nnz);
        let held = must.holds(&counted, units);
        good &= held;
        println!("{}", counted.line(&case, units, &must, held));
        if case.percent == 0.6 && case.clustering == Clustering::Uniform {
            match case.op {
                Op::Spmm => layer[0] += counted.time,
                Op::SpmmT | Op::Sddmm => layer[1] += counted.time,
                _ => {}
            }
        }
    }
    // Of some ops alone, there is no layer.
    let passes = if is_chosen("") { &["forward", "backward"][..] } else { &[] };
    for ((pass, time), limit) in passes.iter().zip(layer).zip(Must::of_layer(&device)) {
        let missed = if time <= limit { "" } else { " MISSED" };
        good &= missed.is_empty();
        println!("a layer at 0.6 %, {pass}: {time:.2} us <= {limit}{missed}");
    }
    Ok(good)
}

/// Prints the median time of each case over ten runs.
fn timed(cuda: &Cuda) -> Result<()> {
    println!("On {}, {SIZE} x {SIZE}, {TOKENS} tokens", cuda.properties().name);
    for case in cases().filter(|case| is_chosen(&format!("{:?}", case.op))) {
        let (_, mut run) = prepare(cuda, &case)?;
        run()?;
        let mut times = Vec::new();
        for _ in 0..10 {
            cuda.synchronize()?;
            let start = Instant::now();
            run()?;
            cuda.synchronize()?;
            times.push(start.elapsed());
        }
        times.sort_unstable();
        println!(
            "{:<14}{:>6}  {:<10}{:>9.1} us",
            format!("{:?}", case.op),
            case.percent,
            format!("{:?}", case.clustering),
            times[5].as_secs_f64() * 1e6
        );
    }
    Ok(())
}

/// An op on its operands.
type Run<'a> = Box<dyn FnMut() -> Result<()> + 'a>;

/// The number of entries of a case, and the op. What is made once per pattern or values is made.
fn prepare<'a>(cuda: &'a Cuda, case: &Case) -> Result<(usize, Run<'a>)> {
    let random = |rows, cols, seed| {
        let mut matrix = Matrix::<Cuda, f32>::zeros(cuda, rows, cols)?;
        ops::score_random(cuda, Stream::new(seed, Purpose::Data, 0, 0), &mut matrix)?;
        Ok(matrix)
    };
    let of_tokens = |seed: u64, tokens: usize, width: usize| {
        let numbers = (0..tokens * width).map(|i| bf16::from_f32((i as u64 * 7 + seed) as f32 % 31.0 - 15.0));
        Matrix::<Cuda>::upload(cuda, tokens, width, numbers.collect())
    };
    let activations = |seed: u64| of_tokens(seed, TOKENS, SIZE);
    let (row_offsets, col_indices) = mask(SIZE, case.percent / 100.0, case.clustering);
    let nnz = col_indices.len();
    let pattern = ops::csr_pattern(cuda, SIZE, SIZE, row_offsets, col_indices)?;
    let values = random(1, nnz, 2)?;
    let mut s = Csr::new(pattern, cuda.upload(values.download(cuda)?)?)?;
    let quantized = || ops::nf4_quantize(cuda, &random(SIZE, SIZE, 1)?, 64);
    let run: Run<'a> = match case.op {
        Op::Nf4Quantize => {
            let w = random(SIZE, SIZE, 1)?;
            Box::new(move || ops::nf4_quantize(cuda, &w, 64).map(drop))
        }
        Op::Nf4Dequantize => {
            let (w, mut y) = (quantized()?, Matrix::<Cuda>::zeros(cuda, SIZE, SIZE)?);
            Box::new(move || ops::nf4_dequantize(cuda, &w, (nnz > 0).then_some(&s), &mut y))
        }
        Op::Nf4Linear | Op::Nf4LinearT | Op::Nf4Decode => {
            let tokens = if case.op == Op::Nf4Decode { 1 } else { TOKENS };
            let (w, x, mut y) = (quantized()?, of_tokens(1, tokens, SIZE)?, of_tokens(2, tokens, SIZE)?);
            let backward = case.op == Op::Nf4LinearT;
            let factor = if backward { random(RANK, SIZE, 3)? } else { random(SIZE, RANK, 3)? };
            let u = of_tokens(3, tokens, RANK)?;
            let mut run = move || {
                let adapter = LowRankTerm { u: &u, factor: &factor, scale: 1.0 };
                let terms = LinearTerms {
                    bias: None,
                    sparse: (nnz > 0).then_some(&s),
                    low_rank: (nnz > 0).then_some(adapter),
                };
                let w = Weight::Nf4(&w);
                if backward {
                    return ops::linear_t(cuda, &x, w, terms, Write::Overwrite, &mut y);
                }
                ops::linear(cuda, &x, w, terms, &mut y)
            };
            if nnz > 0 {
                run()?;
            }
            Box::new(run)
        }
        Op::TopkMask => {
            let scores = random(SIZE, SIZE, 1)?;
            Box::new(move || ops::topk_mask(cuda, &[&scores], nnz).map(drop))
        }
        Op::CsrTranspose => Box::new(move || ops::csr_transpose(cuda, &s).map(drop)),
        Op::CsrAdd => {
            let mut w = Matrix::<Cuda>::zeros(cuda, SIZE, SIZE)?;
            Box::new(move || ops::csr_add(cuda, &s, &mut w))
        }
        Op::Spmm | Op::SpmmT => {
            let (x, mut y) = (activations(1)?, activations(2)?);
            let op = if case.op == Op::Spmm { ops::spmm_add } else { ops::spmm_t_add };
            op(cuda, &s, &x, &mut y)?;
            Box::new(move || op(cuda, &s, &x, &mut y))
        }
        Op::Sddmm => {
            let (dy, x) = (activations(1)?, activations(2)?);
            Box::new(move || ops::sddmm_add(cuda, &dy, &x, &mut s))
        }
    };
    Ok((nnz, run))
}
