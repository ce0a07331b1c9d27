//! The engine from outside, as host and hostile programs meet it. One binary: linking wasmtime is
//! most of what a test costs.

#[path = "../common/mod.rs"]
mod common;

mod affinity;
mod conservation;
mod door;
mod door_bytes;
mod door_features;
mod door_limits;
mod faults;
mod flood;
mod hostile;
mod lcores;
mod punt;
mod rules;
mod shadow;
mod swap;
mod trace;
