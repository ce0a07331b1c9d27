//! The tree that programs walk: a root that 16 or 24 bits of an address index, then nodes of 8
//! bits. Lcores read it while it is written: each entry goes from what it was to what it is to be
//! in a single store, and a node is whole before anything leads to it. So whoever looks up an
//! address gets its old value or its new one.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use wirelet_abi::table::{LPM_NODE, LPM_NODE_ENTRIES};
use wirelet_packet::Backing;

use super::prefix::{Prefix, index};
use crate::table::memory::Memory;
use crate::table::shape::Geometry;

/// Depth of an entry that leads to a node.
const NODE: u8 = 255;
/// Levels at most: 16 bits, then 14 times 8.
const LEVELS_MAX: usize = 15;
const NODE_BITS: u32 = LPM_NODE_ENTRIES.ilog2();

/// The tree and what is known of it natively.
#[derive(Debug)]
pub struct Trie {
    backing: Arc<Backing>,
    start: usize,
    root_bits: u32,
    nodes_max: usize,
    /// For each entry of root and nodes the length + 1 of the prefix it has its value from; 0 for
    /// none, [`NODE`]. It says what a prefix may overwrite.
    depths: Vec<u8>,
    /// The entry that leads to each node, so that nothing else in the memory can lead to it.
    parents: Vec<u32>,
    free: Vec<u32>,
    /// Free, but an lcore may still be in there.
    retired: Vec<u32>,
}

/// What an entry says when it leads no further.
#[derive(Clone, Copy, Debug)]
struct Leaf {
    word: u32,
    depth: u8,
}

impl Leaf {
    fn of(rule: Option<(Prefix, u32)>) -> Leaf {
        match rule {
            Some((prefix, value)) => Leaf { word: value + 1, depth: prefix.length + 1 },
            None => Leaf { word: 0, depth: 0 },
        }
    }
}

/// Why a prefix has not been set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoNode;

impl Trie {
    /// An empty tree in zeroed memory.
    pub fn new(backing: Arc<Backing>, geometry: &Geometry) -> Trie {
        let (root_bits, nodes_max) = (geometry.root_bits, geometry.nodes);
        Trie {
            backing,
            start: geometry.tags,
            root_bits,
            nodes_max,
            depths: vec![0; 1 << root_bits],
            parents: Vec::new(),
            free: Vec::new(),
            retired: Vec::new(),
        }
    }

