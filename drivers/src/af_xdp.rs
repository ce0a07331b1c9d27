//! `af_xdp:eth0`: a queue of an interface, its packets received straight into frames.
//!
//! | option | default | |
//! |---|---|---|
//! | `queue` | 0 | first queue; a port of several queues takes those that follow |
//! | `mode` | auto | `zerocopy`: nobody copies, or it does not open; `copy`: the kernel copies |
//! | `attach` | auto | `native`: the driver runs the XDP program; `generic`: the kernel does |
//! | `match` | all | packets that are ours, the others stay the kernel's: [`rules`] |
//! | `rx` | 1024 | frames that wait for packets, a power of two |
//! | `tx` | 1024 | packets that may be on their way out, a power of two |
//! | `checksum` | auto | `complete` what local senders left undone, or `trust` them |
//! | `busy-poll` | off | µs: the lcore drives the driver, not interrupts |
//! | `busy-budget` | 64 | packets of one busy poll |
//! | `promiscuous` | true | packets for every MAC address |
//!
//! The UMEM is the region, so a received packet is where programs see it, without a conversion and,
//! in zero copy, without a copy. Our XDP program is on the interface as long as this process
//! lives; one that is there already is never replaced. See docs/design/af-xdp.md.

mod assembler;
mod bpf;
mod btf;
mod checksum;
mod frames;
mod hold;
mod netlink;
mod options;
mod program;
mod promiscuous;
mod ring;
mod rules;
mod socket;

use std::sync::Arc;

use wirelet_abi::limits::{PACKET_BYTES_MIN, PACKET_BYTES_PADDED};
use wirelet_abi::{DropReason, Error, ErrorCode};
use wirelet_packet::{FrameCache, Mbuf, Region, clock};

use crate::interface::{Interface, LinkWatch};
use crate::{Device, DeviceStats, Idle, OpenContext, Spec, TxLimits};
use bpf::AttachMode;
use frames::{Chunks, Ledger};
use hold::Claim;
use options::{Checksum, Options};
use promiscuous::Promiscuous;
use socket::{Kick, Setup, Socket};

/// Bytes before the MTU: an Ethernet header and a VLAN tag.
const HEADER_BYTES: usize = 18;
/// Frames that are put into the fill ring at once, at least: its counter is a cache line that the
/// kernel reads on another CPU.
const FILL_BATCH: usize = 16;
/// How long an lcore may sleep when nothing can be received for want of frames.
const STARVED_NS: u64 = 1_000_000;
/// How long an interface that takes no packets is left alone.
const REFUSE_NS: u64 = 1_000_000;
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

/// One queue.
struct XdpDevice {
    region: Arc<Region>,
    port: u16,
    chunks: Chunks,
    ledger: Ledger,
    /// `None` after close. Dropped before `claim`: first no packet comes, then the program goes.
    socket: Option<Socket>,
    claim: Option<Claim>,
    /// The first queue's asks for all of them.
    _membership: Option<Promiscuous>,
    promiscuous: bool,
    watch: LinkWatch,
    mac: [u8; 6],
    rx_frames: usize,
    tx_frames: usize,
    completes_checksums: bool,
    busy_polls: bool,
    /// The last poll has found nothing.
    quiet: bool,
    /// The kernel has not taken everything from the transmit ring.
    unsent: bool,
    /// The interface takes nothing before that time, when we ask again. 0 while it does.
    refusing_until_ns: u64,
    counts: Counts,
    /// The kernel's counts when the socket was closed.
    last: libc::xdp_statistics,
}

/// What it counts itself.
#[derive(Default)]
struct Counts {
    too_short: u64,
    too_short_bytes: u64,
    tx_dropped: u64,
    tx_errors: u64,
    tx_calls: u64,
    rx_calls: u64,
    checksums: u64,
}

