//! Integer arithmetic and bits against Rust's own.

use crate::support::{Random, one, one64, threads};

/// Values where carries, signs and shifts go wrong.
const EDGES: [u32; 8] = [0, 1, 31, 32, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x1234_5678];

/// `instruction` on %in0, %in1, %in2 equals `want` for all triples of edge values.
fn check(instruction: &str, want: impl Fn(u32, u32, u32) -> u32) {
    let triples: Vec<_> = EDGES
        .iter()
        .flat_map(|&a| EDGES.iter().flat_map(move |&b| EDGES.iter().map(move |&c| [a, b, c, 0])))
        .collect();
    for (out, [a, b, c, _]) in threads(instruction, &triples).into_iter().zip(&triples) {
        assert_eq!(out[0], want(*a, *b, *c), "{instruction} of {a:#x}, {b:#x}, {c:#x}");
    }
}

/// The same for 64 bits on %d1 and %d2.
fn check64(instruction: &str, want: impl Fn(u64, u64) -> u64) {
    let mut random = Random::new(7);
    let mut values = vec![0, 1, u64::MAX, 1 << 63, (1 << 63) - 1, 1 << 32, 0xffff_ffff];
    values.extend((0..3).map(|_| u64::from(random.word()) << 32 | u64::from(random.word())));
    for &a in &values {
        for &b in &values {
            assert_eq!(one64(instruction, [a, b]), want(a, b), "{instruction} of {a:#x}, {b:#x}");
        }
    }
}

#[test]
fn sums_and_products() {
    check("add.s32 %out0, %in0, %in1;", |a, b, _| a.wrapping_add(b));
    check("sub.u32 %out0, %in0, %in1;", |a, b, _| a.wrapping_sub(b));
    check("mul.lo.s32 %out0, %in0, %in1;", |a, b, _| a.wrapping_mul(b));
    let high = |a: u32, b: u32| ((i64::from(a as i32) * i64::from(b as i32)) >> 32) as u32;
    let high_unsigned = |a: u32, b: u32| ((u64::from(a) * u64::from(b)) >> 32) as u32;
    check("mul.hi.s32 %out0, %in0, %in1;", |a, b, _| high(a, b));
    check("mul.hi.u32 %out0, %in0, %in1;", |a, b, _| high_unsigned(a, b));
    check("mad.lo.s32 %out0, %in0, %in1, %in2;", |a, b, c| a.wrapping_mul(b).wrapping_add(c));
    check("mad.hi.s32 %out0, %in0, %in1, %in2;", |a, b, c| high(a, b).wrapping_add(c));
    check("mad.hi.u32 %out0, %in0, %in1, %in2;", |a, b, c| high_unsigned(a, b).wrapping_add(c));
    check("sad.s32 %out0, %in0, %in1, %in2;", |a, b, c| (a as i32).abs_diff(b as i32).wrapping_add(c));
    check("neg.s32 %out0, %in0;", |a, _, _| a.wrapping_neg());
    check("abs.s32 %out0, %in0;", |a, _, _| (a as i32).wrapping_abs() as u32);
}

#[test]
fn quotients() {
    // Division by zero is undefined; a GPU gives all ones.
    check("div.s32 %out0, %in0, %in1;", |a, b, _| {
        if b == 0 { u32::MAX } else { (a as i32).wrapping_div(b as i32) as u32 }
    });
    check("div.u32 %out0, %in0, %in1;", |a, b, _| a.checked_div(b).unwrap_or(u32::MAX));
    check("rem.s32 %out0, %in0, %in1;", |a, b, _| {
        if b == 0 { u32::MAX } else { (a as i32).wrapping_rem(b as i32) as u32 }
    });
    check("rem.u32 %out0, %in0, %in1;", |a, b, _| a.checked_rem(b).unwrap_or(u32::MAX));
}

#[test]
fn extremes() {
    check("min.s32 %out0, %in0, %in1;", |a, b, _| (a as i32).min(b as i32) as u32);
    check("max.s32 %out0, %in0, %in1;", |a, b, _| (a as i32).max(b as i32) as u32);
    check("min.u32 %out0, %in0, %in1;", |a, b, _| a.min(b));
    check("max.u32 %out0, %in0, %in1;", |a, b, _| a.max(b));
}

