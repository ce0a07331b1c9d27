//! From the ring into frames: one copy, and what local senders left undone.

use wirelet_abi::DropReason;
use wirelet_abi::descriptor::flags;
use wirelet_abi::limits::{HEADROOM_BYTES, PACKET_BYTES_MIN};
use wirelet_packet::{FrameCache, Mbuf, Region};

use super::ring::{Arrived, Ring};
use super::socket::Socket;
use crate::DeviceStats;
use crate::offload::{Segments, completed};

/// Slots that one burst may skip or drop for each packet it may deliver: an lcore must not be kept
/// for long by packets that are none of ours.
const SLOTS_PER_PACKET: usize = 4;
/// Before the tag, the two MAC addresses.
const TAG_AT: usize = 12;

/// One queue's way in.
pub(super) struct Receiver {
    pub(super) socket: Socket,
    pub(super) ring: Ring,
    /// Packets for other stations are wanted too.
    pub(super) promiscuous: bool,
    /// How far the oldest packet of the ring is cut, when it is a large one.
    segments: Option<Segments>,
    pub(super) counts: Counts,
}

/// What it counts beside drops.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    /// Checksums that were completed.
    pub(super) completed: u64,
    /// Large packets that were cut.
    pub(super) cut: u64,
    /// Packets that the kernel had no room for.
    pub(super) kernel_drops: u64,
}

/// What to do with the oldest packet of the ring.
enum Step {
    /// It was delivered, or is none of ours.
    Pop,
    Drop(DropReason),
    /// Some of it is left.
    Stay,
}

impl Receiver {
    pub(super) fn new(socket: Socket, ring: Ring, promiscuous: bool) -> Receiver {
        Receiver { socket, ring, promiscuous, segments: None, counts: Counts::default() }
    }

    /// Fills `burst` with what has arrived; returns how many. Packets that find no frame stay in
    /// the ring.
    pub(super) fn receive(
        &mut self,
        port: u16,
        frames: &mut FrameCache,
        burst: &mut [Mbuf],
        drops: &mut DeviceStats,
    ) -> usize {
        let mut batch = Batch { port, frames, burst, count: 0 };
        for _ in 0..batch.burst.len() * SLOTS_PER_PACKET {
            if batch.is_full() {
                break;
            }
            let Some(arrived) = self.ring.peek(&self.socket) else { break };
            let bytes = arrived.length as u64;
            let wanted = match arrived.kind {
                libc::PACKET_OUTGOING => false,
                libc::PACKET_OTHERHOST => self.promiscuous,
                _ => true,
            };
            let step = match wanted {
                true => take(&arrived, &mut self.segments, &mut self.counts, &mut batch),
                false => Step::Pop,
            };
            match step {
                Step::Pop => {}
                Step::Drop(reason) => drops.drop_at_edge(reason, bytes),
                Step::Stay => break,
            }
            self.segments = None;
            self.ring.pop();
        }
        batch.count
    }

    /// Asks the kernel for its drops; it forgets them then.
    pub(super) fn read_drops(&mut self) {
        self.counts.kernel_drops += self.socket.take_drops();
    }
}

/// Where packets go.
struct Batch<'a> {
    port: u16,
    frames: &'a mut FrameCache,
    burst: &'a mut [Mbuf],
    count: usize,
}

impl Batch<'_> {
    fn is_full(&self) -> bool {
        self.count == self.burst.len()
    }

    fn push(&mut self, frame: u32, length: usize, flags: u8, timestamp_ns: u64) {
        self.burst[self.count] = Mbuf {
            frame,
            offset: HEADROOM_BYTES as u16,
            length: length as u16,
            port: self.port,
            flags,
            timestamp_ns,
            ..Mbuf::default()
        };
        self.count += 1;
    }
}

fn take(
    arrived: &Arrived<'_>,
    segments: &mut Option<Segments>,
    counts: &mut Counts,
    batch: &mut Batch<'_>,
) -> Step {
    if arrived.vnet.is_large() {
        return take_large(arrived, segments, counts, batch);
    }
    let tag = arrived.tag.as_ref().map_or(&[][..], |tag| tag);
    let length = arrived.length + tag.len();
    if arrived.length < PACKET_BYTES_MIN {
        return Step::Drop(DropReason::TooShort);
    }
    if length > batch.frames.region().data_room() || arrived.bytes.len() < arrived.length {
        return Step::Drop(DropReason::TooLong);
    }
    let Some(frame) = batch.frames.take() else { return Step::Stay };
    let (addresses, rest) = arrived.bytes.split_at(TAG_AT);
    write(batch.frames.region(), frame, 0, &[addresses, tag, rest]);
    let mut good = arrived.checksum_good;
    if arrived.vnet.needs_checksum() {
        let Some(checksum) = completed(arrived.bytes, &arrived.vnet) else {
            batch.frames.give(frame);
            return Step::Drop(DropReason::Unsupported);
        };
        write(batch.frames.region(), frame, checksum.at + tag.len(), &[checksum.bytes()]);
        counts.completed += 1;
        good = true;
    }
    let flags = if good { flags::L4_CHECKSUM_GOOD } else { 0 };
    batch.push(frame, length, flags, arrived.timestamp_ns);
    Step::Pop
}

/// A large packet becomes several; what this burst has no room for waits for the next one.
fn take_large(
    arrived: &Arrived<'_>,
    segments: &mut Option<Segments>,
    counts: &mut Counts,
    batch: &mut Batch<'_>,
) -> Step {
    if segments.is_none() {
        if arrived.bytes.len() == arrived.length {
            *segments = Segments::new(arrived.bytes, &arrived.vnet);
        }
        counts.cut += u64::from(segments.is_some());
    }
    let Some(segments) = segments else { return Step::Drop(DropReason::Unsupported) };
    if segments.bytes_max() + 4 > batch.frames.region().data_room() {
        return Step::Drop(DropReason::TooLong);
    }
    while !segments.done() {
        if batch.is_full() {
            return Step::Stay;
        }
        let Some(frame) = batch.frames.take() else { return Step::Stay };
        let segment = segments.next(arrived.bytes, arrived.tag);
        write(batch.frames.region(), frame, 0, &[segment.header(), segment.payload]);
        batch.push(frame, segment.bytes(), flags::L4_CHECKSUM_GOOD, arrived.timestamp_ns);
    }
    Step::Pop
}

/// Writes parts one behind the other into a frame's data room, from its byte `at` on.
#[inline]
fn write(region: &Region, frame: u32, at: usize, parts: &[&[u8]]) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    assert!(at + length <= region.data_room());
    let mut to = HEADROOM_BYTES + at;
    for part in parts {
        // SAFETY: the frame is ours since `take`, and all parts lie within it, as just checked. No
        // reference is made to its bytes: a guest may see them.
        unsafe {
            let data = region.frame(frame).add(to);
            data.copy_from_nonoverlapping(part.as_ptr(), part.len());
        }
        to += part.len();
    }
}
