//! The kernel of AMX: matrix instructions on tiles of 16 rows of 64 bytes. Stable Rust names neither, so they are
//! written in assembly.

use super::{
    super::strided::ViewMut,
    panels::{PANEL, ROUNDED, SPLIT, Tile},
};
use crate::backend::Write;
use std::{
    arch::{asm, x86_64::*},
    marker::PhantomData,
};

/// The proof that this machine has AMX with bf16 and that the system lets this process use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Amx(());

impl Amx {
    /// Asks the CPU, then the system.
    pub(super) fn detect() -> Option<Self> {
        // CPUID.7.0:EDX bit 22 is AMX-BF16, bit 24 AMX-TILE.
        const NEEDED: u32 = 1 << 22 | 1 << 24;
        let multiplies = __cpuid_count(0, 0).eax >= 7 && __cpuid_count(7, 0).edx & NEEDED == NEEDED;
        (multiplies && permitted()).then_some(Self(()))
    }

    /// Shapes this thread's tiles until the session is dropped.
    pub(super) fn start(self) -> Session {
        let config = TileConfig {
            palette: 1,
            start_row: 0,
            reserved: [0; 14],
            row_bytes: std::array::from_fn(|tile| if tile < 8 { 64 } else { 0 }),
            rows: std::array::from_fn(|tile| if tile < 8 { 16 } else { 0 }),
        };
        // SAFETY: `self` proves that the instruction exists and is permitted; it reads the 64 bytes of `config`,
        // which describe eight tiles of the largest size, and touches only tiles, which no compiled code holds.
        unsafe {
            asm!("ldtilecfg [{}]", in(reg) &raw const config, options(nostack, preserves_flags, readonly))
        };
        Session { on_this_thread: PhantomData }
    }
}

