//! Packets that are sent.

use wirelet_abi::limits::HEADROOM_BYTES;
use wirelet_drivers::Device;
use wirelet_packet::{FrameCache, Mbuf, Region};

use crate::BURST;

/// Sends UDP packets of one flow. A frame that was written once keeps its bytes.
pub struct Sender<'a> {
    region: &'a Region,
    packet: Vec<u8>,
    written: Vec<bool>,
}

impl Sender<'_> {
    /// Packets of `bytes` bytes, at least 60.
    pub fn new(region: &Region, bytes: usize) -> Sender<'_> {
        // To a station that nobody knows: a bridge floods it, and takes it for none of its own.
        let mut packet = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
        packet.extend([0x08, 0x00, 0x45, 0]);
        packet.extend((bytes as u16 - 14).to_be_bytes());
        packet.extend([0, 0, 0, 0, 64, 17, 0, 0, 10, 9, 0, 2, 10, 9, 0, 1, 0, 9, 0, 9]);
        packet.extend((bytes as u16 - 34).to_be_bytes());
        packet.resize(bytes, 0);
        let header: u32 =
            packet[14..34].chunks(2).map(|w| u32::from(w[0]) << 8 | u32::from(w[1])).sum();
        let checksum = !((header & 0xffff) + (header >> 16)) as u16;
        packet[24..26].copy_from_slice(&checksum.to_be_bytes());
        Sender { region, packet, written: vec![false; region.frames()] }
    }

    /// Sends a full burst, as far as there are frames; returns how many packets left.
    pub fn send(&mut self, frames: &mut FrameCache, port: &mut dyn Device) -> usize {
        port.reclaim(frames);
        let mut burst = [Mbuf::default(); BURST];
        let mut count = 0;
        while count < BURST
            && let Some(mbuf) = self.next(frames)
        {
            burst[count] = mbuf;
            count += 1;
        }
        let sent = port.tx_burst(frames, &burst[..count]);
        frames.give_burst(&burst[sent..count]);
        sent
    }
    /// A frame with the packet in it; none when there is no free frame.
    pub fn next(&mut self, frames: &mut FrameCache) -> Option<Mbuf> {
        let frame = frames.take()?;
        let (offset, length) = (HEADROOM_BYTES as u16, self.packet.len() as u16);
        let mbuf = Mbuf { frame, offset, length, ..Mbuf::default() };
        if !std::mem::replace(&mut self.written[frame as usize], true) {
            // SAFETY: the frame is ours, and has room for any packet of the MTU.
            unsafe {
                let data = self.region.data(&mbuf);
                data.copy_from_nonoverlapping(self.packet.as_ptr(), self.packet.len());
            }
        }
        Some(mbuf)
    }

    /// The region of its frames.
    pub fn region(&self) -> &Region {
        self.region
    }
}
