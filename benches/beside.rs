//! One case after the other, as tools/peers asks: `beside THREADS` reads a case a line and answers with the seconds
//! of its op (the median of some runs); `beside THREADS step …` and `turns …` train.
#![allow(missing_docs, unreachable_pub)]

use half::bf16;
use rosa_kernels::{
    architecture::{Architecture, RopeScaling},
    backend::{Write, cpu::Cpu},
    data::Example,
    device::Device,
    error::Result,
    memory,
    model::{Model, RandomInit, WeightSource},
    num::fraction_of,
    ops,
    options::TrainOptions,
    rng::{Purpose, Stream},
    sparse::Csr,
    tensor::{Frozen, Matrix, Weight},
    train::Trainer,
};
use std::{
    hint::black_box,
    io::{BufRead, stdin},
    time::{Duration, Instant},
};

/// How long a case is measured, after one run that is not.
const MEASURED: Duration = Duration::from_millis(600);
/// The first steps of a run collect the mask and fill the caches.
const UNMEASURED: usize = 2;
/// Values that share a magnitude in 4-bit weights.
const BLOCK: usize = 64;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let Some(threads) = words.first().and_then(|word| word.parse().ok()) else {
        println!("beside: a program for tools/peers; nothing to do without a number of threads");
        return Ok(());
    };
    let cpu = Cpu::new(Some(threads))?;
    let words: Vec<&str> = words[1..].iter().map(String::as_str).collect();
    match words.first() {
        Some(&"turns") => return turns(threads, &words[1..]),
        Some(_) => return cpu.install(|| step(&cpu, &words[1..])),
        None => {}
    }
    for line in stdin().lock().lines().map_while(std::result::Result::ok) {
        let case: Vec<&str> = line.split_whitespace().collect();
        println!("{}", cpu.install(|| op(&cpu, &case))?.as_secs_f64());
    }
    Ok(())
}

/// Activations as an op before would have written them: a row begins with a cache line, as a peer's do.
fn activations(cpu: &Cpu, rows: usize, cols: usize) -> Result<Matrix<Cpu>> {
    matrix(cpu, rows, cols)?.duplicate(cpu)
}

/// Random numbers in `[-0.5, 0.5)`.
fn matrix(cpu: &Cpu, rows: usize, cols: usize) -> Result<Matrix<Cpu>> {
    let stream = Stream::new(1, Purpose::Data, 0, 0);
    let values = (0..(rows * cols) as u64).map(|i| stream.uniform(i) - 0.5).collect();
    Matrix::upload(cpu, rows, cols, values)
}

fn frozen(cpu: &Cpu, base: &str, w: Matrix<Cpu>) -> Result<Frozen<Cpu>> {
    Ok(match base {
        "bf16" => Frozen::Bf16(Matrix::<_, bf16>::from_f32(cpu, w.rows(), w.cols(), w.buffer())?),
        "nf4" => Frozen::Nf4(ops::nf4_quantize(cpu, &w, BLOCK)?),
        _ => Frozen::F32(w),
    })
}

fn sparse(cpu: &Cpu, n: usize, k: usize, density: f64) -> Result<Csr<Cpu>> {
    let mut scores = matrix(cpu, n, k)?;
    ops::score_random(cpu, Stream::new(2, Purpose::Data, 0, 0), &mut scores)?;
    let kept = fraction_of(density, n * k);
    let pattern = ops::topk_mask(cpu, &[&scores], kept)?.remove(0);
    Csr::new(pattern, matrix(cpu, 1, kept)?.download(cpu)?.into())
}

/// The median time of `run`.
fn median(mut run: impl FnMut() -> Result<()>) -> Result<Duration> {
    run()?;
    let (mut times, started) = (Vec::new(), Instant::now());
    while times.len() < 3 || started.elapsed() < MEASURED {
        let run_started = Instant::now();
        run()?;
        times.push(run_started.elapsed());
    }
    times.sort_unstable();
    Ok(times[times.len() / 2])
}

