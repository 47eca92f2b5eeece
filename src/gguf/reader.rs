//! A GGUF file: its header, its metadata, and where its tensors lie, all checked before anything is used.

use super::{
    blocks::Format,
    value::{FromValue, Value},
};
use crate::{
    error::{Error, Result},
    map::{FileMap, MappedBytes},
};
use std::{
    collections::BTreeMap,
    fmt,
    ops::Range,
    path::{Path, PathBuf},
};

const MAGIC: &[u8] = b"GGUF";
/// 2 and 3 are the same but for big-endian files, which only 3 can be.
const VERSIONS: [u32; 2] = [2, 3];
/// What tensor data is aligned to unless `general.alignment` says otherwise.
const ALIGNMENT: u64 = 32;
const MAX_DIMENSIONS: u32 = 4;

/// A GGUF file, memory-mapped: no weight is read before it is asked for.
///
/// Invariant: every tensor's range lies inside of the map and holds its shape's elements.
pub struct Gguf {
    path: PathBuf,
    map: MappedBytes,
    metadata: BTreeMap<String, Value>,
    tensors: BTreeMap<String, Tensor>,
}

/// Where a tensor lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Outermost dimension first, as in Rust and in Hugging Face checkpoints.
    pub shape: Vec<usize>,
    /// How its elements are stored.
    pub format: Format,
    /// Its bytes in the file.
    bytes: Range<usize>,
}

impl Gguf {
    /// The file `path`.
    ///
    /// # Errors
    /// When it cannot be read, is not a GGUF file of version 2 or 3, is cut short, or a count, type, size or offset
    /// in it makes no sense.
    pub fn open(path: &Path) -> Result<Self> {
        let map = FileMap::open(path)?.whole();
        let mut cursor = Cursor { path, bytes: &map, at: 0 };
        let magic = cursor.take("magic", 4)?;
        if magic != MAGIC {
            return Err(cursor.wrong("magic", format!("{magic:02x?}"), format!("{MAGIC:02x?} (GGUF)")));
        }
        let version = cursor.u32("version")?;
        if VERSIONS.contains(&version.swap_bytes()) {
            return Err(cursor.wrong("version", "a big-endian file", "a little-endian one"));
        }
        if !VERSIONS.contains(&version) {
            return Err(cursor.wrong("version", version, "2 or 3"));
        }
        // The fewest bytes that a tensor's entry and a key with its value can take.
        let tensor_count = cursor.count("tensor count", 8 + 4 + 8 + 4 + 8)?;
        let key_count = cursor.count("metadata count", 8 + 4 + 1)?;

        let mut metadata = BTreeMap::new();
        for i in 0..key_count {
            let key = cursor.text(&format_args!("key {i} of the metadata"))?;
            let value = cursor.value(&key)?;
            if metadata.insert(key.clone(), value).is_some() {
                return Err(cursor.wrong(key, "the key twice", "each key once"));
            }
        }
        let alignment = match metadata.get("general.alignment") {
            None => ALIGNMENT,
            Some(value) => match u64::from_value(value) {
                Some(alignment) if alignment.is_power_of_two() => alignment,
                _ => return Err(cursor.wrong("general.alignment", value, "a power of two")),
            },
        };
        let mut entries = Vec::new();
        for i in 0..tensor_count {
            let name = cursor.text(&format_args!("name of tensor {i}"))?;
            let entry = cursor.tensor(&name, alignment)?;
            entries.push((name, entry));
        }
        let start = (cursor.at as u64).next_multiple_of(alignment);
        let mut tensors = BTreeMap::new();
        for (name, entry) in entries {
            let tensor = cursor.place(&name, entry, start)?;
            if tensors.insert(name.clone(), tensor).is_some() {
                return Err(cursor.wrong(name, "the name twice", "each tensor once"));
            }
        }
        cursor.disjoint(&tensors)?;
        Ok(Self { path: path.to_owned(), map, metadata, tensors })
    }

    /// The file's name.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The metadata value `key`; `None` when there is none.
    ///
    /// # Errors
    /// [`Error::Format`] when it is of another type or out of range.
    pub fn get<T: FromValue>(&self, key: &str) -> Result<Option<T>> {
        let Some(value) = self.metadata.get(key) else { return Ok(None) };
        T::from_value(value).map(Some).ok_or_else(|| self.wrong(key, value, T::EXPECTED))
    }

    /// The metadata value `key`.
    ///
    /// # Errors
    /// [`Error::Format`] when it is absent, of another type or out of range.
    pub fn need<T: FromValue>(&self, key: &str) -> Result<T> {
        self.get(key)?.ok_or_else(|| self.wrong(key, "nothing", T::EXPECTED))
    }

