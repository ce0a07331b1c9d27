//! The region: frames that devices fill and programs see, and what native code knows of each.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use wirelet_abi::{Error, ErrorCode, guest, limits};

use crate::backing::{Backing, Pages};
use crate::numa;
use crate::pool::{FrameCache, FramePool};

/// How large a region is.
#[derive(Clone, Copy, Debug)]
pub struct RegionConfig {
    /// Frames.
    pub frames: usize,
    /// Bytes of a frame, a multiple of 64.
    pub frame_bytes: usize,
    /// Use hugepages where the kernel has enough of them.
    pub hugepages: bool,
    /// NUMA node that its memory should be of; it is of others where that one has no more.
    pub node: Option<u32>,
}

impl Default for RegionConfig {
    fn default() -> Self {
        RegionConfig {
            frames: limits::FRAMES_DEFAULT,
            frame_bytes: limits::FRAME_BYTES_DEFAULT,
            hugepages: true,
            node: None,
        }
    }
}

/// Who has a frame. Kept natively: a guest can't reach it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameState {
    /// In the pool or in an lcore's cache.
    Free = 0,
    /// With an lcore or a device.
    Used = 1,
}

/// Frames of one tenant: shared memory and, beside it, native records that no guest can reach.
#[derive(Debug)]
pub struct Region {
    backing: Backing,
    frame_bytes: usize,
    states: Box<[AtomicU8]>,
    pool: FramePool,
}

impl Region {
    /// Allocates, populates and divides the region.
    ///
    /// # Errors
    /// `WIRELET_E_FRAME_SIZE`, `WIRELET_E_CONFIG_LIMIT`, `WIRELET_E_MEMORY_EXHAUSTED`.
    pub fn new(config: RegionConfig) -> Result<Arc<Region>, Error> {
        let RegionConfig { frames, frame_bytes, hugepages, node } = config;
        let sizes = limits::FRAME_BYTES_MIN..=limits::FRAME_BYTES_MAX;
        if !sizes.contains(&frame_bytes) || frame_bytes % 64 != 0 {
            let message = format!("frames of {frame_bytes} bytes");
            return Err(Error::new(ErrorCode::FrameSize, message));
        }
        let window = (guest::PACKET_WINDOW_END - guest::PACKET_WINDOW) as usize;
        if frames == 0 || frames.checked_mul(frame_bytes).is_none_or(|bytes| bytes > window) {
            let message = format!("{frames} frames of {frame_bytes} bytes; the window is 510 MiB");
            return Err(Error::new(ErrorCode::ConfigLimit, message));
        }
        let preferred = numa::Preferred::node(node);
        let backing = Self::allocate(frames * frame_bytes, hugepages)?;
        drop(preferred);
        let states = (0..frames).map(|_| AtomicU8::new(FrameState::Free as u8)).collect();
        Ok(Arc::new(Region { backing, frame_bytes, states, pool: FramePool::new(frames) }))
    }

    /// Hugepages are used when they are there; their absence is no error.
    fn allocate(bytes: usize, hugepages: bool) -> Result<Backing, Error> {
        let (name, at) = ("wirelet-region", guest::PACKET_WINDOW);
        if hugepages && let Ok(backing) = Backing::seen_at(name, bytes, Pages::Huge, at) {
            return Ok(backing);
        }
        Backing::seen_at(name, bytes, Pages::Small, at)
    }

    /// The memory, to map it into programs.
    pub fn backing(&self) -> &Backing {
        &self.backing
    }

    /// NUMA node that the first frame lies on; `None` where the kernel does not say.
    pub fn node(&self) -> Option<u32> {
        numa::node_of(self.backing.base())
    }

    /// Frames.
    pub fn frames(&self) -> usize {
        self.states.len()
    }

    /// Bytes of a frame.
    #[inline]
    pub fn frame_bytes(&self) -> usize {
        self.frame_bytes
    }

    /// Bytes of the longest packet that a device may receive into a frame.
    pub fn data_room(&self) -> usize {
        self.frame_bytes - limits::HEADROOM_BYTES
    }

    /// First byte of `frame`.
    ///
    /// # Panics
    /// When there is no such frame: frame numbers come from native code only.
    #[inline]
    pub fn frame(&self, frame: u32) -> *mut u8 {
        assert!((frame as usize) < self.states.len(), "frame {frame}");
        // SAFETY: frame < frames, so the address lies within the backing.
        unsafe { self.backing.base().add(frame as usize * self.frame_bytes) }
    }

    /// First byte of a packet.
    ///
    /// # Panics
    /// When its frame does not exist.
    #[inline]
    pub fn data(&self, mbuf: &crate::Mbuf) -> *mut u8 {
        debug_assert!(usize::from(mbuf.offset) + usize::from(mbuf.length) <= self.frame_bytes);
        // SAFETY: the engine and devices keep offset + length within the frame.
        unsafe { self.frame(mbuf.frame).add(usize::from(mbuf.offset)) }
    }

    /// Guest address of `frame`.
    #[inline]
    pub fn guest_address(&self, frame: u32) -> u32 {
        guest::PACKET_WINDOW + frame * self.frame_bytes as u32
    }

    /// Who has `frame`.
    pub fn state(&self, frame: u32) -> FrameState {
        match self.states[frame as usize].load(Ordering::Relaxed) {
            0 => FrameState::Free,
            _ => FrameState::Used,
        }
    }

    /// A cache of free frames for one lcore.
    pub fn cache(self: &Arc<Self>) -> FrameCache {
        FrameCache::new(Arc::clone(self))
    }

    /// Frames in the common pool; those in caches are not in it.
    pub fn pooled(&self) -> usize {
        self.pool.len()
    }

    /// Frames that an lcore or a device has.
    pub fn used(&self) -> usize {
        let used = |state: &&AtomicU8| state.load(Ordering::Relaxed) == FrameState::Used as u8;
        self.states.iter().filter(used).count()
    }

    pub(crate) fn pool(&self) -> &FramePool {
        &self.pool
    }

    /// Marks `frame`; a frame that is freed or taken twice is a bug of ours and ends the lcore.
    #[inline]
    pub(crate) fn mark(&self, frame: u32, state: FrameState) {
        let record = &self.states[frame as usize];
        assert!(record.load(Ordering::Relaxed) != state as u8, "frame {frame} is {state:?} twice");
        record.store(state as u8, Ordering::Relaxed);
    }
}
