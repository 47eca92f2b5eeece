//! Floating-point arithmetic and conversions: rounding modes, ftz, sat, NaNs.

use crate::support::{one, one64, threads};

const NAN: u32 = 0x7fff_ffff;
const TINY: u32 = 1; // the smallest subnormal number

fn f(x: f32) -> u32 {
    x.to_bits()
}

#[test]
fn the_four_rounding_modes_bracket_the_exact_sum() {
    // 1 + 2^-30 lies between 1 and the next number, -1 - 2^-30 likewise.
    let (up, one_) = (f(1.0) + 1, f(1.0));
    let tail = f(2.0_f32.powi(-30));
    for (mode, plus, minus) in [("rn", one_, one_), ("rz", one_, one_), ("rm", one_, up), ("rp", up, one_)] {
        let add = format!("add.{mode}.f32 %out0, %in0, %in1;");
        assert_eq!(one(&add, [one_, tail, 0, 0]), plus, "{add}");
        let sign = 1 << 31;
        assert_eq!(one(&add, [one_ | sign, tail | sign, 0, 0]), minus | sign, "{add} of negatives");
        // 1 - 2^-30: the predecessor of 1 below.
        let below = match mode {
            "rz" | "rm" => one_ - 1,
            _ => one_,
        };
        assert_eq!(one(&add, [one_, tail | sign, 0, 0]), below, "{add} of a difference");
        // (1 + 2^-23)² = 1 + 2^-22 + 2^-46
        let product = one(&format!("mul.{mode}.f32 %out0, %in0, %in0;"), [up, 0, 0, 0]);
        assert_eq!(product, one_ + 2 + u32::from(mode == "rp"));
        // (1 + 2^-23)² - 1 = 2^-22 + 2^-46, an ulp below being 2^-45.
        let fma = one(&format!("fma.{mode}.f32 %out0, %in0, %in0, %in1;"), [up, f(-1.0), 0, 0]);
        assert_eq!(fma, f(2.0_f32.powi(-22)) + u32::from(mode == "rp"));
        let third = one(&format!("div.{mode}.f32 %out0, %in0, %in1;"), [one_, f(3.0), 0, 0]);
        assert_eq!(third, if mode == "rn" || mode == "rp" { 0x3eaa_aaab } else { 0x3eaa_aaaa });
        assert_eq!(one(&format!("rcp.{mode}.f32 %out0, %in0;"), [f(3.0), 0, 0, 0]), third);
        let root = one(&format!("sqrt.{mode}.f32 %out0, %in0;"), [f(2.0), 0, 0, 0]);
        assert_eq!(root, 0x3fb5_04f3 + u32::from(mode == "rp"));
    }
    // Opposite numbers cancel to +0, rounding downwards to -0.
    assert_eq!(one("add.rn.f32 %out0, %in0, %in1;", [f(1.5), f(-1.5), 0, 0]), 0);
    assert_eq!(one("add.rm.f32 %out0, %in0, %in1;", [f(1.5), f(-1.5), 0, 0]), 1 << 31);
}

#[test]
fn overflow_goes_where_the_mode_points() {
    let most = f(f32::MAX);
    for (mode, want) in [("rn", f(f32::INFINITY)), ("rz", most), ("rm", most), ("rp", f(f32::INFINITY))] {
        assert_eq!(one(&format!("mul.{mode}.f32 %out0, %in0, %in1;"), [most, f(2.0), 0, 0]), want, "{mode}");
    }
}

#[test]
fn nearest_is_the_processors_own() {
    let values =
        [0.0, -0.0, 1.0, 3.0, -7.25, 1e-40, 1e-45, 3.4e38, f32::INFINITY, 0.1, 1e20, f32::MIN_POSITIVE];
    let pairs: Vec<_> =
        values.iter().flat_map(|&a| values.iter().map(move |&b| [f(a), f(b), f(0.3), 0])).collect();
    let body = "add.f32 %out0, %in0, %in1;\nmul.f32 %out1, %in0, %in1;\nfma.rn.f32 %out2, %in0, %in1, %in2;\n\
                div.rn.f32 %out3, %in0, %in1;";
    let bits = |x: f32| if x.is_nan() { NAN } else { f(x) };
    for (out, input) in threads(body, &pairs).iter().zip(&pairs) {
        let [a, b, c, _] = input.map(f32::from_bits);
        assert_eq!(*out, [a + b, a * b, a.mul_add(b, c), a / b].map(bits), "{a} and {b}");
    }
    // The general path agrees with the fast one: saturation forces it.
    let slow = "mul.f32 %r1, %in0, %in1;\ncvt.sat.f32.f32 %out0, %r1;\nmul.sat.f32 %out1, %in0, %in1;";
    for out in threads(slow, &pairs) {
        assert_eq!(out[0], out[1]);
    }
}

