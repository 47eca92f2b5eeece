//! Kernels as nvcc compiles them, against plain Rust; each on every device, with the same counters.

use crate::support::{Params, Random, devices, download, download_f32, launch, load, upload, upload_f32};
use vgpu::{Class, Counters};

/// The same counters from every device.
fn agree(counters: &[Counters]) {
    for other in &counters[1..] {
        assert_eq!(&counters[0], other, "counters depend on the order or the number of host threads");
    }
}

#[test]
fn vector_add() {
    let n = 1000;
    let (mut random, mut counts) = (Random::new(1), Vec::new());
    let a: Vec<_> = (0..n).map(|_| random.unit()).collect();
    let b: Vec<_> = (0..n).map(|_| random.unit()).collect();
    for mut device in devices() {
        let module = load(&mut device, include_str!("ptx/vector_add.ptx")).unwrap();
        let (pa, pb) = (upload_f32(&mut device, &a), upload_f32(&mut device, &b));
        let out = device.alloc(4 * n);
        let params = Params::default().pointer(pa).pointer(pb).pointer(out).word(n as u32);
        counts.push(launch(&device, &module, "vector_add", [8, 1, 1], [128, 1, 1], &params));
        let want: Vec<_> = a.iter().zip(&b).map(|(x, y)| x + y).collect();
        assert_eq!(download_f32(&device, out, n), want);
    }
    agree(&counts);
    // Every sector once, none asked for in vain.
    assert_eq!(counts[0].sectors_read, 2 * 125);
    assert_eq!(counts[0].sectors_written, 125);
    assert_eq!(counts[0].sectors_ideal, 375);
}

#[test]
fn reduce() {
    let n = 1000;
    let (mut random, mut counts) = (Random::new(2), Vec::new());
    // Small integers: every order of summation is exact.
    let x: Vec<_> = (0..n).map(|_| (random.word() % 64) as f32 - 32.0).collect();
    for mut device in devices() {
        let module = load(&mut device, include_str!("ptx/reduce.ptx")).unwrap();
        let px = upload_f32(&mut device, &x);
        let (sums, positive) = (device.alloc(16), device.alloc(16));
        let params = Params::default().pointer(px).pointer(sums).pointer(positive).word(n as u32);
        counts.push(launch(&device, &module, "reduce", [4, 1, 1], [256, 1, 1], &params));
        let blocks = || x.chunks(256);
        assert_eq!(download_f32(&device, sums, 4), blocks().map(|b| b.iter().sum()).collect::<Vec<f32>>());
        let count = |block: &[f32]| block.iter().filter(|&&x| x > 0.0).count() as u32;
        assert_eq!(download(&device, positive, 4), blocks().map(count).collect::<Vec<_>>());
    }
    agree(&counts);
}

#[test]
fn matmul_f32() {
    let (m, n, k) = (128, 64, 96);
    let (mut random, mut counts) = (Random::new(3), Vec::new());
    let a: Vec<_> = (0..m * k).map(|_| random.unit()).collect();
    let b: Vec<_> = (0..k * n).map(|_| random.unit()).collect();
    // The kernel's order of summation, so that not a bit may differ.
    let mut want = vec![0.0_f32; m * n];
    for (i, out) in want.iter_mut().enumerate() {
        *out = (0..k).fold(0.0, |sum, l| a[i / n * k + l].mul_add(b[l * n + i % n], sum));
    }
    for mut device in devices() {
        let module = load(&mut device, include_str!("ptx/matmul.ptx")).unwrap();
        let (pa, pb) = (upload_f32(&mut device, &a), upload_f32(&mut device, &b));
        let out = device.alloc(4 * m * n);
        let params = Params::default().pointer(pa).pointer(pb).pointer(out).word(n as u32).word(k as u32);
        counts.push(launch(&device, &module, "matmul", [1, 2, 1], [256, 1, 1], &params));
        assert_eq!(download_f32(&device, out, m * n), want);
    }
    agree(&counts);
    // One fma per thread and product: m·n·k of them in warps of 32, and nothing else in floating point.
    assert_eq!(counts[0].thread_instructions[Class::Float as usize], (m * n * k) as u64);
}

#[test]
fn matmul_bf16() {
    let (m, n, k) = (128, 192, 96);
    let (mut random, mut counts) = (Random::new(4), Vec::new());
    // Small integers are exact in bf16, and so are their sums in f32.
    let a: Vec<_> = (0..m * k).map(|_| (random.word() % 17) as f32 - 8.0).collect();
    let b: Vec<_> = (0..k * n).map(|_| (random.word() % 17) as f32 - 8.0).collect();
    let pack = |x: &[f32]| -> Vec<u32> {
        x.chunks(2).map(|p| p[0].to_bits() >> 16 | p[1].to_bits() & 0xffff_0000).collect()
    };
    let product = |i: usize| (0..k).map(|l| a[i / n * k + l] * b[l * n + i % n]).sum::<f32>();
    let want: Vec<_> = (0..m * n).map(product).collect();
    for mut device in devices() {
        let module = load(&mut device, include_str!("ptx/matmul_bf16.ptx")).unwrap();
        let (pa, pb) = (upload(&mut device, &pack(&a)), upload(&mut device, &pack(&b)));
        let out = device.alloc(4 * m * n);
        let params = Params::default().pointer(pa).pointer(pb).pointer(out).word(n as u32).word(k as u32);
        counts.push(launch(&device, &module, "matmul_bf16", [3, 2, 1], [128, 1, 1], &params));
        assert_eq!(download_f32(&device, out, m * n), want);
    }
    agree(&counts);
    assert_eq!(counts[0].tensor_operations, 2 * (m * n * k) as u64);
    // The tiles' padding keeps ldmatrix free of conflicts. What conflicts are the copies of A: four lanes fill a row of 64
    // bytes, the next four the one behind 80, which begins in the first row's banks again: one pass more for each of
    // 8 instructions of 4 phases per step, of 3 steps in 6 blocks.
    assert_eq!(counts[0].bank_conflicts, 8 * 4 * 3 * 6);
}

