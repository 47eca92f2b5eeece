//! What the benches share: the work of an op, printed as GFLOP/s and GB/s, and its inputs.

use criterion::{
    Criterion, Throughput,
    measurement::{Measurement, ValueFormatter, WallTime},
};
use rosa_kernels::{
    backend::cpu::Cpu,
    rng::{Purpose, Stream},
    tensor::Matrix,
};
use std::time::{Duration, Instant};

/// Weights `[n, k]`: SmolLM2-135M's attention and MLP, Llama2-7B's attention.
pub const SHAPES: [(usize, usize); 3] = [(576, 576), (1536, 576), (4096, 4096)];

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
        .sample_size(20)
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
    let numbers = Stream::new(1, Purpose::Data, 0, 0).uniforms(0).take(rows * cols).collect();
    Matrix::upload(cpu, rows, cols, numbers).expect("memory")
}

/// `4096x4096` for a shape.
pub fn shape((rows, cols): (usize, usize)) -> String {
    format!("{rows}x{cols}")
}