#[test]
fn flushing() {
    let sign = 1 << 31;
    // Subnormal inputs and results become zero of their sign; without ftz they stay.
    assert_eq!(one("add.ftz.f32 %out0, %in0, %in1;", [TINY, 0, 0, 0]), 0);
    assert_eq!(one("add.f32 %out0, %in0, %in1;", [TINY, 0, 0, 0]), TINY);
    assert_eq!(one("mul.ftz.f32 %out0, %in0, %in1;", [f(-1e-30), f(1e-10), 0, 0]), sign);
    assert_eq!(one("abs.ftz.f32 %out0, %in0;", [TINY | sign, 0, 0, 0]), 0);
    assert_eq!(one("setp.gt.ftz.f32 %p1, %in0, %in1;\nselp.b32 %out0, 1, 0, %p1;", [TINY, 0, 0, 0]), 0);
    assert_eq!(one("setp.gt.f32 %p1, %in0, %in1;\nselp.b32 %out0, 1, 0, %p1;", [TINY, 0, 0, 0]), 1);
    assert_eq!(one("ex2.approx.ftz.f32 %out0, %in0;", [f(-140.0), 0, 0, 0]), 0);
}

#[test]
fn saturation() {
    for (x, want) in [(1.5, 1.0), (-0.5, 0.0), (0.25, 0.25), (f32::NAN, 0.0), (-0.0, 0.0)] {
        assert_eq!(one("add.sat.f32 %out0, %in0, %in1;", [f(x), f(-0.0), 0, 0]), f(want), "{x}");
    }
}

#[test]
fn a_nan_loses_unless_it_propagates() {
    let nan = f(f32::NAN);
    assert_eq!(one("min.f32 %out0, %in0, %in1;", [nan, f(2.0), 0, 0]), f(2.0));
    assert_eq!(one("max.f32 %out0, %in0, %in1;", [f(2.0), nan, 0, 0]), f(2.0));
    assert_eq!(one("max.f32 %out0, %in0, %in1;", [nan, nan, 0, 0]), NAN);
    assert_eq!(one("min.NaN.f32 %out0, %in0, %in1;", [f(2.0), nan, 0, 0]), NAN);
    assert_eq!(one("min.f32 %out0, %in0, %in1;", [f(0.0), f(-0.0), 0, 0]), f(-0.0));
    assert_eq!(one("max.f32 %out0, %in0, %in1;", [f(-0.0), f(0.0), 0, 0]), f(0.0));
    assert_eq!(one("add.f32 %out0, %in0, %in1;", [f(f32::INFINITY), f(f32::NEG_INFINITY), 0, 0]), NAN);
}

#[test]
fn comparisons_with_nan() {
    let holds = |relation: &str, a: f32, b: f32| {
        let body = format!("setp.{relation}.f32 %p1, %in0, %in1;\nselp.b32 %out0, 1, 0, %p1;");
        one(&body, [f(a), f(b), 0, 0]) == 1
    };
    for relation in ["eq", "ne", "lt", "le", "gt", "ge", "num"] {
        assert!(!holds(relation, f32::NAN, 1.0), "{relation} is ordered");
    }
    for relation in ["equ", "neu", "ltu", "leu", "gtu", "geu", "nan"] {
        assert!(holds(relation, 1.0, f32::NAN), "{relation} is unordered");
    }
    assert!(holds("eq", 0.0, -0.0) && holds("ltu", 1.0, 2.0) && holds("num", 1.0, 2.0));
}

