//! `pcap:in.pcap,out.pcap`: packets out of a capture file, and into one.
//!
//! A file can wait, so nothing is lost for want of frames: a packet that finds no frame is read
//! again in the next burst.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wirelet_abi::limits::{HEADROOM_BYTES, PACKET_BYTES_MIN};
use wirelet_abi::{DropReason, Error};
use wirelet_packet::{FrameCache, Mbuf, Region, clock};

use crate::capture::{CaptureReader, CaptureWriter, Format, Precision, Record};
use crate::{Device, DeviceStats, Idle, OpenContext, Spec};

/// Records that one burst may skip for each packet it may deliver: an lcore must not be kept for
/// long by a file of packets that are none of ours.
const RECORDS_PER_PACKET: usize = 4;
const XSTATS: &[&str] = &["passes"];

struct PcapDevice {
    region: Arc<Region>,
    port: u16,
    input: Option<Input>,
    output: Option<CaptureWriter>,
    drops: DeviceStats,
    error: Option<Error>,
}

struct Input {
    reader: CaptureReader,
    /// Passes that are left after this one; `u64::MAX` for no end.
    passes_left: u64,
    passes: u64,
    /// Whether this pass has delivered a packet: a file without any is not read for ever.
    delivered: bool,
    pace: Option<Pace>,
    finished: bool,
}

/// Delivers packets at the distances they have in the file.
#[derive(Default)]
struct Pace {
    /// Of the pass: the clock, and the first packet's timestamp.
    start: Option<(u64, u64)>,
    /// A packet that was read and is not due yet.
    waiting: Option<Mbuf>,
}

/// Opens one queue: a file has one order.
pub(crate) fn open(spec: &Spec, context: &OpenContext) -> Result<Vec<Box<dyn Device>>, Error> {
    spec.allow_options(&["pace", "loop", "format", "precision"])?;
    let (input, output) = paths(spec)?;
    let reader = input.as_deref().map(CaptureReader::open).transpose()?;
    if let (Some(reader), Some(output)) = (&reader, &output) {
        refuse_same_file(spec, reader, output)?;
    }
    let writer = output.as_deref().map(|path| create(spec, path, reader.as_ref())).transpose()?;
    let pace = spec.switch("pace")?.then(Pace::default);
    let passes = spec.number("loop", 1, 0..=u64::MAX)?;
    let input = reader.map(|reader| Input {
        reader,
        passes_left: passes.checked_sub(1).unwrap_or(u64::MAX),
        passes: 1,
        delivered: false,
        pace,
        finished: false,
    });
    Ok(vec![Box::new(PcapDevice {
        region: Arc::clone(&context.region),
        port: context.port,
        input,
        output: writer,
        drops: DeviceStats::default(),
        error: None,
    })])
}

fn paths(spec: &Spec) -> Result<(Option<PathBuf>, Option<PathBuf>), Error> {
    let (input, output) = spec.target.split_once(',').unwrap_or((&spec.target, ""));
    if output.contains(',') {
        return Err(spec.invalid("more than two files; `pcap:in.pcap,out.pcap`"));
    }
    if input.is_empty() && output.is_empty() {
        return Err(spec.invalid("no file; `pcap:in.pcap,out.pcap`, either may be empty"));
    }
    let path = |text: &str| (!text.is_empty()).then(|| PathBuf::from(text));
    Ok((path(input), path(output)))
}

/// Creating the output would empty the input.
fn refuse_same_file(spec: &Spec, reader: &CaptureReader, output: &Path) -> Result<(), Error> {
    let (Ok(input), Ok(output)) = (reader.metadata(), std::fs::metadata(output)) else {
        return Ok(());
    };
    if (input.dev(), input.ino()) == (output.dev(), output.ino()) {
        return Err(spec.invalid("input and output are the same file"));
    }
    Ok(())
}

fn create(
    spec: &Spec,
    path: &Path,
    reader: Option<&CaptureReader>,
) -> Result<CaptureWriter, Error> {
    let format = match spec.text("format") {
        None => Format::of_path(path),
        Some("pcap") => Format::Pcap,
        Some("pcapng") => Format::PcapNg,
        Some(_) => return Err(spec.invalid("option `format` is pcap or pcapng")),
    };
    let precision = match (spec.text("precision"), reader) {
        (Some("us"), _) => Precision::Microseconds,
        (Some("ns"), _) | (None, None) => Precision::Nanoseconds,
        (None, Some(reader)) => reader.precision(),
        (Some(_), _) => return Err(spec.invalid("option `precision` is us or ns")),
    };
    CaptureWriter::create(path, format, precision)
}

impl Device for PcapDevice {
    fn rx_burst(&mut self, frames: &mut FrameCache, burst: &mut [Mbuf]) -> usize {
        let Some(input) = self.input.as_mut().filter(|input| !input.finished) else { return 0 };
        let mut count = 0;
        for _ in 0..burst.len() * RECORDS_PER_PACKET {
            if count == burst.len() || input.finished {
                break;
            }
            let Some(frame) = input.frame(frames) else { break };
            match input.receive(&self.region, frame, &mut self.drops) {
                Received::Packet(mbuf) => {
                    burst[count] = Mbuf { port: self.port, ..mbuf };
                    count += 1;
                }
                Received::NotDue => break,
                Received::Nothing => frames.give(frame.frame),
                Received::End => {
                    frames.give(frame.frame);
                    self.error = input.end_pass().err().or(self.error.take());
                }
            }
        }
        count
    }

