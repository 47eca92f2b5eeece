//! The instructions for rounded operands that this machine offers, and which product takes which.

use super::{
    super::{
        Cpu,
        matmul::Turned,
        strided::{View, ViewMut},
    },
    amx::Amx,
    few::{FEW, few},
    nf4::{Aligned, OneByOne},
    panels::Rows,
    tiled,
};
use crate::{backend::Write, tensor::Weight};

/// The proof that this machine has AVX-512 with BW, VBMI and BF16.
#[derive(Clone, Copy)]
pub(super) struct Vectors(());

impl Vectors {
    fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vbmi")
            && is_x86_feature_detected!("avx512bf16");
        found.then_some(Self(()))
    }
}

/// Vectors that round and multiply bf16, and perhaps tiles that do.
#[derive(Clone, Copy)]
pub(in super::super) struct Unit {
    vectors: Vectors,
    tiles: Option<Amx>,
}

impl Unit {
    pub(in super::super) fn detect() -> Option<Self> {
        Vectors::detect().map(|vectors| Self { vectors, tiles: Amx::detect() })
    }

    /// Whether there are tiles.
    pub(in super::super) fn has_tiles(self) -> bool {
        self.tiles.is_some()
    }

    /// Whether [`product`](Self::product) takes one with so many rows.
    pub(in super::super) fn takes(self, rows: usize, turned: Turned) -> bool {
        self.has_tiles() || turned == Turned::Yes && rows <= FEW
    }

    /// `c ← [c +] scale · a · b`, where b is the weight w, turned or not, and a has contiguous rows; nothing, and
    /// false, where this unit is not the fastest way or w is f32.
    pub(in super::super) fn product(
        self,
        cpu: &Cpu,
        scale: f32,
        a: View<'_>,
        (w, turned): (Weight<'_, Cpu>, Turned),
        write: Write,
        c: ViewMut<'_>,
    ) -> bool {
        match w {
            Weight::F32(_) => false,
            Weight::Bf16(w) => self.of_rows(cpu, scale, a, (View::of(w), turned), write, c),
            Weight::Nf4(w) => match Aligned::new(w) {
                Some(w) => self.of_rows(cpu, scale, a, (w, turned), write, c),
                None => self.of_rows(cpu, scale, a, (OneByOne(w), turned), write, c),
            },
        }
    }

    fn of_rows<R: Rows>(
        self,
        cpu: &Cpu,
        scale: f32,
        a: View<'_>,
        (w, turned): (R, Turned),
        write: Write,
        c: ViewMut<'_>,
    ) -> bool {
        if turned == Turned::Yes && a.rows() <= FEW {
            few(cpu, self.vectors, scale, a, w, write, c);
            return true;
        }
        let Some(amx) = self.tiles else { return false };
        tiled::product(cpu, (amx, self.vectors), scale, a, (w, turned), write, c);
        true
    }
}
