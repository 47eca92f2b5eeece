//! The limits that the kernels keep, as vgpu counts; a change that passes one is a regression.

use crate::{Case, Op, SIZE, TOKENS, counters::Counted};
use std::fmt;

/// Upper limits; infinite where nothing is demanded.
#[derive(Clone, Copy)]
pub struct Must {
    /// Warp instructions per nonzero, or per 32 weights.
    warps: f64,
    /// Thread instructions per weight, those of threads that take part.
    threads: f64,
    /// Sectors asked for, per nonzero, or per 32 weights.
    sectors: f64,
    /// Sectors asked for, over the least there can be.
    excess: f64,
    /// Passes over shared memory beyond those that are needed, over these.
    conflicts: f64,
    /// Modelled microseconds.
    time: f64,
}

/// What a product with a 4-bit weight may ask for: 3.5 million sectors. Backward, of each row of the weight a tile of
/// 128 × 256 has four magnitudes, half of a sector, where forward it uses whole ones.
fn product_sectors(op: Op) -> f64 {
    let backward = TOKENS / 128 * SIZE / 256 * SIZE / 2;
    3.5e6 + if op == Op::Nf4LinearT { backward as f64 } else { 0.0 }
}

const NONE: Must = Must {
    warps: f64::INFINITY,
    threads: f64::INFINITY,
    sectors: f64::INFINITY,
    excess: f64::INFINITY,
    conflicts: f64::INFINITY,
    time: f64::INFINITY,
};

impl Must {
    /// What is demanded of a case on `a100` or `h100`.
    pub fn of(case: &Case, device: &str) -> Self {
        let time = |a100, h100| if device == "a100" { a100 } else { h100 };
        match (case.op, case.percent) {
            (Op::CsrAdd, percent) => {
                Self { warps: if percent < 0.3 { 2.0 } else { 1.2 }, excess: 1.10, ..NONE }
            }
            (Op::Spmm | Op::SpmmT, 0.6) => Self { sectors: 14.0, time: time(12.5, 9.0), ..NONE },
            (Op::Sddmm, 0.6) => Self { sectors: 18.0, time: time(12.0, 11.0), ..NONE },
            (Op::Sddmm, 2.4) => Self { time: time(36.0, 24.0), ..NONE },
            // The dense form: 6.6 million sectors in all. Conflicts, 0.06 of the passes needed, are those of entries
            // that find their results; stored where banks do not turn by the row, results would make it 0.29.
            (Op::Sddmm, 6.0) => {
                let entries = 0.06 * (SIZE * SIZE) as f64;
                Self { sectors: 6.6e6 / entries, conflicts: 0.15, time: time(58.0, 38.0), ..NONE }
            }
            (Op::Nf4Dequantize, 0.0) => Self { threads: 8.0, excess: 1.02, conflicts: 0.0, ..NONE },
            (Op::Nf4Dequantize, _) => {
                Self { threads: 8.0, excess: 1.02, conflicts: 0.0, time: time(29.0, 13.5), ..NONE }
            }
            (Op::Nf4Linear | Op::Nf4LinearT, 0.0) => Self {
                threads: 34.0,
                sectors: product_sectors(case.op) / case.units(0),
                conflicts: 0.035,
                time: time(62.0, 32.0),
                ..NONE
            },
            (Op::Nf4Linear | Op::Nf4LinearT, 0.6) => Self { time: time(62.0, 36.0), ..NONE },
            (Op::Nf4Decode, 0.0) => Self { threads: 6.0, excess: 1.4, time: time(7.5, 4.2), ..NONE },
            _ => NONE,
        }
    }

    /// What the sparse part of a layer may take at 0.6 %, forward and backward.
    pub fn of_layer(device: &str) -> [f64; 2] {
        if device == "a100" { [13.0, 25.0] } else { [9.0, 18.0] }
    }

    fn limits(&self) -> [(&'static str, f64); 6] {
        [
            ("w", self.warps),
            ("t", self.threads),
            ("s", self.sectors),
            ("ideal", self.excess),
            ("conflicts", self.conflicts),
            ("us", self.time),
        ]
    }

    pub fn is_none(&self) -> bool {
        self.limits().iter().all(|(_, limit)| limit.is_infinite())
    }

    pub fn holds(&self, counted: &Counted, units: f64) -> bool {
        let found = [
            counted.warps / units,
            counted.threads / (32.0 * units),
            counted.sectors / units,
            counted.sectors / counted.ideal,
            counted.conflicts / (counted.wavefronts - counted.conflicts).max(1.0),
            counted.time,
        ];
        found.iter().zip(self.limits()).all(|(found, (_, limit))| *found <= limit)
    }
}

impl fmt::Display for Must {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limits = self.limits().into_iter().filter(|(_, limit)| limit.is_finite());
        let limits = limits.map(|(what, limit)| format!("{what} <= {}", (limit * 100.0).round() / 100.0));
        f.write_str(&limits.collect::<Vec<_>>().join(", "))
    }
}
