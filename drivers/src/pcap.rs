//! `pcap:in.pcap,out.pcap`: packets out of a capture file, and into one.
//!
//! | option | default | |
//! |---|---|---|
//! | `loop` | 1 | how often the input is read; 0 for no end |
//! | `pace` | off | packets come at the distances their timestamps have |
//! | `format` | by the output's name | `pcap` or `pcapng` |
//! | `precision` | the input's, else `ns` | `us` or `ns`: timestamps of the output |
//!
//! Either file may be empty: `pcap:in.pcap` frees what is sent to it, `pcap:,out.pcap` receives
//! nothing. Names that end in `.gz` are written as gzip; inputs are recognised by their bytes.
//!
//! A file can wait, so nothing is lost for want of frames: a packet that finds no frame is read
//! again in the next burst.

mod input;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wirelet_abi::Error;
use wirelet_packet::{FrameCache, Mbuf, Region};

use crate::capture::{CaptureReader, CaptureWriter, Format, Precision};
use crate::{Device, DeviceStats, Idle, OpenContext, Spec};
use input::{Input, Received};

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

/// Opens one queue: a file has one order.
pub(crate) fn open(spec: &Spec, context: &OpenContext) -> Result<Vec<Box<dyn Device>>, Error> {
    spec.allow_options(&["pace", "loop", "format", "precision"])?;
    let (input, output) = paths(spec)?;
    let reader = input.as_deref().map(CaptureReader::open).transpose()?;
    if let (Some(reader), Some(output)) = (&reader, &output) {
        refuse_same_file(spec, reader, output)?;
    }
    let writer = output.as_deref().map(|path| create(spec, path, reader.as_ref())).transpose()?;
    let (passes, pace) = (spec.number("loop", 1, 0..=u64::MAX)?, spec.switch("pace")?);
    let input = reader.map(|reader| Input::new(reader, passes, pace));
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
                // is ours until it is given back.
                unsafe {
                    output.write_raw(mbuf.timestamp_ns, self.region.data(mbuf), mbuf.length);
                }
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
        usize::from(self.input.as_ref().is_some_and(|input| input.waiting().is_some()))
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
        if let Some(mbuf) = self.input.as_mut().and_then(Input::close) {
            frames.give(mbuf.frame);
        }
        self.output.as_mut().map_or(Ok(()), CaptureWriter::close)
    }
}

#[cfg(test)]
mod tests {
    use wirelet_abi::ErrorCode;

    use super::*;
    use crate::testing::{Folder, Rig, stats};

    pub(super) const SECOND: u64 = 1_000_000_000;

    pub(super) fn write(path: &Path, packets: &[(u64, Vec<u8>)]) {
        let (format, precision) = (Format::of_path(path), Precision::Nanoseconds);
        let mut writer = CaptureWriter::create(path, format, precision).expect("a file");
        packets.iter().for_each(|(timestamp_ns, bytes)| writer.write(*timestamp_ns, bytes));
        writer.close().expect("written");
    }

    pub(super) fn packets(count: u64) -> Vec<(u64, Vec<u8>)> {
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
