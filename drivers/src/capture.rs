//! Capture files: pcap and pcapng, read and written as streams, gzip too.
//!
//! Formats: draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng. `docs/design/capture-files.md`
//! says why the parser is our own.

mod block;
mod note;
mod order;
mod pcap;
mod pcapng;
mod reader;
mod stream;
mod writer;

pub(crate) use note::{Direction, Note};
pub use reader::{CaptureReader, Record};
pub use writer::{CaptureWriter, Format, Precision};

/// LINKTYPE_ETHERNET.
const ETHERNET: u32 = 1;
/// Bytes of the longest record: tcpdump's `MAXIMUM_SNAPLEN`. A longer one contradicts itself.
const RECORD_BYTES_MAX: usize = 256 << 10;
/// The same for link types that we skip: libpcap's largest, that of D-Bus and USB.
const SKIPPED_RECORD_BYTES_MAX: usize = 128 << 20;

/// What a parser found at its place in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// A packet; its bytes stand in the stream's buffer until the next step.
    Packet { timestamp_ns: u64, original_bytes: u32, start: usize, length: usize },
    /// A record that can't be delivered, with its bytes; more may follow.
    Dropped(wirelet_abi::DropReason, u64),
    /// A record that can't be delivered, and behind which nothing can be read.
    Last(wirelet_abi::DropReason, u64),
    /// Nothing that counts as a packet: look on.
    Other,
    /// The end of the file, between two records.
    End,
}
