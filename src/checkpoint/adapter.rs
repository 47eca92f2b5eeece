//! Adapters as PEFT directories: `adapter_config.json` and `adapter_model.safetensors`.
//!
//! `peft_type` LORA is Hugging Face PEFT's own format; ROSA is the same with `rosa_` for `lora_`, plus a sparse part.

use super::{AdapterConfig, Method, TensorSource, Weights, write_atomically, write_weights};
use crate::{
    architecture::Architecture,
    error::{Error, Result},
    pattern::Pattern,
    sparse::check_pattern,
};
use std::{collections::BTreeMap, fs, io::Write, path::Path};

const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";
/// What PEFT puts before the module paths of the base model.
const PREFIX: &str = "base_model.model.";
/// The metadata string that tells the shape of a module whose tensors do not.
const SHAPE: &str = "shape:";

/// An adapter in host memory.
#[derive(Clone, Debug, PartialEq)]
pub struct AdapterFile {
    /// How the adapter was made and how strongly it acts.
    pub config: AdapterConfig,
    /// What it adds to each module, by the module's path in the base model.
    pub modules: BTreeMap<String, ModuleAdapter>,
}

/// What an adapter adds to one module with weight `[out_features, in_features]`.
///
/// The embedding counts as a linear map of `vocab_size` one-hot features, so its sparse part, which has the shape of
/// the stored weight, is transposed: `[in_features, out_features]`.
#[derive(Clone, Debug, PartialEq)]
pub struct ModuleAdapter {
    /// The length of the module's output.
    pub out_features: usize,
    /// The length of the module's input.
    pub in_features: usize,
    /// The part `scale · B · A`.
    pub low_rank: Option<LowRank>,
    /// The part `S`.
    pub sparse: Option<SparsePart>,
}

/// A product of two thin matrices, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct LowRank {
    /// The rows of `a` and columns of `b`.
    pub rank: usize,
    /// `[rank, in_features]`.
    pub a: Vec<f32>,
    /// `[out_features, rank]`.
    pub b: Vec<f32>,
}

/// A sparse matrix in compressed-row form (see [`CsrPattern`](crate::sparse::CsrPattern)).
#[derive(Clone, Debug, PartialEq)]
pub struct SparsePart {
    /// The number of columns.
    pub cols: usize,
    /// Where each row's entries start: one more than there are rows.
    pub row_offsets: Vec<u32>,
    /// The column of each entry, strictly rising within a row.
    pub col_indices: Vec<u32>,
    /// The value of each entry.
    pub values: Vec<f32>,
}

/// The names under which a module's tensors are stored.
struct Names {
    a: String,
    b: String,
    sparse: String,
}

impl Names {
    fn new(method: Method, module: &str) -> Self {
        let kind = match method {
            Method::Rosa => "rosa",
            Method::Lora => "lora",
        };
        let stem = format!("{PREFIX}{module}.{kind}");
        let low_rank = |letter| match is_embedding(module) {
            true => format!("{stem}_embedding_{letter}"),
            false => format!("{stem}_{letter}.weight"),
        };
        Self { a: low_rank('A'), b: low_rank('B'), sparse: format!("{stem}_spa") }
    }
}

fn is_embedding(module: &str) -> bool {
    module.rsplit('.').next() == Some("embed_tokens")
}

/// The module path in a tensor's name, or `None` when it is not one of an adapter's tensors.
fn module_of(method: Method, tensor: &str) -> Option<&str> {
    let (module, part) = match method {
        Method::Rosa => tensor.strip_prefix(PREFIX)?.rsplit_once(".rosa_")?,
        Method::Lora => tensor.strip_prefix(PREFIX)?.rsplit_once(".lora_")?,
    };
    match part {
        "A.weight" | "B.weight" => (!is_embedding(module)).then_some(module),
        "embedding_A" | "embedding_B" => is_embedding(module).then_some(module),
        "spa.values" | "spa.row_offs" | "spa.row_idx" | "spa.col_idx" => Some(module),
        _ => part.starts_with("spa.tr_").then_some(module),
    }
}

impl AdapterFile {
    /// The adapter in `dir`, checked against the model that it is for where `base` is given.
    ///
    /// A sparse part alone does not say how many columns its module has; without `base` such an adapter can only be
    /// read if this crate wrote it.
    ///
    /// # Errors
    /// When a file is missing or malformed, a tensor is not one of an adapter's or of a wrong shape, a sparse part
    /// is not a valid pattern, or `base` has no such module or one of another shape.
    pub fn read(dir: &Path, base: Option<&Architecture>) -> Result<Self> {
        let config = AdapterConfig::read(&dir.join(CONFIG))?;
        let file = Weights::open_file(&dir.join(WEIGHTS))?;
        let mut modules = BTreeMap::new();
        // PEFT adds an unchanged copy of the embedding when that has an adapter.
        for tensor in file.names().filter(|name| !name.ends_with(".base_layer.weight")) {
            let Some(module) = module_of(config.method, tensor) else {
                return Err(file.wrong(tensor, "a tensor", "only those of low-rank and sparse parts"));
            };
            if !modules.contains_key(module) {
                modules.insert(module.to_owned(), ModuleAdapter::read(&file, &config, module, base)?);
            }
        }
        let adapter = Self { config, modules };
        adapter.check(&dir.join(WEIGHTS))?;
        Ok(adapter)
    }