    /// The tensors by name.
    #[must_use]
    pub fn tensors(&self) -> &BTreeMap<String, Tensor> {
        &self.tensors
    }

    /// The tensor `name`.
    ///
    /// # Errors
    /// [`Error::Format`] when there is no such tensor.
    pub fn tensor(&self, name: &str) -> Result<&Tensor> {
        let tensor = self.tensors.get(name);
        tensor.ok_or_else(|| self.wrong(name, "no such tensor", "the weights of the model"))
    }

    /// The elements of tensor `name` in f32, row-major: what ggml makes of them, to the bit.
    ///
    /// # Errors
    /// [`Error::Format`] when there is no such tensor or its shape is not `shape`.
    pub fn f32(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let tensor = self.tensor(name)?;
        if tensor.shape != shape {
            let expected = format!("shape {shape:?}");
            return Err(self.wrong(name, format!("shape {:?}", tensor.shape), expected));
        }
        Ok(tensor.format.dequantize(&self.map[tensor.bytes.clone()]))
    }

    /// The error for a key or tensor that makes no sense.
    pub fn wrong(
        &self,
        place: impl fmt::Display,
        found: impl fmt::Display,
        expected: impl fmt::Display,
    ) -> Error {
        Error::format(&self.path, place, found, expected)
    }
}

/// A tensor's entry as it stands in the file.
struct Entry {
    shape: Vec<usize>,
    format: Format,
    length: u64,
    offset: u64,
}

