//! Makes a table whole after a crash, a trap, or whatever a program has done to it.

use wirelet_abi::table::{GROUP_ENTRIES, TAG_EMPTY, TAG_USED, kind};

use super::array::keep;
use super::hash::{Hash, OVERFLOW_FULL, Place, slots};
use super::state::Table;

/// What a repair has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    /// Keys in the table now.
    pub count: u32,
    /// Entries that were being written when their writer ended.
    pub busy: u32,
    /// Entries where they can't be: not in a group of their key, with a wrong tag, or there twice.
    pub misplaced: u32,
    /// Groups whose count of overflows was wrong.
    pub overflows: u32,
    /// Whether a writer ended in the middle.
    pub interrupted: bool,
}

impl Repaired {
    /// Whether there was nothing to repair.
    pub fn was_whole(&self) -> bool {
        let Repaired { busy, misplaced, overflows, interrupted, .. } = *self;
        busy == 0 && misplaced == 0 && overflows == 0 && !interrupted
    }
}

impl Table {
    /// Frees entries that were being written, that lie where their keys can't be or that are there
    /// twice, and counts anew; by the table's only writer. Takes any bytes, and a time that depends
    /// on the table's size only.
    pub fn repair(&self) -> Repaired {
        if let Some(mut lpm) = self.lpm() {
            let misplaced = lpm.recover() as u32;
            self.set_count(lpm.count());
            let count = lpm.count() as u32;
            return Repaired { count, misplaced, ..Repaired::default() };
        }
        match self.shape().kind {
            kind::ARRAY => Repaired::default(),
            _ => repair_hash(&self.hash()),
        }
    }
}

fn repair_hash(hash: &Hash<'_>) -> Repaired {
    let mut repaired =
        Repaired { interrupted: !hash.sequence().is_multiple_of(2), ..Repaired::default() };
    let overflows: Vec<u8> =
        (0..hash.geometry.groups).map(|group| hash.tags(group).overflow()).collect();
    for group in 0..hash.geometry.groups {
        hash.set_overflow(group, 0);
        repair_entries(hash, group, &mut repaired);
    }
    for group in 0..hash.geometry.groups {
        count_overflows(hash, group, &mut repaired);
    }
    for (group, &before) in overflows.iter().enumerate() {
        let now = hash.tags(group).overflow();
        // Too high is allowed: a copy leaves it so, and a full count stays.
        if before < now {
            repaired.overflows += 1;
        }
        if before != now {
            hash.mark(group);
        }
    }
    hash.set_count(repaired.count);
    hash.settle();
    repaired
}

/// Frees what can't be in `group`, and what is there twice.
fn repair_entries(hash: &Hash<'_>, group: usize, repaired: &mut Repaired) {
    for slot in 0..GROUP_ENTRIES {
        let place = Place { group, slot };
        let tag = hash.tag(place);
        if tag == TAG_EMPTY {
            continue;
        }
        if tag < TAG_USED {
            repaired.busy += 1;
        } else {
            let home = hash.home_of_hash(hash.hash_at(place));
            let belongs = home.first == group || home.second == group;
            if belongs
                && home.tag == tag
                && is_padded(hash, place)
                && !is_among(hash, place, group, slot)
            {
                continue;
            }
            repaired.misplaced += 1;
        }
        hash.mark(group);
        hash.set_tag(place, TAG_EMPTY);
    }
}

/// Counts the keys of `group` that are in their second group, or frees them when the first has them
/// too.
fn count_overflows(hash: &Hash<'_>, group: usize, repaired: &mut Repaired) {
    for slot in slots(hash.tags(group).used()) {
        let place = Place { group, slot };
        let home = hash.home_of_hash(hash.hash_at(place));
        if home.first != group {
            if is_among(hash, place, home.first, GROUP_ENTRIES) {
                hash.mark(group);
                hash.set_tag(place, TAG_EMPTY);
                repaired.misplaced += 1;
                continue;
            }
            let count = hash.tags(home.first).overflow();
            if count != OVERFLOW_FULL {
                hash.set_overflow(home.first, count + 1);
            }
        }
        repaired.count += 1;
    }
}

/// Whether the bytes that fill up the key's last word are zero, as they are in every search.
fn is_padded(hash: &Hash<'_>, place: Place) -> bool {
    let padding = hash.geometry.value - hash.shape.key_bytes as usize;
    let last = hash.memory.load64(hash.value(place) - 8);
    keep(last, 8 - padding) == last
}

/// Whether one of the first `before` entries of `group` has the key of `place`.
fn is_among(hash: &Hash<'_>, place: Place, group: usize, before: usize) -> bool {
    let tag = hash.tag(place);
    let same = hash.tags(group).matching(tag) & ((1 << before) - 1);
    let (key, bytes) = (hash.entry(place), hash.geometry.value);
    slots(same).any(|slot| {
        let other = hash.entry(Place { group, slot });
        (0..bytes)
            .step_by(8)
            .all(|at| hash.memory.load64(key + at) == hash.memory.load64(other + at))
    })
}