#[test]
fn wgmma_bf16() {
    let (m, n, k) = (128, 256, 320);
    let (mut random, mut counts) = (Random::new(7), Vec::new());
    let a: Vec<_> = (0..m * k).map(|_| (random.word() % 17) as f32 - 8.0).collect();
    let b: Vec<_> = (0..k * n).map(|_| (random.word() % 17) as f32 - 8.0).collect();
    let pack = |x: &[f32]| -> Vec<u32> {
        x.chunks(2).map(|p| p[0].to_bits() >> 16 | p[1].to_bits() & 0xffff_0000).collect()
    };
    let product = |i: usize| (0..k).map(|l| a[i / n * k + l] * b[l * n + i % n]).sum::<f32>();
    let want: Vec<_> = (0..m * n).map(product).collect();
    for mut device in devices() {
        let module = load(&mut device, include_str!("ptx/wgmma.ptx")).unwrap();
        let (pa, pb) = (upload(&mut device, &pack(&a)), upload(&mut device, &pack(&b)));
        let out = device.alloc(4 * m * n);
        let params = Params::default().pointer(pa).pointer(pb).pointer(out).word(n as u32).word(k as u32);
        let run = device.launch(&module, "wgmma_bf16", [2, 2, 1], [128, 1, 1], 4 * 24_576, params.bytes());
        counts.push(run.unwrap_or_else(|error| panic!("{error}")));
        assert_eq!(download_f32(&device, out, m * n), want);
    }
    agree(&counts);
    assert_eq!(counts[0].tensor_operations, 2 * (m * n * k) as u64);
    // Per step of 64 in each of four blocks 12 pieces of 16 bytes per thread, a pass for 8 threads; four products, which
    // read 16 · (64 + 128) elements at 64 a pass. The swizzle keeps both free of conflicts.
    assert_eq!(counts[0].shared_wavefronts, 4 * 5 * (12 * 128 / 8 + 4 * (16 * (64 + 128) / 64)));
    assert_eq!(counts[0].bank_conflicts, 0);
}

#[test]
fn histogram() {
    let n = 5000;
    let mut random = Random::new(5);
    let words: Vec<_> = (0..n / 4).map(|_| random.word() & 0x3f0f_ff7f).collect();
    let mut want = vec![0_u32; 256];
    words.iter().flat_map(|word| word.to_le_bytes()).for_each(|byte| want[usize::from(byte)] += 1);
    for mut device in devices() {
        let module = load(&mut device, include_str!("ptx/histogram.ptx")).unwrap();
        let x = upload(&mut device, &words);
        let bins = upload(&mut device, &[0; 256]);
        let params = Params::default().pointer(x).pointer(bins).word(n as u32);
        launch(&device, &module, "histogram", [3, 1, 1], [192, 1, 1], &params);
        assert_eq!(download(&device, bins, 256), want);
    }
}

#[test]
fn device_calls() {
    let n = 300_usize;
    let (mut random, mut counts) = (Random::new(6), Vec::new());
    let x: Vec<_> = (0..n).map(|_| 4.0 * random.unit()).collect();
    let twice = |a: f32, i: usize| a * [1.0, 2.0, 4.0, 8.0][i % 4];
    for mut device in devices() {
        let module = load(&mut device, include_str!("ptx/calls.ptx")).unwrap();
        let px = upload_f32(&mut device, &x);
        let py = device.alloc(4 * n);
        let params = Params::default().word(n as u32).word(3.0_f32.to_bits()).pointer(px).pointer(py);
        counts.push(launch(&device, &module, "call", [3, 1, 1], [128, 1, 1], &params));
        for (i, got) in download_f32(&device, py, n).into_iter().enumerate() {
            let y = x[(i + i * 5 % 8) % n];
            let want = match i % 3 {
                0 => twice(y, i) + twice(y * y, i + 1),
                1 => twice(y, i) / 3.0,
                _ => {
                    y.exp()
                        + y.sin()
                        + (y * y).ln_1p()
                        + y.abs().sqrt()
                        + y.tanh()
                        + 1.0 / (1.0 + y * y).sqrt()
                }
            };
            // The first two are products of powers of two, one sum and one quotient; libdevice's functions are good to
            // a few units in the last place of the largest of six terms, exp(4) < 64.
            let bound = if i % 3 == 2 { 64.0 * 16.0 * f32::EPSILON } else { want.abs() * f32::EPSILON };
            assert!((got - want).abs() <= bound, "thread {i}: {got}, not {want}");
        }
        let calls = module.global("calls").expect("the module has a variable calls");
        assert_eq!(download(&device, calls, 1), [n as u32]);
    }
    agree(&counts);
}
