//! `af_xdp` on veth pairs, in network namespaces that each test makes itself. Skipped, with a
//! printed reason, where that takes a privilege that we don't have.

mod bytes;
mod ends;
mod faults;
mod kernel;
mod process;
mod programs;
mod queues;
mod raw;
mod rig;
