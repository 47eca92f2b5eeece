//! Where data lives. A device is a value that is passed, never a global.

use crate::{
    error::Result,
    map::MappedElements,
    profile::{OpClass, Profile, Work},
};
use half::{bf16, f16};

/// A type of matrix element or index: plain data with a name for messages.
pub trait Element: bytemuck::Pod + Send + Sync + PartialEq + std::fmt::Debug {
    /// The name as safetensors spells it, in lower case: `f32`, `bf16`, `u32` …
    const NAME: &'static str;
}

macro_rules! element {
    ($($type:ty => $name:literal),+ $(,)?) => { $(impl Element for $type { const NAME: &'static str = $name; })+ };
}
element!(f32 => "f32", f64 => "f64", f16 => "f16", bf16 => "bf16", u8 => "u8", u16 => "u16", u32 => "u32");

/// A floating-point type that activations or weights are stored in.
pub trait Float: Element {
    /// The nearest value of this type.
    fn from_f32(x: f32) -> Self;
    /// The same number as f32; exact.
    fn to_f32(self) -> f32;
}

impl Float for f32 {
    fn from_f32(x: f32) -> Self {
        x
    }
    fn to_f32(self) -> f32 {
        self
    }
}

impl Float for bf16 {
    fn from_f32(x: f32) -> Self {
        Self::from_f32(x)
    }
    fn to_f32(self) -> f32 {
        self.to_f32()
    }
}

/// A place with memory. [`Backend`](crate::backend::Backend) adds the operations.
pub trait Device: Clone + Send + Sync + 'static {
    /// The element type of activations: f32 on the CPU, bf16 on CUDA.
    type Act: Float;
    /// `len` elements of `T` in this device's memory.
    type Buffer<T: Element>: Send + Sync;
    /// What this device's kernels work out from a sparse pattern alone, once; `()` where they need nothing.
    type PatternPlan: Send + Sync;
    /// The values of a sparse matrix as this device's kernels read them; `()` where they read them as they are.
    type PackedValues: Send + Sync;
    /// Bytes that [`PatternPlan`](Self::PatternPlan) and [`PackedValues`](Self::PackedValues) take for each entry, about.
    const PLAN_BYTES: usize;
    /// Bytes for each element of the copy of a 4-bit or sparsely adapted weight that a product may make for its time.
    const COPY_BYTES: usize;

    /// `len` zeros.
    ///
    /// # Errors
    /// When the device is out of memory.
    fn zeros<T: Element>(&self, len: usize) -> Result<Self::Buffer<T>>;

    /// `len` activations of any value, for an op to overwrite. A device may keep the memory of such buffers for the next
    /// ones, until [`trim`](Self::trim).
    ///
    /// # Errors
    /// When the device is out of memory.
    fn unwritten(&self, len: usize) -> Result<Self::Buffer<Self::Act>>;

    /// Lets go of memory that is kept for buffers to come.
    fn trim(&self) {}

    /// A copy of `host` on the device.
    ///
    /// # Errors
    /// When the device is out of memory.
    fn upload<T: Element>(&self, host: Vec<T>) -> Result<Self::Buffer<T>>;

    /// The same of a weight, which is read again and again: a device may put it where that is fastest.
    ///
    /// # Errors
    /// When the device is out of memory.
    fn upload_weight<T: Element>(&self, host: Vec<T>) -> Result<Self::Buffer<T>> {
        self.upload(host)
    }

    /// Elements of a file on the device, which may leave them where they are.
    ///
    /// # Errors
    /// When the device is out of memory.
    fn adopt<T: Element>(&self, mapped: MappedElements<T>) -> Result<Self::Buffer<T>> {
        self.upload(mapped.to_vec())
    }

    /// A copy of `buffer` on the host, after all work queued before has finished.
    ///
    /// # Errors
    /// When queued work failed.
    fn download<T: Element>(&self, buffer: &Self::Buffer<T>) -> Result<Vec<T>>;

    /// Overwrites `dst` with `src`; both have the same length.
    ///
    /// # Errors
    /// When the copy cannot be queued.
    fn copy<T: Element>(&self, src: &Self::Buffer<T>, dst: &mut Self::Buffer<T>) -> Result<()>;

    /// Sets every element of `buffer` to zero.
    ///
    /// # Errors
    /// When the write cannot be queued.
    fn clear<T: Element>(&self, buffer: &mut Self::Buffer<T>) -> Result<()>;

    /// The number of elements in `buffer`.
    fn len<T: Element>(buffer: &Self::Buffer<T>) -> usize;

    /// Where this device's time goes.
    fn profile(&self) -> &Profile;

    /// Runs an operation, and notes in the profile that it did `work`.
    ///
    /// # Errors
    /// Those of the operation.
    fn profiled<R>(&self, class: OpClass, work: Work, run: impl FnOnce() -> Result<R>) -> Result<R> {
        let profile = self.profile();
        let running = profile.op(class, work);
        let result = run()?;
        if profile.waits() {
            self.synchronize()?;
        }
        drop(running);
        Ok(result)
    }

    /// Bytes of the device's own memory that are free, and all there are; `None` where it has none of its own.
    ///
    /// # Errors
    /// When the driver does not tell.
    fn memory(&self) -> Result<Option<(usize, usize)>>;

    /// The most memory held so far, in bytes: of the device, or of the process where the device has none of its own and
    /// the system tells.
    fn peak_memory(&self) -> Option<u64>;

    /// From here on [`peak_memory`](Self::peak_memory) counts anew, where the system lets us.
    fn forget_peak_memory(&self);

    /// Waits until all queued work is done.
    ///
    /// # Errors
    /// When queued work failed.
    fn synchronize(&self) -> Result<()>;
}
