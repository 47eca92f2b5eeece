//! `wgmma`: every layout of its operands against plain arithmetic, its order in time, and kernels with one bug each.

use crate::support::{Params, Random, download_f32, launch, load, upload_f32};
use crate::tensors::{bf16, f16};
use std::ops::Range;
use vgpu::{Class, Counters, Device, Error, Fault, FaultKind, Options, Space};

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

#[test]
fn elements_of_f16() {
    for a in [Some(Order::Inner), None] {
        let case = Case::new(40, "f16", [a, Some(Order::Outer)], 64, true);
        assert!(case.run(&whole(&case)).0 == case.want(0..K, 1.0, true), "A {a:?}");
    }
}

#[test]
fn signs_and_fresh_sums() {
    for a in [Some(Order::Outer), None] {
        let case = Case::new(32, "bf16", [a, Some(Order::Inner)], 32, true);
        for (scales, sign) in [("1, 1", 1.0), ("-1, 1", -1.0), ("1, -1", -1.0), ("-1, -1", 1.0)] {
            for (adds, added) in [("%p1", true), ("!%p1", false), ("1", true), ("0", false)] {
                let body = format!("{BEGIN}{}{END}", case.instruction(1, adds, scales));
                assert!(case.run(&body).0 == case.want(16..32, sign, added), "A {a:?}, {scales}, {adds}");
            }
        }
        // What a register held does not matter to fresh sums.
        let spoilt = "mov.f32 %f0, 0f7fc00000;\n";
        let body = format!("{spoilt}{BEGIN}{}{END}", case.instruction(2, "0", "1, 1"));
        assert!(case.run(&body).0 == case.want(32..48, 1.0, false), "A {a:?}");
    }
}

#[test]
fn groups_arrive_in_order() {
    let case = Case::new(16, "bf16", [Some(Order::Inner), Some(Order::Outer)], 128, true);
    // The second step into registers of its own, from 0.
    let other = case.instruction(1, "0", "1, 1").replace(&names("f", 0..8), &names("f", 8..16));
    let commit = "wgmma.commit_group.sync.aligned;\n";
    let wait = |pending: u32| format!("wgmma.wait_group.sync.aligned {pending};\n");
    let add = "add.f32 %f0, %f0, %f0;\n";
    let first = case.instruction(0, "%p1", "1, 1");
    let run = |middle: &str| case.run(&format!("{BEGIN}{first}{commit}{other}{commit}{middle}{}", wait(0))).0;
    let double = |d: Vec<f32>| -> Vec<f32> {
        let doubled = (0..d.len()).map(|i| if (0..128).any(|t| case.sum(8 * t) == i) { 2.0 } else { 1.0 });
        d.into_iter().zip(doubled).map(|(x, factor)| factor * x).collect()
    };
    // One group may be pending: it is the second, and the first has arrived.
    assert!(run(&format!("{}{add}", wait(1))) == double(case.want(0..16, 1.0, true)));
    assert!(run(&format!("{commit}{}{add}", wait(2))) == double(case.want(0..16, 1.0, true)));
    let fourth = "add.f32 %f8, %f8, %f8;\n";
    let copies: String = (0..8).map(|i| format!("mov.f32 %f{i}, %f{};\n", 8 + i)).collect();
    assert!(run(&format!("{}{fourth}{copies}", wait(0))) == double(case.want(16..32, 1.0, false)));
}

/// The fault of a run of `body` by so many threads on the line that is marked.
fn fault_of(case: &Case, body: &str, threads: u32) -> Fault {
    let mut device = Device::with(Options { host_threads: 1, ..Options::default() });
    let text = kernel(case.n, case.bytes(), body);
    let module = load(&mut device, &text).unwrap_or_else(|error| panic!("{error}"));
    let image = case.image();
    let address = device.alloc(image.len());
    device.write(address, &image).unwrap();
    let sums = upload_f32(&mut device, &vec![1.0; 128 * case.n / 2]);
    let params = Params::default().pointer(address).pointer(sums);
    match device.launch(&module, "test", [1, 1, 1], [threads, 1, 1], 0, params.bytes()) {
        Err(Error::Fault(fault)) => {
            let line = text.lines().position(|line| line.contains("// bug")).expect("a line is marked");
            assert_eq!(fault.line as usize, line + 1, "{fault}");
            *fault
        }
        other => panic!("{other:?}"),
    }
}

