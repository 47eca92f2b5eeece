//! Tiny models and runs: a whole training run takes a fraction of a second.

use super::files::{write, write_tokenizer};
use clap::Parser;
use rosa_kernels::{
    architecture::{Architecture, RopeScaling},
    backend::{Backend, cpu::Cpu},
    checkpoint::merge,
    data::Example,
    error::Result,
    model::{Model, WeightSource},
    ops,
    options::TrainOptions,
    rng::{Purpose, Stream},
    tensor::{Frozen, Matrix},
    train::Trainer,
};
use serde_json::json;
use std::{iter, path::Path};

/// Two layers, grouped queries, biases on q, k and v, a head of its own.
pub fn architecture() -> Architecture {
    Architecture {
        model_type: "qwen2".to_owned(),
        vocab_size: 50,
        hidden_size: 16,
        intermediate_size: 24,
        layers: 2,
        heads: 4,
        kv_heads: 2,
        head_dim: 4,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        rope_scaling: RopeScaling::None,
        max_position_embeddings: 64,
        tie_word_embeddings: false,
        qkv_bias: true,
        o_bias: false,
        mlp_bias: false,
        sliding_window: None,
        bos_token_id: Some(1),
        eos_token_ids: vec![2],
    }
}

/// The same with the embedding's table as its head.
pub fn tied() -> Architecture {
    Architecture { tie_word_embeddings: true, ..architecture() }
}

/// Weights that keep the size of what flows through them, gains around 1, biases around 0: large enough that
/// everything that bends does.
struct Lively<'a, B: Backend> {
    be: &'a B,
    drawn: u64,
}

impl<B: Backend> Lively<'_, B> {
    fn normals(&mut self, count: usize) -> impl Iterator<Item = f32> + use<B> {
        self.drawn += 1;
        let stream = Stream::new(7, Purpose::Init, 2, self.drawn);
        (0..count as u64).map(move |i| stream.normal(i))
    }
}

impl<B: Backend> WeightSource<B> for Lively<'_, B> {
    fn matrix(&mut self, _: &str, rows: usize, cols: usize) -> Result<Frozen<B>> {
        let values = self.normals(rows * cols).map(|x| x / (cols as f32).sqrt()).collect();
        Ok(Frozen::F32(Matrix::upload(self.be, rows, cols, values)?))
    }

    fn vector(&mut self, name: &str, len: usize) -> Result<Matrix<B, f32>> {
        let center = if name.ends_with(".bias") { 0.0 } else { 1.0 };
        let values = self.normals(len).map(|x| center + 0.2 * x).collect();
        Matrix::upload(self.be, 1, len, values)
    }
}

/// A model of this shape, always with the same weights.
pub fn model<B: Backend>(be: &B, architecture: Architecture) -> Model<B> {
    Model::new(be, architecture, 64, &mut Lively { be, drawn: 0 }).expect("a tiny model")
}

/// [`Lively`] weights in 4 bits, with the magnitudes quantized too.
struct Quantized<'a, B: Backend>(Lively<'a, B>);

impl<B: Backend> WeightSource<B> for Quantized<'_, B> {
    fn matrix(&mut self, name: &str, rows: usize, cols: usize) -> Result<Frozen<B>> {
        let Frozen::F32(w) = self.0.matrix(name, rows, cols)? else { unreachable!("they are f32") };
        Ok(Frozen::Nf4(ops::nf4_quantize(self.0.be, &w, 32)?.double_quantize(self.0.be)?))
    }

    fn vector(&mut self, name: &str, len: usize) -> Result<Matrix<B, f32>> {
        self.0.vector(name, len)
    }
}

/// The same with every matrix, tables included, in 4 bits.
pub fn quantized<B: Backend>(be: &B, architecture: Architecture) -> Model<B> {
    let mut source = Quantized(Lively { be, drawn: 0 });
    Model::new(be, architecture, 64, &mut source).expect("a tiny model")
}

/// Options of a small run with `flags` in place of its own.
pub fn options(flags: &str) -> TrainOptions {
    #[derive(Parser)]
    #[command(args_override_self = true)]
    struct Flags {
        #[command(flatten)]
        options: TrainOptions,
    }
    const OWN: &str = "tiny --model model --data data --out out --rank 2 --density 0.1 --dropout 0 --schedule wl2 \
        --lr 1e-2 --lora-lr 1e-2 --warmup-steps 0 --batch 6 --micro-batch 2 --steps 6 --seq 64";
    let flags = OWN.split_whitespace().chain(flags.split_whitespace());
    Flags::parse_from(flags).options.settle().expect("sensible options")
}

/// A run over 20 examples, from its start.
pub fn trainer<B: Backend>(be: &B, flags: &str) -> Trainer<B> {
    let trainer = Trainer::new(be.clone(), model(be, architecture()), options(flags), examples(20));
    trainer.expect("a trainer")
}

/// Letters to transcribe: each becomes its successor.
fn letters(seed: u64) -> Vec<u32> {
    let stream = Stream::new(seed, Purpose::Data, 1, 0);
    (0..2 + u64::from(stream.below(0, 4))).map(|i| stream.below(i + 1, 19)).collect()
}

/// The first token of the first letter of a line, and the one of the first letter after a space.
const FIRST: u32 = 5;
const LATER: u32 = FIRST + 20;

fn tokens(letters: &[u32]) -> impl Iterator<Item = u32> {
    letters.iter().enumerate().map(|(i, letter)| letter + if i == 0 { FIRST } else { LATER })
}

/// The examples of [`write_data`], as the tokenizer of [`write_model`] reads them.
pub fn examples(count: u64) -> Vec<Example> {
    let example = |seed| {
        let letters = letters(seed);
        let answer: Vec<u32> = letters.iter().map(|letter| letter + 1).collect();
        let mut all: Vec<u32> = iter::once(1).chain(tokens(&letters)).chain([4]).collect();
        let prompt_tokens = all.len();
        all.extend(tokens(&answer).chain([2]));
        let answer = prompt_tokens..all.len();
        Example { targets: vec![answer], tokens: all, prompt_tokens, question: None }
    };
    (0..count).map(example).collect()
}

/// Writes `count` examples as JSON lines.
pub fn write_data(dir: &Path, name: &str, count: u64) {
    let text = |letters: Vec<u32>| {
        let letters = letters.iter().filter_map(|&letter| char::from_u32(letter + 'a' as u32));
        letters.map(String::from).collect::<Vec<_>>().join(" ")
    };
    let line = |seed| {
        let answer = letters(seed).iter().map(|letter| letter + 1).collect();
        json!({ "prompt": text(letters(seed)), "answer": text(answer) }).to_string() + "\n"
    };
    write(dir, name, (0..count).map(line).collect::<String>());
}

/// Writes a model of this shape with its tokenizer as a Hugging Face directory.
pub fn write_model(be: &Cpu, architecture: Architecture, dir: &Path) {
    let mut model = model(be, architecture);
    model.train_base(be).expect("an f32 base");
    merge::write_new(be, &mut model, dir).expect("written");
    let first = ('a'..='t').map(String::from);
    let later = ('a'..='t').map(|letter| format!(" {letter}"));
    let words: Vec<String> = iter::once("\n".to_owned()).chain(first).chain(later).collect();
    write_tokenizer(dir, &words.iter().map(String::as_str).collect::<Vec<_>>());
}
