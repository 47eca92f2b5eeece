//! `ldmatrix`, `mma.sync` and `wmma` against plain products of small integers, which every format here holds exactly.

use crate::support::{Params, Random, download, kernel, launch, load, threads, try_threads, upload};
use vgpu::Device;

/// An `mma` by its shape's k, its modifiers and its types as they stand in the instruction: D, A, B, C.
type Shape = (usize, &'static str, [&'static str; 4]);

/// Every `mma` that is accepted, but for the m16n8 that all have.
const SHAPES: [Shape; 24] = [
    (16, "", ["f32", "f16", "f16", "f32"]),
    (16, "", ["f16", "f16", "f16", "f16"]),
    (16, "", ["f32", "bf16", "bf16", "f32"]),
    (8, "", ["f32", "f16", "f16", "f32"]),
    (8, "", ["f16", "f16", "f16", "f16"]),
    (8, "", ["f32", "bf16", "bf16", "f32"]),
    (8, "", ["f32", "tf32", "tf32", "f32"]),
    (4, "", ["f32", "tf32", "tf32", "f32"]),
    (16, "", ["s32", "s8", "s8", "s32"]),
    (16, "", ["s32", "s8", "u8", "s32"]),
    (16, "", ["s32", "u8", "s8", "s32"]),
    (16, "", ["s32", "u8", "u8", "s32"]),
    (32, "", ["s32", "s8", "s8", "s32"]),
    (32, "", ["s32", "s8", "u8", "s32"]),
    (32, "", ["s32", "u8", "s8", "s32"]),
    (32, "", ["s32", "u8", "u8", "s32"]),
    (16, ".satfinite", ["s32", "s8", "s8", "s32"]),
    (16, ".satfinite", ["s32", "s8", "u8", "s32"]),
    (16, ".satfinite", ["s32", "u8", "s8", "s32"]),
    (16, ".satfinite", ["s32", "u8", "u8", "s32"]),
    (32, ".satfinite", ["s32", "s8", "s8", "s32"]),
    (32, ".satfinite", ["s32", "s8", "u8", "s32"]),
    (32, ".satfinite", ["s32", "u8", "s8", "s32"]),
    (32, ".satfinite", ["s32", "u8", "u8", "s32"]),
];

fn opcode(&(k, modifier, [d, a, b, c]): &Shape) -> String {
    format!("mma.sync.aligned.m16n8k{k}.row.col{modifier}.{d}.{a}.{b}.{c}")
}

pub(crate) fn bf16(x: f32) -> u32 {
    x.to_bits() >> 16
}

/// For integers of at most 2048 in magnitude.
pub(crate) fn f16(x: f32) -> u32 {
    if x == 0.0 {
        return 0;
    }
    let bits = x.to_bits();
    (bits >> 16 & 0x8000) | ((bits >> 23 & 0xff) - 112) << 10 | (bits >> 13 & 0x3ff)
}

/// The value of a normal f16 or zero.
fn half_value(bits: u32) -> f32 {
    if bits & 0x7fff == 0 {
        return 0.0;
    }
    f32::from_bits((bits & 0x8000) << 16 | ((bits >> 10 & 31) + 112) << 23 | (bits & 0x3ff) << 13)
}

/// Bits of an element.
fn width(ty: &str) -> usize {
    match ty {
        "s8" | "u8" => 8,
        "f16" | "bf16" => 16,
        _ => 32,
    }
}

/// A value's bits in a type that holds it exactly.
fn encode(ty: &str, x: f32) -> u32 {
    match ty {
        "f16" => f16(x),
        "bf16" => bf16(x),
        "s8" | "u8" => x as i32 as u32 & 0xff,
        "s32" => x as i32 as u32,
        _ => x.to_bits(),
    }
}

/// Random integers: small ones, or any byte.
fn matrix(random: &mut Random, ty: &str, count: usize) -> Vec<f32> {
    let value = |word: u32| match ty {
        "s8" => word as i8 as f32,
        "u8" => word as u8 as f32,
        _ => (word % 9) as f32 - 4.0,
    };
    (0..count).map(|_| value(random.word())).collect()
}

