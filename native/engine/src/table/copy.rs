//! Copies a table into one with more groups, or longer or shorter values, or into an equal one,
//! while its lcore goes on writing it.
//!
//! Keys of group *i* belong in groups *i + k·N* of the larger table, its images, so a group is
//! copied on its own, and again when it has changed: its images are cleared and written anew. What
//! is read while the lcore writes may be torn; but then the lcore has marked the group, and it is
//! copied once more. The last time is at a burst boundary, when nobody writes.

use std::sync::Arc;

use wirelet_abi::table::kind;
use wirelet_abi::{Error, ErrorCode};

use super::array::keep;
use super::hash::{Hash, Home, Place, slots};
use super::state::Table;

/// A copy under way. Marks must be on (`Table::entry(.., tracking: true)`) since a burst boundary
/// before [`TableCopy::copy_all`].
#[derive(Debug)]
pub struct TableCopy {
    from: Arc<Table>,
    to: Arc<Table>,
    /// One bit for each group that was marked and is not copied yet.
    harvested: Box<[u64]>,
    /// Entries in use of each image of the group that is being copied.
    used: Box<[u8]>,
    /// Where `finish` looks for marks next.
    cursor: usize,
    /// Keys in `to`.
    count: u32,
}

impl TableCopy {
    /// A copy of `from` into `to`.
    ///
    /// # Errors
    /// `WIRELET_E_TABLE_SCHEMA` when kind or key bytes differ or `to` has fewer groups or elements.
    ///
    /// # Panics
    /// When `to` has another seed: whoever made it for a copy knows the seed.
    pub fn new(from: Arc<Table>, to: Arc<Table>) -> Result<TableCopy, Error> {
        let (source, target) = (from.shape(), to.shape());
        let smaller = match source.kind {
            kind::ARRAY => target.capacity < source.capacity,
            kind::LPM4 | kind::LPM6 => !has_room_for_prefixes(&from, &to),
            _ => to.geometry().groups < from.geometry().groups,
        };
        if source.kind != target.kind || source.key_bytes != target.key_bytes || smaller {
            let message = format!("{}: {source:?} can't be copied into {target:?}", from.name());
            return Err(Error::new(ErrorCode::TableSchema, message));
        }
        assert!(from.seed() == to.seed() || from.geometry().groups == 0, "a copy keeps the seed");
        let groups = from.geometry().groups;
        let images = to.geometry().groups.checked_div(groups).unwrap_or(0);
        let count = (0..to.geometry().groups).map(|group| to.hash().tags(group).used());
        let count = count.map(u32::count_ones).sum();
        let harvested = vec![0; groups.div_ceil(64)].into();
        let used = vec![0; images].into();
        Ok(TableCopy { from, to, harvested, used, cursor: 0, count })
    }

    /// The table that is copied.
    pub fn from(&self) -> &Arc<Table> {
        &self.from
    }

    /// The copy.
    pub fn to(&self) -> &Arc<Table> {
        &self.to
    }

    /// Takes and clears the marks, how many; on the control thread. Copy those groups after a burst
    /// boundary has passed: a reference that was handed out before may be written until then.
    pub fn harvest(&mut self) -> usize {
        let mut harvested = 0;
        let mut next = next_marked(&self.from, 0);
        while let Some(group) = next {
            self.take_mark(group);
            self.harvested[group / 64] |= 1 << (group % 64);
            harvested += 1;
            next = next_marked(&self.from, group + 1);
        }
        harvested
    }

    /// Copies the groups whose marks were taken; on the control thread.
    pub fn copy_harvested(&mut self) {
        self.copy_harvested_at_most(usize::MAX);
    }

    /// How many of at most `groups_max` it copied; fewer when none is left.
    fn copy_harvested_at_most(&mut self, groups_max: usize) -> usize {
        let mut copied = 0;
        for index in 0..self.harvested.len() {
            while self.harvested[index] != 0 && copied < groups_max {
                let bit = self.harvested[index].trailing_zeros() as usize;
                self.harvested[index] &= self.harvested[index] - 1;
                self.copy_group(index * 64 + bit);
                copied += 1;
            }
        }
        copied
    }

    /// Copies everything; on the control thread, the first pass. Prefixes, which only that thread
    /// writes, are complete then.
    pub fn copy_all(&mut self) {
        copy_prefixes(&self.from, &self.to);
        if self.from.shape().kind == kind::ARRAY {
            self.to.array().copy(&self.from.array());
        }
        (0..self.from.geometry().groups).for_each(|group| self.copy_group(group));
    }

