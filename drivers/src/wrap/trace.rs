//! `trace(every=100,count=1000):device`: a line for packets that pass, as tcpdump prints them.
//!
//! | option | default | |
//! |---|---|---|
//! | `filter` | all | packets to show, in tcpdump's language: `filter='udp port 53'` |
//! | `every` | 1 | one of so many of them, each way |
//! | `count` | no end | lines, then silence |
//! | `on` | both | `rx`, `tx` or `both` |
//! | `file` | standard error | where to |
//!
//! The lcore copies the first 128 bytes of a packet into a ring; a thread makes lines of them. A
//! reader that is slow, or none, costs lines (`trace_lost`) and no packets.

mod line;
mod printer;

use std::path::PathBuf;

use wirelet_abi::Error;
use wirelet_packet::{FrameCache, Mbuf, clock};

use super::Wrapped;
use super::layer::{Layer, directions, filter};
use crate::{Device, Filter, OpenContext, Spec};
pub use line::line;
use printer::{Direction, Glimpse, Printer};

struct Trace {
    printer: Printer,
    filter: Option<Filter>,
    /// One of so many that match.
    every: u64,
    /// Lines that may still be written.
    left: u64,
    /// Packets that matched; `None` for a direction that is not traced.
    rx: Option<u64>,
    tx: Option<u64>,
    lost: u64,
    traced: u64,
}

pub(super) fn around(
    spec: &Spec,
    context: &OpenContext,
    devices: Vec<Box<dyn Device>>,
) -> Result<Vec<Box<dyn Device>>, Error> {
    spec.allow_options(&["every", "count", "on", "file", "filter"])?;
    let every = spec.number("every", 1, 1..=u64::MAX)?;
    let left = spec.number("count", u64::MAX, 0..=u64::MAX)?;
    let (rx, tx) = directions(spec)?;
    let (rx, tx) = (rx.then_some(0), tx.then_some(0));
    let filter = filter(spec)?;
    let path = spec.text("file").map(PathBuf::from);
    let printers = Printer::start(path.as_deref(), context.port, devices.len())?;
    let wrap = |(inside, printer)| {
        let filter = filter.clone();
        let layer = Trace { printer, filter, every, left, rx, tx, lost: 0, traced: 0 };
        Wrapped::device(inside, layer)
    };
    Ok(devices.into_iter().zip(printers).map(wrap).collect())
}

impl Trace {
    fn see(&mut self, frames: &FrameCache, burst: &[Mbuf], direction: Direction) {
        let seen = match direction {
            Direction::Rx => &mut self.rx,
            Direction::Tx => &mut self.tx,
        };
        let Some(seen) = seen.as_mut().filter(|_| self.left > 0 && !burst.is_empty()) else {
            return;
        };
        let timestamp_ns = clock::wall_ns();
        for mbuf in burst {
            // SAFETY: the packet lies within its frame (the engine's invariant), and whoever calls
            // owns the frame.
            let matches = |filter: &Filter| unsafe { filter.matches_mbuf(frames.region(), mbuf) };
            if self.left == 0 || !self.filter.as_ref().is_none_or(matches) {
                continue;
            }
            // The first packet, then one of every so many.
            *seen += 1;
            if !(*seen - 1).is_multiple_of(self.every) {
                continue;
            }
            match self.printer.push(Glimpse::of(frames.region(), mbuf, direction, timestamp_ns)) {
                true => self.traced += 1,
                false => self.lost += 1,
            }
            self.left -= 1;
        }
        self.printer.wake();
    }
}

impl Layer for Trace {
    const KEEPS_PLACES: bool = true;
    const XSTATS: &'static [&'static str] = &["traced", "trace_lost"];

    fn rx_burst(
        &mut self,
        inside: &mut dyn Device,
        frames: &mut FrameCache,
        burst: &mut [Mbuf],
    ) -> usize {
        let count = inside.rx_burst(frames, burst);
        self.see(frames, &burst[..count], Direction::Rx);
        count
    }

    fn tx_burst(
        &mut self,
        inside: &mut dyn Device,
        frames: &mut FrameCache,
        burst: &[Mbuf],
    ) -> usize {
        // Before it is sent: the frames are the device's after that.
        self.see(frames, burst, Direction::Tx);
        inside.tx_burst(frames, burst)
    }

    fn xstats(&self, values: &mut [u64]) {
        values.copy_from_slice(&[self.traced, self.lost]);
    }

    fn take_error(&mut self) -> Option<Error> {
        self.printer.take_error()
    }

    fn close(&mut self, _inside: &mut dyn Device, _frames: &mut FrameCache) -> Result<(), Error> {
        self.printer.close()
    }
}

