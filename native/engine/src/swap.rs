//! Changing an appliance while packets flow (docs/design/swap.md). Everything here runs on control
//! threads, one change at a time.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use wirelet_abi::{Error, ErrorCode, limits};

use crate::control::Control;
use crate::errand::Errand;
use crate::event::{EventSender, What};
use crate::generation::{Adoption, GenerationConfig, RollbackPolicy, Route};
use crate::log::LogWriter;
use crate::next::Next;
use crate::pipeline::{Slot, health};
use crate::program::{Instance, Places, Program};
use crate::roster::Roster;
use crate::state::{StateRules, TableAction};
use crate::steer::{self, Queues, Steering};
use crate::table::Store;
use crate::windows::LiveWindows;

/// What a swap did, and what it took.
#[derive(Clone, Debug, Default)]
pub struct SwapReport {
    /// The generation that all lcores have adopted.
    pub generation: u32,
    /// What became, or would become, of tables.
    pub tables: Vec<TableChange>,
    /// Checking and compiling to machine code.
    pub compile: Duration,
    /// Instances with `onLoad` and windows.
    pub instantiate: Duration,
    /// Copying tables.
    pub copy: Duration,
    /// From the publication to the last lcore's adoption.
    pub adopt: Duration,
}

/// What becomes of one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableChange {
    /// The program's name.
    pub program: String,
    /// The table's.
    pub table: String,
    /// What.
    pub action: TableAction,
}

/// Programs by slot; `None`: a free one.
pub type Slots = Vec<Option<Arc<Program>>>;

/// Everything that changes and who needs to know: guarded by one lock, so that two changes never
/// overlap.
pub struct Changes {
    pub(crate) control: Arc<Control>,
    /// Windows of each lcore.
    pub(crate) places: Vec<Places>,
    /// Of each lcore, for the logs of new instances.
    pub(crate) events: Vec<EventSender>,
    /// Where the state of programs is kept, if it is.
    pub(crate) store: Option<Arc<Store>>,
    /// What readers see without this lock.
    pub(crate) roster: Arc<RwLock<Roster>>,
    pub(crate) slots: Slots,
    pub(crate) slots_max: usize,
    routes: Vec<Route>,
    /// Of every port.
    queues: Vec<Queues>,
    /// Per lcore: where instances see their tables.
    pub(crate) windows: Vec<LiveWindows>,
    generation: u32,
    /// Traces that are on the lcores.
    pub(crate) traces: usize,
    /// The generation before, until the next swap.
    before: Option<Before>,
}

struct Before {
    slots: Slots,
    routes: Vec<Route>,
    changed: Vec<usize>,
    policy: RollbackPolicy,
    adopted: Instant,
    faults: u32,
}

impl Changes {
    /// Of an appliance whose first generation runs `slots` and `routes`.
    pub fn new(
        control: Arc<Control>,
        places: Vec<Places>,
        events: Vec<EventSender>,
        roster: Arc<RwLock<Roster>>,
        store: Option<Arc<Store>>,
        (slots, slots_max): (Slots, usize),
        (routes, queues): (Vec<Route>, Vec<Queues>),
    ) -> Changes {
        let windows = places.iter().map(|_| LiveWindows::default()).collect();
        let (generation, before) = (1, None);
        Changes {
            control,
            places,
            events,
            store,
            roster,
            slots,
            slots_max,
            routes,
            queues,
            windows,
            generation,
            traces: 0,
            before,
        }
    }

    /// One lcore's programs at the beginning, with the tables that they ask for.
    ///
    /// # Errors
    /// What loading them returns.
    pub fn first_slots(&mut self, lcore: usize) -> Result<Vec<Slot>, Error> {
        let mut slots = Vec::with_capacity(self.slots_max);
        for (index, program) in self.slots.iter().flatten().enumerate() {
            let log = LogWriter::new(self.events[lcore].clone(), index as u16);
            let built = program.instantiate_first(&self.places[lcore], log);
            let instance = built.map_err(|fault| {
                let message = format!("{}: {}", program.config.name, fault.error.message);
                Error::new(fault.error.code, message)
            })?;
            self.windows[lcore].replace(index, instance.windows().cloned(), false);
            slots.push(Slot::new(Arc::clone(program), instance));
        }
        Ok(slots)
    }

    /// Whether ports can have the rules that they begin with.
    ///
    /// # Errors
    /// `WIRELET_E_RULES`, `WIRELET_E_CONFIG_LIMIT`.
    pub fn check_rules(&self) -> Result<(), Error> {
        steer::check_rules(&self.routes, &self.steering(), &self.queues)
    }

    /// How ports are steered now.
    pub fn steering(&self) -> Vec<Steering> {
        steer::plan(&self.routes, &self.slots, &self.queues)
    }

    /// The appliance has ended: its state may be opened again.
    pub fn release_state(&self) {
        if let Some(store) = &self.store {
            store.release();
        }
    }

    /// What the windows of one lcore's instances show.
    pub fn places(&self, lcore: usize) -> &Places {
        &self.places[lcore]
    }

