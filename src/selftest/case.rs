//! An op with its operands, ready to run.

use super::Verdict;
use crate::{error::Result, profile::Work};

/// An op on operands that lie on a device.
pub struct Case {
    /// Its sizes, for people.
    pub shape: String,
    /// What it has to do.
    pub work: Work,
    problem: Box<dyn Problem>,
}

trait Problem {
    fn run(&mut self) -> Result<()>;
    fn judge(&self, verdict: &mut Verdict) -> Result<()>;
}

/// The outputs `S`, how to make them, and what they should be.
struct Made<S, R, J> {
    outputs: S,
    run: R,
    judge: J,
}

impl<S, R: FnMut(&mut S) -> Result<()>, J: Fn(&S, &mut Verdict) -> Result<()>> Problem for Made<S, R, J> {
    fn run(&mut self) -> Result<()> {
        (self.run)(&mut self.outputs)
    }
    fn judge(&self, verdict: &mut Verdict) -> Result<()> {
        (self.judge)(&self.outputs, verdict)
    }
}

impl Case {
    /// `run` makes or changes `outputs`; `judge` compares them, as they are after one run.
    pub fn new<S: 'static>(
        shape: String,
        work: Work,
        outputs: S,
        run: impl FnMut(&mut S) -> Result<()> + 'static,
        judge: impl Fn(&S, &mut Verdict) -> Result<()> + 'static,
    ) -> Self {
        Self { shape, work, problem: Box::new(Made { outputs, run, judge }) }
    }

    /// Queues the op.
    ///
    /// # Errors
    /// Those of the op.
    pub fn run(&mut self) -> Result<()> {
        self.problem.run()
    }

    /// Runs the op for the first time and compares what it made with what it should have.
    ///
    /// # Errors
    /// Those of the op, or when work queued on the device failed.
    pub fn prove(&mut self) -> Result<Verdict> {
        let mut verdict = Verdict::default();
        self.problem.run()?;
        self.problem.judge(&mut verdict)?;
        Ok(verdict)
    }
}
