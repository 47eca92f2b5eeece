//! The CUDA driver, found at run time: the only file that names cudarc.
//!
//! Everything runs on one stream, so that work starts in the order in which it was queued; a buffer that is dropped is
//! freed on that stream, after all that uses it.

use super::images::{FILES, TOOLKIT};
use crate::{
    device::Element,
    error::{Error, Need, Result},
};
use cudarc::driver::{
    CudaContext, CudaFunction, CudaModule, CudaSlice, CudaStream, DevicePtr, DevicePtrMut, DeviceRepr,
    DriverError, LaunchConfig, PushKernelArg, result, sys,
};
use std::{
    collections::HashMap,
    fmt,
    marker::PhantomData,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};
use sys::{CUdevice_attribute as Attribute, CUfunction_attribute as FunctionAttribute, CUresult as Code};

/// A kernel of `cuda/FILE.cu` and the argument struct that it takes.
pub(super) struct Kernel<A> {
    file: &'static str,
    name: &'static str,
    args: PhantomData<A>,
}

impl<A> Kernel<A> {
    /// `cuda/FILE.cu` holds `extern "C" __global__ void NAME(const __grid_constant__ A)`.
    pub(super) const fn new(file: &'static str, name: &'static str) -> Self {
        Self { file, name, args: PhantomData }
    }
}

/// The shape of a launch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    /// Blocks in x, y and z.
    pub(super) blocks: [u32; 3],
    /// Threads a block.
    pub(super) threads: u32,
    /// Bytes of dynamic shared memory a block.
    pub(super) shared: u32,
}

impl Grid {
    /// `blocks` blocks in a row, without dynamic shared memory.
    pub(super) const fn row(blocks: u32, threads: u32) -> Self {
        Self { blocks: [blocks, 1, 1], threads, shared: 0 }
    }
}

/// What launches are shaped by.
#[derive(Clone, Debug)]
pub struct Properties {
    /// The device's name.
    pub name: String,
    /// Its compute capability, as (8, 0).
    pub capability: (u32, u32),
    /// Streaming multiprocessors.
    pub multiprocessors: u32,
    /// The most shared memory that a block may have, in bytes.
    pub shared_memory: u32,
    /// Device memory in bytes.
    pub memory: usize,
    /// The highest clock of a multiprocessor, in Hz.
    pub clock: f64,
    /// The highest clock of the memory, in Hz, at two transfers a cycle.
    pub memory_clock: f64,
    /// The width of the memory's bus, in bits.
    pub memory_bus: u32,
}

impl Properties {
    /// Bytes a second between the device and its memory, at most.
    #[must_use]
    pub fn memory_rate(&self) -> f64 {
        2.0 * self.memory_clock * f64::from(self.memory_bus / 8)
    }

    /// Operations a second on bf16 tensor cores that sum in f32, at most, where the compute capability is known; a
    /// multiply-add is two. Consumers' GPUs of 8.6, 8.9 and 12.0 are made to reach half of it.
    #[must_use]
    pub fn tensor_rate(&self) -> Option<f64> {
        let known = self.architecture() == self.capability;
        known.then(|| self.tensor_a_cycle() * f64::from(self.multiprocessors) * self.clock)
    }

    /// The same of one multiprocessor in a cycle.
    ///
    /// From the rates and boost clocks of NVIDIA's architecture whitepapers (A100, GA102, AD102, H100) and the data
    /// sheets of B200 and RTX PRO 6000.
    pub(super) fn tensor_a_cycle(&self) -> f64 {
        match self.architecture() {
            (8, 0) => 2048.0,
            (8, _) | (12, _) => 1024.0,
            (10, _) => 8192.0,
            _ => 4096.0,
        }
    }

    /// Whether this GPU has the instructions of compute capability 9.0 alone, which no later one has.
    pub(super) fn is_hopper(&self) -> bool {
        self.capability == (9, 0)
    }

    /// Bytes that L2 brings in a cycle, to all multiprocessors together.
    ///
    /// NVIDIA gives no rate. These are shares of a multiprocessor in 5 TB/s of an A100 and of an RTX 4090, round numbers at
    /// what published micro-benchmarks measure, and in the 8.8 TB/s at which L2 was measured to bring the operands of
    /// 128 × 128 tiles on an H200; other GPUs count as the one of these that is built most like them.
    pub(super) fn l2_a_cycle(&self) -> f64 {
        let share = match self.architecture() {
            (8, 0) => 32.8,
            (8, _) | (12, _) => 15.5,
            _ => 34.0,
        };
        share * f64::from(self.multiprocessors)
    }