    /// Writes the adapter into `dir`, which is made if it does not exist. The patterns of a ROSA adapter are written
    /// out by module, since the reference does not tell patterns with different keys apart.
    ///
    /// # Errors
    /// When the parts do not fit each other or the configuration, or a file cannot be written.
    pub fn write(&self, dir: &Path) -> Result<()> {
        fs::create_dir_all(dir).map_err(Error::io("create", dir))?;
        let path = dir.join(WEIGHTS);
        self.check(&path)?;
        let mut tensors = Vec::new();
        let mut shapes = BTreeMap::new();
        for (module, adapter) in &self.modules {
            let (out, input) = (adapter.out_features, adapter.in_features);
            shapes.insert(format!("{SHAPE}{module}"), format!("[{out}, {input}]"));
            let names = Names::new(self.config.method, module);
            if let Some(LowRank { rank, a, b }) = &adapter.low_rank {
                tensors.push(TensorSource::slice(names.a, &[*rank, input], a));
                tensors.push(TensorSource::slice(names.b, &[out, *rank], b));
            }
            if let Some(sparse) = &adapter.sparse {
                sparse.write(&names.sparse, &mut tensors);
            }
        }
        write_weights(&path, &shapes, tensors)?;
        let config = match self.config.method {
            Method::Lora => self.config.to_json(),
            Method::Rosa => self.config_for_reference()?.to_json(),
        };
        let text = format!("{config:#}\n");
        write_atomically(&dir.join(CONFIG), |file| file.write_all(text.as_bytes()))
    }

    /// The configuration in the form that makes the reference set up exactly the parts that are there. It makes room
    /// for `⌊density·out·in⌋` values, and looks up a module's rank, density and alpha under one key, the first that
    /// matches in any of the patterns; so each module that departs from the defaults has an entry in all three.
    fn config_for_reference(&self) -> Result<AdapterConfig> {
        let config = &self.config;
        let (mut ranks, mut alphas, mut densities) = (Vec::new(), Vec::new(), Vec::new());
        for (module, adapter) in &self.modules {
            let size = adapter.out_features as f64 * adapter.in_features as f64;
            let given = config.density_of(module);
            let density = match adapter.sparse.as_ref().map(|sparse| sparse.values.len() as f64) {
                None => 0.0,
                Some(nnz) if (given * size).floor() == nnz => given,
                Some(nnz) => ((nnz + 0.5) / size).min(1.0),
            };
            let rank = adapter.low_rank.as_ref().map_or(0, |low_rank| low_rank.rank);
            let alpha = config.alpha_of(module);
            if (rank, alpha, density) != (config.rank, config.alpha, config.density) {
                // A key of the reference matches only after a dot.
                let key = regex::escape(module.split_once('.').map_or(module.as_str(), |(_, rest)| rest));
                ranks.push((key.clone(), rank));
                alphas.push((key.clone(), alpha));
                densities.push((key, density));
            }
        }
        Ok(AdapterConfig {
            rank_pattern: Pattern::new("rank_pattern", ranks)?,
            alpha_pattern: Pattern::new("alpha_pattern", alphas)?,
            density_pattern: Pattern::new("density_pattern", densities)?,
            ..config.clone()
        })
    }

    /// Proves that each module's parts fit each other and the configuration; `path` is named in errors.
    fn check(&self, path: &Path) -> Result<()> {
        for (module, adapter) in &self.modules {
            adapter.check(path, module)?;
            if let Some(LowRank { rank, .. }) = &adapter.low_rank
                && *rank != self.config.rank_of(module)
            {
                let expected = format!("rank {} as {CONFIG} says", self.config.rank_of(module));
                return Err(Error::format(path, module, format!("rank {rank}"), expected));
            }
            if adapter.sparse.is_some() && self.config.method == Method::Lora {
                return Err(Error::format(path, module, "a sparse part", "none in an adapter of type LORA"));
            }
        }
        Ok(())
    }
}

