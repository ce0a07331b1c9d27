//! One queue as a device: receiving, and everything but the way out.

use std::sync::Arc;

use wirelet_abi::limits::{PACKET_BYTES_MIN, PACKET_BYTES_PADDED};
use wirelet_abi::{DropReason, Error};
use wirelet_packet::{FrameCache, Mbuf, Region, clock};

use super::bpf::AttachMode;
use super::frames::{Chunks, Ledger};
use super::hold::Claim;
use super::promiscuous::Promiscuous;
use super::socket::{Setup, Socket};
use super::{HEADER_BYTES, checksum};
use crate::interface::LinkWatch;
use crate::{Device, DeviceStats, Idle, TxLimits};

/// Frames that are put into the fill ring at once, at least: its counter is a cache line that the
/// kernel reads on another CPU.
const FILL_BATCH: usize = 16;
/// How long an lcore may sleep when nothing can be received for want of frames.
const STARVED_NS: u64 = 1_000_000;
/// How long `close` waits for packets that the kernel has and has not sent.
const CLOSE_NS: u64 = 100_000_000;
const XSTATS: &[&str] = &[
    "native",
    "zero_copy",
    "rx_dropped",
    "rx_ring_full",
    "fill_ring_empty",
    "rx_invalid",
    "tx_invalid",
    "tx_dropped",
    "tx_calls",
    "rx_calls",
    "checksums_completed",
    "frames_receiving",
    "frames_transmitting",
];

/// One queue of an interface: its socket, and the frames that the kernel has of it.
pub(super) struct Queue {
    region: Arc<Region>,
    pub(super) chunks: Chunks,
    pub(super) ledger: Ledger,
    /// `None` after close. Dropped before `claim`: first no packet comes, then the program goes.
    pub(super) socket: Option<Socket>,
    claim: Option<Claim>,
    pub(super) watch: LinkWatch,
    traits: Traits,
    rx_frames: usize,
    pub(super) tx_frames: usize,
    busy_polls: bool,
    /// The last poll has found nothing.
    quiet: bool,
    /// The kernel has not taken everything from the transmit ring.
    pub(super) unsent: bool,
    /// The interface takes nothing before that time, when we ask again. 0 while it does.
    pub(super) refusing_until_ns: u64,
    pub(super) counts: Counts,
    /// The kernel's counts when the socket was closed.
    last: libc::xdp_statistics,
}

/// What it counts itself.
#[derive(Default)]
pub(super) struct Counts {
    too_short: u64,
    too_short_bytes: u64,
    pub(super) tx_dropped: u64,
    pub(super) tx_errors: u64,
    pub(super) tx_calls: u64,
    rx_calls: u64,
    checksums: u64,
}

/// What a queue is told when it opens.
pub(super) struct Traits {
    pub(super) port: u16,
    pub(super) mac: [u8; 6],
    pub(super) completes_checksums: bool,
    pub(super) promiscuous: bool,
    /// What keeps the interface promiscuous.
    pub(super) _membership: Option<Promiscuous>,
}

fn no_statistics() -> libc::xdp_statistics {
    // SAFETY: integers, for which all zeros is a value.
    unsafe { std::mem::zeroed() }
}

impl Queue {
    /// A queue whose packets from now on wait in its ring.
    pub(super) fn new(
        socket: Socket,
        claim: Claim,
        watch: LinkWatch,
        setup: &Setup<'_>,
        traits: Traits,
    ) -> Queue {
        let mut queue = Queue {
            region: Arc::clone(setup.region),
            chunks: setup.chunks,
            ledger: Ledger::new(setup.region.frames()),
            socket: Some(socket),
            claim: Some(claim),
            watch,
            traits,
            rx_frames: setup.options.rx_frames as usize,
            tx_frames: setup.options.tx_frames as usize,
            busy_polls: setup.options.busy_poll.is_some(),
            quiet: true,
            unsent: false,
            refusing_until_ns: 0,
            counts: Counts::default(),
            last: no_statistics(),
        };
        queue.refill(&mut setup.region.cache());
        queue
    }

    /// Lends the kernel frames up to `rx_frames`, as far as there are any.
    #[inline]
    fn refill(&mut self, frames: &mut FrameCache) {
        let missing = self.rx_frames - self.ledger.receiving();
        if missing < FILL_BATCH {
            return;
        }
        let Some(socket) = &mut self.socket else { return };
        let room = socket.fill.free(missing as u32);
        for _ in 0..room {
            let Some(frame) = frames.take() else { break };
            self.ledger.lend(frame);
            socket.fill.push(self.chunks.fill_address(frame));
        }
        socket.fill.publish();
    }

    /// Nothing has come: whoever waits for a system call gets one.
    #[cold]
    fn ask_for_packets(&mut self) {
        let Some(socket) = &self.socket else { return };
        if self.busy_polls || socket.zero_copy() && socket.fill.needs_wakeup() {
            self.counts.rx_calls += 1;
            socket.poll_driver();
        }
    }

    fn statistics(&self) -> libc::xdp_statistics {
        self.socket.as_ref().and_then(Socket::statistics).unwrap_or(self.last)
    }
}