/// Runs one `mma` on fragments placed as the manual draws them; returns A, B and D.
fn run(shape: &Shape, c: &[f32]) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let &(k, _, [d_type, a_type, b_type, c_type]) = shape;
    let mut random = Random::new(k as u64);
    let (a, b) = (matrix(&mut random, a_type, 16 * k), matrix(&mut random, b_type, k * 8));
    let per = 32 / width(a_type);
    let registers = 16 * k / per / 32;
    let pack = |ty: &str, elements: Vec<f32>| {
        elements.iter().enumerate().fold(0, |all, (e, &x)| all | encode(ty, x) << (width(ty) * e))
    };
    let mut words = vec![Vec::new(); 32];
    for (lane, words) in words.iter_mut().enumerate() {
        let (group, pair) = (lane / 4, lane % 4);
        for i in 0..registers {
            let (row, column) = (group + 8 * (i % 2), pair * per + i / 2 * 4 * per);
            words.push(pack(a_type, (0..per).map(|e| a[row * k + column + e]).collect()));
        }
        for i in 0..registers.div_ceil(2) {
            let row = pair * per + i * 4 * per;
            words.push(pack(b_type, (0..per).map(|e| b[(row + e) * 8 + group]).collect()));
        }
        let per = 32 / width(c_type);
        for i in 0..4 / per {
            let at = |e: usize| (group + (i * per + e) / 2 * 8) * 8 + pair * 2 + (i * per + e) % 2;
            words.push(pack(c_type, (0..per).map(|e| c[at(e)]).collect()));
        }
        words.resize(16, 0);
    }
    let names = |prefix: &str, range: std::ops::Range<usize>| {
        let list = range.map(|i| format!("%{prefix}{i}")).collect::<Vec<_>>().join(", ");
        if list.contains(',') { format!("{{{list}}}") } else { list }
    };
    let ends = [registers, registers + registers.div_ceil(2)];
    let sums = 4 * width(c_type) / 32;
    let loads: String =
        (0..ends[1] + sums).map(|i| format!("ld.global.b32 %x{i}, [%d2+{}];\n", 4 * i)).collect();
    let body = format!(
        ".reg .b32 %x<16>;\nmul.wide.u32 %d1, %r0, 48;\nadd.s64 %d2, %base, %d1;\n{loads}{} {}, {}, {}, {};",
        opcode(shape),
        names("out", 0..4 * width(d_type) / 32),
        names("x", 0..ends[0]),
        names("x", ends[0]..ends[1]),
        names("x", ends[1]..ends[1] + sums),
    );
    let mut device = Device::new();
    let module = load(&mut device, &kernel(&body)).unwrap_or_else(|error| panic!("{error}"));
    let data = upload(&mut device, &words.concat());
    let counters = launch(&device, &module, "test", [1, 1, 1], [32, 1, 1], &Params::default().pointer(data));
    assert_eq!(counters.tensor_operations, 2 * 16 * 8 * k as u64);
    // Each thread stores at 16 bytes per thread.
    let out = download(&device, data, 128);
    let mut d = vec![0.0; 16 * 8];
    for lane in 0..32 {
        for i in 0..4 {
            let at = (lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2;
            d[at] = match d_type {
                "f16" => half_value(out[4 * lane + i / 2] >> (16 * (i % 2)) & 0xffff),
                "s32" => out[4 * lane + i] as i32 as f32,
                _ => f32::from_bits(out[4 * lane + i]),
            };
        }
    }
    (a, b, d)
}

/// `a·b + c` of a row-major m × k by k × n.
fn product(a: &[f32], b: &[f32], c: &[f32], [k, n]: [usize; 2]) -> Vec<f32> {
    let one = |i: usize| (0..k).fold(c[i], |sum, l| sum + a[i / n * k + l] * b[l * n + i % n]);
    (0..c.len()).map(one).collect()
}

#[test]
fn every_mma_that_is_accepted() {
    for shape in &SHAPES {
        let c = matrix(&mut Random::new(9), "f32", 16 * 8);
        let (a, b, d) = run(shape, &c);
        assert_eq!(d, product(&a, &b, &c, [shape.0, 8]), "{}", opcode(shape));
    }
}