/// Marks the only line of a text, or its last.
fn bug(text: &str) -> String {
    format!("{} // bug\n", text.trim_end())
}

/// A case for kernels with a bug, its first product, and the line of the PTX on which that stands behind `before`.
fn buggy(before: &str) -> (Case, String, u32) {
    let case = Case::new(16, "bf16", [Some(Order::Inner), Some(Order::Inner)], 128, true);
    let product = case.instruction(0, "%p1", "1, 1");
    let text = kernel(case.n, case.bytes(), &format!("{before}{product}"));
    let line = text.lines().position(|line| line.contains("mma_async")).unwrap() as u32 + 1;
    (case, product, line)
}

#[test]
fn registers_before_the_wait() {
    let (case, product, line) = buggy(BEGIN);
    let commit = "wgmma.commit_group.sync.aligned;\n";
    let pending = FaultKind::ProductPending { line, exits: false };
    let add = bug("add.f32 %f7, %f7, %f7;");
    for wait in ["", "wgmma.wait_group.sync.aligned 0;\n"] {
        // Not committed, it is in no group.
        assert_eq!(fault_of(&case, &format!("{BEGIN}{product}{wait}{add}"), 128).kind, pending);
    }
    for wait in ["", "wgmma.wait_group.sync.aligned 1;\n"] {
        assert_eq!(fault_of(&case, &format!("{BEGIN}{product}{commit}{wait}{add}"), 128).kind, pending);
    }
    for touch in [
        "st.global.v2.f32 [%sums], {%f0, %f1};",
        "mov.b32 %r5, %f3;",
        "mov.f32 %f3, 0f00000000;",
        "selp.f32 %f20, %f3, %f21, %p1;",
    ] {
        let body = format!("{BEGIN}{product}{commit}{}", bug(touch));
        assert_eq!(fault_of(&case, &body, 128).kind, pending);
    }
    // Another shape, or another order of the same registers, does not queue up behind.
    let other = product.replace(&names("f", 0..8), &names("f", 4..12));
    let text = fault_of(&case, &format!("{BEGIN}{product}{}", bug(&other)), 128).to_string();
    assert!(
        text.ends_with(&format!(
            "touches a register of the wgmma on PTX line {line}, which nobody waited for"
        ))
    );
}

#[test]
fn fragments_before_the_wait() {
    let case = Case::new(16, "bf16", [None, Some(Order::Inner)], 128, true);
    let product = case.instruction(0, "%p1", "1, 1");
    let body = format!("{BEGIN}{product}wgmma.commit_group.sync.aligned;\n{}", bug("mov.b32 %a2, 0;"));
    assert!(matches!(fault_of(&case, &body, 128).kind, FaultKind::ProductPending { exits: false, .. }));
    // A fragment made of sums that have not arrived.
    let chained = product
        .replace(&names("a", 0..4), "{%a0, %f2, %a2, %a3}")
        .replace(&names("f", 0..8), &names("f", 8..16));
    let body = format!("{BEGIN}{product}{}", bug(&chained));
    assert!(matches!(fault_of(&case, &body, 128).kind, FaultKind::ProductPending { exits: false, .. }));
}

#[test]
fn an_exit_before_the_wait() {
    let (case, product, line) = buggy(BEGIN);
    for exit in ["ret;", "exit;"] {
        let body = format!("{BEGIN}{product}wgmma.commit_group.sync.aligned;\n{}", bug(exit));
        let fault = fault_of(&case, &body, 128);
        assert_eq!(fault.kind, FaultKind::ProductPending { line, exits: true });
        assert!(
            fault
                .to_string()
                .ends_with(&format!("exits with the wgmma on PTX line {line}, which nobody waited for"))
        );
    }
}

