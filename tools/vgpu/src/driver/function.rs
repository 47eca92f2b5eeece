//! Functions: kernels of a module, and their attributes.

use super::code::{Answer, Code};
use super::module::LoadedModule;
use super::pointer::put;
use super::state::{Context, Handle, with_context};
use super::{answer, explain};
use crate::profile::{BLOCK, SHARED_DEFAULT};
use crate::program::Program;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// A kernel that a caller holds.
pub(super) struct Kernel {
    pub(super) module: Arc<LoadedModule>,
    pub(super) name: String,
    /// Dynamic shared memory that a launch may ask for.
    pub(super) dynamic_limit: AtomicUsize,
}

impl Kernel {
    /// The kernel with this name, if the module has it.
    pub(super) fn new(module: &Arc<LoadedModule>, name: &str) -> Option<Self> {
        module.loaded.param_bytes(name)?;
        let fixed = module.loaded.program(name).map_or(0, |program| program.static_shared);
        let dynamic_limit = AtomicUsize::new(SHARED_DEFAULT.saturating_sub(fixed));
        Some(Self { module: Arc::clone(module), name: name.to_owned(), dynamic_limit })
    }

    /// The linked kernel.
    ///
    /// # Errors
    /// [`Code::InvalidPtx`] where it cannot be run.
    pub(super) fn program(&self) -> Answer<&Program> {
        self.module.loaded.program(&self.name).map_err(|error| explain(Code::InvalidPtx, error))
    }
}

impl Context {
    /// # Errors
    /// There is no such function.
    pub(super) fn function(&self, function: Handle) -> Answer<&Arc<Kernel>> {
        self.functions.get(&function).ok_or(Code::InvalidHandle)
    }
}

/// `CU_FUNC_ATTRIBUTE_…`
const MAX_THREADS_PER_BLOCK: u32 = 0;
const SHARED_SIZE_BYTES: u32 = 1;
const CONST_SIZE_BYTES: u32 = 2;
const LOCAL_SIZE_BYTES: u32 = 3;
const NUM_REGS: u32 = 4;
const PTX_VERSION: u32 = 5;
const BINARY_VERSION: u32 = 6;
const CACHE_MODE_CA: u32 = 7;
const MAX_DYNAMIC_SHARED_SIZE_BYTES: u32 = 8;
const PREFERRED_SHARED_MEMORY_CARVEOUT: u32 = 9;

#[unsafe(no_mangle)]
unsafe extern "C" fn cuFuncGetAttribute(value: *mut i32, attribute: u32, function: Handle) -> Code {
    answer(|| {
        let found = with_context(|context| {
            let kernel = context.function(function)?;
            let program = kernel.program()?;
            let found = match attribute {
                MAX_THREADS_PER_BLOCK => program.max_threads.unwrap_or(BLOCK).min(BLOCK) as usize,
                SHARED_SIZE_BYTES => program.static_shared,
                LOCAL_SIZE_BYTES => program.local_bytes,
                MAX_DYNAMIC_SHARED_SIZE_BYTES => kernel.dynamic_limit.load(Relaxed),
                // PTX has no register count and names no machine.
                CONST_SIZE_BYTES | NUM_REGS | PTX_VERSION | BINARY_VERSION | CACHE_MODE_CA => 0,
                PREFERRED_SHARED_MEMORY_CARVEOUT => 0,
                _ => return Err(Code::InvalidValue),
            };
            i32::try_from(found).map_err(|_| Code::InvalidValue)
        })?;
        // SAFETY: null or valid, as the caller promises.
        unsafe { put(value, found) }
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuFuncSetAttribute(function: Handle, attribute: u32, value: i32) -> Code {
    answer(|| {
        with_context(|context| {
            let kernel = context.function(function)?;
            match attribute {
                MAX_DYNAMIC_SHARED_SIZE_BYTES => {
                    let bytes = usize::try_from(value).map_err(|_| Code::InvalidValue)?;
                    let program = kernel.program()?;
                    let most = context.profile.shared_per_block.saturating_sub(program.static_shared);
                    if bytes > most {
                        let why = format!(
                            "{}: {bytes} bytes of dynamic shared memory, at most {most}",
                            kernel.name
                        );
                        return Err(explain(Code::InvalidValue, why));
                    }
                    kernel.dynamic_limit.store(bytes, Relaxed);
                    Ok(())
                }
                // A hint.
                PREFERRED_SHARED_MEMORY_CARVEOUT => Ok(()),
                _ => Err(Code::InvalidValue),
            }
        })
    })
}

/// A preference, of which a device may make what it likes.
#[unsafe(no_mangle)]
extern "C" fn cuFuncSetCacheConfig(function: Handle, _config: u32) -> Code {
    answer(|| with_context(|context| context.function(function).map(|_| ())))
}
