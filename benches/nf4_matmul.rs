//! Products with a 4-bit weight beside those with bf16 and f32 ones, and a whole layer, S and the low-rank part
//! included, in one pass beside an op a term.
#![allow(missing_docs, unreachable_pub)]

mod support;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use half::bf16;
use rosa_kernels::{
    backend::{Factors, LinearTerms, Write, cpu::Cpu},
    nf4::Nf4Matrix,
    ops,
    tensor::{Matrix, Weight},
};
use support::{Rate, SHAPES, TOKENS, Work, cpu, criterion, matrix, shape, sparse, sparse_bytes};

/// RoSA's published density, and a rank that goes with it.
const DENSITY: f64 = 0.006;
const RANK: usize = 16;

/// The tokens of a micro-batch, and one: what decoding takes.
const MANY_AND_ONE: [usize; 2] = [TOKENS, 1];

/// A weight in each type.
struct Weights {
    f32: Matrix<Cpu, f32>,
    bf16: Matrix<Cpu, bf16>,
    single: Nf4Matrix<Cpu>,
    double: Nf4Matrix<Cpu>,
}

impl Weights {
    fn new(cpu: &Cpu, n: usize, k: usize) -> Self {
        let f32 = matrix(cpu, n, k);
        let bf16 = Matrix::from_f32(cpu, n, k, f32.buffer()).expect("memory");
        let quantized = || ops::nf4_quantize(cpu, &f32, 64).expect("whole blocks");
        let (single, double) = (quantized(), quantized().double_quantize(cpu).expect("memory"));
        Self { f32, bf16, single, double }
    }

    fn all(&self) -> [(&'static str, Weight<'_, Cpu>); 4] {
        let (single, double) = (Weight::Nf4(&self.single), Weight::Nf4(&self.double));
        [
            ("f32", Weight::F32(&self.f32)),
            ("bf16", Weight::Bf16(&self.bf16)),
            ("nf4", single),
            ("nf4 double", double),
        ]
    }
}

/// The quantized product beside the others.
fn products(c: &mut Criterion<Rate>) {
    let cpu = cpu();
    for (n, k) in SHAPES {
        let weights = Weights::new(&cpu, n, k);
        for tokens in MANY_AND_ONE {
            let mut group = c.benchmark_group(format!("nf4_matmul {}, {tokens} tokens", shape((n, k))));
            let (mut x, mut y) = (matrix(&cpu, tokens, k), matrix(&cpu, tokens, n));
            for (name, w) in weights.all() {
                let bytes = 4 * tokens * (n + k) + w.bytes();
                println!("{name}: {} bytes of weight, {bytes} in all", w.bytes());
                group.throughput(Work { bytes, flops: 2 * tokens * n * k }.into());
                group.bench_function(BenchmarkId::new("nt", name), |b| {
                    cpu.install(|| b.iter(|| ops::matmul_nt(&cpu, &x, w, 1.0, Write::Overwrite, &mut y)));
                });
                group.bench_function(BenchmarkId::new("nn", name), |b| {
                    cpu.install(|| b.iter(|| ops::matmul_nn(&cpu, &y, w, 1.0, Write::Overwrite, &mut x)));
                });
            }
        }
    }
}

/// The layer: the weight alone, all terms in one call, and an op a term.
fn layers(c: &mut Criterion<Rate>) {
    let cpu = cpu();
    let none = LinearTerms { bias: None, sparse: None, low_rank: None };
    for (n, k) in SHAPES {
        let weights = Weights::new(&cpu, n, k);
        let s = sparse(&cpu, n, k, DENSITY);
        for tokens in MANY_AND_ONE {
            let mut group = c.benchmark_group(format!("nf4_layer {}, {tokens} tokens", shape((n, k))));
            let (mut x, mut y) = (matrix(&cpu, tokens, k), matrix(&cpu, tokens, n));
            let (mut u, a, b_factor) =
                (matrix(&cpu, tokens, RANK), matrix(&cpu, RANK, k), matrix(&cpu, n, RANK));
            let factors = Factors { a: &a, b: &b_factor, scale: 1.0 };
            let terms = LinearTerms { sparse: Some(&s), ..none };
            let adapter_bytes = sparse_bytes(&s) + 4 * RANK * (tokens + n + k);
            let adapter_flops = 2 * tokens * (s.nnz() + RANK * (n + k));
            for (name, w) in weights.all() {
                let alone = Work { bytes: 4 * tokens * (n + k) + w.bytes(), flops: 2 * tokens * n * k };
                group.throughput(alone.into());
                group.bench_function(BenchmarkId::new("forward, weight alone", name), |b| {
                    cpu.install(|| b.iter(|| ops::linear(&cpu, &x, w, none, &mut y)));
                });
                group.throughput(
                    Work { bytes: alone.bytes + adapter_bytes, flops: alone.flops + adapter_flops }.into(),
                );
                group.bench_function(BenchmarkId::new("forward, in one call", name), |b| {
                    cpu.install(|| {
                        b.iter(|| ops::adapted_linear(&cpu, &x, w, terms, factors, &mut u, &mut y));
                    });
                });
                group.bench_function(BenchmarkId::new("forward, an op a term", name), |b| {
                    cpu.install(|| {
                        b.iter(|| {
                            ops::matmul_nt(&cpu, &x, factors.a.into(), 1.0, Write::Overwrite, &mut u)?;
                            ops::matmul_nt(&cpu, &x, w, 1.0, Write::Overwrite, &mut y)?;
                            ops::spmm_add(&cpu, &s, &x, &mut y)?;
                            ops::matmul_nt(&cpu, &u, factors.b.into(), 1.0, Write::Add, &mut y)
                        });
                    });
                });
                group.bench_function(BenchmarkId::new("backward, in one call", name), |b| {
                    cpu.install(|| {
                        let write = Write::Overwrite;
                        b.iter(|| ops::adapted_linear_t(&cpu, &y, w, terms, factors, write, &mut u, &mut x));
                    });
                });
                group.bench_function(BenchmarkId::new("backward, an op a term", name), |b| {
                    cpu.install(|| {
                        b.iter(|| {
                            ops::matmul_nn(&cpu, &y, factors.b.into(), 1.0, Write::Overwrite, &mut u)?;
                            ops::matmul_nn(&cpu, &y, w, 1.0, Write::Overwrite, &mut x)?;
                            ops::spmm_t_add(&cpu, &s, &y, &mut x)?;
                            ops::matmul_nn(&cpu, &u, factors.a.into(), 1.0, Write::Add, &mut x)
                        });
                    });
                });
            }
        }
    }
}

criterion_group! { name = benches; config = criterion(); targets = products, layers }
criterion_main!(benches);
