//! Changing an appliance while packets flow (docs/design/swap.md). Everything here runs on control
//! threads, one change at a time.

use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use wirelet_abi::{Error, ErrorCode, limits};

use crate::control::Control;
use crate::event::{EventSender, What};
use crate::generation::{Adoption, Route, SlotChange};
use crate::log::LogWriter;
use crate::pipeline::health;
use crate::program::{Instance, OnFault, Places, Program, ProgramConfig};
use crate::roster::Roster;
use crate::state::ProgramState;

/// A program of the next generation.
#[derive(Clone, Debug)]
pub struct NextProgram {
    /// What the host says of it; only its name is read when it is kept.
    pub config: ProgramConfig,
    /// It is unchanged: its instances stay.
    pub keep: bool,
}

/// The next generation.
#[derive(Clone, Debug)]
pub struct GenerationConfig {
    /// Every program it has.
    pub programs: Vec<NextProgram>,
    /// Of every port; chains are indexes into `programs`.
    pub routes: Vec<Route>,
    /// Tables of another shape begin empty instead of refusing the swap.
    pub reset_state: bool,
    /// Stop before publishing: everything is checked, nothing is touched.
    pub dry_run: bool,
    /// When the generation before comes back by itself.
    pub rollback: RollbackPolicy,
}

/// When faults bring the generation before back.
#[derive(Clone, Copy, Debug)]
pub struct RollbackPolicy {
    /// Faults of changed programs; 0: never.
    pub faults: u32,
    /// Within this time after the adoption.
    pub window: Duration,
}

/// What a swap did, and what it took.
#[derive(Clone, Debug, Default)]
pub struct SwapReport {
    /// The generation that all lcores have adopted.
    pub generation: u32,
    /// Checking and compiling to machine code.
    pub compile: Duration,
    /// Instances with `onLoad` and windows.
    pub instantiate: Duration,
    /// Copying tables.
    pub copy: Duration,
    /// From the publication to the last lcore's adoption.
    pub adopt: Duration,
}

/// Programs by slot; `None`: a free one.
pub type Slots = Vec<Option<Arc<Program>>>;

