//! What follows a fault: the instance goes, a new one is built off the lcore and handed over
//! between two bursts (DESIGN §9).

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use wirelet_abi::limits;

use crate::control::{Control, Stop};
use crate::event::{FaultReport, What};
use crate::lcore::Lcore;
use crate::log::LogWriter;
use crate::pipeline::{Faulted, health};
use crate::program::{Instance, Program};
use crate::swap::Changes;

/// First wait before a rebuild; doubles with each fault in a row.
const BACK_OFF_FIRST: Duration = Duration::from_millis(1);
/// Faults this far apart are not in a row.
const CALM: Duration = Duration::from_secs(10);

/// A faulted program on its way to the supervisor.
pub struct Request {
    lcore: usize,
    slot: usize,
    /// The very program: another may have its slot by then.
    program: Arc<Program>,
    /// False when it was the generation before that faulted: it does not come back.
    rebuild: bool,
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
    let Faulted { slot, fault, packet, instance, fallback } = faulted;
    let report = FaultReport { program: slot as u16, generation: lcore.generation, fault, packet };
    lcore.events.send(What::Fault(Box::new(report)));
    lcore.control.head.faulted();
    if lcore.control.offline {
        drop(instance);
        rebuild_here(lcore, slot);
        return;
    }
    let Some(program) = lcore.slots[slot].program.clone() else { return };
    let (index, rebuild) = (lcore.index, !fallback);
    let request = Request { lcore: index, slot, program, rebuild, _instance: instance };
    // The channel has room for every program once, and a program that is down can't fault.
    let _ = lcore.control.rebuilds.try_send(request);
}

/// Offline nobody waits: the next burst finds the program up again, so that results repeat.
fn rebuild_here(lcore: &mut Lcore, index: usize) {
    let slot = &mut lcore.slots[index];
    let Some(program) = &slot.program else { return };
    let log = LogWriter::new(lcore.events.clone(), index as u16);
    slot.instance = program.instantiate(&lcore.places, log).ok();
    slot.stats.rebuilds += 1;
    slot.stats.health = if slot.instance.is_some() { health::UP } else { health::QUARANTINED };
}

/// Rebuilds faulted programs, off the lcores.
pub struct Supervisor {
    /// Shared with whoever changes the appliance: one at a time.
    pub changes: Arc<Mutex<Changes>>,
    /// Shared with the lcores.
    pub control: Arc<Control>,
}

/// Faults in a row of one program on one lcore.
struct Row {
    lcore: usize,
    program: Weak<Program>,
    faults: u32,
    last: Instant,
}

impl Supervisor {
    /// Works until the appliance stops.
    pub fn run(self, requests: &RebuildReceiver) {
        let mut rows: Vec<Row> = Vec::new();
        // (when, request, faults in a row): the few that wait for their back-off.
        let mut waiting: Vec<(Instant, Request, u32)> = Vec::new();
        loop {
            match requests.recv_timeout(patience(&waiting)) {
                Ok(request) => {
                    let faults = count(&mut rows, &request);
                    let rolled_back = self.changes().faulted(request.slot);
                    if request.rebuild && !rolled_back {
                        let wait = BACK_OFF_FIRST * 2u32.pow(faults.min(10) - 1);
                        waiting.push((Instant::now() + wait, request, faults));
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if self.control.stopping() != Stop::No {
                return;
            }
            let now = Instant::now();
            let due = |(when, ..): &mut (Instant, Request, u32)| *when <= now;
            for (_, request, faults) in waiting.extract_if(.., due).collect::<Vec<_>>() {
                let Request { lcore, slot, program, .. } = request;
                let quarantine = faults > limits::REBUILDS_MAX;
                self.changes().rebuild(lcore, slot, &program, quarantine);
            }
        }
    }

    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn patience(waiting: &[(Instant, Request, u32)]) -> Duration {
    let now = Instant::now();
    let waits = waiting.iter().map(|(when, ..)| when.saturating_duration_since(now));
    waits.min().unwrap_or(Duration::from_millis(50)).min(Duration::from_millis(50))
}

/// Counts a fault; returns how many there were in a row. Rows of programs that are gone go too.
fn count(rows: &mut Vec<Row>, request: &Request) -> u32 {
    rows.retain(|row| row.program.strong_count() > 0);
    let now = Instant::now();
    let same = |row: &&mut Row| {
        row.lcore == request.lcore && row.program.as_ptr() == Arc::as_ptr(&request.program)
    };
    if let Some(row) = rows.iter_mut().find(same) {
        row.faults = if now - row.last > CALM { 1 } else { row.faults + 1 };
        row.last = now;
        return row.faults;
    }
    let program = Arc::downgrade(&request.program);
    rows.push(Row { lcore: request.lcore, program, faults: 1, last: now });
    1
}
