//! Loops compiled for the vector instructions that the machine has.

use super::Cpu;

impl Cpu {
    /// Runs `kernel` as compiled for the widest vectors of this machine, fused multiply-add included.
    ///
    /// `kernel` and the functions with its loops must be `#[inline(always)]`: only what is inlined
    /// is compiled so. `FnMut` matters too: called as `FnOnce`, which is what pulp does with a
    /// closure, it would stand behind a shim that is not inlined, and a multiply-add in it
    /// would be a call of libm's.
    #[inline(always)]
    pub(super) fn vectorize<R>(&self, kernel: impl FnMut() -> R) -> R {
        struct Kernel<F>(F);
        impl<R, F: FnMut() -> R> pulp::WithSimd for Kernel<F> {
            type Output = R;
            #[inline(always)]
            fn with_simd<S: pulp::Simd>(mut self, _: S) -> R {
                (self.0)()
            }
        }
        self.arch.dispatch(Kernel(kernel))
    }
}