#[test]
fn sixty_four_bits() {
    check64("add.s64 %d4, %d1, %d2;", u64::wrapping_add);
    check64("sub.s64 %d4, %d1, %d2;", u64::wrapping_sub);
    check64("mul.lo.s64 %d4, %d1, %d2;", u64::wrapping_mul);
    check64("mul.hi.u64 %d4, %d1, %d2;", |a, b| ((u128::from(a) * u128::from(b)) >> 64) as u64);
    check64("mul.hi.s64 %d4, %d1, %d2;", |a, b| ((i128::from(a as i64) * i128::from(b as i64)) >> 64) as u64);
    check64("div.u64 %d4, %d1, %d2;", |a, b| a.checked_div(b).unwrap_or(u64::MAX));
    check64("min.s64 %d4, %d1, %d2;", |a, b| (a as i64).min(b as i64) as u64);
    check64("max.u64 %d4, %d1, %d2;", u64::max);
    check64("xor.b64 %d4, %d1, %d2;", |a, b| a ^ b);
    check64("not.b64 %d4, %d1;", |a, _| !a);
    check64("brev.b64 %d4, %d1;", |a, _| a.reverse_bits());
    check64(
        "cvt.u32.u64 %r1, %d2;\nshl.b64 %d4, %d1, %r1;",
        |a, b| {
            if b as u32 > 63 { 0 } else { a << b as u32 }
        },
    );
    check64("cvt.u32.u64 %r1, %d2;\nshr.s64 %d4, %d1, %r1;", |a, b| {
        ((a as i64) >> (b as u32).min(63)) as u64
    });
    check64("popc.b64 %r1, %d1;\nclz.b64 %r2, %d1;\nmov.b64 %d4, {%r1, %r2};", |a, _| {
        u64::from(a.leading_zeros()) << 32 | u64::from(a.count_ones())
    });
    check64("cvt.u32.u64 %r1, %d1;\ncvt.u32.u64 %r2, %d2;\nmul.wide.s32 %d4, %r1, %r2;", |a, b| {
        (i64::from(a as i32) * i64::from(b as i32)) as u64
    });
    check64("cvt.u32.u64 %r1, %d1;\nmad.wide.u32 %d4, %r1, %r1, %d2;", |a, b| {
        (u64::from(a as u32) * u64::from(a as u32)).wrapping_add(b)
    });
}

#[test]
fn sixteen_bits() {
    let narrow = |instruction: &str| {
        format!("cvt.u16.u32 %h0, %in0;\ncvt.u16.u32 %h1, %in1;\n{instruction}\ncvt.u32.u16 %out0, %h2;")
    };
    let low = |x: u16| u32::from(x);
    check(&narrow("add.s16 %h2, %h0, %h1;"), |a, b, _| low((a as u16).wrapping_add(b as u16)));
    check(&narrow("mul.lo.u16 %h2, %h0, %h1;"), |a, b, _| low((a as u16).wrapping_mul(b as u16)));
    check(&narrow("min.s16 %h2, %h0, %h1;"), |a, b, _| low((a as i16).min(b as i16) as u16));
    check(&narrow("shr.s16 %h2, %h0, 3;"), |a, _, _| low(((a as i16) >> 3) as u16));
    check(&narrow("not.b16 %h2, %h0;"), |a, _, _| low(!(a as u16)));
    check("cvt.u16.u32 %h0, %in0;\nmul.wide.s16 %out0, %h0, %h0;", |a, _, _| {
        (i32::from(a as i16) * i32::from(a as i16)) as u32
    });
}

#[test]
fn logic() {
    check("and.b32 %out0, %in0, %in1;", |a, b, _| a & b);
    check("or.b32 %out0, %in0, %in1;", |a, b, _| a | b);
    check("xor.b32 %out0, %in0, %in1;", |a, b, _| a ^ b);
    check("not.b32 %out0, %in0;", |a, _, _| !a);
    check("cnot.b32 %out0, %in0;", |a, _, _| u32::from(a == 0));
    // The table is the function of 0xF0, 0xCC, 0xAA.
    check("lop3.b32 %out0, %in0, %in1, %in2, 0xe8;", |a, b, c| a & b | a & c | b & c);
    check("lop3.b32 %out0, %in0, %in1, %in2, 0x1e;", |a, b, c| a ^ (b | c));
}

#[test]
fn shifts_clamp() {
    check("shl.b32 %out0, %in0, %in1;", |a, b, _| a.checked_shl(b).unwrap_or(0));
    check("shr.u32 %out0, %in0, %in1;", |a, b, _| a.checked_shr(b).unwrap_or(0));
    check("shr.s32 %out0, %in0, %in1;", |a, b, _| ((a as i32) >> b.min(31)) as u32);
    let pair = |low: u32, high: u32| u64::from(high) << 32 | u64::from(low);
    check("shf.l.wrap.b32 %out0, %in0, %in1, %in2;", |a, b, c| (pair(a, b) << (c & 31) >> 32) as u32);
    check("shf.r.wrap.b32 %out0, %in0, %in1, %in2;", |a, b, c| (pair(a, b) >> (c & 31)) as u32);
    check("shf.r.clamp.b32 %out0, %in0, %in1, %in2;", |a, b, c| (pair(a, b) >> c.min(32)) as u32);
    check("shf.l.clamp.b32 %out0, %in0, %in1, %in2;", |a, b, c| (pair(a, b) << c.min(32) >> 32) as u32);
}

