//! Kernels with exactly one bug each: caught with kernel, line, block, thread and address.

use crate::support::{Params, load, upload};
use vgpu::{Device, Error, Fault, FaultKind, Options, Space};

/// A kernel `bug` over a buffer of 64 words, with 256 bytes of shared memory and the thread's own word at %own.
fn kernel(body: &str) -> String {
    format!(
        ".version 8.0\n.target sm_80\n.address_size 64\n\
         .visible .entry bug(.param .u64 data)\n{{\n\
         .reg .pred %p<4>;\n.reg .b32 %r<8>;\n.reg .b64 %d<8>;\n\
         .shared .align 16 .b8 tile[256];\n.local .align 4 .b8 own[8];\n\
         ld.param.u64 %d0, [data];\nmov.u32 %r0, %tid.x;\nmov.u32 %r1, %ctaid.x;\n\
         mul.wide.u32 %d1, %r0, 4;\nadd.s64 %d1, %d0, %d1;\n\
         mov.u32 %r2, tile;\nshl.b32 %r3, %r0, 2;\nadd.s32 %r2, %r2, %r3;\n\
         {body}\nret;\n}}\n"
    )
}

/// The fault of `body` on two blocks of 64 threads; `address` counts from the buffer of 64 words.
fn fault_with(options: Options, body: &str) -> (Fault, u64) {
    let mut device = Device::with(options);
    let ptx = kernel(body);
    let module = load(&mut device, &ptx).unwrap_or_else(|error| panic!("{error}"));
    let data = upload(&mut device, &[0; 64]);
    let params = Params::default().pointer(data);
    let result = device.launch(&module, "bug", [2, 1, 1], [64, 1, 1], 0, params.bytes());
    (expect_fault(result, &ptx), data)
}

fn fault(body: &str) -> (Fault, u64) {
    fault_with(Options { host_threads: 1, ..Options::default() }, body)
}

/// Thread `thread` of block `block` does `kind`; the message says so, with the address where there is one.
#[track_caller]
fn caught(fault: &Fault, block: u32, thread: u32, kind: &FaultKind) {
    assert_eq!((fault.block, fault.thread, &fault.kind), ([block, 0, 0], [thread, 0, 0], kind), "{fault}");
    let text = fault.to_string();
    let start = format!("bug, PTX line {}, block ({block}, 0, 0), thread ({thread}, 0, 0): ", fault.line);
    assert!(text.starts_with(&start), "{text}");
    use FaultKind::{AsyncPending, GlobalRace, Misaligned, NeverWritten, OutOfBounds, ReadOnly, SharedRace};
    if let OutOfBounds { address, .. }
    | Misaligned { address, .. }
    | NeverWritten { address, .. }
    | AsyncPending { address, .. }
    | SharedRace { address, .. }
    | GlobalRace { address, .. }
    | ReadOnly { address, .. } = *kind
    {
        assert!(text.contains(&format!("address {address:#x}")), "{text}");
    }
}

/// The fault of a launch that must have one, on the line that is marked.
fn expect_fault(result: Result<vgpu::Counters, Error>, ptx: &str) -> Fault {
    match result {
        Err(Error::Fault(fault)) => {
            let line = ptx.lines().position(|line| line.contains("// bug")).expect("a line is marked");
            assert_eq!((fault.kernel.as_str(), fault.line as usize), ("bug", line + 1), "{fault}");
            *fault
        }
        other => panic!("{other:?}"),
    }
}

/// Passes on every device order, to show that the fault comes from the bug alone.
fn passes(body: &str) {
    for seed in [None, Some(1), Some(2)] {
        let mut device = Device::with(Options { seed, global_races: true, ..Options::default() });
        let module = load(&mut device, &kernel(body)).unwrap();
        let data = upload(&mut device, &[0; 64]);
        let params = Params::default().pointer(data);
        let result = device.launch(&module, "bug", [2, 1, 1], [64, 1, 1], 0, params.bytes());
        assert!(result.is_ok(), "{}", result.unwrap_err());
    }
}

#[test]
fn global_out_of_bounds() {
    let (fault, data) = fault("ld.global.u32 %r4, [%d1+4]; // bug");
    let address = data + 256;
    caught(&fault, 0, 63, &FaultKind::OutOfBounds { space: Space::Global, address, bytes: 4 });
}