    /// The compute capability, or for GPUs newer than this program the one whose blocks may have as much shared memory.
    fn architecture(&self) -> (u32, u32) {
        match (self.capability, self.shared_memory >> 10) {
            ((8..=10 | 12, _), _) => self.capability,
            (_, ..=99) => (8, 9),
            (_, 100..=163) => (8, 0),
            _ => (9, 0),
        }
    }
}

/// Elements in device memory.
pub struct Buffer<T> {
    bytes: CudaSlice<u8>,
    len: usize,
    _booked: Booked,
    element: PhantomData<T>,
}

impl<T> Buffer<T> {
    pub(super) fn len(&self) -> usize {
        self.len
    }
}

impl<T> fmt::Debug for Buffer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} elements in device memory", self.len)
    }
}

/// The bytes that buffers hold.
#[derive(Default)]
struct Ledger {
    held: AtomicUsize,
    peak: AtomicUsize,
}

/// An entry of the ledger, struck out when it is dropped.
struct Booked {
    ledger: Arc<Ledger>,
    bytes: usize,
}

impl Ledger {
    fn book(self: &Arc<Self>, bytes: usize) -> Booked {
        let held = self.held.fetch_add(bytes, Relaxed) + bytes;
        self.peak.fetch_max(held, Relaxed);
        Booked { ledger: Arc::clone(self), bytes }
    }
}

impl Drop for Booked {
    fn drop(&mut self) {
        self.ledger.held.fetch_sub(self.bytes, Relaxed);
    }
}

/// One device, its stream and the kernels loaded so far.
pub(super) struct Driver {
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    properties: Properties,
    ledger: Arc<Ledger>,
    modules: Mutex<HashMap<&'static str, Arc<CudaModule>>>,
    functions: Mutex<HashMap<&'static str, CudaFunction>>,
}

/// Plain bytes as a kernel parameter.
#[repr(transparent)]
struct Parameter<A>(A);

// SAFETY: the argument structs are plain data without padding, laid out as C does.
unsafe impl<A: bytemuck::Pod> DeviceRepr for Parameter<A> {}

impl Driver {
    pub(super) fn new(ordinal: usize) -> Result<Self> {
        let count = device_count()?;
        if ordinal >= count {
            return Err(Error::NoDevice { ordinal, count });
        }
        let context = CudaContext::new(ordinal).map_err(failed("create a context"))?;
        // SAFETY: event tracking orders streams among each other, and this context is used with one only.
        unsafe { context.disable_event_tracking() };
        let properties = properties(&context)?;
        if properties.capability < (8, 0) {
            return Err(Error::OldDevice { name: properties.name, capability: properties.capability });
        }
        keep_memory(&context)?;
        let stream = context.default_stream();
        let (modules, functions) = (Mutex::default(), Mutex::default());
        Ok(Self { context, stream, properties, ledger: Arc::default(), modules, functions })
    }

    pub(super) fn properties(&self) -> &Properties {
        &self.properties
    }

    /// Bytes that are free, and all there are.
    pub(super) fn memory(&self) -> Result<(usize, usize)> {
        self.trim()?;
        self.context.mem_get_info().map_err(failed("ask for free memory"))
    }

    /// The most bytes that buffers have held at a time.
    pub(super) fn peak_memory(&self) -> u64 {
        self.ledger.peak.load(Relaxed) as u64
    }

    /// Begins to count the peak anew, from what is held now.
    pub(super) fn forget_peak_memory(&self) {
        self.ledger.peak.store(self.ledger.held.load(Relaxed), Relaxed);
    }

    /// Lets go of memory that was freed and kept.
    pub(super) fn trim(&self) -> Result<()> {
        // What is freed is kept, or let go of, once the work before it is done.
        self.synchronize()?;
        let Some(pool) = pool(&self.context)? else { return Ok(()) };
        // SAFETY: the pool is the device's own.
        unsafe { result::mem_pool::trim_to(pool, 0) }.map_err(failed("let go of memory"))
    }

    /// At least a byte, of unknown content: of memory that was kept where there is enough in one piece, or else where there
    /// is without it.
    fn allocate(&self, bytes: usize) -> std::result::Result<CudaSlice<u8>, DriverError> {
        // SAFETY: every use writes before it reads: uploads and copies at once, kernels their outputs.
        let allocate = || unsafe { self.stream.alloc(bytes.max(1)) };
        match allocate() {
            Err(DriverError(Code::CUDA_ERROR_OUT_OF_MEMORY)) if self.trim().is_ok() => allocate(),
            allocated => allocated,
        }
    }

