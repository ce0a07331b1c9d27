//! What host and lcores tell each other while they run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use wirelet_packet::{Waker, clock};

use crate::errand::Mailbox;
use crate::rebuild::RebuildSender;
use crate::stats::PageHead;

/// What the host asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stop {
    /// Go on.
    No = 0,
    /// Receive no more, send what is inside, end.
    Drain = 1,
}

/// Shared by the host and all lcores.
pub struct Control {
    stop: AtomicU8,
    drain_until_ns: AtomicU64,
    /// One per lcore.
    pub lcores: Vec<LcoreControl>,
    /// Packets that were handed to another lcore, ever.
    pub handed_over: AtomicU64,
    /// Packets that were taken from another lcore, ever.
    pub taken_over: AtomicU64,
    /// Ports that exist, a bit each.
    pub ports: u64,
    /// Lcores whose threads were started.
    pub started: AtomicUsize,
    left: AtomicUsize,
    /// Where faulted programs go.
    pub rebuilds: RebuildSender,
    /// Rebuild at once, on the lcore.
    pub offline: bool,
    /// What the host reads of all lcores together.
    pub head: PageHead,
}

/// One lcore's part.
pub struct LcoreControl {
    /// Wakes it.
    pub waker: Arc<Waker>,
    /// What is asked of it.
    pub mailbox: Mailbox,
    /// An errand was sent and not taken back.
    pub errands_out: AtomicBool,
    /// All its devices are at their end and nothing is inside.
    pub finished: AtomicBool,
    drained: AtomicBool,
    /// Its thread has ended.
    pub ended: AtomicBool,
}

impl LcoreControl {
    /// An lcore that is about to start.
    pub fn new(waker: Arc<Waker>) -> LcoreControl {
        LcoreControl {
            waker,
            mailbox: Mailbox::default(),
            errands_out: AtomicBool::new(false),
            finished: AtomicBool::new(false),
            drained: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        }
    }
}

impl Control {
    /// Nothing is asked yet.
    pub fn new(
        lcores: Vec<LcoreControl>,
        ports: usize,
        rebuilds: RebuildSender,
        offline: bool,
        head: PageHead,
    ) -> Control {
        Control {
            stop: AtomicU8::new(Stop::No as u8),
            drain_until_ns: AtomicU64::new(0),
            started: AtomicUsize::new(0),
            left: AtomicUsize::new(0),
            lcores,
            handed_over: AtomicU64::new(0),
            taken_over: AtomicU64::new(0),
            ports: if ports >= 64 { u64::MAX } else { (1 << ports) - 1 },
            rebuilds,
            offline,
            head,
        }
    }

    /// What the host asks: one relaxed load.
    #[inline]
    pub fn stopping(&self) -> Stop {
        if self.stop.load(Ordering::Relaxed) == 0 { Stop::No } else { Stop::Drain }
    }

    /// The host: stop, within `drain_ns`. A second call can only shorten the time.
    pub fn stop(&self, drain_ns: u64) {
        let until_ns = clock::now_ns().saturating_add(drain_ns);
        let first = self.stop.load(Ordering::Relaxed) == 0;
        if first || until_ns < self.drain_until_ns.load(Ordering::Relaxed) {
            self.drain_until_ns.store(until_ns, Ordering::Relaxed);
        }
        self.stop.store(Stop::Drain as u8, Ordering::Release);
        self.lcores.iter().for_each(|lcore| lcore.waker.wake());
    }

    /// An lcore in its drain says whether anything is inside it; true when it may leave.
    pub fn drained(&self, lcore: usize, empty: bool) -> bool {
        self.lcores[lcore].drained.store(empty, Ordering::Release);
        let all = self.lcores.iter().all(|lcore| lcore.drained.load(Ordering::Acquire));
        all && self.handovers_settled()
            || clock::now_ns() >= self.drain_until_ns.load(Ordering::Relaxed)
    }

    /// An lcore has left its loop; returns when all have, so that nothing is handed over any more.
    pub fn leave(&self) {
        self.left.fetch_add(1, Ordering::AcqRel);
        while self.left.load(Ordering::Acquire) < self.started.load(Ordering::Acquire) {
            std::thread::sleep(Duration::from_micros(50));
        }
    }

    /// Whether every packet that was handed over has been taken.
    pub fn handovers_settled(&self) -> bool {
        let taken = self.taken_over.load(Ordering::Acquire);
        taken == self.handed_over.load(Ordering::Acquire)
    }

    /// Whether all inputs have ended and nothing is inside. Asked twice, because an lcore that
    /// looked finished may just have been given packets.
    pub fn finished(&self) -> bool {
        let look = || {
            self.lcores.iter().all(|lcore| lcore.finished.load(Ordering::Acquire))
                && self.handovers_settled()
        };
        let before = self.taken_over.load(Ordering::Acquire);
        look() && look() && before == self.taken_over.load(Ordering::Acquire)
    }
}