#[test]
fn registers_without_a_fence() {
    let (case, product, _) = buggy("");
    let open = "fence.proxy.async;\nbar.sync 0;\n";
    let fence = "wgmma.fence.sync.aligned;\n";
    let product = bug(&product);
    for before in ["", "wgmma.fence.sync.aligned;\nadd.f32 %f1, %f1, %f1;\n"] {
        let fault = fault_of(&case, &format!("{open}{before}{product}"), 128);
        assert_eq!(fault.kind, FaultKind::ProductUnfenced);
        assert!(
            fault.to_string().ends_with("a register of the wgmma was touched with no wgmma.fence between")
        );
    }
    // Products add up without one; what stands between them needs it.
    let plain = product.replace("// bug", "");
    let again = format!("{open}{fence}{plain}{plain}{END}add.f32 %f1, %f1, %f1;\n{product}");
    assert_eq!(fault_of(&case, &again, 128).kind, FaultKind::ProductUnfenced);
    case.run(
        &again
            .replace("%f1, %f1;\n", &format!("%f1, %f1;\n{fence}"))
            .replace(&product, &format!("{plain}{END}")),
    );
}

#[test]
fn writes_that_the_proxy_does_not_see() {
    let (case, product, _) = buggy("");
    let (fence, proxy) = ("wgmma.fence.sync.aligned;\n", "fence.proxy.async;\n");
    // Thread 0 has written the first 16 bytes; a fence before the last writes, another proxy's, or another thread's.
    for before in [
        "bar.sync 0;\n",
        "fence.proxy.alias;\nbar.sync 0;\n",
        "fence.proxy.async.global;\nbar.sync 0;\n",
        "fence.acq_rel.cta;\nbar.sync 0;\n",
        "setp.ne.u32 %p2, %r0, 0;\n@%p2 fence.proxy.async;\nbar.sync 0;\n",
    ] {
        let fault = fault_of(&case, &format!("{before}{fence}{}", bug(&product)), 128);
        assert_eq!(fault.kind, FaultKind::ProxyUnfenced { address: 0, writer: [0; 3] }, "{before}");
        let text =
            "wgmma reads shared address 0x0, which thread (0, 0, 0) wrote with no fence.proxy.async since";
        assert!(fault.to_string().ends_with(text), "{fault}");
    }
    // Thread 8 writes again, where element (1, 8) of A lies.
    let address = case.a.unwrap().place(1, 8) as u64;
    let write =
        format!("setp.eq.u32 %p2, %r0, 8;\nmov.u32 %r5, 0;\n@%p2 st.shared.b32 [tile+{address}], %r5;\n");
    let fault = fault_of(&case, &format!("{proxy}{write}bar.sync 0;\n{fence}{}", bug(&product)), 128);
    assert_eq!(fault.kind, FaultKind::ProxyUnfenced { address, writer: [8, 0, 0] });
    case.run(&format!("{write}{proxy}bar.sync 0;\n{fence}{product}{END}"));
    // An atomic, and a copy whose fence came before its wait.
    let atomic = write.replace("st.shared.b32", "red.shared.add.u32");
    let fault = fault_of(&case, &format!("{proxy}{atomic}bar.sync 0;\n{fence}{}", bug(&product)), 128);
    assert_eq!(fault.kind, FaultKind::ProxyUnfenced { address, writer: [8, 0, 0] });
    let copy = format!(
        "bar.sync 0;\nsetp.eq.u32 %p2, %r0, 8;\nld.param.u64 %d0, [image];\n@%p2 cp.async.ca.shared.global [tile+{address}], \
         [%d0+{address}], 4;\n"
    );
    let wait = "cp.async.wait_all;\n";
    let fault = fault_of(&case, &format!("{copy}{proxy}{wait}bar.sync 0;\n{fence}{}", bug(&product)), 128);
    assert_eq!(fault.kind, FaultKind::ProxyUnfenced { address, writer: [8, 0, 0] });
    case.run(&format!("{copy}{wait}{proxy}bar.sync 0;\n{fence}{product}{END}"));
}

