//! `rosa-mini inspect`.

use super::{
    print::{put, putln},
    show::{self, row},
};
use clap::Args;
use rosa_kernels::{
    architecture::Architecture,
    backend::{Write, cpu::Cpu},
    checkpoint::{AdapterFile, LowRank, ModuleAdapter},
    error::Result,
    ops,
    tensor::Matrix,
};
use serde::Serialize;
use std::path::PathBuf;

/// Show what an adapter holds, module by module.
#[derive(Args)]
pub(super) struct InspectArgs {
    /// Directory of the adapter
    #[arg(long, value_name = "DIR")]
    adapter: PathBuf,
    /// Directory of the base model, which adapters from elsewhere may need for the shapes of their modules
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Print the result as JSON on stdout
    #[arg(long)]
    json: bool,
}

/// One module's line.
#[derive(Serialize)]
struct Line {
    module: String,
    out_features: usize,
    in_features: usize,
    rank: usize,
    /// Frobenius norm of `s·B·A`.
    low_rank_norm: f64,
    nnz: usize,
    density: f64,
    rows_used: usize,
    cols_used: usize,
    /// Frobenius norm of S.
    sparse_norm: f64,
}

pub(super) fn run(args: &InspectArgs) -> Result<()> {
    let base = args.model.as_deref().map(Architecture::read).transpose()?;
    let file = AdapterFile::read(&args.adapter, base.as_ref())?;
    let cpu = Cpu::new(None)?;
    let lines: Vec<Line> = file
        .modules
        .iter()
        .map(|(module, part)| line(&cpu, module, part, f64::from(file.config.scale(module))))
        .collect::<Result<_>>()?;
    if args.json {
        putln!("{}", serde_json::to_string_pretty(&lines).expect("lines are plain data"))?;
        return Ok(());
    }
    let (config, has_low_rank, has_sparse) =
        (&file.config, lines.iter().any(|l| l.rank > 0), lines.iter().any(|l| l.nnz > 0));
    // The modules' own densities may differ from the one in the configuration, and do where a mask was given.
    let with_s = file.modules.values().filter_map(|part| part.sparse.as_ref().map(|s| (part, s)));
    let (nnz, size) = with_s.fold((0, 0), |(nnz, size), (part, s)| {
        (nnz + s.values.len(), size + part.out_features * part.in_features)
    });
    let density = nnz as f64 / size.max(1) as f64;
    putln!(
        "{:?} adapter of {}: rank {}, alpha {}, density {}, schedule {}",
        config.method,
        config.base_model,
        config.rank,
        config.alpha,
        show::percent(density),
        config.schedule
    )?;
    // Only the columns of parts that the adapter has.
    let row = |module: &str, shape: String, low_rank: Vec<String>, sparse: Vec<String>| {
        let mut cells = row![module, shape];
        cells.extend(low_rank.into_iter().filter(|_| has_low_rank));
        cells.extend(sparse.into_iter().filter(|_| has_sparse));
        cells
    };
    let sparse_heads = row!["nnz", "density", "rows used", "cols used", "‖S‖"];
    let mut rows = vec![row("module", "shape".to_owned(), row!["rank", "‖sBA‖"], sparse_heads)];
    for l in &lines {
        let low_rank = row![l.rank, format!("{:.4}", l.low_rank_norm)];
        let sparse = row![
            show::count(l.nnz),
            show::percent(l.density),
            show::count(l.rows_used),
            show::count(l.cols_used),
            format!("{:.4}", l.sparse_norm),
        ];
        rows.push(row(&l.module, format!("{}×{}", l.out_features, l.in_features), low_rank, sparse));
    }
    put!("{}", show::table(&rows))?;
    let low_rank: usize = lines.iter().map(|l| l.rank * (l.out_features + l.in_features)).sum();
    let sparse: usize = lines.iter().map(|l| l.nnz).sum();
    putln!(
        "{} parameters in A and B, {} in S; ‖·‖ is the Frobenius norm",
        show::count(low_rank),
        show::count(sparse)
    )?;
    Ok(())
}

fn line(cpu: &Cpu, module: &str, part: &ModuleAdapter, scale: f64) -> Result<Line> {
    let (rank, low_rank_norm) = match &part.low_rank {
        None => (0, 0.0),
        Some(low_rank) => (low_rank.rank, scale * product_norm(cpu, part, low_rank)?),
    };
    let (mut nnz, mut rows_used, mut cols_used, mut sparse_norm) = (0, 0, 0, 0.0);
    if let Some(s) = &part.sparse {
        nnz = s.values.len();
        rows_used = s.row_offsets.windows(2).filter(|w| w[0] < w[1]).count();
        let mut used = vec![false; s.cols];
        s.col_indices.iter().for_each(|&c| used[c as usize] = true);
        cols_used = used.into_iter().filter(|&used| used).count();
        sparse_norm = norm(&s.values);
    }
    let size = part.out_features as f64 * part.in_features as f64;
    Ok(Line {
        module: module.to_owned(),
        out_features: part.out_features,
        in_features: part.in_features,
        rank,
        low_rank_norm,
        nnz,
        density: nnz as f64 / size,
        rows_used,
        cols_used,
        sparse_norm,
    })
}

/// `‖B·A‖`, from the two `rank × rank` Gram matrices: `‖B·A‖² = Σ (BᵀB) ∘ (AAᵀ)`.
fn product_norm(cpu: &Cpu, part: &ModuleAdapter, l: &LowRank) -> Result<f64> {
    let a = Matrix::upload(cpu, l.rank, part.in_features, l.a.clone())?;
    let b = Matrix::upload(cpu, part.out_features, l.rank, l.b.clone())?;
    let mut aa = Matrix::zeros(cpu, l.rank, l.rank)?;
    let mut bb = Matrix::zeros(cpu, l.rank, l.rank)?;
    ops::matmul_nt(cpu, &a, (&a).into(), 1.0, Write::Overwrite, &mut aa)?;
    ops::matmul_tn(cpu, &b, &b, 0..part.out_features, 1.0, Write::Overwrite, &mut bb)?;
    let (aa, bb) = (aa.download(cpu)?, bb.download(cpu)?);
    Ok(aa.iter().zip(&bb).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum::<f64>().max(0.0).sqrt())
}

fn norm(values: &[f32]) -> f64 {
    values.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt()
}
