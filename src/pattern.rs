//! Settings that differ by module, selected by name as PEFT selects them.

use crate::error::{Error, Result};
use regex::Regex;

/// Values for the modules whose paths end with a key; the first key that matches decides.
///
/// A key is a regular expression and matches a path as `(.*\.)?(key)$`, so `q_proj`, `layers.0.self_attn.q_proj`
/// and `layers\.[01]\..*` all select what they seem to.
#[derive(Clone, Debug)]
pub struct Pattern<T> {
    entries: Vec<(String, Regex, T)>,
}

impl<T> Default for Pattern<T> {
    fn default() -> Self {
        Self { entries: Vec::new() }
    }
}

impl<T: PartialEq> PartialEq for Pattern<T> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<T> Pattern<T> {
    /// A pattern of `(key, value)` pairs in order of precedence; `setting` names it in errors.
    ///
    /// # Errors
    /// [`Error::Setting`] when a key is not a regular expression.
    pub fn new(setting: &'static str, entries: impl IntoIterator<Item = (String, T)>) -> Result<Self> {
        let compile = |(key, value): (String, T)| match Regex::new(&format!(r"^(?:.*\.)?(?:{key})$")) {
            Ok(regex) => Ok((key, regex, value)),
            Err(error) => Err(Error::Setting {
                name: setting,
                value: key,
                expected: format!("a module name or a regular expression ({error})"),
            }),
        };
        Ok(Self { entries: entries.into_iter().map(compile).collect::<Result<_>>()? })
    }

    /// The value for the module at `path`, if a key matches it.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&T> {
        self.entries.iter().find(|(_, regex, _)| regex.is_match(path)).map(|(_, _, value)| value)
    }

    /// The first key that matches none of the modules at `paths`.
    #[must_use]
    pub fn unmatched(&self, paths: &[&str]) -> Option<&str> {
        let unmatched = |regex: &Regex| !paths.iter().any(|path| regex.is_match(path));
        self.entries.iter().find(|(_, regex, _)| unmatched(regex)).map(|(key, _, _)| key.as_str())
    }

    /// The keys and values in order of precedence.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.entries.iter().map(|(key, _, value)| (key.as_str(), value))
    }

    /// Whether there is no key at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_key_that_ends_a_path_decides() {
        let entries = [("layers.0.self_attn.q_proj", 4), ("q_proj", 8), (r"layers\.[12]\..*", 16)];
        let pattern =
            Pattern::new("rank_pattern", entries.map(|(key, value)| (key.to_owned(), value))).unwrap();
        assert_eq!(pattern.get("model.layers.0.self_attn.q_proj"), Some(&4));
        assert_eq!(pattern.get("model.layers.1.self_attn.q_proj"), Some(&8));
        assert_eq!(pattern.get("model.layers.1.mlp.up_proj"), Some(&16));
        assert_eq!(pattern.get("model.layers.3.mlp.up_proj"), None);
        assert_eq!(pattern.get("model.layers.3.self_attn.big_q_proj"), None);
        assert!(Pattern::new("rank_pattern", [("q_(".to_owned(), 1)]).is_err());
        let paths = ["model.layers.0.self_attn.q_proj", "model.layers.1.mlp.up_proj"];
        assert_eq!(
            (pattern.unmatched(&paths), pattern.unmatched(&paths[..1])),
            (None, Some(r"layers\.[12]\..*"))
        );
    }
}
