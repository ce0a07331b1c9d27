//! State that survives the process: tables and counters in files on tmpfs or hugetlbfs.
//!
//! Each table is a file of its own: its memory, as programs map it, and behind it a label that only
//! native code maps. The label says whose table it is, of what shape, and whether it is *active*.
//! A table that takes the place of another is made in a new file, and becomes active by a single
//! store; of several active ones the newest counts. So whenever the process is killed, either the
//! old or the new one is found, and never half of one. What a killed writer left is repaired.
//!
//! What remains: somebody who truncates a file while it is mapped kills the process (SIGBUS), and
//! a file can't be sealed. So the folder must be the user's own, closed to others.

mod counters;
mod file;
mod folder;
mod label;
mod store;

pub use counters::{KeptCounters, KeptValues, Names};
pub use file::StateFile;
pub use store::{Home, Kept, Store};
