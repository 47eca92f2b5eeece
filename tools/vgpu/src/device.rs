//! The device: allocations, loaded modules, launches.

use crate::block::{self, Launch, Random};
use crate::counters::Counters;
use crate::error::{Error, Fault};
use crate::memory::{Memory, Region, Touched};
use crate::module::{Function, Initial, Module};
use crate::program::{Program, param_layout};
use crate::types::Space;
use crate::watch::Watch;
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How a device runs its launches.
#[derive(Clone, Debug)]
pub struct Options {
    /// Draws the orders of warps and blocks; None runs them in turn.
    pub seed: Option<u64>,
    /// Host threads that run blocks; the result does not depend on it.
    pub host_threads: usize,
    /// Whether to look for races between blocks on global memory.
    pub global_races: bool,
    /// The most warp instructions a block may execute: what an endless loop ends in.
    pub instruction_limit: u64,
    /// The most shared memory a block may have, in bytes.
    pub shared_limit: usize,
}

impl Default for Options {
    /// Every core, no races between blocks, an A100's 163 KiB of shared memory.
    fn default() -> Self {
        Self {
            seed: None,
            host_threads: std::thread::available_parallelism().map_or(1, usize::from),
            global_races: false,
            instruction_limit: 10_000_000_000,
            shared_limit: 163 << 10,
        }
    }
}

/// A kernel of a loaded module: one that cannot be linked says so when it is launched.
#[derive(Debug)]
struct Kernel {
    param_bytes: usize,
    program: Result<Program, Error>,
}

/// A module whose variables have a place in device memory.
#[derive(Debug)]
pub struct Loaded {
    kernels: HashMap<String, Kernel>,
    globals: HashMap<String, u64>,
}

impl Loaded {
    /// The address of a `.global` or `.const` variable.
    #[must_use]
    pub fn global(&self, name: &str) -> Option<u64> {
        self.globals.get(name).copied()
    }

    /// The size of a kernel's parameters in bytes.
    #[must_use]
    pub fn param_bytes(&self, kernel: &str) -> Option<usize> {
        self.kernels.get(kernel).map(|kernel| kernel.param_bytes)
    }

    /// # Errors
    /// [`Error::UnknownKernel`]; [`Error::Kernel`] where it cannot be run.
    pub(crate) fn program(&self, kernel: &str) -> Result<&Program, Error> {
        let found = self.kernels.get(kernel).ok_or_else(|| Error::UnknownKernel(kernel.to_owned()))?;
        found.program.as_ref().map_err(Clone::clone)
    }
}

/// A GPU: device memory, and the means to run kernels on it.
#[derive(Default)]
pub struct Device {
    memory: Memory,
    options: Options,
}

impl Device {
    /// A device with the default [`Options`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A device with these options.
    #[must_use]
    pub fn with(options: Options) -> Self {
        Self { memory: Memory::default(), options }
    }

    /// The address of `bytes` new bytes: 0xFF, and never written as far as kernels are concerned.
    pub fn alloc(&mut self, bytes: usize) -> u64 {
        self.memory.allocate(bytes, false)
    }

    /// Gives back what [`Self::alloc`] returned; its address is not used again.
    ///
    /// # Errors
    /// [`Error::Host`] when no allocation begins there.
    pub fn free(&mut self, address: u64) -> Result<(), Error> {
        self.memory.free(address)
    }

