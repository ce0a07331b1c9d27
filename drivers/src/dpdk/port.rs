//! A port of DPDK's, shared by its queues; the last one that lets go of it stops and unplugs it.

use std::array;
use std::ffi::CStr;
use std::ptr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wirelet_abi::limits::{RULES_MAX, XSTATS_MAX};
use wirelet_abi::plugin::{
    self, DRIVER_XSTATS_MAX, Flow, MESSAGE_BYTES, PortConfig, PortInfo, PortStats,
};
use wirelet_abi::{Error, ErrorCode};

use super::eal::{Eal, text};
use super::pool::Pool;

/// Statistics of every port, before those of its driver: first the port's, then its queues'.
const GENERAL: [&str; 7] = [
    "rx_missed",
    "rx_errors",
    "rx_no_frame",
    "tx_errors",
    "link_mbps",
    "linearized",
    "tags_restored",
];
/// Where the first one of a queue stands.
pub(super) const LINEARIZED: usize = 5;
pub(super) const TAGS_RESTORED: usize = 6;

#[derive(Debug)]
pub(super) struct Port {
    eal: &'static Eal,
    name: String,
    raw: *mut plugin::Port,
    queues: u16,
    spreads_flows: bool,
    mac: [u8; 6],
    names: &'static [&'static str],
    /// As the last look found it.
    seen: Seen,
    /// Queues that may still call the plugin.
    used_queues: AtomicUsize,
    /// Queues that nobody has closed.
    open_queues: AtomicUsize,
    /// Locked while somebody looks at it.
    held: Mutex<Held>,
}

/// What an open port has.
#[derive(Debug)]
struct Held {
    /// Whether DPDK has the port.
    plugged: bool,
    /// `None` once all queues are closed.
    pool: Option<Arc<Pool>>,
}

// SAFETY: `raw` is used on EAL's thread only; its queues, each by one lcore, have pointers of their
// own.
unsafe impl Send for Port {}
// SAFETY: as above.
unsafe impl Sync for Port {}

/// What an lcore may read without a call into DPDK.
#[derive(Debug)]
struct Seen {
    link_up: AtomicU64,
    mtu: AtomicU64,
    promiscuous: AtomicU64,
    removed: AtomicU64,
    xstats: [AtomicU64; LINEARIZED + DRIVER_XSTATS_MAX],
    rule_hits: [AtomicU64; RULES_MAX],
}

impl Port {
    /// Plugs and starts the device that `config` names.
    ///
    /// # Errors
    /// `WIRELET_E_DEVICE_OPEN`.
    pub(super) fn open(
        eal: &'static Eal,
        pool: &Arc<Pool>,
        name: &str,
        config: PortConfig,
    ) -> Result<Arc<Port>, Error> {
        let (table, config) = (eal.table(), Config(config));
        let opened = eal.run(move || {
            let config = config;
            let (mut raw, mut message) = (ptr::null_mut(), [0; MESSAGE_BYTES]);
            // SAFETY: all zeros are a PortInfo: it is integers.
            let mut info: PortInfo = unsafe { std::mem::zeroed() };
            // SAFETY: the config's pointers stay until this returns; the message has its room.
            let status = unsafe {
                (table.open_port)(&config.0, &raw mut raw, &raw mut info, message.as_mut_ptr())
            };
            if status == 0 { Ok((Raw(raw), info)) } else { Err(text(&message)) }
        });
        let opened = opened.inspect_err(|_| pool.spill());
        let failed = |message| Error::new(ErrorCode::DeviceOpen, format!("dpdk:{name}: {message}"));
        let (Raw(raw), info) = opened.map_err(failed)?;
        let port = Arc::new(Port {
            eal,
            name: name.into(),
            raw,
            queues: info.queues,
            spreads_flows: info.rss != 0,
            mac: info.mac,
            names: names_of(&info),
            seen: Seen::new(),
            used_queues: AtomicUsize::new(info.queues.into()),
            open_queues: AtomicUsize::new(info.queues.into()),
            held: Mutex::new(Held { plugged: true, pool: Some(Arc::clone(pool)) }),
        });
        let there = Arc::clone(&port);
        eal.run(move || there.look());
        eal.watch(&port);
        Ok(port)
    }

