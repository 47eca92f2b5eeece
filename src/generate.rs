//! Greedy decoding of many prompts at once, with a cache of keys and values.

use crate::{
    backend::Backend,
    error::{Error, Need, Result},
    model::Model,
    num::{to_u32, to_usize},
    ops,
    packing::{Packing, Sequence},
    pass::{Keep, Pass},
    tensor::{Ids, Matrix},
};

/// A prompt being continued.
struct Running {
    /// Its number among the prompts.
    prompt: usize,
    /// Where its keys start in the cache.
    k_start: usize,
    /// Tokens whose keys are in the cache.
    cached: usize,
    /// Tokens to feed next: the prompt, then one at a time.
    next: Vec<u32>,
}

/// Continues each of `prompts` (none empty) with the likeliest token again and again, until one of `eos`, which is
/// not part of the result, or `max_new` tokens, or the model's positions end. `on_token` sees each token as it
/// comes, with its prompt's number.
///
/// # Errors
/// [`Error::Index`] for an empty prompt or one longer than the model's positions; [`Error::NoToken`] when all logits are NaN;
/// out of memory; what `on_token` says.
pub fn generate<B: Backend>(
    be: &B,
    model: &Model<B>,
    prompts: &[Vec<u32>],
    max_new: usize,
    eos: &[u32],
    mut on_token: impl FnMut(usize, u32) -> Result<()>,
) -> Result<Vec<Vec<u32>>> {
    let positions = model.positions();
    let mut running = Vec::with_capacity(prompts.len());
    let mut capacity = 0;
    for (prompt, tokens) in prompts.iter().enumerate() {
        if tokens.is_empty() || tokens.len() > positions {
            let what = "prompt length (from 1 to the model's positions)";
            return Err(Error::Index { op: "generate", what, index: tokens.len(), bound: positions + 1 });
        }
        running.push(Running { prompt, k_start: capacity, cached: 0, next: tokens.clone() });
        capacity += tokens.len().saturating_add(max_new).min(positions);
    }
    let out_of_memory = || Error::needed_for(Need::Decoding);
    let mut cache = model.cache(be, capacity).map_err(out_of_memory())?;
    let mut generated = vec![Vec::new(); prompts.len()];
    while !running.is_empty() {
        let best = next_tokens(be, model, &mut cache, &running).map_err(out_of_memory())?;
        let mut kept = Vec::with_capacity(running.len());
        for (mut sequence, token) in running.into_iter().zip(best) {
            sequence.cached += sequence.next.len();
            let out: &mut Vec<u32> = &mut generated[sequence.prompt];
            if out.len() == max_new || eos.contains(&token) {
                continue;
            }
            on_token(sequence.prompt, token)?;
            out.push(token);
            if out.len() < max_new && sequence.cached < positions {
                sequence.next = vec![token];
                kept.push(sequence);
            }
        }
        running = kept;
    }
    Ok(generated)
}

/// Feeds each sequence's next tokens, writes their keys and values to the cache and returns the likeliest
/// successor of each sequence.
fn next_tokens<B: Backend>(
    be: &B,
    model: &Model<B>,
    cache: &mut crate::layers::Cache<B>,
    running: &[Running],
) -> Result<Vec<u32>> {
    let (mut ids, mut rows, mut last, mut sequences) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for sequence in running {
        let count = |n| to_u32("cached tokens", n);
        sequences.push(Sequence {
            q_start: count(ids.len())?,
            q_len: count(sequence.next.len())?,
            k_start: count(sequence.k_start)?,
            k_len: count(sequence.cached + sequence.next.len())?,
        });
        let first = count(sequence.k_start + sequence.cached)?;
        rows.extend(first..first + count(sequence.next.len())?);
        ids.extend_from_slice(&sequence.next);
        last.push(count(ids.len() - 1)?);
    }
    cache.rows = Ids::upload(be, rows)?;
    let packing = Packing::new(be, sequences)?;
    let positions = Ids::upload(be, packing.positions())?;
    let pass = Pass {
        be,
        packing: &packing,
        positions: &positions,
        rope: &model.rope,
        dropout: None,
        score_ranges: &[],
        keep: Keep::Everything,
    };
    let hidden = model.hidden(&pass, &Ids::upload(be, ids)?, Some(cache))?;
    let mut h = Matrix::unwritten(be, running.len(), hidden.cols())?;
    ops::gather_rows(be, &hidden, &Ids::upload(be, last)?, &mut h)?;
    let logits = model.head.logits(&pass, &model.embedding, &h)?;
    let mut best = be.zeros::<u32>(running.len())?;
    ops::argmax_rows(be, &logits, &mut best)?;
    let best = be.download(&best)?;
    match best.iter().all(|&token| to_usize(token) < logits.cols()) {
        true => Ok(best),
        false => Err(Error::NoToken),
    }
}
