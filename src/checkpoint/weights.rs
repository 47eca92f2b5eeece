//! safetensors files: read through a memory map, written tensor by tensor.

use super::write_atomically;
use crate::{
    error::{Error, Result},
    json::JsonFile,
    map::{FileMap, MappedBytes, MappedElements},
};
use half::{bf16, f16, slice::HalfFloatSliceExt};
use rayon::prelude::*;
use safetensors::{Dtype, SafeTensors, tensor::TensorInfo};
use serde_json::{Map, Value, json};
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

/// The tensors of a checkpoint, memory-mapped: nothing is read before it is asked for.
#[derive(Debug)]
pub struct Weights {
    /// The file that errors about the whole name: the only one, or the index.
    path: PathBuf,
    files: Vec<MappedFile>,
    /// For each tensor, the number of its file and what the header says of it.
    tensors: BTreeMap<String, (usize, TensorInfo)>,
    metadata: BTreeMap<String, String>,
}

#[derive(Debug)]
struct MappedFile {
    file: FileMap,
    /// Where tensor data starts.
    data: usize,
}

impl Weights {
    /// The weights of the checkpoint in `dir`: `model.safetensors`, or the shards that
    /// `model.safetensors.index.json` lists.
    ///
    /// # Errors
    /// When there are none, a file is missing, truncated or malformed, or a shard lacks a tensor of the index.
    pub fn open(dir: &Path) -> Result<Self> {
        let (single, index) = (dir.join("model.safetensors"), dir.join("model.safetensors.index.json"));
        if single.exists() {
            return Self::open_file(&single);
        }
        let Some(index) = JsonFile::read_if_present(&index)? else {
            return Err(Error::format(
                dir,
                "weights",
                "neither model.safetensors nor model.safetensors.index.json",
                "one of them",
            ));
        };
        let listed: BTreeMap<String, String> = index.need("weight_map")?;
        let mut weights = Self {
            path: index.path().to_owned(),
            files: Vec::new(),
            tensors: BTreeMap::new(),
            metadata: BTreeMap::new(),
        };
        for shard in listed.values().collect::<BTreeSet<_>>() {
            if Path::new(shard).file_name() != Some(shard.as_ref()) {
                return Err(index.wrong("weight_map", shard, "the name of a file beside the index"));
            }
            weights.add(&dir.join(shard))?;
        }
        if let Some((name, shard)) = listed.iter().find(|(name, _)| !weights.tensors.contains_key(*name)) {
            return Err(Error::format(
                dir.join(shard),
                name,
                "no such tensor",
                "the one that the index lists",
            ));
        }
        Ok(weights)
    }

    /// The tensors of one safetensors file.
    ///
    /// # Errors
    /// When it is missing, truncated or malformed.
    pub fn open_file(path: &Path) -> Result<Self> {
        let mut weights = Self {
            path: path.to_owned(),
            files: Vec::new(),
            tensors: BTreeMap::new(),
            metadata: BTreeMap::new(),
        };
        weights.add(path)?;
        Ok(weights)
    }

    fn add(&mut self, path: &Path) -> Result<()> {
        let file = FileMap::open(path)?;
        let map = file.whole();
        let size = format!("{} bytes", map.len());
        if map.starts_with(b"version https://git-lfs") {
            let expected = "the file that it points to: fetch that with `git lfs pull`";
            return Err(Error::format(path, size, "a pointer of Git LFS", expected));
        }
        let (header, metadata) =
            SafeTensors::read_metadata(&map).map_err(|error| match stated_size(&map) {
                Some(stated) if stated != map.len() as u64 => {
                    let expected =
                        format!("a complete safetensors file, of {stated} bytes as its header says");
                    Error::format(path, "size", size, expected)
                }
                _ => Error::format(path, size, error, "a complete safetensors file"),
            })?;
        for (name, info) in metadata.tensors() {
            if let Some((other, _)) = self.tensors.insert(name.clone(), (self.files.len(), info.clone())) {
                let found = format!("the tensor that {} holds too", self.files[other].file.path().display());
                return Err(Error::format(path, name, found, "each tensor once"));
            }
        }
        self.metadata.extend(metadata.metadata().iter().flatten().map(|(k, v)| (k.clone(), v.clone())));
        self.files.push(MappedFile { file, data: size_of::<u64>() + header });
        Ok(())
    }

