//! Drawing from lists, and filling the slots of sentence templates.

use std::{borrow::Cow, sync::LazyLock};

use regex::{Captures, Regex};

use crate::{
    num::{to_u32, to_usize},
    rng::{Purpose, Stream},
};

/// Which generator draws; keeps their streams apart.
#[derive(Clone, Copy)]
pub(super) enum Source {
    Corpus,
    Train,
    Valid,
    Rows,
}

/// A position in a random stream: each draw moves it on.
pub(super) struct Draw {
    stream: Stream,
    next: u64,
}

impl Draw {
    /// The draws of item `index` of one source.
    pub(super) const fn new(seed: u64, source: Source, index: u64) -> Self {
        Self { stream: Stream::new(seed, Purpose::Data, index, source as u64), next: 0 }
    }

    /// Uniform in `0..bound`.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.next += 1;
        to_usize(self.stream.below(self.next - 1, to_u32("a list", bound).unwrap_or(u32::MAX)))
    }

    /// Uniform in `low..=high`.
    pub(super) fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    /// One item of a list that is not empty.
    pub(super) fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    /// `count` distinct items of a list in random order (all of them where there are fewer).
    pub(super) fn sample<T: Copy>(&mut self, items: &[T], count: usize) -> Vec<T> {
        let mut left = items.to_vec();
        (0..count.min(left.len())).map(|_| left.swap_remove(self.below(left.len()))).collect()
    }
}

static SLOT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"@([a-z]+)(\d?)").expect("the pattern is a constant"));

/// Replaces each slot of a template, written `@kind` or `@kind1`, by `value(kind, number)`.
pub(super) fn fill<'a>(template: &'a str, mut value: impl FnMut(&str, &str) -> String) -> Cow<'a, str> {
    SLOT.replace_all(template, |slot: &Captures| value(&slot[1], &slot[2]))
}
