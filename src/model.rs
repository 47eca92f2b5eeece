//! A Llama-family language model with adapters on its weights.

use crate::{
    adapter::Adapter,
    architecture::Architecture,
    backend::{Backend, Heads},
    error::Result,
    layers::{Attention, Block, BlockSaved, Cache, Embedding, Head, LayerCache, Linear, Mlp, Norm},
    param::{Base, Param, ParamView},
    pass::{Batch, Granularity, Keep, Pass, Rope},
    rng::{Purpose, Stream},
    tensor::{Frozen, Ids, Matrix, Precision, Weight},
};
use std::sync::Arc;

/// Where a model's weights come from: a checkpoint directory, or random numbers.
pub trait WeightSource<B: Backend> {
    /// The weight `[rows, cols]` of this Hugging Face name.
    ///
    /// # Errors
    /// When it is missing or has another shape.
    fn matrix(&mut self, name: &str, rows: usize, cols: usize) -> Result<Frozen<B>>;

    /// The vector of this name, as `[1, len]` in f32.
    ///
    /// # Errors
    /// When it is missing or has another length.
    fn vector(&mut self, name: &str, len: usize) -> Result<Matrix<B, f32>>;
}

/// Random weights for a model that is trained from nothing: every matrix `[out, in]` normal with standard deviation
/// 1/√in, so that each product, the tied head's logits included, keeps the scale of its input; projections back into
/// the residual stream divided by √(2·layers), as GPT-2 does, so that the stream keeps its own. Gains 1, biases 0.
pub struct RandomInit<'a, B: Backend> {
    /// Where the weights go.
    pub be: &'a B,
    /// The model's shape.
    pub architecture: &'a Architecture,
    /// All weights are a function of this.
    pub seed: u64,
    /// How many matrices were drawn.
    pub drawn: u64,
}

impl<B: Backend> WeightSource<B> for RandomInit<'_, B> {
    fn matrix(&mut self, name: &str, rows: usize, cols: usize) -> Result<Frozen<B>> {
        self.drawn += 1;
        let into_residual = name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight");
        let additions = if into_residual { 2 * self.architecture.layers } else { 1 };
        let deviation = 1.0 / ((cols * additions) as f32).sqrt();
        let stream = Stream::new(self.seed, Purpose::Init, 1, self.drawn);
        let values = (0..(rows * cols) as u64).map(|i| deviation * stream.normal(i)).collect();
        Ok(Frozen::F32(Matrix::upload_weight(self.be, rows, cols, values)?))
    }

    fn vector(&mut self, name: &str, len: usize) -> Result<Matrix<B, f32>> {
        let value = if name.ends_with(".bias") { 0.0 } else { 1.0 };
        Matrix::upload(self.be, 1, len, vec![value; len])
    }
}

/// What [`Pass::keep`] left of a block's forward pass.
enum Kept<B: Backend> {
    Everything(Box<BlockSaved<B>>),
    Input(Matrix<B>),
}

impl<B: Backend> Kept<B> {
    fn new(keep: Keep, saved: BlockSaved<B>) -> Self {
        match keep {
            Keep::Everything => Self::Everything(Box::new(saved)),
            Keep::BlockInputs => Self::Input(saved.into_input()),
        }
    }
}

/// The model.
pub struct Model<B: Backend> {
    /// Its shape.
    pub architecture: Architecture,
    /// Token ids to hidden states.
    pub embedding: Embedding<B>,
    /// Hidden states to hidden states.
    pub blocks: Vec<Block<B>>,
    /// Hidden states to logits.
    pub head: Head<B>,
    /// The rotary tables, for sequences of up to as many positions as the model was built for.
    pub rope: Arc<Rope<B>>,
}