#[test]
fn classes_and_signs() {
    let class = |name: &str, x: u32| {
        one(&format!("testp.{name}.f32 %p1, %in0;\nselp.b32 %out0, 1, 0, %p1;"), [x, 0, 0, 0]) == 1
    };
    assert!(class("finite", f(1.0)) && !class("finite", f(f32::INFINITY)));
    assert!(class("infinite", f(f32::NEG_INFINITY)) && class("notanumber", f(f32::NAN)));
    assert!(class("number", TINY) && class("subnormal", TINY) && !class("subnormal", 0));
    assert!(class("normal", f(1.0)) && !class("normal", TINY) && !class("normal", 0));
    // The sign of a on the magnitude of b.
    assert_eq!(one("copysign.f32 %out0, %in0, %in1;", [f(-1.0), f(2.0), 0, 0]), f(-2.0));
    assert_eq!(one("neg.f32 %out0, %in0;", [f(0.0), 0, 0, 0]), f(-0.0));
}

#[test]
fn approximations() {
    let near = |op: &str, x: f32, want: f32| {
        let got = f32::from_bits(one(&format!("{op}.approx.f32 %out0, %in0;"), [f(x), 0, 0, 0]));
        // One rounding of a value good to f64's precision.
        assert!((got - want).abs() <= want.abs() * f32::EPSILON, "{op}({x}): {got}, not {want}");
    };
    near("ex2", 2.5, 2.5_f32.exp2());
    near("lg2", 10.0, 10.0_f32.log2());
    near("sin", 0.5, 0.5_f32.sin());
    near("cos", 0.5, 0.5_f32.cos());
    near("tanh", 0.5, 0.5_f32.tanh());
    near("rcp", 3.0, 1.0 / 3.0);
    near("rsqrt", 3.0, 1.0 / 3.0_f32.sqrt());
    near("sqrt", 3.0, 3.0_f32.sqrt());
}

#[test]
fn doubles() {
    let run = |body: &str, a: f64, b: f64| f64::from_bits(one64(body, [a.to_bits(), b.to_bits()]));
    assert_eq!(run("add.f64 %d4, %d1, %d2;", 0.1, 0.2), 0.1 + 0.2);
    assert_eq!(run("mul.f64 %d4, %d1, %d2;", 0.1, 0.2), 0.1 * 0.2);
    assert_eq!(run("fma.rn.f64 %d4, %d1, %d2, %d1;", 0.1, 0.2), 0.1_f64.mul_add(0.2, 0.1));
    assert_eq!(run("div.rn.f64 %d4, %d1, %d2;", 1.0, 3.0), 1.0 / 3.0);
    assert_eq!(run("max.f64 %d4, %d1, %d2;", f64::NAN, 3.0), 3.0);
    assert_eq!(run("add.rp.f64 %d4, %d1, %d2;", 1.0, 1e-30), 1.0 + f64::EPSILON);
    assert_eq!(run("add.rm.f64 %d4, %d1, %d2;", 1.0, -1e-30), 1.0 - f64::EPSILON / 2.0);
}

#[test]
fn floats_to_integers() {
    let convert = |modes: &str, x: f32| one(&format!("cvt.{modes} %out0, %in0;"), [f(x), 0, 0, 0]);
    for (mode, want) in [("rni", [2, -2, 2]), ("rzi", [2, -2, 1]), ("rmi", [2, -3, 1]), ("rpi", [3, -2, 2])] {
        for (x, want) in [2.5, -2.5, 1.5].into_iter().zip(want) {
            assert_eq!(convert(&format!("{mode}.s32.f32"), x) as i32, want, "{mode} of {x}");
        }
    }
    // Out of range clamps, NaN is zero.
    assert_eq!(convert("rzi.s32.f32", 1e10) as i32, i32::MAX);
    assert_eq!(convert("rzi.s32.f32", -1e10) as i32, i32::MIN);
    assert_eq!(convert("rzi.u32.f32", -1.0), 0);
    assert_eq!(convert("rzi.u32.f32", f32::INFINITY), u32::MAX);
    assert_eq!(convert("rni.s32.f32", f32::NAN), 0);
    assert_eq!(one("cvt.rzi.u8.f32 %h0, %in0;\ncvt.u32.u16 %out0, %h0;", [f(300.0), 0, 0, 0]), 255);
    // To an integral value that stays a float.
    assert_eq!(convert("rni.f32.f32", 2.5), f(2.0));
    assert_eq!(convert("rpi.f32.f32", 2.5), f(3.0));
}

