//! Longest prefix match: the rules that were set, and the tree that programs look addresses up in.
//! Only the host writes either, and only native code knows the rules; so a deleted prefix leaves
//! its addresses to the next shorter one.

mod prefix;
mod rules;
mod trie;

use std::collections::HashSet;
use std::sync::Arc;

use wirelet_packet::Backing;

use super::memory::Memory;
use super::shape::{Geometry, Shape};
pub use prefix::{Prefix, address_bits};
use rules::Rules;
use trie::Trie;

/// An LPM table's native half.
#[derive(Debug)]
pub struct Lpm {
    rules: Rules,
    trie: Trie,
}

/// Why a prefix can't be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// There are as many prefixes as the table may have.
    Rules,
    /// The tree has no room for the nodes that it needs.
    Nodes,
}

impl Lpm {
    /// An empty table in zeroed memory.
    pub fn new(backing: &Arc<Backing>, geometry: &Geometry, shape: &Shape) -> Lpm {
        let (capacity, key_bytes) = (shape.capacity as usize, shape.key_bytes);
        let rules = Rules::new(Arc::clone(backing), geometry.rules, capacity, key_bytes);
        Lpm { rules, trie: Trie::new(Arc::clone(backing), geometry) }
    }

    /// Prefixes in it.
    pub fn count(&self) -> usize {
        self.rules.count()
    }

    /// The value of exactly that prefix.
    pub fn get(&self, prefix: Prefix) -> Option<u32> {
        self.rules.get(prefix)
    }

    /// Sets the value of a prefix.
    ///
    /// # Errors
    /// Nothing has changed.
    pub fn set(&mut self, prefix: Prefix, value: u32) -> Result<(), Full> {
        if !self.rules.has_room() && self.rules.get(prefix).is_none() {
            return Err(Full::Rules);
        }
        self.trie.set(prefix, value).map_err(|_| Full::Nodes)?;
        self.rules.set(prefix, value);
        Ok(())
    }

    /// Takes a prefix out. Whether it was there.
    pub fn delete(&mut self, prefix: Prefix) -> bool {
        let was = self.rules.delete(prefix);
        if was {
            self.trie.delete(prefix, self.rules.around(prefix));
        }
        was
    }

    /// Takes everything out.
    pub fn clear(&mut self) {
        self.rules.clear();
        self.trie.clear();
    }

    /// Lcores have passed a boundary: nodes that were given up can be used again.
    pub fn settle(&mut self) {
        self.trie.settle();
    }

    /// At most `max` prefixes and values from rule number `cursor` on, and where to go on.
    pub fn read(&self, cursor: u64, max: usize) -> (Vec<(Prefix, u32)>, Option<u64>) {
        let mut found = Vec::new();
        for rule in u32::try_from(cursor).unwrap_or(u32::MAX)..self.rules.top() {
            if let Some(entry) = self.rules.load(rule) {
                if found.len() >= max.max(1) {
                    return (found, Some(rule.into()));
                }
                found.push(entry);
            }
        }
        (found, None)
    }

    /// Makes the tree anew out of the rules that lie in the memory, whatever else does. How many of
    /// them were none, or have no room. Nobody reads meanwhile.
    pub fn recover(&mut self) -> usize {
        self.trie.reset();
        let mut bad = self.rules.recover();
        for rule in 0..self.rules.top() {
            if let Some((prefix, value)) = self.rules.load(rule)
                && self.trie.set(prefix, value).is_err()
            {
                self.rules.delete(prefix);
                bad += 1;
            }
        }
        bad
    }

    /// Nodes in use.
    #[cfg(test)]
    pub fn nodes(&self) -> usize {
        self.trie.nodes()
    }
}

/// The value of the longest prefix that an address lies in; takes no lock.
#[inline]
pub fn find(memory: Memory<'_>, geometry: &Geometry, address: u128) -> Option<u32> {
    Trie::get(memory, geometry, address)
}

/// How many nodes these prefixes need below a root of `root_bits`.
pub fn nodes_for(prefixes: impl Iterator<Item = Prefix>, root_bits: u32) -> usize {
    let mut nodes = HashSet::new();
    for prefix in prefixes {
        let levels = (root_bits..u32::from(prefix.length)).step_by(8);
        nodes.extend(levels.map(|level| prefix.cut(level as u8)));
    }
    nodes.len()
}
