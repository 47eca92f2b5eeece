//! `rosa-mini doctor`.

mod machine;
mod test;

use super::print::putln;
use clap::Args;
use machine::Machine;
use rosa_kernels::{
    backend::cpu::Cpu,
    error::{Error, Result},
};
use serde::Serialize;
use test::DeviceTest;

/// Say what this machine and this binary offer, and prove every kernel on it.
///
/// Each operation runs on small operands, on the CPU and on every GPU, and is compared with naive arithmetic in f64.
/// Exits with 1 where an error passes its bound.
#[derive(Args)]
pub(super) struct DoctorArgs {
    /// Also time each operation in the shapes of a layer of Llama 2 7B with 512 tokens, a minute's work
    #[arg(long)]
    bench: bool,
    /// Print the result as JSON on stdout
    #[arg(long)]
    json: bool,
}

/// What is printed with `--json`.
#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    machine: Machine,
    tests: Vec<DeviceTest>,
}

pub(super) fn run(args: &DoctorArgs) -> Result<()> {
    let cpu = Cpu::new(None)?;
    let machine = Machine::find(&cpu);
    if !args.json {
        machine.print()?;
    }
    let mut tests = Vec::new();
    let mut finish = |test: DeviceTest| {
        let printed = if args.json { Ok(()) } else { test.print() };
        tests.push(test);
        printed
    };
    let mut test = DeviceTest::of("the CPU");
    test.prove(&cpu);
    if args.bench {
        test.bench(&cpu);
    }
    finish(test)?;
    #[cfg(feature = "cuda")]
    for gpu in (0..machine.gpus()).map(rosa_kernels::backend::cuda::Cuda::new) {
        use rosa_kernels::backend::cuda::SparseValues;
        let gpu = gpu?;
        let mut test = DeviceTest::of(&gpu.properties().name).with_peaks(gpu.properties());
        test.prove(&gpu);
        test.prove_sparse_products(&gpu.clone().with_sparse_values(SparseValues::F32));
        if args.bench {
            test.bench(&gpu);
        }
        finish(test)?;
    }
    let report = Report { machine, tests };
    if args.json {
        putln!("{}", serde_json::to_string_pretty(&report).expect("the report is plain data"))?;
    }
    match report.tests.iter().find(|test| test.failed() > 0) {
        None => Ok(()),
        Some(test) => {
            Err(Error::SelfTest { device: test.device.clone(), failed: test.failed(), cases: test.cases() })
        }
    }
}