/// What `ldtilecfg` reads.
#[repr(C, align(64))]
struct TileConfig {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

/// Linux saves the 8 KiB of tiles only for processes that asked for it.
#[cfg(target_os = "linux")]
fn permitted() -> bool {
    const ARCH_PRCTL: isize = 158;
    const REQUEST_STATE: usize = 0x1023;
    const TILE_DATA: usize = 18;
    let result: isize;
    // SAFETY: the call changes what the system saves of this process, and no memory; the kernel overwrites the
    // registers named.
    unsafe {
        asm!("syscall", inlateout("rax") ARCH_PRCTL => result, in("rdi") REQUEST_STATE, in("rsi") TILE_DATA,
            out("rcx") _, out("r11") _, options(nostack));
    }
    result == 0
}

#[cfg(not(target_os = "linux"))]
fn permitted() -> bool {
    false
}

/// Tiles shaped for [`Session::multiply`], on the thread that shaped them.
pub(super) struct Session {
    on_this_thread: PhantomData<*const ()>,
}

/// The body of a kernel: what a step of 32 depths does with `$tiles` tiles of each panel, between the sums' arrival in
/// tmm0 to tmm3, quarters of the output by rows, and their way to memory.
macro_rules! product_of_panels {
    ($left:ident, $right:ident, $write:ident, $c:ident, $tiles:literal, $($step:literal),+ $(,)?) => {{
        assert!(
            !$left.is_empty() && $left.len() == $right.len() && $left.len().is_multiple_of($tiles),
            "panels of equal depth"
        );
        assert_eq!(($c.rows(), $c.cols()), (PANEL, PANEL), "a product of two panels");
        let (c, stride) = $c.into_raw();
        let from = if $write == Write::Add { c.cast_const() } else { std::ptr::null() };
        // SAFETY: the tiles are shaped while self lives; each step reads the tiles of 1024 bytes of a step of each panel,
        // and the assertion proves that there are as many; c is borrowed by us alone, and its four tiles are two times 16
        // rows of two times 16 columns.
        unsafe {
            asm!(
                "test {from}, {from}",
                "jnz 2f",
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                "jmp 3f",
                "2:",
                "tileloadd tmm0, [{from} + {stride}]",
                "tileloadd tmm1, [{from} + {stride} + 64]",
                "lea {from}, [{from} + 8 * {stride}]",
                "lea {from}, [{from} + 8 * {stride}]",
                "tileloadd tmm2, [{from} + {stride}]",
                "tileloadd tmm3, [{from} + {stride} + 64]",
                "3:",
                $($step,)+
                // Meanwhile the lines that the sums go to arrive, those of two rows a step.
                "prefetchw [{ahead}]",
                "prefetchw [{ahead} + 64]",
                "prefetchw [{ahead} + {stride}]",
                "prefetchw [{ahead} + {stride} + 64]",
                "lea {ahead}, [{ahead} + 2 * {stride}]",
                "add {left}, {step}",
                "add {right}, {step}",
                "dec {steps}",
                "jnz 3b",
                "tilestored [{c} + {stride}], tmm0",
                "tilestored [{c} + {stride} + 64], tmm1",
                "tilestored [{below} + {stride}], tmm2",
                "tilestored [{below} + {stride} + 64], tmm3",
                from = inout(reg) from => _,
                left = inout(reg) $left.as_ptr() => _,
                right = inout(reg) $right.as_ptr() => _,
                ahead = inout(reg) c => _,
                steps = inout(reg) $left.len() / $tiles => _,
                c = in(reg) c,
                below = in(reg) c.wrapping_add(16 * stride),
                stride = in(reg) 4 * stride,
                tile = in(reg) 64_usize,
                step = const 1024 * $tiles,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
    }};
}

impl Session {
    /// `c ← [c +] left · right`, for c `[32, 32]` and operands of `P` parts, rounded or split: a step of 32 depths at a time;
    /// within a step, the sum over the even depths and that over the odd ones join at its end.
    #[inline]
    pub(super) fn multiply<const P: usize>(
        &self,
        left: &[Tile],
        right: &[Tile],
        write: Write,
        c: ViewMut<'_>,
    ) {
        match P {
            ROUNDED => self.multiply_rounded(left, right, write, c),
            SPLIT => self.multiply_split(left, right, write, c),
            _ => unreachable!("tiles multiply numbers of bf16"),
        }
    }

    /// Operands of one part.
    #[inline]
    fn multiply_rounded(&self, left: &[Tile], right: &[Tile], write: Write, c: ViewMut<'_>) {
        product_of_panels!(
            left,
            right,
            write,
            c,
            2,
            // A load stands between the products, so that no product waits for two. Meanwhile the lines of the right panel's
            // next step come from the second-level cache, or those of the next panel, which follows.
            "tileloadd tmm4, [{left} + {tile}]",
            "tileloadd tmm6, [{right} + {tile}]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            ".irp at,0,64,128,192,256,320,384,448\nprefetcht0 [{right} + 2048 + \\at]\n.endr",
            "tileloadd tmm7, [{right} + {tile} + 1024]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            ".irp at,0,64,128,192,256,320,384,448\nprefetcht0 [{right} + 2560 + \\at]\n.endr",
            "tileloadd tmm5, [{left} + {tile} + 1024]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            ".irp at,0,64,128,192,256,320,384,448\nprefetcht0 [{right} + 3072 + \\at]\n.endr",
            "tdpbf16ps tmm3, tmm5, tmm7",
            ".irp at,0,64,128,192,256,320,384,448\nprefetcht0 [{right} + 3584 + \\at]\n.endr",
        );
    }

    /// Operands of three parts. Of the nine products of a part with a part, the three smallest are left out: with parts of
    /// 2⁻⁹ and 2⁻¹⁸ of a number at most, they are 2⁻²⁶ of the product, a quarter of its rounding to f32.
    #[inline]
    fn multiply_split(&self, left: &[Tile], right: &[Tile], write: Write, c: ViewMut<'_>) {
        product_of_panels!(
            left,
            right,
            write,
            c,
            6,
            // A tile is loaded where its register was read last, while the other products run.
            // First · first.
            "tileloadd tmm4, [{left} + {tile}]",
            "tileloadd tmm6, [{right} + {tile}]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm5, [{left} + {tile} + 1024]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tileloadd tmm7, [{right} + {tile} + 1024]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm6, [{right} + {tile} + 2048]",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "tileloadd tmm7, [{right} + {tile} + 3072]",
            // First · second.
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm4, [{left} + {tile} + 2048]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "tileloadd tmm5, [{left} + {tile} + 3072]",
            // Second · second.
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tileloadd tmm6, [{right} + {tile}]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "tileloadd tmm7, [{right} + {tile} + 1024]",
            // Second · first.
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm4, [{left} + {tile} + 4096]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "tileloadd tmm5, [{left} + {tile} + 5120]",
            // Third · first.
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tileloadd tmm6, [{right} + {tile} + 4096]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm4, [{left} + {tile}]",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "tileloadd tmm5, [{left} + {tile} + 1024]",
            "tileloadd tmm7, [{right} + {tile} + 5120]",
            // First · third.
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm3, tmm5, tmm7",
        );
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // SAFETY: a session exists only where the instruction does; tiles that nobody reads any more are emptied, so
        // that the system need not save them.
        unsafe { asm!("tilerelease", options(nostack, nomem, preserves_flags)) };
    }
}
