//! The gradients of an adapter in one pass over x and dy, both of P parts as in their products with the weight, and so are u
//! and du.
//!
//! | gradient | formed by |
//! | --- | --- |
//! | `da = duᵀ·x`, `dbᵀ = scale·uᵀ·dy` | panels: x and dy are right operands, du and u left ones |
//! | `ds = (dyᵀ·x)` where s is set | of rounded numbers: dot products of vectors, from the same tiles turned over: a line is 32 tokens of a feature |
//!
//! So x and dy are read, and rounded, once.

use super::{
    super::{
        Cpu,
        dots::x86::sums_of,
        elements::Elements,
        linear::GradOperands,
        matmul::Turned,
        row_pieces::split,
        strided::{View, ViewMut},
        turn::{SIDE, turn},
    },
    kernel::{Extent, Kernel, Left, Square, Stores},
    pack_right::pack_right,
    panels::{PANEL, ROUNDED, STEP, Split, Tile, lanes, pack_left, transposed},
    unit::Vectors,
};
use crate::{
    backend::{AdapterGrads, Write},
    num::to_usize,
    sparse::CsrPattern,
};
use bytemuck::{Pod, Zeroable};
use rayon::prelude::*;
use std::{arch::x86_64::*, iter};

/// Steps of 32 tokens that pass at a time: more share the cost of summing lanes, fewer stay in the cache.
const STEPS: usize = 4;
/// Tokens that pass at a time.
const TOKENS: usize = STEPS * STEP;
/// Groups of consecutive tokens, at most: each has sums of its own, so that threads need not wait for each other.
const GROUPS: usize = 2;
/// Panels of one parallel piece of x or dy.
const PANELS: usize = 16;
/// Panels that are packed at a time: they stay in the first-level cache.
const NEAR: usize = 4;
/// Entries of one parallel piece of s.
const ENTRIES: usize = 1024;
/// [`TOKENS`] tokens of a feature.
type Feature = [Tokens; STEPS];

/// 32 tokens of a feature, as pairs of numbers.
#[derive(Clone, Copy, Zeroable, Pod)]
#[repr(C, align(64))]
struct Tokens([u32; 16]);

pub(super) fn grads_add<const P: usize>(
    cpu: &Cpu,
    kernel: Kernel,
    of: GradOperands<'_>,
    grads: AdapterGrads<'_, Cpu>,
) where
    for<'a> View<'a>: Split<P>,
{
    assert!(P == ROUNDED || grads.s.is_none(), "the gradient of S is one of rounded numbers");
    let tokens = of.x.rows();
    let group = TOKENS * tokens.div_ceil(TOKENS).div_ceil(GROUPS);
    let pattern = grads.s.as_deref().map(|s| s.pattern().clone());
    let values = grads.s.map_or(&mut [][..], |s| &mut s.values_mut()[..]);
    // The first group adds to ds itself.
    let mut others = vec![vec![0.0; values.len()]; tokens.div_ceil(group) - 1];
    cpu.pooled(|| {
        let targets: Vec<_> =
            iter::once(&mut values[..]).chain(others.iter_mut().map(|s| &mut s[..])).collect();
        let mut sums: Vec<_> = targets
            .into_par_iter()
            .enumerate()
            .map(|(i, ds)| {
                let tokens = i * group..tokens.min((i + 1) * group);
                let mut sides = [[of.dy, of.u], [of.x, of.du]].map(|of| {
                    let rows = of.map(|of| of.block(tokens.clone(), 0..of.cols()));
                    Side::<P>::new(cpu, kernel, rows, pattern.is_some())
                });
                for first in (0..tokens.len()).step_by(TOKENS) {
                    let [dy, x] = &mut sides;
                    rayon::join(|| dy.pass(first), || x.pass(first));
                    if let Some(pattern) = &pattern {
                        add_to_entries(kernel.vectors, pattern, dy.turned(), x.turned(), ds);
                    }
                }
                sides.map(|side| side.sums)
            })
            .collect();
        for sums in &others {
            let pieces = values.par_chunks_mut(ENTRIES).zip(sums.par_chunks(ENTRIES));
            pieces.for_each(|(ds, sums)| ds.iter_mut().zip(sums).for_each(|(ds, sum)| *ds += sum));
        }
        let Some(([of_b, of_a], others)) = sums.split_first_mut() else { return };
        let ranks = of.u.cols();
        let squares = ranks.div_ceil(PANEL);
        let panels: Vec<_> = ViewMut::of(grads.b).bands(PANEL).enumerate().collect();
        of_b.par_chunks_mut(squares).zip(panels).for_each(|(sums, (panel, mut b))| {
            for (i, (sum, first)) in sums.iter_mut().zip((0..ranks).step_by(PANEL)).enumerate() {
                let others = others.iter().map(|[of_b, _]| &of_b[panel * squares + i]);
                join(cpu, sum, others, ranks - first, of.scale);
                let sum = View::new(sum.0.as_flattened(), PANEL, PANEL);
                for rank in (first..ranks.min(first + PANEL)).step_by(SIDE) {
                    let ranks = rank..ranks.min(rank + SIDE);
                    for feature in (0..b.rows()).step_by(SIDE) {
                        let features = feature..b.rows().min(feature + SIDE);
                        let sum = sum.block(rank - first..ranks.end - first, features.clone());
                        turn(cpu.arch, sum, Write::Add, b.reborrow().block(features, ranks.clone()));
                    }
                }
            }
        });
        let panels: Vec<_> = ViewMut::of(grads.a).columns(PANEL).enumerate().collect();
        of_a.par_chunks_mut(squares).zip(panels).for_each(|(sums, (panel, mut a))| {
            for (i, (sum, first)) in sums.iter_mut().zip((0..ranks).step_by(PANEL)).enumerate() {
                let others = others.iter().map(|[_, of_a]| &of_a[panel * squares + i]);
                join(cpu, sum, others, ranks - first, 1.0);
                for (rank, sum) in (first..ranks).zip(&sum.0) {
                    a.row(rank).iter_mut().zip(sum).for_each(|(a, sum)| *a += sum);
                }
            }
        });
    });
}

