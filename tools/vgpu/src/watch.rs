//! Races between blocks on global memory: a byte that one block writes and another touches in the same launch.

use crate::error::FaultKind;
use std::collections::HashMap;
use std::sync::Mutex;

/// Who has touched a byte.
#[derive(Clone, Copy, Default)]
struct Byte {
    writer: Option<u64>,
    /// The first reader, and another block's if there is one.
    readers: [Option<u64>; 2],
}

/// The accesses of a launch, spread over locks by address.
pub(crate) struct Watch {
    shards: Vec<Mutex<HashMap<u64, Byte>>>,
}

const SHARDS: u64 = 64;

impl Default for Watch {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }
}

impl Watch {
    /// Records an access; atomics do not come here.
    pub(crate) fn access(
        &self,
        block: u64,
        address: u64,
        bytes: usize,
        writes: bool,
    ) -> Result<(), FaultKind> {
        // An access of at most 32 aligned bytes lies in one shard.
        let shard = &self.shards[(address / 32 % SHARDS) as usize];
        let mut map = shard.lock().expect("no thread panics with the lock held");
        for address in address..address + bytes as u64 {
            let byte = map.entry(address).or_default();
            let others = |who: Option<u64>| who.filter(|&who| who != block);
            let mut other = others(byte.writer);
            if writes {
                other = other.or(others(byte.readers[0])).or(others(byte.readers[1]));
                byte.writer = Some(block);
            } else if byte.readers[0].is_none_or(|reader| reader == block) {
                byte.readers[0] = Some(block);
            } else {
                byte.readers[1] = Some(block);
            }
            if let Some(other) = other {
                return Err(FaultKind::GlobalRace { address, other, writes });
            }
        }
        Ok(())
    }
}
