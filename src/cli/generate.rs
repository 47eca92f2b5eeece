//! `rosa-mini generate`.

use super::{
    device::{OnDevice, on_device},
    model::{ModelArgs, cause_of},
    print::{note, put, putln},
};
use clap::Args;
use rosa_kernels::{
    backend::Backend,
    error::{Error, Result},
    generate::generate,
    text::{Ending, Message},
};
use serde_json::json;
use std::time::Instant;

/// Continue a prompt, always with the likeliest token.
#[derive(Args)]
pub(super) struct GenerateArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Text to continue
    #[arg(long, value_name = "TEXT")]
    prompt: String,
    /// Most tokens to add
    #[arg(long, default_value_t = 128, value_name = "N")]
    max_new: usize,
    /// Ask the prompt as a user's turn of the model's chat template
    #[arg(long)]
    chat: bool,
    /// Print the result as JSON on stdout
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &GenerateArgs) -> Result<()> {
    on_device(args.model.device, args.model.threads, args)
}

impl OnDevice for &GenerateArgs {
    fn run<B: Backend>(self, be: B) -> Result<()> {
        continue_prompt(&be, self)
    }
}

fn continue_prompt<B: Backend>(be: &B, args: &GenerateArgs) -> Result<()> {
    let (text, mut model) = args.model.load(be, 1)?;
    let prompt = if args.chat {
        let message = Message { role: "user".to_owned(), content: args.prompt.clone() };
        text.encode_bare(&text.render(&[message], Ending::AssistantToSpeak)?)?
    } else {
        text.encode(&args.prompt)?
    };
    let limit = model.architecture.max_position_embeddings;
    if prompt.is_empty() || prompt.len() > limit {
        let (found, expected) =
            (format!("{} tokens", prompt.len()), format!("from 1 to {limit} for this model"));
        return Err(Error::setting("--prompt", found, expected));
    }
    model.reach(be, prompt.len().saturating_add(args.max_new).min(limit))?;

    let started = Instant::now();
    let mut tokens = Vec::new();
    let mut shown = if args.chat { String::new() } else { text.decode(&prompt)? };
    if !args.json {
        put!("{shown}")?;
    }
    let skip = if args.chat { &[][..] } else { &prompt[..] };
    generate(be, &model, std::slice::from_ref(&prompt), args.max_new, text.eos_ids(), |_, token| {
        tokens.push(token);
        // A character may need several tokens: show the text again once it is whole.
        let all: Vec<u32> = skip.iter().chain(&tokens).copied().collect();
        if let Ok(whole) = text.decode(&all)
            && !args.json
            && !whole.ends_with('\u{fffd}')
            && let Some(new) = whole.strip_prefix(shown.as_str())
        {
            put!("{new}")?;
            shown = whole;
        }
        Ok(())
    })
    .map_err(|error| cause_of(error, &args.model.model))?;
    let seconds = started.elapsed().as_secs_f64();
    let all: Vec<u32> = skip.iter().chain(&tokens).copied().collect();
    if args.json {
        putln!(
            "{:#}",
            json!({ "text": text.decode(&all)?, "prompt_tokens": prompt.len(), "new_tokens": tokens.len(), "seconds": seconds })
        )?;
    } else {
        putln!("{}", text.decode(&all)?.strip_prefix(shown.as_str()).unwrap_or_default())?;
        note!("{} tokens in {seconds:.2} s, {:.0} tokens/s", tokens.len(), tokens.len() as f64 / seconds);
    }
    Ok(())
}
