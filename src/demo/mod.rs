//! The demo's generated world: text to pretrain a tiny Llama on and a text-to-SQL task to fine-tune it on.
//!
//! Everything is a function of a seed; nothing is downloaded. The pretraining text teaches every
//! word, copying and recall. That `pay` means the column `wage`, or that `average` means `AVG(…)`,
//! is said nowhere in it: those associations are what fine-tuning must store.

pub mod corpus;
mod draw;
pub mod query;
pub mod run;
pub mod schema;
pub mod task;
pub mod tokenizer;
