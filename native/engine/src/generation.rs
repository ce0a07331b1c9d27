//! A generation: all that lcores take over at once, each at one boundary between two bursts.

use std::any::Any;
use std::mem::swap;
use std::sync::Arc;
use std::time::Duration;

use wirelet_abi::limits::RULES_MAX;
use wirelet_abi::stats::ProgramBlock;
use wirelet_drivers::Rule;

use crate::errand::Errand;
use crate::lcore::Lcore;
use crate::migrate::GROUPS_PER_BOUNDARY;
use crate::pipeline::{Slot, health};
use crate::program::{Instance, Program, ProgramConfig};
use crate::steer::Steering;
use crate::table::TableCopy;

/// Where the packets of a port go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// Port that passed packets leave by.
    pub forward: Option<u16>,
    /// Port that punted packets leave by.
    pub punt: Option<u16>,
    /// Programs that they run through, indexes into the slots.
    pub chain: Vec<usize>,
    /// What is decided before they run through any; the first that matches counts.
    pub rules: Vec<Rule>,
}

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

/// One slot's next contents; afterwards, what was there before.
pub struct SlotChange {
    /// Which slot.
    pub slot: usize,
    /// `None`: the program is taken out.
    pub program: Option<Arc<Program>>,
    /// Its instance for the lcore.
    pub instance: Option<Instance>,
    /// The instance that was there stays as fallback.
    pub keeps_previous: bool,
    /// Another program than the one before: it counts from zero.
    pub counts_anew: bool,
    /// What was the fallback before.
    retired: Option<Instance>,
}

impl SlotChange {
    /// A program that takes the place of its former self, or of nothing.
    pub fn new(slot: usize, program: Option<Arc<Program>>, instance: Option<Instance>) -> Self {
        let (keeps_previous, counts_anew) = (false, false);
        SlotChange { slot, program, instance, keeps_previous, counts_anew, retired: None }
    }

    fn apply(&mut self, slots: &mut Vec<Slot>) {
        while slots.len() <= self.slot {
            assert!(slots.len() < slots.capacity(), "slots are reserved when the lcore is made");
            slots.push(Slot::default());
        }
        let slot = &mut slots[self.slot];
        swap(&mut slot.program, &mut self.program);
        swap(&mut slot.instance, &mut self.instance);
        swap(&mut slot.fallback, &mut self.retired);
        if self.keeps_previous {
            swap(&mut slot.fallback, &mut self.instance);
        }
        if self.counts_anew {
            slot.stats = ProgramBlock::default();
        }
        slot.stats.health = if slot.instance.is_some() { health::UP } else { health::DOWN };
    }
}

/// One lcore's way into a generation. Pointers change places; nothing is made or freed.
pub struct Adoption {
    /// Its number.
    pub generation: u32,
    /// Slots that change.
    pub changes: Vec<SlotChange>,
    /// Of every port.
    pub routes: Vec<Route>,
    /// Of every port.
    pub steering: Vec<Steering>,
    /// Tables of the lcore that are taken over when the last change is in them.
    pub copies: Vec<TableCopy>,
}

impl Errand for Adoption {
    fn run(&mut self, lcore: &mut Lcore) -> bool {
        // All of them at one boundary: what was finished at an earlier one may have changed again.
        if !self.copies.iter_mut().all(|copy| copy.finish(GROUPS_PER_BOUNDARY)) {
            return false;
        }
        // From this boundary on a restart finds them.
        self.copies.iter().for_each(|copy| copy.to().activate());
        for change in &mut self.changes {
            change.apply(&mut lcore.slots);
        }
        for (port, route) in lcore.ports.iter_mut().zip(&mut self.routes) {
            if port.route.rules != route.rules {
                // Other rules count from zero.
                port.stats.rule_hits = [0; RULES_MAX];
            }
            swap(&mut port.route, route);
        }
        for (port, steering) in lcore.ports.iter_mut().zip(&mut self.steering) {
            swap(&mut port.steering, steering);
        }
        lcore.generation = self.generation;
        true
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
