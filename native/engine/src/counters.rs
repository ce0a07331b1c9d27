//! Counters that programs name: u64s at the head of their state window, one page per lcore.

use std::sync::{Arc, Mutex, PoisonError};

use wirelet_abi::{Error, ErrorCode, guest, limits};
use wirelet_packet::{Backing, Pages};

use crate::table::Names;

/// The names of one program's counters, the same on every lcore and over generations.
#[derive(Debug, Default)]
pub struct CounterNames {
    names: Mutex<Vec<String>>,
    /// Where they are kept, if they are.
    file: Option<Names>,
}

impl CounterNames {
    /// Those that were kept, and from now on all others too.
    pub fn kept(file: Names) -> CounterNames {
        CounterNames { names: Mutex::new(file.list()), file: Some(file) }
    }

    /// Guest address of the counter called `name`, which is made if it is new. Called while a
    /// program loads, never on the packet path.
    ///
    /// # Errors
    /// `WIRELET_E_COUNTERS` for a name of 0 or more than 64 bytes, or too many counters.
    pub fn address(&self, name: &str) -> Result<u32, Error> {
        if name.is_empty() || name.len() > limits::NAME_BYTES_MAX || name.contains(char::is_control)
        {
            let message = format!("{name:?} is no name of 1 to {} bytes", limits::NAME_BYTES_MAX);
            return Err(Error::new(ErrorCode::Counters, message));
        }
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let index = match names.iter().position(|known| known == name) {
            Some(index) => index,
            None if names.len() == limits::PROGRAM_COUNTERS_MAX => {
                let message = format!("{} counters already", names.len());
                return Err(Error::new(ErrorCode::Counters, message));
            }
            None => {
                if let Some(file) = &self.file {
                    file.add(names.len(), name);
                }
                names.push(name.into());
                names.len() - 1
            }
        };
        Ok(guest::COUNTERS + (index * size_of::<u64>()) as u32)
    }

    /// Every counter's name and its sum over the lcores' `states`.
    pub fn read(&self, states: &[Arc<Backing>]) -> Vec<(String, u64)> {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let value = |index: usize| -> u64 {
            let read = |state: &Arc<Backing>| {
                // SAFETY: index < PROGRAM_COUNTERS_MAX, so the u64 lies within the backing,
                // aligned; the program may write it meanwhile, hence volatile and no reference.
                unsafe { state.base().cast::<u64>().add(index).read_volatile() }
            };
            states.iter().map(read).fold(0, u64::wrapping_add)
        };
        names.iter().enumerate().map(|(index, name)| (name.clone(), value(index))).collect()
    }
}

/// Memory behind one program's state window on one lcore.
///
/// # Errors
/// `WIRELET_E_MEMORY_EXHAUSTED`.
pub fn new_state() -> Result<Arc<Backing>, Error> {
    let bytes = guest::COUNTERS_BYTES as usize;
    Ok(Arc::new(Backing::new("wirelet-state", bytes, Pages::Small)?))
}
