//! `wgmma`: every layout of its operands against plain arithmetic, its order in time, and kernels with one bug each.

use crate::support::{Params, Random, download_f32, launch, load, upload_f32};
use crate::tensors::{bf16, f16};
use std::ops::Range;
use vgpu::{Counters, Device};

/// Rows of A; all of k here, of which an instruction takes 16.
const M: usize = 64;
const K: usize = 64;

#[derive(Clone, Copy, PartialEq, Debug)]
enum Order {
    /// K-major.
    Inner,
    /// M- or N-major.
    Outer,
}

/// A matrix in shared memory from `start` on: `rows` of A or columns of B by `K`.
#[derive(Clone, Copy, Debug)]
struct Tile {
    start: usize,
    rows: usize,
    order: Order,
    /// Bytes of a row of the swizzle's pattern; 16 without a swizzle.
    width: usize,
}

impl Tile {
    /// Where the element lies, as the manual draws it: patterns of eight rows, one after the other, in which pieces of 16
    /// bytes change places.
    fn place(&self, row: usize, k: usize) -> usize {
        let (fast, slow) = if self.order == Order::Inner { (k, row) } else { (row, k) };
        let slow_size = if self.order == Order::Inner { self.rows } else { K };
        let per = self.width / 2;
        let pattern = fast / per * slow_size.div_ceil(8) + slow / 8;
        let (line, piece) = (slow % 8, fast % per / 8);
        // 128 bytes make a row of banks: how many of those lie before this line.
        let swizzled = piece ^ (line * self.width / 128 & (self.width / 16 - 1));
        self.start + pattern * 8 * self.width + line * self.width + swizzled * 16 + fast % 8 * 2
    }

    fn bytes(&self) -> usize {
        let fast = if self.order == Order::Inner { K } else { self.rows };
        let slow = if self.order == Order::Inner { self.rows } else { K };
        fast.div_ceil(self.width / 2) * self.width * slow
    }

    /// The descriptor of 16 of k from `k` on.
    fn descriptor(&self, k: usize) -> u64 {
        let slow_size = if self.order == Order::Inner { self.rows } else { K };
        let (along, across) = (8 * self.width, slow_size * self.width);
        let (leading, stride) = match (self.order, self.width) {
            (Order::Inner, 16) => (across, along),
            (Order::Inner, _) => (16, along),
            (Order::Outer, 16) => (along, across),
            (Order::Outer, _) => (across, along),
        };
        // The first piece is the only one that no swizzle moves.
        let start = self.place(0, k);
        let mode =
            [(16, 0_u64), (128, 1), (64, 2), (32, 3)].iter().find(|mode| mode.0 == self.width).unwrap().1;
        (start as u64 >> 4) | (leading as u64 >> 4) << 16 | (stride as u64 >> 4) << 32 | mode << 62
    }
}

/// A kernel `test` of 128 threads: `image` goes to shared memory, n / 2 words per thread of `sums` to D, `body` runs, D
/// goes back. A fragment of A in registers is the 4 words per thread and 16 of k behind the image.
fn kernel(n: usize, bytes: usize, body: &str) -> String {
    let each = |line: &dyn Fn(usize) -> String| (0..n / 2).map(line).collect::<String>();
    let loads = each(&|i| format!("ld.global.f32 %f{i}, [%sums+{}];\n", 4 * i));
    let stores = each(&|i| format!("st.global.f32 [%sums+{}], %f{i};\n", 4 * i));
    format!(
        ".version 9.0\n.target sm_90a\n.address_size 64\n\
         .visible .entry test(.param .u64 image, .param .u64 sums)\n{{\n\
         .reg .pred %p<4>;\n.reg .b32 %r<8>, %a<16>;\n.reg .f32 %f<128>;\n.reg .b64 %d<8>, %sums;\n\
         .shared .align 1024 .b8 tile[{bytes}];\n\
         ld.param.u64 %d0, [image];\nld.param.u64 %sums, [sums];\nmov.u32 %r0, %tid.x;\n\
         mul.wide.u32 %d1, %r0, {};\nadd.s64 %sums, %sums, %d1;\n\
         mul.wide.u32 %d1, %r0, 64;\nadd.s64 %d1, %d0, %d1;\n{}\
         shl.b32 %r1, %r0, 4;\nmov.u32 %r2, tile;\nadd.s32 %r2, %r2, %r1;\ncvt.u64.u32 %d1, %r1;\nadd.s64 %d0, %d0, %d1;\n\
         copy:\nld.global.v4.b32 {{%r3, %r4, %r5, %r6}}, [%d0];\nst.shared.v4.b32 [%r2], {{%r3, %r4, %r5, %r6}};\n\
         add.s64 %d0, %d0, 2048;\nadd.s32 %r2, %r2, 2048;\nadd.s32 %r1, %r1, 2048;\n\
         setp.lt.u32 %p0, %r1, {bytes};\n@%p0 bra copy;\n\
         setp.eq.u32 %p1, %r0, %r0;\n{loads}{body}\n{stores}ret;\n}}\n",
        2 * n,
        (0..16).map(|i| format!("ld.global.b32 %a{i}, [%d1+{}];\n", bytes + 4 * i)).collect::<String>(),
    )
}

