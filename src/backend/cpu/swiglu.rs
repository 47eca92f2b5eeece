//! The gated activation of a Llama's feed-forward block.

use super::{Cpu, cut::rows_of, exp::exp};
use crate::tensor::Matrix;

/// `1/(1 + e⁻ˣ)`.
#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

pub(super) fn swiglu(cpu: &Cpu, gate: &Matrix<Cpu>, up: &Matrix<Cpu>, y: &mut Matrix<Cpu>) {
    let (gate, up) = (gate.buffer(), up.buffer());
    cpu.in_pieces(
        &mut y.buffer_mut()[..],
        rows_of(1),
        #[inline(always)]
        |first, y| {
            for ((y, &gate), up) in y.iter_mut().zip(&gate[first..]).zip(&up[first..]) {
                *y = gate * sigmoid(gate) * up;
            }
        },
    );
}

pub(super) fn swiglu_backward(
    cpu: &Cpu,
    gate: &Matrix<Cpu>,
    up: &Matrix<Cpu>,
    dy: &Matrix<Cpu>,
    dgate: &mut Matrix<Cpu>,
    dup: &mut Matrix<Cpu>,
) {
    let (gate, up, dy) = (gate.buffer(), up.buffer(), dy.buffer());
    let gradients = (&mut dgate.buffer_mut()[..], &mut dup.buffer_mut()[..]);
    cpu.in_pieces(
        gradients,
        rows_of(1),
        #[inline(always)]
        |first, (dgate, dup)| {
            let inputs = gate[first..].iter().zip(&up[first..]).zip(&dy[first..]);
            for (((&gate, up), dy), (dgate, dup)) in inputs.zip(dgate.iter_mut().zip(dup)) {
                let sigma = sigmoid(gate);
                *dup = gate * sigma * dy;
                *dgate = sigma * (1.0 + gate * (1.0 - sigma)) * up * dy;
            }
        },
    );
}