impl<B: Backend> Model<B> {
    /// The model of this shape with weights from `source`, for sequences of up to `positions` tokens.
    ///
    /// # Errors
    /// When a weight is missing or has the wrong shape, or the device is out of memory.
    pub fn new(
        be: &B,
        architecture: Architecture,
        positions: usize,
        source: &mut dyn WeightSource<B>,
    ) -> Result<Self> {
        let a = &architecture;
        let (hidden, vocab) = (a.hidden_size, a.vocab_size);
        let eps = a.rms_norm_eps;
        let mut site = 0;
        let mut adapter = |module: &str, out: usize, inp: usize| {
            site += 1;
            Adapter::none(module.to_owned(), (out, inp), site)
        };

        let table = Architecture::EMBEDDING;
        let embedding = Embedding {
            table: Base::Frozen(source.matrix(&format!("{table}.weight"), vocab, hidden)?),
            adapter: adapter(table, vocab, hidden),
        };
        let mut blocks = Vec::new();
        for layer in 0..a.layers {
            let path = |part: &str| format!("model.layers.{layer}.{part}");
            let norm = |source: &mut dyn WeightSource<B>, part: &str| -> Result<Norm<B>> {
                let name = format!("{}.weight", path(part));
                Ok(Norm { gain: Base::Frozen(source.vector(&name, hidden)?), name, eps })
            };
            let mut linear = |source: &mut dyn WeightSource<B>,
                              part: &str,
                              out: usize,
                              inp: usize,
                              bias: bool|
             -> Result<Linear<B>> {
                let module = path(part);
                Ok(Linear {
                    weight: Base::Frozen(source.matrix(&format!("{module}.weight"), out, inp)?),
                    bias: match bias {
                        true => Some(Base::Frozen(source.vector(&format!("{module}.bias"), out)?)),
                        false => None,
                    },
                    adapter: adapter(&module, out, inp),
                })
            };
            let (q_width, kv_width) = (a.heads * a.head_dim, a.kv_heads * a.head_dim);
            blocks.push(Block {
                attention_norm: norm(source, "input_layernorm")?,
                attention: Attention {
                    q: linear(source, "self_attn.q_proj", q_width, hidden, a.qkv_bias)?,
                    k: linear(source, "self_attn.k_proj", kv_width, hidden, a.qkv_bias)?,
                    v: linear(source, "self_attn.v_proj", kv_width, hidden, a.qkv_bias)?,
                    o: linear(source, "self_attn.o_proj", hidden, q_width, a.o_bias)?,
                    heads: Heads { heads: a.heads, kv_heads: a.kv_heads, head_dim: a.head_dim },
                },
                mlp_norm: norm(source, "post_attention_layernorm")?,
                mlp: Mlp {
                    gate: linear(source, "mlp.gate_proj", a.intermediate_size, hidden, a.mlp_bias)?,
                    up: linear(source, "mlp.up_proj", a.intermediate_size, hidden, a.mlp_bias)?,
                    down: linear(source, "mlp.down_proj", hidden, a.intermediate_size, a.mlp_bias)?,
                },
            });
        }
        let head = Head {
            norm: Norm {
                name: "model.norm.weight".to_owned(),
                gain: Base::Frozen(source.vector("model.norm.weight", hidden)?),
                eps,
            },
            weight: match a.tie_word_embeddings {
                true => None,
                false => Some(Base::Frozen(source.matrix("lm_head.weight", vocab, hidden)?)),
            },
            adapter: adapter(Architecture::HEAD, vocab, hidden),
        };
        let rope = Arc::new(Rope::new(be, &a.rope_inverse_frequencies(), positions)?);
        Ok(Self { embedding, blocks, head, rope, architecture })
    }

    /// The number of positions the rotary tables hold.
    pub fn positions(&self) -> usize {
        self.rope.cos.rows()
    }

    /// Makes the rotary tables anew, for sequences of up to `positions` tokens.
    ///
    /// # Errors
    /// When the device is out of memory.
    pub fn reach(&mut self, be: &B, positions: usize) -> Result<()> {
        self.rope = Arc::new(Rope::new(be, &self.architecture.rope_inverse_frequencies(), positions)?);
        Ok(())
    }

    /// The hidden states after the last block, without keeping anything for a backward pass.
    ///
    /// # Errors
    /// When an id is beyond the vocabulary or the device is out of memory.
    pub fn hidden(
        &self,
        pass: &Pass<'_, B>,
        ids: &Ids<B>,
        mut cache: Option<&mut Cache<B>>,
    ) -> Result<Matrix<B>> {
        let mut x = self.embedding.forward(pass.be, ids)?;
        for (layer, block) in self.blocks.iter().enumerate() {
            let cache = cache.as_deref_mut().map(|cache| (&mut cache.layers[layer], &cache.rows));
            (x, _) = block.forward(pass, x, cache)?;
        }
        Ok(x)
    }

    /// The losses of a batch's loss rows.
    ///
    /// # Errors
    /// When an id is beyond the vocabulary or the device is out of memory.
    pub fn losses(&self, pass: &Pass<'_, B>, batch: &Batch<B>) -> Result<Vec<f32>> {
        let h = self.hidden(pass, &batch.ids, None)?;
        self.head.losses(pass, &self.embedding, batch, &h)?.download(pass.be)
    }

