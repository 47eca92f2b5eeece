//! Where the time goes: every operation notes what it had to do and how long it took, under the part of the step that
//! ran it.
//!
//! A profile belongs to a device and is kept by one thread, which runs one operation after the other. Two clock
//! readings and a lock an operation cost less than a microsecond, so it is always on.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// The kind of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpClass {
    /// Dense products, with what joins them.
    Matmul,
    /// Gradients of a sparse adapter.
    Sddmm,
    /// Products with a sparse adapter.
    Spmm,
    /// Attention, forward and backward.
    Attention,
    /// Root-mean-square norms.
    Norm,
    /// What passes once over activations: activation functions, rotary embedding, sums, dropout, rows.
    Elementwise,
    /// The loss over the vocabulary.
    Loss,
    /// The gradient's norm and the update.
    Optimizer,
    /// Scores and the choice of a mask.
    Mask,
    /// Quantizing weights and back.
    Quantize,
}

impl OpClass {
    /// How it is called in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Matmul => "matmul",
            Self::Sddmm => "sddmm",
            Self::Spmm => "spmm",
            Self::Attention => "attention",
            Self::Norm => "norms",
            Self::Elementwise => "elementwise",
            Self::Loss => "loss",
            Self::Optimizer => "optimizer",
            Self::Mask => "mask",
            Self::Quantize => "quantize",
        }
    }
}

/// The least that an operation has to do, whatever computes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Work {
    /// Additions and multiplications.
    pub flops: f64,
    /// Bytes of its operands, each read or written once (twice where it accumulates).
    pub bytes: f64,
}

impl Work {
    /// Work that is all memory traffic: `bytes`.
    #[must_use]
    pub fn traffic(bytes: usize) -> Self {
        Self { flops: 0.0, bytes: bytes as f64 }
    }

    /// Work of `flops` operations on `bytes`.
    #[must_use]
    pub fn new(flops: usize, bytes: usize) -> Self {
        Self { flops: flops as f64, bytes: bytes as f64 }
    }
}

impl std::ops::AddAssign for Work {
    fn add_assign(&mut self, other: Self) {
        self.flops += other.flops;
        self.bytes += other.bytes;
    }
}

impl std::ops::SubAssign for Work {
    fn sub_assign(&mut self, other: Self) {
        self.flops -= other.flops;
        self.bytes -= other.bytes;
    }
}

/// What a machine reaches at its best, measured.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Peak {
    /// Operations a second, in dense products of large matrices.
    pub flops: f64,
    /// Bytes a second, in sums of vectors larger than any cache.
    pub bytes: f64,
}

impl Peak {
    /// The least time for `work`: of arithmetic and memory, what takes longer.
    #[must_use]
    pub fn least_time(&self, work: Work) -> Duration {
        Duration::from_secs_f64((work.flops / self.flops).max(work.bytes / self.bytes))
    }
}

/// A part of the step, or a class of operations under it.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name.
    pub name: &'static str,
    /// The node it is part of; `None` for the root.
    pub parent: Option<usize>,
    /// Time spent, that of its parts included.
    pub time: Duration,
    /// The work of its operations, those of its parts included.
    pub work: Work,
    /// The least time for them, operation by operation; zero while the peak is not known.
    pub least: Duration,
    /// How often it ran.
    pub calls: u64,
    /// The class, of a node that stands for operations.
    pub class: Option<OpClass>,
}

/// The times so far, as a tree: node 0 is the root, a node stands behind its parent.
#[derive(Default)]
pub struct Profile {
    state: Mutex<State>,
    waits: AtomicBool,
}

struct State {
    nodes: Vec<Node>,
    current: usize,
    /// The work of what is running, each within the one before.
    running: Vec<Work>,
    peak: Option<Peak>,
}

impl Default for State {
    fn default() -> Self {
        Self { nodes: vec![Node::new("all", None, None)], current: 0, running: Vec::new(), peak: None }
    }
}

impl Node {
    fn new(name: &'static str, parent: Option<usize>, class: Option<OpClass>) -> Self {
        Self {
            name,
            parent,
            time: Duration::ZERO,
            work: Work::default(),
            least: Duration::ZERO,
            calls: 0,
            class,
        }
    }
}

impl State {
    /// Makes the part `name` of the current node the current one.
    fn enter(&mut self, name: &'static str, class: Option<OpClass>) -> usize {
        let parent = Some(self.current);
        let known = self.nodes.iter().position(|node| node.parent == parent && node.name == name);
        self.current = known.unwrap_or_else(|| {
            self.nodes.push(Node::new(name, parent, class));
            self.nodes.len() - 1
        });
        self.current
    }
}

impl Profile {
    fn state(&self) -> MutexGuard<'_, State> {
        // A panic cannot leave the numbers half written.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a part of the step; it ends when the result is dropped.
    pub fn span(&self, name: &'static str) -> Span<'_> {
        self.begin(name, None, Work::default())
    }

    /// Begins an operation; it ends when the result is dropped.
    pub fn op(&self, class: OpClass, work: Work) -> Span<'_> {
        self.begin(class.name(), Some(class), work)
    }

