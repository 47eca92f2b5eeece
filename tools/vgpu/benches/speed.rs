//! How many thread instructions a second one core interprets.

use std::time::Instant;
use vgpu::{Counters, Device, Module, Options};

/// Launches of a sample: the clock of a thread ticks every few milliseconds.
const LAUNCHES: u32 = 20;

/// Seconds that this thread has computed, or, where Linux is not there to ask, that have passed: other processes on the
/// machine must not count.
fn seconds(start: Instant) -> f64 {
    let busy = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = busy.and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
    nanoseconds.map_or_else(|| start.elapsed().as_secs_f64(), |ns| ns * 1e-9)
}

/// Runs a kernel with so many bytes of dynamic shared memory on three pointers to `words` words each and two numbers;
/// prints its speed.
fn measure(
    name: &str,
    ptx: &str,
    grid: [u32; 3],
    [threads, shared]: [u32; 2],
    words: usize,
    sizes: [u32; 2],
) {
    let (block, shared) = ([threads, 1, 1], shared as usize);
    let mut device = Device::with(Options { host_threads: 1, ..Options::default() });
    let module = Module::parse(ptx).and_then(|module| device.load(&module)).expect("nvcc wrote it");
    let mut params = Vec::new();
    for _ in 0..3 {
        let address = device.alloc(4 * words);
        device.write(address, &vec![0; 4 * words]).expect("the allocation is that long");
        params.extend(address.to_le_bytes());
    }
    sizes.iter().for_each(|size| params.extend(size.to_le_bytes()));
    let clock = Instant::now();
    let run = || -> (f64, Counters) {
        let launch =
            || device.launch(&module, name, grid, block, shared, &params).expect("the kernel is right");
        let counters = launch();
        let start = seconds(clock);
        for _ in 0..LAUNCHES {
            launch();
        }
        ((seconds(clock) - start) / f64::from(LAUNCHES), counters)
    };
    let (best, counters) = (0..5).map(|_| run()).min_by(|a, b| a.0.total_cmp(&b.0)).expect("five samples");
    let rate = counters.threads() as f64 / best / 1e6;
    println!("{name}: {rate:.0} million thread instructions a second, {:.2} ms", 1e3 * best);
}

fn main() {
    let n = 256;
    let words = (n * n) as usize;
    let tiles = [n / 64, n / 64, 1];
    measure("matmul", include_str!("../tests/ptx/matmul.ptx"), tiles, [256, 0], words, [n, n]);
    measure("matmul_bf16", include_str!("../tests/ptx/matmul_bf16.ptx"), tiles, [128, 0], words, [n, n]);
    let tiles = [n / 128, n / 64, 1];
    measure("wgmma_bf16", include_str!("../tests/ptx/wgmma.ptx"), tiles, [128, 98_304], words, [n, n]);
}