/// Names of registers in braces.
fn names(prefix: &str, range: Range<usize>) -> String {
    format!("{{{}}}", range.map(|i| format!("%{prefix}{i}")).collect::<Vec<_>>().join(", "))
}

const BEGIN: &str = "fence.proxy.async.shared::cta;\nbar.sync 0;\nwgmma.fence.sync.aligned;\n";
const END: &str = "wgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 0;\n";

/// Operands of a product, and the matrices behind them as f64.
struct Case {
    n: usize,
    ty: &'static str,
    /// None: in registers.
    a: Option<Tile>,
    b: Tile,
    a_values: Vec<f32>,
    b_values: Vec<f32>,
    sums: Vec<f32>,
}

impl Case {
    /// Matrices of small integers, or of any numbers.
    fn new(n: usize, ty: &'static str, orders: [Option<Order>; 2], width: usize, integers: bool) -> Self {
        let mut random = Random::new((n + width) as u64);
        let mut values = |count: usize| -> Vec<f32> {
            let integer = |word: u32| (word % 9) as f32 - 4.0;
            let real = |unit: f32| f32::from_bits(unit.to_bits() & 0xffff_0000);
            (0..count).map(|_| if integers { integer(random.word()) } else { real(random.unit()) }).collect()
        };
        let (a_values, b_values, sums) = (values(M * K), values(n * K), values(M * n));
        let a = orders[0].map(|order| Tile { start: 0, rows: M, order, width });
        let start = a.map_or(0, |a| a.bytes()).next_multiple_of(1024);
        let b = Tile { start, rows: n, order: orders[1].unwrap(), width };
        Self { n, ty, a, b, a_values, b_values, sums }
    }

    fn encode(&self, x: f32) -> u16 {
        (if self.ty == "f16" { f16(x) } else { bf16(x) }) as u16
    }

    /// Bytes of shared memory: whole copies of 2048.
    fn bytes(&self) -> usize {
        (self.b.start + self.b.bytes()).next_multiple_of(2048)
    }

    fn image(&self) -> Vec<u8> {
        let mut image = vec![0_u8; self.bytes()];
        for (tile, values) in [(self.a, &self.a_values), (Some(self.b), &self.b_values)] {
            let Some(tile) = tile else { continue };
            for (i, &x) in values.iter().enumerate() {
                let at = tile.place(i / K, i % K);
                image[at..at + 2].copy_from_slice(&self.encode(x).to_le_bytes());
            }
        }
        for thread in 0..128 {
            for i in 0..16 {
                let (row, k) = (thread / 32 * 16 + thread % 32 / 4 + i % 2 * 8, thread % 4 * 2 + i / 2 * 8);
                for e in 0..2 {
                    image.extend(self.encode(self.a_values[row * K + k + e]).to_le_bytes());
                }
            }
        }
        image
    }

