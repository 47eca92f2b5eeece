//! A progress bar on a terminal; a line now and then elsewhere.

use super::print::note;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    io::{self, IsTerminal},
    time::{Duration, Instant},
};

/// How often a line is printed where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// The progress of something with a known number of steps.
pub(super) struct Progress {
    bar: ProgressBar,
    what: &'static str,
    terminal: bool,
    last_line: Instant,
    last_position: u64,
}

impl Progress {
    /// Progress of `what`, `done` of `total` steps in, on stderr.
    pub(super) fn new(what: &'static str, done: usize, total: usize) -> Self {
        let terminal = io::stderr().is_terminal();
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(total as u64), target).with_position(done as u64);
        let style = "{prefix} {wide_bar:.cyan/dim} {pos}/{len}  {msg}  {eta} left";
        bar.set_style(ProgressStyle::with_template(style).expect("a valid template"));
        bar.set_prefix(what);
        bar.reset_eta();
        Self { bar, what, terminal, last_line: Instant::now(), last_position: done as u64 }
    }

    /// Progress of `what`, of which nobody knows how many steps it has.
    pub(super) fn open(what: &'static str) -> Self {
        let progress = Self::new(what, 0, 0);
        progress.bar.unset_length();
        let style = "{prefix} {pos}  {msg}  {elapsed}";
        progress.bar.set_style(ProgressStyle::with_template(style).expect("a valid template"));
        progress
    }

    /// Moves to `position` and shows `message`.
    pub(super) fn at(&mut self, position: usize, message: String) {
        self.bar.set_position(position as u64);
        self.bar.set_message(message.clone());
        // What may be short says nothing at once.
        let first = self.last_position == 0 && self.bar.length().is_some();
        if !self.terminal && (first || self.last_line.elapsed() >= LINE_EVERY) {
            let mut line = format!("{} {position}", self.what);
            if let Some(total) = self.bar.length() {
                line += &format!("/{total}");
            }
            if !message.is_empty() {
                line += &format!("  {message}");
            }
            if !first && self.bar.length().is_some() {
                line += &format!("  {} left", super::show::duration(self.bar.eta()));
            }
            note!("{line}");
            self.last_line = Instant::now();
        }
        self.last_position = position as u64;
    }

    /// Prints a line above the bar.
    pub(super) fn note(&self, line: &str) {
        if self.terminal {
            self.bar.println(line);
        } else {
            note!("{line}");
        }
    }

    /// Removes the bar.
    pub(super) fn finish(self) {
        self.bar.finish_and_clear();
    }
}
