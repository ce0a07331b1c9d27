//! Tables: how they lie in the state window, and how a key finds its place. Guest SDK and engine
//! follow the same rules, so that both can change a table, one after the other.
//!
//! ```text
//! table's memory, HASH and LRU:
//!   TableHeader                  64 bytes
//!   tags      16 bytes a group   15 tags and the group's overflow count
//!   ages      64 bytes a group   LRU only: 15 u32 and one unused
//!   dirty      1 byte a group    1: changed since somebody who copies has looked
//!   entries   15 a group         key, then value, each rounded up to 8 bytes
//! LPM:   TableHeader, root (2^root_bits u32), nodes of 256 u32
//! ARRAY: TableHeader, elements, each rounded up to 8 bytes
//! ```
//! Every part begins at a multiple of 64 bytes.

use crate::layout::layout;

/// Entries of a group; its 16th tag byte counts overflows.
pub const GROUP_ENTRIES: usize = 15;
/// Bytes of a group's tags.
pub const GROUP_TAG_BYTES: usize = 16;
/// Of a group: how many of its tags must be in use before a new key may go to its second group.
/// With 13, 1 key in 120 does in a table filled once, 1 in 30 in a full one that changes for long,
/// and a table takes all of its capacity; with 14, 1 table in 20 of a million keys refuses one
/// (simulated).
pub const GROUP_CROWDED: u32 = 13;
/// Capacity that a table offers for each group: half of the entries, so that two choices never
/// fail before the table is full.
pub const GROUP_CAPACITY: u32 = 8;

/// A free entry.
pub const TAG_EMPTY: u8 = 0;
/// An entry that is being written: whoever finds it after a crash frees it.
pub const TAG_BUSY: u8 = 1;
/// An entry in use: this bit and the 7 highest bits of the key's hash.
pub const TAG_USED: u8 = 0x80;

/// First multiplier of the hash.
pub const HASH_WORD: u64 = 0x9E37_79B9_7F4A_7C15;
/// Last multiplier of the hash.
pub const HASH_LAST: u64 = 0xD6E8_FEB8_6659_FD93;

/// An LPM entry with this bit is the number of a node; others are value + 1, or 0 for none.
pub const LPM_NODE: u32 = 0x8000_0000;
/// The largest value of an LPM entry.
pub const LPM_VALUE_MAX: u32 = 0x7FFF_FFFE;
/// Entries of an LPM node: 8 bits of an address.
pub const LPM_NODE_ENTRIES: usize = 256;

/// Values of [`TableSpec::kind`] and [`TableEntry::kind`].
pub mod kind {
    /// Exact match; a full table refuses new keys.
    pub const HASH: u32 = 1;
    /// Exact match; a new key takes the place of the one that was not used for longest.
    pub const LRU: u32 = 2;
    /// Longest prefix match of IPv4 addresses, written by the host only.
    pub const LPM4: u32 = 3;
    /// Longest prefix match of IPv6 addresses, written by the host only.
    pub const LPM6: u32 = 4;
    /// Elements by number: meters, histograms.
    pub const ARRAY: u32 = 5;
    /// Their names; the index is the value, 0 is none.
    pub const NAMES: [&str; 6] = ["", "hash", "lru", "lpm4", "lpm6", "array"];
}

/// Bits of [`TableSpec::flags`] and [`TableEntry::flags`].
pub mod flags {
    /// One table for all lcores, written by the host, read-only for programs.
    pub const SHARED: u32 = 1 << 0;
}

layout! {
    /// What a program asks `table` for: 64 bytes in its own memory. Strings are UTF-8.
    pub struct TableSpec: 64 {
        /// Guest address of the name.
        name: u32 = 0,
        /// Bytes of the name.
        name_bytes: u32 = 4,
        /// [`kind`].
        kind: u32 = 8,
        /// [`flags`].
        flags: u32 = 12,
        /// Keys it must be able to hold; elements of an array.
        capacity: u32 = 16,
        /// Bytes of a key; 4 for LPM4, 16 for LPM6, 0 for an array.
        key_bytes: u32 = 20,
        /// Bytes of a value; 4 for LPM.
        value_bytes: u32 = 24,
        /// Guest address of the name of the key's type.
        key_type: u32 = 28,
        /// Bytes of it.
        key_type_bytes: u32 = 32,
        /// Guest address of the name of the value's type.
        value_type: u32 = 36,
        /// Bytes of it.
        value_type_bytes: u32 = 40,
        /// Zero; reserved.
        reserved: [u32; 5] = 44,
    }
}

