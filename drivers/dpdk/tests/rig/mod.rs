//! Frames, ports by their specs, packets as plain bytes; and the plugin that cargo has just built.
//!
//! EAL is once per process, and so is each file of tests here a process.
#![allow(dead_code, reason = "each file of tests uses some of it")]

use std::collections::HashSet;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use wirelet_abi::limits::HEADROOM_BYTES;
use wirelet_abi::{DropReason, Error};
use wirelet_drivers::{CaptureReader, CaptureWriter, Format, Precision, Record};
use wirelet_drivers::{Device, DeviceStats, OpenContext, Rings, open};
use wirelet_packet::{FrameCache, Mbuf, Region, RegionConfig};

/// No test waits longer for anything.
pub const PATIENCE: Duration = Duration::from_secs(10);
pub const BURST: usize = 32;

/// Whether there is a DPDK to test with; says why not, past the test runner's capture, so that the
/// closing summary counts it (scripts/summary.js).
pub fn possible() -> bool {
    if !cfg!(dpdk) {
        let _ = writeln!(std::io::stdout(), "skipped: dpdk: pkg-config knows no libdpdk");
        return false;
    }
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: all tests come through here before they start threads that read variables.
        unsafe { std::env::set_var("WIRELET_DPDK_PLUGIN", plugin_path()) };
    });
    true
}

/// Where cargo puts the library: beside the tests.
pub fn plugin_path() -> PathBuf {
    let own = std::env::current_exe().expect("a path");
    own.with_file_name("libwirelet_dpdk.so")
}

pub struct Rig {
    pub region: Arc<Region>,
    pub frames: FrameCache,
    pub rings: Rings,
}

impl Rig {
    pub fn new(frames: usize) -> Rig {
        let config = RegionConfig { frames, ..RegionConfig::default() };
        let region = Region::new(config).expect("a region");
        Rig { frames: region.cache(), region, rings: Rings::default() }
    }

    pub fn try_open(&mut self, spec: &str, queues: usize) -> Result<Vec<Box<dyn Device>>, Error> {
        let context = OpenContext { region: Arc::clone(&self.region), port: 3, queues };
        open(spec, &context, &mut self.rings)
    }

    pub fn open(&mut self, spec: &str) -> Box<dyn Device> {
        self.try_open(spec, 1).unwrap_or_else(|error| panic!("{error}")).remove(0)
    }

    pub fn error(&mut self, spec: &str) -> Error {
        self.try_open(spec, 1).err().unwrap_or_else(|| panic!("{spec} opened"))
    }

    /// One burst; the caller owns its frames.
    pub fn burst(&mut self, device: &mut dyn Device, most: usize) -> Vec<Mbuf> {
        let mut burst = vec![Mbuf { mark: 7, egress: 7, scratch: 7, ..Mbuf::default() }; most];
        device.reclaim(&mut self.frames);
        let count = device.rx_burst(&mut self.frames, &mut burst);
        burst.truncate(count);
        for mbuf in &burst {
            assert_eq!((mbuf.port, mbuf.egress, mbuf.mark, mbuf.scratch), (3, 0, 0, 0));
        }
        let frames: HashSet<u32> = burst.iter().map(|mbuf| mbuf.frame).collect();
        assert_eq!(frames.len(), burst.len(), "a frame in two packets");
        burst
    }

    /// Bursts until there are `count` packets for which `wanted` holds, or patience ends.
    pub fn receive(
        &mut self,
        device: &mut dyn Device,
        count: usize,
        wanted: impl Fn(&[u8]) -> bool,
    ) -> Vec<Vec<u8>> {
        let (started, mut packets) = (Instant::now(), Vec::new());
        while packets.len() < count && started.elapsed() < PATIENCE {
            let burst = self.burst(device, BURST);
            packets.extend(burst.iter().map(|mbuf| self.bytes(mbuf)).filter(|bytes| wanted(bytes)));
            self.frames.give_burst(&burst);
        }
        packets
    }