#[test]
fn shared_out_of_bounds() {
    let (fault, _) = fault("st.shared.u32 [%r2+8], %r0; // bug");
    caught(&fault, 0, 62, &FaultKind::OutOfBounds { space: Space::Shared, address: 256, bytes: 4 });
}

#[test]
fn generic_out_of_bounds() {
    let body = "cvt.u64.u32 %d2, %r2;\ncvta.shared.u64 %d2, %d2;\nst.u32 [%d2+8], %r0; // bug";
    caught(&fault(body).0, 0, 62, &FaultKind::OutOfBounds { space: Space::Shared, address: 256, bytes: 4 });
}

#[test]
fn local_out_of_bounds() {
    let kind = FaultKind::OutOfBounds { space: Space::Local, address: 16, bytes: 4 };
    caught(&fault("st.local.u32 [own+16], %r0; // bug").0, 0, 0, &kind);
}

#[test]
fn freed_memory() {
    let mut device = Device::new();
    let ptx = kernel("ld.global.u32 %r4, [%d1]; // bug");
    let module = load(&mut device, &ptx).unwrap();
    let data = upload(&mut device, &[0; 64]);
    device.free(data).unwrap();
    // Its place is not taken by another allocation.
    upload(&mut device, &[0; 64]);
    let params = Params::default().pointer(data);
    let result = device.launch(&module, "bug", [1, 1, 1], [64, 1, 1], 0, params.bytes());
    let kind = FaultKind::OutOfBounds { space: Space::Global, address: data, bytes: 4 };
    caught(&expect_fault(result, &ptx), 0, 0, &kind);
    assert!(device.free(data).is_err() && device.read(data, 4).is_err());
}

#[test]
fn misaligned() {
    let (found, data) = fault("ld.global.v2.u32 {%r4, %r5}, [%d1]; // bug");
    caught(&found, 0, 1, &FaultKind::Misaligned { space: Space::Global, address: data + 4, bytes: 8 });
    let (found, _) = fault("st.shared.u32 [%r2+2], %r0; // bug");
    caught(&found, 0, 0, &FaultKind::Misaligned { space: Space::Shared, address: 2, bytes: 4 });
}

#[test]
fn never_written() {
    let body = "setp.ne.u32 %p0, %r0, 5;\n@%p0 st.shared.u32 [%r2], %r0;\nld.shared.u32 %r4, [%r2]; // bug";
    caught(&fault(body).0, 0, 5, &FaultKind::NeverWritten { space: Space::Shared, address: 20, bytes: 4 });
    // Half of a word is not the word.
    let body = "cvt.u16.u32 %h, %r0;\nst.local.u16 [own], %h;\nld.local.u32 %r4, [own]; // bug";
    let body = format!(".reg .b16 %h;\n{body}");
    caught(&fault(&body).0, 0, 0, &FaultKind::NeverWritten { space: Space::Local, address: 0, bytes: 4 });
}

#[test]
fn never_written_global() {
    let mut device = Device::new();
    let ptx = kernel("ld.global.u32 %r4, [%d1]; // bug");
    let module = load(&mut device, &ptx).unwrap();
    let data = device.alloc(256);
    device.write(data, &[0; 40]).unwrap();
    let params = Params::default().pointer(data);
    let result = device.launch(&module, "bug", [1, 1, 1], [64, 1, 1], 0, params.bytes());
    let kind = FaultKind::NeverWritten { space: Space::Global, address: data + 40, bytes: 4 };
    caught(&expect_fault(result, &ptx), 0, 10, &kind);
}

#[test]
fn barrier_that_part_of_the_block_never_reaches() {
    // The second warp leaves.
    let body = "setp.ge.u32 %p0, %r0, 32;\n@%p0 ret;\nbar.sync 0; // bug";
    let kind = FaultKind::Deadlock { what: "a barrier", missing: [32, 0, 0] };
    caught(&fault(body).0, 0, 0, &kind);
    // Half of each warp goes elsewhere: to another barrier.
    let body = "setp.ge.u32 %p0, %r0, 16;\n@%p0 bra other;\nbar.sync 0; // bug\nbra done;\n\
                other: bar.sync 1;\ndone: mov.u32 %r4, 0;";
    caught(&fault(body).0, 0, 0, &FaultKind::Deadlock { what: "a barrier", missing: [16, 0, 0] });
    passes("bar.sync 0;");
}