#[test]
fn no_other_mma_is_accepted() {
    let sums = ["f16", "f32", "f64", "s32"];
    let types = ["f16", "bf16", "tf32", "f64", "s8", "u8", "b1"];
    let sizes = ["m16n8k4", "m16n8k8", "m16n8k16", "m16n8k32", "m16n8k64", "m8n8k4", "m8n8k16", "m16n16k16"];
    let mut candidates = Vec::new();
    for size in sizes {
        for modifier in ["", ".satfinite"] {
            for d in sums {
                for (a, b) in types.iter().flat_map(|a| types.iter().map(move |b| (a, b))) {
                    for c in sums {
                        candidates.push(format!("mma.sync.aligned.{size}.row.col{modifier}.{d}.{a}.{b}.{c}"));
                    }
                }
            }
        }
    }
    for layout in ["row.row", "col.row", "col.col"] {
        candidates.extend(SHAPES.iter().map(|shape| opcode(shape).replace("row.col", layout)));
    }
    let mut accepted = Vec::new();
    let mut device = Device::new();
    for some in candidates.chunks(100) {
        // Without operands: what is accepted asks for them.
        let kernel = |(i, opcode): (usize, &String)| format!(".visible .entry k{i}()\n{{ {opcode} 0; }}\n");
        let kernels: String = some.iter().enumerate().map(kernel).collect();
        let text = format!(".version 8.0\n.target sm_80\n.address_size 64\n{kernels}");
        let module = load(&mut device, &text).unwrap();
        for (i, opcode) in some.iter().enumerate() {
            let run = device.launch(&module, &format!("k{i}"), [1; 3], [32, 1, 1], 0, &[]);
            if run.unwrap_err().to_string().contains("takes 4 operands") {
                accepted.push(opcode.clone());
            }
        }
    }
    let mut tested: Vec<_> = SHAPES.iter().map(opcode).collect();
    accepted.sort();
    tested.sort();
    assert_eq!(accepted, tested);
}

#[test]
fn sums_of_integers_wrap_or_saturate() {
    for (modifier, saturates) in [("", false), (".satfinite", true)] {
        let shape = (32, modifier, ["s32", "s8", "s8", "s32"]);
        // The largest f32 below 2^31, and the least s32: half of the sums leave the range.
        let c: Vec<_> =
            (0..128).map(|i| if i % 2 == 0 { 2_147_483_520.0 } else { -2_147_483_648.0 }).collect();
        let (a, b, d) = run(&shape, &c);
        let zeros = vec![0.0; 128];
        let mut left = 0;
        for ((d, sum), c) in d.iter().zip(product(&a, &b, &zeros, [32, 8])).zip(c) {
            let exact = c as i64 + sum as i64;
            let want =
                if saturates { exact.clamp(i32::MIN.into(), i32::MAX.into()) as i32 } else { exact as i32 };
            left += u32::from(exact != i64::from(exact as i32));
            assert_eq!(*d, want as f32);
        }
        assert!(left > 30, "{left} sums overflow");
    }
}

#[test]
fn floats_at_the_edges() {
    // Lane 0 holds A[0][0..2] in its first register, B[0..2][0] in its first, C[0][0].
    let one = |a: u32, b: u32, c: f32, ty: &str| {
        let body = format!(
            "setp.eq.u32 %p1, %r0, 0;\nselp.b32 %r1, {a}, 0, %p1;\nselp.b32 %r2, {b}, 0, %p1;\n\
             selp.b32 %r3, {}, 0, %p1;\nmov.b32 %r4, 0;\n\
             mma.sync.aligned.m16n8k8.row.col.f32.{ty}.{ty}.f32 {{%out0, %out1, %out2, %out3}}, {{%r1, %r4}}, %r2, \
             {{%r3, %r4, %r4, %r4}};",
            c.to_bits()
        );
        threads(&body, &[[0; 4]; 32])[0][0]
    };
    // The least f16, 2^-24, times 2; the largest, 65504, times itself.
    assert_eq!(one(1, 0x4000, 0.0, "f16"), 2.0_f32.powi(-23).to_bits());
    assert_eq!(one(0x7bff, 0x7bff, 1.0, "f16"), (65504.0_f32 * 65504.0 + 1.0).to_bits());
    assert_eq!(one(0xfc00, 0x3c00, 1.0, "f16"), f32::NEG_INFINITY.to_bits());
    assert_eq!(one(0x7c00, 0x0000, 1.0, "f16"), 0x7fff_ffff);
    assert_eq!(one(0x7c01, 0x3c00, 1.0, "f16"), 0x7fff_ffff);
    // Two products in one pair: 3·5 - 2·7 + 0.5.
    assert_eq!(one(0xc000_4200, 0x4700_4500, 0.5, "f16"), 1.5_f32.to_bits());
    assert_eq!(one(0xff80, 0x3f80, 1.0, "bf16"), f32::NEG_INFINITY.to_bits());
}

