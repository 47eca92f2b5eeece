//! Modules: PTX text. Anything compiled is for another GPU.

use super::code::{Answer, Code};
use super::function::Kernel;
use super::pointer::{put, put_if_wanted, text};
use super::state::{Context, Handle, with_context};
use super::{answer, explain};
use crate::device::Loaded;
use crate::module::Module;
use std::ffi::{CStr, c_char, c_void};
use std::sync::Arc;

/// A module in device memory.
pub(super) struct LoadedModule {
    pub(super) loaded: Loaded,
}

fn load(ptx: &str) -> Answer<Handle> {
    let invalid = |error| explain(Code::InvalidPtx, error);
    with_context(|_| Ok(()))?;
    let module = Module::parse(ptx).map_err(invalid)?;
    with_context(|context| {
        let loaded = context.device.load(&module).map_err(invalid)?;
        let handle = context.new_handle();
        context.modules.insert(handle, Arc::new(LoadedModule { loaded }));
        Ok(handle)
    })
}

impl Context {
    fn module(&self, module: Handle) -> Answer<&Arc<LoadedModule>> {
        self.modules.get(&module).ok_or(Code::InvalidHandle)
    }
}

/// How compiled code begins: an ELF file, a fat binary.
const COMPILED: [[u8; 4]; 2] = [*b"\x7fELF", 0xba55_ed50_u32.to_le_bytes()];

/// The PTX text of an image.
///
/// # Errors
/// It is compiled code, or no text.
///
/// # Safety
/// `image` is null, or points at compiled code or at a string that ends with a zero, and lives for `'a`.
unsafe fn ptx<'a>(image: *const c_void) -> Answer<&'a str> {
    if image.is_null() {
        return Err(Code::InvalidValue);
    }
    let no_ptx =
        |what: &str| Err(explain(Code::NoBinaryForGpu, format!("the module is {what}, this GPU takes PTX")));
    for magic in COMPILED {
        let begins = magic.iter().enumerate().all(|(i, &byte)| {
            // SAFETY: every byte before this one equals one of `magic`, none of which is zero, so that the image goes
            // on at least to here.
            byte == unsafe { image.cast::<u8>().add(i).read() }
        });
        if begins {
            return no_ptx("compiled code");
        }
    }
    // SAFETY: what is not compiled code is a string, as the caller promises.
    match unsafe { CStr::from_ptr(image.cast()) }.to_str() {
        Ok(text) => Ok(text),
        Err(_) => no_ptx("no text"),
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuModuleLoadData(module: *mut Handle, image: *const c_void) -> Code {
    answer(|| {
        // SAFETY: as the caller promises.
        let ptx = unsafe { ptx(image) }?;
        // SAFETY: null or valid, as the caller promises.
        unsafe { put(module, load(ptx)?) }
    })
}

/// The options are for a compiler that this driver does not have.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuModuleLoadDataEx(
    module: *mut Handle,
    image: *const c_void,
    _count: u32,
    _options: *mut u32,
    _values: *mut *mut c_void,
) -> Code {
    // SAFETY: as the caller promises.
    unsafe { cuModuleLoadData(module, image) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuModuleLoad(module: *mut Handle, path: *const c_char) -> Code {
    answer(|| {
        // SAFETY: as the caller promises.
        let path = unsafe { text(path) }?;
        let mut image =
            std::fs::read(path).map_err(|error| explain(Code::FileNotFound, format!("{path}: {error}")))?;
        image.extend([0; 4]);
        // SAFETY: the image ends with zeros.
        let ptx = unsafe { ptx(image.as_ptr().cast()) }?;
        // SAFETY: null or valid, as the caller promises.
        unsafe { put(module, load(ptx)?) }
    })
}

/// Its functions are gone too; what one of them is running on another thread goes on.
#[unsafe(no_mangle)]
extern "C" fn cuModuleUnload(module: Handle) -> Code {
    answer(|| {
        with_context(|context| {
            let module = context.modules.remove(&module).ok_or(Code::InvalidHandle)?;
            context.functions.retain(|_, kernel| !Arc::ptr_eq(&kernel.module, &module));
            context.device.unload(&module.loaded).map_err(|error| explain(Code::InvalidValue, error))
        })
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuModuleGetFunction(function: *mut Handle, module: Handle, name: *const c_char) -> Code {
    answer(|| {
        // SAFETY: as the caller promises.
        let name = unsafe { text(name) }?;
        let handle = with_context(|context| {
            let kernel = Kernel::new(context.module(module)?, name).ok_or(Code::NotFound)?;
            let handle = context.new_handle();
            context.functions.insert(handle, Arc::new(kernel));
            Ok(handle)
        })?;
        // SAFETY: null or valid, as the caller promises.
        unsafe { put(function, handle) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuModuleGetGlobal_v2(
    address: *mut u64,
    bytes: *mut usize,
    module: Handle,
    name: *const c_char,
) -> Code {
    answer(|| {
        // SAFETY: as the caller promises.
        let name = unsafe { text(name) }?;
        let (at, length) = with_context(|context| {
            let at = context.module(module)?.loaded.global(name).ok_or(Code::NotFound)?;
            Ok((at, context.device.allocated(at).ok_or(Code::NotFound)?))
        })?;
        // SAFETY: null or valid, as the caller promises.
        unsafe {
            put_if_wanted(address, at);
            put_if_wanted(bytes, length);
        }
        Ok(())
    })
}