    fn begin(&self, name: &'static str, class: Option<OpClass>, work: Work) -> Span<'_> {
        let mut state = self.state();
        state.running.push(work);
        let node = state.enter(name, class);
        drop(state);
        Span { profile: self, node, started: Instant::now() }
    }

    /// More work of the operation that is running, which could not be told before it began.
    pub fn note(&self, work: Work) {
        if let Some(running) = self.state().running.last_mut() {
            *running += work;
        }
    }

    /// What [`Peak::least_time`] is reckoned with from here on.
    pub fn set_peak(&self, peak: Peak) {
        self.state().peak = Some(peak);
    }

    /// The peak, once it is known.
    pub fn peak(&self) -> Option<Peak> {
        self.state().peak
    }

    /// The least time for all work so far.
    pub fn least(&self) -> Duration {
        self.state().nodes[0].least
    }

    /// From here on each operation is waited for, so that devices which queue their work show its true time.
    pub fn wait_for_ops(&self) {
        self.waits.store(true, Ordering::Relaxed);
    }

    /// Whether operations are waited for.
    pub fn waits(&self) -> bool {
        self.waits.load(Ordering::Relaxed)
    }

    /// Forgets all times.
    pub fn reset(&self) {
        let mut state = self.state();
        *state = State { peak: state.peak, ..State::default() };
    }

    /// The tree as it is now.
    pub fn nodes(&self) -> Vec<Node> {
        self.state().nodes.clone()
    }
}

/// A part of the step that is running.
pub struct Span<'a> {
    profile: &'a Profile,
    node: usize,
    started: Instant,
}

impl Drop for Span<'_> {
    fn drop(&mut self) {
        let time = self.started.elapsed();
        let mut state = self.profile.state();
        let work = state.running.pop().unwrap_or_default();
        // After a reset the node may be gone.
        let Some(node) = state.nodes.get_mut(self.node) else { return };
        node.time += time;
        node.calls += 1;
        let (is_op, parent) = (node.class.is_some(), node.parent);
        state.current = parent.unwrap_or(0);
        if is_op {
            let least = state.peak.map_or(Duration::ZERO, |peak| peak.least_time(work));
            let mut at = Some(self.node);
            while let Some(node) = at.and_then(|at| state.nodes.get_mut(at)) {
                node.work += work;
                node.least += least;
                at = node.parent;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_counts_for_every_part_above_it() {
        let profile = Profile::default();
        profile.set_peak(Peak { flops: 100.0, bytes: 10.0 });
        for _ in 0..2 {
            let _forward = profile.span("forward");
            drop(profile.op(OpClass::Matmul, Work { flops: 200.0, bytes: 10.0 }));
            drop(profile.op(OpClass::Norm, Work { flops: 0.0, bytes: 30.0 }));
        }
        drop(profile.op(OpClass::Norm, Work { flops: 0.0, bytes: 10.0 }));
        let nodes = profile.nodes();
        let shown: Vec<_> = nodes.iter().map(|n| (n.name, n.parent, n.calls, n.least.as_secs())).collect();
        assert_eq!(
            shown,
            [
                ("all", None, 0, 11),
                ("forward", Some(0), 2, 10),
                ("matmul", Some(1), 2, 4),
                ("norms", Some(1), 2, 6),
                ("norms", Some(0), 1, 1)
            ]
        );
        assert_eq!(nodes[1].work, Work { flops: 400.0, bytes: 80.0 });
        assert!(nodes[1].time >= nodes[2].time + nodes[3].time);
    }

    #[test]
    fn what_is_noted_later_counts_for_the_operation_that_is_running() {
        let profile = Profile::default();
        profile.set_peak(Peak { flops: 1.0, bytes: 1.0 });
        profile.note(Work::traffic(9));
        let outer = profile.op(OpClass::Matmul, Work::new(5, 1));
        drop(profile.op(OpClass::Spmm, Work::new(1, 0)));
        // Of arithmetic and memory, what takes longer, for all of the operation at once.
        profile.note(Work::traffic(3));
        drop(outer);
        let shown: Vec<_> = profile.nodes().iter().map(|n| (n.name, n.work, n.least.as_secs())).collect();
        assert_eq!(
            shown,
            [("all", Work::new(6, 4), 6), ("matmul", Work::new(6, 4), 6), ("spmm", Work::new(1, 0), 1)]
        );
    }

    #[test]
    fn a_reset_keeps_the_peak_and_survives_what_is_running() {
        let profile = Profile::default();
        profile.set_peak(Peak { flops: 1.0, bytes: 1.0 });
        let running = profile.span("step");
        profile.reset();
        drop(running);
        assert_eq!((profile.nodes().len(), profile.peak().is_some()), (1, true));
    }
}