    /// `len` elements of unknown content.
    pub(super) fn uninit<T: Element>(&self, len: usize) -> Result<Buffer<T>> {
        let bytes = len * size_of::<T>();
        let booked = self.ledger.book(bytes);
        let bytes = self.allocate(bytes).map_err(|error| match error.0 {
            Code::CUDA_ERROR_OUT_OF_MEMORY => {
                let (free, total) = self.memory().unwrap_or((0, self.properties.memory));
                Error::DeviceMemory { need: Need::Buffer, bytes, free, total }
            }
            _ => failed("allocate memory")(error),
        })?;
        Ok(Buffer { bytes, len, _booked: booked, element: PhantomData })
    }

    pub(super) fn zeros<T: Element>(&self, len: usize) -> Result<Buffer<T>> {
        let mut buffer = self.uninit(len)?;
        self.clear(&mut buffer)?;
        Ok(buffer)
    }

    pub(super) fn clear<T>(&self, buffer: &mut Buffer<T>) -> Result<()> {
        self.stream.memset_zeros(&mut buffer.bytes).map_err(failed("clear memory"))
    }

    pub(super) fn upload<T: Element>(&self, host: &[T]) -> Result<Buffer<T>> {
        let mut buffer = self.uninit(host.len())?;
        if !host.is_empty() {
            let bytes: &[u8] = bytemuck::cast_slice(host);
            self.stream.memcpy_htod(bytes, &mut buffer.bytes).map_err(failed("copy to the device"))?;
        }
        Ok(buffer)
    }

    pub(super) fn download<T: Element>(&self, buffer: &Buffer<T>) -> Result<Vec<T>> {
        let mut host = bytemuck::zeroed_vec(buffer.len);
        if !host.is_empty() {
            let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut host);
            self.stream.memcpy_dtoh(&buffer.bytes, bytes).map_err(failed("copy from the device"))?;
        }
        self.synchronize()?;
        Ok(host)
    }

    pub(super) fn copy<T>(&self, src: &Buffer<T>, dst: &mut Buffer<T>) -> Result<()> {
        self.stream.memcpy_dtod(&src.bytes, &mut dst.bytes).map_err(failed("copy on the device"))
    }

    pub(super) fn synchronize(&self) -> Result<()> {
        self.stream.synchronize().map_err(failed("wait for the device"))
    }

    /// The address of what a kernel reads.
    pub(super) fn input<T>(&self, buffer: &Buffer<T>) -> u64 {
        buffer.bytes.device_ptr(&self.stream).0
    }

    /// The address of what a kernel writes.
    pub(super) fn output<T>(&self, buffer: &mut Buffer<T>) -> u64 {
        buffer.bytes.device_ptr_mut(&self.stream).0
    }

    /// Queues `kernel`; a grid without blocks does nothing.
    ///
    /// # Safety
    /// The addresses in `args` come from [`input`](Self::input) and [`output`](Self::output), their buffers live until
    /// the call returns, and they hold what the kernel's argument struct says.
    pub(super) unsafe fn launch<A: bytemuck::Pod>(
        &self,
        kernel: &Kernel<A>,
        grid: Grid,
        args: A,
    ) -> Result<()> {
        if grid.blocks.contains(&0) {
            return Ok(());
        }
        let function = self.function(kernel.file, kernel.name)?;
        let args = Parameter(args);
        let config = LaunchConfig {
            grid_dim: grid.blocks.into(),
            block_dim: (grid.threads, 1, 1),
            shared_mem_bytes: grid.shared,
        };
        // SAFETY: the kernel takes this struct, as its `Kernel` says; the rest is the caller's promise.
        unsafe { self.stream.launch_builder(&function).arg(&args).launch(config) }
            .map_err(failed(kernel.name))?;
        Ok(())
    }

    fn function(&self, file: &'static str, name: &'static str) -> Result<CudaFunction> {
        let mut functions = self.functions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(function) = functions.get(name) {
            return Ok(function.clone());
        }
        let function = self.module(file)?.load_function(name).map_err(failed(name))?;
        let fixed = function.shared_size_bytes().map_err(failed(name))?;
        let dynamic = i64::from(self.properties.shared_memory) - i64::from(fixed);
        let attribute = FunctionAttribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
        let dynamic = i32::try_from(dynamic.max(0)).unwrap_or(i32::MAX);
        function.set_attribute(attribute, dynamic).map_err(failed(name))?;
        functions.insert(name, function.clone());
        Ok(function)
    }

    fn module(&self, name: &'static str) -> Result<Arc<CudaModule>> {
        let mut modules = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(module) = modules.get(name) {
            return Ok(module.clone());
        }
        let file = FILES.iter().find(|file| file.name == name).expect("a Kernel names a file of cuda/");
        let load = |image: &[u8]| self.context.load_module(cudarc::nvrtc::Ptx::from_binary(image.to_vec()));
        let module = match file.cubin(self.properties.capability).map(load) {
            None | Some(Err(DriverError(Code::CUDA_ERROR_NO_BINARY_FOR_GPU))) => load(file.ptx),
            Some(loaded) => loaded,
        };
        let module = module.map_err(failed(name))?;
        modules.insert(name, module.clone());
        Ok(module)
    }
}

