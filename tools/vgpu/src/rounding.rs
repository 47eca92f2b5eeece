//! Exact values to floating-point formats under every rounding mode.

/// How an inexact result is rounded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rounding {
    /// To nearest, ties to even.
    Nearest,
    /// To nearest, ties away from zero.
    Away,
    /// Towards zero.
    Zero,
    /// Towards minus infinity.
    Down,
    /// Towards plus infinity.
    Up,
}

impl Rounding {
    /// The modifiers of floating-point results: `rn`, `rz`, `rm`, `rp`, `rna`.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "rn" => Self::Nearest,
            "rna" => Self::Away,
            "rz" => Self::Zero,
            "rm" => Self::Down,
            "rp" => Self::Up,
            _ => return None,
        })
    }

    /// The modifiers of integral results: `rni`, `rzi`, `rmi`, `rpi`.
    pub(crate) fn parse_integral(name: &str) -> Option<Self> {
        name.strip_suffix('i').and_then(Self::parse)
    }

    /// `x` rounded to an integer.
    pub(crate) fn integral(self, x: f64) -> f64 {
        match self {
            Self::Nearest => x.round_ties_even(),
            Self::Away => x.round(),
            Self::Zero => x.trunc(),
            Self::Down => x.floor(),
            Self::Up => x.ceil(),
        }
    }

    /// Whether a magnitude with discarded bits grows by a unit in the last place.
    fn grows(self, negative: bool, odd: bool, above_half: bool, at_half: bool, inexact: bool) -> bool {
        match self {
            Self::Nearest => above_half || at_half && odd,
            Self::Away => above_half || at_half,
            Self::Zero => false,
            Self::Down => inexact && negative,
            Self::Up => inexact && !negative,
        }
    }
}

/// A binary interchange format.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Format {
    /// Bits of the stored fraction.
    pub(crate) fraction: u32,
    /// Bits of the exponent.
    pub(crate) exponent: u32,
    /// The NaN that arithmetic returns.
    pub(crate) nan: u64,
}

pub(crate) const F16: Format = Format { fraction: 10, exponent: 5, nan: 0x7fff };
pub(crate) const BF16: Format = Format { fraction: 7, exponent: 8, nan: 0x7fff };
pub(crate) const F32: Format = Format { fraction: 23, exponent: 8, nan: 0x7fff_ffff };
pub(crate) const F64: Format = Format { fraction: 52, exponent: 11, nan: 0xfff8_0000_0000_0000 };
/// f32 with ten bits of fraction, left-aligned in 32 bits by the caller.
pub(crate) const TF32: Format = Format { fraction: 10, exponent: 8, nan: 0x3_ffff };

impl Format {
    fn bias(self) -> i32 {
        (1 << (self.exponent - 1)) - 1
    }

    /// The bits without a sign of infinity.
    pub(crate) fn infinity(self) -> u64 {
        ((1 << self.exponent) - 1) << self.fraction
    }

    pub(crate) fn sign(self) -> u64 {
        1 << (self.fraction + self.exponent)
    }

    /// The value of `bits`; exact, as every format here fits an f64.
    pub(crate) fn value(self, bits: u64) -> f64 {
        let magnitude = bits & (self.sign() - 1);
        let sign = if bits & self.sign() == 0 { 1.0 } else { -1.0 };
        if magnitude > self.infinity() {
            return f64::NAN;
        }
        if magnitude == self.infinity() {
            return sign * f64::INFINITY;
        }
        let exponent = (magnitude >> self.fraction) as i32;
        let fraction = magnitude & ((1 << self.fraction) - 1);
        let (significand, exponent) =
            if exponent == 0 { (fraction, 1) } else { (fraction | 1 << self.fraction, exponent) };
        sign * scale(significand as f64, exponent - self.bias() - self.fraction as i32)
    }

    /// `(-1)^negative · magnitude · 2^exponent`, rounded; `sticky` says that the magnitude is really larger by
    /// less than one.
    pub(crate) fn round(
        self,
        negative: bool,
        magnitude: u64,
        exponent: i32,
        sticky: bool,
        mode: Rounding,
    ) -> u64 {
        let sign = if negative { self.sign() } else { 0 };
        if magnitude == 0 && !sticky {
            return sign;
        }
        // The exponent of the last place kept: that of the leading bit less the fraction, not below subnormal.
        let smallest = 1 - self.bias() - self.fraction as i32;
        let leading = exponent + 63 - magnitude.leading_zeros() as i32;
        let last = (leading - self.fraction as i32).max(smallest);
        let wide = u128::from(magnitude) << 2 | u128::from(sticky);
        let drop = last - (exponent - 2);
        let (kept, rest, half) = if drop <= 0 {
            (wide << -drop, 0, 1)
        } else if drop > 100 {
            (0, 1, 2)
        } else {
            (wide >> drop, wide & ((1 << drop) - 1), 1_u128 << (drop - 1))
        };
        let grow = mode.grows(negative, kept & 1 == 1, rest > half, rest == half && rest != 0, rest != 0);
        // A carry out of the fraction lands in the exponent, which is what it should do.
        let kept = kept as u64 + u64::from(grow);
        let biased = (last - smallest) as u64;
        let bits = kept + (biased << self.fraction);
        if bits < self.infinity() {
            return sign | bits;
        }
        let saturates = match mode {
            Rounding::Nearest | Rounding::Away => false,
            Rounding::Zero => true,
            Rounding::Down => !negative,
            Rounding::Up => negative,
        };
        sign | (self.infinity() - u64::from(saturates))
    }

    /// `x`, rounded; NaN becomes the format's.
    pub(crate) fn round_f64(self, x: f64, mode: Rounding) -> u64 {
        self.round_sum(x, 0.0, mode)
    }

    /// `x + error`, rounded once, for `|error|` of at most half a unit in the last place of `x`.
    pub(crate) fn round_sum(self, x: f64, error: f64, mode: Rounding) -> u64 {
        if x.is_nan() {
            return self.nan;
        }
        if x.is_infinite() {
            return self.infinity() | if x < 0.0 { self.sign() } else { 0 };
        }
        let (negative, magnitude, exponent) = parts(x);
        if error == 0.0 {
            self.round(negative, magnitude, exponent, false, mode)
        } else if (error < 0.0) == negative {
            self.round(negative, magnitude << 2, exponent - 2, true, mode)
        } else {
            self.round(negative, (magnitude << 2) - 1, exponent - 2, true, mode)
        }
    }
}

/// Sign, magnitude and exponent of a finite number: `±magnitude · 2^exponent`.
pub(crate) fn parts(x: f64) -> (bool, u64, i32) {
    let bits = x.to_bits();
    let exponent = (bits >> 52 & 0x7ff) as i32;
    let fraction = bits & ((1 << 52) - 1);
    let magnitude = if exponent == 0 { fraction } else { fraction | 1 << 52 };
    (bits >> 63 == 1, magnitude, exponent.max(1) - 1075)
}

/// `x · 2^exponent`, exact where the result is an f64.
fn scale(x: f64, exponent: i32) -> f64 {
    let power = |e: i32| f64::from_bits(((e + 1023) as u64) << 52);
    let half = exponent / 2;
    x * power(half) * power(exponent - half)
}

/// `a + b` as the nearest f64 and the exact rest.
pub(crate) fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    if !sum.is_finite() {
        return (sum, 0.0);
    }
    let part = sum - a;
    (sum, (a - (sum - part)) + (b - part))
}
