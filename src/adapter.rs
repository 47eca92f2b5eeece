//! The RoSA adapter of one weight: `ΔW = S + s·B·A` (arXiv 2401.04679, section 4).

use crate::{
    architecture::Architecture,
    backend::{AdapterGrads, Backend, Factors, LinearTerms, LowRankTerm, ScoreTerm, Write},
    error::{Error, Need, Result},
    ops,
    param::{Group, Param, ParamView},
    pass::{Dropout, Pass},
    rng::{Purpose, Stream},
    sparse::{Csr, CsrPattern},
    tensor::{Matrix, Weight},
};
use std::sync::Arc;

/// The adapter of one weight `[out, in]`. Each part may be absent; what is present is trained.
pub struct Adapter<B: Backend> {
    /// The module's path in the model, which names its parameters and files.
    pub module: String,
    /// `[out, in]` of the weight (of an embedding's table, `[vocab, hidden]`).
    pub shape: (usize, usize),
    /// The module's number, which tells its random streams from others'.
    pub site: u32,
    /// The share of the weight's entries that S holds once a mask is chosen.
    pub density: f64,
    /// `s·B·A`.
    pub low_rank: Option<LowRank<B>>,
    /// `S`.
    pub sparse: Option<Param<B, Csr<B>>>,
    /// The scores of the mask to come, while they are collected.
    pub scores: Option<Scores<B>>,
}

/// `s·B·A`, with A `[rank, in]` and B `[out, rank]`.
pub struct LowRank<B: Backend> {
    /// A: uniform in ±1/√in at the start, which is Kaiming's with a = √5.
    pub a: Param<B>,
    /// B: zero at the start, so that the adapted model starts as the base.
    pub b: Param<B>,
    /// `s = alpha / rank`, or `alpha / √rank` for rank-stabilised LoRA.
    pub scale: f32,
}

/// How A starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Init {
    /// Uniform in ±1/√in.
    Kaiming,
    /// Normal with variance 1/rank.
    Gaussian,
}

/// Scores in progress: `Σ g²` or `Σ g` over the collected gradients.
pub struct Scores<B: Backend> {
    /// One score per entry of the weight, f32; made by the first gradient, when backward has let go of the activations of
    /// the layers above.
    pub sum: Option<Matrix<B, f32>>,
    /// What a gradient adds; `None` for scores that need no gradient.
    pub term: Option<ScoreTerm>,
}

impl<B: Backend> LowRank<B> {
    /// A fresh low-rank part for `adapter`: A drawn from the seed and the module's number, B zero. For the
    /// embedding, whose table is the transpose of the linear map it stands for, A is kept as `[vocab, rank]`.
    ///
    /// # Errors
    /// When the device is out of memory.
    pub fn new(be: &B, adapter: &Adapter<B>, rank: usize, scale: f32, init: Init, seed: u64) -> Result<Self> {
        let is_table = adapter.module == Architecture::EMBEDDING;
        let (rows, cols) = adapter.shape;
        let (out, inp) = if is_table { (cols, rows) } else { (rows, cols) };
        let stream = Stream::new(seed, Purpose::Init, 0, u64::from(adapter.site));
        let a = (0..(rank * inp) as u64)
            .map(|i| match init {
                Init::Kaiming => (2.0 * stream.uniform(i) - 1.0) / (inp as f32).sqrt(),
                Init::Gaussian => stream.normal(i) / (rank as f32).sqrt(),
            })
            .collect();
        let (a_rows, a_cols) = if is_table { (inp, rank) } else { (rank, inp) };
        Ok(Self {
            a: Param::dense(be, Matrix::upload(be, a_rows, a_cols, a)?)?,
            b: Param::dense(be, Matrix::zeros(be, out, rank)?)?,
            scale,
        })
    }

    /// A, B and s.
    pub fn factors(&self) -> Factors<'_, B> {
        Factors { a: &self.a.value, b: &self.b.value, scale: self.scale }
    }

    /// The rank.
    pub fn rank(&self) -> usize {
        self.b.value.cols()
    }

    /// `du = s·dy·B`.
    fn du(&self, be: &B, dy: &Matrix<B>) -> Result<Matrix<B>> {
        let mut du = Matrix::unwritten(be, dy.rows(), self.rank())?;
        ops::matmul_nn(be, dy, (&self.b.value).into(), self.scale, Write::Overwrite, &mut du)?;
        Ok(du)
    }
}

/// What [`Adapter::forward`] keeps for the backward pass.
pub struct AdapterSaved<B: Backend> {
    /// `u = (x∘D/q)·Aᵀ`, `[t, rank]`.
    u: Option<Matrix<B>>,
}

