//! An appliance: region, ports, programs and lcores, from a config to a clean stop.

mod check;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::thread::JoinHandle;

use wirelet_abi::stats::{LcoreBlock, state};
use wirelet_abi::{DropReason, Error, ErrorCode, limits};
use wirelet_packet::{Backing, Region, RegionConfig, Waker};

use crate::burst::{Burst, BurstPage};
use crate::control::{Control, LcoreControl};
use crate::engine::engine;
use crate::event::{Event, Events, What};
use crate::fate::Fates;
use crate::handover;
use crate::idle::{IdlePolicy, Idler};
use crate::lcore::{self, Lcore};
use crate::placement;
use crate::port::Port;
use crate::ports::{OpenPorts, PortConfig, PortFacts, open_ports};
use crate::program::{Places, Program, ProgramConfig};
use crate::punt::{self, PuntReceiver, PuntSender, Punted};
use crate::rebuild::{self, Supervisor};
use crate::roster::Roster;
use crate::state::{ProgramState, StateTable};
use crate::stats::StatsPage;
use crate::steer;
use crate::swap::Changes;
use crate::table::Store;
use crate::tick::Ticker;

/// What is told of a packet at most: two names of 64 bytes and some words.
const NOTE_BYTES: usize = 256;

/// What an appliance is made of.
#[derive(Clone, Debug)]
pub struct ApplianceConfig {
    /// Frames.
    pub region: RegionConfig,
    /// CPU of each lcore; `None` for one that is not pinned.
    pub lcores: Vec<Option<usize>>,
    /// Packets per burst at most, 1 to 256.
    pub burst: usize,
    /// How lcores wait.
    pub idle: IdlePolicy,
    /// Rebuild faulted programs at once and on the lcore, so that offline results repeat.
    pub offline: bool,
    /// Ports; a port's number is its index.
    pub ports: Vec<PortConfig>,
    /// Programs.
    pub programs: Vec<ProgramConfig>,
    /// Folder on tmpfs that their state is kept in; without it, state ends with the process.
    pub state_directory: Option<PathBuf>,
}

/// A value of one program's counter, summed over lcores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter {
    /// The program's number.
    pub program: usize,
    /// The counter's name.
    pub name: String,
    /// Its value.
    pub value: u64,
}

/// A running, or not yet running, or stopped appliance.
pub struct Appliance {
    region: Arc<Region>,
    /// What runs, for readers.
    roster: Arc<RwLock<Roster>>,
    /// Whoever changes what runs.
    changes: Arc<Mutex<Changes>>,
    stats: StatsPage,
    facts: Vec<PortFacts>,
    control: Arc<Control>,
    events: Events,
    /// Packets for the host's handler, of each lcore.
    punts: Mutex<Vec<PuntReceiver>>,
    listens: Arc<AtomicBool>,
    waiting: Vec<Box<Lcore>>,
    cpus: Vec<Option<usize>>,
    supervisor: Option<(Supervisor, rebuild::RebuildReceiver)>,
    threads: Vec<JoinHandle<()>>,
    close_errors: Arc<Mutex<Vec<Error>>>,
    _ticker: Arc<Ticker>,
}

