//! `capture(file=wire.pcapng):device`: every packet that passes, as pcapng.
//!
//! | option | default | |
//! |---|---|---|
//! | `file` | needed | where to; `.gz` is written as gzip |
//! | `filter` | all | packets to write, in tcpdump's language: `filter='udp port 53'` |
//! | `snap` | all | bytes kept of a packet |
//! | `limit` | 1G | bytes of the file; after that packets pass and are not written |
//! | `on` | both | `rx`, `tx` or `both` |
//!
//! Each packet has its direction; the interface's name is the device's spec. One that came in has a
//! comment of what became of it, `dropped by guard`: so packets that come in are copied, and
//! written when their burst is settled. The queues of a port write files of their own,
//! `wire.pcapng` and `wire.1.pcapng`, because lcores share no file. It is the lcore that writes,
//! 256 KiB at a time: a slow disk costs packets, as with `pcap:`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use wirelet_abi::Error;
use wirelet_abi::limits::BURST_MAX;
use wirelet_packet::{FrameCache, Mbuf, Region, clock};

use super::Wrapped;
use super::layer::{Layer, directions, filter};
use crate::capture::{CaptureWriter, Direction, Note};
use crate::{Device, Filter, OpenContext, Spec};

/// The second billion of seconds: earlier times are no times of day but of the monotonic clock.
const EPOCH_NS: u64 = 1_000_000_000_000_000_000;
/// Bytes of a block beside the packet's.
const BLOCK_BYTES: u64 = 48;
/// Packets that wait for their notes, and those that leave meanwhile.
const HELD_MAX: usize = 2 * BURST_MAX;

struct Capture {
    file: Sheet,
    region: Arc<Region>,
    filter: Option<Filter>,
    snap: u16,
    rx: bool,
    tx: bool,
    /// Somebody says what becomes of packets.
    noted: bool,
    held: Held,
}

/// The file, and how much of it there may be.
struct Sheet {
    writer: CaptureWriter,
    /// Bytes that may still be written.
    left: u64,
    captured: u64,
    skipped: u64,
}

/// A packet in the buffer.
#[derive(Clone, Copy)]
struct Row {
    direction: Direction,
    timestamp_ns: u64,
    length: u16,
    kept: u16,
    /// Place in its burst.
    place: usize,
    start: usize,
}

/// Packets of the burst under way, in order. They never need more room than there is at first.
struct Held {
    rows: Vec<Row>,
    bytes: Vec<u8>,
    /// Rows that are written.
    done: usize,
}

pub(super) fn around(
    spec: &Spec,
    context: &OpenContext,
    devices: Vec<Box<dyn Device>>,
) -> Result<Vec<Box<dyn Device>>, Error> {
    spec.allow_options(&["file", "filter", "snap", "limit", "on"])?;
    let Some(file) = spec.text("file") else {
        return Err(spec.invalid("no file; `capture(file=wire.pcapng):...`"));
    };
    let snap = spec.number("snap", u16::MAX.into(), 14..=u16::MAX.into())? as u16;
    let left = spec.number("limit", 1_000_000_000, 0..=u64::MAX)?;
    let (rx, tx) = directions(spec)?;
    let filter = filter(spec)?;
    let wrap = |(queue, inside): (usize, Box<dyn Device>)| {
        let path = path_of(Path::new(file), queue);
        let writer = CaptureWriter::create_named(&path, &spec.target)?;
        let (region, filter) = (Arc::clone(&context.region), filter.clone());
        let file = Sheet { writer, left, captured: 0, skipped: 0 };
        let held = Held { rows: Vec::new(), bytes: Vec::new(), done: 0 };
        let layer = Capture { file, region, filter, snap, rx, tx, noted: false, held };
        Ok(Wrapped::device(inside, layer))
    };
    devices.into_iter().enumerate().map(wrap).collect()
}

