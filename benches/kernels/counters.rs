//! What vgpu wrote down of the launches of a case.

use crate::{Case, musts::Must};
use serde_json::Value;
use std::{collections::BTreeMap, fs, path::PathBuf};

/// The file to which vgpu appends a line a launch.
pub struct Log {
    path: PathBuf,
    /// Bytes read so far.
    read: usize,
}

/// The sums over a case's launches.
#[derive(Default)]
pub struct Counted {
    pub warps: f64,
    pub threads: f64,
    pub sectors: f64,
    pub ideal: f64,
    pub conflicts: f64,
    pub wavefronts: f64,
    /// Modelled microseconds: the largest of what each part of the GPU takes for all launches.
    pub time: f64,
    /// The part that takes them.
    pub bound: String,
    /// Modelled microseconds of each part.
    pub parts: BTreeMap<String, f64>,
    /// Their kernels, in order.
    pub kernels: Vec<String>,
}

impl Log {
    pub fn new(path: PathBuf) -> Self {
        Self { path, read: 0 }
    }

    fn new_text(&mut self) -> String {
        let text = fs::read_to_string(&self.path).unwrap_or_default();
        let new = text[self.read..].to_owned();
        self.read = text.len();
        new
    }

    /// Forgets the launches until now.
    pub fn skip(&mut self) {
        self.new_text();
    }

    /// The launches since the last call, on the GPU that vgpu calls `device`.
    pub fn read(&mut self, device: &str) -> Counted {
        let mut sum = Counted::default();
        for line in self.new_text().lines() {
            let launch: Value = serde_json::from_str(line).expect("vgpu writes JSON");
            let count = |name: &str| launch["counters"][name].as_f64().expect("a counter");
            let all = |name: &str| {
                let classes = launch["counters"][name].as_object().expect("counts by class");
                classes.values().map(|count| count.as_f64().expect("a count")).sum::<f64>()
            };
            sum.warps += all("warp_instructions");
            sum.threads += all("thread_instructions");
            sum.sectors += count("sectors_read") + count("sectors_written");
            sum.ideal += count("sectors_ideal");
            sum.conflicts += count("bank_conflicts");
            sum.wavefronts += count("shared_wavefronts");
            for (part, time) in launch["gpus"][device]["terms"].as_object().expect("a time for each part") {
                *sum.parts.entry(part.clone()).or_default() += time.as_f64().expect("a time") * 1e6;
            }
            let kernel = launch["kernel"].as_str().unwrap_or("?").to_owned();
            if sum.kernels.last() != Some(&kernel) {
                sum.kernels.push(kernel);
            }
        }
        if let Some((bound, time)) = sum.slowest() {
            (sum.bound, sum.time) = (bound, time);
        }
        sum
    }
}

impl Counted {
    /// The part that takes longest, and its time.
    pub fn slowest(&self) -> Option<(String, f64)> {
        let slowest = self.parts.iter().max_by(|(_, a), (_, b)| a.total_cmp(b));
        slowest.map(|(part, &time)| (part.clone(), time))
    }

    /// A line of the table.
    pub fn line(&self, case: &Case, units: f64, must: &Must, held: bool) -> String {
        format!(
            "{:<14}{:>6}  {:<10}{:>8.2}{:>8.2}{:>7.2}{:>11.2}{:>9.2}  {:<8}{:<57}  {}",
            format!("{:?}", case.op),
            case.percent,
            format!("{:?}", case.clustering).to_lowercase(),
            self.warps / units,
            self.sectors / units,
            self.sectors / self.ideal,
            self.wavefronts / (self.wavefronts - self.conflicts).max(1.0),
            self.time,
            self.bound,
            format!("{must}{}", if held { "" } else { " MISSED" }),
            self.kernels.join(" ")
        )
    }
}