#[test]
fn integers_to_floats() {
    let value = 0x0100_0001; // 2^24 + 1 lies between two f32
    for (mode, want) in [("rn", 0x0100_0000), ("rz", 0x0100_0000), ("rm", 0x0100_0000), ("rp", 0x0100_0002)] {
        let got = one(&format!("cvt.{mode}.f32.u32 %out0, %in0;"), [value, 0, 0, 0]);
        assert_eq!(f32::from_bits(got), want as f32, "{mode}");
    }
    assert_eq!(one("cvt.rn.f32.s32 %out0, %in0;", [-5_i32 as u32, 0, 0, 0]), f(-5.0));
    let big = one64("cvt.rn.f64.u64 %d4, %d1;", [u64::MAX, 0]);
    assert_eq!(f64::from_bits(big), u64::MAX as f64);
}

#[test]
fn integers_to_integers() {
    assert_eq!(one("cvt.s32.s8 %out0, %in0;", [0x80, 0, 0, 0]), 0xffff_ff80);
    assert_eq!(one("cvt.u32.u8 %out0, %in0;", [0x1ff, 0, 0, 0]), 0xff);
    assert_eq!(one("cvt.sat.u8.s32 %out0, %in0;", [-5_i32 as u32, 0, 0, 0]), 0);
    assert_eq!(one("cvt.sat.s8.s32 %out0, %in0;", [1000, 0, 0, 0]), 127);
    assert_eq!(one64("cvt.u32.u64 %r1, %d1;\ncvt.s64.s32 %d4, %r1;", [0xffff_fffe, 0]), -2_i64 as u64);
}

#[test]
fn halves_round_as_asked() {
    let half =
        |op: &str, x: f32| one(&format!("{op} %h0, %in0;\nmov.b32 %out0, {{%h0, %h1}};"), [f(x), 0, 0, 0]);
    let low = |x: u32| x & 0xffff;
    // bf16 keeps 7 bits of fraction: 1 + 2^-8 is a tie, to even.
    let tie = 1.0 + 2.0_f32.powi(-8);
    assert_eq!(low(half("cvt.rn.bf16.f32", tie)), 0x3f80);
    assert_eq!(low(half("cvt.rn.bf16.f32", tie + 2.0_f32.powi(-20))), 0x3f81);
    assert_eq!(low(half("cvt.rz.bf16.f32", tie + 2.0_f32.powi(-8))), 0x3f81);
    assert_eq!(low(half("cvt.rn.bf16.f32", f32::NAN)), 0x7fff);
    assert_eq!(low(half("cvt.rn.bf16.f32", f32::MAX)), 0x7f80);
    assert_eq!(low(half("cvt.rz.bf16.f32", f32::MAX)), 0x7f7f);
    assert_eq!(low(half("cvt.rn.f16.f32", 65_519.9)), 0x7bff);
    assert_eq!(low(half("cvt.rn.f16.f32", 65_520.0)), 0x7c00);
    assert_eq!(low(half("cvt.rn.f16.f32", 2.0_f32.powi(-24))), 1);
    assert_eq!(low(half("cvt.rn.f16.f32", 2.0_f32.powi(-25))), 0);
    assert_eq!(low(half("cvt.rp.f16.f32", 2.0_f32.powi(-40))), 1);
    // The first source becomes the upper half.
    let words = [f(1.0), f(-2.0), 0, 0];
    assert_eq!(one("cvt.rn.bf16x2.f32 %out0, %in0, %in1;", words), 0x3f80_c000);
    assert_eq!(one("cvt.rn.relu.bf16x2.f32 %out0, %in0, %in1;", words), 0x3f80_0000);
    assert_eq!(one("cvt.rn.f16x2.f32 %out0, %in0, %in1;", words), 0x3c00_c000);
    assert_eq!(one("cvt.rna.tf32.f32 %out0, %in0;", [0x3f80_1000, 0, 0, 0]), 0x3f80_2000);
    // Back to f32 is exact for every pattern that is a number.
    let patterns: Vec<_> = (0..1024).map(|i| [i * 63, 0, 0, 0]).collect();
    let body = "mov.b32 {%h0, %h1}, %in0;\ncvt.f32.f16 %out0, %h0;\ncvt.rn.f16.f32 %h2, %out0;\n\
                cvt.u32.u16 %out1, %h2;\ncvt.f32.bf16 %out2, %h0;\ncvt.rn.bf16.f32 %h3, %out2;\n\
                cvt.u32.u16 %out3, %h3;";
    for (out, input) in threads(body, &patterns).iter().zip(&patterns) {
        let is_nan = |infinity| input[0] & 0x7fff > infinity;
        assert_eq!(out[1], if is_nan(0x7c00) { 0x7fff } else { input[0] });
        assert_eq!(out[3], if is_nan(0x7f80) { 0x7fff } else { input[0] });
        assert!(is_nan(0x7f80) || out[2] == input[0] << 16);
    }
}

