//! Free frames: a common pool without locks, and a private cache per lcore.
//!
//! The pool is a stack of magazines (up to 64 frames each, linked through native arrays). Taking
//! or giving one is one compare-and-swap per 64 frames, with a tag against reuse (ABA).

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use crate::Mbuf;
use crate::region::{FrameState, Region};

const MAGAZINE: usize = 64;
/// A cache gives magazines back above this many frames.
const CACHE_HIGH: usize = 512;
const NIL: u32 = u32::MAX;

/// The common pool of a region.
#[derive(Debug)]
pub(crate) struct FramePool {
    /// Tag in the upper half, first frame of the top magazine in the lower.
    top: AtomicU64,
    /// Next frame of the same magazine.
    next: Box<[AtomicU32]>,
    /// Next magazine, valid for a magazine's first frame.
    below: Box<[AtomicU32]>,
    frames: AtomicUsize,
}

impl FramePool {
    pub(crate) fn new(frames: usize) -> FramePool {
        let links = || (0..frames).map(|_| AtomicU32::new(NIL)).collect();
        let pool = FramePool {
            top: AtomicU64::new(u64::from(NIL)),
            next: links(),
            below: links(),
            frames: AtomicUsize::new(0),
        };
        let all: Vec<u32> = (0..frames as u32).rev().collect();
        all.chunks(MAGAZINE).for_each(|magazine| pool.push(magazine));
        pool
    }

    pub(crate) fn len(&self) -> usize {
        self.frames.load(Ordering::Relaxed)
    }

    fn push(&self, magazine: &[u32]) {
        let first = magazine[0];
        for (index, &frame) in magazine.iter().enumerate() {
            let next = magazine.get(index + 1).copied().unwrap_or(NIL);
            self.next[frame as usize].store(next, Ordering::Relaxed);
        }
        let mut top = self.top.load(Ordering::Relaxed);
        loop {
            self.below[first as usize].store(top as u32, Ordering::Relaxed);
            let new = ((top >> 32).wrapping_add(1) << 32) | u64::from(first);
            match self.top.compare_exchange_weak(top, new, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => break,
                Err(current) => top = current,
            }
        }
        self.frames.fetch_add(magazine.len(), Ordering::Relaxed);
    }

    fn pop(&self, out: &mut Vec<u32>) -> bool {
        let mut top = self.top.load(Ordering::Acquire);
        loop {
            let first = top as u32;
            if first == NIL {
                return false;
            }
            let below = self.below[first as usize].load(Ordering::Relaxed);
            let new = ((top >> 32).wrapping_add(1) << 32) | u64::from(below);
            match self.top.compare_exchange_weak(top, new, Ordering::Acquire, Ordering::Acquire) {
                Ok(_) => break,
                Err(current) => top = current,
            }
        }
        let (mut frame, before) = (top as u32, out.len());
        while frame != NIL {
            out.push(frame);
            frame = self.next[frame as usize].load(Ordering::Relaxed);
        }
        self.frames.fetch_sub(out.len() - before, Ordering::Relaxed);
        true
    }
}

/// An lcore's private stock of free frames. Last in, first out: the frame that was just sent, still
/// in the CPU's caches, is the next one to be filled.
#[derive(Debug)]
pub struct FrameCache {
    region: Arc<Region>,
    free: Vec<u32>,
}

impl FrameCache {
    pub(crate) fn new(region: Arc<Region>) -> FrameCache {
        // Room for everything a burst can bring on top of the high mark: it never grows.
        let free = Vec::with_capacity(CACHE_HIGH + 2 * MAGAZINE);
        FrameCache { region, free }
    }

    /// The region the frames are of.
    #[inline]
    pub fn region(&self) -> &Arc<Region> {
        &self.region
    }

    /// One free frame, now the caller's; `None` when there is none.
    #[inline]
    pub fn take(&mut self) -> Option<u32> {
        if self.free.is_empty() && !self.region.pool().pop(&mut self.free) {
            return None;
        }
        let frame = self.free.pop()?;
        self.region.mark(frame, FrameState::Used);
        Some(frame)
    }

    /// Gives a frame back.
    ///
    /// # Panics
    /// When the frame is free already.
    #[inline]
    pub fn give(&mut self, frame: u32) {
        self.region.mark(frame, FrameState::Free);
        self.free.push(frame);
        if self.free.len() >= CACHE_HIGH + MAGAZINE {
            self.spill();
        }
    }

    /// Gives the frames of packets back.
    #[inline]
    pub fn give_burst(&mut self, burst: &[Mbuf]) {
        for mbuf in burst {
            self.give(mbuf.frame);
        }
    }

    /// Frames in this cache.
    pub fn len(&self) -> usize {
        self.free.len()
    }

    /// Whether this cache has none.
    pub fn is_empty(&self) -> bool {
        self.free.is_empty()
    }

    /// The oldest magazines go back: those whose bytes have left the CPU's caches.
    #[cold]
    fn spill(&mut self) {
        self.region.pool().push(&self.free[..MAGAZINE]);
        self.free.copy_within(MAGAZINE.., 0);
        self.free.truncate(self.free.len() - MAGAZINE);
    }
}

impl Drop for FrameCache {
    fn drop(&mut self) {
        self.free.chunks(MAGAZINE).for_each(|magazine| self.region.pool().push(magazine));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RegionConfig;

    fn region(frames: usize) -> Arc<Region> {
        Region::new(RegionConfig { frames, ..RegionConfig::default() }).expect("a small region")
    }

    #[test]
    fn every_frame_is_taken_once_and_comes_back() {
        let region = region(1000);
        let mut cache = region.cache();
        let mut taken: Vec<u32> = std::iter::from_fn(|| cache.take()).collect();
        assert_eq!((taken.len(), region.pooled(), region.used()), (1000, 0, 1000));
        taken.iter().for_each(|&frame| cache.give(frame));
        taken.sort_unstable();
        assert!(taken.iter().copied().eq(0..1000));
        drop(cache);
        assert_eq!((region.pooled(), region.used()), (1000, 0));
    }

    #[test]
    #[should_panic(expected = "twice")]
    fn a_frame_given_twice_is_caught() {
        let region = region(64);
        let mut cache = region.cache();
        let frame = cache.take().expect("a frame");
        cache.give(frame);
        cache.give(frame);
    }

    #[test]
    fn lcores_exchange_frames_without_loss() {
        let region = region(8192);
        std::thread::scope(|scope| {
            for seed in 1..5u64 {
                let region = &region;
                scope.spawn(move || {
                    let (mut cache, mut held, mut random) = (region.cache(), Vec::new(), seed);
                    for _ in 0..200_000 {
                        random = random.wrapping_mul(6364136223846793005).wrapping_add(1);
                        if random >> 63 == 0 && held.len() < 1500 {
                            held.extend(cache.take());
                        } else if let Some(frame) = held.pop() {
                            cache.give(frame);
                        }
                    }
                    held.into_iter().for_each(|frame| cache.give(frame));
                });
            }
        });
        assert_eq!((region.pooled(), region.used()), (8192, 0));
    }
}
