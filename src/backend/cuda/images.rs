//! What nvcc made of `cuda/*.cu`, embedded by the build script.

/// A kernel file: machine code per target, and PTX for all others.
pub(super) struct File {
    /// The name of the `.cu` file, without its ending.
    pub(super) name: &'static str,
    /// PTX, ended by a zero byte.
    pub(super) ptx: &'static [u8],
    /// A cubin per target.
    pub(super) cubins: &'static [(u32, &'static [u8])],
}

/// What the assembler reported of one kernel on one target.
#[derive(Clone, Copy, Debug)]
pub struct Resources {
    /// The kernel.
    pub kernel: &'static str,
    /// The target's compute capability, as 80.
    pub target: u32,
    /// Registers a thread.
    pub registers: u32,
    /// Bytes of static shared memory a block.
    pub shared: u32,
    /// Bytes stored because registers ran out.
    pub spill_stores: u32,
    /// Bytes loaded because registers ran out.
    pub spill_loads: u32,
}

include!(concat!(env!("OUT_DIR"), "/images.rs"));

impl File {
    /// The machine code that runs on `capability`: that of the same major and the highest minor that is not above it.
    pub(super) fn cubin(&self, capability: (u32, u32)) -> Option<&'static [u8]> {
        let fits = |target: u32| target / 10 == capability.0 && target % 10 <= capability.1;
        let cubins = self.cubins.iter().filter(|(target, _)| fits(*target));
        cubins.max_by_key(|(target, _)| target).map(|&(_, cubin)| cubin)
    }
}

/// The machine code of every kernel file: file, target and cubin.
pub fn cubins() -> impl Iterator<Item = (&'static str, u32, &'static [u8])> {
    FILES.iter().flat_map(|file| file.cubins.iter().map(|&(target, cubin)| (file.name, target, cubin)))
}