#[test]
fn shuffle_that_part_of_the_lanes_never_reach() {
    // Lanes 16 to 31 wait at a barrier instead.
    let body = "and.b32 %r4, %r0, 16;\nsetp.ne.u32 %p0, %r4, 0;\n@%p0 bra other;\n\
                shfl.sync.bfly.b32 %r5, %r0, 1, 31, -1; // bug\nother: bar.sync 0;";
    let kind = FaultKind::Deadlock { what: "a shuffle", missing: [16, 0, 0] };
    caught(&fault(body).0, 0, 0, &kind);
    // Reading a lane that has left.
    let body = "and.b32 %r4, %r0, 16;\nsetp.ne.u32 %p0, %r4, 0;\n@%p0 ret;\n\
                shfl.sync.bfly.b32 %r5, %r0, 16, 31, -1; // bug";
    caught(&fault(body).0, 0, 0, &FaultKind::LaneMissing { lane: 16, members: 0xffff });
    // A thread outside of its own mask.
    let body = "bar.warp.sync 0xfffffffe; // bug";
    caught(&fault(body).0, 0, 0, &FaultKind::LaneMissing { lane: 0, members: 0xffff_fffe });
}

#[test]
fn asynchronous_copy_read_before_its_wait() {
    let copy = "cp.async.ca.shared.global [%r2], [%d1], 4;\ncp.async.commit_group;\n";
    let body = format!("{copy}ld.shared.u32 %r4, [%r2]; // bug");
    caught(&fault(&body).0, 0, 0, &FaultKind::AsyncPending { address: 0, bytes: 4 });
    // Waiting for all but one group does not wait for the only one.
    let body = format!("{copy}cp.async.wait_group 1;\nld.shared.u32 %r4, [%r2]; // bug");
    caught(&fault(&body).0, 0, 0, &FaultKind::AsyncPending { address: 0, bytes: 4 });
    // Overwriting the destination meanwhile: an ordinary store, and an atomic.
    let body = format!("{copy}st.shared.u32 [%r2], %r0; // bug\ncp.async.wait_all;");
    caught(&fault(&body).0, 0, 0, &FaultKind::AsyncPending { address: 0, bytes: 4 });
    let body = format!("{copy}red.shared.add.u32 [%r2], 1; // bug\ncp.async.wait_all;");
    caught(&fault(&body).0, 0, 0, &FaultKind::AsyncPending { address: 0, bytes: 4 });
    passes(&format!("{copy}cp.async.wait_group 0;\nld.shared.u32 %r4, [%r2];"));
    passes("cp.async.ca.shared.global [%r2], [%d1], 4;\ncp.async.wait_all;\nld.shared.u32 %r4, [%r2];");
}

#[test]
fn asynchronous_copy_read_by_another_thread_without_a_barrier() {
    let body = "cp.async.ca.shared.global [%r2], [%d1], 4;\ncp.async.wait_all;\nxor.b32 %r4, %r2, 4;\n\
                ld.shared.u32 %r5, [%r4]; // bug";
    caught(&fault(body).0, 0, 0, &FaultKind::SharedRace { address: 4, other: [1, 0, 0], writes: false });
}

#[test]
fn shared_race_between_warps() {
    // Reads the other warp's word.
    let exchange = |barrier: &str| {
        format!("st.shared.u32 [%r2], %r0;\n{barrier}\nxor.b32 %r4, %r2, 128;\nld.shared.u32 %r5, [%r4];")
    };
    // The first warp runs to its end first here, so that its words are written when the second one reads.
    let late = "setp.lt.u32 %p0, %r0, 32;\n@%p0 ret;";
    let body = exchange(late) + " // bug";
    caught(&fault(&body).0, 0, 32, &FaultKind::SharedRace { address: 0, other: [0, 0, 0], writes: false });
    // After a barrier the first warp reads what the second one overwrites.
    let body = "st.shared.u32 [%r2], %r0;\nbar.sync 0;\nsetp.lt.u32 %p0, %r0, 32;\nxor.b32 %r4, %r2, 128;\n\
                @%p0 ld.shared.u32 %r5, [%r4];\n@!%p0 st.shared.u32 [%r2], %r1; // bug";
    caught(&fault(body).0, 0, 32, &FaultKind::SharedRace { address: 128, other: [0, 0, 0], writes: true });
    // Both warps write one word, other values.
    let body =
        "and.b32 %r4, %r0, 31;\nsetp.ne.u32 %p0, %r4, 5;\n@%p0 ret;\nst.shared.u32 [tile+64], %r0; // bug";
    caught(&fault(body).0, 0, 37, &FaultKind::SharedRace { address: 64, other: [5, 0, 0], writes: true });
    passes(&exchange("bar.sync 0;"));
    // A producer that only arrives, and a consumer that waits for it.
    passes(
        "setp.ge.u32 %p0, %r0, 32;\n@%p0 bra consumer;\nst.shared.u32 [%r2], %r0;\nbar.arrive 1, 64;\nret;\n\
         consumer: bar.sync 1, 64;\nld.shared.u32 %r5, [%r2+-128];",
    );
}

