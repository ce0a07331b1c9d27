//! Devices: what fills frames with packets and takes packets out of them.
//!
//! [`Device`] is the contract; every device is a file of its own. [`open`] turns a spec such as
//! `pcap:in.pcap,out.pcap` into one device per queue.

mod af_packet;
mod af_xdp;
mod capture;
mod checker;
mod device;
pub mod dpdk;
mod filter;
mod generator;
mod interface;
mod loopback;
mod null;
pub mod numa;
mod offload;
mod open;
mod pcap;
mod ring;
mod rules;
mod sink;
mod spec;
mod stamp;
pub mod survey;
mod tap;
#[cfg(test)]
mod testing;
mod wrap;

pub use capture::{CaptureReader, CaptureWriter, Format, Precision, Record};
pub use device::{Device, DeviceStats, Idle, OpenContext, Passage, Passed, TxHandle, TxLimits};
pub use filter::{FILTER_INSTRUCTIONS_MAX, FILTER_TEXT_BYTES_MAX, Filter, Instruction};
pub use open::open;
pub use ring::Rings;
pub use rules::{Family, Match, PortRange, Prefix, Rule, RuleAction, TAGS_MAX, VlanMatch};
pub use spec::Spec;
pub use wrap::packet_line;
