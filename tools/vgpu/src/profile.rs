//! The GPUs that the driver can pass for, and for which times are modelled.

/// A GPU in numbers.
#[derive(Debug, PartialEq)]
pub struct Profile {
    /// What `VGPU_DEVICE` calls it.
    pub key: &'static str,
    /// Its name as reports print it.
    pub name: &'static str,
    /// The target that nvcc compiles for it.
    pub target: &'static str,
    /// Streaming multiprocessors.
    pub multiprocessors: u32,
    /// Boost clock in Hz.
    pub clock: f64,
    /// Device memory in bytes.
    pub memory: usize,
    /// Clock of the memory in Hz, at two transfers a cycle.
    pub memory_clock: f64,
    /// Width of the memory bus in bits.
    pub memory_bus: u32,
    /// Bytes of the L2 cache.
    pub l2_bytes: u32,
    /// Bytes a second from memory.
    pub dram_rate: f64,
    /// Bytes a second from the L2 cache.
    pub l2_rate: f64,
    /// Dense bf16 operations a second on tensor cores that accumulate in f32; a multiply-add is two.
    pub tensor_rate: f64,
    /// Resident threads of a multiprocessor.
    pub threads: u32,
    /// Resident blocks of a multiprocessor.
    pub blocks: u32,
    /// Bytes of shared memory of a multiprocessor.
    pub shared: usize,
    /// … of which a block may have at most so many, if the kernel has opted in.
    pub shared_per_block: usize,
}

/// Threads of a warp.
pub const WARP: u32 = 32;
/// Threads of a block, at most.
pub const BLOCK: u32 = 1024;
/// 32-bit registers of a multiprocessor, all of which one block may have.
pub const REGISTERS: u32 = 65_536;
/// Shared memory of a block that has not opted in to more.
pub const SHARED_DEFAULT: usize = 48 << 10;
/// Shared memory of a multiprocessor that the system keeps for each block.
pub const SHARED_RESERVED: usize = 1 << 10;
/// Schedulers of a multiprocessor; each issues one warp instruction a cycle.
const SCHEDULERS: u32 = 4;

/// NVIDIA A100 SXM, 40 GB.
///
/// Multiprocessors, clocks, bus, memory, cache, tensor rate: "NVIDIA A100 Tensor Core GPU Architecture", table "Comparison of
/// NVIDIA data center GPUs". Limits of a multiprocessor here and below: CUDA C++ Programming Guide, "Technical
/// specifications per compute capability", 8.0, 9.0 and 8.9. NVIDIA gives no rate for the L2 caches: these are round
/// numbers at what published micro-benchmarks measure.
pub static A100: Profile = Profile {
    key: "a100",
    name: "A100",
    target: "sm_80",
    multiprocessors: 108,
    clock: 1.41e9,
    memory: 40 << 30,
    memory_clock: 1.215e9,
    memory_bus: 5120,
    l2_bytes: 40 << 20,
    dram_rate: 1.555e12,
    l2_rate: 5e12,
    tensor_rate: 312e12,
    threads: 2048,
    blocks: 32,
    shared: 164 << 10,
    shared_per_block: 163 << 10,
};

/// NVIDIA H100 SXM, 80 GB: "NVIDIA H100 Tensor Core GPU Architecture". The clock is taken as 1.755 GHz, below the 1.98 GHz
/// that the card may boost to.
pub static H100: Profile = Profile {
    key: "h100",
    name: "H100",
    target: "sm_90",
    multiprocessors: 132,
    clock: 1.755e9,
    memory: 80 << 30,
    memory_clock: 2.619e9,
    memory_bus: 5120,
    l2_bytes: 50 << 20,
    dram_rate: 3.35e12,
    l2_rate: 5.5e12,
    tensor_rate: 990e12,
    threads: 2048,
    blocks: 32,
    shared: 228 << 10,
    shared_per_block: 227 << 10,
};

/// NVIDIA GeForce RTX 4090: "NVIDIA Ada GPU Architecture", appendix on the RTX 4090.
pub static RTX4090: Profile = Profile {
    key: "rtx4090",
    name: "RTX 4090",
    target: "sm_89",
    multiprocessors: 128,
    clock: 2.52e9,
    memory: 24 << 30,
    memory_clock: 10.501e9,
    memory_bus: 384,
    l2_bytes: 72 << 20,
    dram_rate: 1.008e12,
    l2_rate: 5e12,
    tensor_rate: 165e12,
    threads: 1536,
    blocks: 24,
    shared: 100 << 10,
    shared_per_block: 99 << 10,
};

impl Profile {
    /// Every profile.
    pub const ALL: [&'static Self; 3] = [&A100, &H100, &RTX4090];

    /// The profile that `VGPU_DEVICE` means.
    #[must_use]
    pub fn named(key: &str) -> Option<&'static Self> {
        Self::ALL.into_iter().find(|profile| profile.key == key)
    }

    /// Resident warps of a multiprocessor.
    #[must_use]
    pub fn warps(&self) -> u32 {
        self.threads / WARP
    }

    /// Warp instructions a second.
    #[must_use]
    pub fn issue_rate(&self) -> f64 {
        f64::from(self.multiprocessors * SCHEDULERS) * self.clock
    }

    /// Passes over the banks of shared memory a second.
    #[must_use]
    pub fn shared_rate(&self) -> f64 {
        f64::from(self.multiprocessors) * self.clock
    }
}
