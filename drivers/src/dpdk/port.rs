//! A port of DPDK's, shared by its queues; the last one that lets go of it stops and unplugs it. A
//! port whose device was taken out is opened again when the device is back.
//!
//! EAL's thread opens, looks and unplugs. Queues call the plugin with pointers of their own, each
//! on its lcore, from when they have taken a device to when they have let go of it. What both need
//! for that is in [`Held`], which is locked when a device comes or goes, and for no packet.

use std::ffi::CString;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use wirelet_abi::limits::RULES_MAX;
use wirelet_abi::plugin::{self, Flow, PortConfig, PortStats};
use wirelet_abi::{Error, ErrorCode};
use wirelet_packet::Waker;

use super::again::{Again, Asked, Raw, Refusal};
use super::eal::Eal;
use super::place::{Place, Watch};
use super::pool::Pool;
use super::seen::{Before, Seen, names_of};

#[derive(Debug)]
pub(super) struct Port {
    eal: &'static Eal,
    name: String,
    queues: u16,
    spreads_flows: bool,
    names: &'static [&'static str],
    /// As the last look found it.
    seen: Seen,
    /// Changes with whatever queues have to be told: that there is a device again, or why not.
    news: AtomicU64,
    /// Locked while somebody looks at it.
    held: Mutex<Held>,
    /// Of EAL's thread, which is the only one to lock it once the port is open.
    again: Mutex<Again>,
}

/// What an open port has.
#[derive(Debug)]
struct Held {
    /// Null while DPDK has no such port.
    raw: *mut plugin::Port,
    /// How many devices it has had, one after the other.
    device: u64,
    /// `None` once all queues are closed.
    pool: Option<Arc<Pool>>,
    /// Queues that nobody has closed.
    open_queues: usize,
    /// Queues that may call the plugin, or may take the device that is there now.
    used_queues: usize,
    /// Of the lcores that the queues are on.
    wakers: Vec<Arc<Waker>>,
    /// Why the device that is there again is not opened, until somebody was told.
    refused: Option<Error>,
}

/// A device that a queue may use from now on.
pub(super) struct Taken {
    pub(super) device: u64,
    pub(super) queue: *mut plugin::Queue,
    pub(super) pool: Arc<Pool>,
}

// SAFETY: DPDK's port is used on EAL's thread only, and the pointers of the config are passed on
// there; queues, each on one lcore, have pointers of their own.
unsafe impl Send for Port {}
// SAFETY: as above; everything that changes is atomic or behind a lock.
unsafe impl Sync for Port {}