    /// The newest generation.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Makes `next` the generation that all lcores run.
    ///
    /// # Errors
    /// Before the publication, with nothing changed: the codes of modules, programs and memory,
    /// `WIRELET_E_CONFIG_LIMIT`, `WIRELET_E_CONFIG_UNKNOWN_PROGRAM`, `WIRELET_E_RULES`,
    /// `WIRELET_E_RESTART_NEEDED`,
    /// `WIRELET_E_STATE` when the appliance does not run. After it: `WIRELET_E_SWAP_TIMEOUT`.
    pub fn swap(&mut self, next: GenerationConfig) -> Result<SwapReport, Error> {
        self.check(&next)?;
        let started = Instant::now();
        let (slots, indexes) = self.place(&next.programs)?;
        let compile = started.elapsed();
        steer::check_offloaded(&self.routes, &next.routes, &self.queues)?;
        let to_slots = |route: &Route| Route {
            chain: route.chain.iter().map(|&program| indexes[program]).collect(),
            ..route.clone()
        };
        let routes: Vec<Route> = next.routes.iter().map(to_slots).collect();
        steer::check_rules(&routes, &steer::plan(&routes, &slots, &self.queues), &self.queues)?;
        let rules = StateRules { reset: next.reset_state, cut: false };
        let mut report = self.change(slots, routes, next.dry_run, rules)?;
        report.compile = compile;
        if let (false, Some(before)) = (next.dry_run, &mut self.before) {
            before.policy = next.rollback;
        }
        Ok(report)
    }

    /// Publishes the programs of the generation before, with the state as it is now.
    ///
    /// # Errors
    /// `WIRELET_E_ROLLBACK` when there is none; as [`Changes::swap`].
    pub fn rollback(&mut self) -> Result<SwapReport, Error> {
        let Some(before) = &self.before else {
            return Err(Error::new(ErrorCode::Rollback, "nothing was swapped since"));
        };
        let rules = StateRules { reset: false, cut: true };
        let (slots, routes) = (before.slots.clone(), before.routes.clone());
        let report = self.change(slots, routes, false, rules)?;
        self.before = None;
        Ok(report)
    }

    /// A program has faulted; rolls back when that was one time too many. True when it did.
    pub fn faulted(&mut self, slot: usize) -> bool {
        let from = self.generation;
        let Some(before) = &mut self.before else { return false };
        let RollbackPolicy { faults, window } = before.policy;
        let watched = before.changed.contains(&slot) && before.adopted.elapsed() <= window;
        if faults == 0 || !watched {
            return false;
        }
        before.faults += 1;
        if before.faults < faults {
            return false;
        }
        // Only once: what went back and faults again has nothing before it.
        let result = self.rollback();
        let message = format!("generation {from} faulted {faults} times");
        let to = result.as_ref().map_or(0, |report| report.generation);
        let event = What::Rollback { program: slot as u16, to, message };
        self.events[0].send(event);
        result.is_ok()
    }

    /// Puts a new instance of a faulted program in place, or takes it for good.
    pub fn rebuild(&mut self, lcore: usize, slot: usize, program: &Arc<Program>, quarantine: bool) {
        let current = self.slots.get(slot).and_then(Option::as_ref);
        if !current.is_some_and(|current| Arc::ptr_eq(current, program)) {
            return;
        }
        let mut instance = match quarantine {
            true => None,
            false => self.instantiate_again(lcore, slot, program),
        };
        let quarantined = instance.is_none();
        let windows = instance.as_ref().and_then(|instance| instance.windows().cloned());
        self.windows[lcore].rebuilt(slot, windows);
        // An lcore that does not run any more needs no program.
        let _ = self.control.at_boundary(lcore, move |lcore| {
            let slot = &mut lcore.slots[slot];
            std::mem::swap(&mut slot.instance, &mut instance);
            slot.stats.rebuilds += u64::from(!quarantined);
            slot.stats.health = if quarantined { health::QUARANTINED } else { health::UP };
            Some(())
        });
        if quarantined {
            self.events[lcore].send(What::Quarantine { program: slot as u16 });
        }
    }

    fn instantiate_again(
        &self,
        lcore: usize,
        slot: usize,
        program: &Arc<Program>,
    ) -> Option<Instance> {
        let log = LogWriter::new(self.events[lcore].clone(), slot as u16);
        let built = program.instantiate(&self.places[lcore], log);
        if let Err(fault) = &built {
            self.events[lcore].fault(slot, self.generation, fault.clone());
        }
        built.ok()
    }

    fn check(&self, next: &GenerationConfig) -> Result<(), Error> {
        if next.routes.len() != self.routes.len() {
            let message = format!("{} ports, not {}", next.routes.len(), self.routes.len());
            return Err(Error::new(ErrorCode::RestartNeeded, message));
        }
        let programs = next.programs.len();
        for route in &next.routes {
            let known = route.chain.iter().all(|&program| program < programs);
            if !known || route.chain.len() > limits::PIPELINE_PROGRAMS_MAX {
                let message = format!("a pipeline of {:?}", route.chain);
                return Err(Error::new(ErrorCode::ConfigLimit, message));
            }
            let ports = [route.forward, route.punt];
            if ports.iter().flatten().any(|&port| usize::from(port) >= self.routes.len()) {
                let message = format!("there are {} ports", self.routes.len());
                return Err(Error::new(ErrorCode::ConfigUnknownPort, message));
            }
        }
        Ok(())
    }

