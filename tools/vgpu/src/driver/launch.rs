//! Launches.

use super::code::{Answer, Code};
use super::settings::settings;
use super::state::{Handle, with_context};
use super::stream::check as check_stream;
use super::{answer, explain};
use crate::error::{Error, Fault, FaultKind};
use crate::program::Program;
use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// The bytes of a kernel's parameters.
///
/// # Errors
/// [`Code::InvalidValue`] when a parameter is missing.
///
/// # Safety
/// `params` points at one pointer per parameter of `program`, each valid for reads of the parameter's size.
unsafe fn gather(program: &Program, params: *mut *mut c_void) -> Answer<Vec<u8>> {
    let missing = |i| explain(Code::InvalidValue, format!("{}: parameter {i} is missing", program.name));
    let mut bytes = vec![0; program.param_bytes];
    for (i, &(offset, size)) in program.params.iter().enumerate() {
        if params.is_null() {
            return Err(missing(i));
        }
        // SAFETY: there are at least `i + 1` pointers, as the caller promises.
        let param = unsafe { params.add(i).read() };
        if param.is_null() {
            return Err(missing(i));
        }
        // SAFETY: `param` is valid for `size` bytes, as the caller promises; the layout of the parameters gives each
        // its own `size` bytes of `bytes`.
        unsafe { bytes[offset..offset + size].as_mut_ptr().copy_from_nonoverlapping(param.cast(), size) };
    }
    Ok(bytes)
}

/// The code that a GPU has for this.
fn code(fault: &Fault) -> Code {
    match fault.kind {
        FaultKind::OutOfBounds { .. } | FaultKind::ReadOnly { .. } => Code::IllegalAddress,
        FaultKind::Misaligned { .. } => Code::MisalignedAddress,
        FaultKind::TooLong { .. } => Code::LaunchTimeout,
        _ => Code::LaunchFailed,
    }
}

/// # Safety
/// As for [`gather`].
unsafe fn launch(
    function: Handle,
    grid: [u32; 3],
    block: [u32; 3],
    shared: u32,
    stream: Handle,
    params: *mut *mut c_void,
    extra: *mut *mut c_void,
) -> Answer<()> {
    let (device, kernel) = with_context(|context| {
        check_stream(context, stream)?;
        Ok((context.device.snapshot(), Arc::clone(context.function(function)?)))
    })?;
    let (program, name) = (kernel.program()?, &kernel.name);
    if !extra.is_null() {
        let why = format!("{name}: parameters as one buffer");
        return Err(explain(Code::NotSupported, why));
    }
    let (shared, most) = (shared as usize, kernel.dynamic_limit.load(Relaxed));
    if shared > most {
        let why =
            format!("{name}: {shared} bytes of dynamic shared memory, the kernel has opted in to {most}");
        return Err(explain(Code::InvalidValue, why));
    }
    // SAFETY: as the caller promises.
    let params = unsafe { gather(program, params) }?;
    match device.launch(&kernel.module.loaded, name, grid, block, shared, &params) {
        Ok(_) => Ok(()),
        Err(Error::Fault(fault)) => {
            let seed = settings().ok().and_then(|settings| settings.options.seed);
            let seed = seed.map_or(String::new(), |seed| format!(" (VGPU_SEED={seed})"));
            let code = explain(code(&fault), format!("{fault}{seed}"));
            with_context(|context| {
                context.failed = Some(code);
                Ok(())
            })?;
            Err(code)
        }
        Err(error) => Err(explain(Code::InvalidValue, error)),
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuLaunchKernel(
    function: Handle,
    grid_x: u32,
    grid_y: u32,
    grid_z: u32,
    block_x: u32,
    block_y: u32,
    block_z: u32,
    shared: u32,
    stream: Handle,
    params: *mut *mut c_void,
    extra: *mut *mut c_void,
) -> Code {
    let (grid, block) = ([grid_x, grid_y, grid_z], [block_x, block_y, block_z]);
    // SAFETY: the caller promises what the manual demands of `params`.
    answer(|| unsafe { launch(function, grid, block, shared, stream, params, extra) })
}

/// `CUlaunchConfig`.
#[repr(C)]
struct LaunchConfig {
    grid: [u32; 3],
    block: [u32; 3],
    shared: u32,
    stream: Handle,
    attributes: *mut c_void,
    attribute_count: u32,
}

/// Without attributes: they ask for clusters and the like, which this device does not have.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuLaunchKernelEx(
    config: *const LaunchConfig,
    function: Handle,
    params: *mut *mut c_void,
    extra: *mut *mut c_void,
) -> Code {
    answer(|| {
        // SAFETY: null or valid, as the caller promises.
        let config = unsafe { config.as_ref() }.ok_or(Code::InvalidValue)?;
        if config.attribute_count != 0 {
            return Err(explain(Code::NotSupported, "launch attributes"));
        }
        let LaunchConfig { grid, block, shared, stream, .. } = *config;
        // SAFETY: the caller promises what the manual demands of `params`.
        unsafe { launch(function, grid, block, shared, stream, params, extra) }
    })
}

/// Blocks run one after another: none can wait for all.
#[unsafe(no_mangle)]
extern "C" fn cuLaunchCooperativeKernel(
    _function: Handle,
    _grid_x: u32,
    _grid_y: u32,
    _grid_z: u32,
    _block_x: u32,
    _block_y: u32,
    _block_z: u32,
    _shared: u32,
    _stream: Handle,
    _params: *mut *mut c_void,
) -> Code {
    answer(|| Err(explain(Code::NotSupported, "cooperative launches")))
}