    pub fn mbuf(&mut self, bytes: &[u8]) -> Mbuf {
        let mbuf = Mbuf {
            frame: self.frames.take().expect("a frame"),
            offset: HEADROOM_BYTES as u16,
            length: bytes.len() as u16,
            ..Mbuf::default()
        };
        assert!(bytes.len() <= self.region.data_room());
        // SAFETY: the frame was just taken and has room for `bytes`.
        unsafe { self.region.data(&mbuf).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        mbuf
    }

    /// Sends all of them, in bursts, as often as it takes.
    pub fn send(&mut self, device: &mut dyn Device, packets: &[Vec<u8>]) {
        for some in packets.chunks(BURST) {
            let mbufs: Vec<Mbuf> = some.iter().map(|bytes| self.mbuf(bytes)).collect();
            self.transmit(device, &mbufs);
        }
    }

    /// Sends packets whose frames the caller owns, as often as it takes.
    pub fn transmit(&mut self, device: &mut dyn Device, mut mbufs: &[Mbuf]) {
        let started = Instant::now();
        while !mbufs.is_empty() {
            assert!(started.elapsed() < PATIENCE, "the device takes no more");
            mbufs = &mbufs[device.tx_burst(&mut self.frames, mbufs)..];
        }
    }

    /// Sends what the device takes of them, and drops the rest, as an lcore does.
    pub fn offer(&mut self, device: &mut dyn Device, packets: &[Vec<u8>]) {
        let mbufs: Vec<Mbuf> = packets.iter().map(|bytes| self.mbuf(bytes)).collect();
        let sent = device.tx_burst(&mut self.frames, &mbufs);
        self.frames.give_burst(&mbufs[sent..]);
    }

    pub fn bytes(&self, mbuf: &Mbuf) -> Vec<u8> {
        // SAFETY: the packet's frame is ours, and a packet lies within its frame.
        unsafe { std::slice::from_raw_parts(self.region.data(mbuf), mbuf.length.into()).to_vec() }
    }

    /// Closes devices and sees that no frame is missing.
    pub fn close(&mut self, devices: impl IntoIterator<Item = Box<dyn Device>>) {
        for mut device in devices {
            device.close(&mut self.frames).unwrap_or_else(|error| panic!("{error}"));
        }
        assert_eq!(self.region.used(), 0, "frames that nobody gave back");
    }
}

pub fn stats(device: &dyn Device) -> DeviceStats {
    let mut stats = DeviceStats::default();
    device.stats(&mut stats);
    stats
}

pub fn drops(device: &dyn Device, reason: DropReason) -> u64 {
    stats(device).rx_drops[reason as usize]
}

pub fn xstat(device: &dyn Device, name: &str) -> u64 {
    let index = device.xstat_names().iter().position(|other| *other == name);
    stats(device).xstats[index.unwrap_or_else(|| panic!("no xstat {name}"))]
}

/// Packet number `index`: nothing but its number and its length makes it.
pub fn packet(index: usize, length: usize) -> Vec<u8> {
    let mut bytes = vec![0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2, 0x88, 0xb5];
    bytes.extend((index as u32).to_be_bytes());
    bytes.extend((bytes.len()..length).map(|at| (at.wrapping_mul(31) ^ index) as u8));
    bytes
}

/// `count` packets from 60 bytes to 1,514.
pub fn packets(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|index| packet(index, 60 + index * 97 % 1455)).collect()
}

/// A folder that goes when the test ends.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Folder {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("wirelet-dpdk-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a folder");
        Folder(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn write(&self, name: &str, packets: &[Vec<u8>]) {
        let path = self.path(name);
        let writer = CaptureWriter::create(&path, Format::Pcap, Precision::Microseconds);
        let mut writer = writer.expect("a file");
        for (index, bytes) in packets.iter().enumerate() {
            writer.write(index as u64 * 1000, bytes);
        }
        writer.close().expect("a written file");
    }

    pub fn read(&self, name: &str) -> Vec<Vec<u8>> {
        let mut reader = CaptureReader::open(&self.path(name)).expect("a file");
        let mut packets = Vec::new();
        while let Some(record) = reader.next_record() {
            let Record::Packet { bytes, .. } = record else { panic!("a bad record") };
            packets.push(bytes.to_vec());
        }
        packets
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
