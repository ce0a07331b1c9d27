//! Which packets somebody wants to see, in tcpdump's language (pcap-filter(7)): libpcap makes
//! instructions of the words, and we run those over packets where they lie.
//!
//! ```no_run
//! # use wirelet_drivers::Filter;
//! let filter = Filter::parse("udp port 53 and host 192.0.2.1")?;
//! assert!(!filter.matches(&[0; 60], 60));
//! # Ok::<(), wirelet_abi::Error>(())
//! ```

mod code;
mod libpcap;

use wirelet_abi::{Error, ErrorCode};
use wirelet_packet::{Mbuf, Region};

pub use code::Instruction;
use code::Op;

/// Instructions of one filter at most, as in the kernel (BPF_MAXINSNS).
pub const FILTER_INSTRUCTIONS_MAX: usize = 4096;
/// Bytes of an expression at most.
pub const FILTER_TEXT_BYTES_MAX: usize = 4096;

/// A filter that was checked: it ends on any packet, and reads nothing but the packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    ops: Vec<Op>,
}

impl Filter {
    /// Of an expression. Names of hosts are looked up, so this may take seconds.
    ///
    /// # Errors
    /// `WIRELET_E_LIBPCAP` when there is no libpcap, `WIRELET_E_FILTER` with what it says of the
    /// expression.
    pub fn parse(expression: &str) -> Result<Filter, Error> {
        Filter::new(&Filter::compile(expression)?)
    }

    /// The instructions of an expression, as libpcap makes them for Ethernet.
    ///
    /// # Errors
    /// As [`Filter::parse`].
    pub fn compile(expression: &str) -> Result<Vec<Instruction>, Error> {
        if expression.len() > FILTER_TEXT_BYTES_MAX {
            return Err(invalid(format!("more than {FILTER_TEXT_BYTES_MAX} bytes")));
        }
        libpcap::compile(expression)
    }

    /// Of instructions from anywhere: jumps go forward and stay inside, memory is inside, the last
    /// instruction returns.
    ///
    /// # Errors
    /// `WIRELET_E_FILTER`.
    pub fn new(instructions: &[Instruction]) -> Result<Filter, Error> {
        if instructions.is_empty() || instructions.len() > FILTER_INSTRUCTIONS_MAX {
            let (count, max) = (instructions.len(), FILTER_INSTRUCTIONS_MAX);
            return Err(invalid(format!("{count} instructions, 1 to {max} can be run")));
        }
        code::decode(instructions).map(|ops| Filter { ops }).map_err(invalid)
    }

    /// Whether a packet is wanted; `bytes` are the first ones of `length`.
    pub fn matches(&self, bytes: &[u8], length: usize) -> bool {
        // SAFETY: a slice's bytes are readable.
        unsafe { code::run(&self.ops, bytes.as_ptr(), bytes.len(), length as u32) != 0 }
    }

    /// Whether a packet in its frame is wanted.
    ///
    /// # Safety
    /// The caller owns the packet's frame, and it lies within (the engine's invariant).
    pub unsafe fn matches_mbuf(&self, region: &Region, mbuf: &Mbuf) -> bool {
        let length = usize::from(mbuf.length);
        // SAFETY: offset + length lie within the frame, which nobody else writes meanwhile.
        unsafe { code::run(&self.ops, region.data(mbuf), length, u32::from(mbuf.length)) != 0 }
    }
}

fn invalid(problem: impl Into<String>) -> Error {
    Error::new(ErrorCode::Filter, problem)
}

#[cfg(test)]
mod tests;