/// The time of a case: an op's name and its sizes.
fn op(cpu: &Cpu, case: &[&str]) -> Result<Duration> {
    let size = |i: usize| case.get(i).and_then(|word| word.parse::<usize>().ok()).expect("a size");
    let density = |i: usize| case.get(i).and_then(|word| word.parse::<f64>().ok()).expect("a density");
    match case[0] {
        "matmul" => {
            let (t, n, k) = (size(2), size(3), size(4));
            let (x, w) = (activations(cpu, t, k)?, frozen(cpu, case[1], matrix(cpu, n, k)?)?);
            let mut y = Matrix::zeros(cpu, t, n)?;
            let w: Weight<'_, Cpu> = w.weight();
            median(|| ops::matmul_nt(cpu, &x, w, 1.0, Write::Overwrite, &mut y))
        }
        "matmul_nn" => {
            let (t, n, k) = (size(2), size(3), size(4));
            let (dy, w) = (activations(cpu, t, n)?, frozen(cpu, case[1], matrix(cpu, n, k)?)?);
            let mut dx = Matrix::zeros(cpu, t, k)?;
            let w: Weight<'_, Cpu> = w.weight();
            median(|| ops::matmul_nn(cpu, &dy, w, 1.0, Write::Overwrite, &mut dx))
        }
        "matmul_tn" => {
            let (t, n, k) = (size(1), size(2), size(3));
            let (dy, x, mut dw) =
                (activations(cpu, t, n)?, activations(cpu, t, k)?, Matrix::zeros(cpu, n, k)?);
            median(|| ops::matmul_tn(cpu, &dy, &x, 0..t, 1.0, Write::Overwrite, &mut dw))
        }
        "spmm" => {
            let (t, s) = (size(4), sparse(cpu, size(1), size(2), density(3))?);
            let (x, mut y) = (activations(cpu, t, s.cols())?, Matrix::zeros(cpu, t, s.rows())?);
            median(|| ops::spmm_add(cpu, &s, &x, &mut y))
        }
        "sddmm" => {
            let (t, mut s) = (size(4), sparse(cpu, size(1), size(2), density(3))?);
            let (x, dy) = (activations(cpu, t, s.cols())?, activations(cpu, t, s.rows())?);
            median(|| ops::sddmm_add(cpu, &dy, &x, &mut s))
        }
        "topk" => {
            let (n, k) = (size(1), size(2));
            let mut scores = matrix(cpu, n, k)?;
            ops::score_random(cpu, Stream::new(2, Purpose::Data, 0, 0), &mut scores)?;
            let kept = fraction_of(density(3), n * k);
            median(|| ops::topk_mask(cpu, &[&scores], kept).map(|mask| drop(black_box(mask))))
        }
        "quantize" => {
            let w = matrix(cpu, size(1), size(2))?;
            median(|| ops::nf4_quantize(cpu, &w, BLOCK).map(|w| drop(black_box(w))))
        }
        other => panic!("no case is called {other}"),
    }
}

/// Random weights in the type asked for.
struct RandomBase<'a> {
    cpu: &'a Cpu,
    random: RandomInit<'a, Cpu>,
    base: &'a str,
}

impl WeightSource<Cpu> for RandomBase<'_> {
    fn matrix(&mut self, name: &str, rows: usize, cols: usize) -> Result<Frozen<Cpu>> {
        match self.random.matrix(name, rows, cols)? {
            // 4-bit bases keep the embedding, as bitsandbytes does.
            Frozen::F32(w) if self.base == "nf4" && name.contains("embed") => frozen(self.cpu, "bf16", w),
            Frozen::F32(w) => frozen(self.cpu, self.base, w),
            other => Ok(other),
        }
    }

    fn vector(&mut self, name: &str, len: usize) -> Result<Matrix<Cpu, f32>> {
        self.random.vector(name, len)
    }
}

/// Tokens of each of the sequences that a step trains on.
const TOKENS: usize = 256;

