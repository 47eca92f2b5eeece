//! `rosa-mini doctor`.

use super::print::putln;
use clap::Args;
use rosa_kernels::{backend::cpu::Cpu, error::Result};
use serde::Serialize;

/// Say what this machine and this binary offer: CPU, CUDA driver, GPUs.
#[derive(Args)]
pub(super) struct DoctorArgs {
    /// Print the result as JSON on stdout
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    version: &'static str,
    cpu: CpuReport,
    cuda: CudaReport,
}

#[derive(Serialize)]
struct CpuReport {
    threads: usize,
    vectors: &'static str,
}

#[derive(Serialize, Default)]
struct CudaReport {
    /// Whether this binary holds the kernels.
    built: bool,
    /// The release of nvcc that compiled them.
    #[serde(skip_serializing_if = "Option::is_none")]
    toolkit: Option<String>,
    /// Compute capabilities with machine code; PTX serves newer ones.
    targets: Vec<u32>,
    devices: Vec<DeviceReport>,
    /// Why there is no device.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

#[derive(Serialize)]
struct DeviceReport {
    name: String,
    capability: String,
    multiprocessors: u32,
    shared_memory_bytes: u32,
    memory_bytes: usize,
}

pub(super) fn run(args: &DoctorArgs) -> Result<()> {
    let cpu = Cpu::new(None)?;
    let report = Report {
        version: env!("CARGO_PKG_VERSION"),
        cpu: CpuReport { threads: cpu.threads(), vectors: cpu.vectors() },
        cuda: cuda(),
    };
    if args.json {
        return putln!("{}", serde_json::to_string_pretty(&report).expect("the report is plain data"));
    }
    putln!("rosa-mini {}", report.version)?;
    putln!("cpu     {} threads, {}", report.cpu.threads, report.cpu.vectors)?;
    let cuda = &report.cuda;
    if let Some(toolkit) = &cuda.toolkit {
        let targets: Vec<_> = cuda.targets.iter().map(u32::to_string).collect();
        putln!("kernels compiled by nvcc {toolkit} for {} and, as PTX, all newer", targets.join(", "))?;
    }
    for (number, device) in cuda.devices.iter().enumerate() {
        putln!(
            "gpu {number}   {}, compute capability {}, {} multiprocessors, {:.1} GiB, {} KiB of shared memory a block",
            device.name,
            device.capability,
            device.multiprocessors,
            device.memory_bytes as f64 / f64::from(1 << 30),
            device.shared_memory_bytes >> 10
        )?;
    }
    match &cuda.problem {
        Some(problem) => putln!("gpu     {problem}"),
        None => Ok(()),
    }
}

#[cfg(not(feature = "cuda"))]
fn cuda() -> CudaReport {
    let problem = "this binary holds no kernels for GPUs; build it with --features cuda";
    CudaReport { problem: Some(problem.to_owned()), ..CudaReport::default() }
}

#[cfg(feature = "cuda")]
fn cuda() -> CudaReport {
    use rosa_kernels::backend::cuda::{Cuda, TOOLKIT, cubins};
    let mut targets: Vec<_> = cubins().map(|(_, target, _)| target).collect();
    targets.sort_unstable();
    targets.dedup();
    let device = |ordinal| {
        Cuda::new(ordinal).map(|gpu| {
            let is = gpu.properties();
            DeviceReport {
                name: is.name.clone(),
                capability: format!("{}.{}", is.capability.0, is.capability.1),
                multiprocessors: is.multiprocessors,
                shared_memory_bytes: is.shared_memory,
                memory_bytes: is.memory,
            }
        })
    };
    // Device 0 is asked for even where there is none: its error is the sentence to show.
    let devices = Cuda::count().and_then(|count| (0..count.max(1)).map(device).collect::<Result<Vec<_>>>());
    let (devices, problem) = match devices {
        Ok(devices) => (devices, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    let toolkit = Some(format!("{}.{}", TOOLKIT.0, TOOLKIT.1));
    CudaReport { built: true, toolkit, targets, devices, problem }
}