impl Appliance {
    /// Opens devices, loads programs, and makes everything that lcores will need. Nothing runs yet.
    ///
    /// # Errors
    /// Every code of devices, modules, programs and memory.
    pub fn new(mut config: ApplianceConfig) -> Result<Appliance, Error> {
        check::limits(&config)?;
        let lcores = config.lcores.len();
        let store = config.state_directory.as_deref().map(Store::open).transpose()?.map(Arc::new);
        let programs = load(std::mem::take(&mut config.programs), lcores, store.as_ref())?;
        let slots_max = (programs.len() + limits::PROGRAMS_SPARE).min(limits::PROGRAMS_MAX);
        let region = Region::new(placement::of_region(config.region, &config.ports))?;
        let events = Events::default();
        for file in store.iter().flat_map(|store| store.set_aside()) {
            let error = Error::new(ErrorCode::Persist, file.as_str());
            events.sender(0).send(What::State(error));
        }
        let wakers = (0..lcores).map(|_| new_waker()).collect::<Result<Vec<_>, _>>()?;
        let controls = wakers.iter().map(|waker| LcoreControl::new(Arc::clone(waker))).collect();
        let (sender, receiver) = rebuild::channel(lcores, slots_max);
        let ports = config.ports.len();
        let stats = StatsPage::new(lcores, ports, slots_max, region.frames())?;
        let control = Control::new(controls, ports, sender, config.offline, stats.head());
        let control = Arc::new(control);
        let OpenPorts { per_lcore, facts } = open_ports(&config.ports, &region, &wakers)?;
        let (cpus, node) = (&config.lcores, region.node());
        placement::remark(&config.ports, &per_lcore, cpus, node, &events.sender(0));
        let pages = (0..lcores).map(|_| BurstPage::new()).collect::<Result<Vec<_>, _>>()?;
        let places = pages.iter().enumerate().map(|(lcore, page)| Places {
            burst_page: Arc::clone(page.backing()),
            region: Arc::clone(&region),
            lcore,
        });
        let programs: Vec<_> = programs.into_iter().map(Some).collect();
        let roster = Arc::new(RwLock::new(Roster::new(&programs, 1)));
        let mut changes = Changes::new(
            Arc::clone(&control),
            places.collect(),
            (0..lcores).map(|lcore| events.sender(lcore as u32)).collect(),
            Arc::clone(&roster),
            store,
            (programs, slots_max),
            (config.ports.iter().map(PortConfig::route).collect(), steer::queues(&per_lcore)),
        );
        changes.check_rules()?;
        let parts = Parts { region: &region, stats: &stats, control: &control, events: &events };
        let listens = Arc::new(AtomicBool::new(false));
        let punts = (0..lcores).map(|lcore| punt::punts(lcore, &region, &listens));
        let (senders, punts): (Vec<_>, Vec<_>) = punts.unzip();
        let own = pages.into_iter().zip(per_lcore).zip(senders).collect();
        let waiting = parts.lcores(&config, own, &mut changes)?;
        let changes = Arc::new(Mutex::new(changes));
        let supervisor =
            Supervisor { changes: Arc::clone(&changes), control: Arc::clone(&control) };
        Ok(Appliance {
            region,
            roster,
            changes,
            stats,
            facts,
            control,
            events,
            punts: Mutex::new(punts),
            listens,
            waiting,
            cpus: config.lcores,
            supervisor: Some((supervisor, receiver)),
            threads: Vec::new(),
            close_errors: Arc::default(),
            _ticker: Ticker::hold(),
        })
    }

    /// Starts the lcores.
    ///
    /// # Errors
    /// `WIRELET_E_STATE` when it was started before, `WIRELET_E_LCORE` when a CPU is not to be had:
    /// no lcore runs then.
    pub fn start(&mut self) -> Result<(), Error> {
        let Some((supervisor, requests)) = self.supervisor.take() else {
            return Err(Error::new(ErrorCode::State, "it was started before"));
        };
        for cpu in self.cpus.iter().flatten() {
            crate::affinity::check(*cpu)?;
        }
        let supervise = move || supervisor.run(&requests);
        self.threads.push(spawn("wirelet-control".into(), supervise)?);
        for lcore in std::mem::take(&mut self.waiting) {
            let cpu = self.cpus[lcore.index];
            let errors = Arc::clone(&self.close_errors);
            let name = format!("wirelet-lcore{}", lcore.index);
            self.control.started.fetch_add(1, Ordering::AcqRel);
            let thread = spawn(name, move || lcore_thread(lcore, cpu, &errors));
            if thread.is_err() {
                // The others must not wait for one that never ran.
                self.control.started.fetch_sub(1, Ordering::AcqRel);
            }
            self.threads.push(thread?);
        }
        Ok(())
    }

    /// The counters page.
    pub fn stats_page(&self) -> &Arc<Backing> {
        self.stats.backing()
    }

    /// What is known of a port since it was opened.
    pub fn port_facts(&self, port: usize) -> Option<&PortFacts> {
        self.facts.get(port)
    }

    /// Every program's counters, summed over lcores.
    pub fn counters(&self) -> Vec<Counter> {
        let roster = self.roster();
        let of = |(index, program): (usize, &Option<Arc<Program>>)| {
            let values = program.as_ref().map(|program| program.state.read_counters());
            let values = values.unwrap_or_default().into_iter();
            values.map(move |(name, value)| Counter { program: index, name, value })
        };
        roster.programs.iter().enumerate().flat_map(of).collect()
    }

    /// Every program's tables, by the program's name.
    pub fn tables(&self) -> Vec<(String, StateTable)> {
        let roster = self.roster();
        let of = |program: &Arc<Program>| {
            let tables = program.state.tables();
            let name = &program.config.name;
            tables.iter().map(|table| (name.clone(), table.clone())).collect::<Vec<_>>()
        };
        roster.programs.iter().flatten().flat_map(of).collect()
    }

