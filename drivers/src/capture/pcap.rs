//! Reading pcap (draft-ietf-opsawg-pcap).
//!
//! ```text
//! file:    magic(4) major(2) minor(2) reserved(8) snaplen(4) link type(4)
//! record:  seconds(4) fraction(4) captured length(4) original length(4) bytes
//! ```

use wirelet_abi::DropReason;

use super::order::Order;
use super::stream::Stream;
use super::{ETHERNET, RECORD_BYTES_MAX, SKIPPED_RECORD_BYTES_MAX, Step};

const HEADER_BYTES: usize = 24;
const MAGIC_MICROSECONDS: u32 = 0xA1B2_C3D4;
const MAGIC_NANOSECONDS: u32 = 0xA1B2_3C4D;
/// Alexey Kuznetzov's libpcap of 1998: 8 more bytes in each record's header.
const MAGIC_MODIFIED: u32 = 0xA1B2_CD34;
/// The upper bits tell of a frame check sequence (draft section 4, "FCS len" and "f").
const LINK_TYPE_MASK: u32 = 0x03FF_FFFF;

/// Which of a record's lengths comes first: files of tcpdump before 3.0 have the original length
/// there, and those of version 2.3 may have either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lengths {
    CapturedFirst,
    OriginalFirst,
    ShorterIsCaptured,
}

/// What the file's header says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pcap {
    order: Order,
    /// Nanoseconds of one unit of a record's fraction.
    fraction_ns: u64,
    record_header_bytes: usize,
    lengths: Lengths,
    ethernet: bool,
}

impl Pcap {
    /// Reads the file's header; `Err` says what is wrong with it.
    pub(super) fn open(stream: &mut Stream) -> Result<Pcap, String> {
        if stream.fill(HEADER_BYTES) < HEADER_BYTES {
            return Err("it ends within the header of a capture file".into());
        }
        let header = &stream.peek()[..HEADER_BYTES];
        let variants = [
            (MAGIC_MICROSECONDS, 1000, 16),
            (MAGIC_NANOSECONDS, 1, 16),
            (MAGIC_MODIFIED, 1000, 24),
        ];
        let found = variants.into_iter().find_map(|(magic, fraction_ns, record_header_bytes)| {
            Some((Order::of_magic(header, magic)?, fraction_ns, record_header_bytes))
        });
        let Some((order, fraction_ns, record_header_bytes)) = found else {
            return Err("its first bytes are those of no capture file".into());
        };
        let lengths = match (order.u16(header, 4), order.u16(header, 6)) {
            (2, 0..=2) | (543, _) => Lengths::OriginalFirst,
            (2, 3) => Lengths::ShorterIsCaptured,
            (2, _) => Lengths::CapturedFirst,
            (major, minor) => return Err(format!("pcap version {major}.{minor}")),
        };
        let ethernet = order.u32(header, 20) & LINK_TYPE_MASK == ETHERNET;
        stream.take(HEADER_BYTES);
        Ok(Pcap { order, fraction_ns, record_header_bytes, lengths, ethernet })
    }

    /// Whether timestamps have nanoseconds.
    pub(super) fn has_nanoseconds(&self) -> bool {
        self.fraction_ns == 1
    }

    /// The next record.
    #[inline]
    pub(super) fn next(&self, stream: &mut Stream) -> Step {
        let header_bytes = self.record_header_bytes;
        match stream.fill(header_bytes) {
            0 => return Step::End,
            count if count < header_bytes => return Step::Last(DropReason::Truncated, 0),
            _ => {}
        }
        let header = stream.peek();
        let seconds = u64::from(self.order.u32(header, 0));
        let fraction = u64::from(self.order.u32(header, 4));
        let (captured, original_bytes) = self.lengths_of(header);
        let captured = captured as usize;
        if !self.ethernet {
            return self.skip(stream, captured);
        }
        if captured > RECORD_BYTES_MAX {
            return Step::Last(DropReason::Corrupt, 0);
        }
        let bytes = header_bytes + captured;
        let count = stream.fill(bytes);
        if count < bytes {
            return Step::Last(DropReason::Truncated, (count - header_bytes) as u64);
        }
        // Both are below 2^32, so that neither product nor sum overflows 64 bits.
        let timestamp_ns = seconds * 1_000_000_000 + fraction * self.fraction_ns;
        let start = stream.take(bytes) + header_bytes;
        Step::Packet { timestamp_ns, original_bytes, start, length: captured }
    }

    #[inline]
    fn lengths_of(&self, header: &[u8]) -> (u32, u32) {
        let (first, second) = (self.order.u32(header, 8), self.order.u32(header, 12));
        match self.lengths {
            Lengths::CapturedFirst => (first, second),
            Lengths::OriginalFirst => (second, first),
            Lengths::ShorterIsCaptured => (first.min(second), first.max(second)),
        }
    }

    fn skip(&self, stream: &mut Stream, captured: usize) -> Step {
        if captured > SKIPPED_RECORD_BYTES_MAX {
            return Step::Last(DropReason::Corrupt, 0);
        }
        stream.take(self.record_header_bytes);
        match stream.skip(captured) {
            count if count < captured => Step::Last(DropReason::Truncated, count as u64),
            _ => Step::Dropped(DropReason::LinkType, captured as u64),
        }
    }
}