    /// The product of 16 of k from `16 * step` on.
    fn instruction(&self, step: usize, adds: &str, scales: &str) -> String {
        let Self { n, ty, .. } = self;
        let flag = |tile: &Tile| u32::from(tile.order == Order::Outer);
        let (set, a, flags) = match &self.a {
            Some(a) => (
                format!("mov.u64 %d2, {:#x};\n", a.descriptor(16 * step)),
                "%d2".to_owned(),
                format!("{}, {}", flag(a), flag(&self.b)),
            ),
            None => (String::new(), names("a", 4 * step..4 * step + 4), flag(&self.b).to_string()),
        };
        format!(
            "{set}mov.u64 %d3, {:#x};\nwgmma.mma_async.sync.aligned.m64n{n}k16.f32.{ty}.{ty} {}, {a}, %d3, {adds}, \
             {scales}, {flags};\n",
            self.b.descriptor(16 * step),
            names("f", 0..n / 2),
        )
    }

    /// D after `body`, and what it took.
    fn run(&self, body: &str) -> (Vec<f32>, Counters) {
        let mut device = Device::new();
        let text = kernel(self.n, self.bytes(), body);
        let module = load(&mut device, &text).unwrap_or_else(|error| panic!("{error}"));
        let image = self.image();
        let address = device.alloc(image.len());
        device.write(address, &image).unwrap();
        let fragment: Vec<_> = (0..128 * self.n / 2).map(|i| self.sums[self.sum(i)]).collect();
        let sums = upload_f32(&mut device, &fragment);
        let params = Params::default().pointer(address).pointer(sums);
        let counters = launch(&device, &module, "test", [1, 1, 1], [128, 1, 1], &params);
        let mut d = vec![0.0; M * self.n];
        for (i, x) in download_f32(&device, sums, fragment.len()).into_iter().enumerate() {
            d[self.sum(i)] = x;
        }
        (d, counters)
    }

    /// Which element of D register `i % (n / 2)` of thread `i / (n / 2)` holds.
    fn sum(&self, i: usize) -> usize {
        let (thread, i) = (i / (self.n / 2), i % (self.n / 2));
        let row = thread / 32 * 16 + thread % 32 / 4 + i / 2 % 2 * 8;
        row * self.n + i / 4 * 8 + thread % 4 * 2 + i % 2
    }

    /// The sums over `k`, in f32, one multiply-add after the other, from D or from 0.
    fn want(&self, k: Range<usize>, sign: f32, adds: bool) -> Vec<f32> {
        let term =
            |i: usize, k: usize| sign * self.a_values[i / self.n * K + k] * self.b_values[i % self.n * K + k];
        let first = |i: usize| if adds { self.sums[i] } else { 0.0 };
        // Products of bf16 are exact in f32.
        (0..M * self.n).map(|i| k.clone().fold(first(i), |sum, k| term(i, k) + sum)).collect()
    }
}

const ORDERS: [Order; 2] = [Order::Inner, Order::Outer];

/// All four steps of k in one group.
fn whole(case: &Case) -> String {
    let steps: String = (0..4).map(|step| case.instruction(step, "%p1", "1, 1")).collect();
    format!("{BEGIN}{steps}{END}")
}

#[test]
fn every_layout() {
    for width in [16, 32, 64, 128] {
        for a in [Some(Order::Inner), Some(Order::Outer), None] {
            for b in ORDERS {
                for n in [8, 24, 64, 136, 256] {
                    let case = Case::new(n, "bf16", [a, Some(b)], width, true);
                    let (d, counters) = case.run(&whole(&case));
                    // Integers: the order of the sums does not matter.
                    assert!(d == case.want(0..K, 1.0, true), "A {a:?}, B {b:?}, n {n}, {width} bytes");
                    assert_eq!(counters.tensor_operations, 2 * (M * n * K) as u64);
                }
            }
        }
    }
}

#[test]
fn every_count_of_columns() {
    for n in (8..=256).step_by(8) {
        let case = Case::new(n, "bf16", [Some(Order::Inner), Some(Order::Outer)], 128, true);
        assert!(case.run(&whole(&case)).0 == case.want(0..K, 1.0, true), "n {n}");
    }
}

#[test]
fn sums_in_the_order_of_k() {
    let case = Case::new(128, "bf16", [Some(Order::Inner), Some(Order::Inner)], 128, false);
    assert!(case.run(&whole(&case)).0 == case.want(0..K, 1.0, true));
}
