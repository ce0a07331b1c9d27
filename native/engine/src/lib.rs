//! Runs packet programs on bursts. Read in this order: [`lcore`] (the loop), `pipeline`, `burst`,
//! `program`, `memory`, `check`, `appliance`.

pub mod affinity;
pub mod appliance;
pub mod bench;
pub mod burst;
pub mod check;
pub mod control;
pub mod counters;
pub mod engine;
pub mod event;
pub mod fault;
pub mod idle;
mod imports;
pub mod lcore;
mod log;
pub mod memory;
pub mod pipeline;
pub mod port;
pub mod ports;
pub mod program;
pub mod rebuild;
pub mod runner;
pub mod stats;
pub mod table;
mod transmit;
mod twins;

pub use twins::TWINS;
