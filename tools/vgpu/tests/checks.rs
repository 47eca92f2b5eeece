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
    match device.launch(&module, "bug", [2, 1, 1], [64, 1, 1], 0, params.bytes()) {
        Err(Error::Fault(fault)) => {
            assert_eq!(fault.kernel, "bug");
            let line = ptx.lines().position(|line| line.contains("// bug")).expect("a line is marked");
            assert_eq!(fault.line as usize, line + 1, "{fault}");
            let text = fault.to_string();
            assert!(text.starts_with(&format!("bug, PTX line {}, block (", line + 1)), "{text}");
            (*fault, data)
        }
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("not caught:\n{body}"),
    }
}

fn fault(body: &str) -> (Fault, u64) {
    fault_with(Options { host_threads: 1, ..Options::default() }, body)
}

/// Thread `thread` of block `block` does `kind`.
#[track_caller]
fn caught(fault: &Fault, block: u32, thread: u32, kind: &FaultKind) {
    assert_eq!((fault.block, fault.thread, &fault.kind), ([block, 0, 0], [thread, 0, 0], kind), "{fault}");
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
    let module = load(&mut device, &kernel("ld.global.u32 %r4, [%d1];")).unwrap();
    let data = upload(&mut device, &[0; 64]);
    device.free(data).unwrap();
    let params = Params::default().pointer(data);
    let error = device.launch(&module, "bug", [1, 1, 1], [64, 1, 1], 0, params.bytes()).unwrap_err();
    assert!(error.to_string().contains("lie in no allocation"), "{error}");
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
    let module = load(&mut device, &kernel("ld.global.u32 %r4, [%d1];")).unwrap();
    let data = device.alloc(256);
    device.write(data, &[0; 40]).unwrap();
    let params = Params::default().pointer(data);
    match device.launch(&module, "bug", [1, 1, 1], [64, 1, 1], 0, params.bytes()) {
        Err(Error::Fault(fault)) => {
            let kind = FaultKind::NeverWritten { space: Space::Global, address: data + 40, bytes: 4 };
            caught(&fault, 0, 10, &kind);
        }
        other => panic!("{other:?}"),
    }
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
    assert!(matches!(fault(body).0.kind, FaultKind::Deadlock { what: "a barrier", .. }));
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
fn race_between_blocks() {
    let options = || Options { host_threads: 1, global_races: true, ..Options::default() };
    let (found, data) = fault_with(options(), "st.global.u32 [%d1], %r0; // bug");
    caught(&found, 1, 0, &FaultKind::GlobalRace { address: data, other: 0, writes: true });
    let body = "setp.ne.u32 %p0, %r1, 0;\n@%p0 bra reads;\nst.global.u32 [%d1], %r0;\nret;\n\
                reads: ld.global.u32 %r4, [%d1]; // bug";
    let (found, data) = fault_with(options(), body);
    caught(&found, 1, 0, &FaultKind::GlobalRace { address: data, other: 0, writes: false });
    passes("ld.global.u32 %r4, [%d1];\nred.global.add.u32 [%d0], 1;");
}

#[test]
fn read_only_memory() {
    let mut device = Device::new();
    let text = kernel("mov.u64 %d2, table;\nst.global.u32 [%d2], %r0;")
        .replace(".visible", ".const .align 4 .u32 table = 5;\n.visible");
    let module = load(&mut device, &text).unwrap();
    let data = upload(&mut device, &[0; 64]);
    let params = Params::default().pointer(data);
    let error = device.launch(&module, "bug", [1, 1, 1], [32, 1, 1], 0, params.bytes()).unwrap_err();
    assert!(error.to_string().contains("read-only"), "{error}");
}

#[test]
fn traps_and_endless_loops() {
    let (found, _) = fault("setp.eq.u32 %p0, %r0, 9;\n@%p0 trap; // bug");
    caught(&found, 0, 9, &FaultKind::Trap);
    let options = Options { instruction_limit: 1000, host_threads: 1, ..Options::default() };
    let (found, _) = fault_with(options, "forever:\nbra forever; // bug");
    assert_eq!(found.kind, FaultKind::TooLong { limit: 1000 });
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