#[test]
fn operands_that_come_too_late() {
    let (case, product, _) = buggy("");
    let product = bug(&product);
    // What another thread writes, with no barrier or with one that only the wait comes behind.
    let at = case.b.start as u64;
    let write = format!(
        "bar.sync 0;\nsetp.eq.u32 %p2, %r0, 0;\nmov.u32 %r5, 0;\n@%p2 st.shared.b32 [tile+{at}], %r5;\n"
    );
    let begin = "fence.proxy.async;\nwgmma.fence.sync.aligned;\n";
    for end in [END.to_owned(), format!("bar.sync 0;\n{END}")] {
        let fault = fault_of(&case, &format!("fence.proxy.async;\n{write}{begin}{product}{end}"), 128);
        assert_eq!(fault.kind, FaultKind::SharedRace { address: at, other: [0; 3], writes: false });
    }
    // Copies that nobody waited for, and bytes that nobody wrote.
    let copy = "bar.sync 0;\nld.param.u64 %d0, [image];\ncp.async.ca.shared.global [tile+16], [%d0], 16;\n";
    let fault = fault_of(&case, &format!("{copy}{BEGIN}{product}"), 128);
    assert_eq!(fault.kind, FaultKind::AsyncPending { address: 16, bytes: 8 });
    let never = format!(".shared .align 16 .b8 more[4096];\n{BEGIN}{product}");
    let at = case.bytes() as u64;
    let moved = never.replace(
        &format!("{:#x}", case.b.descriptor(0)),
        &format!("{:#x}", case.b.descriptor(0) + (at - case.b.start as u64) / 16),
    );
    let kind = FaultKind::NeverWritten { space: Space::Shared, address: at, bytes: 8 };
    assert_eq!(fault_of(&case, &moved, 128).kind, kind);
}

#[test]
fn operands_overwritten_too_early() {
    let (case, product, _) = buggy("");
    let at = case.b.start as u64;
    let (commit, wait) = ("wgmma.commit_group.sync.aligned;\n", "wgmma.wait_group.sync.aligned 0;\n");
    let write = |thread: u32| {
        format!("setp.eq.u32 %p2, %r0, {thread};\nmov.u32 %r5, 0;\n@%p2 st.shared.b32 [tile+{at}], %r5;\n")
    };
    // Whoever writes, every warp's product still reads; the barrier between does not help.
    for thread in [0, 31, 32, 100] {
        for barrier in ["", "bar.sync 0;\n"] {
            let late = format!("{BEGIN}{product}{commit}{barrier}{}{wait}", write(thread));
            let mut device = Device::with(Options { host_threads: 1, ..Options::default() });
            let module = load(&mut device, &kernel(case.n, case.bytes(), &late)).unwrap();
            let image = case.image();
            let address = device.alloc(image.len());
            device.write(address, &image).unwrap();
            let sums = upload_f32(&mut device, &vec![1.0; 128 * case.n / 2]);
            let params = Params::default().pointer(address).pointer(sums);
            let result = device.launch(&module, "test", [1, 1, 1], [128, 1, 1], 0, params.bytes());
            let Err(Error::Fault(fault)) = result else { panic!("{thread}, {barrier}: {result:?}") };
            assert!(matches!(fault.kind, FaultKind::SharedRace { address, .. } if address == at), "{fault}");
        }
        let right = format!("{BEGIN}{product}{commit}{wait}bar.sync 0;\n{}", write(thread));
        assert!(case.run(&right).0 == case.want(0..16, 1.0, true));
    }
    // After the barrier the first warp to wait reads what another one has written.
    let fault =
        fault_of(&case, &format!("{BEGIN}{}{commit}bar.sync 0;\n{}{wait}", bug(&product), write(0)), 128);
    assert_eq!(fault.kind, FaultKind::SharedRace { address: at, other: [0; 3], writes: false });
    let copy =
        format!("ld.param.u64 %d0, [image];\n@%p1 cp.async.ca.shared.global [tile+{at}], [%d0], 16;\n");
    let fault = fault_of(&case, &format!("{BEGIN}{}{commit}bar.sync 0;\n{copy}{wait}", bug(&product)), 128);
    assert_eq!(fault.kind, FaultKind::AsyncPending { address: at, bytes: 8 });
}

