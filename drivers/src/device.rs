//! The contract between lcores and devices.

use std::os::fd::RawFd;
use std::sync::Arc;

use wirelet_abi::histogram::BUCKETS;
use wirelet_abi::limits::{DROP_REASONS_MAX, XSTATS_MAX};
use wirelet_abi::{DropReason, Error};
use wirelet_packet::{FrameCache, Mbuf, Region, Waker};

use crate::rules::Rule;

/// One queue of a port: receives into frames, sends out of frames. Owned by one lcore; no method is
/// called by two threads at once, and `rx_burst` and `tx_burst` allocate nothing and take no lock.
///
/// Whoever holds an [`Mbuf`] owns its frame. A device owns the frames it was given by `tx_burst`
/// until it has sent them, and then gives them back to the cache: in `tx_burst` itself when it
/// sends at once, else in `reclaim`.
pub trait Device: Send {
    /// Receives up to `burst.len()` packets, in order; returns how many. Fills every field but
    /// `egress`, `mark` (where no rule in hardware says one) and `scratch`, which are 0, and writes
    /// `port`. Packets that it can't
    /// deliver (too long, no frame, ...) it counts in `stats`. Timestamps of files are those of the
    /// file; those of interfaces are ns since the epoch; others are of the monotonic clock.
    fn rx_burst(&mut self, frames: &mut FrameCache, burst: &mut [Mbuf]) -> usize;

    /// Sends the first n packets of `burst`, in order, and returns n; the rest stay the caller's. A
    /// packet that was taken but can't be written (disk full) counts in `tx_errors`.
    fn tx_burst(&mut self, frames: &mut FrameCache, burst: &[Mbuf]) -> usize;

    /// Receives a burst and sends it by `to` at once, where both are of one kind and know how: for
    /// packets that nobody looks at in between. Else it receives, as [`Device::rx_burst`] does.
    fn pass_burst(
        &mut self,
        _to: &dyn Device,
        frames: &mut FrameCache,
        burst: &mut [Mbuf],
    ) -> Passage {
        Passage::Received(self.rx_burst(frames, burst))
    }

    /// What another device needs to send by this one in its `pass_burst`.
    fn tx_handle(&self) -> Option<TxHandle> {
        None
    }

    /// Gives frames of packets that were sent meanwhile back to the cache.
    fn reclaim(&mut self, _frames: &mut FrameCache) {}

    /// Writes out what it has collected. The lcore calls this when it publishes its counters and
    /// before it sleeps.
    fn flush(&mut self) {}

    /// Tells it how to wake the lcore that owns it, once, before the first burst. For devices that
    /// receive from another lcore, and those that may be back after their end.
    fn set_waker(&mut self, _waker: Arc<Waker>) {}

    /// The calling thread owns it from now on, pinned where the config says so: called once, before
    /// the first burst. `close` runs on the same thread.
    fn enter(&mut self) {}

    /// Packets whose frames it holds: given to it and not sent, or received and not delivered. What
    /// crosses a ring counts at the end that will receive it.
    fn in_flight(&self) -> usize {
        0
    }

    /// Whether what it receives comes from another port of this appliance: then a stop that drains
    /// goes on receiving from it.
    fn internal(&self) -> bool {
        false
    }

    /// Whether packets of one flow and direction all come to the same of its queues.
    fn keeps_flows(&self) -> bool {
        false
    }

    /// Everything it counts; absolute values, written over `stats`.
    fn stats(&self, stats: &mut DeviceStats);

