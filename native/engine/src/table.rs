//! Tables: the state of programs. Their native side; layout and rules are declared in
//! `wirelet_abi::table`, the design is docs/design/tables.md. Read in this order: `shape` (where
//! everything lies), `state` (what one can do with a table), `hash`, `live`,
//! `repair`, `copy`, `lpm`, `persist`.

mod array;
mod copy;
mod hash;
mod live;
mod lpm;
mod make;
mod memory;
mod persist;
mod prefixes;
mod repair;
mod shape;
mod state;

pub use copy::TableCopy;
pub use make::Blueprint;
pub use persist::{Home, Kept, KeptCounters, KeptValues, Names, Store};
pub use repair::Repaired;
pub use shape::{Geometry, Shape};
pub use state::{Counts, Entry, Listing, Table};

#[cfg(test)]
mod tests;
