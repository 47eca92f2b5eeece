//! What the driver remembers: one device with one primary context.

use super::code::{Answer, Code};
use super::event::Event;
use super::explain;
use super::function::Kernel;
use super::module::LoadedModule;
use super::settings::settings;
use crate::device::Device;
use crate::profile::Profile;
use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A context, module, function, stream or event, as callers hold it: in C, a pointer to something unknown.
pub(super) type Handle = u64;

/// The primary context and all that lives in it.
pub(super) struct Context {
    pub(super) handle: Handle,
    pub(super) profile: &'static Profile,
    /// Bytes of device memory.
    pub(super) memory: usize,
    pub(super) device: Device,
    /// The allocations that callers may free, with their sizes.
    pub(super) allocations: HashMap<u64, usize>,
    pub(super) modules: HashMap<Handle, Arc<LoadedModule>>,
    pub(super) functions: HashMap<Handle, Arc<Kernel>>,
    pub(super) streams: HashSet<Handle>,
    pub(super) events: HashMap<Handle, Event>,
    /// What `cuCtxSetLimit` sets, by its number.
    pub(super) limits: [usize; 7],
    /// The fault that ended a kernel: from then on the answer to everything.
    pub(super) failed: Option<Code>,
    next_handle: Handle,
}

/// Handles are multiples of this: no small number, such as a stream's that stands for a default, is one by accident.
const HANDLE_STEP: Handle = 0x100;

impl Context {
    /// A handle that no one has.
    pub(super) fn new_handle(&mut self) -> Handle {
        self.next_handle += HANDLE_STEP;
        self.next_handle
    }

    /// Bytes that callers have allocated.
    pub(super) fn used(&self) -> usize {
        self.allocations.values().sum()
    }
}

#[derive(Default)]
pub(super) struct State {
    pub(super) initialised: bool,
    /// How often the primary context is retained; it lives while this is not zero.
    pub(super) retained: u32,
    pub(super) context: Option<Context>,
    /// The handles given out by contexts that are gone.
    last_handle: Handle,
}

impl State {
    /// Retains the primary context.
    ///
    /// # Errors
    /// The settings have no meaning.
    pub(super) fn retain(&mut self) -> Answer<Handle> {
        self.retained += 1;
        if let Some(context) = &self.context {
            return Ok(context.handle);
        }
        let settings = settings().map_err(|why| explain(Code::InvalidValue, why))?;
        let handle = self.last_handle + HANDLE_STEP;
        self.context = Some(Context {
            handle,
            profile: &settings.profile,
            memory: settings.memory,
            device: Device::with(settings.options.clone()),
            allocations: HashMap::new(),
            modules: HashMap::new(),
            functions: HashMap::new(),
            streams: HashSet::new(),
            events: HashMap::new(),
            limits: [1 << 10, 1 << 20, 8 << 20, 0, 0, 128, 0],
            failed: None,
            next_handle: handle,
        });
        Ok(handle)
    }

    /// Releases the primary context; the last release destroys it.
    ///
    /// # Errors
    /// It was not retained.
    pub(super) fn release(&mut self) -> Answer<()> {
        self.retained = self.retained.checked_sub(1).ok_or(Code::InvalidContext)?;
        if self.retained == 0
            && let Some(context) = self.context.take()
        {
            self.last_handle = context.next_handle;
        }
        Ok(())
    }
}

static STATE: Mutex<Option<State>> = Mutex::new(None);

thread_local! {
    /// The context that the calling thread has made its own; 0 is none.
    static CURRENT: Cell<Handle> = const { Cell::new(0) };
}

fn lock() -> MutexGuard<'static, Option<State>> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Remembers that `cuInit` was called.
pub(super) fn initialise() {
    lock().get_or_insert_default().initialised = true;
}

/// Calls `f` with the state.
///
/// # Errors
/// Those of `f`; [`Code::NotInitialized`] before `cuInit`.
pub(super) fn with_state<T>(f: impl FnOnce(&mut State) -> Answer<T>) -> Answer<T> {
    match &mut *lock() {
        Some(state) if state.initialised => f(state),
        _ => Err(Code::NotInitialized),
    }
}

/// Calls `f` with the calling thread's context.
///
/// # Errors
/// Those of `f`; the thread has no context, or a destroyed one, or a kernel has failed in it.
pub(super) fn with_context<T>(f: impl FnOnce(&mut Context) -> Answer<T>) -> Answer<T> {
    let current = current();
    with_state(|state| match &mut state.context {
        _ if current == 0 => Err(Code::InvalidContext),
        Some(context) if context.handle == current => match context.failed {
            Some(code) => Err(code),
            None => f(context),
        },
        _ => Err(Code::ContextIsDestroyed),
    })
}

/// The calling thread's context; 0 is none.
pub(super) fn current() -> Handle {
    CURRENT.get()
}

/// Makes a context the calling thread's own; 0 is none.
pub(super) fn set_current(context: Handle) {
    CURRENT.set(context);
}

/// The chosen GPU.
///
/// # Errors
/// [`Code::InvalidDevice`] for an ordinal other than 0, and [`Code::NotInitialized`].
pub(super) fn profile(device: i32) -> Answer<&'static Profile> {
    with_state(|_| Ok(()))?;
    if device != 0 {
        return Err(Code::InvalidDevice);
    }
    settings().map(|settings| &settings.profile).map_err(|why| explain(Code::InvalidValue, why))
}
