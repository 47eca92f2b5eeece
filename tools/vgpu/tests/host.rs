//! What the host does with device memory.

use crate::support::{Params, kernel, load, upload};
use vgpu::Device;

#[test]
fn host_copies_at_every_offset() {
    let bytes: Vec<_> = (0..64_u8).collect();
    let mut device = Device::new();
    for from in 0..9 {
        for to in 0..9 {
            for length in [0, 1, 7, 8, 9, 23] {
                let (a, b) = (device.alloc(64), device.alloc(64));
                device.write(a + from, &bytes[..length]).expect("it fits");
                device.copy(a + from, b + to, length).expect("it fits");
                let mut want = vec![0xff; 64];
                want[to as usize..][..length].copy_from_slice(&bytes[..length]);
                assert_eq!(device.read(b, 64).expect("it fits"), want);
                assert_eq!(device.read(b + to, length).expect("it fits"), bytes[..length]);
            }
        }
    }
    let a = device.alloc(10);
    device.fill(a, &[1, 2], 4).expect("it fits");
    assert_eq!(device.read(a, 10).expect("it fits"), [1, 2, 1, 2, 1, 2, 1, 2, 0xff, 0xff]);
    assert!(device.fill(a, &[1, 2], 6).is_err());
    assert!(device.copy(a, a + 6, 5).is_err());
}

#[test]
fn copies_keep_what_was_never_written() {
    let mut device = Device::new();
    let module = load(&mut device, &kernel("")).unwrap_or_else(|error| panic!("{error}"));
    let (source, target) = (device.alloc(16), upload(&mut device, &[0; 4]));
    device.write(source, &[1; 12]).expect("it fits");
    device.copy(source, target, 16).expect("both have 16 bytes");
    let params = Params::default().pointer(target);
    let error = device
        .launch(&module, "test", [1, 1, 1], [1, 1, 1], 0, params.bytes())
        .expect_err("4 bytes are missing");
    assert!(
        error.to_string().contains(&format!("4 bytes at global address {:#x} that were never", target + 12)),
        "{error}"
    );
}
