//! What nvcc made of `cuda/`, without running it: nothing spills, a kernel's registers and shared memory allow the
//! occupancy that its comment states, and the instructions that its comment names are in the machine code.
//!
//! In a `.cu` file these two lines stand above a kernel, the second where it claims something:
//! ```text
//! // Occupancy: 2 blocks of 256 threads a multiprocessor, 49152 bytes of shared memory each.
//! // Instructions: HMMA, LDSM, LDGSTS.
//! ```

use regex::Regex;
use rosa_kernels::backend::cuda::{RESOURCES, Resources, cubins};
use std::{collections::BTreeMap, fs, path::Path, process::Command};

/// What an A100's multiprocessor has, the smallest of all targets but for shared memory; and the shared memory of an
/// H100's, for the files that are compiled for 9.0 alone.
const REGISTERS: usize = 65_536;
const SHARED: usize = 164 * 1024;
const SHARED_90A: usize = 228 * 1024;
/// What the system keeps of it for each block.
const SHARED_RESERVED: usize = 1024;
const THREADS: usize = 2048;

/// A kernel as its source declares it.
struct Declared {
    file: String,
    blocks: usize,
    threads: usize,
    shared: usize,
    instructions: Vec<String>,
}

impl Declared {
    fn is_90a(&self) -> bool {
        self.file.ends_with("_90a")
    }
}

/// Every kernel of `cuda/`, by name.
fn declared() -> BTreeMap<String, Declared> {
    let kernel = Regex::new(
        r#"(?m)((?:^//.*\n)*)^extern "C" __global__ void\s+(?:__launch_bounds__\([^)]*\)\s+)?(\w+)\("#,
    )
    .expect("a pattern");
    let occupancy = Regex::new(
        r"Occupancy: (\d+) blocks? of (\d+) threads a multiprocessor(?:, (\d+) bytes of shared memory each)?\.",
    )
    .expect("a pattern");
    let instructions = Regex::new(r"Instructions: ([A-Z, ]+)\.").expect("a pattern");
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("cuda")).expect("the folder cuda") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "cu") {
            continue;
        }
        let file = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).expect("a source file");
        assert_eq!(
            text.matches("__global__ void").count(),
            kernel.captures_iter(&text).count(),
            "{file}.cu: a kernel is declared in a way that this test does not read"
        );
        for declaration in kernel.captures_iter(&text) {
            let (comment, name) = (&declaration[1], &declaration[2]);
            let stated = occupancy.captures(comment);
            let stated =
                stated.unwrap_or_else(|| panic!("{file}.cu: {name}: its comment states no occupancy"));
            let number =
                |i: usize| stated.get(i).map_or(0, |digits| digits.as_str().parse().expect("a number"));
            let claimed = instructions.captures(comment);
            let claimed =
                claimed.map(|list| list[1].split(", ").map(str::to_owned).collect()).unwrap_or_default();
            let declared = Declared {
                file: file.clone(),
                blocks: number(1),
                threads: number(2),
                shared: number(3),
                instructions: claimed,
            };
            assert!(found.insert(name.to_owned(), declared).is_none(), "two kernels are called {name}");
        }
    }
    found
}

fn resources(kernel: &str) -> impl Iterator<Item = &'static Resources> {
    let of = RESOURCES.iter().filter(move |r| r.kernel == kernel);
    of.inspect(|r| assert!(r.registers > 0, "{} on {}: the report names no registers", r.kernel, r.target))
}

#[test]
fn nothing_spills() {
    assert!(!RESOURCES.is_empty(), "the assembler reported nothing");
    for r in RESOURCES {
        assert_eq!((r.spill_stores, r.spill_loads), (0, 0), "{} spills on {}", r.kernel, r.target);
    }
}

#[test]
fn every_kernel_fits_as_often_as_its_comment_says() {
    let has_90 = cubins().any(|(_, target, _)| target == 90);
    for (name, kernel) in declared().into_iter().filter(|(_, kernel)| has_90 || !kernel.is_90a()) {
        let all_shared = if kernel.is_90a() { SHARED_90A } else { SHARED };
        assert!(resources(&name).next().is_some(), "{name}: the assembler did not report it");
        let Declared { blocks, threads, shared, .. } = kernel;
        assert!(
            blocks * threads <= THREADS,
            "{name}: {blocks} blocks of {threads} threads, {THREADS} are possible"
        );
        let taken = blocks * (shared + SHARED_RESERVED);
        assert!(
            taken <= all_shared,
            "{name}: {blocks} blocks take {taken} bytes of shared memory, there are {all_shared}"
        );
        for r in resources(&name) {
            // Registers are given out in units of 256 a warp.
            let warp = (r.registers as usize * 32).next_multiple_of(256);
            let taken = blocks * threads.div_ceil(32) * warp;
            assert!(
                taken <= REGISTERS,
                "{name} on {}: {blocks} blocks of {threads} threads with {} registers take {taken}, there are {REGISTERS}",
                r.target,
                r.registers
            );
            assert!(
                r.shared as usize <= shared,
                "{name} on {}: {} bytes of static shared memory, its comment says {shared} in all",
                r.target,
                r.shared
            );
        }
    }
}

#[test]
fn the_machine_code_holds_what_the_comments_claim() {
    let dir = crate::support::files::temp_dir();
    let declared = declared();
    for (file, target, cubin) in cubins() {
        let of_file: Vec<_> =
            declared.iter().filter(|(_, k)| k.file == file && !k.instructions.is_empty()).collect();
        if of_file.is_empty() {
            continue;
        }
        let path = dir.path().join(format!("{file}.sm_{target}.cubin"));
        fs::write(&path, cubin).expect("written");
        let output = Command::new("cuobjdump").arg("-sass").arg(&path).output();
        let output =
            output.unwrap_or_else(|e| panic!("cuobjdump: {e}; run  eval \"$(tools/cuda-toolkit)\"  first"));
        assert!(output.status.success(), "cuobjdump: {}", String::from_utf8_lossy(&output.stderr));
        let sass = String::from_utf8(output.stdout).expect("text");
        for (name, kernel) in of_file {
            let body = sass.split("Function : ").find(|part| part.split_whitespace().next() == Some(name));
            let body = body.unwrap_or_else(|| panic!("{name} is not in the machine code for {target}"));
            for instruction in &kernel.instructions {
                let there = body.split_whitespace().any(|word| word.split('.').next() == Some(instruction));
                assert!(there, "{name} on {target}: no {instruction} in its machine code");
            }
        }
    }
}
