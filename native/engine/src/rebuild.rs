//! What follows a fault: the instance goes, a new one is built off the lcore and handed over
//! between two bursts (DESIGN §9).

use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use wirelet_abi::limits;

use crate::control::{Control, Stop};
use crate::event::{EventSender, FaultReport, What};
use crate::lcore::Lcore;
use crate::log::LogWriter;
use crate::pipeline::{Faulted, health};
use crate::program::{Instance, Places, Program};

/// First wait before a rebuild; doubles with each fault in a row.
const BACK_OFF_FIRST: Duration = Duration::from_millis(1);
/// Faults this far apart are not in a row.
const CALM: Duration = Duration::from_secs(10);

/// A rebuilt program on its way to an lcore.
struct Delivery {
    slot: usize,
    /// `None`: quarantined.
    instance: Option<Instance>,
}

/// One rebuilt program at a time, put by the supervisor, taken by the lcore.
pub struct Mailbox(AtomicPtr<Delivery>);

impl Default for Mailbox {
    fn default() -> Self {
        Mailbox(AtomicPtr::new(ptr::null_mut()))
    }
}

impl Mailbox {
    fn put(&self, delivery: Box<Delivery>) -> Result<(), Box<Delivery>> {
        let new = Box::into_raw(delivery);
        let order = (Ordering::Release, Ordering::Relaxed);
        match self.0.compare_exchange(ptr::null_mut(), new, order.0, order.1) {
            Ok(_) => Ok(()),
            // SAFETY: `new` came from `Box::into_raw` just now and nobody took it.
            Err(_) => Err(unsafe { Box::from_raw(new) }),
        }
    }

    #[inline]
    fn take(&self) -> Option<Box<Delivery>> {
        if self.0.load(Ordering::Relaxed).is_null() {
            return None;
        }
        let taken = self.0.swap(ptr::null_mut(), Ordering::Acquire);
        // SAFETY: a non-null pointer here came from `Box::into_raw`, and the swap made it ours
        // alone.
        (!taken.is_null()).then(|| unsafe { Box::from_raw(taken) })
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.take();
    }
}

/// A faulted program on its way to the supervisor.
pub struct Request {
    lcore: usize,
    slot: usize,
    /// Dropped there.
    _instance: Option<Instance>,
}

/// Where lcores send faulted programs.
pub type RebuildSender = SyncSender<Request>;
/// Where the supervisor takes them.
pub type RebuildReceiver = Receiver<Request>;

/// A channel that can hold every program of every lcore, so that a send never waits.
pub fn channel(lcores: usize, programs: usize) -> (RebuildSender, RebuildReceiver) {
    sync_channel(lcores * programs + 1)
}

/// The lcore: reports a fault and gives the instance away. Allocates; faults are not the data path.
#[cold]
pub fn report(lcore: &mut Lcore, faulted: Faulted) {
    let Faulted { slot, fault, packet, instance } = faulted;
    let report = FaultReport { program: slot as u16, generation: lcore.generation, fault, packet };
    lcore.events.send(What::Fault(Box::new(report)));
    if lcore.control.offline {
        drop(instance);
        rebuild_here(lcore, slot);
        return;
    }
    let request = Request { lcore: lcore.index, slot, _instance: instance };
    // The channel has room for every program once, and a program that is down can't fault.
    let _ = lcore.control.rebuilds.try_send(request);
}

/// Offline nobody waits: the next burst finds the program up again, so that results repeat.
fn rebuild_here(lcore: &mut Lcore, index: usize) {
    let places = lcore.places[index].clone();
    let slot = &mut lcore.slots[index];
    let log = LogWriter::new(lcore.events.clone(), index as u16);
    slot.instance = slot.program.instantiate(&places, log).ok();
    slot.stats.rebuilds += 1;
    slot.stats.health = if slot.instance.is_some() { health::UP } else { health::QUARANTINED };
}

/// The lcore, between two bursts: puts a rebuilt program in place.
#[inline]
pub fn adopt(lcore: &mut Lcore) {
    let Some(delivery) = lcore.control.lcores[lcore.index].mailbox.take() else { return };
    let slot = &mut lcore.slots[delivery.slot];
    let quarantined = delivery.instance.is_none();
    slot.instance = delivery.instance;
    slot.stats.rebuilds += u64::from(!quarantined);
    slot.stats.health = if quarantined { health::QUARANTINED } else { health::UP };
}

/// Rebuilds faulted programs, off the lcores.
pub struct Supervisor {
    /// Shared with the lcores.
    pub control: Arc<Control>,
    /// Every program.
    pub programs: Vec<Arc<Program>>,
    /// Windows of each program on each lcore.
    pub places: Vec<Vec<Places>>,
    /// Per lcore, for the logs of new instances.
    pub events: Vec<EventSender>,
}

/// Faults in a row of one program on one lcore.
#[derive(Clone, Copy)]
struct Row {
    faults: u32,
    last: Option<Instant>,
}

impl Supervisor {
    /// Works until the appliance stops.
    pub fn run(self, requests: &RebuildReceiver) {
        let row = Row { faults: 0, last: None };
        let mut rows = vec![vec![row; self.programs.len()]; self.places.len()];
        // (when, request), the few that wait for their back-off.
        let mut waiting: Vec<(Instant, Request)> = Vec::new();
        loop {
            match requests.recv_timeout(self.patience(&waiting)) {
                Ok(request) => {
                    let row = &mut rows[request.lcore][request.slot];
                    waiting.push((Instant::now() + next_wait(row), request));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if self.control.stopping() != Stop::No {
                return;
            }
            let now = Instant::now();
            let due = |(when, _): &mut (Instant, Request)| *when <= now;
            for (_, request) in waiting.extract_if(.., due).collect::<Vec<_>>() {
                let row = rows[request.lcore][request.slot];
                self.rebuild(request, row.faults > limits::REBUILDS_MAX);
            }
        }
    }

    fn patience(&self, waiting: &[(Instant, Request)]) -> Duration {
        let now = Instant::now();
        let waits = waiting.iter().map(|(when, _)| when.saturating_duration_since(now));
        waits.min().unwrap_or(Duration::from_millis(50)).min(Duration::from_millis(50))
    }

    fn rebuild(&self, request: Request, quarantine: bool) {
        let Request { lcore, slot, .. } = request;
        let instance = if quarantine { None } else { self.instantiate(lcore, slot) };
        let mut delivery = Box::new(Delivery { slot, instance });
        let target = &self.control.lcores[lcore];
        while let Err(refused) = target.mailbox.put(delivery) {
            delivery = refused;
            if self.control.stopping() != Stop::No {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        target.waker.wake();
    }

    fn instantiate(&self, lcore: usize, slot: usize) -> Option<Instance> {
        let events = &self.events[lcore];
        let log = LogWriter::new(events.clone(), slot as u16);
        match self.programs[slot].instantiate(&self.places[lcore][slot], log) {
            Ok(instance) => Some(instance),
            Err(fault) => {
                let report =
                    FaultReport { program: slot as u16, generation: 1, fault, packet: Vec::new() };
                events.send(What::Fault(Box::new(report)));
                None
            }
        }
    }
}

fn next_wait(row: &mut Row) -> Duration {
    let now = Instant::now();
    if row.last.is_none_or(|last| now - last > CALM) {
        row.faults = 0;
    }
    row.last = Some(now);
    row.faults += 1;
    BACK_OFF_FIRST * 2u32.pow(row.faults.min(10) - 1)
}
