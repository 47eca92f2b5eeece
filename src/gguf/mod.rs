//! GGUF files, the format of llama.cpp: a model's weights, numbers, tokenizer and chat template in one file.
//!
//! [`Gguf`] reads and checks the file, [`blocks`] its element types; [`architecture`], [`weights`] and [`tokenizer`]
//! say what it holds in the terms of a Hugging Face directory.
//!
//! Source: the format's description, `docs/gguf.md` of ggml.

pub mod architecture;
pub mod blocks;
mod reader;
pub mod tokenizer;
mod value;
pub mod weights;

pub use reader::{Gguf, Tensor};
pub use value::{FromValue, Value};