/// In the first `rows` rows, or in all: `sum ← scale · (sum + others)`.
fn join<'a>(cpu: &Cpu, sum: &mut Square, others: impl Iterator<Item = &'a Square>, rows: usize, scale: f32) {
    let sums = sum.0[..rows.min(PANEL)].as_flattened_mut();
    for other in others {
        cpu.vectorize(
            #[inline(always)]
            || sums.iter_mut().zip(other.0.as_flattened()).for_each(|(sum, of)| *sum += of),
        );
    }
    cpu.vectorize(
        #[inline(always)]
        || sums.iter_mut().for_each(|sum| *sum *= scale),
    );
}

/// Activations of some tokens, and what becomes of them.
struct Side<'a, const P: usize> {
    cpu: &'a Cpu,
    kernel: Kernel,
    of: View<'a>,
    factor: View<'a>,
    /// The tokens that pass, feature by feature; written for S alone.
    turned: Elements<Feature>,
    for_s: bool,
    /// The product with the factor: for each panel of features, a square for each [`PANEL`] ranks; written by the first pass.
    sums: Elements<Square>,
}

impl<'a, const P: usize> Side<'a, P>
where
    View<'a>: Split<P>,
{
    fn new(cpu: &'a Cpu, kernel: Kernel, [of, factor]: [View<'a>; 2], for_s: bool) -> Self {
        let panels = of.cols().div_ceil(PANEL);
        Self {
            cpu,
            kernel,
            of,
            factor,
            turned: Elements::unwritten(cpu.scratch(), PANEL * panels),
            for_s,
            sums: Elements::unwritten(cpu.scratch(), panels * factor.cols().div_ceil(PANEL)),
        }
    }

    /// Takes the tokens from `first` on, at most [`TOKENS`].
    fn pass(&mut self, first: usize) {
        let (cpu, kernel) = (self.cpu, self.kernel);
        let write = if first == 0 { Write::Overwrite } else { Write::Add };
        let tokens = first..self.of.rows().min(first + TOKENS);
        let of = self.of.block(tokens.clone(), 0..self.of.cols());
        let panel = 2 * P * tokens.len().div_ceil(STEP);
        let factor = self.factor.block(tokens, 0..self.factor.cols()).transposed();
        let left: Vec<_> = (0..factor.rows())
            .step_by(PANEL)
            .map(|rank| factor.block(rank..factor.rows().min(rank + PANEL), 0..factor.cols()))
            .map(|factor| (factor.rows(), packed_left::<P>(cpu, kernel.vectors, factor)))
            .collect();
        let pieces =
            self.turned.par_chunks_mut(PANEL * PANELS).zip(self.sums.par_chunks_mut(left.len() * PANELS));
        let for_s = self.for_s;
        let room = || Elements::unwritten(cpu.scratch(), P * 2 * STEPS * NEAR);
        pieces.enumerate().for_each_init(room, |packed, (piece, (turned, sums))| {
            let session = kernel.start();
            let parts = turned.chunks_mut(PANEL * NEAR).zip(sums.chunks_mut(left.len() * NEAR));
            for (part, (turned, sums)) in parts.enumerate() {
                let first = (piece * PANELS + part * NEAR) * PANEL;
                let cols = first..of.cols().min(first + NEAR * PANEL);
                let packed = &mut packed[..panel * cols.len().div_ceil(PANEL)];
                // SAFETY: the ranges lie inside.
                unsafe {
                    pack_right::<_, P>(kernel.vectors, (of, Turned::No), 0..of.rows(), cols, packed, panel);
                }
                let panels = packed.chunks_exact(panel).zip(turned.chunks_exact_mut(PANEL));
                for ((right, turned), sums) in panels.zip(sums.chunks_exact_mut(left.len())) {
                    for ((ranks, left), sums) in left.iter().zip(sums) {
                        let sums = sums.view();
                        let extent = Extent { rows: *ranks, ..Extent::ALL };
                        session.multiply_part::<P>(
                            extent,
                            Left::Packed(left),
                            right,
                            write,
                            Stores::Near,
                            sums,
                        );
                    }
                    if for_s {
                        // SAFETY: the features are proven.
                        unsafe { turn_panel(right, turned) };
                    }
                }
            }
        });
    }

    /// The features that [`pass`](Self::pass) turned.
    fn turned(&self) -> &[Feature] {
        assert!(self.for_s, "features are turned for S");
        &self.turned
    }
}

