//! The sparse CUDA kernels on one weight 4096 × 4096 and 512 tokens, at several densities, with uniform and clustered
//! masks.
//!
//! On a GPU it prints times. On vgpu it prints what the kernels executed and the time that vgpu's model gives them, as an
//! A100 and as an H100 would be driven: `tools/with-vgpu cargo bench --features cuda --bench kernels`.
//! Under `cargo test` only those cases run of which something must hold; it fails where that does not.
#![allow(missing_docs, unreachable_pub)]

mod counters;
mod masks;
mod musts;

use counters::Log;
use half::bf16;
use masks::{Clustering, mask};
use musts::Must;
use rosa_kernels::{
    backend::cuda::Cuda,
    device::Device,
    error::Result,
    ops,
    rng::{Purpose, Stream},
    sparse::Csr,
    tensor::Matrix,
};
use std::{
    env,
    process::{Command, ExitCode},
    time::Instant,
};

/// The weight is `[SIZE, SIZE]`.
const SIZE: usize = 4096;
const TOKENS: usize = 512;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Op {
    TopkMask,
    CsrTranspose,
    CsrAdd,
    Spmm,
    SpmmT,
    Sddmm,
}

/// An op on the workload.
pub struct Case {
    pub op: Op,
    /// Entries per hundred.
    pub percent: f64,
    pub clustering: Clustering,
}

fn cases() -> impl Iterator<Item = Case> {
    let ops = [Op::TopkMask, Op::CsrTranspose, Op::CsrAdd, Op::Spmm, Op::SpmmT, Op::Sddmm];
    let of = |op| {
        // Above these densities another form of sddmm takes over.
        let percents = if op == Op::Sddmm { &[0.15, 0.6, 2.4, 4.7, 6.0][..] } else { &[0.15, 0.6, 2.4] };
        percents.iter().flat_map(move |&percent| {
            [Clustering::Uniform, Clustering::Clustered].map(|clustering| Case { op, percent, clustering })
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
        return counted(&cuda, bench, &mut Log::new(log.into()));
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

/// Prints what each case executed and the limits beside it; whether all limits hold.
fn counted(cuda: &Cuda, bench: bool, log: &mut Log) -> Result<bool> {
    let device = env::var("VGPU_DEVICE").unwrap_or_else(|_| "a100".to_owned());
    println!(
        "\nOn {}, {SIZE} x {SIZE}, {TOKENS} tokens; w, s: warp instructions and sectors per nonzero",
        cuda.properties().name
    );
    println!(
        "{:<14}{:>6}  {:<10}{:>8}{:>8}{:>7}{:>11}{:>9}  {:<8}{:<34}  kernels",
        "op", "%", "mask", "w", "s", "ideal", "conflicts", "us", "bound", "must"
    );
    let mut good = true;
    // The sparse part of a layer: y += x·Sᵀ, and both products of its backward pass.
    let mut layer = [0.0; 2];
    for case in cases() {
        let must = Must::of(&case, &device);
        if !bench && must.is_none() {
            continue;
        }
        let (nnz, mut run) = prepare(cuda, &case)?;
        log.skip();
        run()?;
        let counted = log.read(&device);
        let held = must.holds(&counted, nnz);
        good &= held;
        println!("{}", counted.line(&case, nnz, &must, held));
        if case.percent == 0.6 && case.clustering == Clustering::Uniform {
            match case.op {
                Op::Spmm => layer[0] += counted.time,
                Op::SpmmT | Op::Sddmm => layer[1] += counted.time,
                Op::TopkMask | Op::CsrTranspose | Op::CsrAdd => {}
            }
        }
    }
    for ((pass, time), limit) in ["forward", "backward"].iter().zip(layer).zip(Must::of_layer(&device)) {
        let missed = if time <= limit { "" } else { " MISSED" };
        good &= missed.is_empty();
        println!("a layer at 0.6 %, {pass}: {time:.2} us <= {limit}{missed}");
    }
    Ok(good)
}

/// Prints the median time of each case over ten runs.
fn timed(cuda: &Cuda) -> Result<()> {
    println!("On {}, {SIZE} x {SIZE}, {TOKENS} tokens", cuda.properties().name);
    for case in cases() {
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
    let activations = |seed: u64| {
        let numbers = (0..TOKENS * SIZE).map(|i| bf16::from_f32((i as u64 * 7 + seed) as f32 % 31.0 - 15.0));
        Matrix::<Cuda>::upload(cuda, TOKENS, SIZE, numbers.collect())
    };
    let (row_offsets, col_indices) = mask(SIZE, case.percent / 100.0, case.clustering);
    let nnz = col_indices.len();
    let pattern = ops::csr_pattern(cuda, SIZE, SIZE, row_offsets, col_indices)?;
    let values = random(1, nnz, 2)?;
    let mut s = Csr::new(pattern, cuda.upload(values.download(cuda)?)?)?;
    let run: Run<'a> = match case.op {
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