#[test]
fn shared_race_within_a_warp() {
    let body = "st.shared.u32 [%r2], %r0;\nxor.b32 %r4, %r2, 4;\nld.shared.u32 %r5, [%r4]; // bug";
    caught(&fault(body).0, 0, 0, &FaultKind::SharedRace { address: 4, other: [1, 0, 0], writes: false });
    passes("st.shared.u32 [%r2], %r0;\nbar.warp.sync -1;\nxor.b32 %r4, %r2, 4;\nld.shared.u32 %r5, [%r4];");
    // One lane writes what all have read.
    let body = "st.shared.u32 [%r2], %r0;\nbar.sync 0;\nld.shared.u32 %r5, [tile];\nsetp.eq.u32 %p0, %r0, 0;\n\
                @%p0 st.shared.u32 [tile], %r1; // bug";
    caught(&fault(body).0, 0, 0, &FaultKind::SharedRace { address: 0, other: [31, 0, 0], writes: true });
    // Two lanes store different values to one word; the same value is no race.
    let (found, _) = fault("st.shared.u32 [tile], %r0; // bug");
    caught(&found, 0, 1, &FaultKind::SharedRace { address: 0, other: [0, 0, 0], writes: true });
    passes("st.shared.u32 [tile], 7;");
    // Neighbouring halves of a word are no race either.
    passes(
        ".reg .b16 %h;\ncvt.u16.u32 %h, %r0;\nshl.b32 %r4, %r0, 1;\nmov.u32 %r5, tile;\n\
         add.s32 %r4, %r4, %r5;\nst.shared.u16 [%r4], %h;",
    );
}

#[test]
fn lanes_that_do_not_agree() {
    let body = "setp.eq.u32 %p0, %r0, 0;\nselp.b32 %r4, -1, -2, %p0;\nbar.warp.sync %r4; // bug";
    caught(&fault(body).0, 0, 1, &FaultKind::Disagreement { what: "a member mask" });
    let body = "and.b32 %r4, %r0, 1;\nbar.sync %r4; // bug";
    caught(&fault(body).0, 0, 0, &FaultKind::Disagreement { what: "a barrier" });
    let body = "wmma.load.a.sync.aligned.row.m16n16k16.shared.f16 {%r0, %r1, %r3, %r4, %r5, %r6, %r7, %r7}, [%r2]; \
                // bug";
    caught(&fault(body).0, 0, 1, &FaultKind::Disagreement { what: "wmma" });
}

/// All 64 words written but for the one of thread `but`, then `bug`, with the address of four of them in %r4.
fn four_words(but: u32, bug: &str) -> String {
    format!(
        "setp.ne.u32 %p0, %r0, {but};\n@%p0 st.shared.u32 [%r2], %r0;\nbar.sync 0;\nand.b32 %r4, %r0, 15;\n\
         shl.b32 %r4, %r4, 4;\nmov.u32 %r5, tile;\nadd.s32 %r4, %r4, %r5;\n{bug}"
    )
}