    fn memory(&self) -> Memory<'_> {
        Memory(&self.backing)
    }

    fn load(&self, entry: usize) -> u32 {
        self.memory().load32(self.start + entry * size_of::<u32>())
    }

    fn store(&self, entry: usize, word: u32) {
        self.memory().store32(self.start + entry * size_of::<u32>(), word);
    }

    /// First entry of a node.
    fn node(&self, node: u32) -> usize {
        (1 << self.root_bits) + node as usize * LPM_NODE_ENTRIES
    }

    /// The node that `entry` leads to. Bytes that somebody else wrote lead nowhere.
    fn below(&self, entry: usize) -> Option<u32> {
        let node = self.load(entry) & !LPM_NODE;
        let leads = self.depths[entry] == NODE
            && self.parents.get(node as usize).is_some_and(|&parent| parent as usize == entry);
        leads.then_some(node)
    }

    /// The value of the longest prefix that an address lies in.
    #[inline]
    pub fn get(memory: Memory<'_>, geometry: &Geometry, address: u128) -> Option<u32> {
        let mut base = geometry.tags;
        let (mut start, mut width) = (0, geometry.root_bits);
        while start < 128 {
            let word = memory.load32(base + index(address, start, width) * size_of::<u32>());
            if word & LPM_NODE == 0 {
                return word.checked_sub(1);
            }
            let node = (word & !LPM_NODE) as usize;
            if node >= geometry.nodes {
                return None;
            }
            base = geometry.entries + node * LPM_NODE_ENTRIES * size_of::<u32>();
            (start, width) = (start + width, NODE_BITS);
        }
        None
    }

    /// Sets a prefix that is new or has another value now.
    pub fn set(&mut self, prefix: Prefix, value: u32) -> Result<(), NoNode> {
        if self.missing(prefix).is_none_or(|nodes| nodes > self.nodes_left()) {
            return Err(NoNode);
        }
        let (mut base, mut start, mut width) = (0, 0, self.root_bits);
        while u32::from(prefix.length) > start + width {
            let entry = base + prefix.index(start, width);
            let node = self.below(entry).unwrap_or_else(|| self.grow(entry));
            base = self.node(node);
            (start, width) = (start + width, NODE_BITS);
        }
        let leaf = Leaf::of(Some((prefix, value)));
        let count = 1 << (start + width - u32::from(prefix.length));
        self.replace(base + prefix.index(start, width), count, 0..=leaf.depth, leaf);
        Ok(())
    }

    /// How many nodes `prefix` needs that are not there; `None` when the memory is damaged.
    fn missing(&self, prefix: Prefix) -> Option<usize> {
        let (mut base, mut start, mut width) = (0, 0, self.root_bits);
        let length = u32::from(prefix.length);
        while length > start + width {
            let entry = base + prefix.index(start, width);
            (start, width) = (start + width, NODE_BITS);
            if self.depths[entry] != NODE {
                return Some((length - start).div_ceil(NODE_BITS) as usize);
            }
            base = self.node(self.below(entry)?);
        }
        Some(0)
    }

    fn nodes_left(&self) -> usize {
        self.free.len() + self.nodes_max - self.parents.len()
    }

    /// Puts a node of 256 entries that all say what `entry` says in its place.
    fn grow(&mut self, entry: usize) -> u32 {
        let node = self.free.pop().unwrap_or_else(|| {
            let node = self.parents.len();
            assert!(node < self.nodes_max, "{node} nodes");
            self.parents.push(0);
            self.depths.resize(self.depths.len() + LPM_NODE_ENTRIES, 0);
            node as u32
        });
        let (word, depth) = (self.load(entry), self.depths[entry]);
        let base = self.node(node);
        for index in base..base + LPM_NODE_ENTRIES {
            self.store(index, word);
        }
        self.depths[base..base + LPM_NODE_ENTRIES].fill(depth);
        self.parents[node as usize] = entry as u32;
        self.depths[entry] = NODE;
        // A reader that comes by this entry finds the node whole.
        fence(Ordering::Release);
        self.store(entry, LPM_NODE | node);
        node
    }

    /// Writes `leaf` into `count` entries from `first` on, and all below them, that have a depth
    /// of `which`.
    fn replace(&mut self, first: usize, count: usize, which: RangeInclusive<u8>, leaf: Leaf) {
        for entry in first..first + count {
            let depth = self.depths[entry];
            if depth == NODE {
                if let Some(node) = self.below(entry) {
                    self.replace(self.node(node), LPM_NODE_ENTRIES, which.clone(), leaf);
                }
            } else if which.contains(&depth) {
                self.store(entry, leaf.word);
                self.depths[entry] = leaf.depth;
            }
        }
    }

    /// Takes `prefix` out; what it covered belongs to `around` now. Nodes that are of no more use
    /// are kept until [`Trie::settle`].
    pub fn delete(&mut self, prefix: Prefix, around: Option<(Prefix, u32)>) {
        let mut path = [(0, 0); LEVELS_MAX];
        let mut levels = 0;
        let (mut base, mut start, mut width) = (0, 0, self.root_bits);
        while u32::from(prefix.length) > start + width {
            let entry = base + prefix.index(start, width);
            let Some(node) = self.below(entry) else { return };
            path[levels] = (entry, node);
            levels += 1;
            base = self.node(node);
            (start, width) = (start + width, NODE_BITS);
        }
        let depth = prefix.length + 1;
        let count = 1 << (start + width - u32::from(prefix.length));
        self.replace(base + prefix.index(start, width), count, depth..=depth, Leaf::of(around));
        for &(entry, node) in path[..levels].iter().rev() {
            if !self.fold(entry, node, start) {
                return;
            }
            start -= NODE_BITS;
        }
    }

    /// Gives up a node that begins at bit `start` of addresses, if all its entries say the same and
    /// have it from a prefix that needs no node.
    fn fold(&mut self, entry: usize, node: u32, start: u32) -> bool {
        let base = self.node(node);
        let depth = self.depths[base];
        let same = self.depths[base..base + LPM_NODE_ENTRIES].iter().all(|&other| other == depth);
        if !same || depth == NODE || u32::from(depth) > start + 1 {
            return false;
        }
        self.depths[entry] = depth;
        self.store(entry, self.load(base));
        self.retired.push(node);
        self.parents[node as usize] = u32::MAX;
        true
    }

    /// Every lcore has passed a burst boundary since the last change: none is in a node that was
    /// given up.
    pub fn settle(&mut self) {
        self.free.append(&mut self.retired);
    }

    /// Takes everything out, entry by entry.
    pub fn clear(&mut self) {
        for entry in 0..1 << self.root_bits {
            if self.depths[entry] != 0 {
                self.store(entry, 0);
            }
        }
        self.depths.fill(0);
        self.retire_all();
    }

    fn retire_all(&mut self) {
        for (node, parent) in self.parents.iter_mut().enumerate() {
            if *parent != u32::MAX {
                *parent = u32::MAX;
                self.retired.push(node as u32);
            }
        }
    }

    /// Forgets everything, whatever lies in the memory. Nobody reads meanwhile.
    pub fn reset(&mut self) {
        let words = (1 << self.root_bits) + self.nodes_max * LPM_NODE_ENTRIES;
        (0..words).for_each(|entry| self.store(entry, 0));
        self.depths.truncate(1 << self.root_bits);
        self.depths.fill(0);
        self.parents.clear();
        self.free.clear();
        self.retired.clear();
    }

    /// Nodes in use.
    #[cfg(test)]
    pub fn nodes(&self) -> usize {
        self.parents.iter().filter(|&&parent| parent != u32::MAX).count()
    }
}