/// Everything that changes and who needs to know: guarded by one lock, so that two changes never
/// overlap.
pub struct Changes {
    control: Arc<Control>,
    /// Windows of each lcore.
    places: Vec<Places>,
    /// Of each lcore, for the logs of new instances.
    events: Vec<EventSender>,
    /// What readers see without this lock.
    roster: Arc<RwLock<Roster>>,
    slots: Slots,
    slots_max: usize,
    routes: Vec<Route>,
    generation: u32,
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
        (slots, slots_max): (Slots, usize),
        routes: Vec<Route>,
    ) -> Changes {
        let (generation, before) = (1, None);
        Changes { control, places, events, roster, slots, slots_max, routes, generation, before }
    }

    /// The newest generation.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Makes `next` the generation that all lcores run.
    ///
    /// # Errors
    /// Before the publication, with nothing changed: the codes of modules, programs and memory,
    /// `WIRELET_E_CONFIG_LIMIT`, `WIRELET_E_CONFIG_UNKNOWN_PROGRAM`, `WIRELET_E_RESTART_NEEDED`,
    /// `WIRELET_E_STATE` when the appliance does not run. After it: `WIRELET_E_SWAP_TIMEOUT`.
    pub fn swap(&mut self, next: GenerationConfig) -> Result<SwapReport, Error> {
        self.check(&next)?;
        let started = Instant::now();
        let (slots, indexes) = self.place(&next.programs)?;
        let compile = started.elapsed();
        let to_slots = |route: &Route| Route {
            chain: route.chain.iter().map(|&program| indexes[program]).collect(),
            ..route.clone()
        };
        let routes = next.routes.iter().map(to_slots).collect();
        let mut report = self.change(slots, routes, next.dry_run)?;
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
        let report = self.change(before.slots.clone(), before.routes.clone(), false)?;
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

    /// Compiles what is new and gives every program a slot: its name's, or a free one. Returns the
    /// slots and where each program went.
    fn place(&self, programs: &[NextProgram]) -> Result<(Slots, Vec<usize>), Error> {
        let mut slots: Slots = vec![None; self.slots.len()];
        let mut indexes = Vec::new();
        let mut new = Vec::new();
        for (index, next) in programs.iter().enumerate() {
            let name = &next.config.name;
            let named = |slot: &Option<Arc<Program>>| {
                slot.as_ref().is_some_and(|program| program.config.name == *name)
            };
            let slot = self.slots.iter().position(named);
            match (slot, next.keep) {
                (Some(slot), true) => slots[slot].clone_from(&self.slots[slot]),
                (Some(slot), false) => {
                    let state = self.slots[slot].as_ref().map(|old| Arc::clone(&old.state));
                    let state = state.expect("a slot with a name has a program");
                    slots[slot] = Some(compile(next, state)?);
                }
                (None, true) => {
                    return Err(Error::new(ErrorCode::ConfigUnknownProgram, name.as_str()));
                }
                (None, false) => new.push(index),
            }
            indexes.push(slot.unwrap_or(usize::MAX));
        }
        for index in new {
            let program = compile(&programs[index], ProgramState::new(self.places.len())?)?;
            // Slots of programs that go now are free from the next generation on.
            let free = (0..self.slots.len())
                .find(|&slot| slots[slot].is_none() && self.slots[slot].is_none());
            let slot = free.unwrap_or(slots.len());
            if slot >= self.slots_max {
                let message = format!("{} programs and {} new ones", self.slots.len(), slot);
                return Err(Error::new(ErrorCode::RestartNeeded, message));
            }
            if slot == slots.len() {
                slots.push(None);
            }
            slots[slot] = Some(program);
            indexes[index] = slot;
        }
        Ok((slots, indexes))
    }

    /// From what runs to `slots` and `routes`.
    fn change(
        &mut self,
        slots: Slots,
        routes: Vec<Route>,
        dry_run: bool,
    ) -> Result<SwapReport, Error> {
        let changed: Vec<usize> = (0..slots.len())
            .filter(|&slot| {
                let (old, new) =
                    (self.slots.get(slot).and_then(Option::as_ref), slots[slot].as_ref());
                old.map(Arc::as_ptr) != new.map(Arc::as_ptr)
            })
            .collect();
        let generation = self.generation + 1;
        let mut report = SwapReport { generation, ..SwapReport::default() };
        let started = Instant::now();
        let mut adoptions = Vec::new();
        for lcore in 0..self.places.len() {
            let changes = self.build(lcore, &slots, &changed)?;
            adoptions.push(Adoption { generation, changes, routes: routes.clone() });
        }
        report.instantiate = started.elapsed();
        if dry_run {
            return Ok(report);
        }
        self.control.check_all_run()?;
        let published = Instant::now();
        // From here on there is no way back: an lcore that is stuck adopts when it comes around.
        let adopted = self.publish(adoptions);
        report.adopt = published.elapsed();
        let old = std::mem::replace(&mut self.slots, slots);
        let old_routes = std::mem::replace(&mut self.routes, routes);
        self.generation = generation;
        self.before = Some(Before {
            slots: old,
            routes: old_routes,
            changed,
            policy: RollbackPolicy { faults: 0, window: Duration::ZERO },
            adopted: Instant::now(),
            faults: 0,
        });
        let roster = Roster::new(&self.slots, generation);
        *self.roster.write().unwrap_or_else(std::sync::PoisonError::into_inner) = roster;
        adopted.map(|()| report)
    }

    /// One lcore's part: instances of what changed.
    fn build(
        &self,
        lcore: usize,
        slots: &[Option<Arc<Program>>],
        changed: &[usize],
    ) -> Result<Vec<SlotChange>, Error> {
        let build = |&slot: &usize| {
            let old = self.slots.get(slot).and_then(Option::as_ref);
            let program = slots[slot].clone();
            let instance = match &program {
                None => None,
                Some(program) => Some(self.instantiate(lcore, slot, program)?),
            };
            let mut change = SlotChange::new(slot, program, instance);
            change.counts_anew = old.is_none();
            change.keeps_previous = change
                .program
                .as_ref()
                .is_some_and(|new| new.config.on_fault == OnFault::Previous && old.is_some());
            Ok(change)
        };
        changed.iter().map(build).collect()
    }

    fn instantiate(
        &self,
        lcore: usize,
        slot: usize,
        program: &Arc<Program>,
    ) -> Result<Instance, Error> {
        let log = LogWriter::new(self.events[lcore].clone(), slot as u16);
        program.instantiate(&self.places[lcore], log).map_err(|fault| {
            let message = format!("{}: {}", program.config.name, fault.error.message);
            Error::new(fault.error.code, message)
        })
    }

    /// Sends every lcore its part and waits for all. What they gave up is dropped here.
    fn publish(&self, adoptions: Vec<Adoption>) -> Result<(), Error> {
        let send = |(lcore, adoption)| self.control.send(lcore, Box::<Adoption>::new(adoption));
        let sent: Vec<_> = adoptions.into_iter().enumerate().map(send).collect();
        let collect = |(lcore, sent): (usize, Result<(), Error>)| {
            sent.and_then(|()| self.control.collect(lcore)).map(drop)
        };
        // All of them are waited for, even when one is stuck: the others have moved.
        let results: Vec<_> = sent.into_iter().enumerate().map(collect).collect();
        results.into_iter().collect()
    }
}

fn compile(next: &NextProgram, state: Arc<ProgramState>) -> Result<Arc<Program>, Error> {
    let name = next.config.name.clone();
    let add = |error: Error| Error::new(error.code, format!("{name}: {}", error.message));
    Program::new(next.config.clone(), state).map(Arc::new).map_err(add)
}
