//! Writes `src/backend/cuda/kernels.rs`, the Rust form of `cuda/include/kernels.h`; with `--check` it only says whether
//! the committed file is what it would write. Needs libclang, which `eval "$(tools/cuda-toolkit)"` brings.

use bindgen::callbacks::{DeriveInfo, IntKind, ParseCallbacks, TypeKind};
use std::{fs, path::Path, process::ExitCode};

const HEADER: &str = "cuda/include/kernels.h";
const OUTPUT: &str = "src/backend/cuda/kernels.rs";

/// Argument structs are plain data; constants are 32-bit counts, as on the device.
#[derive(Debug)]
struct Seam;

impl ParseCallbacks for Seam {
    fn add_derives(&self, info: &DeriveInfo<'_>) -> Vec<String> {
        match info.kind {
            TypeKind::Struct => vec!["bytemuck::Pod".into(), "bytemuck::Zeroable".into()],
            _ => Vec::new(),
        }
    }

    fn int_macro(&self, _: &str, _: i64) -> Option<IntKind> {
        Some(IntKind::U32)
    }
}

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let check = std::env::args().any(|argument| argument == "--check");
    match run(&root, check) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn run(root: &Path, check: bool) -> Result<(), String> {
    let text = bindings(&root.join(HEADER))?;
    let output = root.join(OUTPUT);
    if !check {
        return fs::write(&output, text).map_err(|e| format!("{OUTPUT}: cannot write: {e}"));
    }
    let committed = fs::read_to_string(&output).map_err(|e| format!("{OUTPUT}: cannot read: {e}"))?;
    let differs = committed.lines().zip(text.lines()).position(|(old, new)| old != new);
    let line = differs.or((committed != text).then(|| committed.lines().count().min(text.lines().count())));
    line.map_or(Ok(()), |line| {
        Err(format!(
            "{OUTPUT}, line {}: is not what {HEADER} gives; run  cargo run -p bindings  and commit the result",
            line + 1
        ))
    })
}

fn bindings(header: &Path) -> Result<String, String> {
    let path = header.to_str().ok_or("the repository's path is not UTF-8")?;
    let builder = bindgen::Builder::default()
        .header(path)
        .parse_callbacks(Box::new(Seam))
        .allowlist_type("[A-Z].*")
        .allowlist_var("[A-Z].*")
        .blocklist_item("(INT|UINT|SIZE|PTRDIFF|SIG_ATOMIC|WCHAR|WINT)[0-9A-Z_]*(MIN|MAX|WIDTH)")
        .generate_comments(false) // the header explains them; they are read there
        .raw_line("//! The Rust form of `cuda/include/kernels.h`, which explains it. Written by `cargo run -p bindings`.")
        .raw_line("#![allow(unreachable_pub, dead_code)]")
        .disable_header_comment()
        .use_core()
        .layout_tests(true)
        .formatter(bindgen::Formatter::Prettyplease);
    builder.generate().map(|bindings| bindings.to_string()).map_err(|e| format!("{HEADER}: {e}"))
}