impl Device for Queue {
    fn rx_burst(&mut self, frames: &mut FrameCache, burst: &mut [Mbuf]) -> usize {
        if self.watch.due() {
            self.watch.look();
        }
        let Some(socket) = &mut self.socket else { return 0 };
        let ready = socket.rx.ready(burst.len() as u32);
        self.quiet = ready == 0;
        if self.quiet {
            self.refill(frames);
            self.ask_for_packets();
            return 0;
        }
        let timestamp_ns = clock::wall_ns();
        let mut count = 0;
        for _ in 0..ready {
            let entry = socket.rx.pop();
            let (frame, offset) = self.chunks.place(entry.addr);
            self.ledger.received(frame);
            let length = entry.len as u16;
            if usize::from(length) < PACKET_BYTES_MIN {
                self.counts.too_short += 1;
                self.counts.too_short_bytes += u64::from(length);
                frames.give(frame);
                continue;
            }
            let port = self.traits.port;
            let mbuf = Mbuf { frame, offset, length, port, timestamp_ns, ..Mbuf::default() };
            if self.traits.completes_checksums {
                // SAFETY: the packet lies within its frame, which the kernel has given back.
                let completed =
                    unsafe { checksum::complete(self.region.data(&mbuf), length.into()) };
                self.counts.checksums += u64::from(completed);
            }
            burst[count] = mbuf;
            count += 1;
        }
        socket.rx.release();
        self.refill(frames);
        count
    }

    fn tx_burst(&mut self, frames: &mut FrameCache, burst: &[Mbuf]) -> usize {
        self.send(frames, burst)
    }

    fn reclaim(&mut self, frames: &mut FrameCache) {
        self.take_back(frames);
    }

    /// Packets that wait for a link do not count: nobody knows how long.
    fn in_flight(&self) -> usize {
        if self.refusing_until_ns == 0 { self.ledger.transmitting() } else { 0 }
    }

    /// As receive side scaling does.
    fn keeps_flows(&self) -> bool {
        true
    }

    fn stats(&self, stats: &mut DeviceStats) {
        let (counts, kernel) = (&self.counts, self.statistics());
        *stats = DeviceStats { link_up: self.watch.link().up, ..DeviceStats::default() };
        // In copy mode every packet without a frame counts under both; in zero copy the driver
        // only tries again later.
        let no_frame = kernel.rx_fill_ring_empty_descs.min(kernel.rx_dropped);
        stats.rx_drops[DropReason::NoFrame as usize] = no_frame + kernel.rx_ring_full;
        stats.rx_drops[DropReason::TooLong as usize] = kernel.rx_dropped - no_frame;
        stats.rx_drops[DropReason::TooShort as usize] = counts.too_short;
        stats.rx_drop_bytes = counts.too_short_bytes;
        stats.tx_errors = counts.tx_errors;
        let native = self.claim.as_ref().is_some_and(|claim| claim.mode() == AttachMode::Native);
        let xstats = [
            native.into(),
            self.socket.as_ref().is_some_and(Socket::zero_copy).into(),
            kernel.rx_dropped,
            kernel.rx_ring_full,
            kernel.rx_fill_ring_empty_descs,
            kernel.rx_invalid_descs,
            kernel.tx_invalid_descs,
            counts.tx_dropped,
            counts.tx_calls,
            counts.rx_calls,
            counts.checksums,
            self.ledger.receiving() as u64,
            self.ledger.transmitting() as u64,
        ];
        stats.xstats[..xstats.len()].copy_from_slice(&xstats);
    }

    fn xstat_names(&self) -> &'static [&'static str] {
        XSTATS
    }

    fn tx_limits(&self) -> TxLimits {
        // A packet that is sent may lie anywhere in its frame, but not be longer than it.
        let max_bytes = (self.watch.link().mtu + HEADER_BYTES).min(self.region.frame_bytes());
        TxLimits { padded_bytes: PACKET_BYTES_PADDED, max_bytes }
    }

    fn mac(&self) -> [u8; 6] {
        self.traits.mac
    }

    fn mtu(&self) -> usize {
        self.watch.link().mtu
    }

    fn promiscuous(&self) -> bool {
        self.traits.promiscuous || self.watch.link().promiscuous
    }

    fn idle(&self) -> Idle {
        match &self.socket {
            // A socket whose interface is gone is always readable, and never gives anything.
            _ if self.watch.gone() => Idle::Waker,
            None => Idle::Waker,
            Some(_) if self.ledger.receiving() == 0 => Idle::Until(clock::now_ns() + STARVED_NS),
            Some(socket) => Idle::Readable(socket.raw_fd()),
        }
    }

    fn finished(&self) -> bool {
        self.socket.is_none() || self.watch.gone() && self.quiet
    }

    fn take_error(&mut self) -> Option<Error> {
        if self.watch.stale() {
            self.watch.look();
        }
        self.watch.take_error()
    }

    fn close(&mut self, frames: &mut FrameCache) -> Result<(), Error> {
        let until_ns = clock::now_ns() + CLOSE_NS;
        while self.in_flight() > 0 && self.socket.is_some() && clock::now_ns() < until_ns {
            self.reclaim(frames);
            std::thread::yield_now();
        }
        self.last = self.statistics();
        self.socket = None;
        self.claim = None;
        self.counts.tx_errors += self.ledger.settle(frames) as u64;
        Ok(())
    }
}

impl Drop for Queue {
    /// A port that was opened and never started still gives its frames back.
    fn drop(&mut self) {
        self.socket = None;
        if self.ledger.receiving() + self.ledger.transmitting() > 0 {
            self.ledger.settle(&mut self.region.cache());
        }
    }
}