    /// Copies `bytes` to the device.
    ///
    /// # Errors
    /// [`Error::Host`] when no allocation holds all of them.
    pub fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), Error> {
        if !bytes.is_empty() {
            let (region, offset) = self.memory.host(address, bytes.len())?;
            region.write(offset, bytes);
        }
        Ok(())
    }

    /// Copies `count` bytes from the device; those never written are 0xFF.
    ///
    /// # Errors
    /// [`Error::Host`] when no allocation holds all of them.
    pub fn read(&self, address: u64, count: usize) -> Result<Vec<u8>, Error> {
        let mut out = vec![0; count];
        if count != 0 {
            let (region, offset) = self.memory.host(address, count)?;
            region.read(offset, &mut out);
        }
        Ok(out)
    }

    /// Writes `count` times `pattern`.
    ///
    /// # Errors
    /// [`Error::Host`] when no allocation holds all of them.
    pub fn fill(&mut self, address: u64, pattern: &[u8], count: usize) -> Result<(), Error> {
        self.write(address, &pattern.repeat(count))
    }

    /// Copies `bytes` within the device; what was never written stays so.
    ///
    /// # Errors
    /// [`Error::Host`] when no allocation holds all bytes of the source, or of the destination.
    pub fn copy(&mut self, from: u64, to: u64, bytes: usize) -> Result<(), Error> {
        if bytes != 0 {
            let (source, from) = self.memory.host(from, bytes)?;
            let (target, to) = self.memory.host(to, bytes)?;
            target.copy_from(source, from, to, bytes);
        }
        Ok(())
    }

    /// The size of the allocation that begins at `address`.
    pub(crate) fn allocated(&self, address: u64) -> Option<usize> {
        let allocation = self.memory.find(address, 0, &mut 0)?;
        (allocation.base == address).then(|| allocation.region.len())
    }

    /// The device as it is now, to launch on: it has the same memory, but not what is allocated or freed later.
    pub(crate) fn snapshot(&self) -> Self {
        Self { memory: self.memory.clone(), options: self.options.clone() }
    }

    /// Places a module's variables in device memory and links its kernels. What is wrong with a kernel is an error of
    /// its launch.
    ///
    /// # Errors
    /// [`Error::Parse`] at a variable whose initial value is wrong.
    pub fn load(&mut self, module: &Module) -> Result<Loaded, Error> {
        let mut globals = HashMap::new();
        let placed = || module.variables.iter().filter(|v| matches!(v.space, Space::Global | Space::Const));
        for variable in placed() {
            let base = self.memory.allocate(variable.bytes, variable.space == Space::Const);
            globals.insert(variable.name.clone(), base);
        }
        for variable in placed() {
            // Variables start as zero.
            let mut bytes = Vec::new();
            for initial in &variable.init {
                match initial {
                    Initial::Bytes(element) => bytes.extend(element),
                    Initial::Address { name, offset } => {
                        let base = globals
                            .get(name)
                            .ok_or_else(|| Error::parse(variable.line, format!("unknown variable {name}")))?;
                        bytes.extend(base.wrapping_add_signed(*offset).to_le_bytes());
                    }
                }
            }
            if bytes.len() > variable.bytes {
                return Err(Error::parse(
                    variable.line,
                    format!("{} has too many initial values", variable.name),
                ));
            }
            bytes.resize(variable.bytes, 0);
            self.write(globals[&variable.name], &bytes)?;
        }
        let kernels =
            module.functions.iter().filter(|function| function.is_kernel && function.body.is_some());
        let link = |function: &Function| {
            let program = Program::link(module, function, &globals).map_err(|error| match error {
                Error::Parse { line, message } => {
                    let instruction = module.line(line).to_owned();
                    Error::Kernel { kernel: function.name.clone(), line, instruction, message }
                }
                other => other,
            });
            (function.name.clone(), Kernel { param_bytes: param_layout(&function.params).1, program })
        };
        Ok(Loaded { kernels: kernels.map(link).collect(), globals })
    }

    /// Gives back a module's variables.
    ///
    /// # Errors
    /// [`Error::Host`] when that was done before.
    pub fn unload(&mut self, module: &Loaded) -> Result<(), Error> {
        module.globals.values().try_for_each(|&address| self.memory.free(address))
    }

    /// Runs a kernel on `grid` blocks of `shape` threads with `dynamic_shared` bytes of dynamic shared memory; `params`
    /// are the bytes of its parameters, each at its alignment.
    ///
    /// # Errors
    /// [`Error::UnknownKernel`], [`Error::Kernel`] where it cannot be run, [`Error::Launch`] when the shape or the
    /// parameters do not fit, and [`Error::Fault`] of the first block that goes wrong.
    pub fn launch(
        &self,
        module: &Loaded,
        kernel: &str,
        grid: [u32; 3],
        shape: [u32; 3],
        dynamic_shared: usize,
        params: &[u8],
    ) -> Result<Counters, Error> {
        let program = module.program(kernel)?;
        let parameters = Region::new(params.len());
        parameters.write(0, params);
        let options = &self.options;
        let memory = &self.memory;
        let (params, touched) = (parameters, Touched::new(memory));
        let watch = options.global_races.then(|| Watch::new(memory));
        let launch = Launch { program, memory, grid, shape, dynamic_shared, params, options, watch, touched };
        check(&launch)?;
        run_blocks(&launch).map_err(Error::Fault)
    }
}

