//! Devices on real interfaces, in network namespaces that each test makes for itself. They vanish
//! with the test, whatever becomes of it: nothing but descriptors of the test keeps them.
//!
//! Needs root and iproute2; without them every test says `skipped:` and why.

mod af_packet;
mod namespace;
mod offloads;
mod raw;
mod rig;
mod tap;