impl<B: Backend> Adapter<B> {
    /// The adapter of `module` with no parts yet.
    #[must_use]
    pub fn none(module: String, shape: (usize, usize), site: u32) -> Self {
        Self { module, shape, site, density: 0.0, low_rank: None, sparse: None, scores: None }
    }

    /// `y = x·(W + S)ᵀ + bias + s·(x∘D/q)·Aᵀ·Bᵀ`, with W `[out, in]`. S sees x undropped. Row `i` of x is row
    /// `first_row + i` to the dropout.
    ///
    /// # Errors
    /// When shapes disagree or the device is out of memory.
    pub fn forward(
        &self,
        pass: &Pass<'_, B>,
        first_row: usize,
        weight: Weight<'_, B>,
        bias: Option<&Matrix<B, f32>>,
        x: &Matrix<B>,
        y: &mut Matrix<B>,
    ) -> Result<AdapterSaved<B>> {
        let be = pass.be;
        let terms = LinearTerms { bias, sparse: self.sparse.as_ref().map(|s| &s.value), low_rank: None };
        let Some(l) = &self.low_rank else {
            ops::linear(be, x, weight, terms, y)?;
            return Ok(AdapterSaved { u: None });
        };
        let mut u = Matrix::unwritten(be, x.rows(), l.rank())?;
        match self.dropped(pass, first_row, x)? {
            None => ops::adapted_linear(be, x, weight, terms, l.factors(), &mut u, y)?,
            Some(dropped) => {
                ops::matmul_nt(be, &dropped, (&l.a.value).into(), 1.0, Write::Overwrite, &mut u)?;
                let low_rank = Some(LowRankTerm { u: &u, factor: &l.b.value, scale: l.scale });
                ops::linear(be, x, weight, LinearTerms { low_rank, ..terms }, y)?;
            }
        }
        Ok(AdapterSaved { u: Some(u) })
    }

    /// The gradients of [`forward`](Self::forward): what [`backward_input`](Self::backward_input) and
    /// [`backward_params`](Self::backward_params) make.
    ///
    /// # Errors
    /// When shapes disagree or the device is out of memory.
    pub fn backward(
        &mut self,
        pass: &Pass<'_, B>,
        first_row: usize,
        weight: Weight<'_, B>,
        x: &Matrix<B>,
        saved: &AdapterSaved<B>,
        dy: &Matrix<B>,
        write: Write,
        dx: &mut Matrix<B>,
    ) -> Result<()> {
        let du = self.backward_input(pass, first_row, weight, dy, write, dx)?;
        self.backward_params(pass, first_row, weight, x, saved, dy, du.as_ref())
    }

    /// `dx ← [dx +] dy·(W + S) + (du·A)∘D/q`; returns `du = s·dy·B`, where there is a low-rank part.
    ///
    /// # Errors
    /// When shapes disagree or the device is out of memory.
    pub fn backward_input(
        &self,
        pass: &Pass<'_, B>,
        first_row: usize,
        weight: Weight<'_, B>,
        dy: &Matrix<B>,
        write: Write,
        dx: &mut Matrix<B>,
    ) -> Result<Option<Matrix<B>>> {
        let be = pass.be;
        let terms =
            LinearTerms { bias: None, sparse: self.sparse.as_ref().map(|s| &s.value), low_rank: None };
        let Some(l) = &self.low_rank else {
            ops::linear_t(be, dy, weight, terms, write, dx)?;
            return Ok(None);
        };
        match self.dropout(pass) {
            None => {
                let mut du = Matrix::unwritten(be, dy.rows(), l.rank())?;
                ops::adapted_linear_t(be, dy, weight, terms, l.factors(), write, &mut du, dx)?;
                Ok(Some(du))
            }
            Some(dropout) => {
                let du = l.du(be, dy)?;
                ops::linear_t(be, dy, weight, terms, write, dx)?;
                // Dropped entries of x have no gradient: what the low-rank part sends back cannot join the product.
                let mut sent = Matrix::unwritten(be, dx.rows(), dx.cols())?;
                ops::matmul_nn(be, &du, (&l.a.value).into(), 1.0, Write::Overwrite, &mut sent)?;
                ops::dropout(be, &sent, dropout.p, dropout.stream(self.site), first_row, Write::Add, dx)?;
                Ok(Some(du))
            }
        }
    }

    /// What [`backward_input`](Self::backward_input) returns, where nothing asks for dx.
    ///
    /// # Errors
    /// When shapes disagree or the device is out of memory.
    pub fn backward_without_input(&self, be: &B, dy: &Matrix<B>) -> Result<Option<Matrix<B>>> {
        self.low_rank.as_ref().map(|l| l.du(be, dy)).transpose()
    }