    /// The table called `table` of `program`, to be read.
    ///
    /// # Errors
    /// `WIRELET_E_CONFIG_UNKNOWN_PROGRAM`, `WIRELET_E_TABLE_UNKNOWN`.
    pub fn table(&self, program: &str, table: &str) -> Result<StateTable, Error> {
        let roster = self.roster();
        let named = |held: &&Arc<Program>| held.config.name == program;
        let found = roster.programs.iter().flatten().find(named);
        let found = found.ok_or_else(|| Error::new(ErrorCode::ConfigUnknownProgram, program))?;
        found.state.table(table)
    }

    /// Who changes what runs.
    pub fn changes(&self) -> &Arc<Mutex<Changes>> {
        &self.changes
    }

    /// The newest generation that all lcores have adopted.
    pub fn generation(&self) -> u32 {
        self.roster().generation
    }

    /// Names of programs by slot; empty for free ones.
    pub fn slot_names(&self) -> Vec<String> {
        let roster = self.roster();
        (0..roster.programs.len()).map(|slot| roster.name(slot).to_string()).collect()
    }

    fn roster(&self) -> RwLockReadGuard<'_, Roster> {
        self.roster.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the events since the last call.
    pub fn events(&self) -> Vec<Event> {
        self.events.take()
    }

    /// Events that nobody took in time.
    pub fn events_lost(&self) -> u64 {
        self.events.lost()
    }

    /// Whether punted packets without a port to leave by are kept for [`Appliance::punted`].
    pub fn listen_to_punts(&self, listens: bool) {
        self.listens.store(listens, Ordering::Relaxed);
    }

    /// Takes the packets that were punted to the host since the last call, of each lcore the oldest
    /// first. At most 256 of each lcore wait; what finds no room is dropped as `punt_full`.
    pub fn punted(&self) -> Vec<Punted> {
        let mut taken = Vec::new();
        let mut punts = self.punts.lock().unwrap_or_else(PoisonError::into_inner);
        punts.iter_mut().for_each(|lcore| lcore.take(&mut taken));
        taken
    }

    /// A program's name.
    pub fn program_name(&self, program: usize) -> String {
        self.roster().name(program).to_string()
    }

    /// Whether all inputs have ended and nothing is inside.
    pub fn finished(&self) -> bool {
        !self.threads.is_empty() && self.control.finished()
    }

    /// Asks the lcores to receive no more, to drain for at most `drain_ns`, and to end.
    pub fn request_stop(&self, drain_ns: u64) {
        self.control.stop(drain_ns);
    }

    /// Whether all lcores have ended.
    pub fn stopped(&self) -> bool {
        self.control.lcores.iter().all(|lcore| lcore.ended.load(Ordering::Acquire))
    }

    /// Frames that somebody still has: 0 after a stop, or there is a leak.
    pub fn frames_used(&self) -> usize {
        self.region.used()
    }

    /// Stops at once if it runs, waits for the lcores, and says what devices could not write.
    ///
    /// # Errors
    /// The first error of a device's close.
    pub fn close(&mut self) -> Result<(), Error> {
        self.request_stop(0);
        for thread in std::mem::take(&mut self.threads) {
            // Lcores catch their own panics; the supervisor's would be a bug that cost no packet.
            let _ = thread.join();
        }
        for mut lcore in std::mem::take(&mut self.waiting) {
            close_devices(&mut lcore, &self.close_errors);
            self.control.lcores[lcore.index].ended.store(true, Ordering::Release);
        }
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).release_state();
        let mut errors = self.close_errors.lock().unwrap_or_else(PoisonError::into_inner);
        if errors.is_empty() { Ok(()) } else { Err(errors.remove(0)) }
    }
}

impl Drop for Appliance {
    fn drop(&mut self) {
        let _ = self.close();
    }
}

/// What lcores share.
struct Parts<'a> {
    region: &'a Arc<Region>,
    stats: &'a StatsPage,
    control: &'a Arc<Control>,
    events: &'a Events,
}