#[test]
fn a_matrix_needs_the_whole_warp() {
    for body in [
        "mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32 {%r1, %r2, %r3, %r4}, {%r1, %r2}, %r3, {%r1, %r2, %r3, %r4};",
        ".shared .align 16 .b8 t[512];\nmov.u32 %r1, t;\nldmatrix.sync.aligned.m8n8.x1.shared.b16 %r2, [%r1];",
    ] {
        let error = try_threads(body, &[[0; 4]; 31]).unwrap_err().to_string();
        assert!(error.contains("lane 31 does not take part"), "{error}");
    }
}

/// One `wmma` of m × n × k with types of the operands, of D and of C, the orders of A, B, C and D, by way of `space`.
fn wmma([m, n, k]: [usize; 3], [ty, d_type, c_type]: [&str; 3], orders: [&str; 4], space: &str) {
    let mut random = Random::new((m + n) as u64);
    let mut any = |count| matrix(&mut random, ty, count);
    let (a, b, c) = (any(m * k), any(k * n), any(m * n));
    // Four matrices of 4 KiB each behind the 512 bytes that the frame of the test kernel takes.
    let mut bytes = vec![0_u8; 512 + 4 * 4096];
    let stride =
        |[rows, columns]: [usize; 2], order: &str| if order == "row" { columns + 8 } else { rows + 8 };
    let place = |i: usize, shape: [usize; 2], order: &str| {
        let (row, column) = (i / shape[1], i % shape[1]);
        let stride = stride(shape, order);
        if order == "row" { row * stride + column } else { column * stride + row }
    };
    for (number, values, shape, ty) in [(0, &a, [m, k], ty), (1, &b, [k, n], ty), (2, &c, [m, n], c_type)] {
        for (i, &x) in values.iter().enumerate() {
            let size = width(ty) / 8;
            let at = 512 + 4096 * number + size * place(i, shape, orders[number]);
            bytes[at..at + size].copy_from_slice(&encode(ty, x).to_le_bytes()[..size]);
        }
    }
    let names = |prefix: &str, count: usize| {
        let list = (0..count).map(|i| format!("%{prefix}{i}")).collect::<Vec<_>>().join(", ");
        format!("{{{list}}}")
    };
    let operand = |elements: usize| if ty == "f16" { 8 } else { elements / 64 };
    let sum = |ty: &str| if ty == "f16" { 4 } else { 8 };
    let [fa, fb] = [names("a", operand(m * k)), names("b", operand(k * n))];
    let [fc, fd] = [names("c", sum(c_type)), names("e", sum(d_type))];
    let shape = format!("m{m}n{n}k{k}");
    let copy = |label: &str, from: &str, to: &str| {
        format!(
            "mov.u32 %r2, 0;\n{label}:\nshl.b32 %r3, %r0, 2;\nadd.s32 %r3, %r3, %r2;\nadd.s32 %r4, %r1, %r3;\n\
             cvt.u64.u32 %d2, %r3;\nadd.s64 %d2, %d1, %d2;\nld.{from}.b32 %r5, [%{}];\nst.{to}.b32 [%{}], %r5;\n\
             add.s32 %r2, %r2, 128;\nsetp.lt.u32 %p1, %r2, {};\n@%p1 bra {label};\nbar.sync 0;\n",
            if from == "global" { "d2" } else { "r4" },
            if to == "global" { "d2" } else { "r4" },
            bytes.len()
        )
    };
    let (before, base, dotted, after) = match space {
        "global" => (String::new(), "%d1", ".global", String::new()),
        "generic" => (String::new(), "%d1", "", String::new()),
        _ => (copy("in", "global", "shared"), "%r1", ".shared", copy("back", "shared", "global")),
    };
    let [oa, ob, oc, od] = orders;
    let at = |number: usize| format!("[{base}+{}]", 512 + 4096 * number);
    let kind =
        if ty == "f16" { format!("{d_type}.{c_type}") } else { format!("{d_type}.{ty}.{ty}.{c_type}") };
    let body = format!(
        ".reg .b32 %a<8>, %b<8>, %c<8>, %e<8>;\n.shared .align 32 .b8 tile[{}];\nld.param.u64 %d1, [out];\n\
         mov.u32 %r1, tile;\n{before}\
         wmma.load.a.sync.aligned.{oa}.{shape}{dotted}.{ty} {fa}, {}, {};\n\
         wmma.load.b.sync.aligned.{ob}.{shape}{dotted}.{ty} {fb}, {}, {};\n\
         wmma.load.c.sync.aligned.{oc}.{shape}{dotted}.{c_type} {fc}, {}, {};\n\
         wmma.mma.sync.aligned.{oa}.{ob}.{shape}.{kind} {fd}, {fa}, {fb}, {fc};\n\
         wmma.store.d.sync.aligned.{od}.{shape}{dotted}.{d_type} {}, {fd}, {};\nbar.sync 0;\n{after}",
        bytes.len(),
        at(0),
        stride([m, k], oa),
        at(1),
        stride([k, n], ob),
        at(2),
        stride([m, n], oc),
        at(3),
        stride([m, n], od),
    );
    let mut device = Device::new();
    let module = load(&mut device, &kernel(&body)).unwrap_or_else(|error| panic!("{error}"));
    let data = device.alloc(bytes.len());
    device.write(data, &bytes).unwrap();
    let counters = launch(&device, &module, "test", [1, 1, 1], [32, 1, 1], &Params::default().pointer(data));
    assert_eq!(counters.tensor_operations, 2 * (m * n * k) as u64);
    let out = device.read(data + 512 + 3 * 4096, 4096).unwrap();
    let size = width(d_type) / 8;
    for (i, want) in product(&a, &b, &c, [k, n]).into_iter().enumerate() {
        let at = size * place(i, [m, n], od);
        let mut word = [0; 4];
        word[..size].copy_from_slice(&out[at..at + size]);
        let bits = u32::from_le_bytes(word);
        let got = if size == 2 { half_value(bits) } else { f32::from_bits(bits) };
        assert_eq!(got, want, "element {i} of {shape} {ty} {d_type} {c_type} {orders:?} {space}");
    }
}

