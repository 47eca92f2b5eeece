//! The self-test of one device: every case proven, and timed where that is asked for.

use crate::cli::{
    print::put,
    progress::Progress,
    show::{self, row},
};
use rosa_kernels::{
    backend::Backend,
    error::Result,
    peak,
    profile::Work,
    selftest::{Case, Each, Layer, layer, proofs},
    tensor::Precision,
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

/// What a device can do at most: a GPU as it states itself, a CPU as measured.
#[derive(Clone, Copy, Debug, Serialize)]
struct Peaks {
    bytes_per_second: f64,
    /// bf16 operations: of a GPU those of its tensor cores, where the compute capability is known; of a CPU those of
    /// products with a bf16 weight.
    flops_per_second: Option<f64>,
    /// Operations of products with an f32 weight, of a CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    f32_flops_per_second: Option<f64>,
}

impl Peaks {
    fn measured<B: Backend>(be: &B) -> Result<Self> {
        let (bf16, f32) = (peak::measure(be, Precision::Bf16)?, peak::measure(be, Precision::F32)?);
        Ok(Self {
            bytes_per_second: bf16.bytes.max(f32.bytes),
            flops_per_second: Some(bf16.flops),
            f32_flops_per_second: Some(f32.flops),
        })
    }

    /// What shares are of, for people.
    fn words(self) -> String {
        let bytes = self.bytes_per_second / 1e9;
        match (self.flops_per_second, self.f32_flops_per_second) {
            (Some(bf16), Some(f32)) => format!(
                "% of {bytes:.0} GB/s and {:.0} GFLOP/s, which sums and bf16 products reach here (f32 ones {:.0})",
                bf16 / 1e9,
                f32 / 1e9
            ),
            (Some(bf16), None) => {
                format!(
                    "% of the {bytes:.0} GB/s and {:.0} TFLOP/s of bf16 that the device states",
                    bf16 / 1e12
                )
            }
            _ => format!("% of the {bytes:.0} GB/s that the device states"),
        }
    }
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
            Some(worst) if worst < 5e-4 => "<0.001".to_owned(),
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
        let peaks = Peaks {
            bytes_per_second: gpu.memory_rate(),
            flops_per_second: gpu.tensor_rate(),
            f32_flops_per_second: None,
        };
        Self { peaks: Some(peaks), ..self }
    }

    /// Proves every op on small operands.
    pub(super) fn prove<B: Backend>(&mut self, be: &B) {
        self.prove_all(|each| proofs(be, each));
    }

    /// Proves the products with S once more, on a backend that takes its values otherwise.
    #[cfg(feature = "cuda")]
    pub(super) fn prove_sparse_products<B: Backend>(&mut self, be: &B) {
        self.prove_all(|each| rosa_kernels::selftest::sparse_proofs(be, each));
    }

    fn prove_all(&mut self, cases: impl FnOnce(&mut Each<'_>)) {
        let mut progress = Progress::open("proof");
        cases(&mut |op, case| {
            progress.at(self.proofs.len() + 1, op.to_owned());
            self.proofs.push(Proven::of(op, case).0);
        });
        progress.finish();
    }

    /// Proves and times every op in the shapes of a layer, and measures the device's peaks where it states none.
    ///
    /// # Errors
    /// When the device has no memory for that measurement.
    pub(super) fn bench<B: Backend>(&mut self, be: &B) -> Result<()> {
        if self.peaks.is_none() {
            self.peaks = Some(Peaks::measured(be)?);
        }
        let mut progress = Progress::open("timing");
        layer(be, Layer::LLAMA_7B, &mut |op, case| {
            progress.at(self.layer.len() + 1, op.to_owned());
            let work = case.as_ref().map_or(Work::default(), |case| case.work);
            let (proven, case) = Proven::of(op, case);
            let seconds = case.and_then(|case| seconds(be, case).ok());
            self.layer.push(Timed { proven, work, seconds });
        });
        progress.finish();
        Ok(())
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

    /// Prints a line an op: its worst case.
    pub(super) fn print_proofs(&self) -> Result<()> {
        put!(
            "\nSelf-test on {}: {} cases against arithmetic in f64\n",
            self.device,
            show::count(self.proofs.len())
        )?;
        put!("{}", show::table_of(2, &self.proof_rows()))
    }

    /// Prints a line for each op of a layer: its time, and what that makes of the device.
    pub(super) fn print_layer(&self) -> Result<()> {
        let shares = self.peaks.map_or(String::new(), |peaks| format!("; {}", peaks.words()));
        put!("\nA layer of Llama 2 7B, 512 tokens{shares}\n")?;
        put!("{}", show::table_of(2, &self.layer_rows()))
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
        let peak_bytes = self.peaks.map(|peaks| peaks.bytes_per_second);
        let peak_flops = self.peaks.and_then(|peaks| peaks.flops_per_second);
        let (unit, flops_head) = match peak_flops {
            Some(peak) if peak < 1e13 => (1e9, "GFLOP/s"),
            _ => (1e12, "TFLOP/s"),
        };
        let cells = |timed: &Timed, amount: f64, unit: f64, peak: Option<f64>| {
            let rate = timed.seconds.map(|seconds| amount / seconds).filter(|rate| *rate > 0.0);
            let share = rate.zip(peak).map(|(rate, peak)| format!("{:.0}", 100.0 * rate / peak));
            [rate.map_or(String::new(), |rate| show::three_digits(rate / unit)), share.unwrap_or_default()]
        };
        let mut rows = vec![row!["op", "shape", "time", "GB/s", "%", flops_head, "%", "error / bound", ""]];
        for timed in &self.layer {
            let [bytes, of_memory] = cells(timed, timed.work.bytes, 1e9, peak_bytes);
            let [flops, of_flops] = cells(timed, timed.work.flops, unit, peak_flops);
            let time = timed.seconds.map_or("-".to_owned(), show::short_time);
            let [error, result] = timed.proven.cells();
            let (op, shape) = (timed.proven.op, &timed.proven.shape);
            rows.push(row![op, shape, time, bytes, of_memory, flops, of_flops, error, result]);
        }
        rows
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
        let work = Work::new(1, 4);
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
