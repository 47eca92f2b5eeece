//! What kernels did and what it would cost on GPUs: one line a launch, or a table of all.

mod json;
mod text;

use crate::counters::Counters;
use crate::model::{Bound, Terms};
use crate::occupancy::Occupancy;
use crate::profile::Profile;
use crate::resources::{ResourceReport, Resources};
use std::collections::BTreeMap;

const GPUS: usize = Profile::ALL.len();

/// A launch that went well.
pub(crate) struct Record<'a> {
    pub(crate) kernel: &'a str,
    pub(crate) grid: [u32; 3],
    pub(crate) block: [u32; 3],
    /// Bytes of shared memory that the kernel has, and that the launch adds.
    pub(crate) static_shared: usize,
    pub(crate) dynamic_shared: usize,
    pub(crate) resources: &'a ResourceReport,
    pub(crate) counters: &'a Counters,
}

/// A launch on one GPU.
struct OnGpu {
    terms: Terms,
    /// What is known only if the PTX tells it.
    fit: Option<(Resources, Occupancy)>,
}

impl Record<'_> {
    fn on(&self, profile: &Profile) -> OnGpu {
        let fit = self.resources.get(self.kernel, profile.target).map(|resources| {
            let shared = resources.shared.max(self.static_shared) + self.dynamic_shared;
            (resources, Occupancy::new(profile, resources.registers, self.block.iter().product(), shared))
        });
        OnGpu { terms: Terms::new(profile, self.counters), fit }
    }

    /// The launch as a line of JSON.
    pub(crate) fn json(&self) -> String {
        json::record(self)
    }
}

/// All launches of a kernel.
struct Total {
    kernel: String,
    launches: u64,
    counters: Counters,
    gpus: [TotalOnGpu; GPUS],
}

/// All launches of a kernel on one GPU.
#[derive(Clone, Copy, Default)]
struct TotalOnGpu {
    /// The launches' modelled times, each under the part that binds it, in the order of [`Bound::ALL`].
    seconds: [f64; 5],
    resources: Option<Resources>,
    /// The lowest of any launch.
    occupancy: Option<f64>,
}

impl TotalOnGpu {
    fn add(&mut self, launch: &OnGpu) {
        let (seconds, bound) = launch.terms.largest();
        self.seconds[bound as usize] += seconds;
        if let Some((resources, occupancy)) = launch.fit {
            self.resources = Some(resources);
            let lowest = self.occupancy.unwrap_or(1.0);
            self.occupancy = Some(occupancy.fraction().min(lowest));
        }
    }

    fn sum(&self) -> f64 {
        self.seconds.iter().sum()
    }

    /// The part that binds for the largest part of the time.
    fn bound(&self) -> Bound {
        Terms(self.seconds).largest().1
    }
}

/// All launches of a process, by kernel.
#[derive(Default)]
pub(crate) struct Report {
    totals: Vec<Total>,
    /// The calls in which a host waits for the device, by name.
    waits: BTreeMap<&'static str, u64>,
}

impl Report {
    pub(crate) fn add(&mut self, record: &Record) {
        let at = self.totals.iter().position(|total| total.kernel == record.kernel);
        let at = at.unwrap_or_else(|| {
            self.totals.push(Total {
                kernel: record.kernel.to_owned(),
                launches: 0,
                counters: Counters::default(),
                gpus: Default::default(),
            });
            self.totals.len() - 1
        });
        let total = &mut self.totals[at];
        total.launches += 1;
        total.counters += record.counters;
        for (on, profile) in total.gpus.iter_mut().zip(Profile::ALL) {
            on.add(&record.on(profile));
        }
    }

    pub(crate) fn wait(&mut self, call: &'static str) {
        *self.waits.entry(call).or_default() += 1;
    }

    /// The kernels, the most expensive on the first GPU first.
    fn sorted(&self) -> Vec<&Total> {
        let mut totals: Vec<_> = self.totals.iter().collect();
        totals.sort_by(|a, b| b.gpus[0].sum().total_cmp(&a.gpus[0].sum()));
        totals
    }

    /// One JSON object with every counter.
    pub(crate) fn json(&self) -> String {
        json::report(self)
    }

    /// Tables for people.
    pub(crate) fn text(&self) -> String {
        text::report(self)
    }
}

#[cfg(test)]
mod tests;
