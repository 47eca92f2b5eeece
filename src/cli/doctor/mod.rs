//! `rosa-mini doctor`.

mod machine;
mod test;

use super::print::{note, putln};
use clap::Args;
use machine::Machine;
use rosa_kernels::{
    backend::{Backend, cpu::Cpu},
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
    /// Also time each operation in the shapes of a layer of Llama 2 7B with 512 tokens: a minute's work at most, in a
    /// release build
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

/// Tests a device, `more` after the proofs that every device has, and prints what comes of it as soon as it is there.
fn test<B: Backend>(
    args: &DoctorArgs,
    be: &B,
    mut test: DeviceTest,
    more: impl FnOnce(&mut DeviceTest),
) -> Result<DeviceTest> {
    test.prove(be);
    more(&mut test);
    if !args.json {
        test.print_proofs()?;
    }
    if args.bench {
        test.bench(be)?;
        if !args.json {
            test.print_layer()?;
        }
    }
    Ok(test)
}

pub(super) fn run(args: &DoctorArgs) -> Result<()> {
    let cpu = Cpu::new(None)?;
    let machine = Machine::find(&cpu);
    if !args.json {
        machine.print()?;
    }
    if args.bench && cfg!(debug_assertions) {
        note!("remark    this is a debug build: it takes many times as long, and its times say nothing");
    }
    let mut tests = Vec::new();
    let of_cpu = test(args, &cpu, DeviceTest::of("the CPU"), |_| {})?;
    tests.push(of_cpu);
    #[cfg(feature = "cuda")]
    for gpu in (0..machine.gpus()).map(rosa_kernels::backend::cuda::Cuda::new) {
        use rosa_kernels::backend::cuda::SparseValues;
        let gpu = gpu?;
        let of_gpu = DeviceTest::of(&gpu.properties().name).with_peaks(gpu.properties());
        let in_f32 = gpu.clone().with_sparse_values(SparseValues::F32);
        tests.push(test(args, &gpu, of_gpu, |test| test.prove_sparse_products(&in_f32))?);
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