#[test]
fn descriptors_that_no_matrix_has() {
    let (case, product, _) = buggy("");
    let good = case.b.descriptor(0);
    let fault = |bits: u64| {
        let body = format!("{BEGIN}{}", bug(&product.replace(&format!("{good:#x}"), &format!("{bits:#x}"))));
        fault_of(&case, &body, 128).kind
    };
    let wrong = |bits: u64, said: &str| match fault(bits) {
        FaultKind::Descriptor { bits: found, what } => assert_eq!((found, what), (bits, said)),
        other => panic!("{other}"),
    };
    wrong(good | 1 << 49, "has a base offset, which vgpu does not support");
    wrong(good | 1 << 14, "has bits that must be 0");
    wrong(good + 8, "starts inside of a swizzled pattern, beyond its first row");
    wrong(good + 7, "starts where a row crosses the end of the swizzled pattern");
    wrong(good + (1 << 32), "has a stride that is no multiple of the swizzled pattern");
    // Two strips of eight columns, the second beyond the end.
    let address = case.b.start as u64 + 0x8000;
    let kind = FaultKind::OutOfBounds { space: Space::Shared, address, bytes: 16 };
    assert_eq!(fault(good & !(0x3fff << 32) | 0x800 << 32), kind);
    let text = FaultKind::Descriptor { bits: 1 << 14, what: "has bits that must be 0" }.to_string();
    assert_eq!(text, "the matrix descriptor 0x0000000000004000 has bits that must be 0");
}

#[test]
fn lanes_and_warps_that_differ() {
    let (case, product, _) = buggy("");
    let differs = |change: &str| {
        let operand = product.replace("wgmma.mma", &format!("{change}wgmma.mma"));
        fault_of(&case, &format!("{BEGIN}{}{END}", bug(&operand)), 128)
    };
    // By lane: a descriptor, the predicate. By warp: both, and a product less.
    let disagreement = FaultKind::Disagreement { what: "wgmma" };
    assert_eq!(differs("cvt.u64.u32 %d4, %r0;\nadd.s64 %d3, %d3, %d4;\n").kind, disagreement);
    assert_eq!(differs("setp.eq.u32 %p1, %r0, 5;\n").kind, disagreement);
    for change in [
        "shr.u32 %r5, %r0, 6;\nshl.b32 %r5, %r5, 1;\ncvt.u64.u32 %d4, %r5;\nadd.s64 %d3, %d3, %d4;\n",
        "setp.lt.u32 %p1, %r0, 64;\n",
    ] {
        let fault = differs(change);
        assert_eq!((fault.kind, fault.thread), (FaultKind::WarpgroupApart, [64, 0, 0]));
    }
    let alone = product.replace("wgmma.mma", "setp.lt.u32 %p2, %r0, 96;\n@%p2 wgmma.mma");
    let fault = fault_of(&case, &format!("{BEGIN}{}{END}", bug(&alone)), 128);
    assert_eq!(fault.kind, FaultKind::WarpgroupApart);
    assert!(fault.to_string().ends_with("the four warps of the warpgroup do not execute the same wgmma"));
    // Less than four warps, less than a warp.
    assert_eq!(fault_of(&case, &format!("{BEGIN}{}", bug(&product)), 96).kind, FaultKind::WarpgroupApart);
    let body = format!("bar.sync 0;\n{}", bug("wgmma.fence.sync.aligned;"));
    let fault = fault_of(&case, &body, 112);
    assert_eq!(
        (fault.kind, fault.thread),
        (FaultKind::LaneMissing { lane: 16, members: u32::MAX }, [96, 0, 0])
    );
}

