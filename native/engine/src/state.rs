//! What outlives a program's generations: its counters and tables, on every lcore.

use std::sync::Arc;

use wirelet_abi::Error;
use wirelet_packet::Backing;

use crate::counters::{CounterNames, new_state};

/// The state of one program of an appliance.
#[derive(Debug)]
pub struct ProgramState {
    /// Its counters' names, the same on every lcore.
    pub counters: CounterNames,
    /// Their values, per lcore.
    values: Vec<Arc<Backing>>,
}

impl ProgramState {
    /// Empty state on so many lcores.
    ///
    /// # Errors
    /// `WIRELET_E_MEMORY_EXHAUSTED`.
    pub fn new(lcores: usize) -> Result<Arc<ProgramState>, Error> {
        let values = (0..lcores).map(|_| new_state()).collect::<Result<_, _>>()?;
        Ok(Arc::new(ProgramState { counters: CounterNames::default(), values }))
    }

    /// Memory of the counters on one lcore.
    pub fn values(&self, lcore: usize) -> &Arc<Backing> {
        &self.values[lcore]
    }

    /// Every counter's name and its sum over the lcores.
    pub fn read_counters(&self) -> Vec<(String, u64)> {
        self.counters.read(&self.values)
    }
}
