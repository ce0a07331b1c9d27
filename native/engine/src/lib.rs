//! Runs packet programs on bursts. Read in this order: [`lcore`] (the loop), `pipeline`, `burst`,
//! `program`, `memory`, `check`, `appliance`; then what changes while packets flow: `errand`,
//! `generation`, `swap`, `state`, `table`.

pub mod affinity;
pub mod appliance;
pub mod bench;
pub mod burst;
pub mod check;
pub mod code;
pub mod control;
pub mod counters;
pub mod engine;
pub mod errand;
pub mod event;
pub mod fate;
pub mod fault;
mod flood;
mod flow;
pub mod generation;
mod handover;
pub mod idle;
mod imports;
pub mod lcore;
mod log;
pub mod memory;
mod migrate;
mod next;
pub mod notify;
pub mod pipeline;
mod placement;
pub mod port;
pub mod ports;
pub mod program;
pub mod punt;
pub mod rebuild;
pub mod roster;
pub mod runner;
mod sampler;
pub mod shadow;
pub mod state;
pub mod stats;
pub mod steer;
pub mod swap;
pub mod table;
mod table_commands;
mod tick;
pub mod trace;
pub mod tracer;
mod transmit;
mod twins;
mod watch;
pub mod windows;

pub use twins::TWINS;
pub use wirelet_drivers::dpdk::set_eal_arguments;
pub use wirelet_drivers::{Filter, Instruction, packet_line};
