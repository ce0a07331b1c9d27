//! `tap:name`: the kernel's network stack at the other end.
//!
//! | option | default | |
//! |---|---|---|
//! | `queues` | one per lcore | at most so many |
//! | `mac` | the kernel's choice | MAC address of the kernel's end |
//! | `mtu` | 1500 | MTU of the kernel's end |
//! | `up` | true for a new one | `ip link set NAME up` |
//! | `persist` | false | keep a new tap after the end |
//!
//! A tap that exists is used as it is, and stays. Packets are read straight into frames, one
//! system call and one copy (the kernel's) each; offloads are off, so checksums are complete and no
//! packet is longer than the MTU allows.

mod attach;

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use wirelet_abi::limits::{HEADROOM_BYTES, PACKET_BYTES_MIN, PACKET_BYTES_PADDED};
use wirelet_abi::{DropReason, Error, ErrorCode};
use wirelet_packet::{FrameCache, Mbuf, Region, clock};

use crate::interface::{Dropped, Interface, LinkWatch};
use crate::{Device, DeviceStats, Idle, OpenContext, Spec, TxLimits};

/// Bytes before the MTU: an Ethernet header and a VLAN tag.
const HEADER_BYTES: usize = 18;
/// Behind the frame, so that a packet that is too long is seen to be.
const SPILL_BYTES: usize = 64 << 10;
const XSTATS: &[&str] = &["kernel_dropped"];

struct TapDevice {
    region: Arc<Region>,
    port: u16,
    queue: Option<File>,
    watch: LinkWatch,
    mac: [u8; 6],
    spill: Box<[u8]>,
    stats: DeviceStats,
    /// The first queue's only: the kernel counts per interface.
    dropped: Option<Dropped>,
    error: Option<Error>,
    /// An error of a read or write that is none of those expected was told.
    told: bool,
}

/// Opens a queue per lcore.
pub(crate) fn open(spec: &Spec, context: &OpenContext) -> Result<Vec<Box<dyn Device>>, Error> {
    spec.allow_options(&["queues", "mac", "mtu", "up", "persist"])?;
    let name = spec.target.as_str();
    if name.is_empty() || name.contains('%') {
        return Err(spec.invalid("no name; `tap:wire0`"));
    }
    let queues = spec.number("queues", context.queues as u64, 1..=context.queues as u64)?;
    let mac = spec.text("mac").map(|text| parse_mac(spec, text)).transpose()?;
    let mtu = spec.number("mtu", 0, 68..=65_521)?;
    let (up, persist) = (spec.text("up").is_none() || spec.switch("up")?, spec.switch("persist")?);
    let attached = attach::attach(name, queues as usize)?;
    let interface = Interface::find(name)?;
    if let Some(mac) = mac {
        interface.set_mac(mac)?;
    }
    if mtu > 0 {
        interface.set_mtu(mtu as usize)?;
    }
    if up && (attached.created || spec.text("up").is_some()) {
        interface.set_up()?;
    }
    let mac = interface.mac()?;
    if persist && attached.created {
        // Last: what can't be set up leaves nothing behind.
        attach::set_persistent(name, &attached.queues[0])?;
    }
    let mut devices: Vec<Box<dyn Device>> = Vec::new();
    for queue in attached.queues {
        let first = devices.is_empty();
        devices.push(Box::new(TapDevice {
            region: Arc::clone(&context.region),
            port: context.port,
            queue: Some(queue),
            watch: LinkWatch::new(Interface::find(name)?)?,
            mac,
            spill: vec![0; SPILL_BYTES].into(),
            stats: DeviceStats::default(),
            dropped: first.then(|| Dropped::new(name)),
            error: None,
            told: false,
        }));
    }
    Ok(devices)
}

fn parse_mac(spec: &Spec, text: &str) -> Result<[u8; 6], Error> {
    let byte = |part: &str| u8::from_str_radix(part, 16).ok().filter(|_| part.len() == 2);
    let bytes: Option<Vec<u8>> = text.split(':').map(byte).collect();
    let mac: Option<[u8; 6]> = bytes.and_then(|bytes| bytes.try_into().ok());
    mac.filter(|mac| mac[0] & 1 == 0).ok_or_else(|| {
        spec.invalid(&format!("option `mac`: `{text}` is no MAC address of one station"))
    })
}

/// What became of a read or a write.
enum Outcome {
    Bytes(usize),
    /// Nothing to read, or no room to write.
    Later,
    /// This packet can't be sent, the next one may.
    Refused,
    /// The tap is not there any more.
    Gone,
}

impl TapDevice {
    /// Reads a packet into `frame`; what does not fit there goes to the spill.
    fn read(&mut self, frame: u32) -> Outcome {
        let Some(queue) = &self.queue else { return Outcome::Gone };
        let mbuf = Mbuf { frame, offset: HEADROOM_BYTES as u16, ..Mbuf::default() };
        let room = self.region.data_room();
        let parts = [
            libc::iovec { iov_base: self.region.data(&mbuf).cast(), iov_len: room },
            libc::iovec { iov_base: self.spill.as_mut_ptr().cast(), iov_len: self.spill.len() },
        ];
        // SAFETY: the frame is ours and has `room` bytes behind its headroom; the spill is ours.
        let bytes = unsafe { libc::readv(queue.as_raw_fd(), parts.as_ptr(), 2) };
        self.outcome(bytes)
    }