/// The rows of `a`, at most 32, as a panel.
fn packed_left<const P: usize>(cpu: &Cpu, _: Vectors, a: View<'_>) -> Elements<Tile> {
    let mut tiles = Elements::unwritten(cpu.scratch(), 2 * P * a.cols().div_ceil(STEP));
    // SAFETY: the features are proven.
    unsafe { pack_left::<P>(a, &mut tiles) };
    tiles
}

/// Overwrites the 32 features of a panel: a line for each step, zero for those that it does not have.
#[target_feature(enable = "avx512f")]
fn turn_panel(panel: &[Tile], features: &mut [Feature]) {
    for step in 0..STEPS {
        for half in 0..2 {
            let lines = match panel.get(2 * step + half) {
                Some(tile) => transposed(tile.rows()),
                None => [_mm512_setzero_si512(); 16],
            };
            for (feature, line) in features[16 * half..].iter_mut().zip(lines) {
                // SAFETY: a line has 64 bytes, aligned so.
                unsafe { _mm512_store_si512((&raw mut feature[step]).cast(), line) };
            }
        }
    }
}

/// Adds what some tokens add to each entry.
fn add_to_entries(_: Vectors, pattern: &CsrPattern<Cpu>, dy: &[Feature], x: &[Feature], ds: &mut [f32]) {
    assert!(
        dy.len() >= PANEL * pattern.rows().div_ceil(PANEL) && x.len() >= pattern.cols(),
        "all features of both"
    );
    let start = |panel: usize| to_usize(pattern.row_offsets[pattern.rows().min(panel * PANEL)]);
    let panels = pattern.rows().div_ceil(PANEL);
    let ds = split(ds, (0..panels).map(|panel| start(panel + 1) - start(panel)));
    ds.into_par_iter().enumerate().for_each(|(panel, ds)| {
        let entries = &pattern.in_panels_of_rows()[start(panel)..start(panel + 1)];
        let dy = &dy[panel * PANEL..].as_chunks().0[0];
        // SAFETY: the features are proven.
        unsafe { add_dots(dy, x, entries, ds) };
    });
}

/// `ds += dy[row] · x[column]` for each entry, whose rows are those of a panel.
#[target_feature(enable = "avx512f,avx512bf16")]
fn add_dots(dy: &[Feature; PANEL], x: &[Feature], entries: &[u32], ds: &mut [f32]) {
    for (entries, ds) in entries.chunks(16).zip(ds.chunks_mut(16)) {
        let last = entries.len() - 1;
        let mut dots = [_mm512_setzero_ps(); 16];
        for (i, lanes) in dots.iter_mut().enumerate() {
            let entry = to_usize(entries[i.min(last)]);
            *lanes = dot(&dy[entry % PANEL], &x[entry / PANEL]);
        }
        let lanes = _mm512_int2mask(lanes(entries.len()).cast_signed());
        // SAFETY: the lanes name the elements that there are.
        unsafe {
            let before = _mm512_maskz_loadu_ps(lanes, ds.as_ptr());
            _mm512_mask_storeu_ps(ds.as_mut_ptr(), lanes, _mm512_add_ps(before, sums_of(dots)));
        }
    }
}

/// The products of pairs of numbers, summed lane by lane.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn dot(a: &Feature, b: &Feature) -> __m512 {
    // SAFETY: both are 512 bits of plain data.
    let pairs = |of: Tokens| unsafe { std::mem::transmute::<Tokens, __m512bh>(of) };
    let mut sum = _mm512_setzero_ps();
    for (&a, &b) in a.iter().zip(b) {
        sum = _mm512_dpbf16_ps(sum, pairs(a), pairs(b));
    }
    sum
}
