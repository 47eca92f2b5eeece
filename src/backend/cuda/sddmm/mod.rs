//! `ds += (dyᵀ·x)∘mask`: three forms of one product, and which runs when.
//!
//! [`form`] decides, [`slots`] orders the entries for the slab form; the launches stand in a file per form.

mod dense;
mod form;
mod gather;
mod slab;
mod slots;
#[cfg(test)]
mod tests;

use super::{Cuda, plan::HostPattern};
use crate::{
    error::Result,
    num::to_u32,
    sparse::{Csr, CsrPattern},
    tensor::Matrix,
};
use form::Form;

/// What the form that suits a pattern needs to know of it. Few tokens run in the gather form, which needs nothing.
pub(super) enum Plan {
    Slab(Box<slab::Plan>),
    Dense(dense::Plan),
}

/// The operands as the kernels take them.
#[derive(Clone, Copy)]
struct Operands {
    tokens: u32,
    rows: u32,
    cols: u32,
    /// The address of dy.
    dy: u64,
    /// The address of x.
    x: u64,
    /// The address of the values of ds.
    ds: u64,
}

impl Plan {
    /// The plan of `pattern`.
    pub(super) fn new(cuda: &Cuda, pattern: &HostPattern) -> Result<Self> {
        let form = Form::of(pattern.rows, pattern.cols, pattern.col_indices.len(), cuda.properties());
        Self::of_form(cuda, pattern, form)
    }

    fn of_form(cuda: &Cuda, pattern: &HostPattern, form: Form) -> Result<Self> {
        match form {
            Form::Slab(shape) => slab::Plan::new(cuda, pattern, shape).map(|plan| Self::Slab(Box::new(plan))),
            Form::Dense => dense::Plan::new(cuda, pattern).map(Self::Dense),
        }
    }

    /// # Safety
    /// This is the plan of `pattern`, and the operands live until the call returns, with the sizes that they state.
    unsafe fn add(&self, cuda: &Cuda, operands: Operands, pattern: &CsrPattern<Cuda>) -> Result<()> {
        // SAFETY: the caller's promise, handed on.
        unsafe {
            match self {
                Self::Slab(plan) => plan.add(cuda, operands),
                Self::Dense(plan) => plan.add(cuda, operands, pattern),
            }
        }
    }
}

pub(super) fn sddmm_add(cuda: &Cuda, dy: &Matrix<Cuda>, x: &Matrix<Cuda>, ds: &mut Csr<Cuda>) -> Result<()> {
    let nnz = ds.nnz();
    if nnz == 0 || x.rows() == 0 {
        return Ok(());
    }
    let pattern = ds.pattern().clone();
    let driver = &cuda.driver;
    let operands = Operands {
        tokens: to_u32("tokens", x.rows())?,
        rows: to_u32("rows", dy.cols())?,
        cols: to_u32("cols", x.cols())?,
        dy: driver.input(dy.buffer()),
        x: driver.input(x.buffer()),
        ds: driver.output(ds.values_mut()),
    };
    // SAFETY: the sizes agree by the contract of the op, the borrows outlive the calls, and a pattern's plan is its own.
    unsafe {
        if form::gathers(x.rows(), nnz) {
            gather::add(cuda, operands, &pattern)
        } else {
            pattern.plan.sddmm.add(cuda, operands, &pattern)
        }
    }
}
