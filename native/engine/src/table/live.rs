//! Reading a table while its lcore goes on writing it.

use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

use wirelet_abi::table::{TAG_BUSY, TAG_USED};

use super::hash::{Hash, Home, Place, slots};
use super::state::{Entry, Listing};

/// How often a reader looks at one entry again at once. Twice is the rule while a table is written:
/// its sequence moves on with every change of any entry.
const SPINS_MAX: u32 = 64;
/// And then, should the writer's thread have been preempted in the middle: 30 ms in all.
const SLEEPS_MAX: u32 = 300;
const SLEEP: Duration = Duration::from_micros(100);

/// How long one call goes on looking again. A hostile program can make it sleep so long, no longer.
struct Patience {
    spins: u32,
    sleeps: u32,
}

impl Patience {
    fn new() -> Patience {
        Patience { spins: 0, sleeps: 0 }
    }

    /// Another entry: nobody has looked at it yet.
    fn next(&mut self) {
        self.spins = 0;
    }

    /// Waits a little; `false` when it has waited long enough.
    fn again(&mut self) -> bool {
        if self.spins < SPINS_MAX {
            self.spins += 1;
            std::hint::spin_loop();
        } else if self.sleeps < SLEEPS_MAX {
            self.sleeps += 1;
            std::thread::sleep(SLEEP);
        } else {
            return false;
        }
        true
    }
}

/// The value of `key`.
pub fn get(hash: &Hash<'_>, key: &[u8]) -> Option<Vec<u8>> {
    let home = hash.home(key);
    let mut patience = Patience::new();
    loop {
        fence(Ordering::Acquire);
        if let Some(place) = hash.find(key) {
            let (found, value) = read_value(hash, place, &mut patience)?;
            if found == key {
                return Some(value);
            }
        } else if !is_busy(hash, home) {
            return None;
        }
        // Being written right now, or it has moved.
        if !patience.again() {
            return None;
        }
    }
}

/// Whether an entry that may be the key's is being written.
fn is_busy(hash: &Hash<'_>, home: Home) -> bool {
    [home.first, home.second].iter().any(|&group| hash.tags(group).matching(TAG_BUSY) != 0)
}

/// At most `max` entries from `cursor` on, which is 16 × group + entry.
pub fn read(hash: &Hash<'_>, cursor: u64, max: usize) -> Listing {
    let mut patience = Patience::new();
    let mut entries = Vec::new();
    let first = usize::try_from(cursor / 16).unwrap_or(usize::MAX);
    let mut from = (cursor % 16) as u32;
    for group in first..hash.geometry.groups {
        let tags = hash.tags(group);
        let present = tags.used() | tags.matching(TAG_BUSY);
        for slot in slots(present & (u32::MAX << from)) {
            if entries.len() >= max.max(1) {
                return (entries, Some(group as u64 * 16 + slot as u64));
            }
            patience.next();
            entries.extend(read_value(hash, Place { group, slot }, &mut patience));
        }
        from = 0;
    }
    (entries, None)
}

/// Key and value of an entry: seen while nobody wrote the table, or twice the same while the tag
/// said that they are whole. `None` when it is free, or does not come to rest.
fn read_value(hash: &Hash<'_>, place: Place, patience: &mut Patience) -> Option<Entry> {
    let mut before = None;
    loop {
        let sequence = hash.sequence();
        fence(Ordering::Acquire);
        let tag = hash.tag(place);
        fence(Ordering::Acquire);
        if tag >= TAG_USED {
            let key = hash.memory.load(hash.entry(place), hash.shape.key_bytes as usize);
            let value = hash.memory.load(hash.value(place), hash.shape.value_bytes as usize);
            fence(Ordering::Acquire);
            let entry = (key, value);
            let is_quiet = sequence.is_multiple_of(2) && hash.sequence() == sequence;
            let is_same = hash.tag(place) == tag;
            if is_same && (is_quiet || before.as_ref() == Some(&entry)) {
                return Some(entry);
            }
            before = is_same.then_some(entry);
        } else if tag != TAG_BUSY {
            return None;
        }
        if !patience.again() {
            return None;
        }
    }
}
