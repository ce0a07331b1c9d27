//! A region, an lcore's frames, and devices that open on real interfaces.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use wirelet_abi::limits::HEADROOM_BYTES;
use wirelet_abi::{DropReason, Error};
use wirelet_drivers::{Device, DeviceStats, Idle, OpenContext, Rings, open};
use wirelet_packet::{FrameCache, Mbuf, Region, RegionConfig};

use crate::namespace::Namespace;

pub const BURST: usize = 32;
/// No test waits longer for anything.
pub const PATIENCE: Duration = Duration::from_secs(10);

pub struct Rig {
    pub region: Arc<Region>,
    pub frames: FrameCache,
}

impl Rig {
    pub fn new() -> Rig {
        Rig::with_frames(2048, 2240)
    }

    pub fn with_frames(frames: usize, frame_bytes: usize) -> Rig {
        let config = RegionConfig { frames, frame_bytes, ..RegionConfig::default() };
        let region = Region::new(config).expect("a region");
        Rig { frames: region.cache(), region }
    }

    pub fn try_open(
        &self,
        namespace: &Namespace,
        spec: &str,
        queues: usize,
    ) -> Result<Vec<Box<dyn Device>>, Error> {
        namespace.enter(|| self.open_here(spec, queues))
    }

    /// In the namespace of this thread.
    pub fn open_here(&self, spec: &str, queues: usize) -> Result<Vec<Box<dyn Device>>, Error> {
        let context = OpenContext { region: Arc::clone(&self.region), port: 3, queues };
        open(spec, &context, &mut Rings::default())
    }

    pub fn open(&self, namespace: &Namespace, spec: &str) -> Box<dyn Device> {
        self.try_open(namespace, spec, 1).unwrap_or_else(|error| panic!("{error}")).remove(0)
    }

    pub fn error(&self, namespace: &Namespace, spec: &str, queues: usize) -> Error {
        let opened = self.try_open(namespace, spec, queues);
        opened.err().unwrap_or_else(|| panic!("{spec} opened"))
    }

    /// What arrives until there are `count` packets for which `wanted` holds, or patience ends.
    pub fn receive(
        &mut self,
        device: &mut dyn Device,
        count: usize,
        wanted: impl Fn(&[u8]) -> bool,
    ) -> Vec<Vec<u8>> {
        let (started, mut packets) = (Instant::now(), Vec::new());
        while packets.len() < count && started.elapsed() < PATIENCE {
            let burst = self.burst(device);
            if burst.is_empty() {
                wait(device);
            }
            packets.extend(burst.into_iter().map(|(_, bytes)| bytes).filter(|bytes| wanted(bytes)));
        }
        packets
    }

    /// What arrives until nothing has come for some time.
    pub fn receive_rest(
        &mut self,
        device: &mut dyn Device,
        wanted: impl Fn(&[u8]) -> bool,
    ) -> Vec<Vec<u8>> {
        let (mut packets, mut quiet) = (Vec::new(), 0);
        while quiet < 5 {
            let burst = self.burst(device);
            quiet = if burst.is_empty() { quiet + 1 } else { 0 };
            if burst.is_empty() {
                wait(device);
            }
            packets.extend(burst.into_iter().map(|(_, bytes)| bytes).filter(|bytes| wanted(bytes)));
        }
        packets
    }

    /// One burst; its frames are free again.
    pub fn burst(&mut self, device: &mut dyn Device) -> Vec<(Mbuf, Vec<u8>)> {
        let mut burst = [Mbuf { egress: 7, mark: 7, scratch: 7, ..Mbuf::default() }; BURST];
        device.reclaim(&mut self.frames);
        let count = device.rx_burst(&mut self.frames, &mut burst);
        let packets = burst[..count].iter().map(|mbuf| (*mbuf, self.bytes(mbuf))).collect();
        for mbuf in &burst[..count] {
            assert_eq!((mbuf.port, mbuf.egress, mbuf.mark, mbuf.scratch), (3, 0, 0, 0));
        }
        self.frames.give_burst(&burst[..count]);
        packets
    }

    /// Whether the device took it.
    pub fn send(&mut self, device: &mut dyn Device, bytes: &[u8]) -> bool {
        self.send_burst(device, &[bytes.to_vec()]) == 1
    }

    /// How many the device took; the frames of the others are free again.
    pub fn send_burst(&mut self, device: &mut dyn Device, packets: &[Vec<u8>]) -> usize {
        let mbufs: Vec<Mbuf> = packets.iter().map(|bytes| self.mbuf(bytes)).collect();
        let taken = device.tx_burst(&mut self.frames, &mbufs);
        self.frames.give_burst(&mbufs[taken..]);
        taken
    }

    fn mbuf(&mut self, bytes: &[u8]) -> Mbuf {
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

    /// Forwards between two devices until `stop`, sleeping as an lcore does; returns the packets
    /// that came in by each, and those that could not leave.
    pub fn forward(&mut self, devices: &mut [Box<dyn Device>; 2], stop: &AtomicBool) -> Counts {
        let mut counts = Counts::default();
        let mut burst = [Mbuf::default(); BURST];
        while !stop.load(Ordering::Relaxed) {
            let mut idle = true;
            for from in 0..2 {
                devices[from].reclaim(&mut self.frames);
                let count = devices[from].rx_burst(&mut self.frames, &mut burst);
                let sent = devices[1 - from].tx_burst(&mut self.frames, &burst[..count]);
                self.frames.give_burst(&burst[sent..count]);
                counts.received[from] += count as u64;
                counts.full += (count - sent) as u64;
                idle &= count == 0;
            }
            if idle {
                devices.iter_mut().for_each(|device| device.flush());
                wait_any(devices.each_ref().map(|device| device.idle()));
            }
        }
        counts
    }
}

/// What [`Rig::forward`] saw.
#[derive(Debug, Default)]
pub struct Counts {
    pub received: [u64; 2],
    pub full: u64,
}

/// Sleeps as an lcore does, 20 ms at most.
pub fn wait(device: &mut dyn Device) {
    device.flush();
    wait_any([device.idle()]);
}

/// Whether a wait for it would end at once.
pub fn is_ready(idle: Idle) -> bool {
    let Idle::Readable(fd) = idle else { return false };
    let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: one pollfd that lives during the call.
    unsafe { libc::poll(&raw mut poll, 1, 0) == 1 }
}

fn wait_any<const N: usize>(idle: [Idle; N]) {
    let descriptor = |idle| match idle {
        Idle::Readable(fd) => fd,
        // poll(2) ignores it.
        _ => -1,
    };
    let mut polls =
        idle.map(|idle| libc::pollfd { fd: descriptor(idle), events: libc::POLLIN, revents: 0 });
    let timeout = if idle.contains(&Idle::Poll) { 0 } else { 20 };
    // SAFETY: an array of N pollfds that lives during the call.
    unsafe { libc::poll(polls.as_mut_ptr(), N as libc::nfds_t, timeout) };
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

/// Waits until `condition` holds for the device, which is polled as an lcore would.
pub fn until(
    rig: &mut Rig,
    device: &mut dyn Device,
    what: &str,
    mut condition: impl FnMut(&mut dyn Device) -> bool,
) {
    let started = Instant::now();
    while !condition(device) {
        assert!(started.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        rig.burst(device);
        wait(device);
    }
}