/// Opens as many queues as the config asks for and the interface has, from `queue` on.
pub(crate) fn open(spec: &Spec, context: &OpenContext) -> Result<Vec<Box<dyn Device>>, Error> {
    let options = Options::parse(spec, context)?;
    let chunks = Chunks::of(&context.region)?;
    if options.mode == options::Mode::ZeroCopy && !chunks.aligned() {
        let bytes = context.region.frame_bytes();
        let message = format!("af_xdp: zero copy takes frames of 2048 or 4096 bytes, not {bytes}");
        return Err(Error::new(ErrorCode::FrameSize, message));
    }
    let interface = Interface::find(&spec.target)?;
    let mac = interface.mac()?;
    let mut watch = LinkWatch::new(interface)?;
    check_mtu(&watch, chunks)?;
    let index = watch.interface().index();
    let first = options.first_queue;
    let last = (first + context.queues as u32).min(options::QUEUES_MAX);
    let claims = hold::claim(watch.interface(), options.attach, first..last, &options.rules)?;
    let attached = claims[0].mode();
    let setup = Setup {
        region: &context.region,
        chunks,
        interface: &spec.target,
        index,
        attached,
        options: &options,
        queues: claims.len(),
    };
    let completes_checksums = completes_checksums(options.checksum, attached, index);
    let mut devices: Vec<Box<dyn Device>> = Vec::new();
    for claim in claims {
        let Some(socket) = Socket::open(&setup, claim.queue())? else { break };
        claim.give(socket.fd()).map_err(|error| {
            crate::interface::open_error(&spec.target, "to receive by its XDP program", &error)
        })?;
        let mut device = XdpDevice {
            region: Arc::clone(&context.region),
            port: context.port,
            chunks,
            ledger: Ledger::new(context.region.frames()),
            socket: Some(socket),
            claim: Some(claim),
            _membership: match options.promiscuous && devices.is_empty() {
                true => Some(Promiscuous::new(watch.interface())?),
                false => None,
            },
            promiscuous: options.promiscuous,
            watch,
            mac,
            rx_frames: options.rx_frames as usize,
            tx_frames: options.tx_frames as usize,
            completes_checksums,
            busy_polls: options.busy_poll.is_some(),
            quiet: true,
            unsent: false,
            refusing_until_ns: 0,
            counts: Counts::default(),
            last: no_statistics(),
        };
        // What arrives before the first burst waits.
        device.refill(&mut context.region.cache());
        devices.push(Box::new(device));
        watch = LinkWatch::new(Interface::find(&spec.target)?)?;
    }
    if devices.is_empty() {
        let message = format!("`{}` has no queue {first}, or can't bind it", spec.target);
        return Err(Error::new(ErrorCode::Interface, message));
    }
    Ok(devices)
}

/// Every packet that the MTU allows must fit into a frame.
fn check_mtu(watch: &LinkWatch, chunks: Chunks) -> Result<(), Error> {
    let (mtu, room) = (watch.link().mtu, chunks.room());
    if mtu + HEADER_BYTES <= room {
        return Ok(());
    }
    let message = format!(
        "`{}` has an MTU of {mtu}; frames of {} bytes have room for {}: set larger frames (4096 at \
         most), or `ip link set {0} mtu 1500`",
        watch.interface().name(),
        room + frames::HEADROOM_BYTES,
        room - HEADER_BYTES,
    );
    Err(Error::new(ErrorCode::FrameSize, message))
}

/// Senders on this machine leave checksums to the interface when it is virtual; in generic mode
/// any driver may hand over such packets.
fn completes_checksums(option: Checksum, attached: AttachMode, index: i32) -> bool {
    match option {
        Checksum::Complete => true,
        Checksum::Trust => false,
        Checksum::Auto => {
            let kind = netlink::describe(index).ok().and_then(|found| found.kind);
            attached == AttachMode::Generic || kind.is_some()
        }
    }
}

fn no_statistics() -> libc::xdp_statistics {
    // SAFETY: integers, for which all zeros is a value.
    unsafe { std::mem::zeroed() }
}

impl XdpDevice {
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

    /// Takes back frames of packets that are sent.
    #[inline]
    fn complete(&mut self, frames: &mut FrameCache) {
        let outstanding = self.ledger.transmitting() as u32;
        let Some(socket) = &mut self.socket else { return };
        if outstanding == 0 {
            return;
        }
        let done = socket.completion.ready(outstanding);
        for _ in 0..done {
            let (frame, _) = self.chunks.place(socket.completion.pop());
            self.ledger.sent(frame);
            frames.give(frame);
        }
        if done > 0 {
            socket.completion.release();
        }
    }