#[test]
fn what_is_not_supported_is_said() {
    let message = |target: &str, instruction: &str| {
        let mut device = Device::new();
        let text = kernel(16, 2048, instruction).replace("sm_90a", target);
        let module = load(&mut device, &text).unwrap();
        let params = Params::default().pointer(0).pointer(0);
        let result = device.launch(&module, "test", [1, 1, 1], [128, 1, 1], 0, params.bytes());
        match result {
            Err(Error::Kernel { message, .. }) => message,
            other => panic!("{other:?}"),
        }
    };
    let d = names("f", 0..8);
    let multiply = |shape: &str, rest: &str| format!("wgmma.mma_async.sync.aligned.{shape} {d}, {rest};");
    let good = "m64n16k16.f32.bf16.bf16";
    for (instruction, said) in [
        (multiply("m64n12k16.f32.bf16.bf16", "%d1"), "wgmma has columns by 8 from 8 to 256: "),
        (multiply("m64n264k16.f32.bf16.bf16", "%d1"), "wgmma has columns by 8 from 8 to 256: "),
        (multiply("m64n16k8.f32.tf32.tf32", "%d1"), "unsupported wgmma shape or type: "),
        (multiply("m64n16k16.f16.f16.f16", "%d1"), "unsupported wgmma shape or type: "),
        (multiply("m64n16k32.f32.e4m3.e4m3", "%d1"), "unsupported wgmma shape or type: "),
        (
            multiply(good, "%d1, %d2, %p1, 1, 1, 0"),
            "wgmma.mma_async.sync.aligned.m64n16k16.f32.bf16.bf16 takes 8 operands, found 7",
        ),
        (
            multiply(good, "{%r1, %r2, %r3, %r4}, %d2, %p1, 1, 1, 0, 0"),
            "wgmma.mma_async.sync.aligned.m64n16k16.f32.bf16.bf16 takes 7 operands, found 8",
        ),
        (multiply(good, "{%r1, %r2}, %d2, %p1, 1, 1, 0"), "a vector of 2 where 4 are needed"),
        (multiply(good, "%d1, %d2, %p1, 2, 1, 0, 0"), "wgmma scales A and B by 1 or -1, not by 2"),
        (multiply(good, "%d1, %d2, %p1, 1, 1, 0, 2"), "wgmma transposes or not, as 1 or 0, not 2"),
        (
            multiply("m64n24k16.f32.bf16.bf16", "%d1, %d2, %p1, 1, 1, 0, 0"),
            "a vector of 8 where 12 are needed",
        ),
        (
            "wgmma.wait_group.sync.aligned %r1;".to_owned(),
            "wgmma.wait_group.sync.aligned needs a number as operand 1",
        ),
        ("wgmma.fence.aligned;".to_owned(), "unsupported wgmma shape or type: "),
    ] {
        let found = message("sm_90a", &instruction);
        assert!(found.starts_with(said), "{found}, not {said}");
    }
    let right = multiply(good, "%d1, %d2, %p1, 1, 1, 0, 0");
    assert_eq!(message("sm_90", &right), "wgmma is for the target sm_90a, not sm_90");
}

#[test]
fn passes_over_shared_memory() {
    // Beyond what the frame of the kernel takes: 64 × 16 and n × 16 elements of two bytes, 128 bytes a pass.
    let frame = Case::new(256, "bf16", [Some(Order::Inner), Some(Order::Outer)], 128, true);
    let without = frame.run(&format!("{BEGIN}{END}")).1;
    let with = frame.run(&whole(&frame)).1;
    assert_eq!(with.shared_wavefronts - without.shared_wavefronts, 4 * (16 + 64));
    assert_eq!(with.bank_conflicts, without.bank_conflicts);
    let tensor = |counters: &Counters| counters.warp_instructions[Class::Tensor as usize];
    assert_eq!(tensor(&with) - tensor(&without), 4 * 4);
    let registers = Case::new(256, "bf16", [None, Some(Order::Outer)], 128, true);
    let counted = registers.run(&whole(&registers)).1.shared_wavefronts;
    assert_eq!(counted - registers.run(&format!("{BEGIN}{END}")).1.shared_wavefronts, 4 * 64);
}