fn check(launch: &Launch) -> Result<(), Error> {
    let Launch { program, grid, shape, .. } = launch;
    let name = &program.name;
    let fail = |message| Err(Error::Launch(format!("{name}: {message}")));
    if grid.contains(&0) || shape.contains(&0) {
        return fail(format!("an empty grid {grid:?} or block {shape:?}"));
    }
    if grid[1] > 65_535 || grid[2] > 65_535 || grid[0] > i32::MAX as u32 {
        return fail(format!("the grid {grid:?} is too large"));
    }
    if launch.watch.is_some() && launch.blocks() > u64::from(u32::MAX) {
        return fail(format!("{} blocks are too many to look for races", launch.blocks()));
    }
    let most = program.max_threads.unwrap_or(1024).min(1024);
    let threads = shape.iter().map(|&n| u64::from(n)).product::<u64>();
    if threads > u64::from(most) || shape[2] > 64 {
        return fail(format!("a block of {shape:?} threads, at most {most} are possible"));
    }
    let shared = program.static_shared.saturating_add(launch.dynamic_shared);
    if shared > launch.options.shared_limit {
        return fail(format!("{shared} bytes of shared memory, there are {}", launch.options.shared_limit));
    }
    if launch.params.len() != program.param_bytes {
        return fail(format!(
            "{} bytes of parameters, it takes {}",
            launch.params.len(),
            program.param_bytes
        ));
    }
    Ok(())
}

/// Runs every block, on as many host threads as the options say; of several faults the lowest block's is returned.
fn run_blocks(launch: &Launch) -> Result<Counters, Box<Fault>> {
    let blocks = launch.blocks();
    let mut order: Option<Vec<u64>> = None;
    if let Some(seed) = launch.options.seed {
        let mut shuffled: Vec<_> = (0..blocks).collect();
        Random::new(seed).shuffle(&mut shuffled);
        order = Some(shuffled);
    }
    let next = AtomicU64::new(0);
    let total = Mutex::new(Counters::default());
    let worst: Mutex<Option<(u64, Box<Fault>)>> = Mutex::new(None);
    let work = || {
        let mut counters = Counters::default();
        let mut spare = Vec::new();
        loop {
            let turn = next.fetch_add(1, Relaxed);
            if turn >= blocks {
                break;
            }
            let number = order.as_ref().map_or(turn, |order| order[turn as usize]);
            match block::run(launch, number, &mut spare) {
                Ok(counted) => counters += &counted,
                Err(fault) => {
                    next.store(blocks, Relaxed);
                    let mut worst = worst.lock().expect("no thread panics with the lock held");
                    if worst.as_ref().is_none_or(|(other, _)| number < *other) {
                        *worst = Some((number, fault));
                    }
                }
            }
        }
        *total.lock().expect("no thread panics with the lock held") += &counters;
    };
    let threads = launch.options.host_threads.clamp(1, usize::try_from(blocks).unwrap_or(usize::MAX));
    if threads == 1 {
        work();
    } else {
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(work);
            }
        });
    }
    match worst.into_inner().expect("no thread panics with the lock held") {
        Some((_, fault)) => Err(fault),
        None => Ok(total.into_inner().expect("no thread panics with the lock held")),
    }
}