    fn write(&mut self, mbuf: &Mbuf) -> Outcome {
        let Some(queue) = &self.queue else { return Outcome::Gone };
        let (data, length) = (self.region.data(mbuf), usize::from(mbuf.length));
        // SAFETY: the packet lies within its frame (the engine's invariant), which is ours.
        let bytes = unsafe { libc::write(queue.as_raw_fd(), data.cast(), length) };
        self.outcome(bytes)
    }

    fn outcome(&mut self, bytes: isize) -> Outcome {
        if let Ok(bytes) = usize::try_from(bytes) {
            return Outcome::Bytes(bytes);
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            // What is interrupted is tried again in the next burst: no loop here.
            Some(libc::EAGAIN | libc::EINTR | libc::ENOBUFS | libc::ENOMEM) => Outcome::Later,
            // The tap is down.
            Some(libc::EIO | libc::ENETDOWN) => Outcome::Refused,
            Some(libc::EBADFD | libc::ENODEV) => Outcome::Gone,
            _ => {
                if !self.told {
                    self.told = true;
                    let message = format!("`{}`: {error}", self.watch.interface().name());
                    self.error = Some(Error::new(ErrorCode::InputFailed, message));
                }
                Outcome::Refused
            }
        }
    }

    fn look(&mut self) {
        self.watch.look();
        if let Some(dropped) = &mut self.dropped {
            dropped.look_when_stale(self.watch.interface().name());
        }
    }
}

impl Device for TapDevice {
    fn rx_burst(&mut self, frames: &mut FrameCache, burst: &mut [Mbuf]) -> usize {
        if self.watch.due() {
            self.look();
        }
        if self.watch.gone() {
            return 0;
        }
        let (mut count, mut timestamp_ns) = (0, 0);
        // Each round ends in a packet or a counted drop, and no burst reads more than it may hold.
        for _ in 0..burst.len() {
            // Without a frame packets wait in the kernel, which counts what it has no room for.
            let Some(frame) = frames.take() else { break };
            let bytes = match self.read(frame) {
                Outcome::Bytes(bytes) => bytes,
                outcome => {
                    frames.give(frame);
                    if matches!(outcome, Outcome::Gone) {
                        self.watch.lose();
                    }
                    break;
                }
            };
            let reason = match bytes {
                ..PACKET_BYTES_MIN => Some(DropReason::TooShort),
                _ if bytes > self.region.data_room() => Some(DropReason::TooLong),
                _ => None,
            };
            if let Some(reason) = reason {
                frames.give(frame);
                self.stats.drop_at_edge(reason, bytes as u64);
                continue;
            }
            if timestamp_ns == 0 {
                timestamp_ns = clock::wall_ns();
            }
            burst[count] = Mbuf {
                frame,
                offset: HEADROOM_BYTES as u16,
                length: bytes as u16,
                port: self.port,
                timestamp_ns,
                ..Mbuf::default()
            };
            count += 1;
        }
        count
    }

    fn tx_burst(&mut self, frames: &mut FrameCache, burst: &[Mbuf]) -> usize {
        for (index, mbuf) in burst.iter().enumerate() {
            match self.write(mbuf) {
                Outcome::Bytes(_) => {}
                Outcome::Later => return index,
                Outcome::Refused => self.stats.tx_errors += 1,
                Outcome::Gone => {
                    self.watch.lose();
                    self.stats.tx_errors += 1;
                }
            }
            frames.give(mbuf.frame);
        }
        burst.len()
    }

    fn flush(&mut self) {
        if self.watch.stale() {
            self.look();
        }
    }

    fn stats(&self, stats: &mut DeviceStats) {
        stats.clone_from(&self.stats);
        stats.link_up = self.watch.link().up;
        stats.xstats[0] = self.dropped.as_ref().map_or(0, Dropped::count);
    }

    fn xstat_names(&self) -> &'static [&'static str] {
        XSTATS
    }

    fn tx_limits(&self) -> TxLimits {
        let max_bytes = self.watch.link().mtu + HEADER_BYTES;
        TxLimits { padded_bytes: PACKET_BYTES_PADDED, max_bytes }
    }

    fn mac(&self) -> [u8; 6] {
        self.mac
    }

    fn mtu(&self) -> usize {
        self.watch.link().mtu
    }

    fn promiscuous(&self) -> bool {
        // Whatever the kernel sends out of a tap arrives here.
        true
    }

    fn idle(&self) -> Idle {
        match &self.queue {
            Some(queue) if !self.watch.gone() => Idle::Readable(queue.as_raw_fd()),
            _ => Idle::Waker,
        }
    }

    fn finished(&self) -> bool {
        self.watch.gone() || self.queue.is_none()
    }

    fn take_error(&mut self) -> Option<Error> {
        self.error.take().or_else(|| self.watch.take_error())
    }

    fn close(&mut self, _frames: &mut FrameCache) -> Result<(), Error> {
        if let Some(dropped) = &mut self.dropped {
            dropped.look(self.watch.interface().name());
        }
        // A tap of ours goes with its last descriptor.
        self.queue = None;
        Ok(())
    }
}
