//! `eˣ` as a polynomial, so that the loops around it vectorise; the one of libm is a call per element.

use std::f32::consts::LOG2_E;

/// `eˣ` within 2 ulp; 0 where it is no normal number, from −87.34 on down; ∞ from 88.73 on, NaN for NaN.
///
/// With `n = round(x / ln 2)` and `r = x − n·ln 2`, `eˣ = 2ⁿ·eʳ` and `|r| ≤ ln 2 / 2`, where the
/// minimax polynomial of Cephes' `expf` is good to half an ulp.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    /// ln 2⁻¹²⁶, and a little less than ln 2¹²⁸.
    const LEAST: f32 = -87.336_54;
    const MOST: f32 = 88.722_8;
    /// Adding 1.5·2²³ rounds to an integer, which then stands in the low bits.
    const ROUND: f32 = 12_582_912.0;
    /// ln 2 in two parts; products of the first with any `n` are exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;

    let rounded = x.mul_add(LOG2_E, ROUND);
    let n = rounded - ROUND;
    let r = n.mul_add(-LN2_LOW, n.mul_add(-LN2_HIGH, x));
    let p = 1.987_569_1e-4_f32
        .mul_add(r, 1.398_2e-3)
        .mul_add(r, 8.333_452e-3)
        .mul_add(r, 4.166_579_6e-2)
        .mul_add(r, 1.666_666_5e-1)
        .mul_add(r, 5.0e-1);
    let p = p.mul_add(r * r, r + 1.0);
    // Times 2ⁿ: n joins the exponent of p.
    let power = f32::from_bits(p.to_bits().wrapping_add(rounded.to_bits() << 23));
    let power = if x < LEAST { 0.0 } else { power };
    if x <= MOST { power } else { x + f32::INFINITY }
}

#[cfg(test)]
mod tests {
    use super::exp;

    #[test]
    fn errs_by_two_ulp_at_most() {
        let mut worst: f64 = 0.0;
        for bits in (0..=u32::MAX).step_by(1009) {
            let x = f32::from_bits(bits);
            if !(-87.336..=88.72).contains(&x) {
                continue;
            }
            let want = f64::from(x).exp();
            // The distance between neighbouring f32 numbers at `want`.
            let ulp = want.log2().floor().max(-126.0).exp2() / f64::from(1 << 23);
            let error = (f64::from(exp(x)) - want).abs() / ulp;
            assert!(error <= 2.0, "exp({x}) is off by {error} ulp");
            worst = worst.max(error);
        }
        assert!(worst > 0.4, "the sweep saw nothing: worst error {worst} ulp");
    }

    #[test]
    fn keeps_to_the_ends_of_the_range() {
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(-1.0e30), 0.0);
        assert_eq!(exp(-87.34), 0.0);
        assert!(exp(-87.336_54) >= f32::MIN_POSITIVE);
        assert_eq!(exp(88.73), f32::INFINITY);
        assert_eq!(exp(f32::INFINITY), f32::INFINITY);
        for low_bits in 0..512 {
            assert!(exp(f32::from_bits(f32::NAN.to_bits() | low_bits)).is_nan());
        }
    }
}
