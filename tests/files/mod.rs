//! Every file that is read or written: what comes back, and what is said about bad ones.

mod adapter;
mod architecture;
mod bitsandbytes;
mod data;
pub mod gguf;
mod mask;
mod merge;
mod text;
mod weights;

use crate::support::files::{assert_says, temp_dir, write, write_json, write_tokenizer};
use std::path::{Path, PathBuf};

/// A file of shared development data, or `None` with a message where there is none.
fn shared(path: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared").join(path);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: {} is absent", path.display());
    None
}