    /// Copies at most `groups_max` of the groups that have changed; at a burst boundary, on the
    /// lcore that writes the table. `true` when none is left: then, and until the next burst, the
    /// copy is complete. Allocates nothing. An array is copied in one go.
    pub fn finish(&mut self, groups_max: usize) -> bool {
        if self.from.shape().kind == kind::ARRAY {
            self.to.array().copy(&self.from.array());
            return true;
        }
        let mut left = groups_max - self.copy_harvested_at_most(groups_max);
        // Once around, from where the last boundary came to.
        for start in [self.cursor, 0] {
            let mut next = next_marked(&self.from, start);
            while let Some(group) = next {
                self.cursor = group;
                if left == 0 {
                    return false;
                }
                self.take_mark(group);
                self.copy_group(group);
                left -= 1;
                next = next_marked(&self.from, group + 1);
            }
        }
        if self.harvested.iter().any(|&bits| bits != 0) {
            return false;
        }
        if self.used.is_empty() {
            return true;
        }
        let to = self.to.hash();
        to.copy_header(&self.from.hash());
        to.set_count(self.count);
        to.settle();
        true
    }

    /// A mark that the lcore sets right now, and that is lost by this, belongs to a burst that ends
    /// before the group is copied.
    fn take_mark(&self, group: usize) {
        self.from.memory().store8(self.from.geometry().dirty + group, 0);
    }

    fn copy_group(&mut self, group: usize) {
        let (from, to) = (self.from.hash(), self.to.hash());
        let groups = from.geometry.groups;
        let tags = from.tags(group);
        for image in 0..self.used.len() {
            let target = group + image * groups;
            self.count -= to.tags(target).used().count_ones();
            to.clear_group(target);
            // For all images what was counted for their keys together: too high is slow, not wrong.
            to.set_overflow(target, tags.overflow());
            self.used[image] = 0;
        }
        for slot in slots(tags.used()) {
            let source = Place { group, slot };
            let hash = from.hash_at(source);
            let (old, new) = (from.home_of_hash(hash), to.home_of_hash(hash));
            let Some(target) = image_of(group, old, new) else { continue };
            if old.tag != tags.0[slot] {
                continue;
            }
            let used = &mut self.used[target / groups];
            let place = Place { group: target, slot: usize::from(*used) };
            *used += 1;
            copy_entry(&from, source, &to, place);
            to.set_tag(place, new.tag);
            self.count += 1;
        }
    }
}

/// The group of the copy that a key of `group` belongs in; `None` when it does not belong there.
fn image_of(group: usize, old: Home, new: Home) -> Option<usize> {
    // The first one first: a key whose two groups were one must be found without overflows.
    if old.first == group {
        Some(new.first)
    } else if old.second == group {
        Some(new.second)
    } else {
        None
    }
}

/// Bytes that only `to` has become zero.
fn copy_entry(from: &Hash<'_>, source: Place, to: &Hash<'_>, target: Place) {
    let (key_from, key_to) = (from.entry(source), to.entry(target));
    for at in (0..from.geometry.value).step_by(8) {
        to.memory.store64(key_to + at, from.memory.load64(key_from + at));
    }
    let (value_from, value_to) = (from.value(source), to.value(target));
    let common = from.shape.value_bytes.min(to.shape.value_bytes) as usize;
    for at in (0..to.geometry.stride - to.geometry.value).step_by(8) {
        let word = if at < common { from.memory.load64(value_from + at) } else { 0 };
        to.memory.store64(value_to + at, keep(word, common.saturating_sub(at)));
    }
    if from.shape.kind == kind::LRU {
        to.set_age(target, from.age(source));
    }
}

/// Whether all prefixes that one table can hold fit into another.
fn has_room_for_prefixes(from: &Table, to: &Table) -> bool {
    let (source, target) = (from.geometry(), to.geometry());
    to.shape().capacity >= from.shape().capacity
        && target.nodes >= source.nodes
        && target.root_bits >= source.root_bits
}

fn copy_prefixes(from: &Table, to: &Table) {
    let (Some(source), Some(mut target)) = (from.lpm(), to.lpm()) else { return };
    target.clear();
    target.settle();
    for (prefix, value) in source.read(0, usize::MAX).0 {
        // There is room for all, unless somebody else has written into the rules.
        if target.set(prefix, value).is_err() {
            break;
        }
    }
    to.set_count(target.count());
}

/// The first group from `start` on that is marked.
fn next_marked(table: &Table, start: usize) -> Option<usize> {
    let (memory, geometry) = (table.memory(), table.geometry());
    let mut group = start;
    while group < geometry.groups {
        // Eight at once where none is marked, which is nearly everywhere.
        if group.is_multiple_of(8) && memory.load64(geometry.dirty + group) == 0 {
            group += 8;
        } else if memory.load8(geometry.dirty + group) != 0 {
            return Some(group);
        } else {
            group += 1;
        }
    }
    None
}
