//! A burst on its way through a pipeline, and the page on which programs see it.

use std::sync::Arc;

use wirelet_abi::limits::BURST_MAX;
use wirelet_abi::verdict::UNDECIDED;
use wirelet_abi::{BurstHeader, Descriptor, Error, guest};
use wirelet_packet::{Backing, Mbuf, Pages, Region};

/// `Mbuf::egress` of a packet that still passes.
pub const FORWARD: u16 = 0xFFFE;
/// `Mbuf::egress` of a packet that is gone.
pub const GONE: u16 = 0xFFFF;

/// Packets that were received together, in order, and which of them still pass.
pub struct Burst {
    /// In order of arrival. `egress` says what becomes of each.
    pub mbufs: [Mbuf; BURST_MAX],
    /// How many there are.
    pub count: usize,
    /// Indexes of those that still pass, in order.
    pub live: [u8; BURST_MAX],
    /// How many of them there are.
    pub live_count: usize,
}

impl Burst {
    /// No packets.
    pub fn new() -> Burst {
        let (mbufs, live) = ([Mbuf::default(); BURST_MAX], [0; BURST_MAX]);
        Burst { mbufs, count: 0, live, live_count: 0 }
    }

    /// `count` packets have just been received into `mbufs`: all of them pass so far.
    #[inline]
    pub fn begin(&mut self, count: usize) {
        (self.count, self.live_count) = (count, count);
        for (index, mbuf) in self.mbufs[..count].iter_mut().enumerate() {
            mbuf.egress = FORWARD;
            self.live[index] = index as u8;
        }
    }
}

impl Default for Burst {
    fn default() -> Self {
        Self::new()
    }
}

/// The page of one lcore, mapped into every program that runs there.
#[derive(Clone, Debug)]
pub struct BurstPage(Arc<Backing>);

/// What stands in a descriptor after a program has run, as far as the engine looks at it.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// Not checked yet.
    pub verdict: u8,
    /// Not checked yet.
    pub egress: u16,
}

impl BurstPage {
    /// A zeroed page.
    ///
    /// # Errors
    /// `WIRELET_E_MEMORY_EXHAUSTED`.
    pub fn new() -> Result<BurstPage, Error> {
        let bytes = guest::BURST_PAGE_BYTES as usize;
        Ok(BurstPage(Arc::new(Backing::new("wirelet-burst", bytes, Pages::Small)?)))
    }

    /// Its memory.
    pub fn backing(&self) -> &Arc<Backing> {
        &self.0
    }

    /// Writes header and descriptors of the packets that still pass, every field anew: whatever an
    /// earlier program wrote there is gone. Two 16-byte stores per packet.
    #[inline]
    pub fn write(&self, region: &Region, header: &BurstHeader, burst: &Burst) {
        debug_assert!(burst.live_count <= BURST_MAX);
        // SAFETY: the page is larger than the header, aligned, and only this lcore writes it now:
        // no program runs on it.
        unsafe { self.0.base().cast::<BurstHeader>().write(*header) };
        let frame_bytes = region.frame_bytes() as u16;
        for (index, &live) in burst.live[..burst.live_count].iter().enumerate() {
            let mbuf = &burst.mbufs[usize::from(live)];
            let descriptor = Descriptor {
                data: region.guest_address(mbuf.frame) + u32::from(mbuf.offset),
                length: mbuf.length,
                headroom: mbuf.offset,
                tailroom: frame_bytes - mbuf.offset - mbuf.length,
                port: mbuf.port,
                verdict: UNDECIDED,
                flags: mbuf.flags,
                egress: 0,
                hash: mbuf.hash,
                mark: mbuf.mark,
                timestamp_ns: mbuf.timestamp_ns,
            };
            // SAFETY: index < live_count <= BURST_MAX, so the descriptor lies within the page
            // (asserted in the abi); nobody else writes now.
            unsafe { self.descriptor(index).write(descriptor) };
        }
    }

    /// Reads descriptor `index` back and takes over what a program may change: data, length, mark.
    /// `None` when the descriptor points outside the packet's own frame; `mbuf` is unchanged then.
    #[inline]
    pub fn read(&self, region: &Region, index: usize, mbuf: &mut Mbuf) -> Option<Answer> {
        debug_assert!(index < BURST_MAX);
        // SAFETY: as in `write`. A copy: the program could write it again in its next call only.
        let descriptor = unsafe { self.descriptor(index).read() };
        let start = region.guest_address(mbuf.frame);
        let offset = descriptor.data.wrapping_sub(start);
        // In 64 bits nothing wraps; a `data` before the frame has become a huge offset.
        if u64::from(offset) + u64::from(descriptor.length) > region.frame_bytes() as u64 {
            return None;
        }
        mbuf.offset = offset as u16;
        mbuf.length = descriptor.length;
        mbuf.mark = descriptor.mark;
        Some(Answer { verdict: descriptor.verdict, egress: descriptor.egress })
    }

    /// Only the verdict's byte.
    #[inline]
    pub fn verdict(&self, index: usize) -> u8 {
        debug_assert!(index < BURST_MAX);
        // SAFETY: as in `read`.
        unsafe { (&raw const (*self.descriptor(index)).verdict).read() }
    }

    #[inline]
    fn descriptor(&self, index: usize) -> *mut Descriptor {
        // SAFETY: index < BURST_MAX by the callers' checks, so this stays within the page.
        unsafe { self.0.base().add(size_of::<BurstHeader>()).cast::<Descriptor>().add(index) }
    }
}