    pub(super) fn eal(&self) -> &'static Eal {
        self.eal
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn queues(&self) -> u16 {
        self.queues
    }

    /// Whether the device itself keeps the packets of a flow on a queue.
    pub(super) fn spreads_flows(&self) -> bool {
        self.spreads_flows
    }

    pub(super) fn mac(&self) -> [u8; 6] {
        self.mac
    }

    pub(super) fn xstat_names(&self) -> &'static [&'static str] {
        self.names
    }

    pub(super) fn link_up(&self) -> bool {
        self.seen.link_up.load(Ordering::Relaxed) != 0
    }

    pub(super) fn mtu(&self) -> usize {
        self.seen.mtu.load(Ordering::Relaxed) as usize
    }

    pub(super) fn promiscuous(&self) -> bool {
        self.seen.promiscuous.load(Ordering::Relaxed) != 0
    }

    /// Whether the device was taken out.
    pub(super) fn removed(&self) -> bool {
        self.seen.removed.load(Ordering::Relaxed) != 0
    }

    /// The port's statistics, but for those of its queues.
    pub(super) fn read_xstats(&self, values: &mut [u64]) {
        for (index, seen) in self.seen.xstats.iter().enumerate() {
            let at = if index < LINEARIZED { index } else { index - LINEARIZED + GENERAL.len() };
            if let Some(value) = values.get_mut(at) {
                *value = seen.load(Ordering::Relaxed);
            }
        }
    }

    /// Its pool, as long as it is open.
    pub(super) fn pool(&self) -> Option<Arc<Pool>> {
        self.held().pool.clone()
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn queue(&self, index: u16) -> *mut plugin::Queue {
        // SAFETY: the port is open; the plugin checks the index.
        let queue = unsafe { (self.eal.table().queue)(self.raw, index) };
        assert!(!queue.is_null(), "queue {index}");
        queue
    }

    /// Asks the device how it is. On EAL's thread.
    pub(super) fn look(&self) {
        if !self.held().plugged {
            return;
        }
        // SAFETY: all zeros are a PortStats: it is integers.
        let mut stats: PortStats = unsafe { std::mem::zeroed() };
        // SAFETY: DPDK has the port: only this thread unplugs it.
        unsafe { (self.eal.table().read_port)(self.raw, &raw mut stats) };
        self.seen.store(&stats);
        if !self.removed() {
            self.read_hits();
        }
    }

    /// On EAL's thread, while DPDK has the port.
    fn read_hits(&self) {
        let mut hits = [0; RULES_MAX];
        // SAFETY: DPDK has the port, and there is room for that many.
        unsafe { (self.eal.table().read_hits)(self.raw, hits.as_mut_ptr(), RULES_MAX as u32) };
        for (seen, hits) in self.seen.rule_hits.iter().zip(hits) {
            seen.store(hits, Ordering::Relaxed);
        }
    }

    /// Has the device carry out `flows`, all or none; whether it counts them.
    ///
    /// # Errors
    /// What the driver says.
    pub(super) fn take_flows(self: &Arc<Port>, flows: Vec<Flow>) -> Result<bool, String> {
        let port = Arc::clone(self);
        self.eal.run(move || {
            let (mut counted, mut message) = (false, [0; MESSAGE_BYTES]);
            let count = flows.len() as u32;
            // SAFETY: the port is open: its first queue asks. The flows outlive the call, and the
            // message has its room.
            let status = unsafe {
                let take = port.eal.table().take_flows;
                take(port.raw, flows.as_ptr(), count, &raw mut counted, message.as_mut_ptr())
            };
            if status == 0 { Ok(counted) } else { Err(text(&message)) }
        })
    }

    /// How often the rules in hardware were met, as the last look found it.
    pub(super) fn rule_hits(&self, hits: &mut [u64]) {
        for (hits, seen) in hits.iter_mut().zip(&self.seen.rule_hits) {
            *hits = seen.load(Ordering::Relaxed);
        }
    }

    /// One of its queues calls the plugin no more. The last one has the port stopped and unplugged
    /// by EAL's thread: nobody waits for that, since an lcore has other ports, too.
    pub(super) fn leave_queue(self: &Arc<Port>) {
        // Everything that other lcores did to their queues comes before what follows.
        if self.used_queues.fetch_sub(1, Ordering::AcqRel) == 1 {
            let port = Arc::clone(self);
            self.eal.post(move || port.unplug());
        }
    }

    /// On EAL's thread.
    fn unplug(&self) {
        if std::mem::replace(&mut self.held().plugged, false) {
            if !self.removed() {
                // What the device counted last: it forgets that.
                self.read_hits();
            }
            // SAFETY: DPDK has the port, and no queue calls the plugin any more.
            unsafe { (self.eal.table().close_port)(self.raw) };
        }
    }

    /// One of its queues, which has left it, is closed. The last one waits until the port is
    /// unplugged, and returns the error of that.
    pub(super) fn close_queue(&self) -> Result<(), Error> {
        if self.open_queues.fetch_sub(1, Ordering::AcqRel) > 1 {
            return Ok(());
        }
        // It does one thing after the other.
        self.eal.run(|| ());
        let Some(pool) = self.held().pool.take() else { return Ok(()) };
        pool.spill();
        pool.close()
    }
}

