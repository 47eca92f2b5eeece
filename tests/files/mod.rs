//! Every file that is read or written: what comes back, and what is said about bad ones.

mod adapter;
mod architecture;
mod data;
mod mask;
mod text;
mod weights;

use rosa_kernels::error::Error;
use serde_json::Value;
use std::{
    fmt::Debug,
    fs,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// An empty directory, gone when dropped.
fn temp_dir() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// A file of shared development data, or `None` with a message where there is none.
fn shared(path: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared").join(path);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: {} is absent", path.display());
    None
}

fn write(dir: &Path, name: &str, content: impl AsRef<[u8]>) {
    fs::write(dir.join(name), content).expect("write a fixture");
}

fn write_json(dir: &Path, name: &str, content: &Value) {
    write(dir, name, content.to_string());
}

/// Asserts that `result` is an error whose message holds every one of `words`.
#[track_caller]
fn assert_says<T: Debug>(result: Result<T, Error>, words: &[&str]) {
    let message = result.expect_err("this must fail").to_string();
    for word in words {
        assert!(message.contains(word), "no {word:?} in: {message}");
    }
}
