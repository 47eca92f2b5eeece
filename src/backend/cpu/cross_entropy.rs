//! The loss of next-token prediction together with its gradient.

use super::{
    Cpu,
    cut::{Rows, rows_of},
    exp::exp,
    reduce,
};
use crate::{
    num::to_usize,
    tensor::{Ids, Matrix},
};

pub(super) fn cross_entropy(
    cpu: &Cpu,
    targets: &Ids<Cpu>,
    scale: f32,
    logits: &mut Matrix<Cpu>,
    first: usize,
    losses: &mut Matrix<Cpu, f32>,
) {
    let vocab = logits.cols();
    let losses = &mut losses.buffer_mut()[first..][..targets.len()];
    let out = (losses, Rows { data: logits.buffer_mut(), width: vocab });
    cpu.in_pieces(
        out,
        rows_of(vocab),
        #[inline(always)]
        |first, (losses, logits)| {
            let rows = logits.data.chunks_exact_mut(vocab).zip(losses);
            for ((row, loss), &target) in rows.zip(&targets.buffer()[first..]) {
                let target = to_usize(target);
                let (max, aim) = (reduce::max(row), row[target]);
                let sum = reduce::map_sum(
                    row,
                    #[inline(always)]
                    |logit| exp(logit - max),
                );
                *loss = sum.ln() + (max - aim);
                let factor = scale / sum;
                row.iter_mut().for_each(|p| *p *= factor);
                row[target] -= scale;
            }
        },
    );
}
