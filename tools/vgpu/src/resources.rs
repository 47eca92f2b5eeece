//! What a compiler says a kernel needs, told in comments of the PTX: PTX itself has no register counts.
//!
//! One line per kernel and target:
//! `// resources: KERNEL sm_80 registers=64 shared=1024 spill_stores=0 spill_loads=0`

use std::collections::HashMap;

/// What a kernel needs on one target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Registers of a thread.
    pub registers: u32,
    /// Bytes of static shared memory of a block.
    pub shared: usize,
    /// Bytes that a thread stores because registers ran out.
    pub spill_stores: u64,
    /// Bytes that it loads back.
    pub spill_loads: u64,
}

/// The resources of a module's kernels.
#[derive(Clone, Debug, Default)]
pub struct ResourceReport(HashMap<(String, String), Resources>);

/// The target whose numbers stand in for one that has none.
const FALLBACK: &str = "sm_80";

impl ResourceReport {
    /// Collects the lines of a PTX text. One that is not of the form above is a comment like any other.
    #[must_use]
    pub fn parse(ptx: &str) -> Self {
        Self(ptx.lines().filter_map(parse_line).collect())
    }

    /// What a kernel needs on a target, or else on sm_80.
    #[must_use]
    pub fn get(&self, kernel: &str, target: &str) -> Option<Resources> {
        let on = |target: &str| self.0.get(&(kernel.to_owned(), target.to_owned())).copied();
        on(target).or_else(|| on(FALLBACK))
    }
}

fn parse_line(line: &str) -> Option<((String, String), Resources)> {
    let mut words = line.strip_prefix("// resources: ")?.split_whitespace();
    let key = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut resources = Resources::default();
    for word in words {
        let (name, value) = word.split_once('=')?;
        match name {
            "registers" => resources.registers = value.parse().ok()?,
            "shared" => resources.shared = value.parse().ok()?,
            "spill_stores" => resources.spill_stores = value.parse().ok()?,
            "spill_loads" => resources.spill_loads = value.parse().ok()?,
            _ => return None,
        }
    }
    (resources.registers != 0).then_some((key, resources))
}
