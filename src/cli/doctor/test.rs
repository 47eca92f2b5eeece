//! The self-test of one device: every case proven, and timed where that is asked for.

use crate::cli::{
    print::put,
    show::{self, row},
};
use rosa_kernels::{
    backend::Backend,
    error::Result,
    selftest::{Case, Layer, Work, layer, proofs},
};
use serde::Serialize;
use std::time::{Duration, Instant};

/// How long an op is timed for, at least.
const LONG_ENOUGH: Duration = Duration::from_millis(20);

/// What a device did.
#[derive(Serialize)]
pub(super) struct DeviceTest {
    pub(super) device: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    peaks: Option<Peaks>,
    /// Small cases, which reach every kernel.
    proofs: Vec<Proven>,
    /// The shapes of a layer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    layer: Vec<Timed>,
}

/// What a device can do at most, as it states itself.
#[derive(Clone, Copy, Debug, Serialize)]
struct Peaks {
    bytes_per_second: f64,
    /// bf16 operations on tensor cores, where the compute capability is known.
    flops_per_second: Option<f64>,
}

/// A case and its largest error.
#[derive(Serialize)]
struct Proven {
    op: &'static str,
    shape: String,
    ok: bool,
    /// The largest error over its bound; nothing where it is no number.
    worst: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// A case that was also timed.
#[derive(Serialize)]
struct Timed {
    #[serde(flatten)]
    proven: Proven,
    work: Work,
    seconds: Option<f64>,
}

impl Proven {
    /// Runs a case, or takes it for failed where that is impossible; the case, to be run again.
    fn of(op: &'static str, case: Result<Case>) -> (Self, Option<Case>) {
        let failed = |shape, error: rosa_kernels::error::Error| Self {
            op,
            shape,
            ok: false,
            worst: None,
            problem: Some(error.to_string()),
        };
        let mut case = match case {
            Ok(case) => case,
            Err(error) => return (failed(String::new(), error), None),
        };
        let shape = case.shape.clone();
        match case.prove() {
            Err(error) => (failed(shape, error), None),
            Ok(verdict) => {
                let worst = Some(verdict.worst).filter(|worst| worst.is_finite());
                (Self { op, shape, ok: verdict.holds(), worst, problem: None }, Some(case))
            }
        }
    }

    /// The largest error over its bound, for people; infinite where there is none.
    fn size(&self) -> f64 {
        self.worst.unwrap_or(f64::INFINITY)
    }

    fn cells(&self) -> [String; 2] {
        let result = match &self.problem {
            Some(problem) => format!("FAILED: {problem}"),
            None if self.ok => "ok".to_owned(),
            None => "WRONG".to_owned(),
        };
        let worst = match self.worst {
            Some(0.0) => "exact".to_owned(),
            Some(worst) => format!("{worst:.3}"),
            None => "-".to_owned(),
        };
        [worst, result]
    }
}

impl DeviceTest {
    pub(super) fn of(device: &str) -> Self {
        Self { device: device.to_owned(), peaks: None, proofs: Vec::new(), layer: Vec::new() }
    }

    #[cfg(feature = "cuda")]
    pub(super) fn with_peaks(self, gpu: &rosa_kernels::backend::cuda::Properties) -> Self {
        let peaks = Peaks { bytes_per_second: gpu.memory_rate(), flops_per_second: gpu.tensor_rate() };
        Self { peaks: Some(peaks), ..self }
    }

    /// Proves every op on small operands.
    pub(super) fn prove<B: Backend>(&mut self, be: &B) {
        proofs(be, &mut |op, case| self.proofs.push(Proven::of(op, case).0));
    }

    /// Proves the products with S once more, on a backend that takes its values otherwise.
    #[cfg(feature = "cuda")]
    pub(super) fn prove_sparse_products<B: Backend>(&mut self, be: &B) {
        rosa_kernels::selftest::sparse_proofs(be, &mut |op, case| self.proofs.push(Proven::of(op, case).0));
    }

    /// Proves and times every op in the shapes of a layer.
    pub(super) fn bench<B: Backend>(&mut self, be: &B) {
        layer(be, Layer::LLAMA_7B, &mut |op, case| {
            let work = case.as_ref().map_or(Work { bytes: 0, flops: 0 }, |case| case.work);
            let (proven, case) = Proven::of(op, case);
            let seconds = case.and_then(|case| seconds(be, case).ok());
            self.layer.push(Timed { proven, work, seconds });
        });
    }

    pub(super) fn cases(&self) -> usize {
        self.all().count()
    }

    pub(super) fn failed(&self) -> usize {
        self.all().filter(|proven| !proven.ok).count()
    }

    fn all(&self) -> impl Iterator<Item = &Proven> {
        self.proofs.iter().chain(self.layer.iter().map(|timed| &timed.proven))
    }

    /// Prints a line an op: its worst case, and its times.
    pub(super) fn print(&self) -> Result<()> {
        put!("\nSelf-test on {}: {} cases against arithmetic in f64\n", self.device, self.cases())?;
        put!("{}", show::table(&self.proof_rows()))?;
        if !self.layer.is_empty() {
            put!("\nA layer of Llama 2 7B, 512 tokens{}\n", self.peak_words())?;
            put!("{}", show::table(&self.layer_rows()))?;
        }
        Ok(())
    }