    /// From what runs to `slots` and `routes`.
    fn change(
        &mut self,
        slots: Slots,
        routes: Vec<Route>,
        dry_run: bool,
        rules: StateRules,
    ) -> Result<SwapReport, Error> {
        let differs = |&slot: &usize| {
            let (old, new) = (self.slots.get(slot).and_then(Option::as_ref), slots[slot].as_ref());
            old.map(Arc::as_ptr) != new.map(Arc::as_ptr)
        };
        let changed: Vec<usize> = (0..slots.len()).filter(differs).collect();
        let generation = self.generation + 1;
        let mut report = SwapReport { generation, ..SwapReport::default() };
        let started = Instant::now();
        let build = |&slot: &usize| self.build(slot, slots[slot].clone(), rules);
        let mut next = changed.iter().map(build).collect::<Result<Vec<_>, _>>()?;
        report.instantiate = started.elapsed();
        report.tables = next.iter().flat_map(Next::table_changes).collect();
        if dry_run {
            return Ok(report);
        }
        self.control.check_all_run()?;
        let started = Instant::now();
        for Next { slot, draft, .. } in &mut next {
            for (lcore, copy) in &mut draft.copies {
                self.copy_ahead(*slot, *lcore, copy)?;
            }
        }
        report.copy = started.elapsed();
        let published = Instant::now();
        // From here on there is no way back: an lcore that is stuck adopts when it comes around.
        let steering = steer::plan(&routes, &slots, &self.queues);
        let adopted = self.publish(generation, &mut next, (&routes, &steering));
        report.adopt = published.elapsed();
        self.commit(generation, slots, routes, next);
        // What the lcores gave up goes now: unmapping it takes milliseconds, and nobody waits.
        adopted.map(|_| report)
    }

    /// The program of this name, and its slot.
    ///
    /// # Errors
    /// `WIRELET_E_CONFIG_UNKNOWN_PROGRAM`.
    pub(crate) fn program(&self, name: &str) -> Result<(usize, Arc<Program>), Error> {
        let named = |(slot, held): (usize, &Option<Arc<Program>>)| {
            let held = held.as_ref().filter(|held| held.config.name == name)?;
            Some((slot, Arc::clone(held)))
        };
        let found = self.slots.iter().enumerate().find_map(named);
        found.ok_or_else(|| Error::new(ErrorCode::ConfigUnknownProgram, name))
    }

    /// What `next` was is what runs.
    fn commit(&mut self, generation: u32, slots: Slots, routes: Vec<Route>, next: Vec<Next>) {
        let changed = next.iter().map(|next| next.slot).collect();
        for next in next {
            for (lcore, windows) in next.windows.into_iter().enumerate() {
                self.windows[lcore].replace(next.slot, windows, next.keeps_previous);
            }
            if let Some(program) = &next.program {
                program.state.commit(next.draft);
            }
        }
        let before = Before {
            slots: std::mem::replace(&mut self.slots, slots),
            routes: std::mem::replace(&mut self.routes, routes),
            changed,
            policy: RollbackPolicy { faults: 0, window: Duration::ZERO },
            adopted: Instant::now(),
            faults: 0,
        };
        self.before = Some(before);
        self.generation = generation;
        self.control.head.published(generation);
        let roster = Roster::new(&self.slots, generation);
        *self.roster.write().unwrap_or_else(PoisonError::into_inner) = roster;
    }

    /// Sends every lcore its part and waits for all; returns what they gave up.
    fn publish(
        &self,
        generation: u32,
        next: &mut [Next],
        (routes, steering): (&[Route], &[Steering]),
    ) -> Result<Vec<Box<dyn Errand>>, Error> {
        let adoption = |lcore: usize| {
            let parts = next.iter_mut().map(|next| next.part(lcore));
            let (changes, copies): (Vec<_>, Vec<_>) = parts.unzip();
            let copies = copies.into_iter().flatten().collect();
            let (routes, steering) = (routes.to_vec(), steering.to_vec());
            Adoption { generation, changes, routes, steering, copies }
        };
        let adoptions: Vec<Adoption> = (0..self.places.len()).map(adoption).collect();
        let send = |(lcore, adoption)| self.control.send(lcore, Box::<Adoption>::new(adoption));
        let sent: Vec<_> = adoptions.into_iter().enumerate().map(send).collect();
        let collect = |(lcore, sent): (usize, Result<(), Error>)| {
            sent.and_then(|()| self.control.collect(lcore))
        };
        // All of them are waited for, even when one is stuck: the others have moved.
        let results: Vec<_> = sent.into_iter().enumerate().map(collect).collect();
        results.into_iter().collect()
    }
}
