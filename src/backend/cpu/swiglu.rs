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

pub(super) fn swiglu_backward(cpu: &Cpu, gate: &mut Matrix<Cpu>, up: &mut Matrix<Cpu>, dy: &mut Matrix<Cpu>) {
    let [gate, up, dy] = [gate, up, dy].map(|x| &mut x.buffer_mut()[..]);
    cpu.in_pieces(
        (gate, (up, dy)),
        rows_of(1),
        #[inline(always)]
        |_, (gate, (up, dy))| {
            for (gate, (up, dy)) in gate.iter_mut().zip(up.iter_mut().zip(dy)) {
                let sigma = sigmoid(*gate);
                let silu = *gate * sigma;
                let dgate = sigma * (1.0 + *gate * (1.0 - sigma)) * *up * *dy;
                (*gate, *up, *dy) = (dgate, silu * *dy, silu * *up);
            }
        },
    );
}