    /// `dS += (dyᵀ·x)∘mask`, `dB += s·dyᵀ·u` and `dA += duᵀ·(x∘D/q)`. While scores are collected, each range's
    /// `G = dyᵀ·x` joins them.
    ///
    /// # Errors
    /// When shapes disagree or the device is out of memory.
    pub fn backward_params(
        &mut self,
        pass: &Pass<'_, B>,
        first_row: usize,
        weight: Weight<'_, B>,
        x: &Matrix<B>,
        saved: &AdapterSaved<B>,
        dy: &Matrix<B>,
        du: Option<&Matrix<B>>,
    ) -> Result<()> {
        let be = pass.be;
        if let Some(scores) = &mut self.scores {
            scores.collect(pass, self.shape, x, dy)?;
        }
        let dropped = self.dropped(pass, first_row, x)?;
        let s = self.sparse.as_mut().map(|s| &mut s.grad);
        let (Some(l), Some(u), Some(du)) = (&mut self.low_rank, &saved.u, du) else {
            return s.map_or(Ok(()), |ds| ops::sddmm_add(be, dy, x, ds));
        };
        let Some(dropped) = dropped else {
            let grads = AdapterGrads { a: &mut l.a.grad, b: &mut l.b.grad, s };
            return ops::adapter_grads_add(be, x, dy, weight, [u, du], l.scale, grads);
        };
        if let Some(ds) = s {
            ops::sddmm_add(be, dy, x, ds)?;
        }
        let tokens = 0..x.rows();
        ops::matmul_tn(be, dy, u, tokens.clone(), l.scale, Write::Add, &mut l.b.grad)?;
        ops::matmul_tn(be, du, &dropped, tokens, 1.0, Write::Add, &mut l.a.grad)
    }

    /// What drops entries of x before A, if anything does.
    fn dropout(&self, pass: &Pass<'_, B>) -> Option<Dropout> {
        pass.dropout.filter(|d| d.p > 0.0 && self.low_rank.is_some())
    }

    /// `x∘D/q`, or nothing where there is no low-rank part or no dropout. Never stored: drawn again in backward.
    fn dropped(&self, pass: &Pass<'_, B>, first_row: usize, x: &Matrix<B>) -> Result<Option<Matrix<B>>> {
        let Some(dropout) = self.dropout(pass) else { return Ok(None) };
        let mut dropped = Matrix::unwritten(pass.be, x.rows(), x.cols())?;
        ops::dropout(
            pass.be,
            x,
            dropout.p,
            dropout.stream(self.site),
            first_row,
            Write::Overwrite,
            &mut dropped,
        )?;
        Ok(Some(dropped))
    }

    /// Begins S: the entries of `pattern`, all zero, trained from here on.
    ///
    /// # Errors
    /// When the device is out of memory.
    pub fn begin_sparse(&mut self, be: &B, pattern: Arc<CsrPattern<B>>) -> Result<()> {
        self.scores = None;
        self.sparse = Some(Param::sparse(be, Csr::zeros(be, pattern)?)?);
        Ok(())
    }

    /// Whether any part is present or to come.
    pub fn is_some(&self) -> bool {
        self.low_rank.is_some() || self.sparse.is_some() || self.density > 0.0
    }

    /// Adds the trained parts to `views`.
    pub fn params<'a>(&'a mut self, views: &mut Vec<ParamView<'a, B>>) {
        if let Some(LowRank { a, b, .. }) = &mut self.low_rank {
            views.push(a.view(format!("{}.a", self.module), Group::LowRank));
            views.push(b.view(format!("{}.b", self.module), Group::LowRank));
        }
        if let Some(s) = &mut self.sparse {
            views.push(s.view(format!("{}.s", self.module)));
        }
    }
}

impl<B: Backend> Scores<B> {
    /// `sum += G∘G` or `sum += G` with `G = dyᵀ·x` of each of the pass's ranges. A dense gradient is never stored.
    fn collect(
        &mut self,
        pass: &Pass<'_, B>,
        shape: (usize, usize),
        x: &Matrix<B>,
        dy: &Matrix<B>,
    ) -> Result<()> {
        let Some(term) = self.term else { return Ok(()) };
        let sum = self.sum(pass.be, shape)?;
        for range in pass.score_ranges {
            ops::score_product_add(pass.be, dy, x, range.clone(), term, sum)?;
        }
        Ok(())
    }

    /// The sum so far of a weight of this shape.
    ///
    /// # Errors
    /// When the device is out of memory.
    pub fn sum(&mut self, be: &B, (rows, cols): (usize, usize)) -> Result<&mut Matrix<B, f32>> {
        let sum = match self.sum.take() {
            Some(sum) => sum,
            None => Matrix::zeros(be, rows, cols).map_err(Error::needed_for(Need::Scores))?,
        };
        Ok(self.sum.insert(sum))
    }
}
