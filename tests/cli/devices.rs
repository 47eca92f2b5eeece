//! Machines without a driver, without a device, with too old ones: one clear sentence each, and the CPU goes on. vgpu
//! stands in for them; where there is a GPU, it cannot be made any of these.

use super::{Workspace, train};
use crate::support::cuda;

/// Runs `--device cuda` where the driver's settings are `variables`: it fails with a sentence that holds `words`;
/// `doctor` says the same and succeeds; and the CPU trains.
fn assert_says(variables: &[(&str, &str)], words: &[&str]) {
    if !cuda().properties().name.starts_with("vgpu") {
        println!("not run: needs tools/with-vgpu");
        return;
    }
    let w = Workspace::new();
    let command = |args: &[&str]| {
        let mut command = w.command(args);
        command.envs(variables.iter().copied());
        command.output().expect("the binary")
    };
    super::assert_fails(&command(&train("--device cuda")), 1, words);
    let doctor = command(&["doctor"]);
    let text = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(doctor.status.success() && words.iter().all(|word| text.contains(word)), "{text}");
    assert!(command(&train("--schedule wl0 --steps 2")).status.success(), "the CPU does not train");
}

#[test]
fn no_driver() {
    assert_says(&[("LD_LIBRARY_PATH", "")], &["no CUDA driver", "use the CPU"]);
}

#[test]
fn a_driver_without_a_device() {
    assert_says(&[("VGPU_CAPABILITY", "0")], &["no CUDA device 0: the driver finds 0", "use the CPU"]);
}

#[test]
fn an_old_driver() {
    let words = ["the CUDA driver supports CUDA 11.8", "need", "update the driver", "use the CPU"];
    assert_says(&[("VGPU_DRIVER", "11080")], &words);
}

#[test]
fn an_old_device() {
    assert_says(&[("VGPU_CAPABILITY", "75")], &["compute capability 7.5", "8.0", "use the CPU"]);
}

#[test]
fn a_device_that_computes() {
    let w = Workspace::new();
    assert!(w.run(&["doctor"]).contains("gpu 0   "));
    w.run(&train("--device cuda --schedule wl0 --steps 2 --batch 2"));
}
