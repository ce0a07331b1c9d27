//! Keys in groups: how HASH and LRU tables find, take in and give up a key. The same rules as in
//! `runtime/`, where programs follow them.

use std::sync::atomic::{Ordering, fence};

use wirelet_abi::table::{
    self, GROUP_CROWDED, GROUP_ENTRIES, GROUP_TAG_BYTES, TAG_BUSY, TAG_EMPTY, TAG_USED,
    TableHeader, kind,
};

use super::memory::{Memory, words};
use super::shape::{AGE_BYTES, Geometry, Shape};

const SEQUENCE: usize = std::mem::offset_of!(TableHeader, sequence);
const COUNT: usize = std::mem::offset_of!(TableHeader, count);
const CLOCK: usize = std::mem::offset_of!(TableHeader, clock);
const REFUSED: usize = std::mem::offset_of!(TableHeader, refused);
const EVICTED: usize = std::mem::offset_of!(TableHeader, evicted);

/// An overflow count that has reached this says nothing any more and stays.
pub const OVERFLOW_FULL: u8 = 255;

/// A HASH or LRU table: its memory and where things lie in it.
#[derive(Clone, Copy, Debug)]
pub struct Hash<'a> {
    /// The memory.
    pub memory: Memory<'a>,
    /// Where things lie.
    pub geometry: &'a Geometry,
    /// What was asked for.
    pub shape: &'a Shape,
    /// Where the hash begins.
    pub seed: u64,
}

/// The groups and the tag of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Home {
    /// Where it belongs.
    pub first: usize,
    /// Where it goes when that is crowded; the first again for LRU.
    pub second: usize,
    /// Its tag.
    pub tag: u8,
}

/// An entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its group.
    pub group: usize,
    /// Its number in the group.
    pub slot: usize,
}

/// The 16 tag bytes of a group, as one saw them at once.
#[derive(Clone, Copy, Debug)]
pub struct Tags(pub [u8; GROUP_TAG_BYTES]);

impl Tags {
    /// One bit for each of the 15 entries whose tag is `tag`.
    #[inline]
    pub fn matching(self, tag: u8) -> u32 {
        // Becomes two instructions of SSE2.
        let bit = |slot: usize| u32::from(self.0[slot] == tag) << slot;
        (0..GROUP_TAG_BYTES).fold(0, |bits, slot| bits | bit(slot)) & ALL_ENTRIES
    }

    /// One bit for each entry that is in use.
    #[inline]
    pub fn used(self) -> u32 {
        let bit = |slot: usize| u32::from(self.0[slot] >= TAG_USED) << slot;
        (0..GROUP_TAG_BYTES).fold(0, |bits, slot| bits | bit(slot)) & ALL_ENTRIES
    }

    /// How many of its keys went to their second group; 255: at least so many.
    #[inline]
    pub fn overflow(self) -> u8 {
        self.0[GROUP_ENTRIES]
    }
}

const ALL_ENTRIES: u32 = (1 << GROUP_ENTRIES) - 1;

/// The numbers of the bits that are set.
#[inline]
pub fn slots(mut bits: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let slot = bits.trailing_zeros() as usize;
        bits &= bits.wrapping_sub(1);
        (slot < 32).then_some(slot)
    })
}