#[test]
fn words_side_by_side() {
    const ALL: u32 = 64;
    let load = "ld.shared.v4.u32 {%r5, %r6, %r7, %r3}, [%r4];";
    let never = |address, bytes| FaultKind::NeverWritten { space: Space::Shared, address, bytes };
    caught(&fault(&four_words(6, &format!("{load} // bug"))).0, 0, 1, &never(24, 4));
    let body = four_words(ALL, "ld.shared.v4.u32 {%r5, %r6, %r7, %r3}, [%r4+16]; // bug");
    let kind = FaultKind::OutOfBounds { space: Space::Shared, address: 256, bytes: 16 };
    caught(&fault(&body).0, 0, 15, &kind);
    let body = four_words(ALL, "ld.shared.v2.u32 {%r5, %r6}, [%r2]; // bug");
    let kind = FaultKind::Misaligned { space: Space::Shared, address: 4, bytes: 8 };
    caught(&fault(&body).0, 0, 1, &kind);
    // The last word of four, which another warp wrote.
    let body = "setp.eq.u32 %p0, %r0, 3;\n@%p0 st.shared.u32 [%r2], %r1;\nsetp.lt.u32 %p1, %r0, 32;\n\
                @%p1 ret;\nld.shared.v4.u32 {%r5, %r6, %r7, %r3}, [tile]; // bug";
    let kind = FaultKind::SharedRace { address: 12, other: [3, 0, 0], writes: false };
    caught(&fault(&four_words(ALL, body)).0, 0, 32, &kind);
    // Four words over those that another warp read, and two to which a copy is on its way.
    let body = "setp.lt.u32 %p1, %r0, 32;\n@%p1 ld.shared.u32 %r5, [%r2];\n@%p1 ret;\n\
                st.shared.v4.u32 [tile+16], {%r1, %r1, %r1, %r1}; // bug";
    let kind = FaultKind::SharedRace { address: 16, other: [4, 0, 0], writes: true };
    caught(&fault(&four_words(ALL, body)).0, 0, 32, &kind);
    let body = "cp.async.ca.shared.global [%r2], [%d1], 4;\nand.b32 %r4, %r2, -8;\n\
                st.shared.v2.u32 [%r4], {%r0, %r0}; // bug\ncp.async.wait_all;";
    caught(&fault(body).0, 0, 0, &FaultKind::AsyncPending { address: 0, bytes: 8 });
    passes(&four_words(ALL, load));
    passes(&four_words(
        ALL,
        &format!("{load}\nbar.sync 0;\nst.shared.v4.u32 [%r4], {{%r1, %r1, %r1, %r1}};"),
    ));
}

#[test]
fn rows_of_ldmatrix() {
    let load = |offset| format!("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {{%r5}}, [%r4+{offset}]; // bug");
    let kind = FaultKind::NeverWritten { space: Space::Shared, address: 24, bytes: 8 };
    caught(&fault(&four_words(6, &load(0))).0, 0, 1, &kind);
    let kind = FaultKind::OutOfBounds { space: Space::Shared, address: 256, bytes: 16 };
    caught(&fault(&four_words(64, &load(240))).0, 0, 1, &kind);
    let kind = FaultKind::Misaligned { space: Space::Shared, address: 8, bytes: 16 };
    caught(&fault(&four_words(64, &load(8))).0, 0, 0, &kind);
    passes(&four_words(64, &load(0)));
}

#[test]
fn race_between_blocks() {
    let (found, data) = fault_with(global_races(), "st.global.u32 [%d1], %r0; // bug");
    caught(&found, 1, 0, &FaultKind::GlobalRace { address: data, other: 0, writes: true });
    let body = "setp.ne.u32 %p0, %r1, 0;\n@%p0 bra reads;\nst.global.u32 [%d1], %r0;\nret;\n\
                reads: ld.global.u32 %r4, [%d1]; // bug";
    let (found, data) = fault_with(global_races(), body);
    caught(&found, 1, 0, &FaultKind::GlobalRace { address: data, other: 0, writes: false });
    passes("setp.ne.u32 %p0, %r0, 0;\n@%p0 ld.global.u32 %r4, [%d1];\nred.global.add.u32 [%d0], 1;");
}

#[test]
fn atomics_against_plain_accesses_of_shared_memory() {
    let first = "setp.ne.u32 %p0, %r0, 0;\n@!%p0 st.shared.u32 [tile], 0;\n";
    // The counter is not yet set when others add to it.
    let body = format!("{first}red.shared.add.u32 [tile], 1; // bug");
    caught(&fault(&body).0, 0, 1, &FaultKind::SharedRace { address: 0, other: [0, 0, 0], writes: true });
    // It is read while others still add to it.
    let body =
        format!("{first}bar.sync 0;\nred.shared.add.u32 [tile], 1;\nld.shared.u32 %r4, [tile]; // bug");
    caught(&fault(&body).0, 0, 0, &FaultKind::SharedRace { address: 0, other: [31, 0, 0], writes: false });
    // One thread of each warp: the second reads its own sum, to which the first has added.
    let body = format!(
        "{first}bar.sync 0;\nand.b32 %r4, %r0, 31;\nsetp.ne.u32 %p1, %r4, 3;\n@%p1 ret;\n\
         red.shared.add.u32 [tile], 1;\nsetp.lt.u32 %p2, %r0, 32;\n@%p2 ret;\nld.shared.u32 %r4, [tile]; // bug"
    );
    caught(&fault(&body).0, 0, 35, &FaultKind::SharedRace { address: 0, other: [3, 0, 0], writes: false });
    // It is read before others have begun to add to it.
    let body =
        format!("{first}bar.sync 0;\n@!%p0 ld.shared.u32 %r4, [tile];\nred.shared.add.u32 [tile], 1; // bug");
    caught(&fault(&body).0, 0, 1, &FaultKind::SharedRace { address: 0, other: [0, 0, 0], writes: true });
    // It is reset while others still add to it.
    let body =
        format!("{first}bar.sync 0;\nred.shared.add.u32 [tile], 1;\n@!%p0 st.shared.u32 [tile], 0; // bug");
    caught(&fault(&body).0, 0, 0, &FaultKind::SharedRace { address: 0, other: [31, 0, 0], writes: true });
    let add = "red.shared.add.u32 [tile], 1;\natom.shared.max.u32 %r4, [tile], 7;\n";
    passes(&format!("{first}bar.sync 0;\n{add}bar.sync 0;\nld.shared.u32 %r4, [tile];"));
}