impl Seen {
    fn new() -> Seen {
        let zero = || AtomicU64::new(0);
        Seen {
            link_up: zero(),
            mtu: zero(),
            promiscuous: zero(),
            removed: zero(),
            xstats: array::from_fn(|_| zero()),
            rule_hits: array::from_fn(|_| zero()),
        }
    }

    fn store(&self, stats: &PortStats) {
        let general =
            [stats.rx_missed, stats.rx_errors, stats.rx_no_frame, stats.tx_errors, stats.link_mbps];
        let pairs = [
            (&self.link_up, stats.link_up),
            (&self.mtu, stats.mtu),
            (&self.promiscuous, stats.promiscuous),
            (&self.removed, stats.removed),
        ];
        let xstats = self.xstats.iter().zip(general.into_iter().chain(stats.xstats));
        for (seen, value) in pairs.into_iter().chain(xstats) {
            seen.store(value, Ordering::Relaxed);
        }
    }
}

/// Names of all its statistics. Each name and each list is kept for the life of the process: there
/// are as many as drivers.
fn names_of(info: &PortInfo) -> &'static [&'static str] {
    static LISTS: Mutex<Vec<&'static [&'static str]>> = Mutex::new(Vec::new());
    let own = info.xstats.iter().take(info.xstat_count as usize).map(|bytes| {
        let name = CStr::from_bytes_until_nul(bytes).unwrap_or_default();
        name.to_string_lossy().into_owned()
    });
    let all = GENERAL.iter().map(|name| (*name).to_owned()).chain(own);
    let wanted: Vec<String> = all.take(XSTATS_MAX).collect();
    let mut lists = LISTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(list) = lists.iter().find(|list| list.iter().eq(wanted.iter())) {
        return list;
    }
    let names: Vec<&'static str> = wanted.into_iter().map(|name| &*name.leak()).collect();
    let list: &'static [&'static str] = names.leak();
    lists.push(list);
    list
}

/// Pointers that go to EAL's thread and come from it.
struct Config(PortConfig);
// SAFETY: what it points to outlives the call, which the sender waits for.
unsafe impl Send for Config {}
struct Raw(*mut plugin::Port);
// SAFETY: as above.
unsafe impl Send for Raw {}
