//! The one choice of a device: from a flag to a type.

use super::print::note;
use rosa_kernels::{
    backend::{Backend, cpu::Cpu},
    error::Result,
    options::DeviceKind,
};
use std::thread;

/// A command's work, on whatever device it is given.
pub(super) trait OnDevice: Send {
    /// Does it.
    ///
    /// # Errors
    /// Those of the command.
    fn run<B: Backend>(self, be: B) -> Result<()>;
}

/// Does `work` on the device that the user chose.
///
/// # Errors
/// When there is no such device, and those of the work.
pub(super) fn on_device(kind: DeviceKind, threads: Option<usize>, work: impl OnDevice) -> Result<()> {
    match kind {
        DeviceKind::Cpu => {
            let cpu = Cpu::new(threads)?;
            note!("device    CPU, {}", described(cpu.threads()));
            cpu.clone().install(|| work.run(cpu))
        }
        DeviceKind::Cuda => on_cuda(work),
    }
}

/// So many threads, and what is wrong with them where the machine cannot run as many at once.
fn described(threads: usize) -> String {
    let plural = if threads == 1 { "" } else { "s" };
    let advice = match thread::available_parallelism() {
        Ok(most) if most.get() < threads => {
            format!(
                " that wait for each other: this machine runs {most} at once, as many as without --threads"
            )
        }
        _ => String::new(),
    };
    format!("{threads} thread{plural}{advice}")
}

#[cfg(feature = "cuda")]
fn on_cuda(work: impl OnDevice) -> Result<()> {
    let gpu = rosa_kernels::backend::cuda::Cuda::new(0)?;
    note!("device    {}", gpu.properties().name);
    work.run(gpu)
}

#[cfg(not(feature = "cuda"))]
fn on_cuda(_: impl OnDevice) -> Result<()> {
    let built = "cpu: this binary holds no kernels for GPUs; build it with --features cuda";
    Err(rosa_kernels::error::Error::setting("--device", "cuda", built))
}
