//! Ports under test, and packets through them as plain bytes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wirelet_abi::limits::HEADROOM_BYTES;
use wirelet_abi::{DropReason, Error};
use wirelet_drivers::{Device, DeviceStats, OpenContext, Rings, open};
use wirelet_packet::{FrameCache, Mbuf, Region, RegionConfig};

/// How long anything may take that should happen at once.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A region and one lcore's frames.
pub struct Rig {
    pub region: Arc<Region>,
    pub frames: FrameCache,
}

impl Rig {
    pub fn new(frames: usize, frame_bytes: usize) -> Rig {
        let config = RegionConfig { frames, frame_bytes, hugepages: false, node: None };
        let region = Region::new(config).expect("a region");
        Rig { frames: region.cache(), region }
    }

    pub fn try_open(&self, spec: &str, queues: usize) -> Result<Vec<Box<dyn Device>>, Error> {
        let context = OpenContext { region: Arc::clone(&self.region), port: 3, queues };
        open(spec, &context, &mut Rings::default())
    }

    pub fn open(&self, spec: &str) -> Box<dyn Device> {
        self.try_open(spec, 1).unwrap_or_else(|error| panic!("{error}")).remove(0)
    }

    /// What comes within the time, `want` packets at most.
    pub fn receive_within(
        &mut self,
        device: &mut dyn Device,
        want: usize,
        patience: Duration,
    ) -> Vec<Vec<u8>> {
        let until = Instant::now() + patience;
        let mut packets = Vec::new();
        while packets.len() < want && Instant::now() < until {
            let mut burst = [Mbuf::default(); 64];
            let most = burst.len().min(want - packets.len());
            let count = device.rx_burst(&mut self.frames, &mut burst[..most]);
            for mbuf in &burst[..count] {
                assert_eq!((mbuf.port, mbuf.egress, mbuf.mark, mbuf.scratch), (3, 0, 0, 0));
                assert!(usize::from(mbuf.offset) >= HEADROOM_BYTES && mbuf.timestamp_ns > 0);
                packets.push(self.bytes(mbuf));
            }
            self.frames.give_burst(&burst[..count]);
            if count == 0 {
                std::thread::sleep(Duration::from_micros(200));
            }
        }
        packets
    }

    /// `want` packets.
    pub fn receive(&mut self, device: &mut dyn Device, want: usize) -> Vec<Vec<u8>> {
        let packets = self.receive_within(device, want, PATIENCE);
        assert_eq!(packets.len(), want, "packets in {PATIENCE:?}");
        packets
    }

    pub fn bytes(&self, mbuf: &Mbuf) -> Vec<u8> {
        // SAFETY: the packet's frame is ours, and a packet lies within its frame.
        unsafe { std::slice::from_raw_parts(self.region.data(mbuf), mbuf.length.into()).to_vec() }
    }

    /// A packet in a frame, `offset` bytes behind its start.
    pub fn mbuf(&mut self, bytes: &[u8], offset: usize) -> Mbuf {
        let frame = self.frames.take().expect("a frame");
        let (offset, length) = (offset as u16, bytes.len() as u16);
        let mbuf = Mbuf { frame, offset, length, ..Mbuf::default() };
        assert!(usize::from(offset) + bytes.len() <= self.region.frame_bytes());
        // SAFETY: the frame was just taken and has room for `bytes`.
        unsafe { self.region.data(&mbuf).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        mbuf
    }

    /// Sends a packet; whether the device took it. If not, its frame is free again.
    pub fn send(&mut self, device: &mut dyn Device, bytes: &[u8]) -> bool {
        let mbuf = self.mbuf(bytes, HEADROOM_BYTES);
        let taken = device.tx_burst(&mut self.frames, &[mbuf]) == 1;
        if !taken {
            self.frames.give(mbuf.frame);
        }
        device.reclaim(&mut self.frames);
        taken
    }

    /// Waits until everything that was sent has left.
    pub fn drain(&mut self, device: &mut dyn Device) {
        let until = Instant::now() + PATIENCE;
        while device.in_flight() > 0 {
            assert!(Instant::now() < until, "{} packets never left", device.in_flight());
            device.reclaim(&mut self.frames);
        }
    }

    /// Closes devices and sees that no frame is missing.
    pub fn close(&mut self, devices: impl IntoIterator<Item = Box<dyn Device>>) {
        for mut device in devices {
            device.close(&mut self.frames).unwrap_or_else(|error| panic!("{error}"));
        }
        assert_eq!(self.region.used(), 0, "frames that nobody gave back");
    }
}

/// Waits for something that the kernel does in its own time.
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < until, "not in {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn stats(device: &dyn Device) -> DeviceStats {
    let mut stats = DeviceStats::default();
    device.stats(&mut stats);
    stats
}

pub fn xstat(device: &dyn Device, name: &str) -> u64 {
    let index = device.xstat_names().iter().position(|other| *other == name);
    stats(device).xstats[index.unwrap_or_else(|| panic!("no xstat {name}"))]
}

pub fn drops(device: &dyn Device, reason: DropReason) -> u64 {
    stats(device).rx_drops[reason as usize]
}
