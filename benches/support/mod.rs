//! What the benches share: the work of an op, printed as GFLOP/s and GB/s, and its inputs.
#![allow(dead_code, reason = "each bench uses a part")]

use criterion::{
    Criterion, Throughput,
    measurement::{Measurement, ValueFormatter, WallTime},
};
use rosa_kernels::{
    backend::cpu::Cpu,
    num::fraction_of,
    ops,
    rng::{Purpose, Stream},
    sparse::Csr,
    tensor::Matrix,
};
use std::time::{Duration, Instant};

/// Weights `[n, k]`: SmolLM2-135M's attention and MLP, Llama2-7B's attention.
pub const SHAPES: [(usize, usize); 3] = [(576, 576), (1536, 576), (4096, 4096)];

/// A quarter of RoSA's published density, that density, and four times it.
pub const DENSITIES: [f64; 3] = [0.0015, 0.006, 0.024];

/// The tokens of a micro-batch.
pub const TOKENS: usize = 512;

/// What an op has to do, whatever it does: the bytes of its operands and the operations on them.
#[derive(Clone, Copy)]
pub struct Work {
    pub bytes: usize,
    pub flops: usize,
}

impl From<Work> for Throughput {
    fn from(work: Work) -> Self {
        Self::ElementsAndBytes { elements: work.flops as u64, bytes: work.bytes as u64 }
    }
}

/// Time, told as GFLOP/s and GB/s.
pub struct Rate;

impl Measurement for Rate {
    type Intermediate = Instant;
    type Value = Duration;

    fn start(&self) -> Instant {
        WallTime.start()
    }
    fn end(&self, start: Instant) -> Duration {
        WallTime.end(start)
    }
    fn add(&self, a: &Duration, b: &Duration) -> Duration {
        WallTime.add(a, b)
    }
    fn zero(&self) -> Duration {
        WallTime.zero()
    }
    fn to_f64(&self, time: &Duration) -> f64 {
        WallTime.to_f64(time)
    }
    fn formatter(&self) -> &dyn ValueFormatter {
        self
    }
}

impl ValueFormatter for Rate {
    fn scale_values(&self, typical: f64, values: &mut [f64]) -> &'static str {
        WallTime.formatter().scale_values(typical, values)
    }
    fn scale_for_machines(&self, values: &mut [f64]) -> &'static str {
        WallTime.formatter().scale_for_machines(values)
    }
    fn scale_throughputs(&self, _: f64, throughput: &Throughput, values: &mut [f64]) -> &'static str {
        let (work, unit) = match *throughput {
            Throughput::Elements(flops) => (flops, "GFLOP/s"),
            Throughput::Bytes(bytes) => (bytes, "GB/s"),
            _ => unreachable!("every bench states its Work"),
        };
        for value in values {
            *value = work as f64 / *value;
        }
        unit
    }
}

/// The settings of every bench: quick, for the ops take from microseconds to milliseconds.
pub fn criterion() -> Criterion<Rate> {
    Criterion::default()
        .with_measurement(Rate)
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args()
}

/// All cores.
pub fn cpu() -> Cpu {
    Cpu::new(None).expect("threads")
}

/// Random numbers in `[0, 1)`.
pub fn matrix(cpu: &Cpu, rows: usize, cols: usize) -> Matrix<Cpu, f32> {
    let mut matrix = Matrix::zeros(cpu, rows, cols).expect("memory");
    ops::score_random(cpu, Stream::new(1, Purpose::Data, 0, 0), &mut matrix).expect("runs");
    matrix
}

/// A sparse matrix with entries at random places.
pub fn sparse(cpu: &Cpu, rows: usize, cols: usize, density: f64) -> Csr<Cpu> {
    let scores = matrix(cpu, rows, cols);
    let k = fraction_of(density, rows * cols);
    let pattern = ops::topk_mask(cpu, &[&scores], k).expect("k fits").remove(0);
    let values = matrix(cpu, 1, k).download(cpu).expect("download");
    Csr::new(pattern, values.into()).expect("one value per entry")
}

/// The bytes of a sparse matrix: a value and a column per entry, an offset per row.
pub fn sparse_bytes(s: &Csr<Cpu>) -> usize {
    8 * s.nnz() + 4 * (s.rows() + 1)
}

/// `4096x4096` for a shape.
pub fn shape((rows, cols): (usize, usize)) -> String {
    format!("{rows}x{cols}")
}

/// `4096x4096, 0.6 %` for a shape and a density.
pub fn label(rows_cols: (usize, usize), density: f64) -> String {
    format!("{}, {} %", shape(rows_cols), 100.0 * density)
}
