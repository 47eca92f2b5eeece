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
