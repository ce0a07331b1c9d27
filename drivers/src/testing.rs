//! What tests of devices need: frames, ports opened by their specs, packets as plain bytes.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use wirelet_abi::limits::HEADROOM_BYTES;
use wirelet_abi::{DropReason, Error};
use wirelet_packet::{FrameCache, Mbuf, Region, RegionConfig};

use crate::{Device, DeviceStats, OpenContext, Rings, open};

/// A region, one lcore's frames and the rings of one appliance.
pub(crate) struct Rig {
    pub(crate) region: Arc<Region>,
    pub(crate) frames: FrameCache,
    pub(crate) rings: Rings,
}

impl Rig {
    pub(crate) fn new(frames: usize) -> Rig {
        let config = RegionConfig { frames, ..RegionConfig::default() };
        let region = Region::new(config).expect("a region");
        Rig { frames: region.cache(), region, rings: Rings::default() }
    }

    pub(crate) fn try_open(
        &mut self,
        spec: &str,
        port: u16,
        queues: usize,
    ) -> Result<Vec<Box<dyn Device>>, Error> {
        let context = OpenContext { region: Arc::clone(&self.region), port, queues };
        open(spec, &context, &mut self.rings)
    }

    /// The first queue of a port that opens.
    pub(crate) fn open(&mut self, spec: &str, port: u16) -> Box<dyn Device> {
        let devices = self.try_open(spec, port, 1);
        devices.unwrap_or_else(|error| panic!("{error}")).remove(0)
    }

    /// One burst as the device gave it; the caller owns the frames.
    pub(crate) fn burst(&mut self, device: &mut dyn Device, most: usize) -> Vec<Mbuf> {
        let mut burst = vec![Mbuf { mark: 7, egress: 7, scratch: 7, ..Mbuf::default() }; most];
        let count = device.rx_burst(&mut self.frames, &mut burst);
        burst.truncate(count);
        for mbuf in &burst {
            assert_eq!((mbuf.egress, mbuf.mark, mbuf.scratch), (0, 0, 0));
        }
        burst
    }

    /// Bursts until one brings nothing, as (timestamp, bytes); the frames are free again.
    pub(crate) fn receive(&mut self, device: &mut dyn Device) -> Vec<(u64, Vec<u8>)> {
        let mut packets = Vec::new();
        loop {
            let burst = self.burst(device, 32);
            packets.extend(burst.iter().map(|mbuf| (mbuf.timestamp_ns, self.bytes(mbuf))));
            self.frames.give_burst(&burst);
            if burst.is_empty() {
                return packets;
            }
        }
    }

    /// Sends a packet; whether the device took it. If not, its frame is free again.
    pub(crate) fn send(
        &mut self,
        device: &mut dyn Device,
        timestamp_ns: u64,
        bytes: &[u8],
    ) -> bool {
        let mbuf = Mbuf {
            frame: self.frames.take().expect("a frame"),
            offset: HEADROOM_BYTES as u16,
            length: bytes.len() as u16,
            timestamp_ns,
            ..Mbuf::default()
        };
        assert!(bytes.len() <= self.region.data_room());
        // SAFETY: the frame was just taken and has room for `bytes`.
        unsafe { self.region.data(&mbuf).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        let taken = device.tx_burst(&mut self.frames, &[mbuf]) == 1;
        if !taken {
            self.frames.give(mbuf.frame);
        }
        taken
    }

    pub(crate) fn bytes(&self, mbuf: &Mbuf) -> Vec<u8> {
        // SAFETY: the packet's frame is ours, and a packet lies within its frame.
        unsafe { std::slice::from_raw_parts(self.region.data(mbuf), mbuf.length.into()).to_vec() }
    }

    /// Closes devices and sees that no frame is missing.
    pub(crate) fn close(&mut self, devices: impl IntoIterator<Item = Box<dyn Device>>) {
        for mut device in devices {
            device.close(&mut self.frames).unwrap_or_else(|error| panic!("{error}"));
        }
        assert_eq!(self.region.used(), 0, "frames that nobody gave back");
    }
}

pub(crate) fn stats(device: &dyn Device) -> DeviceStats {
    let mut stats = DeviceStats::default();
    device.stats(&mut stats);
    stats
}

/// An extra statistic by its name.
pub(crate) fn xstat(device: &dyn Device, name: &str) -> u64 {
    let index = device.xstat_names().iter().position(|other| *other == name);
    stats(device).xstats[index.unwrap_or_else(|| panic!("no xstat {name}"))]
}

pub(crate) fn drops(device: &dyn Device, reason: DropReason) -> u64 {
    stats(device).rx_drops[reason as usize]
}

/// A folder that goes when the test ends.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Folder {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("wirelet-drivers-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a folder");
        Folder(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A path inside, as a spec needs it.
    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
