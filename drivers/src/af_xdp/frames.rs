//! Frames of the region as the kernel names them, and which of them it has.
//!
//! The UMEM is the region's memory, one chunk per frame, so an address in a ring is
//! `frame * frame_bytes + offset`. Chunks of 2,048 or 4,096 bytes are *aligned*; any other size
//! between them takes the *unaligned* mode, where the kernel reports a received packet's offset in
//! the address's upper 16 bits.

use wirelet_abi::{Error, ErrorCode};
use wirelet_packet::{FrameCache, Mbuf, Region};

/// Bytes that the kernel leaves free before a received packet (XDP_PACKET_HEADROOM).
pub(super) const HEADROOM_BYTES: usize = 256;
const CHUNK_BYTES_MIN: usize = 2048;
/// A page: the kernel takes no larger chunks.
const CHUNK_BYTES_MAX: usize = 4096;
/// XSK_UNALIGNED_BUF_OFFSET_SHIFT.
const OFFSET_SHIFT: u32 = 48;

/// How frames and addresses belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunks {
    frame_bytes: u32,
    frames: u32,
}

impl Chunks {
    /// The chunks of `region`.
    ///
    /// # Errors
    /// `WIRELET_E_FRAME_SIZE` when no chunk can be as large as its frames.
    pub(super) fn of(region: &Region) -> Result<Chunks, Error> {
        let frame_bytes = region.frame_bytes();
        if !(CHUNK_BYTES_MIN..=CHUNK_BYTES_MAX).contains(&frame_bytes) {
            let message = format!(
                "af_xdp: frames of {frame_bytes} bytes; it takes 2,048 to 4,096, \
                 and 2,048 or 4,096 exactly for zero copy"
            );
            return Err(Error::new(ErrorCode::FrameSize, message));
        }
        Ok(Chunks { frame_bytes: frame_bytes as u32, frames: region.frames() as u32 })
    }

    /// Whether the kernel's aligned mode fits, which zero copy needs.
    pub(super) fn aligned(&self) -> bool {
        self.frame_bytes.is_power_of_two()
    }

    /// Bytes of the longest packet that can be received.
    pub(super) fn room(&self) -> usize {
        self.frame_bytes as usize - HEADROOM_BYTES
    }

    /// What to write into the fill ring.
    #[inline]
    pub(super) fn fill_address(&self, frame: u32) -> u64 {
        u64::from(frame) * u64::from(self.frame_bytes)
    }

    /// What to write into the transmit ring. The kernel reports it back as it is.
    #[inline]
    pub(super) fn send_address(&self, mbuf: &Mbuf) -> u64 {
        self.fill_address(mbuf.frame) + u64::from(mbuf.offset)
    }

    /// Frame and offset in it of an address that the kernel reports.
    ///
    /// # Panics
    /// When it lies in no frame: the kernel reports what we gave it.
    #[inline]
    pub(super) fn place(&self, address: u64) -> (u32, u16) {
        let address = (address & ((1 << OFFSET_SHIFT) - 1)) + (address >> OFFSET_SHIFT);
        let end = u64::from(self.frames) * u64::from(self.frame_bytes);
        assert!(address < end, "the kernel reports address {address:#x}");
        // A region is smaller than 4 GiB, and dividing 32 bits costs half of dividing 64.
        let address = address as u32;
        (address / self.frame_bytes, (address % self.frame_bytes) as u16)
    }
}

/// Who has a frame, from this device's view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Holder {
    Elsewhere,
    Receive,
    Transmit,
}

/// Frames that the kernel has: in a ring, or inside it. One byte per frame of the region, so that
/// `close` can give back every one of them, also those that no ring shows.
#[derive(Debug)]
pub(super) struct Ledger {
    holders: Box<[Holder]>,
    receiving: usize,
    transmitting: usize,
}

impl Ledger {
    /// A ledger for `frames` frames, none of them held.
    pub(super) fn new(frames: usize) -> Ledger {
        let holders = vec![Holder::Elsewhere; frames].into();
        Ledger { holders, receiving: 0, transmitting: 0 }
    }

    /// Frames that wait for packets, or hold packets that were not delivered.
    #[inline]
    pub(super) fn receiving(&self) -> usize {
        self.receiving
    }

    /// Frames of packets that are being sent.
    #[inline]
    pub(super) fn transmitting(&self) -> usize {
        self.transmitting
    }

    /// The kernel may receive into `frame`.
    #[inline]
    pub(super) fn lend(&mut self, frame: u32) {
        self.change(frame, Holder::Elsewhere, Holder::Receive);
        self.receiving += 1;
    }

