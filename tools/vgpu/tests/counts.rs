//! Counters of kernels small enough to count by hand.

use crate::support::{Params, kernel, launch, load, upload};
use vgpu::{Class, Counters, Device};

/// The counters of `body` on one warp.
fn counters(body: &str) -> Counters {
    let mut device = Device::new();
    let module = load(&mut device, &kernel(body)).unwrap_or_else(|error| panic!("{error}"));
    let data = upload(&mut device, &[0; 128]);
    launch(&device, &module, "test", [1, 1, 1], [32, 1, 1], &Params::default().pointer(data))
}

#[test]
fn instructions_by_class() {
    let base = counters("");
    let with =
        counters("add.f32 %r1, %in0, %in1;\nsetp.lt.u32 %p1, %r0, 8;\n@%p1 mul.lo.u32 %r2, %in0, %in1;");
    assert_eq!(with.warps(), base.warps() + 3);
    assert_eq!(with.threads(), base.threads() + 32 + 32 + 8);
    assert_eq!(with.warp_instructions[Class::Float as usize], 1);
    assert_eq!(
        with.thread_instructions[Class::Integer as usize],
        base.thread_instructions[Class::Integer as usize] + 8
    );
    assert!(with.to_string().starts_with("warp instructions"));
}

#[test]
fn sectors() {
    // 32 lanes × 16 bytes, in and out: 16 sectors each.
    let base = counters("");
    assert_eq!((base.sectors_read, base.sectors_written, base.sectors_ideal), (16, 16, 32));
    let extra = |body: &str| {
        let with = counters(body);
        (with.sectors_read - 16, with.sectors_ideal - 32)
    };
    // The same address in every lane; a sector per lane pair; sectors that were read before are not ideal again.
    assert_eq!(extra("ld.param.u64 %d1, [out];\nld.global.b32 %r1, [%d1];"), (1, 0));
    assert_eq!(extra("ld.global.b32 %r1, [%base];"), (16, 0));
}

#[test]
fn bank_conflicts() {
    // Lane i reads word `stride · i`.
    let of = |stride: u32| {
        let with = counters(&format!(
            ".shared .align 16 .b8 tile[4096];\nmul.lo.u32 %r1, %r0, {};\nmov.u32 %r2, tile;\n\
             add.s32 %r1, %r1, %r2;\nst.shared.u32 [%r1], %r0;",
            4 * stride
        ));
        (with.shared_wavefronts, with.bank_conflicts)
    };
    assert_eq!(of(1), (1, 0));
    assert_eq!(of(2), (2, 1));
    assert_eq!(of(32), (32, 31));
    assert_eq!(of(31), (1, 0));
    // 16 bytes per lane take four passes, and no more when they are consecutive.
    let wide = counters(
        ".shared .align 16 .b8 tile[512];\nshl.b32 %r1, %r0, 4;\nmov.u32 %r2, tile;\nadd.s32 %r1, %r1, %r2;\n\
         st.shared.v4.b32 [%r1], {%in0, %in1, %in2, %in3};",
    );
    assert_eq!((wide.shared_wavefronts, wide.bank_conflicts), (4, 0));
}

/// `body` after %r1 has become the address of 16-byte piece `%r0` of a tile of 8 KiB, which is written; only what `body`
/// adds.
fn beyond_tile(body: &str) -> Counters {
    let tile = ".shared .align 16 .b8 tile[8192];\nmov.u32 %r1, tile;\nshl.b32 %r2, %r0, 4;\nadd.s32 %r1, %r1, %r2;\n\
                mov.u32 %r3, 0;\nmov.u32 %r4, %r1;\n\
                fill: st.shared.v4.b32 [%r4], {%in0, %in1, %in2, %in3};\nadd.s32 %r4, %r4, 512;\nadd.s32 %r3, %r3, 1;\n\
                setp.lt.u32 %p1, %r3, 16;\n@%p1 bra fill;\nbar.sync 0;\nmov.u32 %r2, tile;\n";
    let base = counters(tile);
    let mut with = counters(&format!("{tile}{body}"));
    with.shared_wavefronts -= base.shared_wavefronts;
    with.bank_conflicts -= base.bank_conflicts;
    with.sectors_read -= base.sectors_read;
    with.sectors_written -= base.sectors_written;
    with.sectors_ideal -= base.sectors_ideal;
    with
}

/// Wavefronts, and how many of them are conflicts.
fn banks(body: &str) -> (u64, u64) {
    let counted = beyond_tile(body);
    (counted.shared_wavefronts, counted.bank_conflicts)
}

/// Rows of 16 bytes, `pitch` bytes from one lane to the next.
fn rows(pitch: u32, instruction: &str) -> String {
    format!("mul.lo.u32 %r5, %r0, {pitch};\nadd.s32 %r5, %r5, %r2;\n{instruction}")
}