    /// Has the kernel send what is in the transmit ring, as long as it gets on.
    fn kick(&mut self) {
        let Some(socket) = &mut self.socket else { return };
        self.unsent = socket.zero_copy() && socket.tx.pending() > 0;
        if socket.zero_copy() && !socket.tx.needs_wakeup() {
            return;
        }
        let (mut patience, dropped_before) = (socket.calls_per_burst(), self.counts.tx_dropped);
        // Each call sends a packet, or uses up patience: this ends.
        for _ in 0..=self.tx_frames {
            let done_before = socket.completion.written();
            self.counts.tx_calls += 1;
            match socket.kick() {
                Kick::Done => {
                    if self.counts.tx_dropped != dropped_before {
                        self.look_for_carrier();
                    }
                    return;
                }
                Kick::Dropped => {
                    self.counts.tx_dropped += 1;
                    self.counts.tx_errors += 1;
                }
                Kick::Again if socket.completion.written() != done_before => {}
                Kick::Again if patience > 1 => patience -= 1,
                Kick::Again => break,
                Kick::Down => {
                    self.refuse_for_now();
                    break;
                }
                Kick::Gone => {
                    self.watch.lose();
                    self.refuse_for_now();
                    break;
                }
            }
        }
        self.unsent = true;
    }

    /// Packets were dropped by the driver, perhaps for want of a carrier.
    #[cold]
    fn look_for_carrier(&mut self) {
        if self.watch.stale() {
            self.watch.look();
        }
        if !self.watch.link().up {
            self.refusing_until_ns = clock::now_ns() + REFUSE_NS;
        }
    }

    #[cold]
    fn refuse_for_now(&mut self) {
        self.watch.look();
        self.refusing_until_ns = clock::now_ns() + REFUSE_NS;
    }

    /// Whether packets can't leave; asks the kernel again now and then. An interface that is down
    /// takes none; one that is up without a carrier drops them one by one, a system call each.
    #[inline]
    fn refuses(&mut self) -> bool {
        self.refusing_until_ns > 0 && self.still_refuses()
    }

    #[cold]
    fn still_refuses(&mut self) -> bool {
        let Some(socket) = &self.socket else { return true };
        if clock::now_ns() < self.refusing_until_ns {
            return true;
        }
        match socket.kick() {
            Kick::Down | Kick::Gone => self.refuse_for_now(),
            outcome => {
                let dropped = u64::from(outcome == Kick::Dropped);
                self.counts.tx_dropped += dropped;
                self.counts.tx_errors += dropped;
                self.refusing_until_ns = 0;
            }
        }
        self.refusing_until_ns > 0
    }

    /// Packets that can't leave now: the interface is down or gone.
    #[cold]
    fn refuse(&mut self, frames: &mut FrameCache, burst: &[Mbuf]) -> usize {
        frames.give_burst(burst);
        self.counts.tx_errors += burst.len() as u64;
        burst.len()
    }

    fn statistics(&self) -> libc::xdp_statistics {
        self.socket.as_ref().and_then(Socket::statistics).unwrap_or(self.last)
    }
}

impl Device for XdpDevice {
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
            let mbuf =
                Mbuf { frame, offset, length, port: self.port, timestamp_ns, ..Mbuf::default() };
            if self.completes_checksums {
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
        if self.refuses() {
            return self.refuse(frames, burst);
        }
        self.complete(frames);
        let room = self.tx_frames - self.ledger.transmitting();
        let Some(socket) = &mut self.socket else { return 0 };
        let room = socket.tx.free(room.min(burst.len()) as u32) as usize;
        for mbuf in &burst[..room] {
            let addr = self.chunks.send_address(mbuf);
            self.ledger.send(mbuf.frame);
            socket.tx.push(libc::xdp_desc { addr, len: mbuf.length.into(), options: 0 });
        }
        socket.tx.publish();
        if room > 0 {
            self.kick();
            self.complete(frames);
        }
        room
    }

    fn reclaim(&mut self, frames: &mut FrameCache) {
        if self.ledger.transmitting() == 0 {
            return;
        }
        self.complete(frames);
        if self.unsent && !self.refuses() {
            self.kick();
            self.complete(frames);
        }
    }

    /// Packets that wait for a link do not count: nobody knows how long.
    fn in_flight(&self) -> usize {
        if self.refusing_until_ns == 0 { self.ledger.transmitting() } else { 0 }
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
        self.mac
    }

    fn mtu(&self) -> usize {
        self.watch.link().mtu
    }

    fn promiscuous(&self) -> bool {
        self.promiscuous || self.watch.link().promiscuous
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

impl Drop for XdpDevice {
    /// A port that was opened and never started still gives its frames back.
    fn drop(&mut self) {
        self.socket = None;
        if self.ledger.receiving() + self.ledger.transmitting() > 0 {
            self.ledger.settle(&mut self.region.cache());
        }
    }
}
