//! The instructions for rounded operands that this machine offers, and which product takes which.

use super::{
    super::{
        Cpu,
        linear::{GradOperands, LowRank},
        matmul::{Stored, Turned},
        strided::{View, ViewMut},
    },
    few::{FEW, few},
    grads::grads_add,
    joined::{Joined, Operand},
    kernel::Kernel,
    nf4::{Aligned, OneByOne},
    panel_product::InPanels,
    panels::{ROUNDED, Rows, SPLIT, WHOLE},
    tiled,
};
use crate::{
    backend::{AdapterGrads, Rounding, Write},
    tensor::{Matrix, Weight},
};

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

/// With fewer rows, columns or depths, packing f32 numbers takes longer than it saves.
const LEAST_F32: usize = 64;

/// Vectors that round and multiply bf16, and perhaps a kernel that multiplies many rows faster than f32.
#[derive(Clone, Copy)]
pub(in super::super) struct Unit {
    vectors: Vectors,
    kernel: Option<Kernel>,
}

impl Unit {
    pub(in super::super) fn detect() -> Option<Self> {
        Vectors::detect().map(|vectors| Self { vectors, kernel: Kernel::detect(vectors) })
    }

    /// The same with dot products in place of tiles.
    pub(in super::super) fn without_tiles(self) -> Self {
        Self { kernel: Some(Kernel::of_dots(self.vectors)), ..self }
    }

    /// Whether there is a kernel for many rows.
    pub(in super::super) fn takes_many(self) -> bool {
        self.kernel.is_some()
    }

    /// Whether that kernel has tiles.
    pub(in super::super) fn has_tiles(self) -> bool {
        self.kernel.is_some_and(Kernel::has_tiles)
    }

    /// What forms products on one thread of numbers that are rounded so, where there is a kernel for many rows.
    pub(in super::super) fn in_panels(self, rounding: Rounding) -> Option<InPanels> {
        self.kernel.map(|kernel| InPanels::new(kernel, rounding))
    }

    /// Whether [`product`](Self::product) takes one with so many rows.
    pub(in super::super) fn takes(self, rows: usize, turned: Turned) -> bool {
        self.takes_many() || turned == Turned::Yes && rows <= FEW
    }

    /// `c ← [c +] scale · a · b + term`, where a has contiguous rows; nothing, and false, where this unit is not the fastest
    /// way, or not one at all. A term comes without a scale; it, and what is added to the stored weight, where
    /// [`joins`](Self::joins) says so.
    pub(in super::super) fn product(
        self,
        cpu: &Cpu,
        scale: f32,
        a: View<'_>,
        b: Stored<'_>,
        term: Option<LowRank<'_>>,
        write: Write,
        c: ViewMut<'_>,
    ) -> bool {
        match b.w {
            Weight::F32(w) => self.of_f32(cpu, scale, a, operand(View::of(w), b), term, write, c),
            Weight::Bf16(w) => self.of_rows(cpu, scale, a, operand(View::of(w), b), term, write, c),
            Weight::Nf4(w) => match Aligned::new(w) {
                Some(w) => self.of_rows(cpu, scale, a, operand(w, b), term, write, c),
                None => self.of_rows(cpu, scale, a, operand(OneByOne(w), b), term, write, c),
            },
        }
    }

    fn of_rows<R: Rows>(
        self,
        cpu: &Cpu,
        scale: f32,
        a: View<'_>,
        b: Operand<'_, R>,
        term: Option<LowRank<'_>>,
        write: Write,
        c: ViewMut<'_>,
    ) -> bool {
        if b.turned == Turned::Yes && a.rows() <= FEW && b.joined.is_none() && term.is_none() {
            few(cpu, self.vectors, scale, a, b.w, write, c);
            return true;
        }
        let Some(kernel) = self.kernel else { return false };
        tiled::product::<R, ROUNDED>(cpu, kernel, scale, a, b, term, write, c);
        true
    }

    fn of_f32(
        self,
        cpu: &Cpu,
        scale: f32,
        a: View<'_>,
        b: Operand<'_, View<'_>>,
        term: Option<LowRank<'_>>,
        write: Write,
        c: ViewMut<'_>,
    ) -> bool {
        let Some(kernel) = self.kernel else { return false };
        if kernel.has_tiles() {
            tiled::product::<_, SPLIT>(cpu, kernel, scale, a, b, term, write, c);
        } else {
            tiled::product::<_, WHOLE>(cpu, kernel, scale, a, b, term, write, c);
        }
        true
    }

    /// Whether [`product_of_f32`](Self::product_of_f32) is the faster way to this product.
    pub(in super::super) fn takes_f32(self, rows: usize, cols: usize, depth: usize) -> bool {
        self.takes_many() && rows.min(cols).min(depth) >= LEAST_F32
    }

    /// `c ← [c +] scale · a · b`, b turned or not, as accurate as in f32: on tiles, each number is split into three of
    /// bf16, and one that is not finite makes NaN. Nothing, and false, where there is no kernel for many rows.
    pub(in super::super) fn product_of_f32(
        self,
        cpu: &Cpu,
        scale: f32,
        a: View<'_>,
        (w, turned): (View<'_>, Turned),
        write: Write,
        c: ViewMut<'_>,
    ) -> bool {
        self.of_f32(cpu, scale, a, Operand { w, turned, joined: None }, None, write, c)
    }

    /// Whether an adapter joins the product of this shape with its weight: where that is one of panels, so that what a token
    /// comes to does not depend on how many others there are.
    pub(in super::super) fn joins(self, w: Weight<'_, Cpu>, [rows, cols, depth]: [usize; 3]) -> bool {
        match w {
            Weight::F32(_) => self.takes_f32(rows, cols, depth),
            _ => self.takes_by_panels(rows) && cols > 0 && depth > 0,
        }
    }

    /// Whether a product of so many rows with a weight narrower than f32 is one of panels, whichever way the weight stands.
    pub(in super::super) fn takes_by_panels(self, rows: usize) -> bool {
        self.takes_many() && rows > FEW
    }

    /// Adds the gradients of an adapter beside a weight narrower than f32, from x and dy rounded to bf16, where
    /// [`joins`](Self::joins) says so.
    pub(in super::super) fn rounded_grads_add(
        self,
        cpu: &Cpu,
        of: GradOperands<'_>,
        grads: AdapterGrads<'_, Cpu>,
    ) {
        grads_add::<ROUNDED>(cpu, self.kernel.expect("a kernel"), of, grads);
    }

    /// Adds the gradients of A and B beside an f32 weight, where [`joins`](Self::joins) says so and the kernel has no tiles.
    pub(in super::super) fn f32_grads_add(
        self,
        cpu: &Cpu,
        of: GradOperands<'_>,
        a: &mut Matrix<Cpu, f32>,
        b: &mut Matrix<Cpu, f32>,
    ) {
        grads_add::<WHOLE>(cpu, self.kernel.expect("a kernel"), of, AdapterGrads { a, b, s: None });
    }
}

/// The stored weight, read as `w`.
fn operand<R>(w: R, stored: Stored<'_>) -> Operand<'_, R> {
    Operand { w, turned: stored.turned, joined: stored.s.map(|s| Joined { w: stored.w, s }) }
}
