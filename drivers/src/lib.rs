//! Devices: what fills frames with packets and takes packets out of them.
//!
//! [`Device`] is the contract; every device is a file of its own. [`open`] turns a spec such as
//! `pcap:in.pcap,out.pcap` into one device per queue.

mod device;
mod spec;

pub use device::{Device, DeviceStats, Idle, OpenContext, TxLimits};
pub use spec::Spec;
