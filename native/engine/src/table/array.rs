//! Elements by number.

use super::memory::Memory;
use super::shape::{Geometry, Shape};

/// An ARRAY table: its memory and where things lie in it.
#[derive(Clone, Copy, Debug)]
pub struct Array<'a> {
    /// The memory.
    pub memory: Memory<'a>,
    /// Where things lie.
    pub geometry: &'a Geometry,
    /// What was asked for.
    pub shape: &'a Shape,
}

impl Array<'_> {
    /// Where the element that `key`, a little-endian u32, names begins; `None` when it names none.
    pub fn find(&self, key: &[u8]) -> Option<usize> {
        let index = u32::from_le_bytes(key.try_into().ok()?);
        (index < self.shape.capacity).then(|| self.element(index))
    }

    /// Where element `index` begins.
    pub fn element(&self, index: u32) -> usize {
        self.geometry.tags + index as usize * self.geometry.stride
    }

    /// Whether the element at `at` was ever written.
    pub fn is_zero(&self, at: usize) -> bool {
        (0..self.geometry.stride).step_by(8).all(|word| self.memory.load64(at + word) == 0)
    }

    /// Zeroes the element at `at`.
    pub fn reset(&self, at: usize) {
        for word in (0..self.geometry.stride).step_by(8) {
            self.memory.store64(at + word, 0);
        }
    }

    /// Takes over the elements of `from`, as far as both have them; bytes that `from` does not have
    /// become zero.
    pub fn copy(&self, from: &Array<'_>) {
        let words = self.geometry.stride.min(from.geometry.stride) / 8;
        let tail = self.shape.value_bytes.min(from.shape.value_bytes) as usize;
        for index in 0..self.shape.capacity.min(from.shape.capacity) {
            let (source, target) = (from.element(index), self.element(index));
            for word in 0..words {
                let kept = keep(from.memory.load64(source + word * 8), tail - (word * 8).min(tail));
                self.memory.store64(target + word * 8, kept);
            }
        }
    }
}

/// The first `bytes` bytes of a word, the rest zero.
#[inline]
pub fn keep(word: u64, bytes: usize) -> u64 {
    if bytes >= 8 { word } else { word & ((1 << (bytes * 8)) - 1) }
}
