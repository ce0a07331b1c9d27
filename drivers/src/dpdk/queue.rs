//! A receive and a transmit queue of a DPDK port: the device that an lcore owns.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use wirelet_abi::limits::PACKET_BYTES_PADDED;
use wirelet_abi::plugin::{self, QueueStats, Table};
use wirelet_abi::{DropReason, Error, ErrorCode};
use wirelet_packet::{FrameCache, Mbuf, Waker};

use super::flows;
use super::pool::Pool;
use super::port::{Port, Taken};
use super::seen::{LINEARIZED, Seen, TAGS_RESTORED};
use crate::{Device, DeviceStats, Idle, Passage, Passed, Rule, TxHandle, TxLimits};

/// Bytes before the MTU: an Ethernet header and a VLAN tag.
const HEADER_BYTES: usize = 18;
/// How long a close waits for packets that are still on their way out.
const FLUSH_MAX: Duration = Duration::from_millis(100);

pub(super) struct DpdkQueue {
    table: &'static Table,
    raw: *mut plugin::Queue,
    index: u16,
    port: Arc<Port>,
    /// `None` while it must not call the plugin: its device is gone, or it is closed.
    pool: Option<Arc<Pool>>,
    /// Which of the port's devices it has, or had last.
    device: u64,
    /// The port's news as it knows them.
    news: u64,
    /// What it had counted when it let go of a device last.
    last: QueueStats,
    /// Packets that were sent to a device that is gone.
    lost: u64,
    /// Whether this queue made its thread one of DPDK's lcores.
    entered: bool,
    /// The device was taken out.
    gone: bool,
    closed: bool,
}

// SAFETY: `raw` is this queue's alone, and one thread at a time has it.
unsafe impl Send for DpdkQueue {}

thread_local! {
    /// Queues of this thread, all of which need it to be one of DPDK's lcores.
    static ENTERED: Cell<usize> = const { Cell::new(0) };
}

impl DpdkQueue {
    pub(super) fn device(port: Arc<Port>, index: u16) -> Box<dyn Device> {
        let news = port.news();
        let Taken { device, queue: raw, pool } = port.take(index, None).expect("a new port");
        Box::new(DpdkQueue {
            table: port.eal().table(),
            raw,
            index,
            pool: Some(pool),
            device,
            news,
            port,
            // SAFETY: all zeros are a QueueStats: it is integers.
            last: unsafe { std::mem::zeroed() },
            lost: 0,
            entered: false,
            gone: false,
            closed: false,
        })
    }

    fn counts(&self) -> QueueStats {
        if self.pool.is_none() {
            return self.last;
        }
        // SAFETY: all zeros are a QueueStats: it is integers.
        let mut counts: QueueStats = unsafe { std::mem::zeroed() };
        // SAFETY: the queue is open and ours.
        unsafe { (self.table.read_queue)(self.raw, &raw mut counts) };
        sum(&self.last, &counts)
    }

    /// Calls the plugin no more; whether it did until now.
    fn leave(&mut self) -> bool {
        self.last = self.counts();
        self.pool.take().is_some()
    }

    /// The port says that its device is back, or why it is not. The lcore owns the device from here
    /// on: between two bursts, as it has left it.
    #[cold]
    fn take_news(&mut self) -> Option<Error> {
        self.news = self.port.news();
        if let Some(Taken { device, queue, pool }) = self.port.take(self.index, Some(self.device)) {
            (self.device, self.raw, self.pool) = (device, queue, Some(pool));
            self.gone = false;
        }
        if self.index == 0 { self.port.take_refused() } else { None }
    }

