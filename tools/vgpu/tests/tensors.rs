//! `ldmatrix` and `mma.sync` against plain products of small integers, which every format here holds exactly.

use crate::support::{Params, Random, download, kernel, launch, load, threads, upload};
use vgpu::Device;

/// Sizes and element type of an `mma`, with the bits of a small integer in it.
struct Shape {
    k: usize,
    ty: &'static str,
    encode: fn(f32) -> u32,
}

fn bf16(x: f32) -> u32 {
    x.to_bits() >> 16
}

/// For integers of at most 8 in magnitude.
fn f16(x: f32) -> u32 {
    if x == 0.0 {
        return 0;
    }
    let bits = x.to_bits();
    (bits >> 16 & 0x8000) | ((bits >> 23 & 0xff) - 112) << 10 | (bits >> 13 & 0x3ff)
}

/// Runs one `mma` on random integers, fragments placed as the manual draws them.
fn check(shape: &Shape, accumulator: &str) {
    let Shape { k, ty, encode } = *shape;
    let mut random = Random::new(k as u64);
    let mut matrix =
        |count: usize| -> Vec<f32> { (0..count).map(|_| (random.word() % 9) as f32 - 4.0).collect() };
    let (a, b, c) = (matrix(16 * k), matrix(k * 8), matrix(16 * 8));
    let per = if ty == "tf32" { 1 } else { 2 };
    let registers = 16 * k / per / 32;
    let pack =
        |elements: Vec<f32>| elements.iter().rev().fold(0, |all, &x| all << (32 / per - 1) << 1 | encode(x));
    let mut words = vec![Vec::new(); 32];
    for (lane, words) in words.iter_mut().enumerate() {
        let (group, pair) = (lane / 4, lane % 4);
        for i in 0..registers {
            let (row, column) = (group + 8 * (i % 2), pair * per + i / 2 * 4 * per);
            words.push(pack((0..per).map(|e| a[row * k + column + e]).collect()));
        }
        for i in 0..registers.div_ceil(2) {
            let row = pair * per + i * 4 * per;
            words.push(pack((0..per).map(|e| b[(row + e) * 8 + group]).collect()));
        }
        if accumulator == "f32" {
            for i in 0..4 {
                words.push(c[(group + i / 2 * 8) * 8 + pair * 2 + i % 2].to_bits());
            }
        } else {
            for i in 0..2 {
                let at = (group + i * 8) * 8 + pair * 2;
                words.push(f16(c[at + 1]) << 16 | f16(c[at]));
            }
        }
        words.resize(16, 0);
    }
    let names = |prefix: &str, range: std::ops::Range<usize>| {
        range.map(|i| format!("%{prefix}{i}")).collect::<Vec<_>>().join(", ")
    };
    let ends = [registers, registers + registers.div_ceil(2)];
    let outs = if accumulator == "f32" { 4 } else { 2 };
    let loads: String =
        (0..ends[1] + outs).map(|i| format!("ld.global.b32 %x{i}, [%d2+{}];\n", 4 * i)).collect();
    let one = |prefix: &str, range: std::ops::Range<usize>| {
        if range.len() == 1 { names(prefix, range) } else { format!("{{{}}}", names(prefix, range)) }
    };
    let body = format!(
        ".reg .b32 %x<16>;\nmul.wide.u32 %d1, %r0, 48;\nadd.s64 %d2, %base, %d1;\n{loads}\
         mma.sync.aligned.m16n8k{k}.row.col.{accumulator}.{ty}.{ty}.{accumulator} {{{}}}, {}, {}, {{{}}};",
        names("out", 0..outs),
        one("x", 0..ends[0]),
        one("x", ends[0]..ends[1]),
        names("x", ends[1]..ends[1] + outs),
    );
    let mut device = Device::new();
    let module = load(&mut device, &kernel(&body)).unwrap_or_else(|error| panic!("{error}"));
    let data = upload(&mut device, &words.concat());
    let counters = launch(&device, &module, "test", [1, 1, 1], [32, 1, 1], &Params::default().pointer(data));
    assert_eq!(counters.tensor_operations, 2 * 16 * 8 * k as u64);
    // Results overwrite the first words of the next threads' 16-byte pieces: each thread stores at 16 bytes per thread.
    let out = download(&device, data, 128);
    for lane in 0..32 {
        let (group, pair) = (lane / 4, lane % 4);
        for i in 0..4 {
            let (row, column) = (group + i / 2 * 8, pair * 2 + i % 2);
            let want = (0..k).fold(c[row * 8 + column], |sum, l| sum + a[row * k + l] * b[l * 8 + column]);
            if accumulator == "f32" {
                assert_eq!(f32::from_bits(out[4 * lane + i]), want, "{ty} k {k}, element ({row}, {column})");
            } else {
                let got = out[4 * lane + i / 2] >> (16 * (i % 2)) & 0xffff;
                assert_eq!(half_value(got), want, "{ty} k {k}, element ({row}, {column})");
            }
        }
    }
}