#[test]
fn arithmetic_on_pairs_of_halves() {
    // (1, 2) and (3, -4) in bf16, lower half first.
    let (a, b) = (0x4000_3f80, 0xc080_4040);
    assert_eq!(one("add.bf16x2 %out0, %in0, %in1;", [a, b, 0, 0]), 0xc000_4080);
    assert_eq!(one("mul.bf16x2 %out0, %in0, %in1;", [a, b, 0, 0]), 0xc100_4040);
    assert_eq!(one("fma.rn.bf16x2 %out0, %in0, %in1, %in0;", [a, b, 0, 0]), 0xc0c0_4080);
    assert_eq!(one("fma.rn.relu.bf16x2 %out0, %in0, %in1, %in0;", [a, b, 0, 0]), 0x0000_4080);
    assert_eq!(one("max.bf16x2 %out0, %in0, %in1;", [a, b, 0, 0]), 0x4000_4040);
    assert_eq!(one("neg.bf16x2 %out0, %in0;", [a, 0, 0, 0]), 0xc000_bf80);
    // f16: 2048 + 1 is a tie, to even; the fused product keeps what a rounded one loses.
    let run = |body: &str, words: [u32; 4]| {
        let unpack = "mov.b32 {%h0, _}, %in0;\nmov.b32 {%h1, _}, %in1;\nmov.b32 {%h2, _}, %in2;\n";
        one(&format!("{unpack}{body}\ncvt.u32.u16 %out0, %h3;"), words)
    };
    assert_eq!(run("add.f16 %h3, %h0, %h1;", [0x6800, 0x3c00, 0, 0]), 0x6800);
    assert_eq!(run("add.f16 %h3, %h0, %h1;", [0x6801, 0x3c00, 0, 0]), 0x6802);
    // (1 + 2^-10)² - (1 + 2^-9) = 2^-20
    assert_eq!(run("fma.rn.f16 %h3, %h0, %h1, %h2;", [0x3c01, 0x3c01, 0xbc02, 0]), 0x0010);
    assert_eq!(run("add.sat.f16 %h3, %h0, %h1;", [0x3c00, 0x3c00, 0, 0]), 0x3c00);
}

#[test]
fn a_nan_as_an_integer() {
    let nan = [f(f32::NAN), 0, 0, 0];
    for (ty, want) in [("s32", 0), ("u32", 0), ("u16", 0), ("s8", 0)] {
        assert_eq!(
            one(&format!("mov.b32 %r1, -1;\ncvt.rzi.{ty}.f32 %r1, %in0;\nmov.b32 %out0, %r1;"), nan),
            want
        );
    }
    // Where 64 bits are involved: the top bit alone.
    let wide = |ty: &str| {
        one64(&format!("mov.b64 {{%r1, %r2}}, %d1;\ncvt.rni.{ty}.f32 %d4, %r1;"), [f(f32::NAN).into(), 0])
    };
    assert_eq!((wide("s64"), wide("u64")), (1 << 63, 1 << 63));
    let from = |ty: &str| {
        one64(&format!("cvt.rzi.{ty}.f64 %r1, %d1;\nmov.b64 %d4, {{%r1, %r1}};"), [f64::NAN.to_bits(), 0])
            as u32
    };
    assert_eq!((from("s32"), from("u32")), (1 << 31, 1 << 31));
}