    /// It has received a packet into `frame`.
    #[inline]
    pub(super) fn received(&mut self, frame: u32) {
        self.change(frame, Holder::Receive, Holder::Elsewhere);
        self.receiving -= 1;
    }

    /// It sends `frame`.
    #[inline]
    pub(super) fn send(&mut self, frame: u32) {
        self.change(frame, Holder::Elsewhere, Holder::Transmit);
        self.transmitting += 1;
    }

    /// It has sent `frame`.
    #[inline]
    pub(super) fn sent(&mut self, frame: u32) {
        self.change(frame, Holder::Transmit, Holder::Elsewhere);
        self.transmitting -= 1;
    }

    /// Gives every frame back; call it when the kernel can no longer touch them. Returns how many
    /// were packets that it should have sent.
    pub(super) fn settle(&mut self, frames: &mut FrameCache) -> usize {
        for (frame, holder) in self.holders.iter_mut().enumerate() {
            if *holder != Holder::Elsewhere {
                *holder = Holder::Elsewhere;
                frames.give(frame as u32);
            }
        }
        self.receiving = 0;
        std::mem::take(&mut self.transmitting)
    }

    /// A frame that is not where it should be is a bug of ours or the kernel's: going on would
    /// mix up packets, so it ends the lcore.
    #[inline]
    fn change(&mut self, frame: u32, from: Holder, to: Holder) {
        let holder = &mut self.holders[frame as usize];
        assert!(*holder == from, "frame {frame} is with {holder:?}, not {from:?}");
        *holder = to;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use wirelet_packet::RegionConfig;

    use super::*;

    fn region(frame_bytes: usize) -> Arc<Region> {
        let config = RegionConfig { frames: 16, frame_bytes, hugepages: false, node: None };
        Region::new(config).expect("a region")
    }

    #[test]
    fn addresses_name_frames_in_both_modes() {
        for (frame_bytes, aligned) in [(2048, true), (2240, false), (4096, true)] {
            let chunks = Chunks::of(&region(frame_bytes)).expect("chunks");
            assert_eq!((chunks.aligned(), chunks.room()), (aligned, frame_bytes - 256));
            for frame in 0..16 {
                let base = chunks.fill_address(frame);
                assert_eq!(base, u64::from(frame) * frame_bytes as u64);
                // Received packets: aligned mode adds the offset, unaligned mode keeps it apart.
                assert_eq!(chunks.place(base + 256), (frame, 256));
                assert_eq!(chunks.place(base | 256 << 48), (frame, 256));
                let mbuf = Mbuf { frame, offset: 2000, ..Mbuf::default() };
                assert_eq!(chunks.place(chunks.send_address(&mbuf)), (frame, 2000));
            }
        }
    }

    #[test]
    fn frames_that_no_chunk_can_hold_are_refused() {
        for frame_bytes in [4160, 8192, 16384] {
            let error = Chunks::of(&region(frame_bytes)).expect_err("too large");
            assert_eq!(error.code, ErrorCode::FrameSize);
            assert!(error.message.contains("2,048 to 4,096"), "{error}");
        }
    }

    #[test]
    #[should_panic(expected = "the kernel reports")]
    fn an_address_outside_is_caught() {
        Chunks::of(&region(2048)).expect("chunks").place(16 * 2048);
    }

    #[test]
    fn every_frame_comes_back_once() {
        let region = region(2048);
        let mut frames = region.cache();
        let mut ledger = Ledger::new(region.frames());
        let taken: Vec<u32> = (0..6).filter_map(|_| frames.take()).collect();
        taken[..4].iter().for_each(|&frame| ledger.lend(frame));
        ledger.received(taken[0]);
        ledger.send(taken[0]);
        ledger.send(taken[4]);
        ledger.sent(taken[4]);
        assert_eq!((ledger.receiving(), ledger.transmitting()), (3, 1));
        frames.give(taken[4]);
        frames.give(taken[5]);
        assert_eq!(ledger.settle(&mut frames), 1);
        assert_eq!((region.used(), ledger.receiving(), ledger.transmitting()), (0, 0, 0));
        assert_eq!(ledger.settle(&mut frames), 0);
    }

    #[test]
    #[should_panic(expected = "not Transmit")]
    fn a_completion_that_nobody_waits_for_is_caught() {
        let mut ledger = Ledger::new(4);
        ledger.lend(2);
        ledger.sent(2);
    }
}
