//! Counters that survive the process: a file of values for each lcore, and one of names.

use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use wirelet_abi::limits::{NAME_BYTES_MAX, PROGRAM_COUNTERS_MAX};
use wirelet_packet::Backing;

use super::file::StateFile;
use crate::table::memory::Memory;

/// Bytes of one name: its length, then the name.
pub const NAME_STRIDE: usize = 8 + NAME_BYTES_MAX;

/// A program's counters.
#[derive(Debug)]
pub struct KeptCounters {
    /// Their values, for each lcore.
    pub values: Vec<KeptValues>,
    /// Their names, in the order of the values.
    pub names: Names,
}

/// Values of one lcore's counters.
#[derive(Debug)]
pub struct KeptValues(pub(super) StateFile);

impl KeptValues {
    /// The memory, to map it into programs. It lasts longer than this, the file does so if it is
    /// not discarded.
    pub fn backing(&self) -> &Arc<Backing> {
        self.0.backing()
    }
}

/// Names of counters.
#[derive(Debug)]
pub struct Names(pub(super) StateFile);

impl Names {
    /// All that were added, up to the first that can't be one.
    pub fn list(&self) -> Vec<String> {
        (0..PROGRAM_COUNTERS_MAX).map_while(|index| self.get(index)).collect()
    }

    fn get(&self, index: usize) -> Option<String> {
        let memory = Memory(self.0.backing());
        let bytes = memory.load32(index * NAME_STRIDE) as usize;
        let name = memory.load(index * NAME_STRIDE + 8, bytes.min(NAME_BYTES_MAX));
        (1..=NAME_BYTES_MAX).contains(&bytes).then(|| String::from_utf8(name).ok())?
    }

    /// Adds the name of counter number `index`. Its length comes last: one whose writer was killed
    /// is none.
    ///
    /// # Panics
    /// When there is no such counter or its name is longer than names are.
    pub fn add(&self, index: usize, name: &str) {
        assert!(index < PROGRAM_COUNTERS_MAX && name.len() <= NAME_BYTES_MAX, "{index}: {name}");
        let memory = Memory(self.0.backing());
        memory.store(index * NAME_STRIDE + 8, name.as_bytes());
        fence(Ordering::Release);
        memory.store32(index * NAME_STRIDE, name.len() as u32);
    }

    /// The files go when they are dropped: nobody needs these counters any more.
    pub fn discard(&self) {
        self.0.discard();
    }
}

impl KeptCounters {
    /// All files go when they are dropped.
    pub fn discard(&self) {
        self.names.discard();
        self.values.iter().for_each(|values| values.0.discard());
    }
}
