//! The host writes tables of a running appliance. Only its lcore writes a table, so a command is an
//! errand; shared tables are written by the control thread, and flipped.

use std::sync::Arc;

use wirelet_abi::table::kind;
use wirelet_abi::{Error, ErrorCode};

use crate::state::{ProgramState, StateTable};
use crate::swap::Changes;
use crate::table::{Shape, Table};
use crate::windows::Windows;

/// A key and its value.
pub type KeyValue = (Vec<u8>, Vec<u8>);

/// A table of a program that runs.
struct Target {
    slot: usize,
    state: Arc<ProgramState>,
    table: StateTable,
    /// Lcores to write on; one, whichever, for a shared table.
    lcores: Vec<usize>,
}

impl Target {
    fn shape(&self) -> &Shape {
        self.table.tables[0].shape()
    }

    fn is_lpm(&self) -> bool {
        matches!(self.shape().kind, kind::LPM4 | kind::LPM6)
    }
}

impl Changes {
    /// Sets a key on one lcore, or on all with `None`; a shared table has no lcores.
    ///
    /// # Errors
    /// `WIRELET_E_TABLE_UNKNOWN`, `WIRELET_E_TABLE_VALUE`, `WIRELET_E_TABLE_FULL`,
    /// `WIRELET_E_CONFIG_LIMIT` for an lcore that is not there, `WIRELET_E_STATE` when it does not
    /// run.
    pub fn set_key(
        &mut self,
        program: &str,
        table: &str,
        lcore: Option<usize>,
        (key, value): KeyValue,
    ) -> Result<(), Error> {
        let target = self.target(program, table, lcore)?;
        if target.shape().shared {
            return self.set_shared(&target, &key, &value);
        }
        for &lcore in &target.lcores {
            let table = Arc::clone(&target.table.tables[lcore]);
            let (key, value) = (key.clone(), value.clone());
            self.control.at_boundary(lcore, move |_| Some(table.set(&key, &value)))??;
        }
        Ok(())
    }

    /// Deletes a key on one lcore, or on all with `None`. False when it was on none of them.
    ///
    /// # Errors
    /// As [`Changes::set_key`].
    pub fn delete_key(
        &mut self,
        program: &str,
        table: &str,
        lcore: Option<usize>,
        key: &[u8],
    ) -> Result<bool, Error> {
        let target = self.target(program, table, lcore)?;
        if target.shape().shared {
            return self.delete_shared(&target, key);
        }
        let mut found = false;
        for &lcore in &target.lcores {
            let table = Arc::clone(&target.table.tables[lcore]);
            let key = key.to_vec();
            found |= self.control.at_boundary(lcore, move |_| Some(table.delete(&key)))?;
        }
        Ok(found)
    }

    /// Builds a table of `entries` aside and flips to it, on one lcore, or on all with `None`.
    ///
    /// # Errors
    /// As [`Changes::set_key`], and those of memory.
    pub fn replace_table(
        &mut self,
        program: &str,
        table: &str,
        lcore: Option<usize>,
        entries: &[KeyValue],
    ) -> Result<(), Error> {
        let target = self.target(program, table, lcore)?;
        // All are built before the first is flipped.
        let built = target.lcores.iter().map(|&lcore| build(&target, entries, lcore));
        let built = built.collect::<Result<Vec<_>, _>>()?;
        for (&lcore, table) in target.lcores.iter().zip(&built) {
            self.flip(&target, lcore, table)?;
        }
        Ok(())
    }

    fn target(&self, program: &str, table: &str, lcore: Option<usize>) -> Result<Target, Error> {
        let (slot, program) = self.program(program)?;
        let state = Arc::clone(&program.state);
        let table = state.table(table)?;
        let count = self.places.len();
        let lcores = match lcore {
            Some(lcore) if lcore >= count => {
                let message = format!("lcore {lcore} of {count}");
                return Err(Error::new(ErrorCode::ConfigLimit, message));
            }
            _ if table.wanted.shape.shared => vec![0],
            Some(lcore) => vec![lcore],
            None => (0..count).collect(),
        };
        Ok(Target { slot, state, table, lcores })
    }

    /// LPM in place, entry by entry; others by building aside.
    fn set_shared(&mut self, target: &Target, key: &[u8], value: &[u8]) -> Result<(), Error> {
        let table = &target.table.tables[0];
        if target.is_lpm() {
            match table.set(key, value) {
                // Its nodes are used up: the table built aside has as many as it needs.
                Err(error) if error.code == ErrorCode::TableFull => {}
                other => return other,
            }
        }
        let mut entries = all(table);
        entries.retain(|(other, _)| other != key);
        entries.push((key.to_vec(), value.to_vec()));
        let table = build(target, &entries, 0)?;
        self.flip(target, 0, &table)
    }

    fn delete_shared(&mut self, target: &Target, key: &[u8]) -> Result<bool, Error> {
        let table = &target.table.tables[0];
        if target.is_lpm() {
            let deleted = table.delete(key);
            // Nodes that it no longer needs are used again when no lcore can be in them.
            self.pass_boundaries()?;
            table.settle();
            return Ok(deleted);
        }
        let mut entries = all(table);
        let before = entries.len();
        entries.retain(|(other, _)| other != key);
        if entries.len() == before {
            return Ok(false);
        }
        let table = build(target, &entries, 0)?;
        self.flip(target, 0, &table)?;
        Ok(true)
    }

    /// All instances that see the table go on with `table`: those of one lcore, or, when it is
    /// shared, of every one.
    fn flip(&mut self, target: &Target, lcore: usize, table: &Arc<Table>) -> Result<(), Error> {
        let old = &target.table.tables[lcore];
        let shared = table.shape().shared;
        let lcores = if shared { 0..self.places.len() } else { lcore..lcore + 1 };
        let mut asides = Vec::new();
        for lcore in lcores {
            for windows in self.windows[lcore].of(target.slot) {
                let Some(index) = windows.find(old) else { continue };
                match windows.map_aside(index, table) {
                    Ok(aside) => asides.push((lcore, Arc::clone(windows), aside)),
                    Err(error) => {
                        asides.iter().for_each(|(_, windows, aside)| windows.discard(aside));
                        return Err(error);
                    }
                }
            }
        }
        for (lcore, windows, aside) in asides {
            let (flipped, keeps): (Arc<Windows>, Arc<Windows>) = (Arc::clone(&windows), windows);
            let aside = self.control.at_boundary(lcore, {
                let mut aside = Some(aside);
                move |_| {
                    let aside = aside.take().expect("an errand that is done is not called again");
                    flipped.flip(&aside);
                    aside.table().activate();
                    Some(aside)
                }
            })?;
            keeps.settle(aside);
        }
        target.state.put(table.name(), lcore, table);
        Ok(())
    }

    /// Waits until every lcore has passed a burst boundary.
    fn pass_boundaries(&self) -> Result<(), Error> {
        (0..self.places.len()).try_for_each(|lcore| self.control.at_boundary(lcore, |_| Some(())))
    }
}

fn build(target: &Target, entries: &[KeyValue], lcore: usize) -> Result<Arc<Table>, Error> {
    let entries = entries.iter().map(|(key, value)| (key.as_slice(), value.as_slice()));
    target.table.tables[lcore].rebuilt(entries).map(Arc::new)
}

fn all(table: &Table) -> Vec<KeyValue> {
    table.read(0, usize::MAX).0
}