/// A flag in shared memory tells the second warp that the first one's data is there.
fn flag(set: &str, wait: &str) -> String {
    format!(
        "setp.eq.u32 %p0, %r0, 0;\n@%p0 st.shared.u32 [tile], 0;\nbar.sync 0;\n\
         setp.ge.u32 %p1, %r0, 32;\n@%p1 bra consumer;\n@%p0 st.shared.u32 [tile+64], 5;\n{set}\nret;\n\
         consumer:\n{wait}\nsetp.eq.u32 %p2, %r4, 0;\n@%p2 bra consumer;\nld.shared.u32 %r5, [tile+64];"
    )
}

#[test]
fn a_flag_hands_over_shared_memory() {
    let acquire = "ld.acquire.cta.shared.u32 %r4, [tile];";
    passes(&flag("@%p0 st.release.cta.shared.u32 [tile], 1;", acquire));
    passes(
        &flag(
            "membar.cta;\n@%p0 st.volatile.shared.u32 [tile], 1;",
            &acquire.replace("acquire.cta", "volatile"),
        )
        .replace("ld.shared.u32 %r5", "membar.cta;\nld.shared.u32 %r5"),
    );
    passes(&flag("fence.acq_rel.cta;\n@%p0 red.shared.add.u32 [tile], 1;", acquire));
    // Without the release: the flag, but not the data. Without the acquire likewise.
    let kind = FaultKind::SharedRace { address: 64, other: [0, 0, 0], writes: false };
    for (set, wait) in [
        ("@%p0 st.relaxed.cta.shared.u32 [tile], 1;", acquire),
        ("@%p0 st.release.cta.shared.u32 [tile], 1;", "ld.relaxed.cta.shared.u32 %r4, [tile];"),
    ] {
        caught(&fault(&(flag(set, wait) + " // bug")).0, 0, 32, &kind);
    }
    // A plain store of the flag races with its atomic read.
    let body = flag("@%p0 st.shared.u32 [tile], 1;", &format!("{acquire} // bug"));
    caught(&fault(&body).0, 0, 32, &FaultKind::SharedRace { address: 0, other: [0, 0, 0], writes: false });
}

fn global_races() -> Options {
    Options { host_threads: 1, global_races: true, ..Options::default() }
}

#[test]
fn atomics_against_plain_accesses_of_another_block() {
    let second = "setp.eq.u32 %p0, %r1, 1;\n";
    let race = |body: String, writes| {
        let (found, data) = fault_with(global_races(), &(second.to_owned() + &body));
        caught(&found, 1, 0, &FaultKind::GlobalRace { address: data, other: 0, writes });
    };
    race("@!%p0 st.global.u32 [%d1], 1;\n@%p0 red.global.add.u32 [%d1], 1; // bug".to_owned(), true);
    race("@!%p0 ld.global.u32 %r4, [%d1];\n@%p0 red.global.add.u32 [%d1], 1; // bug".to_owned(), true);
    race("@!%p0 red.global.add.u32 [%d1], 1;\n@%p0 ld.global.u32 %r4, [%d1]; // bug".to_owned(), false);
    race("@!%p0 red.global.add.u32 [%d1], 1;\n@%p0 st.global.u32 [%d1], 1; // bug".to_owned(), true);
    // A block's own plain access before its atomic is not forgotten.
    race("@!%p0 st.global.u32 [%d1], 1;\nred.global.add.u32 [%d1], 1; // bug".to_owned(), true);
    // An atomic of a block's scope is none to the other block.
    race("red.relaxed.cta.global.add.u32 [%d1], 1; // bug".to_owned(), true);
    passes(
        "red.global.add.u32 [%d0], 1;\natom.global.max.u32 %r4, [%d0], 3;\nld.relaxed.gpu.global.u32 %r4, [%d0];",
    );
    // Blocks that share words, but no bytes.
    passes(
        ".reg .b16 %h;\nmov.b16 %h, 1;\nmul.wide.u32 %d2, %r1, 2;\nadd.s64 %d2, %d1, %d2;\nst.global.u16 [%d2], %h;",
    );
}

