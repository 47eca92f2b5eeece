//! What stands for [`packed`](super::packed) where no instructions for rounded operands are known: a type without values.

use super::{
    Cpu,
    linear::{GradOperands, LowRank},
    matmul::{Stored, Turned},
    strided::{View, ViewMut},
};
use crate::{
    backend::{AdapterGrads, Write},
    tensor::{Matrix, Weight},
};

/// No machine has one.
#[derive(Clone, Copy)]
pub(super) enum Unit {}

impl Unit {
    pub(super) fn detect() -> Option<Self> {
        None
    }

    pub(super) fn without_tiles(self) -> Self {
        match self {}
    }

    pub(super) fn takes_many(self) -> bool {
        match self {}
    }

    pub(super) fn has_tiles(self) -> bool {
        match self {}
    }

    pub(super) fn takes_by_panels(self, _: usize) -> bool {
        match self {}
    }

    pub(super) fn takes(self, _: usize, _: Turned) -> bool {
        match self {}
    }

    pub(super) fn product(
        self,
        _: &Cpu,
        _: f32,
        _: View<'_>,
        _: Stored<'_>,
        _: Option<LowRank<'_>>,
        _: Write,
        _: ViewMut<'_>,
    ) -> bool {
        match self {}
    }

    pub(super) fn takes_f32(self, _: usize, _: usize, _: usize) -> bool {
        match self {}
    }

    pub(super) fn joins(self, _: Weight<'_, Cpu>, _: [usize; 3]) -> bool {
        match self {}
    }

    pub(super) fn rounded_grads_add(self, _: &Cpu, _: GradOperands<'_>, _: AdapterGrads<'_, Cpu>) {
        match self {}
    }

    pub(super) fn f32_grads_add(
        self,
        _: &Cpu,
        _: GradOperands<'_>,
        _: &mut Matrix<Cpu, f32>,
        _: &mut Matrix<Cpu, f32>,
    ) {
        match self {}
    }

    pub(super) fn product_of_f32(
        self,
        _: &Cpu,
        _: f32,
        _: View<'_>,
        _: (View<'_>, Turned),
        _: Write,
        _: ViewMut<'_>,
    ) -> bool {
        match self {}
    }
}
