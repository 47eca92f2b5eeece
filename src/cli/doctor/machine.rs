//! What a machine and the binary on it offer.

use crate::cli::print::putln;
use rosa_kernels::{backend::cpu::Cpu, error::Result};
use serde::Serialize;

#[derive(Serialize)]
pub(super) struct Machine {
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
    /// The CUDA release that the driver supports.
    #[serde(skip_serializing_if = "Option::is_none")]
    driver: Option<String>,
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

impl Machine {
    pub(super) fn find(cpu: &Cpu) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            cpu: CpuReport { threads: cpu.threads(), vectors: cpu.vectors() },
            cuda: cuda(),
        }
    }

    /// The number of GPUs that can be used.
    #[cfg(feature = "cuda")]
    pub(super) fn gpus(&self) -> usize {
        self.cuda.devices.len()
    }

    pub(super) fn print(&self) -> Result<()> {
        let Self { version, cpu, cuda } = self;
        putln!("rosa-mini {version}")?;
        putln!("cpu     {} threads, {}", cpu.threads, cpu.vectors)?;
        if let Some(toolkit) = &cuda.toolkit {
            let targets: Vec<_> = cuda.targets.iter().map(u32::to_string).collect();
            let targets = targets.join(", ");
            putln!("kernels compiled by nvcc {toolkit} for {targets} and, as PTX, all newer")?;
        }
        if let Some(driver) = &cuda.driver {
            putln!("driver  CUDA {driver}")?;
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
    let release = |(major, minor)| format!("{major}.{minor}");
    let driver = Cuda::driver_release().ok().map(release);
    CudaReport { built: true, toolkit: Some(release(TOOLKIT)), targets, driver, devices, problem }
}