#[test]
fn every_wmma_that_is_accepted() {
    for shape in [[16, 16, 16], [32, 8, 16], [8, 32, 16]] {
        for types in [
            ["f16", "f32", "f32"],
            ["f16", "f16", "f16"],
            ["f16", "f32", "f16"],
            ["f16", "f16", "f32"],
            ["bf16", "f32", "f32"],
        ] {
            for orders in 0..16 {
                let orders = [0, 1, 2, 3].map(|i| if orders >> i & 1 == 0 { "row" } else { "col" });
                for space in ["global", "shared", "generic"] {
                    wmma(shape, types, orders, space);
                }
            }
        }
    }
}

#[test]
fn no_other_wmma_is_accepted() {
    for instruction in [
        "wmma.load.a.sync.aligned.row.m16n16k16.s8 {%r1, %r2}, [%d1];",
        "wmma.load.a.sync.aligned.row.m16n16k8.tf32 {%r1, %r2, %r3, %r4}, [%d1];",
        "wmma.load.d.sync.aligned.row.m16n16k16.f32 {%r1, %r2}, [%d1];",
        "wmma.store.c.sync.aligned.row.m16n16k16.f32 [%d1], {%r1, %r2};",
        "wmma.load.a.sync.aligned.m16n16k16.f16 {%r1, %r2}, [%d1];",
        "wmma.load.c.sync.aligned.row.m16n16k16.bf16 {%r1, %r2}, [%d1];",
        "wmma.mma.sync.aligned.row.m16n16k16.f32.f32 {%r1}, {%r1}, {%r1}, {%r1};",
        "wmma.mma.sync.aligned.row.col.m16n16k16.f16.bf16.bf16.f16 {%r1}, {%r1}, {%r1}, {%r1};",
        "wmma.mma.sync.aligned.row.col.m16n16k16.s32.s8.s8.s32 {%r1}, {%r1}, {%r1}, {%r1};",
        "ldmatrix.sync.aligned.m8n8.x3.shared.b16 {%r1, %r2, %r3}, [%r1];",
        "ldmatrix.sync.aligned.m16n16.x1.trans.shared.b8 {%r1, %r2}, [%r1];",
        "ldmatrix.sync.aligned.m8n8.x1.shared.b8 {%r1}, [%r1];",
    ] {
        let error = try_threads(instruction, &[[0; 4]; 32]).unwrap_err().to_string();
        assert!(error.contains(": unsupported") || error.contains("unknown modifier"), "{error}");
    }
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
    for (shape, count) in [("x1", 1), ("x2", 2), ("x4", 4)] {
        for (modifier, transposes) in [("", false), (".trans", true)] {
            for address in ["", "::cta"] {
                let names: Vec<_> = (0..count).map(|i| format!("%out{i}")).collect();
                let out = matrices(&format!(
                    "ldmatrix.sync.aligned.m8n8.{shape}{modifier}.shared{address}.b16 {{{}}}, [%r1];",
                    names.join(", ")
                ));
                for (lane, out) in out.iter().enumerate() {
                    for (matrix, &word) in out[..count].iter().enumerate() {
                        let at = |row: usize, column: usize| (100 * matrix + 8 * row + column) as u32;
                        let (row, column) = (lane / 4, lane % 4 * 2);
                        let [low, high] = if transposes {
                            [at(column, row), at(column + 1, row)]
                        } else {
                            [at(row, column), at(row, column + 1)]
                        };
                        assert_eq!(word, high << 16 | low, "{shape}{modifier}, lane {lane}, matrix {matrix}");
                    }
                }
            }
        }
    }
}

