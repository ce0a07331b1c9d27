//! What a swap makes before anybody sees it: code, slots, instances, tables.

use std::sync::Arc;

use wirelet_abi::{Error, ErrorCode};

use crate::generation::{NextProgram, SlotChange};
use crate::log::LogWriter;
use crate::program::{Instance, OnFault, Program};
use crate::state::{Draft, ProgramState, StateRules, StateTable, TableAction};
use crate::swap::{Changes, Slots, TableChange};
use crate::table::TableCopy;
use crate::windows::Windows;

/// A slot's next contents on all lcores.
pub(crate) struct Next {
    pub slot: usize,
    pub program: Option<Arc<Program>>,
    /// Per lcore; taken by its adoption.
    instances: Vec<Option<Instance>>,
    /// Per lcore, of those instances.
    pub windows: Vec<Option<Arc<Windows>>>,
    pub draft: Draft,
    pub keeps_previous: bool,
    counts_anew: bool,
}

impl Next {
    /// An empty slot.
    fn nothing(slot: usize, lcores: usize) -> Next {
        Next {
            slot,
            program: None,
            instances: (0..lcores).map(|_| None).collect(),
            windows: vec![None; lcores],
            draft: Draft::default(),
            keeps_previous: false,
            counts_anew: false,
        }
    }

    pub fn table_changes(&self) -> Vec<TableChange> {
        let Some(program) = &self.program else { return Vec::new() };
        let change = |(table, &action): (&StateTable, &TableAction)| TableChange {
            program: program.config.name.clone(),
            table: table.wanted.name.clone(),
            action,
        };
        self.draft.tables.iter().zip(&self.draft.actions).map(change).collect()
    }

    /// One lcore's part of it.
    pub fn part(&mut self, lcore: usize) -> (SlotChange, Vec<TableCopy>) {
        let mut change =
            SlotChange::new(self.slot, self.program.clone(), self.instances[lcore].take());
        change.keeps_previous = self.keeps_previous;
        change.counts_anew = self.counts_anew;
        let own = self.draft.copies.extract_if(.., |(of, _)| *of == lcore);
        (change, own.map(|(_, copy)| copy).collect())
    }
}

impl Changes {
    /// Of a program that was not there before.
    fn new_state(&self, program: &str) -> Result<Arc<ProgramState>, Error> {
        let lcores = self.places.len();
        match &self.store {
            Some(store) => ProgramState::kept(store, program, lcores),
            None => ProgramState::new(lcores),
        }
    }

    /// Compiles what is new and gives every program a slot: its name's, or a free one. Returns the
    /// slots and where each program went.
    pub(crate) fn place(&self, programs: &[NextProgram]) -> Result<(Slots, Vec<usize>), Error> {
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
            let state = self.new_state(&programs[index].config.name)?;
            let program = compile(&programs[index], state)?;
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

    /// A slot's next program on every lcore, with the tables that it will have.
    pub(crate) fn build(
        &self,
        slot: usize,
        program: Option<Arc<Program>>,
        rules: StateRules,
    ) -> Result<Next, Error> {
        let old = self.slots.get(slot).and_then(Option::as_ref);
        let mut next = Next::nothing(slot, self.places.len());
        next.counts_anew = old.is_none();
        let Some(program) = program else { return Ok(next) };
        let name = &program.config.name;
        let add = |error: Error| Error::new(error.code, format!("{name}: {}", error.message));
        let mut first = None;
        for (lcore, places) in self.places.iter().enumerate() {
            let log = LogWriter::new(self.events[lcore].clone(), slot as u16);
            let loaded = program.load(log).map_err(|fault| add(fault.error))?;
            if lcore == 0 {
                let types = &program.config.table_types;
                next.draft = program.state.draft(loaded.wanted(), types, rules).map_err(add)?;
                first = Some(loaded.wanted().to_vec());
            } else if first.as_deref() != Some(loaded.wanted()) {
                let message = format!("{name}: it asks for other tables on lcore {lcore}");
                return Err(Error::new(ErrorCode::Tables, message));
            }
            let instance = loaded.open(places, &next.draft.of(lcore)).map_err(add)?;
            next.windows[lcore] = instance.windows().cloned();
            next.instances[lcore] = Some(instance);
        }
        let previous = program.config.on_fault == OnFault::Previous && old.is_some();
        next.keeps_previous = previous && next.draft.attaches_all();
        next.program = Some(program);
        Ok(next)
    }
}

fn compile(next: &NextProgram, state: Arc<ProgramState>) -> Result<Arc<Program>, Error> {
    let name = next.config.name.clone();
    let add = |error: Error| Error::new(error.code, format!("{name}: {}", error.message));
    Program::new(next.config.clone(), state).map(Arc::new).map_err(add)
}
