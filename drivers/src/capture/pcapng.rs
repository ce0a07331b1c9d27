//! Reading pcapng (draft-ietf-opsawg-pcapng).
//!
//! ```text
//! block: type(4) total length(4) body, padded to 4 bytes, total length(4)
//! ```

use wirelet_abi::DropReason;

use super::block::Interface;
use super::order::Order;
use super::stream::{BUFFER_BYTES, Stream};
use super::{RECORD_BYTES_MAX, Step};

/// Section Header Block: the same in both byte orders.
pub(super) const SECTION: u32 = 0x0A0D_0D0A;
const INTERFACE: u32 = 1;
/// Packet Block: obsolete, but old files have it (draft appendix A).
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

const BYTE_ORDER_MAGIC: u32 = 0x1A2B_3C4D;
/// Type, total length and total length again.
const FRAMING_BYTES: usize = 12;
/// libpcap's limit for a block; a longer one contradicts itself.
const BLOCK_BYTES_MAX: usize = 16 << 20;
/// Interfaces of a section that we remember, 24 bytes each: memory stays bounded whatever the file
/// says, and the obsolete Packet Block could not number more.
const INTERFACES_MAX: usize = 1 << 16;

/// The section that is being read.
#[derive(Debug)]
pub(super) struct PcapNg {
    order: Order,
    interfaces: Vec<Interface>,
    /// What [`PcapNg::read_interfaces`] found behind the last sound block.
    found: Option<Step>,
}

/// One block's packet, before its bytes are checked.
struct Found {
    interface: u32,
    timestamp: u64,
    captured: u32,
    original_bytes: u32,
    /// Where the bytes begin within the body.
    at: usize,
}

impl PcapNg {
    /// Reads the first section's header; `Err` says what is wrong with it.
    pub(super) fn open(stream: &mut Stream) -> Result<PcapNg, String> {
        let mut section = PcapNg { order: Order::Little, interfaces: Vec::new(), found: None };
        match section.next(stream) {
            Step::Other => Ok(section),
            _ => Err("its section header is damaged".into()),
        }
    }

    /// Whether an interface that is known so far has finer timestamps than microseconds.
    pub(super) fn has_nanoseconds(&self) -> bool {
        self.interfaces.iter().any(Interface::has_nanoseconds)
    }

    /// Reads the interfaces that stand first, so that [`Self::has_nanoseconds`] knows.
    pub(super) fn read_interfaces(&mut self, stream: &mut Stream) {
        let mut left = INTERFACES_MAX;
        while left > 0 && self.found.is_none() && self.is_whole_interface(stream) {
            self.found = Some(self.next(stream)).filter(|step| *step != Step::Other);
            left -= 1;
        }
    }

    fn is_whole_interface(&self, stream: &mut Stream) -> bool {
        stream.fill(FRAMING_BYTES) == FRAMING_BYTES
            && self.order.u32(stream.peek(), 0) == INTERFACE
            && self
                .block_bytes(stream)
                .is_some_and(|bytes| bytes <= BUFFER_BYTES && stream.fill(bytes) == bytes)
    }

    /// The next block.
    pub(super) fn next(&mut self, stream: &mut Stream) -> Step {
        if let Some(step) = self.found.take() {
            return step;
        }
        match stream.fill(FRAMING_BYTES) {
            0 => return Step::End,
            count if count < FRAMING_BYTES => return Step::Last(DropReason::Truncated, 0),
            _ => {}
        }
        if self.order.u32(stream.peek(), 0) == SECTION && !self.begin_section(stream) {
            return Step::Last(DropReason::Corrupt, 0);
        }
        let kind = self.order.u32(stream.peek(), 0);
        let Some(bytes) = self.block_bytes(stream) else {
            return Step::Last(DropReason::Corrupt, 0);
        };
        if bytes > BUFFER_BYTES {
            return self.skip_long_block(stream, kind, bytes);
        }
        let count = stream.fill(bytes);
        if count < bytes {
            return Step::Last(DropReason::Truncated, count as u64);
        }
        if self.order.u32(stream.peek(), bytes - 4) as usize != bytes {
            return Step::Last(DropReason::Corrupt, 0);
        }
        let start = stream.take(bytes) + 8;
        self.read_block(stream, kind, start, bytes - FRAMING_BYTES)
    }

    /// Takes on the byte order of the section that begins here, and forgets the last one's
    /// interfaces. The next 12 bytes stand in the buffer. False when this is no section.
    fn begin_section(&mut self, stream: &Stream) -> bool {
        let Some(order) = Order::of_magic(&stream.peek()[8..], BYTE_ORDER_MAGIC) else {
            return false;
        };
        self.order = order;
        self.interfaces.clear();
        true
    }