    fn tx_burst(&mut self, frames: &mut FrameCache, burst: &[Mbuf]) -> usize {
        if let Some(output) = &mut self.output {
            for mbuf in burst {
                // SAFETY: the packet lies within its frame (the engine's invariant), and the frame
                // is ours until it is given back. A guest may not run now: its lcore is here.
                let bytes = unsafe {
                    std::slice::from_raw_parts(self.region.data(mbuf), mbuf.length.into())
                };
                output.write(mbuf.timestamp_ns, bytes);
            }
        }
        frames.give_burst(burst);
        burst.len()
    }

    fn flush(&mut self) {
        if let Some(output) = &mut self.output {
            output.flush();
        }
    }

    fn in_flight(&self) -> usize {
        let pace = self.input.as_ref().and_then(|input| input.pace.as_ref());
        usize::from(pace.is_some_and(|pace| pace.waiting.is_some()))
    }

    fn stats(&self, stats: &mut DeviceStats) {
        stats.clone_from(&self.drops);
        stats.tx_errors = self.output.as_ref().map_or(0, CaptureWriter::lost_packets);
        stats.xstats[0] = self.input.as_ref().map_or(0, |input| input.passes);
    }

    fn xstat_names(&self) -> &'static [&'static str] {
        XSTATS
    }

    fn idle(&self) -> Idle {
        match &self.input {
            Some(input) if !input.finished => input.idle(),
            _ => Idle::Waker,
        }
    }

    fn finished(&self) -> bool {
        self.input.as_ref().is_none_or(|input| input.finished)
    }

    fn take_error(&mut self) -> Option<Error> {
        self.error.take().or_else(|| self.output.as_mut()?.take_error())
    }

    fn close(&mut self, frames: &mut FrameCache) -> Result<(), Error> {
        if let Some(input) = &mut self.input {
            input.finished = true;
            let waiting = input.pace.as_mut().and_then(|pace| pace.waiting.take());
            waiting.inspect(|mbuf| frames.give(mbuf.frame));
        }
        self.output.as_mut().map_or(Ok(()), CaptureWriter::close)
    }
}

/// What the next record was.
enum Received {
    Packet(Mbuf),
    /// A packet waits for its time.
    NotDue,
    /// No packet: its frame is free again.
    Nothing,
    /// The pass is over.
    End,
}

impl Input {
    /// The frame of the packet that waits, or a free one for the next.
    #[inline]
    fn frame(&mut self, frames: &mut FrameCache) -> Option<Mbuf> {
        if let Some(pace) = &mut self.pace
            && let Some(mbuf) = pace.waiting.take()
        {
            return Some(mbuf);
        }
        Some(Mbuf { frame: frames.take()?, offset: HEADROOM_BYTES as u16, ..Mbuf::default() })
    }

    /// Reads the next packet into `mbuf`, unless it is one that waited.
    #[inline]
    fn receive(&mut self, region: &Region, mbuf: Mbuf, drops: &mut DeviceStats) -> Received {
        if mbuf.length > 0 {
            return self.when_due(mbuf);
        }
        let (timestamp_ns, bytes) = match self.reader.next_record() {
            None => return Received::End,
            Some(Record::Dropped { reason, bytes }) => {
                drops.drop_at_edge(reason, bytes);
                return Received::Nothing;
            }
            Some(Record::Packet { timestamp_ns, bytes, .. }) => (timestamp_ns, bytes),
        };
        let reason = match bytes.len() {
            length if length < PACKET_BYTES_MIN => Some(DropReason::TooShort),
            length if length > region.data_room() => Some(DropReason::TooLong),
            _ => None,
        };
        if let Some(reason) = reason {
            drops.drop_at_edge(reason, bytes.len() as u64);
            return Received::Nothing;
        }
        // SAFETY: the frame is ours and has room for `bytes` (checked just now); the reader's
        // buffer is native memory, so the two do not overlap.
        unsafe { region.data(&mbuf).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        let mbuf = Mbuf { length: bytes.len() as u16, timestamp_ns, ..mbuf };
        self.delivered = true;
        self.when_due(mbuf)
    }

    #[inline]
    fn when_due(&mut self, mbuf: Mbuf) -> Received {
        if let Some(pace) = &mut self.pace
            && pace.due_ns(&mbuf) > clock::now_ns()
        {
            pace.waiting = Some(mbuf);
            return Received::NotDue;
        }
        Received::Packet(mbuf)
    }

    /// Begins the next pass, or finishes.
    fn end_pass(&mut self) -> Result<(), Error> {
        self.finished = true;
        if let Some(error) = self.reader.take_error() {
            return Err(error);
        }
        if self.passes_left == 0 || !self.delivered {
            return Ok(());
        }
        self.reader.rewind()?;
        if self.passes_left != u64::MAX {
            self.passes_left -= 1;
        }
        (self.finished, self.delivered) = (false, false);
        self.passes += 1;
        if let Some(pace) = &mut self.pace {
            pace.start = None;
        }
        Ok(())
    }

    fn idle(&self) -> Idle {
        let waiting = self.pace.as_ref().and_then(|pace| Some((pace, pace.waiting?)));
        match waiting {
            Some((pace, mbuf)) => Idle::Until(pace.due_at(&mbuf)),
            None => Idle::Poll,
        }
    }
}

impl Pace {
    /// When `mbuf` is due; the first packet of a pass is at once.
    fn due_ns(&mut self, mbuf: &Mbuf) -> u64 {
        self.start.get_or_insert_with(|| (clock::now_ns(), mbuf.timestamp_ns));
        self.due_at(mbuf)
    }

    fn due_at(&self, mbuf: &Mbuf) -> u64 {
        let Some((start_ns, first_ns)) = self.start else { return 0 };
        start_ns.saturating_add(mbuf.timestamp_ns.saturating_sub(first_ns))
    }
}