impl Port {
    /// Plugs and starts the device that `devargs` names, as `config` says.
    ///
    /// # Errors
    /// `WIRELET_E_DEVICE_OPEN`.
    pub(super) fn open(
        eal: &'static Eal,
        pool: &Arc<Pool>,
        name: &str,
        devargs: CString,
        config: PortConfig,
    ) -> Result<Arc<Port>, Error> {
        let (table, asked) = (eal.table(), Asked::new(devargs, config));
        let opened = eal.run(move || {
            let asked = asked;
            let (raw, info) = asked.plug(table)?;
            Ok((raw, info, Watch::new(Place::of(&info)), asked))
        });
        let opened = opened.inspect_err(|_: &String| pool.spill());
        let failed = |message| Error::new(ErrorCode::DeviceOpen, format!("dpdk:{name}: {message}"));
        let (Raw(raw), info, watch, asked) = opened.map_err(failed)?;
        let (names, seen) = (names_of(&info), Seen::new());
        let again = Again::new(asked, &info, seen.begin(&info, names), watch);
        let held = Held {
            raw,
            device: 0,
            pool: Some(Arc::clone(pool)),
            open_queues: info.queues.into(),
            used_queues: info.queues.into(),
            wakers: Vec::new(),
            refused: None,
        };
        let port = Arc::new(Port {
            eal,
            name: name.into(),
            queues: info.queues,
            spreads_flows: info.rss != 0,
            names,
            seen,
            news: AtomicU64::new(0),
            held: Mutex::new(held),
            again: Mutex::new(again),
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

    pub(super) fn xstat_names(&self) -> &'static [&'static str] {
        self.names
    }

    /// What the last look found.
    pub(super) fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Whether the device was taken out.
    pub(super) fn removed(&self) -> bool {
        self.seen.removed.load(Ordering::Relaxed) != 0
    }

    /// Changes when there is something for [`Port::take`] or [`Port::take_refused`]; all that was
    /// written before is seen by who sees the change.
    pub(super) fn news(&self) -> u64 {
        self.news.load(Ordering::Acquire)
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn again(&self) -> MutexGuard<'_, Again> {
        self.again.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The device for queue `index`, which has had another one, or none. From now on the queue may
    /// call the plugin, until it leaves.
    pub(super) fn take(&self, index: u16, had: Option<u64>) -> Option<Taken> {
        let held = self.held();
        if had == Some(held.device) {
            return None;
        }
        // SAFETY: DPDK has the port: this queue is one of those that it waits for. The plugin
        // checks the index.
        let queue = unsafe { (self.eal.table().queue)(held.raw, index) };
        assert!(!queue.is_null(), "queue {index}");
        Some(Taken { device: held.device, queue, pool: held.pool.clone()? })
    }

    /// Why the device that is there again is not opened, once.
    pub(super) fn take_refused(&self) -> Option<Error> {
        self.held().refused.take()
    }

    /// Whom to wake when the device is back: an lcore that has nothing else to poll sleeps.
    pub(super) fn add_waker(&self, waker: Arc<Waker>) {
        self.held().wakers.push(waker);
    }

    /// Asks the device how it is, or looks whether it is back. On EAL's thread.
    pub(super) fn look(&self) {
        let raw = self.held().raw;
        if raw.is_null() {
            return self.look_for_device();
        }
        let again = self.again();
        // SAFETY: DPDK has the port: only this thread unplugs it.
        unsafe { self.read(raw, &again.before) };
    }

    /// # Safety
    /// DPDK has the port; on EAL's thread.
    unsafe fn read(&self, raw: *mut plugin::Port, before: &Before) {
        // SAFETY: all zeros are a PortStats: it is integers.
        let mut stats: PortStats = unsafe { std::mem::zeroed() };
        // SAFETY: the caller's promise.
        unsafe { (self.eal.table().read_port)(raw, &raw mut stats) };
        self.seen.store(&stats, before);
        if !self.removed() {
            // SAFETY: the caller's promise.
            unsafe { self.read_hits(raw, before) };
        }
    }

    /// # Safety
    /// DPDK has the port; on EAL's thread.
    unsafe fn read_hits(&self, raw: *mut plugin::Port, before: &Before) {
        let mut hits = [0; RULES_MAX];
        // SAFETY: the caller's promise, and there is room for that many.
        unsafe { (self.eal.table().read_hits)(raw, hits.as_mut_ptr(), RULES_MAX as u32) };
        self.seen.store_hits(&hits, before);
    }

    /// Has the device carry out `flows`, all or none; whether it counts them.
    ///
    /// # Errors
    /// What the driver says.
    pub(super) fn take_flows(self: &Arc<Port>, flows: Vec<Flow>) -> Result<bool, String> {
        let port = Arc::clone(self);
        self.eal.run(move || {
            let raw = port.held().raw;
            // SAFETY: the port is open: its first queue asks.
            unsafe { port.again().put(port.eal.table(), raw, flows) }
        })
    }

    /// One of its queues calls the plugin no more, for now: its device is gone.
    pub(super) fn leave_queue(self: &Arc<Port>) {
        self.leave(&mut self.held());
    }

    /// The last queue has the port stopped and unplugged by EAL's thread: nobody waits for that,
    /// since an lcore has other ports, too.
    fn leave(self: &Arc<Port>, held: &mut Held) {
        held.used_queues -= 1;
        if held.used_queues == 0 {
            let port = Arc::clone(self);
            self.eal.post(move || port.unplug());
        }
    }

    /// On EAL's thread.
    fn unplug(&self) {
        let raw = std::mem::replace(&mut self.held().raw, ptr::null_mut());
        let mut again = self.again();
        if self.removed() {
            again.watch.begin();
        } else {
            // What the device counted last: it forgets that.
            // SAFETY: DPDK has the port.
            unsafe { self.read_hits(raw, &again.before) };
        }
        // SAFETY: DPDK has the port, and no queue calls the plugin any more: the last one has left
        // under the lock.
        unsafe { (self.eal.table().close_port)(raw) };
    }

    /// On EAL's thread, while DPDK has no such port.
    fn look_for_device(&self) {
        let mut again = self.again();
        let now = Instant::now();
        if !self.removed() || !again.watch.is_due(now) {
            return;
        }
        let pool = match &*self.held() {
            Held { open_queues: 0, .. } | Held { pool: None, .. } => return,
            // Whoever closes the last queue waits for this thread before it closes the pool.
            Held { pool: Some(pool), .. } => Arc::clone(pool),
        };
        match again.open(self.eal.table()) {
            Ok((Raw(raw), info)) => {
                again.before = self.seen.begin(&info, self.names);
                // SAFETY: DPDK has the port.
                unsafe { self.read(raw, &again.before) };
                self.offer(raw);
            }
            Err(Refusal { message, again: later }) if again.watch.refused(later, now) => {
                let message = format!("dpdk:{}: the device is back, but: {message}", self.name);
                self.held().refused = Some(Error::new(ErrorCode::DeviceOpen, message));
                self.news.fetch_add(1, Ordering::Release);
            }
            Err(_) => {}
        }
        // Frames that a driver took and gave back on this thread.
        pool.spill();
    }

    /// Lets the queues take the device that was opened again.
    fn offer(&self, raw: *mut plugin::Port) {
        let mut held = self.held();
        if held.open_queues == 0 {
            drop(held);
            // SAFETY: DPDK has the port, and nobody else knows of it.
            unsafe { (self.eal.table().close_port)(raw) };
            return;
        }
        held.raw = raw;
        held.device += 1;
        held.used_queues = held.open_queues;
        let wakers = held.wakers.clone();
        drop(held);
        self.news.fetch_add(1, Ordering::Release);
        wakers.iter().for_each(|waker| waker.wake());
    }

    /// One of its queues is closed, which had this device last, and has not left it if it is
    /// `used`. The last one waits until the port is unplugged, and returns the error of that.
    pub(super) fn close_queue(self: &Arc<Port>, device: u64, used: bool) -> Result<(), Error> {
        let mut held = self.held();
        held.open_queues -= 1;
        // It could have taken the device that is there now, and never will.
        if used || device != held.device {
            self.leave(&mut held);
        }
        let left = held.open_queues;
        drop(held);
        if left > 0 {
            return Ok(());
        }
        // It does one thing after the other.
        self.eal.run(|| ());
        let Some(pool) = self.held().pool.take() else { return Ok(()) };
        pool.spill();
        pool.close()
    }
}
