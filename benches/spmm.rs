//! `spmm_add` and `spmm_t_add` beside the dense products with a weight of the same shape.
#![allow(missing_docs, unreachable_pub)]

mod support;

use criterion::{BenchmarkId, criterion_group, criterion_main};
use rosa_kernels::{backend::Write, ops};
use support::{
    DENSITIES, Rate, SHAPES, TOKENS, Work, cpu, criterion, label, matrix, shape, sparse, sparse_bytes,
};

fn spmm(c: &mut criterion::Criterion<Rate>) {
    let cpu = cpu();
    for direction in ["spmm_add", "spmm_t_add"] {
        let mut group = c.benchmark_group(direction);
        for (n, k) in SHAPES {
            let (mut x, mut y) = (matrix(&cpu, TOKENS, k), matrix(&cpu, TOKENS, n));
            let (read, written) = if direction == "spmm_add" { (k, n) } else { (n, k) };
            let activations = 4 * TOKENS * (read + 2 * written);
            for density in DENSITIES {
                let s = sparse(&cpu, n, k, density);
                group.throughput(
                    Work { bytes: activations + sparse_bytes(&s), flops: 2 * TOKENS * s.nnz() }.into(),
                );
                group.bench_function(BenchmarkId::new("sparse", label((n, k), density)), |b| {
                    cpu.install(|| {
                        b.iter(|| match direction {
                            "spmm_add" => ops::spmm_add(&cpu, &s, &x, &mut y),
                            _ => ops::spmm_t_add(&cpu, &s, &y, &mut x),
                        });
                    });
                });
            }
            let w = matrix(&cpu, n, k);
            group.throughput(Work { bytes: activations + 4 * n * k, flops: 2 * TOKENS * n * k }.into());
            group.bench_function(BenchmarkId::new("dense", shape((n, k))), |b| {
                cpu.install(|| {
                    b.iter(|| match direction {
                        "spmm_add" => ops::matmul_nt(&cpu, &x, (&w).into(), 1.0, Write::Add, &mut y),
                        _ => ops::matmul_nn(&cpu, &y, (&w).into(), 1.0, Write::Add, &mut x),
                    });
                });
            });
        }
    }
}

criterion_group! { name = benches; config = criterion(); targets = spmm }
criterion_main!(benches);
