//! A merged weight against `W + S + s·B·A` in f64.

use super::temp_dir;
use crate::support::{
    arbitrary::sparse::{HostCsr, normals},
    bound::{Exact, assert_within},
    tiny,
};
use half::bf16;
use rosa_kernels::{
    architecture::Architecture,
    checkpoint::{AdapterFile, LowRank, ModuleAdapter, SparsePart, Weights, merge},
    device::Element,
};
use std::collections::BTreeMap;

const RANK: usize = 3;

/// What the tests add to a module `[out, in]`, whose stored weight is `[rows, cols]`: numbers that fill all 24 bits.
fn module([out, inp]: [usize; 2], [rows, cols]: [usize; 2]) -> ModuleAdapter {
    let s = HostCsr::random(rows, cols, 0.3);
    let sparse = SparsePart {
        cols,
        row_offsets: s.offsets(),
        col_indices: s.columns(),
        values: normals(3, s.entries.len()),
    };
    let low_rank = LowRank { rank: RANK, a: normals(4, RANK * inp), b: normals(5, out * RANK) };
    ModuleAdapter { out_features: out, in_features: inp, low_rank: Some(low_rank), sparse: Some(sparse) }
}

on_every_backend! {
    /// On the CPU a sum of `RANK` products, the scale, W and S. Where products are of bf16 numbers, each number counts as
    /// three of them, whose nine products are exact, and a sum may be cut, which counts twice.
    fn a_merged_weight_is_as_exact_as_f32_allows(be: &impl Backend) {
        let roundings = if <B::Act as Element>::NAME == bf16::NAME { 2 * 9 * RANK + 4 } else { RANK + 4 };
        let dir = temp_dir();
        let [base, out] = ["base", "merged"].map(|name| dir.path().join(name));
        tiny::write_model(&crate::support::cpu(), tiny::architecture(), &base);
        let config = tiny::options(&format!("--rank {RANK}")).adapter_config().expect("a configuration");
        let modules = BTreeMap::from([
            (Architecture::EMBEDDING.to_owned(), module([16, 50], [50, 16])),
            ("model.layers.0.self_attn.k_proj".to_owned(), module([8, 16], [8, 16])),
            ("model.layers.1.mlp.down_proj".to_owned(), module([16, 24], [16, 24])),
        ]);
        let file = AdapterFile { config, modules };
        merge::merge(be, &base, Some(&file), &out, merge::StoredAs::Keep.into(), &mut |_, _| ()).expect("merged");

        let (before, after) = (Weights::open(&base).expect("a model"), Weights::open(&out).expect("a model"));
        for (name, shape) in tiny::architecture().tensors() {
            let [before, after] = [&before, &after].map(|file| file.f32(&name, &shape).expect("a weight"));
            let Some(part) = name.strip_suffix(".weight").and_then(|module| file.modules.get(module)) else {
                assert_eq!(before, after, "{name}, which no adapter changes");
                continue;
            };
            let (l, s) = (part.low_rank.as_ref().expect("A, B"), part.sparse.as_ref().expect("S"));
            let scale = f64::from(file.config.scale(name.trim_end_matches(".weight")));
            let transposed = name.starts_with(Architecture::EMBEDDING);
            let mut want: Vec<Exact> = Vec::new();
            for (i, &w) in before.iter().enumerate() {
                let (row, column) = (i / shape[1], i % shape[1]);
                let (o, i) = if transposed { (column, row) } else { (row, column) };
                let mut sum = Exact::default();
                sum.add(w.into(), 1.0);
                for r in 0..RANK {
                    sum.add(scale * f64::from(l.b[o * RANK + r]), l.a[r * part.in_features + i].into());
                }
                want.push(sum);
            }
            for row in 0..shape[0] {
                for entry in s.row_offsets[row] as usize..s.row_offsets[row + 1] as usize {
                    want[row * shape[1] + s.col_indices[entry] as usize].add(s.values[entry].into(), 1.0);
                }
            }
            assert_within::<f32>(&after, &want, roundings);
        }
    }
}