/// The number of devices.
///
/// # Errors
/// [`Error::NoDriver`], [`Error::OldDriver`], or what the driver says.
pub(super) fn device_count() -> Result<usize> {
    let found = driver_release()?;
    // Drivers run what the compilers of their own major release make, and of all before.
    let needed = (TOOLKIT.0, 0);
    if found < needed {
        return Err(Error::OldDriver { found, needed });
    }
    match result::init() {
        Err(error) if error.0 == Code::CUDA_ERROR_NO_DEVICE => return Ok(0),
        other => other.map_err(failed("initialise"))?,
    }
    let count = result::device::get_count().map_err(failed("count devices"))?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// Has memory that was freed stay with the process. By itself the driver gives it back whenever the host waits, and each
/// step would map again what the last one used.
fn keep_memory(context: &CudaContext) -> Result<()> {
    let Some(pool) = pool(context)? else { return Ok(()) };
    let mut all = u64::MAX;
    let threshold = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
    // SAFETY: the pool is the device's own, and this attribute is of 64 bits.
    unsafe { result::mem_pool::set_attribute(pool, threshold, (&raw mut all).cast()) }
        .map_err(failed("keep memory"))
}

/// The pool that buffers come from, where the device has one.
fn pool(context: &CudaContext) -> Result<Option<sys::CUmemoryPool>> {
    if !context.has_async_alloc() {
        return Ok(None);
    }
    // SAFETY: the device is the context's.
    let pool = unsafe { result::device::get_default_mem_pool(context.cu_device()) };
    pool.map(Some).map_err(failed("ask for the pool of memory"))
}

/// The CUDA release that the driver supports, as (13, 0).
pub(super) fn driver_release() -> Result<(u32, u32)> {
    // SAFETY: loads the driver's library, whose initialisers are trusted as any system library's.
    if !unsafe { sys::is_culib_present() } {
        return Err(Error::NoDriver);
    }
    let mut version = 0;
    // SAFETY: the driver is present, and writes one int.
    unsafe { sys::cuDriverGetVersion(&raw mut version) }.result().map_err(failed("ask for its version"))?;
    let version = u32::try_from(version).unwrap_or(0);
    Ok((version / 1000, version % 1000 / 10))
}

fn properties(context: &CudaContext) -> Result<Properties> {
    let attribute = |attribute| {
        let value = context.attribute(attribute).map_err(failed("ask for a device attribute"))?;
        Ok::<_, Error>(u32::try_from(value).unwrap_or(0))
    };
    let (major, minor) = context.compute_capability().map_err(failed("ask for the compute capability"))?;
    Ok(Properties {
        name: context.name().map_err(failed("ask for the device's name"))?,
        capability: (u32::try_from(major).unwrap_or(0), u32::try_from(minor).unwrap_or(0)),
        multiprocessors: attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
        shared_memory: attribute(Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)?,
        memory: context.total_mem().map_err(failed("ask for the device's memory"))?,
        clock: 1e3 * f64::from(attribute(Attribute::CU_DEVICE_ATTRIBUTE_CLOCK_RATE)?),
        memory_clock: 1e3 * f64::from(attribute(Attribute::CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE)?),
        memory_bus: attribute(Attribute::CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH)?,
    })
}

/// The driver's refusal of `action`, as this crate's error.
fn failed(action: &'static str) -> impl FnOnce(DriverError) -> Error {
    move |error| Error::Driver { action, code: format!("{:?}", error.0) }
}
