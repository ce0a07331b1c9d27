//! Words of memory that a guest writes at the same time: every access is a single atomic one, and
//! within bounds. No reference to plain data ever points into it.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use wirelet_packet::Backing;

/// A table's memory. Relaxed throughout: a plain `mov`; who needs order uses fences.
#[derive(Clone, Copy, Debug)]
pub struct Memory<'a>(pub &'a Backing);

impl Memory<'_> {
    /// The address of `bytes` bytes at `at`.
    ///
    /// # Panics
    /// When they don't lie in the memory, or `at` is no multiple of `align`: offsets come from a
    /// native geometry, never from the memory itself.
    #[inline]
    fn address(self, at: usize, bytes: usize, align: usize) -> *mut u8 {
        let fits = at.checked_add(bytes).is_some_and(|end| end <= self.0.bytes());
        assert!(fits && at.is_multiple_of(align), "{at} + {bytes} of {}", self.0.bytes());
        // SAFETY: `at` lies within the mapping.
        unsafe { self.0.base().add(at) }
    }

    #[inline]
    fn byte(&self, at: usize) -> &AtomicU8 {
        // SAFETY: in bounds; the mapping lives as long as the borrow of the backing. Whoever else
        // writes it does so from outside of Rust or through these methods.
        unsafe { AtomicU8::from_ptr(self.address(at, 1, 1)) }
    }

    #[inline]
    fn word32(&self, at: usize) -> &AtomicU32 {
        // SAFETY: as for `byte`; aligned, because the mapping begins at a page.
        unsafe { AtomicU32::from_ptr(self.address(at, 4, 4).cast()) }
    }

    #[inline]
    fn word64(&self, at: usize) -> &AtomicU64 {
        // SAFETY: as for `word32`.
        unsafe { AtomicU64::from_ptr(self.address(at, 8, 8).cast()) }
    }

    /// The byte at `at`.
    #[inline]
    pub fn load8(self, at: usize) -> u8 {
        self.byte(at).load(Ordering::Relaxed)
    }

    /// Writes the byte at `at`.
    #[inline]
    pub fn store8(self, at: usize, value: u8) {
        self.byte(at).store(value, Ordering::Relaxed);
    }

    /// The u32 at `at`.
    #[inline]
    pub fn load32(self, at: usize) -> u32 {
        self.word32(at).load(Ordering::Relaxed)
    }

    /// Writes the u32 at `at`.
    #[inline]
    pub fn store32(self, at: usize, value: u32) {
        self.word32(at).store(value, Ordering::Relaxed);
    }

    /// The u64 at `at`.
    #[inline]
    pub fn load64(self, at: usize) -> u64 {
        self.word64(at).load(Ordering::Relaxed)
    }

    /// Writes the u64 at `at`.
    #[inline]
    pub fn store64(self, at: usize, value: u64) {
        self.word64(at).store(value, Ordering::Relaxed);
    }

    /// `bytes` bytes from `at`, a multiple of 8, word by word.
    pub fn load(self, at: usize, bytes: usize) -> Vec<u8> {
        let words = (0..bytes.div_ceil(8)).map(|word| self.load64(at + word * 8));
        let mut copy: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
        copy.truncate(bytes);
        copy
    }

    /// Writes `data` to `at`, a multiple of 8, word by word; the last word is filled with zeros.
    #[inline]
    pub fn store(self, at: usize, data: &[u8]) {
        for (index, word) in words(data).enumerate() {
            self.store64(at + index * 8, word);
        }
    }

    /// Whether the words from `at` are those of `data`.
    #[inline]
    pub fn equals(self, at: usize, data: &[u8]) -> bool {
        words(data).enumerate().all(|(index, word)| self.load64(at + index * 8) == word)
    }
}

/// `data` as little-endian words, the last one filled with zeros.
#[inline]
pub fn words(data: &[u8]) -> impl Iterator<Item = u64> + '_ {
    let (whole, rest) = data.as_chunks::<8>();
    let last = (!rest.is_empty()).then(|| {
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        u64::from_le_bytes(word)
    });
    whole.iter().map(|word| u64::from_le_bytes(*word)).chain(last)
}
