//! Causal grouped-query attention over packed sequences.

use crate::{
    backend::{Backend, Heads, Rounding, work},
    error::{Error, Result, agree, dims, within},
    packing::Packing,
    profile::OpClass,
    tensor::Matrix,
};

/// Per query head: `y = softmax(q·kᵀ/√e)·v` and `lse[t, head] = ln Σ exp(q·kᵀ/√e)`, each query over the
/// keys of its own sequence up to its own position; q, y `[t, h·e]`, k, v `[keys, g·e]`, lse `[t, h]`. q, k, v, and the
/// weights above the division, may be rounded as `rounding` says.
///
/// # Errors
/// [`Error::Dims`] when the shapes do not agree, [`Error::Setting`] for heads that do not share keys
/// evenly, [`Error::Index`] when the packing reaches beyond the rows of k.
pub fn attention<B: Backend>(
    be: &B,
    q: &Matrix<B>,
    k: &Matrix<B>,
    v: &Matrix<B>,
    packing: &Packing<B>,
    heads: Heads,
    rounding: Rounding,
    y: &mut Matrix<B>,
    lse: &mut Matrix<B, f32>,
) -> Result<()> {
    dims!("attention":
        q.rows = packing.tokens, v.rows = k.rows, v.cols = k.cols, y.rows = q.rows, y.cols = q.cols,
        lse.rows = q.rows);
    check_heads("attention", heads, q, k, lse)?;
    within("attention", "key row", packing.keys(), k.rows())?;
    // SAFETY: dims! and check_heads proved the shapes that Backend::attention states, `within` and the
    // invariants of Packing that every row it names exists.
    be.profiled(OpClass::Attention, work::attention(packing, heads, 2), || unsafe {
        be.attention(q, k, v, packing, heads, rounding, y, lse)
    })
}

/// The gradients of [`attention`], overwriting dq, dk, dv. With `P = exp(q·kᵀ/√e − lse)` and
/// `dS = P∘(dy·vᵀ − rowsum(dy∘y))/√e`: `dq = dS·k`, `dk = dSᵀ·q`, `dv = Pᵀ·dy`. q, k, v, dy, P and
/// dS may be rounded as `rounding` says.
///
/// # Errors
/// Those of [`attention`]; [`Error::Dims`] also when a sequence does not attend to itself and to nothing
/// else, as only decoding asks for.
pub fn attention_backward<B: Backend>(
    be: &B,
    q: &Matrix<B>,
    k: &Matrix<B>,
    v: &Matrix<B>,
    y: &Matrix<B>,
    lse: &Matrix<B, f32>,
    dy: &Matrix<B>,
    packing: &Packing<B>,
    heads: Heads,
    rounding: Rounding,
    dq: &mut Matrix<B>,
    dk: &mut Matrix<B>,
    dv: &mut Matrix<B>,
) -> Result<()> {
    const OP: &str = "attention_backward";
    dims!("attention_backward":
        q.rows = packing.tokens, k.rows = q.rows, v.rows = k.rows, v.cols = k.cols, y.rows = q.rows,
        y.cols = q.cols, lse.rows = q.rows, dy.rows = q.rows, dy.cols = q.cols, dq.rows = q.rows,
        dq.cols = q.cols, dk.rows = k.rows, dk.cols = k.cols, dv.rows = v.rows, dv.cols = v.cols);
    check_heads(OP, heads, q, k, lse)?;
    for s in packing.sequences() {
        let sequence = |what, n: u32| ("sequence", what, n as usize);
        agree(OP, sequence("as first key", s.k_start), sequence("as first query", s.q_start))?;
        agree(OP, sequence("keys", s.k_len), sequence("queries", s.q_len))?;
    }
    // SAFETY: dims! and check_heads proved the shapes that Backend::attention_backward states, the loop
    // that every sequence attends to itself.
    be.profiled(OpClass::Attention, work::attention(packing, heads, 5), || unsafe {
        be.attention_backward(q, k, v, y, lse, dy, packing, heads, rounding, dq, dk, dv)
    })
}

fn check_heads<B: Backend>(
    op: &'static str,
    heads: Heads,
    q: &Matrix<B>,
    k: &Matrix<B>,
    lse: &Matrix<B, f32>,
) -> Result<()> {
    let Heads { heads: h, kv_heads: g, head_dim: e } = heads;
    if e == 0 || e % 2 == 1 {
        return Err(Error::setting("head_dim", e, "an even number from 2 on"));
    }
    if g == 0 || h == 0 || h % g != 0 {
        return Err(Error::setting("heads", h, format!("a multiple of the {g} key heads")));
    }
    agree(op, ("q", "cols", q.cols()), ("heads", "features", h * e))?;
    agree(op, ("k", "cols", k.cols()), ("kv_heads", "features", g * e))?;
    agree(op, ("lse", "cols", lse.cols()), ("heads", "heads", h))
}
