//! 4-bit weights.

use crate::error::Error;

/// What an op says that has no kernel for a 4-bit weight.
pub(super) fn missing() -> Error {
    Error::setting("base", "nf4", "f32 or bf16 on a GPU")
}