/// Each block writes 16 words and counts itself; the last one reads what the other wrote.
fn last_block(release: &str, count: &str, acquire: &str) -> String {
    format!(
        ".reg .b32 %n;\nsetp.ge.u32 %p0, %r0, 16;\nmul.wide.u32 %d2, %r1, 64;\nadd.s64 %d3, %d1, %d2;\n\
         @!%p0 st.global.u32 [%d3], %r0;\n{release}\nbar.sync 0;\nsetp.ne.u32 %p1, %r0, 0;\n@%p1 bra wait;\n\
         atom{count}.global.add.u32 %n, [%d0+252], 1;\nst.shared.u32 [tile], %n;\n\
         wait: bar.sync 0;\n{acquire}\nld.shared.u32 %n, [tile];\nsetp.ne.u32 %p2, %n, 1;\n@%p2 ret;\n\
         sub.s64 %d3, %d1, %d2;\n@!%p0 ld.global.u32 %r4, [%d3+64];"
    )
}

#[test]
fn the_last_block_reads_what_the_others_wrote() {
    passes(&last_block("membar.gl;", "", "membar.gl;"));
    passes(&last_block("fence.acq_rel.gpu;", ".relaxed.gpu", "fence.acq_rel.gpu;"));
    passes(&last_block("", ".acq_rel.gpu", ""));
    // No fence before the count; none after it; fences of the block's scope; a relaxed count; an acquire alone.
    for (release, count, acquire) in [
        ("", "", "membar.gl;"),
        ("membar.gl;", "", ""),
        ("membar.cta;", "", "membar.cta;"),
        ("", ".relaxed.gpu", ""),
        ("", ".acquire.gpu", ""),
        ("membar.gl;", ".acq_rel.cta", "membar.gl;"),
    ] {
        let body = last_block(release, count, acquire);
        // Where the counts themselves race, the fault is theirs.
        let body = if count == ".acq_rel.cta" {
            body.replace("[%d0+252], 1;", "[%d0+252], 1; // bug")
        } else {
            body + " // bug"
        };
        let (found, data) = fault_with(global_races(), &body);
        let (address, writes) = if count == ".acq_rel.cta" { (data + 252, true) } else { (data, false) };
        caught(&found, 1, 0, &FaultKind::GlobalRace { address, other: 0, writes });
    }
}

#[test]
fn read_only_memory() {
    let read_only = |body: &str| {
        let mut device = Device::new();
        let text = kernel(body).replace(".visible", ".const .align 4 .u32 table = 5;\n.visible");
        let module = load(&mut device, &text).unwrap();
        let data = upload(&mut device, &[0; 64]);
        let params = Params::default().pointer(data);
        let result = device.launch(&module, "bug", [1, 1, 1], [32, 1, 1], 0, params.bytes());
        (expect_fault(result, &text), module.global("table").expect("the module has a table"))
    };
    for (body, space) in [
        ("mov.u64 %d2, table;\nst.global.u32 [%d2], %r0; // bug", Space::Global),
        ("mov.u64 %d2, table;\nred.global.add.u32 [%d2], %r0; // bug", Space::Global),
        ("st.const.u32 [table], %r0; // bug", Space::Const),
    ] {
        let (found, address) = read_only(body);
        caught(&found, 0, 0, &FaultKind::ReadOnly { space, address });
    }
    let (found, _) = read_only("st.param.u32 [data], %r0; // bug");
    caught(&found, 0, 0, &FaultKind::ReadOnly { space: Space::Param, address: 0 });
}

