//! Reads capture files of either format.

use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};

use wirelet_abi::{DropReason, Error, ErrorCode};

use super::Step;
use super::pcap::Pcap;
use super::pcapng::{PcapNg, SECTION};
use super::stream::{Ending, Stream};
use super::writer::Precision;

/// A capture file from its first record to its last. Memory: one buffer of 512 KiB, whatever the
/// file says; 1.6 MB more at most for a pcapng file with 65,536 interfaces.
///
/// ```no_run
/// # use wirelet_drivers::{CaptureReader, Record};
/// let mut reader = CaptureReader::open("in.pcap".as_ref())?;
/// while let Some(record) = reader.next_record() {
///     if let Record::Packet { bytes, .. } = record { assert!(bytes.len() <= 262_144) }
/// }
/// # Ok::<(), wirelet_abi::Error>(())
/// ```
pub struct CaptureReader {
    path: PathBuf,
    stream: Stream,
    layout: Layout,
    ended: bool,
    error: Option<Error>,
}

enum Layout {
    Pcap(Pcap),
    PcapNg(PcapNg),
}

/// What stands next in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// A packet of an Ethernet link.
    Packet {
        /// ns since the epoch.
        timestamp_ns: u64,
        /// Bytes it had on the wire; more than `bytes` where the capture cut it (snaplen).
        original_bytes: u32,
        /// What was captured.
        bytes: &'a [u8],
    },
    /// A record that holds no packet for us: `link_type`, `truncated` or `corrupt`.
    Dropped {
        /// Why.
        reason: DropReason,
        /// Its bytes, as far as they are known.
        bytes: u64,
    },
}

impl CaptureReader {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// `WIRELET_E_DEVICE_OPEN` when it can't be opened or read, `WIRELET_E_PCAP_FORMAT` when it is
    /// no capture file.
    pub fn open(path: &Path) -> Result<CaptureReader, Error> {
        let failed = |error: io::Error| {
            Error::new(ErrorCode::DeviceOpen, format!("{}: {error}", path.display()))
        };
        let mut stream = Stream::open(path).map_err(failed)?;
        let layout = Layout::read(&mut stream).map_err(|problem| {
            Error::new(ErrorCode::PcapFormat, format!("{}: {problem}", path.display()))
        })?;
        Ok(CaptureReader { path: path.into(), stream, layout, ended: false, error: None })
    }

    /// The next record; `None` at the end, for ever.
    #[inline]
    pub fn next_record(&mut self) -> Option<Record<'_>> {
        loop {
            if self.ended {
                return None;
            }
            let step = match &mut self.layout {
                Layout::Pcap(pcap) => pcap.next(&mut self.stream),
                Layout::PcapNg(section) => section.next(&mut self.stream),
            };
            match step {
                Step::Packet { timestamp_ns, original_bytes, start, length } => {
                    let bytes = self.stream.taken(start, length);
                    return Some(Record::Packet { timestamp_ns, original_bytes, bytes });
                }
                Step::Dropped(reason, bytes) => return Some(Record::Dropped { reason, bytes }),
                Step::Other => {}
                Step::Last(reason, bytes) => return self.end(Some((reason, bytes))),
                Step::End => return self.end(None),
            }
        }
    }

    /// Begins again with the first record.
    ///
    /// # Errors
    /// `WIRELET_E_INPUT` when the file can't be read again, or is no capture file any more.
    pub fn rewind(&mut self) -> Result<(), Error> {
        let path = self.path.display();
        self.stream.rewind().map_err(|error| input_error(&path, &error))?;
        self.layout = Layout::read(&mut self.stream).map_err(|error| input_error(&path, &error))?;
        self.ended = false;
        Ok(())
    }

    /// How fine its timestamps are, as far as its first interfaces tell.
    pub fn precision(&self) -> Precision {
        let nanoseconds = match &self.layout {
            Layout::Pcap(pcap) => pcap.has_nanoseconds(),
            Layout::PcapNg(section) => section.has_nanoseconds(),
        };
        if nanoseconds { Precision::Nanoseconds } else { Precision::Microseconds }
    }

    /// Which file it is.
    ///
    /// # Errors
    /// The kernel's.
    pub fn metadata(&self) -> io::Result<Metadata> {
        self.stream.metadata()
    }

    /// The error that ended the file before its end: `WIRELET_E_INPUT`, once.
    pub fn take_error(&mut self) -> Option<Error> {
        self.error.take()
    }

    /// Ends, and counts what the stream says is missing.
    #[cold]
    fn end(&mut self, last: Option<(DropReason, u64)>) -> Option<Record<'_>> {
        self.ended = true;
        let last = match (self.stream.ending(), last) {
            (Some(Ending::Failed(error)), last) => {
                self.error = Some(input_error(&self.path.display(), error));
                last
            }
            (Some(Ending::CutOff), None) => Some((DropReason::Truncated, 0)),
            (Some(Ending::Damaged), None) => Some((DropReason::Corrupt, 0)),
            (Some(Ending::Damaged), Some((DropReason::Truncated, bytes))) => {
                Some((DropReason::Corrupt, bytes))
            }
            (_, last) => last,
        };
        last.map(|(reason, bytes)| Record::Dropped { reason, bytes })
    }
}

impl Layout {
    fn read(stream: &mut Stream) -> Result<Layout, String> {
        if stream.fill(4) == 0 {
            return Err("it is empty".into());
        }
        if stream.fill(4) == 4 && stream.peek()[..4] == SECTION.to_be_bytes() {
            let mut section = PcapNg::open(stream)?;
            section.read_interfaces(stream);
            return Ok(Layout::PcapNg(section));
        }
        Pcap::open(stream).map(Layout::Pcap)
    }
}

fn input_error(path: &dyn std::fmt::Display, problem: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorCode::InputFailed, format!("{path}: {problem}"))
}