/// Bytes of a matrix's elements.
fn bytes(ty: &str, values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|&x| encode(ty, x).to_le_bytes()[..width(ty) / 8].to_vec()).collect()
}

/// The columns of a matrix as rows.
fn transposed(values: &[f32], columns: usize) -> Vec<f32> {
    let rows = values.len() / columns;
    (0..values.len()).map(|i| values[i % rows * columns + i / rows]).collect()
}

/// The last of `buffers`, 32-bit words, after a run of a kernel of `tensors.cu` on one warp.
fn compiled(name: &str, inputs: &[Vec<u8>], words: usize) -> Vec<u32> {
    let mut device = Device::new();
    let module = load(&mut device, include_str!("ptx/tensors.ptx")).unwrap();
    let mut params = Params::default();
    for input in inputs {
        let address = device.alloc(input.len());
        device.write(address, input).unwrap();
        params = params.pointer(address);
    }
    let out = device.alloc(4 * words);
    launch(&device, &module, name, [1, 1, 1], [32, 1, 1], &params.pointer(out));
    download(&device, out, words)
}

#[test]
fn products_as_nvcc_compiles_them() {
    let mut random = Random::new(20);
    let floats = |words: Vec<u32>| words.into_iter().map(f32::from_bits).collect::<Vec<_>>();
    let (a, b) = (matrix(&mut random, "f16", 32 * 48), matrix(&mut random, "f16", 48 * 16));
    let got = compiled("wmma_f16", &[bytes("f16", &a), bytes("f16", &transposed(&b, 16))], 512);
    let want = product(&a, &b, &[0.0; 512], [48, 16]).into_iter().map(|x| 2.0 * x);
    assert_eq!(floats(got), want.collect::<Vec<_>>());

    let (a, b) = (matrix(&mut random, "bf16", 8 * 16), matrix(&mut random, "bf16", 16 * 32));
    let c = matrix(&mut random, "f32", 8 * 32);
    let inputs = [bytes("bf16", &transposed(&a, 16)), bytes("bf16", &b), bytes("f32", &transposed(&c, 32))];
    assert_eq!(floats(compiled("wmma_bf16", &inputs, 256)), product(&a, &b, &c, [16, 32]));

    let (a, b) = (matrix(&mut random, "s8", 16 * 32), matrix(&mut random, "u8", 32 * 8));
    let got = compiled("mma_bytes", &[bytes("s8", &a), bytes("u8", &transposed(&b, 8))], 128);
    let got: Vec<_> = got.into_iter().map(|x| x as i32 as f32).collect();
    assert_eq!(got, product(&a, &b, &[0.0; 128], [32, 8]));
}