layout! {
    /// A table as a program finds it: one of 64 in its table page, which it can only read. Native
    /// code writes it between two bursts, so addresses hold for one burst.
    pub struct TableEntry: 64 {
        /// Guest address of the [`TableHeader`].
        header: u32 = 0,
        /// Guest address of the tags; of the root (LPM); of the elements (ARRAY).
        tags: u32 = 4,
        /// Guest address of the entries; of the nodes (LPM).
        entries: u32 = 8,
        /// Guest address of the ages (LRU).
        ages: u32 = 12,
        /// Guest address of the dirty bytes.
        dirty: u32 = 16,
        /// Not 0 while somebody copies: groups are marked dirty then, and only then.
        copying: u32 = 20,
        /// (Groups - 1) × 16: and-ed with a hash, the offset of a group's tags. LPM: bits of the
        /// root.
        tags_mask: u32 = 24,
        /// Keys it holds at most; elements of an array.
        capacity: u32 = 28,
        /// Where the hash begins.
        seed: u64 = 32,
        /// Bytes of an entry or element.
        stride: u32 = 40,
        /// Bytes from an entry's start to its value.
        value_offset: u32 = 44,
        /// [`kind`].
        kind: u32 = 48,
        /// [`flags`].
        flags: u32 = 52,
        /// Zero; reserved.
        reserved: u64 = 56,
    }
}

layout! {
    /// First 64 bytes of a table's memory. The program writes it, so native code believes none of
    /// it: numbers are shown, never used.
    pub struct TableHeader: 64 {
        /// Odd while the program changes the table's structure.
        sequence: u32 = 0,
        /// Keys in it.
        count: u32 = 4,
        /// Goes up with each use (LRU).
        clock: u32 = 8,
        /// Zero; reserved.
        reserved: u32 = 12,
        /// New keys that found no room.
        refused: u64 = 16,
        /// Keys that made room for others (LRU).
        evicted: u64 = 24,
        /// Zero; reserved.
        reserved_tail: [u64; 4] = 32,
    }
}

/// Bytes of a key or value in an entry.
pub const fn padded(bytes: u32) -> u32 {
    bytes.next_multiple_of(8)
}

/// Groups of a HASH or LRU table of `capacity` keys.
pub const fn groups(capacity: u32) -> u32 {
    capacity.div_ceil(GROUP_CAPACITY).next_power_of_two()
}

/// The hash of a key: its bytes as little-endian u64 words, the last one filled up with zeros.
/// Group 1 is that whose tags lie at `hash & tags_mask`, group 2 at `hash >> 32 & tags_mask`; the
/// tag is `TAG_USED | hash >> 57`.
#[inline]
pub fn hash(seed: u64, words: impl Iterator<Item = u64>) -> u64 {
    let hash = words.fold(seed, mix).wrapping_mul(HASH_LAST);
    hash ^ hash >> 29
}

/// The hash after one more word. A multiplication by a constant alone leaves a change of the
/// highest bits where it is, whatever the seed: keys that collide with somebody else's could be
/// written down beforehand. The product of the two halves, which only the seed tells, does not.
#[inline]
pub fn mix(hash: u64, word: u64) -> u64 {
    let mixed = hash ^ word;
    let halves = (mixed & 0xFFFF_FFFF).wrapping_mul(mixed >> 32);
    let sum = mixed.wrapping_mul(HASH_WORD).wrapping_add(halves);
    sum ^ sum >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SplitMix64.
    fn random(state: &mut u64) -> u64 {
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (*state ^ *state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    #[test]
    fn no_change_of_a_word_can_be_undone_by_the_next_without_the_seed() {
        let mut state = 1;
        let single = (0..64).map(|bit| 1u64 << bit);
        let pairs = (0..32).flat_map(|bit| [1 << bit | 1 << (bit + 32), 1 << 63 | 1 << bit]);
        for change in single.chain(pairs) {
            let mut seen = std::collections::HashMap::new();
            for _ in 0..4096 {
                let secret = random(&mut state);
                *seen.entry(mix(secret, 0) ^ mix(secret, change)).or_insert(0) += 1;
            }
            let most = seen.values().max().copied().unwrap_or(0);
            assert!(most <= 3, "{change:#x}: the same difference {most} times of 4,096");
        }
    }

    #[test]
    fn keys_that_follow_a_rule_spread_over_groups_and_tags() {
        let (mut state, keys) = (2, 1u64 << 15);
        for step in [0, 8, 16, 24, 32, 40, 48].map(|shift| 1u64 << shift) {
            let seed = random(&mut state);
            let hashes = (0..keys).map(|key| hash(seed, [key.wrapping_mul(step)].into_iter()));
            let mut fill = [vec![0u32; 4096], vec![0; 4096], vec![0; 128]];
            for hash in hashes {
                fill[0][hash as usize & 4095] += 1;
                fill[1][(hash >> 32) as usize & 4095] += 1;
                fill[2][(hash >> 57) as usize] += 1;
            }
            for parts in fill {
                let expected = keys as f64 / parts.len() as f64;
                let squares = parts.iter().map(|&count| (f64::from(count) - expected).powi(2));
                let ratio = squares.sum::<f64>() / keys as f64;
                // Chi-square over its degrees of freedom: 1 for random keys.
                assert!((0.6..1.5).contains(&ratio), "step {step:#x}: {ratio:.2}");
            }
        }
    }
}