impl Parts<'_> {
    /// Every lcore with its page, its ports and the first instances of all programs.
    fn lcores(
        &self,
        config: &ApplianceConfig,
        own: Vec<((BurstPage, Vec<Port>), PuntSender)>,
        changes: &mut Changes,
    ) -> Result<Vec<Box<Lcore>>, Error> {
        let rings = handover::rings(own.len());
        let parts = own.into_iter().zip(rings).enumerate();
        let steering = changes.steering();
        let lcore = |(index, (own, (outgoing, incoming)))| {
            let ((page, mut ports), host): ((BurstPage, Vec<Port>), PuntSender) = own;
            for (port, steering) in ports.iter_mut().zip(&steering) {
                port.steering.clone_from(steering);
            }
            let devices = ports.iter().filter(|port| port.device.is_some()).count();
            Ok(Box::new(Lcore {
                index,
                ports,
                slots: changes.first_slots(index)?,
                places: changes.places(index).clone(),
                frames: self.region.cache(),
                page,
                burst: Burst::new(),
                burst_max: config.burst,
                now: 0,
                gather: Vec::with_capacity(limits::BURST_MAX),
                arrived: Vec::with_capacity(limits::BURST_MAX),
                outgoing,
                incoming,
                stats: LcoreBlock::default(),
                writer: self.stats.writer(index),
                idler: Idler::new(config.idle, devices),
                control: Arc::clone(self.control),
                events: self.events.sender(index as u32),
                host,
                generation: 1,
                taken: 0,
                fates: Fates::default(),
                note: String::with_capacity(NOTE_BYTES),
                taking: 0,
            }))
        };
        parts.map(lcore).collect()
    }
}

fn load(
    configs: Vec<ProgramConfig>,
    lcores: usize,
    store: Option<&Arc<Store>>,
) -> Result<Vec<Arc<Program>>, Error> {
    let named = |config: ProgramConfig| {
        let name = config.name.clone();
        let add = |error: Error| Error::new(error.code, format!("{name}: {}", error.message));
        let state = match store {
            Some(store) => ProgramState::kept(store, &name, lcores),
            None => ProgramState::new(lcores),
        };
        Program::new(config, state?).map(Arc::new).map_err(add)
    };
    configs.into_iter().map(named).collect()
}

fn new_waker() -> Result<Arc<Waker>, Error> {
    let no_descriptor = |error| Error::new(ErrorCode::Internal, format!("eventfd: {error}"));
    Waker::new().map(Arc::new).map_err(no_descriptor)
}

fn spawn(name: String, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Error> {
    let failed = |error| Error::new(ErrorCode::Lcore, format!("a thread: {error}"));
    std::thread::Builder::new().name(name).spawn(body).map_err(failed)
}

/// One lcore's life: pinned, the loop, and whatever happened, a counted end.
fn lcore_thread(mut lcore: Box<Lcore>, cpu: Option<usize>, errors: &Mutex<Vec<Error>>) {
    if let Some(cpu) = cpu {
        crate::affinity::pin(cpu);
    }
    wasmtime::Engine::tls_eager_initialize();
    lcore
        .ports
        .iter_mut()
        .filter_map(|port| port.device.as_mut())
        .for_each(|device| device.enter());
    debug_assert!(std::ptr::eq(engine(), engine()));
    let result = catch_unwind(AssertUnwindSafe(|| lcore::run(&mut lcore)));
    let control = Arc::clone(&lcore.control);
    if let Err(panic) = &result {
        lcore.stats.state = state::FAILED;
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic");
        lcore.events.send(What::Lcore(Error::new(ErrorCode::LcoreFailed, text)));
        lcore::abandon(&mut lcore);
        // So that the host sees the state while the others go on.
        lcore::write(&mut lcore);
    }
    control.leave();
    // A bug in a device must not keep the others from being closed.
    let closed = catch_unwind(AssertUnwindSafe(|| {
        handover::drop_rest(&mut lcore, DropReason::Stopped);
        close_devices(&mut lcore, errors);
        lcore::publish(&mut lcore);
    }));
    if closed.is_err() {
        let error = Error::new(ErrorCode::LcoreFailed, "a device panicked while it was closed");
        lcore.events.send(What::Lcore(error));
        lcore::write(&mut lcore);
    }
    let index = lcore.index;
    drop(lcore);
    control.lcores[index].ended.store(true, Ordering::Release);
}

fn close_devices(lcore: &mut Lcore, errors: &Mutex<Vec<Error>>) {
    for port in &mut lcore.ports {
        let Some(device) = &mut port.device else { continue };
        if let Err(error) = device.close(&mut lcore.frames) {
            errors.lock().unwrap_or_else(PoisonError::into_inner).push(error);
        }
    }
}

#[cfg(test)]
mod settling;
#[cfg(test)]
mod tests;
