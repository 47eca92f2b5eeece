//! How good a model is on a data set: loss, perplexity, exact match.

use crate::{
    backend::Backend,
    data::{Example, Question},
    error::{Error, Need, Result},
    generate::generate,
    model::Model,
    pass::Batch,
    text::Text,
};
use serde::Serialize;

/// The loss of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Loss {
    /// Mean over all tokens that carry loss, in nats.
    pub loss: f64,
    /// `exp(loss)`.
    pub perplexity: f64,
    /// How many tokens that is.
    pub tokens: usize,
}

/// The mean loss over all tokens of `examples` that carry loss, `micro_batch` examples at a time.
///
/// # Errors
/// When an example is longer than the model's positions or the device is out of memory.
pub fn loss<B: Backend>(be: &B, model: &Model<B>, examples: &[Example], micro_batch: usize) -> Result<Loss> {
    let loss = loss_while(be, model, examples, micro_batch, |_, _| true)?;
    Ok(loss.expect("nobody ends it"))
}

/// [`loss`], of which `observe` is told how many examples are done and their mean loss, each time some are. Nothing if it
/// returns false before the last ones are.
///
/// # Errors
/// Those of [`loss`].
pub fn loss_while<B: Backend>(
    be: &B,
    model: &Model<B>,
    examples: &[Example],
    micro_batch: usize,
    mut observe: impl FnMut(usize, f64) -> bool,
) -> Result<Option<Loss>> {
    let (mut sum, mut tokens, mut done) = (0.0, 0, 0);
    for chunk in examples.chunks(micro_batch) {
        let sequences: Vec<_> = chunk.iter().map(Example::sequence).collect();
        let batch = Batch::new(be, &sequences)?;
        let losses = model.losses(&batch.pass(be, &model.rope), &batch);
        let losses = losses.map_err(Error::needed_for(Need::Evaluation))?;
        sum += losses.iter().map(|&l| f64::from(l)).sum::<f64>();
        tokens += losses.len();
        done += chunk.len();
        if !observe(done, sum / tokens as f64) && done < examples.len() {
            return Ok(None);
        }
    }
    let loss = sum / tokens as f64;
    Ok(Some(Loss { loss, perplexity: loss.exp(), tokens }))
}

/// How many answers were exactly right.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ExactMatch {
    /// Answers that equal the expected text, white space at the ends aside.
    pub right: usize,
    /// Questions asked.
    pub asked: usize,
}

impl ExactMatch {
    /// The share of right answers, in percent.
    #[must_use]
    pub fn percent(&self) -> f64 {
        100.0 * self.right as f64 / self.asked.max(1) as f64
    }
}

/// The answers that the model gives to `questions` by greedy decoding, `batch` at a time; `on_batch` is told how
/// many are done.
///
/// # Errors
/// When a prompt is longer than the model's positions or the device is out of memory.
pub fn answers<B: Backend>(
    be: &B,
    model: &Model<B>,
    text: &Text,
    questions: &[&Question],
    max_new: usize,
    batch: usize,
    mut on_batch: impl FnMut(usize),
) -> Result<Vec<String>> {
    let mut answers = Vec::with_capacity(questions.len());
    for chunk in questions.chunks(batch) {
        let prompts: Vec<_> = chunk.iter().map(|question| question.prompt.clone()).collect();
        for tokens in generate(be, model, &prompts, max_new, text.eos_ids(), |_, _| Ok(()))? {
            answers.push(text.decode(&tokens)?);
        }
        on_batch(answers.len());
    }
    Ok(answers)
}

/// How many of `answers` equal the questions' own, white space at the ends aside.
#[must_use]
pub fn exact_match(questions: &[&Question], answers: &[String]) -> ExactMatch {
    let right = questions.iter().zip(answers).filter(|(q, a)| q.answer.trim() == a.trim()).count();
    ExactMatch { right, asked: questions.len() }
}