#[test]
fn fields() {
    // Bits 4 to 11; a field that reaches beyond bit 31 repeats the sign.
    assert_eq!(one("bfe.u32 %out0, %in0, 4, 8;", [0x1234_5678, 0, 0, 0]), 0x67);
    assert_eq!(one("bfe.s32 %out0, %in0, 4, 7;", [0x1234_5678, 0, 0, 0]), 0xffff_ffe7);
    assert_eq!(one("bfe.s32 %out0, %in0, 28, 8;", [0x8234_5678, 0, 0, 0]), 0xffff_fff8);
    assert_eq!(one("bfe.u32 %out0, %in0, 28, 8;", [0x8234_5678, 0, 0, 0]), 0x8);
    assert_eq!(one("bfe.s32 %out0, %in0, 40, 8;", [0x8234_5678, 0, 0, 0]), 0xffff_ffff);
    assert_eq!(one("bfe.s32 %out0, %in0, 4, 0;", [0x8234_5678, 0, 0, 0]), 0);
    assert_eq!(one("bfi.b32 %out0, %in0, %in1, 8, 12;", [0xabc, 0x1234_5678, 0, 0]), 0x123a_bc78);
    assert_eq!(one("bfi.b32 %out0, %in0, %in1, 28, 12;", [0xabc, 0x1234_5678, 0, 0]), 0xc234_5678);
    assert_eq!(one("bfi.b32 %out0, %in0, %in1, 32, 12;", [0xabc, 0x1234_5678, 0, 0]), 0x1234_5678);
}

#[test]
fn counting_bits() {
    check("popc.b32 %out0, %in0;", |a, _, _| a.count_ones());
    check("clz.b32 %out0, %in0;", |a, _, _| a.leading_zeros());
    check("brev.b32 %out0, %in0;", |a, _, _| a.reverse_bits());
    let top = |a: u32| if a == 0 { u32::MAX } else { 31 - a.leading_zeros() };
    check("bfind.u32 %out0, %in0;", |a, _, _| top(a));
    check("bfind.s32 %out0, %in0;", |a, _, _| top(if (a as i32) < 0 { !a } else { a }));
    check("bfind.shiftamt.u32 %out0, %in0;", |a, _, _| if a == 0 { u32::MAX } else { a.leading_zeros() });
}

#[test]
fn permuting_bytes() {
    let words = [0x7766_5544, 0xffee_ddcc, 0, 0];
    assert_eq!(one("prmt.b32 %out0, %in0, %in1, 0x5410;", words), 0xddcc_5544);
    assert_eq!(one("prmt.b32 %out0, %in0, %in1, 0x7632;", words), 0xffee_7766);
    // The top bit of a nibble replicates the sign of the byte it names.
    assert_eq!(one("prmt.b32 %out0, %in0, %in1, 0xc83f;", words), 0xff00_77ff);
}

#[test]
fn byte_products() {
    let words = [0x01ff_8002, 0x0203_7f05, 100, 0];
    assert_eq!(one("dp4a.u32.u32 %out0, %in0, %in1, %in2;", words), 100 + 2 + 255 * 3 + 128 * 127 + 2 * 5);
    let signed = 100 + 2 - 3 - 128 * 127 + 2 * 5;
    assert_eq!(one("dp4a.s32.s32 %out0, %in0, %in1, %in2;", words) as i32, signed);
}

#[test]
fn comparisons_and_selections() {
    let flag = |p: &str| format!("{p}\nselp.b32 %out0, 1, 0, %p1;");
    check(&flag("setp.lt.s32 %p1, %in0, %in1;"), |a, b, _| u32::from((a as i32) < (b as i32)));
    check(&flag("setp.lo.u32 %p1, %in0, %in1;"), |a, b, _| u32::from(a < b));
    check(&flag("setp.hs.u32 %p1, %in0, %in1;"), |a, b, _| u32::from(a >= b));
    check(&flag("setp.ne.b32 %p1, %in0, %in1;"), |a, b, _| u32::from(a != b));
    check(&flag("setp.eq.s32 %p2, %in0, %in2;\nsetp.gt.and.s32 %p1, %in0, %in1, !%p2;"), |a, b, c| {
        u32::from((a as i32) > (b as i32) && a != c)
    });
    // q is the opposite comparison, combined the same way.
    check(&flag("setp.eq.s32 %p3, %in0, %in2;\nsetp.lt.or.u32 %p2|%p1, %in0, %in1, %p3;"), |a, b, c| {
        u32::from(a >= b || a == c)
    });
    check("set.le.u32.s32 %out0, %in0, %in1;", |a, b, _| if a as i32 <= b as i32 { u32::MAX } else { 0 });
    check("set.gt.f32.u32 %out0, %in0, %in1;", |a, b, _| if a > b { 1.0_f32.to_bits() } else { 0 });
    check("slct.b32.s32 %out0, %in0, %in1, %in2;", |a, b, c| if c as i32 >= 0 { a } else { b });
    check64("setp.lt.s64 %p1, %d1, %d2;\nselp.b64 %d4, %d1, %d2, %p1;", |a, b| {
        (a as i64).min(b as i64) as u64
    });
}

#[test]
fn packing() {
    check("mov.b64 %d1, {%in0, %in1};\nmov.b64 {_, %out0}, %d1;", |_, b, _| b);
    check("mov.b32 {%h0, %h1}, %in0;\nmov.b32 %out0, {%h1, %h0};", |a, _, _| a.rotate_left(16));
}
