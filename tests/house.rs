//! The house rules that a compiler does not check: which module may use which, where `unsafe` may stand, that
//! nothing below `main` reads the environment.

use regex::Regex;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// The library's modules, bottom to top: each may use only those of the lines above its own (and itself).
const ORDER: &[&[&str]] = &[
    &["error", "memory", "profile"],
    &["num", "map", "json", "pattern"],
    &["device"],
    &["nf4"],
    &["rng", "tensor", "sparse", "packing", "architecture", "text"],
    &["backend", "gguf"],
    &["ops"],
    &["param", "pass", "peak", "selftest"],
    &["adapter", "optim", "schedule", "data"],
    &["layers"],
    &["model"],
    &["mask", "generate"],
    &["eval", "checkpoint"],
    &["options"],
    &["plan", "train"],
    &["demo"],
];

/// Where `unsafe` may stand: the one line per op that calls the backend, the backend's own signatures, strided
/// and small products, memory that is lent out, squares that are turned in registers, products at entries whose place is
/// proven once a mask, products by instructions that need proof of the machine, the CUDA driver and the launches, and the
/// one place that maps files.
const UNSAFE: &[&str] = &[
    "src/ops/",
    "src/backend/mod.rs",
    "src/backend/cpu/mod.rs",
    "src/backend/cpu/dots.rs",
    "src/backend/cpu/strided.rs",
    "src/backend/cpu/small.rs",
    "src/backend/cpu/spare.rs",
    "src/backend/cpu/turn.rs",
    "src/backend/cpu/packed/",
    "src/backend/cuda/",
    "src/map.rs",
];

fn sources(dir: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("a source folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = fs::read_to_string(&path).expect("a source file");
            let code: Vec<_> = text.lines().map(|line| line.split("//").next().unwrap_or("")).collect();
            found.push((path, code.join("\n")));
        }
    }
    found
}

fn library() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let name = |path: PathBuf| path.strip_prefix(root).expect("below the root").display().to_string();
    let all = sources(&root.join("src")).into_iter().map(|(path, code)| (name(path), code));
    all.filter(|(path, _)| !path.starts_with("src/cli") && path != "src/main.rs" && path != "src/lib.rs")
        .collect()
}

/// The modules named after `crate::` in `code`, alone or in a braced list.
fn uses(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        let word = |s: &str| {
            s.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>()
        };
        if !rest.starts_with('{') {
            found.insert(word(rest));
            continue;
        }
        let mut depth = 0;
        let mut item = String::new();
        for c in rest.chars() {
            depth += i32::from(c == '{') - i32::from(c == '}');
            if (c == ',' && depth == 1) || depth == 0 {
                found.insert(word(&item));
                item.clear();
            } else if !(c == '{' && depth == 1) {
                item.push(c);
            }
            if depth == 0 {
                break;
            }
        }
    }
    found.into_iter().filter(|name| !name.is_empty()).collect()
}

#[test]
fn a_module_uses_only_what_stands_before_it() {
    let level = |module: &str| ORDER.iter().position(|line| line.contains(&module));
    for (path, code) in library() {
        let module = path["src/".len()..].split(['/', '.']).next().expect("a module");
        let own =
            level(module).unwrap_or_else(|| panic!("{path}: {module} is missing from the order of modules"));
        for used in uses(&code).iter().filter(|used| *used != module) {
            let below = level(used).is_none_or(|other| other < own);
            assert!(below, "{path} uses {used}, which does not stand below {module}");
        }
    }
}

#[test]
fn unsafe_stands_only_where_it_may() {
    for (path, code) in library() {
        let allowed = UNSAFE.iter().any(|place| path.starts_with(place));
        assert!(
            allowed || !code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe"),
            "{path} holds unsafe code"
        );
    }
}

#[test]
fn nothing_below_main_reads_the_environment() {
    for (path, code) in library() {
        assert!(!code.contains("env::var"), "{path} reads an environment variable");
    }
}

#[test]
fn one_file_names_the_driver() {
    for (path, code) in library() {
        assert!(!code.contains("cudarc") || path == "src/backend/cuda/driver.rs", "{path} names cudarc");
    }
}

/// A kernel and its argument struct are paired by hand in Rust; what the `.cu` file says must be the same.
#[test]
fn kernels_are_launched_with_the_arguments_that_they_take() {
    let declared = Regex::new(r"(\w+)\(const __grid_constant__ (\w+) a\)").expect("a pattern");
    let launched = Regex::new(r#"Kernel<(\w+)>\s*=\s*Kernel::new\("(\w+)",\s*"(\w+)"\)"#).expect("a pattern");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut kernels = BTreeMap::new();
    for entry in fs::read_dir(root.join("cuda")).expect("the folder cuda") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|e| e == "cu") {
            let file = path.file_stem().expect("a name").to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).expect("a source file");
            let of_file = declared.captures_iter(&text);
            kernels.extend(
                of_file
                    .map(|c| (c[2].to_owned(), c[1].to_owned()))
                    .map(|(args, name)| ((file.clone(), name), args)),
            );
        }
    }
    assert!(!kernels.is_empty(), "no kernel found");
    for (path, code) in sources(&root.join("src/backend/cuda")) {
        for launch in launched.captures_iter(&code) {
            let key = (launch[2].to_owned(), launch[3].to_owned());
            let takes = kernels.remove(&key);
            assert_eq!(
                takes.as_deref(),
                Some(&launch[1]),
                "{}: kernel {} of {}.cu",
                path.display(),
                key.1,
                key.0
            );
        }
    }
    assert!(kernels.is_empty(), "kernels that nothing launches: {kernels:?}");
}