#[cfg(test)]
mod tests {
    use wirelet_abi::ErrorCode;

    use crate::testing::{Folder, Rig, xstat};

    fn lines(folder: &Folder, name: &str) -> Vec<String> {
        let text = std::fs::read_to_string(folder.path(name)).expect("the file");
        text.lines().map(String::from).collect()
    }

    #[test]
    fn packets_become_lines_each_way() {
        let (folder, mut rig) = (Folder::new(), Rig::new(64));
        let spec = format!("trace(file={}):null:?rx=60&packets=3", folder.text("t"));
        let mut device = rig.open(&spec, 5);
        assert_eq!(rig.receive(&mut *device).len(), 3);
        assert!(rig.send(&mut *device, 0, &[0x42; 60]));
        assert_eq!((xstat(&*device, "traced"), xstat(&*device, "trace_lost")), (4, 0));
        rig.close([device]);
        let lines = lines(&folder, "t");
        let udp = " 5 rx IP 198.18.0.1.1024 > 198.19.0.1.9: UDP, length 18";
        assert!(lines.len() == 4 && lines[..3].iter().all(|line| line.ends_with(udp)), "{lines:?}");
        assert!(lines[3].contains(" 5 tx 42:42:42:42:42:42 > 42:42:42:42:42:42, "), "{lines:?}");
    }

    #[test]
    fn samples_and_counts_are_kept() {
        for (options, expected) in [
            ("every=10", 10),
            ("every=7", 15),
            ("count=4", 4),
            ("every=3,count=5", 5),
            ("on=tx", 0),
        ] {
            let (folder, mut rig) = (Folder::new(), Rig::new(64));
            let spec =
                format!("trace({options},file={}):null:?rx=60&packets=100", folder.text("t"));
            let mut device = rig.open(&spec, 5);
            assert_eq!(rig.receive(&mut *device).len(), 100);
            rig.close([device]);
            assert_eq!(lines(&folder, "t").len(), expected, "{options}");
        }
    }

    #[test]
    fn a_filter_says_which_packets_are_shown() {
        let (folder, mut rig) = (Folder::new(), Rig::new(64));
        let filter = "filter='udp and (port 9 or port 53), '";
        let spec =
            format!("trace({filter},every=2,file={}):null:?rx=60&packets=9", folder.text("t"));
        let mut device = match rig.try_open(&spec.replace(", '", "'"), 5, 1) {
            Err(error) if error.code == ErrorCode::Libpcap => return eprintln!("skipped: {error}"),
            devices => devices.unwrap_or_else(|error| panic!("{error}")).remove(0),
        };
        assert_eq!(rig.receive(&mut *device).len(), 9);
        assert!(rig.send(&mut *device, 0, &[0x42; 60]));
        rig.close([device]);
        assert_eq!(lines(&folder, "t").len(), 5);
        let error = rig.try_open(&spec, 5, 1).err().expect("no expression");
        assert_eq!(error.code, ErrorCode::Filter);
        assert!(error.message.contains("trace: `udp and (port 9 or port 53), `"), "{error}");
    }

    #[test]
    fn a_reader_that_is_slow_costs_lines_and_no_packets() {
        let (folder, mut rig) = (Folder::new(), Rig::new(64));
        let pipe = folder.path("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.is_ok_and(|status| status.success()), "mkfifo");
        // Held open and never read.
        let options = std::fs::OpenOptions::new().read(true).write(true).open(&pipe);
        let reader = options.expect("opened");
        let spec = format!("trace(file={}):null:?rx=60&packets=20000", pipe.display());
        let mut device = rig.open(&spec, 5);
        assert_eq!(rig.receive(&mut *device).len(), 20_000);
        assert!(xstat(&*device, "trace_lost") > 10_000);
        let error = device.close(&mut rig.frames).expect_err("lines that nobody read");
        assert_eq!((error.code, rig.region.used()), (ErrorCode::OutputFailed, 0));
        drop(reader);
    }

    #[test]
    fn a_file_that_cannot_be_written_is_told_once() {
        let mut rig = Rig::new(64);
        let error = rig.try_open("trace(file=/no/folder/t):null:", 1, 1).err().expect("no folder");
        assert_eq!(error.code, ErrorCode::OutputFailed);
        let mut device = rig.open("trace(file=/dev/full):null:?rx=60&packets=100", 1);
        assert_eq!(rig.receive(&mut *device).len(), 100);
        let error = device.close(&mut rig.frames).expect_err("a full disk");
        assert!(error.message.contains("/dev/full"), "{error}");
        assert!(device.take_error().is_none());
    }
}