    /// The losses of a batch's loss rows, written to `losses` from `first_loss` on: nothing waits for them. The gradients
    /// of `scale · Σ losses` accumulate in every trained part.
    ///
    /// # Errors
    /// When an id is beyond the vocabulary or the device is out of memory.
    pub fn losses_and_gradients(
        &mut self,
        pass: &Pass<'_, B>,
        granularity: Granularity,
        batch: &Batch<B>,
        scale: f32,
        first_loss: usize,
        losses: &mut Matrix<B, f32>,
    ) -> Result<()> {
        let profile = pass.be.profile();
        let forward = profile.span("forward");
        let mut x = self.embedding.forward(pass.be, &batch.ids)?;
        let mut kept = Vec::with_capacity(self.blocks.len());
        for block in &self.blocks {
            let (y, saved) = block.forward(pass, x, None)?;
            kept.push(Kept::new(pass.keep, saved));
            x = y;
        }
        drop(forward);
        let head_span = profile.span("head");
        let (head, embedding) = (&mut self.head, &mut self.embedding);
        let mut dx =
            head.losses_and_backward(pass, granularity, embedding, batch, scale, &x, first_loss, losses)?;
        drop((head_span, x));
        let _backward = profile.span("backward");
        for (layer, (block, kept)) in self.blocks.iter_mut().zip(kept).enumerate().rev() {
            let saved = match kept {
                Kept::Everything(saved) => *saved,
                Kept::Input(x) => block.forward(pass, x, None)?.1,
            };
            let wanted = layer > 0 || self.embedding.is_trained();
            let Some(d) = block.backward(pass, saved, dx, wanted)? else { return Ok(()) };
            dx = d;
        }
        self.embedding.backward(pass, batch, &dx)
    }

    /// An empty cache for decoding, with room for `capacity` tokens.
    ///
    /// # Errors
    /// When the device is out of memory.
    pub fn cache(&self, be: &B, capacity: usize) -> Result<Cache<B>> {
        let layers = self.blocks.iter().map(|b| LayerCache::new(be, capacity, b.attention.heads));
        Ok(Cache { layers: layers.collect::<Result<_>>()?, rows: Ids::upload(be, Vec::new())? })
    }

    /// Every adapter with the weight that it adapts, in a fixed order: embedding, blocks, head.
    pub fn adapters(&self) -> Vec<(&Adapter<B>, Weight<'_, B>)> {
        let mut adapters = vec![(&self.embedding.adapter, self.embedding.table.weight())];
        for Block { attention: Attention { q, k, v, o, .. }, mlp: Mlp { gate, up, down }, .. } in &self.blocks
        {
            for l in [q, k, v, o, gate, up, down] {
                adapters.push((&l.adapter, l.weight.weight()));
            }
        }
        adapters
            .push((&self.head.adapter, self.head.weight.as_ref().unwrap_or(&self.embedding.table).weight()));
        adapters
    }

    /// Every weight matrix once: a tied head has none of its own.
    pub fn distinct_weights(&self) -> Vec<Weight<'_, B>> {
        let mut weights: Vec<_> = self.adapters().into_iter().map(|(_, weight)| weight).collect();
        if self.head.weight.is_none() {
            weights.pop();
        }
        weights
    }

    /// The adapters in the order of [`adapters`](Self::adapters).
    pub fn adapters_mut(&mut self) -> Vec<&mut Adapter<B>> {
        let mut adapters = vec![&mut self.embedding.adapter];
        adapters.extend(self.blocks.iter_mut().flat_map(Block::linears_mut).map(|l| &mut l.adapter));
        adapters.push(&mut self.head.adapter);
        adapters
    }

    /// Every trained parameter, in a fixed order.
    pub fn params(&mut self) -> Vec<ParamView<'_, B>> {
        let mut views = Vec::new();
        self.embedding.params(&mut views);
        for block in &mut self.blocks {
            block.params(&mut views);
        }
        self.head.params(&mut views);
        views
    }

    /// Full fine-tuning: every weight, gain and bias becomes a trained f32 parameter.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::error::Error::Setting) when the base is not f32; out of memory.
    pub fn train_base(&mut self, be: &B) -> Result<()> {
        train_matrix(be, &mut self.embedding.table)?;
        for block in &mut self.blocks {
            train_vector(be, &mut block.attention_norm.gain)?;
            train_vector(be, &mut block.mlp_norm.gain)?;
            for linear in block.linears_mut() {
                train_matrix(be, &mut linear.weight)?;
                if let Some(bias) = &mut linear.bias {
                    train_vector(be, bias)?;
                }
            }
        }
        train_vector(be, &mut self.head.norm.gain)?;
        if let Some(weight) = &mut self.head.weight {
            train_matrix(be, weight)?;
        }
        Ok(())
    }
}

fn train_matrix<B: Backend>(be: &B, base: &mut Base<B>) -> Result<()> {
    let Base::Frozen(frozen) = base else { return Ok(()) };
    let weight = match frozen {
        Frozen::F32(weight) => weight,
        Frozen::Bf16(_) => return Err(Precision::Bf16.not_trainable()),
        Frozen::Nf4(_) => return Err(Precision::Nf4.not_trainable()),
    };
    let value = std::mem::replace(weight, Matrix::zeros(be, 0, 0)?);
    *base = Base::Trained(Param::dense(be, value)?);
    Ok(())
}

fn train_vector<B: Backend>(be: &B, base: &mut Base<B, Matrix<B, f32>>) -> Result<()> {
    if let Base::Frozen(vector) = base {
        let value = std::mem::replace(vector, Matrix::zeros(be, 0, 0)?);
        *base = Base::Trained(Param::dense(be, value)?);
    }
    Ok(())
}