/// The run of a model of SmolLM2-135M's shape, with the flags `--method METHOD --steps STEPS FLAGS`; `--micro-batch` among them
/// says how many sequences a step takes, which are all that there are.
fn trainer(cpu: &Cpu, method: &str, base: &str, steps: &str, flags: &[&str]) -> Result<Trainer<Cpu>> {
    let architecture = Architecture {
        model_type: "llama".to_owned(),
        vocab_size: 49152,
        hidden_size: 576,
        intermediate_size: 1536,
        layers: 30,
        heads: 9,
        kv_heads: 3,
        head_dim: 64,
        rms_norm_eps: 1e-5,
        rope_theta: 1e5,
        rope_scaling: RopeScaling::None,
        max_position_embeddings: 8192,
        tie_word_embeddings: true,
        qkv_bias: false,
        o_bias: false,
        mlp_bias: false,
        sliding_window: None,
        bos_token_id: Some(1),
        eos_token_ids: vec![2],
    };
    let random = RandomInit { be: cpu, architecture: &architecture, seed: 1, drawn: 0 };
    let model = Model::new(cpu, architecture.clone(), TOKENS + 1, &mut RandomBase { cpu, random, base })?;
    let schedule = if method == "rosa" { "default" } else { "lora_only" };
    let own = ["--model", "-", "--data", "-", "--out", "-", "--dropout", "0"];
    let chosen = ["--method", method, "--schedule", schedule, "--steps", steps];
    let flags = own.iter().chain(&chosen).chain(flags).copied();
    let options = TrainOptions::from_flags(flags).expect("flags of the trainer").settle()?;
    let stream = Stream::new(3, Purpose::Data, 0, 0);
    let example = |i: u64| Example {
        tokens: (0..=TOKENS as u64).map(|j| stream.below(i * 1000 + j, 49152)).collect(),
        targets: std::iter::once(1..TOKENS + 1).collect(),
        prompt_tokens: 1,
        question: None,
    };
    let examples = (0..options.micro_batch as u64).map(example).collect();
    Trainer::new(cpu.clone(), model, options, examples)
}

/// `step METHOD BASE STEPS [FLAGS]`: the tokens a second of each step of a run, then the process's peak memory in bytes.
fn step(cpu: &Cpu, words: &[&str]) -> Result<()> {
    let mut trainer = trainer(cpu, words[0], words[1], words[2], &words[3..])?;
    let mut steps = 0;
    trainer.run(|_, report| {
        println!("{}", report.tokens_per_second);
        steps += 1;
        if steps == UNMEASURED {
            cpu.profile().reset();
        }
        Ok(true)
    })?;
    eprintln!("seconds a step: {}", seconds_by_class(cpu, steps - UNMEASURED));
    println!("{}", memory::peak().unwrap_or(0));
    Ok(())
}

/// `turns BASE STEPS METHOD FLAGS -- METHOD FLAGS`: both runs, on one thread and on `threads`, that take their steps in
/// turn, so that what else the machine does meets all of them alike. Prints the rates of the steps, a run a line.
fn turns(threads: usize, words: &[&str]) -> Result<()> {
    let (base, steps) = (words[0], words[1]);
    let mut runs = Vec::new();
    for flags in words[2..].split(|&word| word == "--") {
        for threads in [1, threads] {
            let cpu = Cpu::new(Some(threads))?;
            let trainer = trainer(&cpu, flags[0], base, steps, &flags[1..])?;
            runs.push((cpu, trainer, Vec::new()));
        }
    }
    let mut order: Vec<usize> = (0..runs.len()).collect();
    while runs.iter().any(|(_, trainer, _)| trainer.steps_done() < trainer.total_steps()) {
        for &i in &order {
            let (cpu, trainer, rates) = &mut runs[i];
            cpu.install(|| {
                trainer.run(|_, report| {
                    rates.push(report.tokens_per_second);
                    Ok(false)
                })
            })?;
        }
        // Backwards the next time: what grows slower steadily slows none more than another.
        order.reverse();
    }
    for (_, _, rates) in &runs {
        println!("{:?}", &rates[UNMEASURED..]);
    }
    Ok(())
}

/// The seconds of a step that each class of operations took, the longest first.
fn seconds_by_class(cpu: &Cpu, steps: usize) -> String {
    let mut classes: Vec<(&str, f64)> = Vec::new();
    for node in cpu.profile().nodes().iter().filter(|node| node.class.is_some()) {
        let seconds = node.time.as_secs_f64() / steps as f64;
        match classes.iter_mut().find(|(name, _)| *name == node.name) {
            Some((_, total)) => *total += seconds,
            None => classes.push((node.name, seconds)),
        }
    }
    classes.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    classes.iter().map(|(name, seconds)| format!("{name} {seconds:.3}")).collect::<Vec<_>>().join(", ")
}