/// What 24 devices with seeds of their own leave in the first word, which starts as 0.
fn outcomes(body: &str) -> std::collections::HashSet<Vec<u8>> {
    let run = |seed| {
        let mut device = Device::with(Options { seed: Some(seed), host_threads: 1, ..Options::default() });
        let module = load(&mut device, &kernel(body)).unwrap();
        let data = upload(&mut device, &[0; 64]);
        let params = Params::default().pointer(data);
        let result = device.launch(&module, "bug", [3, 1, 1], [128, 1, 1], 0, params.bytes());
        assert!(result.is_ok(), "{}", result.unwrap_err());
        device.read(data, 4).unwrap()
    };
    (0..24).map(run).collect()
}

#[test]
fn seeds_find_what_depends_on_the_order() {
    // The last block to come wins; each of the three does under some seed.
    assert_eq!(outcomes("atom.global.exch.b32 %r4, [%d0], %r1;").len(), 3);
    // The last of four warps wins, then the blocks agree.
    let warps = "st.shared.u32 [tile], 0;\nbar.sync 0;\nshr.u32 %r4, %r0, 5;\natom.shared.exch.b32 %r4, [tile], %r4;\n\
                 bar.sync 0;\nld.shared.u32 %r4, [tile];\nred.global.max.u32 [%d0], %r4;";
    assert!(outcomes(warps).len() > 1);
    // Sums and maxima do not depend on it.
    assert_eq!(outcomes("red.global.add.u32 [%d0], %r0;").len(), 1);
    assert_eq!(outcomes(&warps.replace("exch.b32 %r4, [tile]", "max.u32 %r4, [tile]")).len(), 1);
}

#[test]
fn traps_and_endless_loops() {
    let (found, _) = fault("setp.eq.u32 %p0, %r0, 9;\n@%p0 trap; // bug");
    caught(&found, 0, 9, &FaultKind::Trap);
    let options = Options { instruction_limit: 1000, host_threads: 1, ..Options::default() };
    let (found, _) = fault_with(options, "forever:\nbra forever; // bug");
    caught(&found, 0, 0, &FaultKind::TooLong { limit: 1000 });
}

#[test]
fn jump_tables_without_the_index() {
    let body = "brx.idx %r0, list; // bug\nlist: .branchtargets low, high;\nlow: mov.u32 %r4, 0;\nhigh: mov.u32 %r4, 1;";
    caught(&fault(body).0, 0, 2, &FaultKind::NoTarget { index: 2, targets: 2 });
}

#[test]
fn launches_that_cannot_start() {
    let mut device = Device::new();
    let module = load(&mut device, &kernel("")).unwrap();
    let launch = |grid, block, shared, params: &[u8]| {
        device.launch(&module, "bug", grid, block, shared, params).unwrap_err().to_string()
    };
    assert_eq!(launch([1; 3], [1; 3], 0, &[0; 4]), "bug: 4 bytes of parameters, it takes 8");
    assert!(launch([0, 1, 1], [1; 3], 0, &[0; 8]).contains("an empty grid"));
    assert!(launch([1; 3], [2048, 1, 1], 0, &[0; 8]).contains("at most 1024"));
    assert!(launch([1; 3], [1; 3], 1 << 20, &[0; 8]).contains("bytes of shared memory, there are 166912"));
    let unknown = device.launch(&module, "none", [1; 3], [1; 3], 0, &[]).unwrap_err();
    assert_eq!(unknown.to_string(), "the module has no kernel none");
}

#[test]
fn part_of_an_asynchronous_copy_is_zeros() {
    // Two of four bytes of 0xFFFFFFFF arrive, the others are zeros; then a copy of none reads nothing, out of bounds or not.
    let body = "st.global.u32 [%d1], -1;\nmov.u32 %r4, 2;\ncp.async.ca.shared.global [%r2], [%d1], 4, %r4;\n\
                cp.async.wait_all;\nld.shared.u32 %r5, [%r2];\nsetp.ne.u32 %p0, %r5, 0xffff;\n@%p0 trap;\n\
                mov.u32 %r4, 0;\ncp.async.ca.shared.global [%r2], [%d1+256], 4, %r4;\ncp.async.wait_all;";
    let mut device = Device::new();
    let module = load(&mut device, &kernel(body)).unwrap();
    let data = upload(&mut device, &[0; 64]);
    let params = Params::default().pointer(data);
    let result = device.launch(&module, "bug", [1, 1, 1], [64, 1, 1], 0, params.bytes());
    assert!(result.is_ok(), "{}", result.unwrap_err());
}
