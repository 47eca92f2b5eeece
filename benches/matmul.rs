//! The dense products beside `gemm`'s own parallelism, on the shapes of a layer and of its adapter; with a bf16 weight
//! by the machine's instructions for bf16 and without them; and decoding, whose rate is that of memory.
#![allow(missing_docs, unreachable_pub)]

mod support;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use half::bf16;
use rosa_kernels::{
    backend::{Write, cpu::Cpu},
    ops,
    tensor::{Matrix, Weight},
};
use support::{Rate, SHAPES, TOKENS, Work, cpu, criterion, matrix, shape};

/// The rank of a LoRA adapter.
const RANK: usize = 16;

fn matmul(c: &mut Criterion<Rate>) {
    let cpu = cpu();
    for (n, k) in SHAPES.into_iter().chain([(RANK, 576), (576, RANK)]) {
        let (mut x, mut y) = (matrix(&cpu, TOKENS, k), matrix(&cpu, TOKENS, n));
        let mut w = matrix(&cpu, n, k);
        let rounded = w.download(&cpu).expect("download").into_iter().map(bf16::from_f32).collect();
        let narrow = Matrix::upload(&cpu, n, k, rounded).expect("upload");
        let work = |weight_bytes: usize| Work {
            bytes: 4 * TOKENS * (n + k) + weight_bytes * n * k,
            flops: 2 * TOKENS * n * k,
        };

        let mut group = c.benchmark_group(format!("matmul {}", shape((n, k))));
        group.throughput(work(4).into());
        group.bench_function(BenchmarkId::new("nt", "f32"), |b| {
            cpu.install(|| b.iter(|| ops::matmul_nt(&cpu, &x, (&w).into(), 1.0, Write::Overwrite, &mut y)));
        });
        group.bench_function(BenchmarkId::new("nt", "gemm with rayon"), |b| {
            cpu.install(|| b.iter(|| peer(&x, &w, &mut y)));
        });
        group.bench_function(BenchmarkId::new("nn", "f32"), |b| {
            cpu.install(|| b.iter(|| ops::matmul_nn(&cpu, &y, (&w).into(), 1.0, Write::Overwrite, &mut x)));
        });
        group.bench_function(BenchmarkId::new("tn", "f32"), |b| {
            cpu.install(|| {
                b.iter(|| ops::matmul_tn(&cpu, &y, &x, 0..TOKENS, 1.0, Write::Overwrite, &mut w));
            });
        });
        group.throughput(work(2).into());
        let w_bf16 = Weight::Bf16(&narrow);
        for (name, cpu) in [("bf16", cpu.clone()), ("bf16 in f32", cpu.clone().without_bf16())] {
            group.bench_function(BenchmarkId::new("nt", name), |b| {
                cpu.install(|| b.iter(|| ops::matmul_nt(&cpu, &x, w_bf16, 1.0, Write::Overwrite, &mut y)));
            });
            group.bench_function(BenchmarkId::new("nn", name), |b| {
                cpu.install(|| b.iter(|| ops::matmul_nn(&cpu, &y, w_bf16, 1.0, Write::Overwrite, &mut x)));
            });
        }
        group.finish();

        let (one, mut next) = (matrix(&cpu, 1, k), matrix(&cpu, 1, n));
        let mut group = c.benchmark_group(format!("matmul {}, one token", shape((n, k))));
        for w in [Weight::F32(&w), w_bf16] {
            group.throughput(Work { bytes: 4 * (n + k) + w.bytes(), flops: 2 * n * k }.into());
            let name = if matches!(w, Weight::F32(_)) { "f32" } else { "bf16" };
            group.bench_function(BenchmarkId::new("nt", name), |b| {
                cpu.install(|| b.iter(|| ops::matmul_nt(&cpu, &one, w, 1.0, Write::Overwrite, &mut next)));
            });
        }
    }
}

/// `y = x · wᵀ` as `gemm` shares it among threads: what cutting the product into tiles must keep up with.
fn peer(x: &Matrix<Cpu>, w: &Matrix<Cpu>, y: &mut Matrix<Cpu>) {
    let (t, n, k) = (x.rows(), w.rows(), x.cols());
    assert_eq!((w.cols(), y.rows(), y.cols()), (k, t, n), "dimensions agree");
    let stride = usize::cast_signed;
    // SAFETY: the assertion and the invariant of Matrix prove that all elements addressed exist.
    unsafe {
        gemm::gemm(
            t,
            n,
            k,
            y.buffer_mut().as_mut_ptr(),
            1,
            stride(n),
            false,
            x.buffer().as_ptr(),
            1,
            stride(k),
            w.buffer().as_ptr(),
            stride(k),
            1,
            0.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::Rayon(0),
        );
    }
}

criterion_group! { name = benches; config = criterion(); targets = matmul }
criterion_main!(benches);