    /// A line an op, in the order of their first cases.
    fn proof_rows(&self) -> Vec<Vec<String>> {
        let mut rows = vec![row!["op", "worst case", "cases", "error / bound", ""]];
        let mut seen: Vec<&str> = Vec::new();
        for first in &self.proofs {
            if seen.contains(&first.op) {
                continue;
            }
            seen.push(first.op);
            let cases: Vec<_> = self.proofs.iter().filter(|proven| proven.op == first.op).collect();
            let worst = cases.iter().max_by(|a, b| a.size().total_cmp(&b.size())).unwrap_or(&first);
            let [error, result] = worst.cells();
            rows.push(row![first.op, worst.shape, cases.len(), error, result]);
        }
        rows
    }

    fn layer_rows(&self) -> Vec<Vec<String>> {
        let mut rows = vec![row!["op", "shape", "µs", "GB/s", "%", "TFLOP/s", "%", "error / bound", ""]];
        let rate = |timed: &Timed, amount: usize, unit: f64, peak: Option<f64>| {
            let per_second = timed.seconds.map(|seconds| amount as f64 / seconds);
            let shown = per_second.filter(|rate| *rate > 0.0);
            let share = shown.zip(peak).map(|(rate, peak)| format!("{:.0}", 100.0 * rate / peak));
            let digits = if unit > 1e10 { 2 } else { 0 };
            [
                shown.map_or(String::new(), |rate| format!("{:.digits$}", rate / unit)),
                share.unwrap_or_default(),
            ]
        };
        for timed in &self.layer {
            let Peaks { bytes_per_second, flops_per_second } =
                self.peaks.unwrap_or(Peaks { bytes_per_second: f64::NAN, flops_per_second: None });
            let memory = Some(bytes_per_second).filter(|peak| peak.is_finite());
            let [bytes, of_memory] = rate(timed, timed.work.bytes, 1e9, memory);
            let [flops, of_tensors] = rate(timed, timed.work.flops, 1e12, flops_per_second);
            let time = timed.seconds.map_or("-".to_owned(), |seconds| format!("{:.1}", 1e6 * seconds));
            let [error, result] = timed.proven.cells();
            let (op, shape) = (timed.proven.op, &timed.proven.shape);
            rows.push(row![op, shape, time, bytes, of_memory, flops, of_tensors, error, result]);
        }
        rows
    }

    fn peak_words(&self) -> String {
        let Some(peaks) = self.peaks else { return String::new() };
        let tensors = peaks.flops_per_second.map(|rate| format!(" and {:.0} TFLOP/s of bf16", rate / 1e12));
        format!(
            "; % of the {:.0} GB/s{} that the device states",
            peaks.bytes_per_second / 1e9,
            tensors.unwrap_or_default()
        )
    }
}

/// The mean time of a run, of as many, queued at once, as take [`LONG_ENOUGH`].
fn seconds<B: Backend>(be: &B, mut case: Case) -> Result<f64> {
    let mut runs = 1;
    loop {
        be.synchronize()?;
        let started = Instant::now();
        for _ in 0..runs {
            case.run()?;
        }
        be.synchronize()?;
        let elapsed = started.elapsed();
        if elapsed >= LONG_ENOUGH || runs >= 1 << 14 {
            return Ok(elapsed.as_secs_f64() / f64::from(runs));
        }
        runs *= 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rosa_kernels::error::Error;

    /// A case whose one number should be 1, and is `got`.
    fn case(got: f32) -> Case {
        let work = Work { bytes: 4, flops: 1 };
        Case::new(
            "one number".to_owned(),
            work,
            vec![0.0],
            move |out| {
                out[0] = got;
                Ok(())
            },
            |out: &Vec<f32>, verdict| {
                verdict.equal(out, &[1.0]);
                Ok(())
            },
        )
    }

    #[test]
    fn a_wrong_result_fails_and_is_what_its_op_shows() {
        let mut test = DeviceTest::of("a device");
        test.proofs.push(Proven::of("good", Ok(case(1.0))).0);
        test.proofs.push(Proven::of("op", Ok(case(1.0))).0);
        assert_eq!((test.failed(), test.cases()), (0, 2));
        test.proofs.push(Proven::of("op", Ok(case(0.5))).0);
        test.proofs.push(Proven::of("op", Err(Error::NoDriver)).0);
        assert_eq!((test.failed(), test.cases()), (2, 4));
        let rows = test.proof_rows();
        assert_eq!(rows[1][..], row!["good", "one number", 1, "exact", "ok"]);
        assert_eq!(rows[2][2], "3");
        assert!(rows[2][4].starts_with("FAILED: this machine has no CUDA driver"), "{rows:?}");
        test.proofs.pop();
        assert_eq!(test.proof_rows()[2][..], row!["op", "one number", 2, "-", "WRONG"]);
    }
}