    /// The tensors' names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Whether there is a tensor `name`.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The strings that the files' headers carry beside the tensors.
    #[must_use]
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// The shape of tensor `name`.
    ///
    /// # Errors
    /// [`Error::Format`] when there is no such tensor.
    pub fn shape(&self, name: &str) -> Result<&[usize]> {
        Ok(&self.info(name)?.1.shape)
    }

    /// The element type of tensor `name`.
    ///
    /// # Errors
    /// [`Error::Format`] when there is no such tensor.
    pub fn dtype(&self, name: &str) -> Result<Dtype> {
        Ok(self.info(name)?.1.dtype)
    }

    /// Tensor `name` of shape `shape`, stored as f32, f16 or bf16.
    ///
    /// # Errors
    /// [`Error::Format`] when it is missing or of another shape or type.
    pub fn f32(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let (dtype, bytes) = self.data(name, shape)?;
        match dtype {
            Dtype::F32 => Ok(bytemuck::pod_collect_to_vec(&bytes)),
            Dtype::F16 => Ok(elements::<f16>(&bytes).to_f32_vec()),
            Dtype::BF16 => Ok(widened(&elements(&bytes))),
            _ => Err(self.wrong(name, dtype, "f32, f16 or bf16")),
        }
    }

    /// Proves that all numbers are finite, of the tensors stored as f32, f16 or bf16.
    ///
    /// # Errors
    /// [`Error::Format`] names the first tensor that has another, and where.
    pub fn check_finite(&self) -> Result<()> {
        for (name, (_, info)) in &self.tensors {
            if !matches!(info.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16) {
                continue;
            }
            let numbers = self.f32(name, &info.shape)?;
            if let Some(i) = numbers.iter().position(|number| !number.is_finite()) {
                return Err(self.wrong(name, format!("{} at element {i}", numbers[i]), "finite numbers"));
            }
        }
        Ok(())
    }

    /// Tensor `name` of shape `shape`, stored as f32, f16 or bf16, rounded to the nearest bf16.
    ///
    /// # Errors
    /// [`Error::Format`] when it is missing or of another shape or type.
    pub fn bf16(&self, name: &str, shape: &[usize]) -> Result<Vec<bf16>> {
        match self.data(name, shape)? {
            (Dtype::BF16, bytes) => Ok(bytemuck::pod_collect_to_vec(&bytes)),
            _ => Ok(self.f32(name, shape)?.into_iter().map(bf16::from_f32).collect()),
        }
    }

    /// Tensor `name` of shape `shape` where it is stored as `T`, without reading it; `None` where it is not, or not
    /// aligned.
    ///
    /// # Errors
    /// [`Error::Format`] when it is missing or of another shape.
    pub fn mapped<T: Stored>(&self, name: &str, shape: &[usize]) -> Result<Option<MappedElements<T>>> {
        match self.data(name, shape)? {
            (dtype, bytes) if dtype == T::DTYPE => Ok(MappedElements::new(bytes)),
            _ => Ok(None),
        }
    }

    /// Tensor `name` of shape `shape`, stored as u8.
    ///
    /// # Errors
    /// [`Error::Format`] when it is missing or of another shape or type.
    pub fn u8(&self, name: &str, shape: &[usize]) -> Result<Vec<u8>> {
        match self.data(name, shape)? {
            (Dtype::U8, bytes) => Ok(bytes.to_vec()),
            (dtype, _) => Err(self.wrong(name, dtype, Dtype::U8)),
        }
    }

    /// The bytes of tensor `name`, whatever its shape and type.
    ///
    /// # Errors
    /// [`Error::Format`] when it is missing.
    pub fn bytes(&self, name: &str) -> Result<Vec<u8>> {
        Ok(self.data(name, self.shape(name)?)?.1.to_vec())
    }