    /// Lets packets leave, then gives the queue back. The last one of a port closes it.
    fn end(&mut self) -> Result<(), Error> {
        if std::mem::replace(&mut self.closed, true) {
            return Ok(());
        }
        let started = Instant::now();
        // SAFETY: the queue is open and ours.
        while self.pool.is_some() && unsafe { (self.table.tx_pending)(self.raw) } {
            if started.elapsed() > FLUSH_MAX {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let used = self.leave();
        let closed = self.port.close_queue(self.device, used);
        if std::mem::take(&mut self.entered) {
            ENTERED.set(ENTERED.get() - 1);
            if ENTERED.get() == 0 {
                // SAFETY: `enter` has registered this thread.
                unsafe { (self.table.unregister_thread)() };
            }
        }
        closed
    }

    /// What the last look at the port found.
    fn seen(&self, what: impl Fn(&Seen) -> &AtomicU64) -> u64 {
        what(self.port.seen()).load(Ordering::Relaxed)
    }

    /// Packets for a device that is gone: taken, and never sent.
    #[cold]
    fn lose(&mut self, frames: &mut FrameCache, burst: &[Mbuf]) -> usize {
        if !self.gone {
            return 0;
        }
        frames.give_burst(burst);
        self.lost += burst.len() as u64;
        burst.len()
    }
}

fn sum(one: &QueueStats, other: &QueueStats) -> QueueStats {
    QueueStats {
        too_short: one.too_short + other.too_short,
        too_long: one.too_long + other.too_long,
        unsupported: one.unsupported + other.unsupported,
        drop_bytes: one.drop_bytes + other.drop_bytes,
        linearized: one.linearized + other.linearized,
        tags_restored: one.tags_restored + other.tags_restored,
    }
}

impl Device for DpdkQueue {
    /// Lcores of DPDK's have caches of mbufs; other threads ask the region for each.
    fn enter(&mut self) {
        // SAFETY: EAL runs. Where it has no room for more lcores, this one is slower.
        let registered = ENTERED.get() > 0 || unsafe { (self.table.register_thread)() };
        if registered {
            ENTERED.set(ENTERED.get() + 1);
            self.entered = true;
        }
    }

    #[inline]
    fn rx_burst(&mut self, frames: &mut FrameCache, burst: &mut [Mbuf]) -> usize {
        let Some(pool) = &self.pool else { return 0 };
        let room = burst.len().min(usize::from(u16::MAX)) as u16;
        // SAFETY: the queue is open and ours; `burst` has room for that many, and `frames` is
        // touched by nobody but the pool's calls until this returns.
        let count = unsafe {
            let cache = (&raw mut *frames).cast();
            (self.table.rx_burst)(self.raw, cache, burst.as_mut_ptr().cast(), room)
        };
        pool.check();
        count.into()
    }

    #[inline]
    fn pass_burst(
        &mut self,
        to: &dyn Device,
        frames: &mut FrameCache,
        burst: &mut [Mbuf],
    ) -> Passage {
        let (Some(pool), Some(handle)) = (&self.pool, to.tx_handle()) else {
            return Passage::Received(self.rx_burst(frames, burst));
        };
        let room = burst.len().min(usize::from(u16::MAX)) as u16;
        let mut passed = plugin::Passed {
            shortest: handle.limits.padded_bytes as u16,
            longest: handle.limits.max_bytes.min(usize::from(u16::MAX)) as u16,
            packets: 0,
            sent: 0,
            reserved: 0,
            bytes: 0,
            sent_bytes: 0,
        };
        // SAFETY: as in `rx_burst`. Only queues of DPDK's have a handle; that of `to` is open, and
        // this lcore's alone, as `to` is. An lcore's ports are of one region, so of one pool.
        let count = unsafe {
            let cache = (&raw mut *frames).cast();
            let (to, out) = (handle.queue.cast(), burst.as_mut_ptr().cast());
            (self.table.pass_burst)(self.raw, to, cache, out, room, &raw mut passed)
        };
        pool.check();
        if passed.packets == 0 {
            return Passage::Received(count.into());
        }
        Passage::Passed(Passed {
            packets: passed.packets as usize,
            bytes: passed.bytes,
            sent: passed.sent as usize,
            sent_bytes: passed.sent_bytes,
        })
    }

    fn set_waker(&mut self, waker: Arc<Waker>) {
        self.port.add_waker(waker);
    }

    fn tx_handle(&self) -> Option<TxHandle> {
        self.pool.as_ref()?;
        Some(TxHandle { queue: self.raw.cast(), limits: self.tx_limits() })
    }

    #[inline]
    fn tx_burst(&mut self, frames: &mut FrameCache, burst: &[Mbuf]) -> usize {
        let Some(pool) = &self.pool else { return self.lose(frames, burst) };
        let count = burst.len().min(usize::from(u16::MAX)) as u16;
        // SAFETY: as in `rx_burst`; the caller owns the frames of all these packets.
        let sent = unsafe {
            let cache = (&raw mut *frames).cast();
            (self.table.tx_burst)(self.raw, cache, burst.as_ptr().cast(), count)
        };
        pool.check();
        sent.into()
    }

    /// Before an lcore sleeps or publishes: frames of sent packets come home even when no more are
    /// sent. Drivers otherwise free them when they need the descriptors.
    fn flush(&mut self) {
        if self.pool.is_some() {
            // SAFETY: the queue is open and ours. Without a cache, frames go to the shared stock.
            unsafe { (self.table.tx_cleanup)(self.raw, std::ptr::null_mut()) };
        }
    }

    fn in_flight(&self) -> usize {
        // SAFETY: the queue is open and ours.
        usize::from(self.pool.is_some() && unsafe { (self.table.tx_pending)(self.raw) })
    }

    fn keeps_flows(&self) -> bool {
        self.port.spreads_flows()
    }

    fn stats(&self, stats: &mut DeviceStats) {
        *stats = DeviceStats::default();
        let counts = self.counts();
        for (reason, count) in [
            (DropReason::TooShort, counts.too_short),
            (DropReason::TooLong, counts.too_long),
            (DropReason::Unsupported, counts.unsupported),
        ] {
            stats.rx_drops[reason as usize] = count;
        }
        stats.rx_drop_bytes = counts.drop_bytes;
        stats.tx_errors = self.lost;
        // Of a device that is back, each lcore tells the link once it has its queue.
        stats.link_up = !self.gone && self.seen(|seen| &seen.link_up) != 0;
        // Queues are summed up: what is of the port stands in the first.
        if self.index == 0 {
            self.port.seen().read_xstats(&mut stats.xstats);
        }
        stats.xstats[LINEARIZED] = counts.linearized;
        stats.xstats[TAGS_RESTORED] = counts.tags_restored;
    }

    fn xstat_names(&self) -> &'static [&'static str] {
        self.port.xstat_names()
    }

    fn tx_limits(&self) -> TxLimits {
        let max_bytes = self.mtu() + HEADER_BYTES;
        TxLimits { padded_bytes: PACKET_BYTES_PADDED, max_bytes }
    }

    fn mac(&self) -> [u8; 6] {
        self.port.seen().mac()
    }

    fn mtu(&self) -> usize {
        self.seen(|seen| &seen.mtu) as usize
    }

    fn promiscuous(&self) -> bool {
        self.seen(|seen| &seen.promiscuous) != 0
    }

    fn take_rules(&mut self, rules: &[Rule], loose: bool) -> Result<bool, String> {
        self.port.take_flows(flows::of_rules(rules, loose)?)
    }

    fn rule_hits(&self, hits: &mut [u64]) {
        // Queues are summed up.
        if self.index == 0 {
            self.port.seen().read_hits(hits);
        }
    }

    fn idle(&self) -> Idle {
        if self.finished() { Idle::Waker } else { Idle::Poll }
    }

    fn finished(&self) -> bool {
        self.pool.is_none()
    }

    fn take_error(&mut self) -> Option<Error> {
        if self.port.news() != self.news && !self.closed {
            return self.take_news();
        }
        if self.port.removed() && !self.gone {
            self.gone = true;
            // The kernel waits for it. Frames that its driver has come back.
            if self.leave() {
                self.port.leave_queue();
            }
            // One queue speaks for the port.
            if self.index == 0 {
                let message = format!("dpdk:{}: the device was taken out", self.port.name());
                return Some(Error::new(ErrorCode::InterfaceGone, message));
            }
        }
        None
    }

    fn close(&mut self, _frames: &mut FrameCache) -> Result<(), Error> {
        self.end()
    }
}

impl Drop for DpdkQueue {
    fn drop(&mut self) {
        // Another port of the appliance did not open, and this one was never closed. What goes
        // wrong now has nobody to be told.
        let _ = self.end();
    }
}