#[test]
fn wide_shared_accesses() {
    // 8 bytes per lane: two phases of 16 lanes, which 32 banks hold; at a pitch of 16 bytes two lanes meet in each bank.
    let double = "ld.shared.v2.b32 {%r6, %r7}, [%r5];";
    assert_eq!(banks(&rows(8, double)), (2, 0));
    assert_eq!(banks(&rows(16, double)), (4, 2));
    assert_eq!(banks(&rows(8, "ld.shared.b64 %d1, [%r5];")), (2, 0));
    // 16 bytes per lane: four phases of 8 lanes; at a pitch of 128 bytes all 8 meet, at 144 none do.
    let quad = "ld.shared.v4.b32 {%r6, %r7, %r8, %r9}, [%r5];";
    assert_eq!(banks(&rows(16, quad)), (4, 0));
    assert_eq!(banks(&rows(128, quad)), (32, 28));
    assert_eq!(banks(&rows(144, quad)), (4, 0));
    assert_eq!(banks(&rows(0, quad)), (4, 0));
    // Phases without a lane take no pass.
    assert_eq!(
        banks("setp.lt.u32 %p2, %r0, 8;\n@%p2 st.shared.v4.b32 [%r1], {%in0, %in1, %in2, %in3};"),
        (1, 0)
    );
    // Bytes of one word are one word.
    assert_eq!(banks(&rows(1, "ld.shared.u8 %h1, [%r5];")), (1, 0));
}

#[test]
fn matrix_loads() {
    // A phase per matrix: eight rows of 16 bytes.
    let load = |shape: &str, names: &str| {
        format!("ldmatrix.sync.aligned.m8n8.{shape}.shared.b16 {{{names}}}, [%r5];")
    };
    for pitch in [16, 80, 144] {
        assert_eq!(banks(&rows(pitch, &load("x1", "%r6"))), (1, 0));
        assert_eq!(banks(&rows(pitch, &load("x2.trans", "%r6, %r7"))), (2, 0));
        assert_eq!(banks(&rows(pitch, &load("x4", "%r6, %r7, %r8, %r9"))), (4, 0));
    }
    // Rows of 128 bytes: all eight in the same four banks. Of 64 bytes: four of them.
    assert_eq!(banks(&rows(128, &load("x4", "%r6, %r7, %r8, %r9"))), (32, 28));
    assert_eq!(banks(&rows(64, &load("x2", "%r6, %r7"))), (8, 6));
}

#[test]
fn asynchronous_copies() {
    // 16 bytes per lane: 512 bytes are 16 sectors and four passes; the least is nothing more, as they were read before.
    let copy = "cp.async.cg.shared.global [%r1], [%base], 16;\ncp.async.wait_all;";
    let counted = beyond_tile(copy);
    assert_eq!((counted.sectors_read, counted.sectors_ideal), (16, 0));
    assert_eq!((counted.shared_wavefronts, counted.bank_conflicts), (4, 0));
    // Of every 16 bytes 4: all sectors, and four lanes meet in each of eight banks.
    let counted = beyond_tile("cp.async.ca.shared.global [%r1], [%base], 4;\ncp.async.wait_all;");
    assert_eq!((counted.sectors_read, counted.shared_wavefronts, counted.bank_conflicts), (16, 4, 3));
    // Rows of 128 bytes in shared memory: all eight lanes of a phase in the same banks.
    let counted =
        beyond_tile(&rows(128, "cp.async.cg.shared.global [%r5], [%base], 16;\ncp.async.wait_all;"));
    assert_eq!((counted.shared_wavefronts, counted.bank_conflicts), (32, 28));
    // Copies of zeros read nothing.
    let counted = beyond_tile(
        "mov.u32 %r6, 0;\ncp.async.cg.shared.global [%r1], [%base], 16, %r6;\ncp.async.wait_all;",
    );
    assert_eq!((counted.sectors_read, counted.shared_wavefronts), (0, 4));
}

#[test]
fn atomics() {
    // In global memory each lane's word is 16 bytes from the next: two lanes per sector, which is written.
    let counted = beyond_tile("red.global.add.u32 [%base], 1;");
    assert_eq!((counted.sectors_read, counted.sectors_written, counted.shared_wavefronts), (0, 16, 0));
    // In shared memory lanes that hit one word take their turns, as those that hit one bank do.
    assert_eq!(banks(&rows(4, "red.shared.add.u32 [%r5], 1;")), (1, 0));
    assert_eq!(banks(&rows(128, "red.shared.add.u32 [%r5], 1;")), (32, 31));
    assert_eq!(banks(&rows(0, "red.shared.add.u32 [%r5], 1;")), (32, 31));
    // Four lanes per word, eight words.
    assert_eq!(
        banks(
            "shr.u32 %r5, %r0, 2;\nshl.b32 %r5, %r5, 2;\nadd.s32 %r5, %r5, %r2;\nred.shared.add.u32 [%r5], 1;"
        ),
        (4, 3)
    );
}

#[test]
fn whole_matrices() {
    // 16 rows of 32 bytes: 512 bytes at once are 16 sectors, or four passes; at 128 bytes from row to row the same eight
    // words of the banks are wanted 16 times.
    let load = |space: &str, base: &str, stride: u32| {
        format!(
            "ld.param.u64 %d1, [out];\n.reg .b32 %f<8>;\nwmma.load.a.sync.aligned.row.m16n16k16.{space}.f16 \
             {{%f0, %f1, %f2, %f3, %f4, %f5, %f6, %f7}}, [{base}], {stride};"
        )
    };
    let counted = beyond_tile(&load("global", "%d1", 16));
    assert_eq!((counted.sectors_read, counted.sectors_ideal), (16, 0));
    assert_eq!(banks(&load("shared", "%r2", 16)), (4, 0));
    assert_eq!(banks(&load("shared", "%r2", 64)), (16, 12));
}
