//! `csr_add` to f32 and bf16 weights beside the sum of two dense matrices of the same shape.
#![allow(missing_docs, unreachable_pub)]

mod support;

use criterion::{BenchmarkId, criterion_group, criterion_main};
use half::bf16;
use rosa_kernels::{ops, tensor::Matrix};
use support::{DENSITIES, Rate, SHAPES, Work, cpu, criterion, label, matrix, shape, sparse, sparse_bytes};

fn csr_add(c: &mut criterion::Criterion<Rate>) {
    let cpu = cpu();
    let mut group = c.benchmark_group("csr_add");
    for (n, k) in SHAPES {
        let mut w = matrix(&cpu, n, k);
        let mut narrow: Matrix<_, bf16> = Matrix::from_f32(&cpu, n, k, w.buffer()).expect("memory");
        for density in DENSITIES {
            let s = sparse(&cpu, n, k, density);
            group.throughput(Work { bytes: sparse_bytes(&s) + 8 * s.nnz(), flops: s.nnz() }.into());
            group.bench_function(BenchmarkId::new("sparse", label((n, k), density)), |b| {
                cpu.install(|| b.iter(|| ops::csr_add(&cpu, &s, &mut w)));
            });
            group.throughput(Work { bytes: sparse_bytes(&s) + 4 * s.nnz(), flops: s.nnz() }.into());
            group.bench_function(BenchmarkId::new("sparse, bf16", label((n, k), density)), |b| {
                cpu.install(|| b.iter(|| ops::csr_add(&cpu, &s, &mut narrow)));
            });
        }
        let x = matrix(&cpu, n, k);
        group.throughput(Work { bytes: 12 * n * k, flops: n * k }.into());
        group.bench_function(BenchmarkId::new("dense", shape((n, k))), |b| {
            cpu.install(|| b.iter(|| ops::add(&cpu, &x, &mut w)));
        });
    }
}

criterion_group! { name = benches; config = criterion(); targets = csr_add }
criterion_main!(benches);
