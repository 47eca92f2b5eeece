//! JSON files whose errors name the file and the field.

use crate::error::{Error, Result};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// A JSON object and the file that it comes from.
#[derive(Clone, Debug)]
pub struct JsonFile {
    path: PathBuf,
    /// The dotted path of this object inside of the file, with a final dot; empty for the whole file.
    prefix: String,
    fields: Map<String, Value>,
}

impl JsonFile {
    /// The object that `path` holds.
    ///
    /// # Errors
    /// When the file cannot be read or is not a JSON object.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).map_err(Error::io("read", path))?;
        Self::parse(path, &bytes)
    }

    /// Like [`JsonFile::read`], but `None` for a file that does not exist.
    ///
    /// # Errors
    /// When the file exists but cannot be read or is not a JSON object.
    pub fn read_if_present(path: &Path) -> Result<Option<Self>> {
        match fs::read(path) {
            Ok(bytes) => Self::parse(path, &bytes).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("read", path)(error)),
        }
    }

    fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        let fields = serde_json::from_slice(bytes).map_err(|error| {
            let place = format!("line {}, column {}", error.line(), error.column());
            Error::format(path, place, format!("invalid JSON ({error})"), "a JSON object")
        })?;
        Ok(Self { path: path.to_owned(), prefix: String::new(), fields })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there is a field `key`, null or not.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.fields.contains_key(key)
    }

    /// The field `key`; `None` when it is absent or null.
    ///
    /// # Errors
    /// [`Error::Format`] when it is of another type.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        let Some(value) = self.fields.get(key).filter(|value| !value.is_null()) else { return Ok(None) };
        T::deserialize(value).map(Some).map_err(|error| {
            // Serde words a wrong type as "…, expected …", which is how `Error::Format` reads too.
            let message = error.to_string();
            let (found, expected) = message.split_once(", expected ").unwrap_or((&message, "another value"));
            self.wrong(key, found, expected)
        })
    }

    /// The field `key`.
    ///
    /// # Errors
    /// [`Error::Format`] when it is absent, null or of another type.
    pub fn need<T: DeserializeOwned>(&self, key: &str) -> Result<T> {
        self.get(key)?.ok_or_else(|| self.wrong(key, "nothing", "a value"))
    }

    /// The object in the field `key`; `None` when it is absent or null.
    ///
    /// # Errors
    /// [`Error::Format`] when it is not an object.
    pub fn object(&self, key: &str) -> Result<Option<Self>> {
        let fields = self.get(key)?;
        let prefix = format!("{}{key}.", self.prefix);
        Ok(fields.map(|fields| Self { path: self.path.clone(), prefix, fields }))
    }

    /// The token ids in the field `key`, which may be one or a list; none when it is absent or null.
    ///
    /// # Errors
    /// [`Error::Format`] when it is of another type.
    pub fn token_ids(&self, key: &str) -> Result<Vec<u32>> {
        match self.fields.get(key) {
            Some(Value::Array(_)) => self.need(key),
            _ => Ok(self.get(key)?.into_iter().collect()),
        }
    }

    /// The error for a field `key` whose value makes no sense.
    pub fn wrong(&self, key: &str, found: impl std::fmt::Display, expected: impl std::fmt::Display) -> Error {
        Error::format(&self.path, format!("{}{key}", self.prefix), found, expected)
    }
}