/// `wire.pcapng`, `wire.1.pcapng`, `wire.2.pcapng`; `wire.1.pcapng.gz`.
fn path_of(path: &Path, queue: usize) -> PathBuf {
    if queue == 0 {
        return path.into();
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let at = name.find('.').filter(|&at| at > 0).unwrap_or(name.len());
    path.with_file_name(format!("{}.{queue}{}", &name[..at], &name[at..]))
}

impl Sheet {
    /// # Safety
    /// `row.kept` bytes at `data` are readable.
    unsafe fn write(&mut self, row: &Row, data: *const u8, comment: &str) {
        let bytes = u64::from(row.kept) + comment.len() as u64 + BLOCK_BYTES;
        if bytes > self.left {
            self.left = 0;
            self.skipped += 1;
            return;
        }
        self.left -= bytes;
        self.captured += 1;
        let note = Note { direction: row.direction, comment };
        // SAFETY: the caller's promise.
        unsafe {
            self.writer.write_noted(row.timestamp_ns, data, (row.kept, row.length), &note);
        }
    }
}

impl Held {
    /// Room for a burst in, and as much out.
    fn reserve(&mut self, packet_bytes: usize) {
        self.rows.reserve_exact(HELD_MAX);
        self.bytes.reserve_exact(HELD_MAX * packet_bytes);
    }

    fn has_room(&self, kept: u16) -> bool {
        self.rows.len() < HELD_MAX && self.bytes.capacity() - self.bytes.len() >= kept.into()
    }

    /// # Safety
    /// `row.kept` bytes at `data` are readable; [`Held::has_room`] for them.
    unsafe fn push(&mut self, row: Row, data: *const u8) {
        let start = self.bytes.len();
        self.rows.push(Row { start, ..row });
        // SAFETY: there is room behind what is there, and all of it is written.
        unsafe {
            let end = self.bytes.as_mut_ptr().add(start);
            end.copy_from_nonoverlapping(data, row.kept.into());
            self.bytes.set_len(start + usize::from(row.kept));
        }
    }

    /// Writes rows while `take` wants them, with a comment.
    fn write(&mut self, file: &mut Sheet, comment: &str, take: impl Fn(&Row) -> bool) {
        while let Some(row) = self.rows.get(self.done).filter(|row| take(row)) {
            let bytes = &self.bytes[row.start..row.start + usize::from(row.kept)];
            // SAFETY: a slice of as many bytes.
            unsafe { file.write(row, bytes.as_ptr(), comment) };
            self.done += 1;
        }
        if self.done == self.rows.len() {
            self.rows.clear();
            self.bytes.clear();
            self.done = 0;
        }
    }
}

impl Capture {
    fn take(&mut self, packets: &[Mbuf], direction: Direction, hold: bool) {
        if packets.is_empty() {
            return;
        }
        let now_ns = clock::wall_ns();
        for (place, mbuf) in packets.iter().enumerate() {
            // SAFETY: the packet lies within its frame (the engine's invariant), and whoever calls
            // owns the frame.
            let matches = |filter: &Filter| unsafe { filter.matches_mbuf(&self.region, mbuf) };
            if !self.filter.as_ref().is_none_or(matches) {
                continue;
            }
            // A packet that leaves has the time at which it arrived somewhere.
            let arrived = direction == Direction::In && mbuf.timestamp_ns >= EPOCH_NS;
            let timestamp_ns = if arrived { mbuf.timestamp_ns } else { now_ns };
            let (length, kept) = (mbuf.length, mbuf.length.min(self.snap));
            let row = Row { direction, timestamp_ns, length, kept, place, start: 0 };
            let data = self.region.data(mbuf);
            // SAFETY: as above.
            unsafe {
                match hold && self.held.has_room(kept) {
                    true => self.held.push(row, data),
                    false => self.file.write(&row, data, ""),
                }
            }
        }
    }

    /// What is held goes to the file without a word.
    fn let_go(&mut self) {
        self.held.write(&mut self.file, "", |_| true);
    }
}

impl Layer for Capture {
    const XSTATS: &'static [&'static str] = &["captured", "capture_skipped", "capture_lost"];
    const KEEPS_PLACES: bool = true;

    fn rx_burst(
        &mut self,
        inside: &mut dyn Device,
        frames: &mut FrameCache,
        burst: &mut [Mbuf],
    ) -> usize {
        let count = inside.rx_burst(frames, burst);
        if self.rx {
            self.let_go();
            self.take(&burst[..count], Direction::In, self.noted);
        }
        count
    }

    fn tx_burst(
        &mut self,
        inside: &mut dyn Device,
        frames: &mut FrameCache,
        burst: &[Mbuf],
    ) -> usize {
        // Before it is sent: the frames are the device's after that. What the device then has no
        // room for is in the file too. Behind what came in before it.
        if self.tx {
            self.take(burst, Direction::Out, !self.held.rows.is_empty());
        }
        inside.tx_burst(frames, burst)
    }

    fn take_notes(&mut self) -> bool {
        self.noted = self.rx;
        if self.noted {
            self.held.reserve(usize::from(self.snap).min(self.region.frame_bytes()));
        }
        self.noted
    }

    fn note(&mut self, place: usize, note: &str) {
        let own = |row: &Row| row.direction == Direction::In && row.place == place;
        self.held.write(&mut self.file, note, own);
        self.held.write(&mut self.file, "", |row| row.direction == Direction::Out);
    }

    fn flush(&mut self) {
        self.let_go();
        self.file.writer.flush();
    }

    fn xstats(&self, values: &mut [u64]) {
        let Sheet { writer, captured, skipped, .. } = &self.file;
        values.copy_from_slice(&[*captured, *skipped, writer.lost_packets()]);
    }

    fn take_error(&mut self) -> Option<Error> {
        self.file.writer.take_error()
    }

    fn close(&mut self, _inside: &mut dyn Device, _frames: &mut FrameCache) -> Result<(), Error> {
        self.let_go();
        self.file.writer.close()
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use wirelet_abi::ErrorCode;

    use super::*;
    use crate::testing::{Folder, Rig, xstat};
    use crate::{CaptureReader, Record};

    fn contents(path: &Path) -> Vec<(u64, u32, Vec<u8>)> {
        let mut reader = CaptureReader::open(path).expect("a capture");
        let mut packets = Vec::new();
        while let Some(record) = reader.next_record() {
            let Record::Packet { timestamp_ns, original_bytes, bytes } = record else {
                panic!("{record:?}");
            };
            packets.push((timestamp_ns, original_bytes, bytes.to_vec()));
        }
        packets
    }

    #[test]
    fn both_directions_are_in_the_file() {
        let (folder, mut rig) = (Folder::new(), Rig::new(64));
        for name in ["wire.pcapng", "wire.pcapng.gz"] {
            let path = folder.path(name);
            let spec = format!("capture(file={},snap=70):null:?rx=80&packets=2", path.display());
            let mut device = rig.open(&spec, 1);
            assert_eq!(rig.receive(&mut *device).len(), 2);
            assert!(rig.send(&mut *device, 5, &[7; 61]));
            assert_eq!(xstat(&*device, "captured"), 3);
            rig.close([device]);
            let packets = contents(&path);
            let lengths: Vec<_> = packets.iter().map(|(_, all, kept)| (*all, kept.len())).collect();
            assert_eq!(lengths, [(80, 70), (80, 70), (61, 61)]);
            assert!(packets.iter().all(|(timestamp_ns, ..)| *timestamp_ns > EPOCH_NS));
        }
    }

    #[test]
    fn what_tshark_reads_has_interface_direction_and_comment() {
        let (folder, mut rig) = (Folder::new(), Rig::new(64));
        let path = folder.path("wire.pcapng");
        let spec = format!("capture(file={}):null:?rx=60&packets=2", path.display());
        let mut device = rig.open(&spec, 1);
        assert!(device.take_notes());
        let burst = rig.burst(&mut *device, 4);
        rig.frames.give_burst(&burst);
        // While the first waits for its note.
        assert!(rig.send(&mut *device, 5, &[7; 60]));
        assert_eq!(xstat(&*device, "captured"), 0);
        device.note(0, "dropped by dnsguard");
        device.note(1, "forwarded to wan");
        assert_eq!(xstat(&*device, "captured"), 3);
        rig.close([device]);
        let fields = ["frame.interface_name", "frame.packet_flags_direction", "frame.comment"];
        let mut tshark = Command::new("tshark");
        tshark.args(["-T", "fields"]).arg("-r").arg(&path);
        for field in fields {
            tshark.args(["-e", field]);
        }
        let Ok(output) = tshark.output() else {
            eprintln!("skipped: no tshark");
            return;
        };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
        let name = "null:?rx=60&packets=2";
        let directions = ["1", "1", "2"].map(|number| format!("0x0000000{number}"));
        assert_eq!(lines.len(), 3, "{text}");
        for (index, line) in lines.iter().enumerate() {
            let comment = ["dropped by dnsguard", "forwarded to wan", ""][index];
            assert_eq!(line[0], name);
            assert!(line[1] == directions[index] || line[1] == &directions[index][9..], "{text}");
            assert_eq!(line.get(2).copied().unwrap_or(""), comment);
        }
    }

    #[test]
    fn a_file_has_its_limit_and_packets_pass_on() {
        let (folder, mut rig) = (Folder::new(), Rig::new(64));
        let path = folder.path("wire.pcapng");
        let spec = format!("capture(file={},limit=10k):null:?rx=60&packets=1000", path.display());
        let mut device = rig.open(&spec, 1);
        assert_eq!(rig.receive(&mut *device).len(), 1000);
        assert_eq!(xstat(&*device, "captured") + xstat(&*device, "capture_skipped"), 1000);
        rig.close([device]);
        assert_eq!(contents(&path).len(), 92);
        assert!(std::fs::metadata(&path).expect("there").len() <= 10_200);
    }

    #[test]
    fn queues_write_files_of_their_own() {
        let (folder, mut rig) = (Folder::new(), Rig::new(64));
        let spec = format!("capture(file={}):null:?rx=60&packets=5", folder.text("a.pcapng.gz"));
        let mut devices = rig.try_open(&spec, 1, 2).expect("two queues");
        devices.iter_mut().for_each(|device| drop(rig.receive(&mut **device)));
        rig.close(devices);
        let counts =
            ["a.pcapng.gz", "a.1.pcapng.gz"].map(|name| contents(&folder.path(name)).len());
        assert_eq!(counts, [3, 2]);
        assert_eq!(path_of(Path::new("/x/.hidden"), 3), Path::new("/x/.hidden.3"));
    }

    #[test]
    fn what_cannot_be_written_is_told_once_and_costs_no_packets() {
        let mut rig = Rig::new(64);
        let error = rig.try_open("capture:null:", 1, 1).err().expect("no file");
        assert_eq!(error.code, ErrorCode::DeviceSpec);
        let error =
            rig.try_open("capture(file=/no/folder/x):null:", 1, 1).err().expect("no folder");
        assert_eq!(error.code, ErrorCode::OutputFailed);
        let mut device = rig.open("capture(file=/dev/full):null:?rx=60&packets=100", 1);
        assert_eq!(rig.receive(&mut *device).len(), 100);
        device.flush();
        assert_eq!(xstat(&*device, "capture_lost"), 100);
        let error = device.take_error().expect("a full disk");
        assert!(error.code == ErrorCode::OutputFailed && device.take_error().is_none());
        rig.close([device]);
    }
}