    /// The bytes that all tensors take.
    #[must_use]
    pub fn total_bytes(&self) -> usize {
        self.tensors.values().map(|(_, info)| info.data_offsets.1 - info.data_offsets.0).sum()
    }

    /// Tensor `name`, a vector of integers of 16 or 32 bits, none of them negative.
    ///
    /// # Errors
    /// [`Error::Format`] when it is missing, not a vector, of another type, or holds a negative number.
    pub fn indices(&self, name: &str) -> Result<Vec<u32>> {
        let &[len] = self.shape(name)? else {
            return Err(self.wrong(name, format!("shape {:?}", self.shape(name)?), "a vector"));
        };
        let (dtype, bytes) = self.data(name, &[len])?;
        match dtype {
            Dtype::U32 => Ok(bytemuck::pod_collect_to_vec(&bytes)),
            Dtype::I32 => self.not_negative::<i32>(name, &bytes),
            Dtype::U16 => self.not_negative::<u16>(name, &bytes),
            Dtype::I16 => self.not_negative::<i16>(name, &bytes),
            _ => Err(self.wrong(name, dtype, "u32, i32, u16 or i16")),
        }
    }

    /// The error for tensor `name` holding something that it should not.
    pub fn wrong(
        &self,
        name: &str,
        found: impl std::fmt::Display,
        expected: impl std::fmt::Display,
    ) -> Error {
        let path = self.tensors.get(name).map_or(&*self.path, |&(file, _)| self.files[file].file.path());
        Error::format(path, name, found, expected)
    }

    fn not_negative<T>(&self, name: &str, bytes: &[u8]) -> Result<Vec<u32>>
    where
        T: bytemuck::Pod + std::fmt::Display,
        u32: TryFrom<T>,
    {
        let integers = bytemuck::pod_collect_to_vec::<u8, T>(bytes).into_iter();
        integers.map(|i| u32::try_from(i).map_err(|_| self.wrong(name, i, "an index of 0 or more"))).collect()
    }

    fn info(&self, name: &str) -> Result<&(usize, TensorInfo)> {
        self.tensors.get(name).ok_or_else(|| self.wrong(name, "no such tensor", "the weights of the model"))
    }

    fn data(&self, name: &str, shape: &[usize]) -> Result<(Dtype, MappedBytes)> {
        let (file, info) = self.info(name)?;
        if info.shape != shape {
            return Err(self.wrong(name, format!("shape {:?}", info.shape), format!("shape {shape:?}")));
        }
        let (start, end) = info.data_offsets;
        let file = &self.files[*file];
        Ok((info.dtype, file.file.range(file.data + start..file.data + end)))
    }
}

/// The elements that `bytes` stand for, copied only where they are not aligned.
fn elements<T: bytemuck::Pod>(bytes: &[u8]) -> Cow<'_, [T]> {
    match bytemuck::try_cast_slice(bytes) {
        Ok(elements) => Cow::Borrowed(elements),
        Err(_) => Cow::Owned(bytemuck::pod_collect_to_vec(bytes)),
    }
}

/// Elements that are widened by one thread.
const PIECE: usize = 1 << 16;

/// The same numbers in f32, by all threads.
fn widened(narrow: &[bf16]) -> Vec<f32> {
    let mut wide = bytemuck::zeroed_vec::<f32>(narrow.len());
    wide.par_chunks_mut(PIECE).zip(narrow.par_chunks(PIECE)).for_each(|(wide, narrow)| {
        for (wide, narrow) in wide.iter_mut().zip(narrow) {
            *wide = f32::from_bits(u32::from(narrow.to_bits()) << 16);
        }
    });
    wide
}

/// An element type that [`write_weights`] stores.
pub trait Stored: bytemuck::Pod {
    /// Its name in the format.
    const DTYPE: Dtype;
}

macro_rules! stored {
    ($($type:ty => $dtype:ident),+ $(,)?) => { $(impl Stored for $type { const DTYPE: Dtype = Dtype::$dtype; })+ };
}
stored!(f32 => F32, bf16 => BF16, f16 => F16, u8 => U8, i16 => I16, i32 => I32, u32 => U32, u64 => U64);