    /// Names of `stats.xstats`, by index.
    fn xstat_names(&self) -> &'static [&'static str] {
        &[]
    }

    /// Which packets may be sent; asked again now and then, because an MTU changes.
    fn tx_limits(&self) -> TxLimits {
        TxLimits::FILE
    }

    /// Its MAC address; zeros where there is none.
    fn mac(&self) -> [u8; 6] {
        [0; 6]
    }

    /// The interface's MTU: bytes behind the Ethernet header; 0 where there is none.
    fn mtu(&self) -> usize {
        0
    }

    /// Whether it receives packets for every MAC address.
    fn promiscuous(&self) -> bool {
        false
    }

    /// Asked once, before the first burst: true for a device that writes down what became of
    /// packets (`capture`). From then on it is told, by [`Device::note`].
    fn take_notes(&mut self) -> bool {
        false
    }

    /// What became of a packet, by its place in the last `rx_burst`. Called for each of them, in
    /// order, before the next `rx_burst`; their frames may be gone.
    fn note(&mut self, _place: usize, _note: &str) {}

    /// Asked once, of the first queue of a port before any burst: has the hardware carry out
    /// `rules`, all of them and for all queues, or none. Packets that were received before may
    /// still come. `loose` lets the hardware read packets its own way where it can't look as deep
    /// as the rules mean. Returns whether it counts hits.
    ///
    /// # Errors
    /// Why not: a sentence's end for people.
    fn take_rules(&mut self, _rules: &[Rule], _loose: bool) -> Result<bool, String> {
        Err("the device has no rules of its own".into())
    }

    /// What the hardware has counted, by rule; absolute values. Where `take_rules` said so.
    fn rule_hits(&self, _hits: &mut [u64]) {}

    /// How an lcore that found nothing to do may wait for it.
    fn idle(&self) -> Idle;

    /// Whether it will never receive again (a file at its end), as far as it knows: a device that
    /// was taken out may be back after a call of [`Device::take_error`].
    fn finished(&self) -> bool {
        false
    }

    /// The error that stopped it since the last call, for the host's log. Asked whenever counters
    /// are published, between two bursts: then a device that is back is taken again, too.
    fn take_error(&mut self) -> Option<Error> {
        None
    }

    /// Sends what it has buffered, closes files and sockets, and gives every frame back.
    ///
    /// # Errors
    /// What it could not write.
    fn close(&mut self, frames: &mut FrameCache) -> Result<(), Error>;
}

/// What a device counts, absolute values since it was opened.
#[derive(Clone, Debug)]
pub struct DeviceStats {
    /// Packets that came in but were not delivered, by [`DropReason`]; reasons of the edge only.
    pub rx_drops: [u64; DROP_REASONS_MAX],
    /// Bytes of them.
    pub rx_drop_bytes: u64,
    /// Packets that `tx_burst` took and that could not be sent.
    pub tx_errors: u64,
    /// Extra statistics, named by [`Device::xstat_names`].
    pub xstats: [u64; XSTATS_MAX],
    /// Whether the link is up.
    pub link_up: bool,
    /// Latency of packets that arrived here, in ns, where the device measures it.
    pub latency_ns: [u64; BUCKETS],
}

impl Default for DeviceStats {
    fn default() -> Self {
        DeviceStats {
            rx_drops: [0; DROP_REASONS_MAX],
            rx_drop_bytes: 0,
            tx_errors: 0,
            xstats: [0; XSTATS_MAX],
            link_up: true,
            latency_ns: [0; BUCKETS],
        }
    }
}

impl DeviceStats {
    /// Counts one packet of `bytes` that was dropped at the edge.
    #[inline]
    pub fn drop_at_edge(&mut self, reason: DropReason, bytes: u64) {
        debug_assert!(reason.at_edge());
        self.rx_drops[reason as usize] += 1;
        self.rx_drop_bytes += bytes;
    }
}

/// What [`Device::pass_burst`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// So many packets are in the burst, nothing was sent.
    Received(usize),
    /// Nothing is in the burst.
    Passed(Passed),
}

/// Packets that went from one device to another at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// How many were received.
    pub packets: usize,
    /// Bytes of them.
    pub bytes: u64,
    /// Of them, those that the other device took; it had no room for the others, which are gone.
    pub sent: usize,
    /// Bytes of these.
    pub sent_bytes: u64,
}

/// A queue, to another queue of its driver.
#[derive(Clone, Copy, Debug)]
pub struct TxHandle {
    /// Good for as long as the device is borrowed.
    pub(crate) queue: *mut std::ffi::c_void,
    /// Which packets it sends.
    pub(crate) limits: TxLimits,
}

/// How an lcore that found nothing to do may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// Not at all: it must be polled.
    Poll,
    /// Until this descriptor is readable.
    Readable(RawFd),
    /// Until the monotonic clock shows this, in ns.
    Until(u64),
    /// It receives only what another lcore gives it, and wakes this lcore then; or never again.
    Waker,
}

/// Which packets a device can send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TxLimits {
    /// Shorter ones are padded to this with zeros; 0 for none.
    pub padded_bytes: usize,
    /// Longer ones are dropped with reason `tx_too_long`.
    pub max_bytes: usize,
}

impl TxLimits {
    /// Files and memory: bytes as they are, up to 65,535.
    pub const FILE: TxLimits = TxLimits { padded_bytes: 0, max_bytes: u16::MAX as usize };
}

/// What a device needs when it opens.
#[derive(Clone, Debug)]
pub struct OpenContext {
    /// Its frames.
    pub region: Arc<Region>,
    /// Its port's number, which it writes into every packet.
    pub port: u16,
    /// Queues that the config asks for, at least 1.
    pub queues: usize,
}
