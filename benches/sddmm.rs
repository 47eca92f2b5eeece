//! `sddmm_add` beside the dense gradient of a weight of the same shape.
#![allow(missing_docs, unreachable_pub)]

mod support;

use criterion::{BenchmarkId, criterion_group, criterion_main};
use rosa_kernels::{backend::Write, ops};
use support::{
    DENSITIES, Rate, SHAPES, TOKENS, Work, cpu, criterion, label, matrix, shape, sparse, sparse_bytes,
};

fn sddmm(c: &mut criterion::Criterion<Rate>) {
    let cpu = cpu();
    let mut group = c.benchmark_group("sddmm_add");
    for (n, k) in SHAPES {
        let (dy, x) = (matrix(&cpu, TOKENS, n), matrix(&cpu, TOKENS, k));
        let activations = 4 * TOKENS * (n + k);
        for density in DENSITIES {
            let mut ds = sparse(&cpu, n, k, density);
            let bytes = activations + sparse_bytes(&ds) + 4 * ds.nnz();
            group.throughput(Work { bytes, flops: 2 * TOKENS * ds.nnz() }.into());
            group.bench_function(BenchmarkId::new("sparse", label((n, k), density)), |b| {
                cpu.install(|| b.iter(|| ops::sddmm_add(&cpu, &dy, &x, &mut ds)));
            });
        }
        let mut dw = matrix(&cpu, n, k);
        group.throughput(Work { bytes: activations + 8 * n * k, flops: 2 * TOKENS * n * k }.into());
        group.bench_function(BenchmarkId::new("dense", shape((n, k))), |b| {
            cpu.install(|| b.iter(|| ops::matmul_tn(&cpu, &dy, &x, 0..TOKENS, 1.0, Write::Add, &mut dw)));
        });
    }
}

criterion_group! { name = benches; config = criterion(); targets = sddmm }
criterion_main!(benches);