/// The value of a normal f16 or zero.
fn half_value(bits: u32) -> f32 {
    if bits & 0x7fff == 0 {
        return 0.0;
    }
    f32::from_bits((bits & 0x8000) << 16 | ((bits >> 10 & 31) + 112) << 23 | (bits & 0x3ff) << 13)
}

#[test]
fn every_shape_that_is_accepted() {
    check(&Shape { k: 16, ty: "bf16", encode: bf16 }, "f32");
    check(&Shape { k: 8, ty: "bf16", encode: bf16 }, "f32");
    check(&Shape { k: 16, ty: "f16", encode: f16 }, "f32");
    check(&Shape { k: 8, ty: "f16", encode: f16 }, "f32");
    check(&Shape { k: 16, ty: "f16", encode: f16 }, "f16");
    check(&Shape { k: 8, ty: "f16", encode: f16 }, "f16");
    check(&Shape { k: 8, ty: "tf32", encode: f32::to_bits }, "f32");
    check(&Shape { k: 4, ty: "tf32", encode: f32::to_bits }, "f32");
}

/// Fills four 8 × 8 matrices with `100·matrix + 8·row + column` and loads them.
fn matrices(instruction: &str) -> Vec<[u32; 4]> {
    // Thread t owns row t: its 16 bytes are the eight elements of row t % 8 of matrix t / 8.
    let pairs = |t: u32| {
        std::array::from_fn(|i| {
            let element = 100 * (t / 8) + 8 * (t % 8) + 2 * i as u32;
            (element + 1) << 16 | element
        })
    };
    let inputs: Vec<[u32; 4]> = (0..32).map(pairs).collect();
    let body = format!(
        ".shared .align 16 .b8 tile[512];\nmov.u32 %r1, tile;\nshl.b32 %r2, %r0, 4;\nadd.s32 %r1, %r1, %r2;\n\
         st.shared.v4.b32 [%r1], {{%in0, %in1, %in2, %in3}};\nbar.sync 0;\n{instruction}"
    );
    threads(&body, &inputs)
}

#[test]
fn ldmatrix() {
    let out = matrices("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%out0, %out1, %out2, %out3}, [%r1];");
    for (lane, out) in out.iter().enumerate() {
        for (matrix, &word) in out.iter().enumerate() {
            let element = (100 * matrix + 8 * (lane / 4) + lane % 4 * 2) as u32;
            assert_eq!(word, (element + 1) << 16 | element);
        }
    }
    let out = matrices("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%out0, %out1}, [%r1];");
    for (lane, out) in out.iter().enumerate() {
        for (matrix, &word) in out[..2].iter().enumerate() {
            let element = (100 * matrix + 8 * (lane % 4 * 2) + lane / 4) as u32;
            assert_eq!(word, (element + 8) << 16 | element);
        }
    }
    let out = matrices("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%out0}, [%r1];");
    assert_eq!(out[5][0], 11 << 16 | 10);
}
