//! Which programs run: what readers see while a change is under way.

use std::sync::Arc;

use crate::program::Program;

/// The programs by slot.
#[derive(Default)]
pub struct Roster {
    /// `None`: a free slot.
    pub programs: Vec<Option<Arc<Program>>>,
    /// The newest generation that all lcores have adopted.
    pub generation: u32,
}

impl Roster {
    /// A copy of `programs`.
    pub fn new(programs: &[Option<Arc<Program>>], generation: u32) -> Roster {
        Roster { programs: programs.to_vec(), generation }
    }

    /// A program's name; empty for a free slot.
    pub fn name(&self, slot: usize) -> &str {
        let program = self.programs.get(slot).and_then(Option::as_ref);
        program.map_or("", |program| &program.config.name)
    }
}
