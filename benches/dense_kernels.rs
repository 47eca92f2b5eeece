//! The dense CUDA kernels in the shapes of a layer of Llama 2 7B with 512 tokens, attention with 4 of its 32 heads: what
//! each is made of and what it executes, as vgpu counts it, with the time that vgpu's model gives it.
//!
//! `tools/with-vgpu cargo bench --features cuda --bench dense_kernels` prints a table for an A100 and one for an H100;
//! a word behind `--` keeps only ops that contain it. On a GPU, `rosa-mini doctor --bench` times the same cases.
#![allow(missing_docs, unreachable_pub)]

use rosa_kernels::{
    backend::{Heads, cuda::Cuda},
    error::Result,
    selftest::{Layer, layer},
};
use serde_json::Value;
use std::{
    env, fs,
    path::Path,
    process::{Command, ExitCode},
};

/// Every head does the same, and a block reads the keys of one only.
const SLICE: Layer = Layer { heads: Heads { heads: 4, kv_heads: 4, head_dim: 128 }, ..Layer::LLAMA_7B };

/// The bench `kernels` counts these, at several densities.
const SPARSE: [&str; 5] = ["spmm_add", "spmm_t_add", "sddmm_add", "csr_add", "topk_mask"];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!(
                "{error}\nneeds vgpu: tools/with-vgpu cargo bench --features cuda --bench dense_kernels"
            );
            ExitCode::FAILURE
        }
    }
}

/// Launches depend on the device, so vgpu is asked as each in a process of its own.
fn run() -> Result<()> {
    let cuda = Cuda::new(0)?;
    if !cuda.properties().name.starts_with("vgpu") {
        println!("This counts on vgpu; rosa-mini doctor --bench times a GPU.");
        return Ok(());
    }
    if let (Some(log), Ok(device)) = (env::var_os("VGPU_LOG"), env::var("VGPU_DEVICE")) {
        return table(&cuda, &device, Path::new(&log));
    }
    let dir = tempfile::tempdir().expect("a folder for the log");
    // An H100 by its compute capability too: it has products of its own. Any other number leaves the PTX that all run.
    for (device, capability) in [("a100", "990"), ("h100", "90")] {
        let mut child = Command::new(env::current_exe().expect("this program"));
        child
            .args(env::args_os().skip(1))
            .env("VGPU_DEVICE", device)
            .env("VGPU_CAPABILITY", capability)
            .env("VGPU_LOG", dir.path().join(device));
        assert!(child.status().expect("this program runs again").success(), "the table of {device} failed");
    }
    Ok(())
}

/// Prints a line for each launch of each op; an op whose result is wrong ends the program.
fn table(cuda: &Cuda, device: &str, log: &Path) -> Result<()> {
    let wanted: Vec<String> = env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    println!("\nOn {}\n", cuda.properties().name);
    println!(
        "| op | kernel | registers | shared KiB | occupancy % | Msectors | asked / ideal | conflict factor | µs | bound by |"
    );
    println!("|{}", " --- |".repeat(10));
    let mut failure = None;
    layer(cuda, SLICE, &mut |op, case| {
        if SPARSE.contains(&op) || !(wanted.is_empty() || wanted.iter().any(|word| op.contains(word))) {
            return;
        }
        let before = fs::read_to_string(log).unwrap_or_default().len();
        let proven = case.and_then(|mut case| case.prove().map(|verdict| (verdict, case.shape)));
        let (verdict, shape) = match proven {
            Ok(proven) => proven,
            Err(error) => {
                failure.get_or_insert(error);
                return;
            }
        };
        assert!(verdict.holds(), "{op}, {shape}: an error of {} bounds", verdict.worst);
        for line in fs::read_to_string(log).unwrap_or_default()[before..].lines() {
            println!(
                "| `{op}`, {shape} {}",
                row(&serde_json::from_str(line).expect("vgpu writes JSON"), device)
            );
        }
    });
    failure.map_or(Ok(()), Err)
}

/// A launch, from its kernel on.
fn row(launch: &Value, device: &str) -> String {
    let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
    let count = |name: &str| number(&launch["counters"][name]);
    let gpu = &launch["gpus"][device];
    let (asked, ideal) = (count("sectors_read") + count("sectors_written"), count("sectors_ideal"));
    let (passes, conflicts) = (count("shared_wavefronts"), count("bank_conflicts"));
    let factor =
        if passes == 0.0 { "–".to_owned() } else { format!("{:.2}", passes / (passes - conflicts)) };
    format!(
        "| `{}` | {} | {:.1} | {:.0} | {:.3} | {:.2} | {factor} | {:.1} | {} |",
        launch["kernel"].as_str().unwrap_or("?"),
        gpu["registers"],
        (number(&launch["static_shared"]) + number(&launch["dynamic_shared"])) / 1024.0,
        100.0 * number(&gpu["occupancy"]),
        asked / 1e6,
        asked / ideal,
        1e6 * number(&gpu["seconds"]),
        gpu["bound"].as_str().unwrap_or("?")
    )
}