/// A tensor to be written, whose elements are made when its turn comes and dropped right after.
pub struct TensorSource<'a> {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: usize,
    write: Box<Produce<'a>>,
}

/// Makes a tensor's elements and writes them.
type Produce<'a> = dyn FnOnce(&mut BufWriter<File>) -> io::Result<()> + 'a;

impl<'a> TensorSource<'a> {
    /// Tensor `name` of shape `shape`, whose elements `produce` returns, row-major.
    pub fn lazy<T: Stored>(
        name: impl Into<String>,
        shape: &[usize],
        produce: impl FnOnce() -> Result<Cow<'a, [T]>> + 'a,
    ) -> Self {
        let count: usize = shape.iter().product();
        let write = move |file: &mut BufWriter<File>| {
            let elements = produce().map_err(io::Error::other)?;
            if elements.len() != count {
                return Err(io::Error::other(Error::Dims {
                    op: "write_weights",
                    left: ("tensor", "elements", elements.len()),
                    right: ("its shape", "elements", count),
                }));
            }
            file.write_all(bytemuck::cast_slice(&elements))
        };
        Self {
            name: name.into(),
            dtype: T::DTYPE,
            shape: shape.to_vec(),
            bytes: count * size_of::<T>(),
            write: Box::new(write),
        }
    }

    /// Tensor `name` of shape `shape` with these elements.
    pub fn slice<T: Stored>(name: impl Into<String>, shape: &[usize], elements: &'a [T]) -> Self {
        Self::lazy(name, shape, move || Ok(Cow::Borrowed(elements)))
    }

    /// Tensor `name` of shape `shape` with these elements.
    pub fn owned<T: Stored>(name: impl Into<String>, shape: &[usize], elements: Vec<T>) -> Self {
        Self::lazy(name, shape, move || Ok(Cow::Owned(elements)))
    }
}

/// Writes a safetensors file with these `metadata` strings and tensors, one tensor in memory at a time.
///
/// Tensors are ordered by falling element size, then by name, so that each is aligned and equal input gives equal
/// bytes. The metadata key `format` is always `pt`, which transformers asks for.
///
/// # Errors
/// When the disk or a producer fails, or a producer returns a wrong number of elements; the old file survives.
pub fn write_weights(
    path: &Path,
    metadata: &BTreeMap<String, String>,
    mut tensors: Vec<TensorSource<'_>>,
) -> Result<()> {
    tensors.sort_by(|l, r| r.dtype.cmp(&l.dtype).then_with(|| l.name.cmp(&r.name)));
    let mut strings = metadata.clone();
    strings.insert("format".to_owned(), "pt".to_owned());
    let mut header = Map::from_iter([("__metadata__".to_owned(), json!(strings))]);
    let mut start = 0;
    for tensor in &tensors {
        let end = start + tensor.bytes;
        let info = json!({ "dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [start, end] });
        if header.insert(tensor.name.clone(), info).is_some() {
            return Err(Error::format(path, &tensor.name, "the name twice", "each tensor once"));
        }
        start = end;
    }
    let mut header = Value::Object(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(size_of::<u64>()), b' ');
    write_atomically(path, |file| {
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(&header)?;
        tensors.into_iter().try_for_each(|tensor| (tensor.write)(file))
    })
}
/// How many bytes a safetensors file has by its header, of which all must be there: its length in 8 bytes, then JSON that ends
/// with where the tensors' bytes lie behind it.
fn stated_size(file: &[u8]) -> Option<u64> {
    let (length, rest) = file.split_first_chunk()?;
    let length = u64::from_le_bytes(*length);
    let header = rest.get(..usize::try_from(length).ok()?)?;
    let header: BTreeMap<String, serde_json::Value> = serde_json::from_slice(header).ok()?;
    let ends = header.values().filter_map(|tensor| tensor["data_offsets"][1].as_u64());
    ends.max()?.checked_add(length)?.checked_add(size_of::<u64>() as u64)
}
