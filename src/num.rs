//! Every narrowing conversion of the crate, so that a cast is looked for in one place.

use crate::error::{Error, Result};

/// `n` as the 32-bit count that devices use.
///
/// # Errors
/// [`Error::TooLarge`] when `n` exceeds `u32::MAX`; `what` names the quantity in the message.
pub fn to_u32(what: &'static str, n: usize) -> Result<u32> {
    u32::try_from(n).map_err(|_| Error::TooLarge { what, value: n, limit: u32::MAX as usize })
}

/// A device count or index as a host size; lossless on every supported target.
#[must_use]
pub const fn to_usize(n: u32) -> usize {
    n as usize
}

/// The nearest f32 of an f64 (round to nearest, ties to even).
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "rounding is the point")]
pub const fn to_f32(x: f64) -> f32 {
    x as f32
}

/// `⌊density · count⌋` entries, exact for every count that a matrix can have.
///
/// `density` must lie in `[0, 1]`; the result never exceeds `count`.
#[must_use]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 <= density * count <= count")]
pub fn fraction_of(density: f64, count: usize) -> usize {
    debug_assert!((0.0..=1.0).contains(&density));
    // 0.006 * 1000 is 5.999… or 6.000… by an ulp; a product this close to an integer means it.
    let product = density * count as f64;
    let nearest = product.round();
    let exact =
        if (product - nearest).abs() <= 4.0 * f64::EPSILON * product { nearest } else { product.floor() };
    (exact as usize).min(count)
}

/// A whole number that was read as an f64; what is not a count becomes the nearest one.
#[must_use]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the conversion saturates")]
pub const fn whole(x: f64) -> usize {
    x as usize
}

/// The low 32 bits of a 64-bit word.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "the low half is the point")]
pub const fn low_u32(x: u64) -> u32 {
    x as u32
}

/// The high 32 bits of a 64-bit word.
#[must_use]
pub const fn high_u32(x: u64) -> u32 {
    (x >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_that_mean_an_integer_are_that_integer() {
        assert_eq!(fraction_of(0.006, 1000), 6);
        assert_eq!(fraction_of(0.0255, 64 * 172), 280);
        assert_eq!(fraction_of(0.29, 100), 29);
        assert_eq!(fraction_of(0.0, 7), 0);
        assert_eq!(fraction_of(1.0, 7), 7);
        assert_eq!(fraction_of(0.999, 7), 6);
    }
}
