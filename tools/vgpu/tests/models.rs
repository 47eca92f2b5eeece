//! Occupancy and modelled times against cases worked out by hand.

use vgpu::Counters;
use vgpu::model::{Bound, Terms};
use vgpu::occupancy::{Occupancy, shared_for};
use vgpu::profile::{A100, H100, Profile, RTX4090};
use vgpu::resources::{ResourceReport, Resources};

fn blocks(profile: &Profile, registers: u32, threads: u32, shared: usize) -> u32 {
    let occupancy = Occupancy::new(profile, registers, threads, shared);
    assert_eq!(occupancy.warps, occupancy.blocks * threads.div_ceil(32));
    occupancy.blocks
}

#[test]
fn occupancy_is_limited_by_warps() {
    // 64 warps of room, 8 a block; 48 on the RTX 4090.
    assert_eq!(blocks(&A100, 32, 256, 0), 8);
    assert_eq!(blocks(&RTX4090, 32, 256, 0), 6);
    // 33 threads are two warps; 31 fit in the room of 63 of 64 warps with 3 warps each: 21.
    assert_eq!(blocks(&A100, 16, 33, 0), 32);
    assert_eq!(blocks(&A100, 16, 96, 0), 21);
}

#[test]
fn occupancy_is_limited_by_blocks() {
    assert_eq!(blocks(&A100, 16, 32, 0), 32);
    assert_eq!(blocks(&H100, 16, 32, 0), 32);
    assert_eq!(blocks(&RTX4090, 16, 32, 0), 24);
    assert_eq!(Occupancy::new(&A100, 16, 32, 0).fraction(), 0.5);
}

#[test]
fn occupancy_is_limited_by_registers() {
    // 64 registers are 2048 a warp: 32 warps, 4 blocks of 8. 65 become 72, 2304 a warp: 28 warps, 3 blocks.
    assert_eq!(blocks(&A100, 64, 256, 0), 4);
    assert_eq!(blocks(&A100, 65, 256, 0), 3);
    // 168 registers are 5376 a warp: 12 warps, one block of 256 threads, three of 128.
    assert_eq!(blocks(&A100, 168, 256, 0), 1);
    assert_eq!(blocks(&A100, 168, 128, 0), 3);
    // 255 become 256, 8192 a warp: 8 warps. A block of 512 threads does not fit.
    assert_eq!(blocks(&A100, 255, 256, 0), 1);
    assert_eq!(blocks(&A100, 255, 512, 0), 0);
    // 40 registers are 1280 a warp: 51 warps, of which whole fours count: 48, which is 16 blocks of 3 and not 17.
    assert_eq!(blocks(&A100, 40, 96, 0), 16);
}

#[test]
fn occupancy_is_limited_by_shared_memory() {
    // A block takes 1 KiB more than it asks for: 48 + 1 fits 3 times into 164, 4 times into 228, twice into 100.
    assert_eq!(blocks(&A100, 32, 128, 48 << 10), 3);
    assert_eq!(blocks(&H100, 32, 128, 48 << 10), 4);
    assert_eq!(blocks(&RTX4090, 32, 128, 48 << 10), 2);
    // The largest block fits once; a byte more is rounded up by 128 and does not.
    for profile in Profile::ALL {
        assert_eq!(blocks(profile, 32, 128, profile.shared_per_block), 1);
        assert_eq!(blocks(profile, 32, 128, profile.shared_per_block + 1), 0);
    }
    // 2 · (81 + 1) KiB are all of an A100's 164.
    assert_eq!(shared_for(&A100, 2), 81 << 10);
    assert_eq!((blocks(&A100, 32, 128, 81 << 10), blocks(&A100, 32, 128, (81 << 10) + 1)), (2, 1));
    assert_eq!(shared_for(&A100, 1), 163 << 10);
    assert_eq!(shared_for(&RTX4090, 200), 0);
}

/// A launch of which only one part has work.
fn only(bound: Bound) -> Counters {
    let mut counters = Counters::default();
    match bound {
        Bound::Dram => counters.sectors_ideal = 1_000_000,
        Bound::L2 => counters.sectors_written = 1_000_000,
        Bound::Issue => counters.warp_instructions = [100_000; 13],
        Bound::Tensor => counters.tensor_operations = 1_000_000_000,
        Bound::Shared => counters.shared_wavefronts = 1_000_000,
    }
    counters
}

#[test]
fn each_part_of_a_gpu() {
    // Microseconds on an A100, an H100, an RTX 4090.
    let cases = [
        // 32 MB from memory.
        (Bound::Dram, [32.0 / 1.555, 32.0 / 3.35, 32.0 / 1.008]),
        // 32 MB from the cache.
        (Bound::L2, [32.0 / 5.0, 32.0 / 5.5, 32.0 / 5.0]),
        // 1.3 million warp instructions, four a cycle on each multiprocessor.
        (Bound::Issue, [1.3 / 0.60912, 1.3 / 0.92664, 1.3 / 1.29024]),
        (Bound::Tensor, [1000.0 / 312.0, 1000.0 / 990.0, 1000.0 / 165.0]),
        // A million passes, one a cycle on each multiprocessor.
        (Bound::Shared, [1.0 / 0.15228, 1.0 / 0.23166, 1.0 / 0.32256]),
    ];
    for (bound, microseconds) in cases {
        for (profile, want) in Profile::ALL.into_iter().zip(microseconds) {
            let (seconds, binds) = Terms::new(profile, &only(bound)).largest();
            assert_eq!(binds, bound);
            assert!((1e6 * seconds / want - 1.0).abs() < 1e-12, "{bound:?} on {}: {seconds}", profile.name);
        }
    }
}

#[test]
fn the_busiest_part_binds() {
    let mut counters = only(Bound::Dram);
    counters.sectors_read = 3_000_000;
    counters.sectors_written = 500_000;
    // 32 MB from memory against 112 MB from the cache.
    assert_eq!(Terms::new(&A100, &counters).largest(), (112e6 / 5e12, Bound::L2));
    counters.sectors_read = 2_000_000;
    assert_eq!(Terms::new(&A100, &counters).largest(), (32e6 / 1.555e12, Bound::Dram));
    assert_eq!(Terms::new(&A100, &Counters::default()).largest(), (0.0, Bound::Dram));
}

#[test]
fn published_rates() {
    // What the manual of the profile and its other numbers imply must agree.
    for profile in Profile::ALL {
        let bus = 2.0 * profile.memory_clock * f64::from(profile.memory_bus) / 8.0;
        assert!((bus / profile.dram_rate - 1.0).abs() < 2e-3, "{}: {bus}", profile.name);
    }
}

#[test]
fn resources_in_comments() {
    let report = ResourceReport::parse(
        "// resources: a sm_80 registers=64 shared=1024 spill_stores=4 spill_loads=8\n\
         // resources: a sm_90 registers=60 shared=1000 spill_stores=0 spill_loads=0\n\
         // resources: b sm_90 registers=12 shared=0 spill_stores=0 spill_loads=0\n\
         // resources: c sm_80 registers=many\n// resources: \n// resources for d\n.version 8.0\n",
    );
    let a = Resources { registers: 64, shared: 1024, spill_stores: 4, spill_loads: 8 };
    assert_eq!(report.get("a", "sm_80"), Some(a));
    assert_eq!(report.get("a", "sm_89"), Some(a));
    assert_eq!(report.get("a", "sm_90").map(|resources| resources.registers), Some(60));
    assert_eq!(report.get("b", "sm_80"), None);
    assert_eq!(report.get("c", "sm_80"), None);
}