impl Hash<'_> {
    /// Where `key` belongs.
    #[inline]
    pub fn home(&self, key: &[u8]) -> Home {
        self.home_of(words(key))
    }

    #[inline]
    fn home_of(&self, key: impl Iterator<Item = u64>) -> Home {
        self.home_of_hash(table::hash(self.seed, key))
    }

    /// Where a key of that hash belongs.
    #[inline]
    pub fn home_of_hash(&self, hash: u64) -> Home {
        let group = |hash: u64| (hash as usize / GROUP_TAG_BYTES) & (self.geometry.groups - 1);
        let first = group(hash);
        let second = if self.is_lru() { first } else { group(hash >> 32) };
        Home { first, second, tag: TAG_USED | (hash >> 57) as u8 }
    }

    /// The hash of the key of the entry at `place`, whatever lies there.
    #[inline]
    pub fn hash_at(&self, place: Place) -> u64 {
        let at = self.entry(place);
        let words = self.geometry.value / 8;
        table::hash(self.seed, (0..words).map(|word| self.memory.load64(at + word * 8)))
    }

    #[inline]
    fn is_lru(&self) -> bool {
        self.shape.kind == kind::LRU
    }

    /// Where the entry at `place` begins.
    #[inline]
    pub fn entry(&self, Place { group, slot }: Place) -> usize {
        debug_assert!(group < self.geometry.groups && slot < GROUP_ENTRIES);
        self.geometry.entries + (group * GROUP_ENTRIES + slot) * self.geometry.stride
    }

    /// Where the value at `place` begins.
    #[inline]
    pub fn value(&self, place: Place) -> usize {
        self.entry(place) + self.geometry.value
    }

    #[inline]
    fn tag_at(&self, Place { group, slot }: Place) -> usize {
        self.geometry.tags + group * GROUP_TAG_BYTES + slot
    }

    #[inline]
    fn age_at(&self, Place { group, slot }: Place) -> usize {
        self.geometry.ages + group * AGE_BYTES + slot * size_of::<u32>()
    }

    /// The tags of `group`.
    #[inline]
    pub fn tags(&self, group: usize) -> Tags {
        let at = self.geometry.tags + group * GROUP_TAG_BYTES;
        let halves = [self.memory.load64(at), self.memory.load64(at + 8)];
        let mut tags = [0; GROUP_TAG_BYTES];
        tags[..8].copy_from_slice(&halves[0].to_le_bytes());
        tags[8..].copy_from_slice(&halves[1].to_le_bytes());
        Tags(tags)
    }

    /// The tag at `place`.
    #[inline]
    pub fn tag(&self, place: Place) -> u8 {
        self.memory.load8(self.tag_at(place))
    }

    /// Writes the tag at `place`, after everything that was written before.
    #[inline]
    pub fn set_tag(&self, place: Place, tag: u8) {
        fence(Ordering::Release);
        self.memory.store8(self.tag_at(place), tag);
        fence(Ordering::Release);
    }

    /// Writes the overflow count of `group`.
    #[inline]
    pub fn set_overflow(&self, group: usize, count: u8) {
        self.memory.store8(self.tag_at(Place { group, slot: GROUP_ENTRIES }), count);
    }

    /// The age at `place` (LRU).
    #[inline]
    pub fn age(&self, place: Place) -> u32 {
        self.memory.load32(self.age_at(place))
    }

    /// Writes the age at `place` (LRU).
    #[inline]
    pub fn set_age(&self, place: Place, age: u32) {
        self.memory.store32(self.age_at(place), age);
    }

    /// Marks `group` as changed, for whoever copies.
    #[inline]
    pub fn mark(&self, group: usize) {
        self.memory.store8(self.geometry.dirty + group, 1);
    }

    /// The entry of `key`, which the tags of a group say is there.
    #[inline]
    pub fn find(&self, key: &[u8]) -> Option<Place> {
        self.find_at(key, self.home(key))
    }

    #[inline]
    fn find_at(&self, key: &[u8], home: Home) -> Option<Place> {
        let tags = self.tags(home.first);
        let place = self.find_in(home.first, tags, key, home.tag);
        if place.is_some() || tags.overflow() == 0 || home.second == home.first {
            return place;
        }
        self.find_in(home.second, self.tags(home.second), key, home.tag)
    }

    #[inline]
    fn find_in(&self, group: usize, tags: Tags, key: &[u8], tag: u8) -> Option<Place> {
        fence(Ordering::Acquire);
        slots(tags.matching(tag))
            .map(|slot| Place { group, slot })
            .find(|&place| self.memory.equals(self.entry(place), key))
    }

    /// Sets `key`; by the table's only writer. `false` when there is no room.
    pub fn set(&self, key: &[u8], value: &[u8]) -> bool {
        let home = self.home(key);
        self.begin();
        let done = match self.find_at(key, home) {
            Some(place) => {
                self.change(place, home, value);
                true
            }
            None => self.insert(key, home, value),
        };
        self.end();
        done
    }

    fn change(&self, place: Place, home: Home, value: &[u8]) {
        self.mark(place.group);
        self.set_tag(place, TAG_BUSY);
        self.memory.store(self.value(place), value);
        self.touch(place);
        self.set_tag(place, home.tag);
    }

    fn insert(&self, key: &[u8], home: Home, value: &[u8]) -> bool {
        let Some(place) = self.room(home) else {
            self.count_one(REFUSED);
            return false;
        };
        self.mark(place.group);
        self.memory.store(self.entry(place), key);
        self.memory.store(self.value(place), value);
        self.touch(place);
        if place.group != home.first {
            // Before the tag: a reader that sees the key also sees that it has to look for it.
            self.mark(home.first);
            let count = self.tags(home.first).overflow();
            self.set_overflow(home.first, count.saturating_add(1));
        }
        self.set_tag(place, home.tag);
        self.memory.store32(COUNT, self.count().wrapping_add(1));
        true
    }

    /// A free entry for a new key of `home`: of its first group, unless that is crowded and the
    /// second is less so. The one that an LRU table makes free is busy.
    fn room(&self, home: Home) -> Option<Place> {
        let free = |group: usize| self.tags(group).matching(TAG_EMPTY);
        let (mut group, mut bits) = (home.first, free(home.first));
        if self.is_lru() {
            return Some(
                slots(bits).next().map_or_else(|| self.evict(group), |slot| Place { group, slot }),
            );
        }
        if self.count() >= self.shape.capacity {
            return None;
        }
        let used = GROUP_ENTRIES as u32 - bits.count_ones();
        if used >= GROUP_CROWDED {
            let other = free(home.second);
            if other.count_ones() > bits.count_ones() {
                (group, bits) = (home.second, other);
            }
        }
        slots(bits).next().map(|slot| Place { group, slot })
    }

    /// Gives up the entry of `group` that was not used for longest.
    fn evict(&self, group: usize) -> Place {
        let clock = self.memory.load32(CLOCK);
        let idle = |&place: &Place| clock.wrapping_sub(self.age(place));
        let places = (0..GROUP_ENTRIES).map(|slot| Place { group, slot });
        let oldest = places.max_by_key(idle).expect("a group has entries");
        self.set_tag(oldest, TAG_BUSY);
        self.count_one(EVICTED);
        self.memory.store32(COUNT, self.count().wrapping_sub(1));
        oldest
    }

    fn touch(&self, place: Place) {
        if self.is_lru() {
            let clock = self.memory.load32(CLOCK).wrapping_add(1);
            self.memory.store32(CLOCK, clock);
            self.set_age(place, clock);
        }
    }

    /// Takes `key` out; by the table's only writer. Whether it was there.
    pub fn delete(&self, key: &[u8]) -> bool {
        let home = self.home(key);
        let Some(place) = self.find_at(key, home) else { return false };
        self.begin();
        self.mark(place.group);
        self.set_tag(place, TAG_EMPTY);
        if place.group != home.first {
            self.mark(home.first);
            let count = self.tags(home.first).overflow();
            if count != OVERFLOW_FULL {
                self.set_overflow(home.first, count.saturating_sub(1));
            }
        }
        self.memory.store32(COUNT, self.count().wrapping_sub(1));
        self.end();
        true
    }

    /// Takes everything out; by the table's only writer.
    pub fn clear(&self) {
        self.begin();
        for group in 0..self.geometry.groups {
            self.mark(group);
            self.clear_group(group);
        }
        self.memory.store32(COUNT, 0);
        self.end();
    }

    /// Frees all entries of `group`, and forgets its overflows.
    #[inline]
    pub fn clear_group(&self, group: usize) {
        let at = self.geometry.tags + group * GROUP_TAG_BYTES;
        self.memory.store64(at, 0);
        self.memory.store64(at + 8, 0);
    }

    /// The header's count, as the last writer left it.
    #[inline]
    pub fn count(&self) -> u32 {
        self.memory.load32(COUNT)
    }

    /// Writes the header's count.
    pub fn set_count(&self, count: u32) {
        self.memory.store32(COUNT, count);
    }

    /// The sequence: odd while somebody changes the table.
    #[inline]
    pub fn sequence(&self) -> u32 {
        self.memory.load32(SEQUENCE)
    }

    /// Says that nobody changes the table.
    pub fn settle(&self) {
        self.memory.store32(SEQUENCE, self.sequence().wrapping_add(1) & !1);
    }

    /// LRU's clock, and the numbers that are only shown, from another table.
    pub fn copy_header(&self, from: &Hash<'_>) {
        self.memory.store32(CLOCK, from.memory.load32(CLOCK));
        self.memory.store64(REFUSED, from.memory.load64(REFUSED));
        self.memory.store64(EVICTED, from.memory.load64(EVICTED));
    }

    fn begin(&self) {
        self.memory.store32(SEQUENCE, self.sequence() | 1);
        fence(Ordering::Release);
    }

    fn end(&self) {
        fence(Ordering::Release);
        self.memory.store32(SEQUENCE, (self.sequence() | 1).wrapping_add(1));
    }

    fn count_one(&self, at: usize) {
        self.memory.store64(at, self.memory.load64(at).wrapping_add(1));
    }
}