#[test]
fn integers_from_floats_round_and_clamp() {
    for (mode, values) in [
        ("rni", [2, 2, -2, -2, 4, -4]),
        ("rzi", [1, 2, -1, -2, 3, -3]),
        ("rmi", [1, 2, -2, -3, 3, -4]),
        ("rpi", [2, 3, -1, -2, 4, -3]),
    ] {
        for (x, want) in [1.5_f32, 2.5, -1.5, -2.5, 3.75, -3.75].into_iter().zip(values) {
            let got = one(&format!("cvt.{mode}.s32.f32 %out0, %in0;"), [f(x), 0, 0, 0]) as i32;
            assert_eq!(got, want, "{mode} of {x}");
            let got = one(&format!("cvt.{mode}.f32.f32 %out0, %in0;"), [f(x), 0, 0, 0]);
            assert_eq!(f32::from_bits(got), want as f32, "{mode} of {x} as a float");
        }
    }
    for (ty, x, want) in [
        ("s32", 3e9_f32, i32::MAX as u32),
        ("s32", -3e9, i32::MIN as u32),
        ("u32", -1.0, 0),
        ("u32", f32::INFINITY, u32::MAX),
        ("u16", 1e5, 0xffff),
        ("s16", -1e5, 0xffff_8000),
        ("u8", 300.0, 255),
        ("s8", -300.0, 0xffff_ff80),
    ] {
        assert_eq!(one(&format!("cvt.rzi.{ty}.f32 %out0, %in0;"), [f(x), 0, 0, 0]), want, "{ty} of {x}");
    }
    // Subnormal numbers round up to 1, unless they are flushed.
    assert_eq!(one("cvt.rpi.s32.f32 %out0, %in0;", [TINY, 0, 0, 0]), 1);
    assert_eq!(one("cvt.rpi.ftz.s32.f32 %out0, %in0;", [TINY, 0, 0, 0]), 0);
}

#[test]
fn pairs_of_halves_at_the_edges() {
    // bf16: a NaN loses, or wins with .NaN; -0 lies below +0.
    let (nan, one_) = (0x7fc0_3f80, 0x3f80_7fc0);
    assert_eq!(one("min.bf16x2 %out0, %in0, %in1;", [nan, one_, 0, 0]), 0x3f80_3f80);
    assert_eq!(one("max.NaN.bf16x2 %out0, %in0, %in1;", [nan, one_, 0, 0]), 0x7fff_7fff);
    assert_eq!(one("min.f16x2 %out0, %in0, %in1;", [0x8000_0000, 0x0000_8000, 0, 0]), 0x8000_8000);
    assert_eq!(one("max.f16x2 %out0, %in0, %in1;", [0x8000_0000, 0x0000_8000, 0, 0]), 0);
    // Saturation: 1.5, -1, NaN and 0.25.
    assert_eq!(one("add.sat.f16x2 %out0, %in0, %in1;", [0x3e00_bc00, 0, 0, 0]), 0x3c00_0000);
    assert_eq!(one("mul.sat.f16x2 %out0, %in0, %in1;", [0x7e00_3400, 0x3c00_3c00, 0, 0]), 0x0000_3400);
    // Subnormal f16 and bf16, flushed or not.
    assert_eq!(one("add.f16x2 %out0, %in0, %in1;", [0x0001_8001, 0, 0, 0]), 0x0001_8001);
    assert_eq!(one("add.ftz.f16x2 %out0, %in0, %in1;", [0x0001_8001, 0x8000_8000, 0, 0]), 0x0000_8000);
    assert_eq!(one("ex2.approx.ftz.bf16x2 %out0, %in0;", [0xc300_4000, 0, 0, 0]), 0x0000_4080);
    assert_eq!(
        one("fma.rn.ftz.f16x2 %out0, %in0, %in1, %in2;", [0x0400_3c00, 0x3800_4000, 0, 0]),
        0x0000_4000
    );
}