impl ModuleAdapter {
    fn read(
        file: &Weights,
        config: &AdapterConfig,
        module: &str,
        base: Option<&Architecture>,
    ) -> Result<Self> {
        let names = Names::new(config.method, module);
        let part = |name: &str| format!("{}.{name}", names.sparse);
        let (values, row_offsets) = (part("values"), part("row_offs"));
        let low_rank = file.contains(&names.a) || file.contains(&names.b);
        let sparse = file.contains(&values) || file.contains(&row_offsets);

        let (out_features, in_features) = if let Some(base) = base {
            let Some(spec) = base.module(module) else {
                return Err(file.wrong(
                    module,
                    "no such module in the model",
                    "an adapter made for this model",
                ));
            };
            (spec.out_features, spec.in_features)
        } else if low_rank {
            match (file.shape(&names.b)?, file.shape(&names.a)?) {
                (&[out, _], &[_, input]) => (out, input),
                (b, a) => {
                    return Err(file.wrong(module, format!("shapes {a:?} and {b:?}"), "two matrices"));
                }
            }
        } else {
            let shape = file.metadata().get(&format!("{SHAPE}{module}"));
            match shape.and_then(|shape| serde_json::from_str::<[usize; 2]>(shape).ok()) {
                Some([out, input]) => (out, input),
                None => {
                    let expected = "the base model to be given, which tells it";
                    return Err(file.wrong(module, "a sparse part without its number of columns", expected));
                }
            }
        };

        let low_rank = if low_rank {
            let &[rank, ..] = file.shape(&names.a)? else {
                return Err(file.wrong(&names.a, "a single number", "a matrix"));
            };
            let a = file.f32(&names.a, &[rank, in_features])?;
            let b = file.f32(&names.b, &[out_features, rank])?;
            Some(LowRank { rank, a, b })
        } else {
            None
        };
        let sparse = if sparse {
            let row_offsets = file.indices(&row_offsets)?;
            let values = file.f32(&values, file.shape(&values)?)?;
            let col_indices = file.indices(&part("col_idx"))?;
            let cols = if is_embedding(module) { out_features } else { in_features };
            // The reference saves an adapter whose mask was not made yet as offsets that are all 0.
            let unmade = row_offsets.iter().all(|&offset| offset == 0) && values.iter().all(|&v| v == 0.0);
            (!unmade).then_some(SparsePart { cols, row_offsets, col_indices, values })
        } else {
            None
        };
        Ok(Self { out_features, in_features, low_rank, sparse })
    }

    fn check(&self, path: &Path, module: &str) -> Result<()> {
        let (out, input) = (self.out_features, self.in_features);
        let sizes = |what: &str, found: usize, expected: usize| {
            let message = |n| format!("{n} elements");
            match found == expected {
                true => Ok(()),
                false => {
                    Err(Error::format(path, format!("{module}.{what}"), message(found), message(expected)))
                }
            }
        };
        let finite = |what: &str, numbers: &[f32]| match numbers.iter().position(|number| !number.is_finite())
        {
            None => Ok(()),
            Some(i) => {
                let found = format!("{} at element {i}", numbers[i]);
                Err(Error::format(path, format!("{module}.{what}"), found, "finite numbers"))
            }
        };
        if let Some(LowRank { rank, a, b }) = &self.low_rank {
            sizes("A", a.len(), rank * input)?;
            sizes("B", b.len(), out * rank)?;
            finite("A", a)?;
            finite("B", b)?;
        }
        if let Some(sparse) = &self.sparse {
            let (rows, cols) = if is_embedding(module) { (input, out) } else { (out, input) };
            sizes("values", sparse.values.len(), sparse.col_indices.len())?;
            sizes("columns", sparse.cols, cols)?;
            finite("values", &sparse.values)?;
            check_pattern(rows, cols, &sparse.row_offsets, &sparse.col_indices)
                .map_err(|error| Error::format(path, module, error, "a valid sparse pattern"))?;
        }
        Ok(())
    }
}

impl SparsePart {
    /// Adds the four tensors of the reference: indices as i16 where they all fit, else as u32.
    fn write<'a>(&'a self, stem: &str, tensors: &mut Vec<TensorSource<'a>>) {
        let mut row_order: Vec<u32> = (0..).take(self.row_offsets.len() - 1).collect();
        let length = |row: u32| {
            let row = row as usize;
            self.row_offsets[row + 1] - self.row_offsets[row]
        };
        row_order.sort_by_key(|&row| std::cmp::Reverse(length(row)));
        tensors.push(TensorSource::slice(format!("{stem}.values"), &[self.values.len()], &self.values));
        tensors.push(narrow::<i32>(format!("{stem}.row_offs"), &self.row_offsets));
        tensors.push(narrow::<i16>(format!("{stem}.row_idx"), &row_order));
        tensors.push(narrow::<i16>(format!("{stem}.col_idx"), &self.col_indices));
    }
}

/// The vector `indices` in `T` where every element fits, else in u32.
fn narrow<'a, T: super::Stored + TryFrom<u32>>(name: String, indices: &[u32]) -> TensorSource<'a> {
    match indices.iter().map(|&i| T::try_from(i).ok()).collect::<Option<Vec<T>>>() {
        Some(narrow) => TensorSource::owned(name, &[indices.len()], narrow),
        None => TensorSource::owned(name, &[indices.len()], indices.to_vec()),
    }
}
