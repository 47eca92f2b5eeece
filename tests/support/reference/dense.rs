//! The dense ops and the layers of a Llama.
