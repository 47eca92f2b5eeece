//! `topk_mask` beside the standard library's selection of the same threshold, on one thread.
#![allow(missing_docs, unreachable_pub)]

mod support;

use criterion::{BenchmarkId, criterion_group, criterion_main};
use rosa_kernels::{num::fraction_of, ops};
use support::{DENSITIES, Rate, SHAPES, Work, cpu, criterion, label, matrix};

fn topk_mask(c: &mut criterion::Criterion<Rate>) {
    let cpu = cpu();
    let mut group = c.benchmark_group("topk_mask");
    for (n, k) in SHAPES {
        let scores = matrix(&cpu, n, k);
        for density in DENSITIES {
            let kept = fraction_of(density, n * k);
            // A comparison counts as an operation.
            group.throughput(Work { bytes: 4 * (n * k + kept + n), flops: n * k }.into());
            group.bench_function(BenchmarkId::new("exact", label((n, k), density)), |b| {
                cpu.install(|| b.iter(|| ops::topk_mask(&cpu, &[&scores], kept)));
            });
            group.bench_function(BenchmarkId::new("std select_nth", label((n, k), density)), |b| {
                b.iter(|| {
                    let mut magnitudes: Vec<f32> = scores.buffer().iter().map(|score| score.abs()).collect();
                    *magnitudes.select_nth_unstable_by(kept, |a, b| b.total_cmp(a)).1
                });
            });
        }
    }
}

criterion_group! { name = benches; config = criterion(); targets = topk_mask }
criterion_main!(benches);