    /// Total length of the block at the stream's place; `None` when there can't be such a block.
    fn block_bytes(&self, stream: &Stream) -> Option<usize> {
        let bytes = self.order.u32(stream.peek(), 4) as usize;
        let possible =
            (FRAMING_BYTES..=BLOCK_BYTES_MAX).contains(&bytes) && bytes.is_multiple_of(4);
        possible.then_some(bytes)
    }

    fn read_block(&mut self, stream: &Stream, kind: u32, start: usize, length: usize) -> Step {
        let body = stream.taken(start, length);
        let found = match kind {
            SECTION => return self.read_section(body),
            INTERFACE => {
                let Some(interface) = Interface::parse(self.order, body) else {
                    return Step::Last(DropReason::Corrupt, 0);
                };
                if self.interfaces.len() < INTERFACES_MAX {
                    self.interfaces.push(interface);
                }
                return Step::Other;
            }
            ENHANCED_PACKET => self.enhanced(body),
            SIMPLE_PACKET => self.simple(body),
            PACKET => self.obsolete(body),
            _ => return Step::Other,
        };
        // The block's own length is sound, so a packet that makes no sense costs only itself.
        let corrupt = Step::Dropped(DropReason::Corrupt, length as u64);
        let Some(found) = found else { return corrupt };
        let Some(interface) = self.interfaces.get(found.interface as usize) else {
            return corrupt;
        };
        let captured = found.captured as usize;
        if captured > length - found.at {
            return corrupt;
        }
        if !interface.ethernet {
            return Step::Dropped(DropReason::LinkType, captured as u64);
        }
        if captured > RECORD_BYTES_MAX {
            return corrupt;
        }
        Step::Packet {
            timestamp_ns: interface.timestamp_ns(found.timestamp),
            original_bytes: found.original_bytes,
            start: start + found.at,
            length: captured,
        }
    }

    /// Section 4.1: byte-order magic(4) major(2) minor(2) section length(8) options. The length is
    /// not needed: blocks are read one by one.
    fn read_section(&self, body: &[u8]) -> Step {
        if body.len() < 16 || self.order.u16(body, 4) != 1 {
            return Step::Last(DropReason::Corrupt, 0);
        }
        Step::Other
    }

    /// Section 4.3: interface(4) timestamp high(4) low(4) captured(4) original(4) bytes options.
    #[inline]
    fn enhanced(&self, body: &[u8]) -> Option<Found> {
        if body.len() < 20 {
            return None;
        }
        let order = self.order;
        Some(Found {
            interface: order.u32(body, 0),
            timestamp: u64::from(order.u32(body, 4)) << 32 | u64::from(order.u32(body, 8)),
            captured: order.u32(body, 12),
            original_bytes: order.u32(body, 16),
            at: 20,
        })
    }

    /// Section 4.4: original(4) bytes. Of the first interface, without a time, and how much was
    /// captured follows from that interface's snaplen.
    fn simple(&self, body: &[u8]) -> Option<Found> {
        if body.len() < 4 {
            return None;
        }
        let original_bytes = self.order.u32(body, 0);
        let captured = match self.interfaces.first()?.snaplen {
            0 => original_bytes,
            snaplen => original_bytes.min(snaplen),
        };
        Some(Found { interface: 0, timestamp: 0, captured, original_bytes, at: 4 })
    }

    /// Appendix A: as the enhanced one, but interface(2) drops(2).
    fn obsolete(&self, body: &[u8]) -> Option<Found> {
        let found = self.enhanced(body)?;
        Some(Found { interface: u32::from(self.order.u16(body, 0)), ..found })
    }

    /// A block that does not fit into the buffer. A packet's is too long for any packet that we
    /// would deliver: it is counted, by its link type where that is the reason.
    fn skip_long_block(&mut self, stream: &mut Stream, kind: u32, bytes: usize) -> Step {
        let step = match kind {
            SECTION | INTERFACE => return Step::Last(DropReason::Corrupt, 0),
            ENHANCED_PACKET | PACKET | SIMPLE_PACKET => {
                Step::Dropped(self.reason_of_long_packet(stream, kind), bytes as u64)
            }
            _ => Step::Other,
        };
        let count = stream.skip(bytes);
        if count < bytes {
            return Step::Last(DropReason::Truncated, count as u64);
        }
        step
    }

    fn reason_of_long_packet(&self, stream: &Stream, kind: u32) -> DropReason {
        let id = match kind {
            SIMPLE_PACKET => 0,
            PACKET => u32::from(self.order.u16(stream.peek(), 8)),
            _ => self.order.u32(stream.peek(), 8),
        };
        match self.interfaces.get(id as usize) {
            Some(interface) if !interface.ethernet => DropReason::LinkType,
            _ => DropReason::Corrupt,
        }
    }
}
