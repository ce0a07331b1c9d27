//! The prefixes that were set, each with its value. They lie behind the nodes in the table's
//! memory, so that they are there after a restart; programs read them as little as they write them.
//! How to find one is kept natively: 8 bytes for each place, half of the places free.

use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use wirelet_abi::table;
use wirelet_packet::Backing;

use super::prefix::Prefix;
use crate::table::memory::Memory;
use crate::table::shape::rule_bytes;

/// Rules in memory: address, value, and the length + 1, 0 for a free one.
#[derive(Debug)]
pub struct Rules {
    backing: Arc<Backing>,
    start: usize,
    capacity: usize,
    key_bytes: u32,
    /// Open addressing: upper half of the hash and number of the rule + 1, or 0.
    places: Vec<(u32, u32)>,
    /// Rules below `top` that are free.
    free: Vec<u32>,
    top: u32,
    /// How many rules there are of each length.
    lengths: [u32; 129],
}

impl Rules {
    /// None, whatever lies in the memory.
    pub fn new(backing: Arc<Backing>, start: usize, capacity: usize, key_bytes: u32) -> Rules {
        let places = vec![(0, 0); (2 * capacity).next_power_of_two()];
        let free = Vec::new();
        Rules { backing, start, capacity, key_bytes, places, free, top: 0, lengths: [0; 129] }
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.top as usize - self.free.len()
    }

    /// Whether there is room for another one.
    pub fn has_room(&self) -> bool {
        self.count() < self.capacity
    }

    /// Numbers of rules that may be in use: those below.
    pub fn top(&self) -> u32 {
        self.top
    }

    fn memory(&self) -> Memory<'_> {
        Memory(&self.backing)
    }

    fn at(&self, rule: u32) -> usize {
        self.start + rule as usize * rule_bytes(self.key_bytes)
    }

    fn value_at(&self, rule: u32) -> usize {
        self.at(rule) + self.key_bytes as usize
    }

    /// The rule of that number, whatever lies there, if it can be one.
    pub fn load(&self, rule: u32) -> Option<(Prefix, u32)> {
        let length = self.memory().load32(self.value_at(rule) + 4).checked_sub(1)?;
        let mut key = [0; 17];
        let bytes = self.key_bytes as usize;
        for at in (0..bytes).step_by(4) {
            let word = self.memory().load32(self.at(rule) + at);
            key[at..at + 4].copy_from_slice(&word.to_ne_bytes());
        }
        key[bytes] = u8::try_from(length).ok()?;
        let prefix = Prefix::parse(&key[..=bytes], self.key_bytes)?;
        let value = self.memory().load32(self.value_at(rule));
        (value <= table::LPM_VALUE_MAX).then_some((prefix, value))
    }

    /// The value of `prefix`.
    pub fn get(&self, prefix: Prefix) -> Option<u32> {
        let place = self.find(prefix).ok()?;
        Some(self.memory().load32(self.value_at(self.places[place].1 - 1)))
    }

    /// The longest prefix that `prefix` lies in and that is shorter, and its value.
    pub fn around(&self, prefix: Prefix) -> Option<(Prefix, u32)> {
        (0..prefix.length)
            .rev()
            .filter(|&length| self.lengths[usize::from(length)] > 0)
            .map(|length| prefix.cut(length))
            .find_map(|shorter| Some((shorter, self.get(shorter)?)))
    }

    /// Sets the value of `prefix`.
    ///
    /// # Panics
    /// When it is new and there is no room; `has_room` tells.
    pub fn set(&mut self, prefix: Prefix, value: u32) {
        match self.find(prefix) {
            Ok(place) => {
                let at = self.value_at(self.places[place].1 - 1);
                self.memory().store32(at, value);
            }
            Err(place) => {
                assert!(self.has_room(), "{} rules", self.capacity);
                let rule = self.free.pop().unwrap_or(self.top);
                self.top = self.top.max(rule + 1);
                self.write(rule, prefix, value);
                self.places[place] = (upper(prefix), rule + 1);
                self.lengths[usize::from(prefix.length)] += 1;
            }
        }
    }

    /// The length comes last: a rule whose writer was killed is none.
    fn write(&self, rule: u32, prefix: Prefix, value: u32) {
        let address = prefix.bits.to_be_bytes();
        let (words, _) = address[..self.key_bytes as usize].as_chunks::<4>();
        for (index, word) in words.iter().enumerate() {
            self.memory().store32(self.at(rule) + index * 4, u32::from_ne_bytes(*word));
        }
        self.memory().store32(self.value_at(rule), value);
        fence(Ordering::Release);
        self.memory().store32(self.value_at(rule) + 4, u32::from(prefix.length) + 1);
    }

    /// Frees rule number `rule` in memory only: for what is no rule.
    pub fn erase(&self, rule: u32) {
        self.memory().store32(self.value_at(rule) + 4, 0);
    }

    /// Takes `prefix` out. Whether it was there.
    pub fn delete(&mut self, prefix: Prefix) -> bool {
        let Ok(mut hole) = self.find(prefix) else { return false };
        let rule = self.places[hole].1 - 1;
        self.erase(rule);
        self.free.push(rule);
        self.lengths[usize::from(prefix.length)] -= 1;
        // Moves up what would no longer be found behind the hole.
        let mask = self.places.len() - 1;
        let mut next = (hole + 1) & mask;
        while self.places[next].1 != 0 {
            let home = self.home(self.places[next].0);
            if next.wrapping_sub(home) & mask >= next.wrapping_sub(hole) & mask {
                self.places[hole] = self.places[next];
                hole = next;
            }
            next = (next + 1) & mask;
        }
        self.places[hole] = (0, 0);
        true
    }

    /// Takes all out.
    pub fn clear(&mut self) {
        (0..self.top).for_each(|rule| self.erase(rule));
        self.places.fill((0, 0));
        self.free.clear();
        self.top = 0;
        self.lengths = [0; 129];
    }

    /// All rules that lie in the memory, whoever has written them, none twice; all memory after
    /// them is free. How many were none, or there twice.
    pub fn recover(&mut self) -> usize {
        self.places.fill((0, 0));
        self.free.clear();
        self.top = self.capacity as u32;
        self.lengths = [0; 129];
        let mut bad = 0;
        for rule in (0..self.top).rev() {
            if let Some((prefix, _)) = self.load(rule)
                && let Err(place) = self.find(prefix)
            {
                self.places[place] = (upper(prefix), rule + 1);
                self.lengths[usize::from(prefix.length)] += 1;
                continue;
            }
            bad += usize::from(self.memory().load32(self.value_at(rule) + 4) != 0);
            self.erase(rule);
            self.free.push(rule);
        }
        bad
    }

    /// The place of `prefix`, or the free one where it belongs. Ends: half of the places are free.
    fn find(&self, prefix: Prefix) -> Result<usize, usize> {
        let hash = upper(prefix);
        let mask = self.places.len() - 1;
        let mut place = self.home(hash);
        loop {
            let (other, rule) = self.places[place];
            if rule == 0 {
                return Err(place);
            }
            if other == hash && self.load(rule - 1).is_some_and(|(known, _)| known == prefix) {
                return Ok(place);
            }
            place = (place + 1) & mask;
        }
    }

    fn home(&self, hash: u32) -> usize {
        hash as usize & (self.places.len() - 1)
    }
}

/// The upper half of a prefix's hash. Rules come from the host: no seed.
fn upper(prefix: Prefix) -> u32 {
    let words = [(prefix.bits >> 64) as u64, prefix.bits as u64, prefix.length.into()];
    (table::hash(0, words.into_iter()) >> 32) as u32
}