/// A position in the file.
struct Cursor<'a> {
    path: &'a Path,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn wrong(
        &self,
        place: impl fmt::Display,
        found: impl fmt::Display,
        expected: impl fmt::Display,
    ) -> Error {
        Error::format(self.path, place, found, expected)
    }

    /// The next `count` bytes.
    fn take(&mut self, what: impl fmt::Display, count: u64) -> Result<&'a [u8]> {
        let left = &self.bytes[self.at..];
        let taken = usize::try_from(count).ok().and_then(|count| left.get(..count)).ok_or_else(|| {
            let found = format!("{} bytes before the end of the file", left.len());
            self.wrong(what, found, format!("{count} bytes at offset {}", self.at))
        })?;
        self.at += taken.len();
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, what: impl fmt::Display) -> Result<[u8; N]> {
        let bytes = self.take(what, N as u64)?;
        Ok(bytes.try_into().expect("as many bytes as were asked for"))
    }

    fn u32(&mut self, what: impl fmt::Display) -> Result<u32> {
        self.array(what).map(u32::from_le_bytes)
    }

    fn u64(&mut self, what: impl fmt::Display) -> Result<u64> {
        self.array(what).map(u64::from_le_bytes)
    }

    /// A number of things of at least `least` bytes each, which the rest of the file has room for.
    fn count(&mut self, what: impl fmt::Display, least: u64) -> Result<u64> {
        let count = self.u64(&what)?;
        let left = (self.bytes.len() - self.at) as u64;
        if count > left / least {
            let expected = format!("at most {}: {left} bytes are left", left / least);
            return Err(self.wrong(what, count, expected));
        }
        Ok(count)
    }

    fn text(&mut self, what: &dyn fmt::Display) -> Result<String> {
        let length = self.u64(format_args!("length of {what}"))?;
        let bytes = self.take(what, length)?;
        let text = std::str::from_utf8(bytes);
        text.map(str::to_owned).map_err(|error| self.wrong(what, error, "UTF-8"))
    }

    /// The value of `key`: its type, then itself.
    fn value(&mut self, key: &str) -> Result<Value> {
        let kind = self.u32(format_args!("type of {key}"))?;
        if kind != ARRAY {
            return self.scalar(&key, kind);
        }
        let kind = self.u32(format_args!("element type of {key}"))?;
        let Some(least) = least_bytes(kind) else { return Err(self.unknown_type(key, kind)) };
        let count = self.count(format_args!("length of {key}"), least)?;
        let elements = (0..count).map(|i| self.scalar(&format_args!("{key}, element {i}"), kind));
        elements.collect::<Result<_>>().map(Value::Array)
    }

    fn scalar(&mut self, what: &dyn fmt::Display, kind: u32) -> Result<Value> {
        Ok(match kind {
            0 => Value::Unsigned(self.array::<1>(what)?[0].into()),
            1 => Value::Signed(i8::from_le_bytes(self.array(what)?).into()),
            2 => Value::Unsigned(u16::from_le_bytes(self.array(what)?).into()),
            3 => Value::Signed(i16::from_le_bytes(self.array(what)?).into()),
            4 => Value::Unsigned(self.u32(what)?.into()),
            5 => Value::Signed(i32::from_le_bytes(self.array(what)?).into()),
            6 => Value::F32(f32::from_le_bytes(self.array(what)?)),
            7 => match self.array::<1>(what)? {
                [0] => Value::Bool(false),
                [1] => Value::Bool(true),
                [other] => return Err(self.wrong(what, other, "0 or 1, a truth value")),
            },
            TEXT => Value::Text(self.text(what)?),
            10 => Value::Unsigned(self.u64(what)?),
            11 => Value::Signed(i64::from_le_bytes(self.array(what)?)),
            12 => Value::F64(f64::from_le_bytes(self.array(what)?)),
            _ => return Err(self.unknown_type(what, kind)),
        })
    }

    fn unknown_type(&self, what: impl fmt::Display, kind: u32) -> Error {
        let expected = "a type from 0 to 12, and no array in an array";
        self.wrong(what, format!("type {kind}"), expected)
    }

    fn tensor(&mut self, name: &str, alignment: u64) -> Result<Entry> {
        let dimensions = self.u32(format_args!("{name}, number of dimensions"))?;
        if dimensions == 0 || dimensions > MAX_DIMENSIONS {
            let place = format_args!("{name}, number of dimensions");
            return Err(self.wrong(place, dimensions, format!("from 1 to {MAX_DIMENSIONS}")));
        }
        let mut sizes = Vec::new();
        for i in 0..dimensions {
            sizes.push(self.u64(format_args!("{name}, dimension {i}"))?);
        }
        let id = self.u32(format_args!("{name}, type"))?;
        let format = Format::of_id(id).ok_or_else(|| {
            let known = Format::ALL.map(|format| format!("{} ({})", format.id(), format.name()));
            self.wrong(format_args!("{name}, type"), id, known.join(", "))
        })?;
        let offset = self.u64(format_args!("{name}, offset"))?;
        if !offset.is_multiple_of(alignment) {
            let expected = format!("a multiple of {alignment}");
            return Err(self.wrong(format_args!("{name}, offset"), offset, expected));
        }

        let (per_block, block_bytes) = (format.block_elements() as u64, format.block_bytes() as u64);
        // The innermost dimension stands first in the file.
        if sizes[0] == 0 || !sizes[0].is_multiple_of(per_block) {
            let expected = format!("a multiple of the {per_block} elements of a block of {}", format.name());
            return Err(self.wrong(format_args!("{name}, dimension 0"), sizes[0], expected));
        }
        let elements = sizes.iter().try_fold(1_u64, |product, &size| product.checked_mul(size));
        let length = elements.and_then(|elements| (elements / per_block).checked_mul(block_bytes));
        let shape = sizes.iter().rev().map(|&size| usize::try_from(size).ok()).collect::<Option<Vec<_>>>();
        let (Some(length), Some(shape)) = (length, shape) else {
            let found = format!("dimensions {sizes:?}");
            return Err(self.wrong(name, found, "a size that 64 bits hold"));
        };
        Ok(Entry { shape, format, length, offset })
    }

    /// The tensor of `entry` in a file whose tensor data begin at `start`.
    fn place(&self, name: &str, entry: Entry, start: u64) -> Result<Tensor> {
        let Entry { shape, format, length, offset } = entry;
        let first = start.checked_add(offset);
        let end = first.and_then(|first| first.checked_add(length));
        let inside = |at: u64| usize::try_from(at).ok().filter(|&at| at <= self.bytes.len());
        match (first.and_then(inside), end.and_then(inside)) {
            (Some(first), Some(end)) => Ok(Tensor { shape, format, bytes: first..end }),
            _ => {
                let found = format!("{length} bytes from offset {start} + {offset}");
                let expected = format!("an end within the {} bytes of the file", self.bytes.len());
                Err(self.wrong(name, found, expected))
            }
        }
    }

    /// Checks that no two tensors share bytes.
    fn disjoint(&self, tensors: &BTreeMap<String, Tensor>) -> Result<()> {
        let mut by_offset: Vec<_> = tensors.iter().collect();
        by_offset.sort_by_key(|(_, tensor)| (tensor.bytes.start, tensor.bytes.end));
        for pair in by_offset.windows(2) {
            let [(before, left), (name, right)] = pair else { continue };
            if right.bytes.start < left.bytes.end {
                let expected = format!("{} or more, where {before} ends", left.bytes.end);
                return Err(self.wrong(name, format!("data from byte {}", right.bytes.start), expected));
            }
        }
        Ok(())
    }
}

const TEXT: u32 = 8;
const ARRAY: u32 = 9;

/// The fewest bytes that a value of this type takes; `None` for an array and for types that do not exist.
fn least_bytes(kind: u32) -> Option<u64> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        TEXT | 10..=12 => Some(8),
        _ => None,
    }
}
