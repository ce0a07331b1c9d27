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

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::time::{Duration, Instant};

    use wirelet_abi::ErrorCode;

    use super::*;
    use crate::testing::{Folder, Rig, drops, stats, xstat};

    const SECOND: u64 = 1_000_000_000;

    fn write(path: &Path, packets: &[(u64, Vec<u8>)]) {
        let (format, precision) = (Format::of_path(path), Precision::Nanoseconds);
        let mut writer = CaptureWriter::create(path, format, precision).expect("a file");
        packets.iter().for_each(|(timestamp_ns, bytes)| writer.write(*timestamp_ns, bytes));
        writer.close().expect("written");
    }

    fn packets(count: u64) -> Vec<(u64, Vec<u8>)> {
        (0..count).map(|number| (SECOND + number, vec![number as u8; 60])).collect()
    }

    fn error_of(rig: &mut Rig, spec: &str) -> Error {
        rig.try_open(spec, 0, 1).err().unwrap_or_else(|| panic!("{spec} opened"))
    }

    #[test]
    fn packets_go_out_as_they_came_in() {
        let (folder, mut rig) = (Folder::new(), Rig::new(64));
        for (input, output) in [("a.pcap", "b.pcapng"), ("c.pcapng.gz", "d.pcap.gz")] {
            write(&folder.path(input), &packets(500));
            let spec = format!("pcap:{},{}", folder.text(input), folder.text(output));
            let mut device = rig.open(&spec, 9);
            loop {
                let burst = rig.burst(&mut *device, 32);
                assert!(burst.iter().all(|mbuf| mbuf.port == 9));
                if burst.is_empty() {
                    break;
                }
                assert_eq!(device.tx_burst(&mut rig.frames, &burst), burst.len());
            }
            assert!(device.finished());
            rig.close([device]);
            let mut device = rig.open(&format!("pcap:{}", folder.text(output)), 1);
            assert_eq!(rig.receive(&mut *device), packets(500));
            rig.close([device]);
        }
    }

    #[test]
    fn a_packet_that_finds_no_frame_is_not_lost() {
        let (folder, mut rig) = (Folder::new(), Rig::new(64));
        write(&folder.path("a.pcap"), &packets(200));
        let mut device = rig.open(&format!("pcap:{}", folder.text("a.pcap")), 1);
        let held = rig.burst(&mut *device, 256);
        assert_eq!(
            (held.len(), rig.burst(&mut *device, 9).len(), device.finished()),
            (64, 0, false)
        );
        rig.frames.give_burst(&held);
        assert_eq!(rig.receive(&mut *device), packets(200)[64..]);
        assert_eq!(stats(&*device).rx_drops, [0; 32]);
        rig.close([device]);
    }

    #[test]
    fn what_no_frame_can_hold_is_counted() {
        let (folder, mut rig) = (Folder::new(), Rig::new(64));
        let lengths = [13, 14, 2112, 2113, 9000, 0];
        let packets: Vec<_> = lengths.iter().map(|&length| (SECOND, vec![1; length])).collect();
        write(&folder.path("a.pcap"), &packets);
        let mut device = rig.open(&format!("pcap:{}", folder.text("a.pcap")), 1);
        assert_eq!(rig.receive(&mut *device), packets[1..3]);
        assert_eq!(drops(&*device, DropReason::TooShort), 2);
        assert_eq!(drops(&*device, DropReason::TooLong), 2);
        assert_eq!(stats(&*device).rx_drop_bytes, 13 + 2113 + 9000);
        rig.close([device]);
    }

    #[test]
    fn loop_reads_the_file_again() {
        let (folder, mut rig) = (Folder::new(), Rig::new(64));
        for name in ["a.pcap", "b.pcapng", "c.pcap.gz"] {
            write(&folder.path(name), &packets(50));
            let mut device = rig.open(&format!("pcap:{}?loop=3", folder.text(name)), 1);
            // A file that vanishes between passes is still open.
            std::fs::remove_file(folder.path(name)).expect("removed");
            assert_eq!(rig.receive(&mut *device), [packets(50), packets(50), packets(50)].concat());
            assert_eq!((xstat(&*device, "passes"), device.finished()), (3, true));
            rig.close([device]);
        }
        write(&folder.path("none.pcap"), &[]);
        let mut device = rig.open(&format!("pcap:{}?loop=0", folder.text("none.pcap")), 1);
        assert!(rig.receive(&mut *device).is_empty() && device.finished(), "endless nothing ends");
        rig.close([device]);
    }

    #[test]
    fn pace_keeps_the_distances_of_the_file() {
        let (folder, mut rig) = (Folder::new(), Rig::new(64));
        let times = [5 * SECOND, 5 * SECOND + 30_000_000, 4 * SECOND, 5 * SECOND + 60_000_000];
        let packets: Vec<_> = times.iter().map(|&time| (time, vec![3; 60])).collect();
        write(&folder.path("a.pcap"), &packets);
        let mut device = rig.open(&format!("pcap:{}?pace", folder.text("a.pcap")), 1);
        let started = Instant::now();
        assert_eq!(rig.receive(&mut *device), packets[..1]);
        assert!(matches!(device.idle(), Idle::Until(_)));
        assert_eq!(device.in_flight(), 1);
        let mut rest = Vec::new();
        while !device.finished() {
            rest.extend(rig.receive(&mut *device));
        }
        assert_eq!(rest, packets[1..]);
        assert!(started.elapsed() >= Duration::from_millis(60));
        rig.close([device]);

        let mut device = rig.open(&format!("pcap:{}?pace", folder.text("a.pcap")), 1);
        assert_eq!(rig.receive(&mut *device).len(), 1);
        rig.close([device]);
    }

    #[test]
    fn files_that_are_no_captures_are_coded_errors() {
        let (folder, mut rig) = (Folder::new(), Rig::new(64));
        let good = {
            write(&folder.path("good.pcap"), &packets(1));
            std::fs::read(folder.path("good.pcap")).expect("read")
        };
        let cases: [(&str, &[u8]); 5] = [
            ("empty", b""),
            ("short", &good[..23]),
            ("text", b"this is no capture file, but some words"),
            ("gzip", &[0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2]),
            ("section", &[0x0A, 0x0D, 0x0D, 0x0A, 28, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0]),
        ];
        for (name, bytes) in cases {
            std::fs::write(folder.path(name), bytes).expect("written");
            let error = error_of(&mut rig, &format!("pcap:{}", folder.text(name)));
            assert_eq!(error.code, ErrorCode::PcapFormat, "{error}");
            assert!(error.message.contains(name), "{error}");
        }
        for name in ["missing.pcap", "."] {
            let error = error_of(&mut rig, &format!("pcap:{}", folder.text(name)));
            assert_eq!(error.code, ErrorCode::DeviceOpen, "{error}");
        }
        let error = error_of(&mut rig, &format!("pcap:,{}", folder.text("no/folder/b.pcap")));
        assert_eq!(error.code, ErrorCode::OutputFailed, "{error}");
        let same = format!("pcap:{0},{0}", folder.text("good.pcap"));
        assert_eq!(error_of(&mut rig, &same).code, ErrorCode::DeviceSpec);
        assert_eq!(std::fs::read(folder.path("good.pcap")).expect("still there"), good);
        for spec in ["pcap:", "pcap:a,b,c", "pcap:a?speed=1", "pcap:,b?format=x"] {
            assert_eq!(error_of(&mut rig, spec).code, ErrorCode::DeviceSpec, "{spec}");
        }
    }

    #[test]
    fn a_header_without_packets_is_a_capture() {
        let (folder, mut rig) = (Folder::new(), Rig::new(64));
        for name in ["a.pcap", "b.pcapng", "c.pcap.gz"] {
            write(&folder.path(name), &[]);
            let mut device = rig.open(&format!("pcap:{}", folder.text(name)), 1);
            assert!(rig.receive(&mut *device).is_empty() && device.finished());
            rig.close([device]);
        }
    }

    #[test]
    fn a_file_may_grow_shrink_or_vanish_while_it_is_read() {
        let (folder, mut rig) = (Folder::new(), Rig::new(64));
        // More than the reader's buffer, so that what happens later is seen.
        let many: Vec<_> = (0..2000).map(|number| (number, vec![number as u8; 1500])).collect();
        let path = folder.path("a.pcap");
        let spec = format!("pcap:{}", path.display());

        write(&path, &many);
        let mut device = rig.open(&spec, 1);
        let first = rig.burst(&mut *device, 1);
        rig.frames.give_burst(&first);
        let mut file = std::fs::OpenOptions::new().append(true).open(&path).expect("opens");
        let tail = std::fs::read(&path).expect("read")[24..].to_vec();
        file.write_all(&tail).expect("it grows");
        assert_eq!(rig.receive(&mut *device).len(), 1999 + 2000);
        rig.close([device]);

        write(&path, &many);
        let mut device = rig.open(&spec, 1);
        let file = std::fs::OpenOptions::new().write(true).open(&path).expect("opens");
        file.set_len(1_000_000).expect("it shrinks");
        std::fs::remove_file(&path).expect("it vanishes");
        let count = rig.receive(&mut *device).len() as u64;
        assert_eq!(count, (1_000_000 - 24) / 1516);
        assert_eq!(drops(&*device, DropReason::Truncated), 1);
        assert!(device.finished() && device.take_error().is_none());
        rig.close([device]);
    }

    #[test]
    fn a_full_disk_counts_every_packet_and_reports_once() {
        let mut rig = Rig::new(64);
        let mut device = rig.open("pcap:,/dev/full", 1);
        for round in 0..3 {
            (0..100).for_each(|_| assert!(rig.send(&mut *device, 0, &[1; 60])));
            device.flush();
            assert_eq!(stats(&*device).tx_errors, (round + 1) * 100);
            match device.take_error() {
                Some(error) => assert!(round == 0 && error.code == ErrorCode::OutputFailed),
                None => assert!(round > 0),
            }
        }
        rig.close([device]);
    }

    #[test]
    fn after_a_full_disk_the_file_still_is_a_capture_of_what_was_not_lost() {
        let folder = Folder::new();
        let mount = folder.path("small");
        std::fs::create_dir(&mount).expect("a folder");
        let run = |command: &mut std::process::Command| {
            command.output().is_ok_and(|output| output.status.success())
        };
        let options = ["-t", "tmpfs", "-o", "size=1m", "tmpfs"];
        if !run(std::process::Command::new("mount").args(options).arg(&mount)) {
            eprintln!("skipped: mounting a tmpfs needs root");
            return;
        }
        let checked = std::panic::catch_unwind(|| fill_disk(&mount));
        assert!(run(std::process::Command::new("umount").arg(&mount)));
        checked.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    }

    fn fill_disk(mount: &Path) {
        for name in ["a.pcap", "a.pcapng", "a.pcap.gz"] {
            let mut rig = Rig::new(64);
            let path = mount.join(name);
            let mut device = rig.open(&format!("pcap:,{}", path.display()), 1);
            let mut random = 1u64;
            for number in 0..4000u64 {
                // Bytes that gzip can't make smaller.
                let bytes = std::iter::repeat_with(|| {
                    random = random.wrapping_mul(6364136223846793005).wrapping_add(1);
                    (random >> 33) as u8
                });
                let bytes: Vec<u8> = bytes.take(1000).collect();
                assert!(rig.send(&mut *device, number, &bytes));
            }
            device.flush();
            let lost = stats(&*device).tx_errors;
            let error = device.take_error().expect("a full disk");
            assert!(error.message.contains(name), "{error}");
            assert!(error.message.contains("No space left"), "{error}");
            rig.close([device]);
            let mut device = rig.open(&format!("pcap:{}", path.display()), 1);
            let kept = rig.receive(&mut *device).len() as u64;
            assert!(lost > 0 && kept > 0, "{lost} lost, {kept} kept");
            assert_eq!(kept + lost, 4000, "{name}");
            assert_eq!(stats(&*device).rx_drops, [0; 32]);
            rig.close([device]);
            std::fs::remove_file(&path).expect("removed");
        }
    }
}
