//! The counters page: what lcores publish and the host reads without a call into the data path.
//!
//! ```text
//! PageHeader
//! lcore 0: LcoreBlock, ports x PortBlock, programs x ProgramBlock
//! lcore 1: ...
//! ```
//! All values are u64 in the machine's byte order, written by one lcore only. A block's `sequence`
//! is odd while the lcore writes it: a reader that sees it odd or changed reads again.

use crate::histogram::BUCKETS;
use crate::layout::layout;

/// First word of the page: "WIRELET1".
pub const MAGIC: u64 = u64::from_le_bytes(*b"WIRELET1");

layout! {
    /// First 128 bytes of the page.
    pub struct PageHeader: 128 {
        /// [`MAGIC`].
        magic: u64 = 0,
        /// [`crate::ABI_VERSION`].
        abi: u64 = 8,
        /// Lcores.
        lcores: u64 = 16,
        /// Ports.
        ports: u64 = 24,
        /// Programs.
        programs: u64 = 32,
        /// Ticks of the cycle counter in a second.
        cycles_hz: u64 = 40,
        /// Frames of the region.
        frames: u64 = 48,
        /// Number of the pipeline that was published last.
        generation: u64 = 56,
        /// Faults of all programs.
        faults: u64 = 64,
        /// Zero; reserved.
        reserved: [u64; 7] = 72,
    }
}

layout! {
    /// One lcore.
    pub struct LcoreBlock: 2176 {
        /// Odd while the lcore writes its blocks.
        sequence: u64 = 0,
        /// Rounds of the loop.
        rounds: u64 = 8,
        /// Bursts with at least one packet.
        bursts: u64 = 16,
        /// Packets in them.
        packets: u64 = 24,
        /// Cycles spent on bursts.
        busy_cycles: u64 = 32,
        /// Cycles spent on polls that found nothing.
        idle_cycles: u64 = 40,
        /// Times it slept.
        sleeps: u64 = 48,
        /// Generation it runs.
        generation: u64 = 56,
        /// Longest time between two bursts' ends while packets waited, in cycles.
        gap_max_cycles: u64 = 64,
        /// [`state`].
        state: u64 = 72,
        /// Packets handed to another lcore: to leave there, or to be run there.
        handovers: u64 = 80,
        /// Frames in its private cache and its rings.
        frames_cached: u64 = 88,
        /// Zero; reserved.
        reserved: [u64; 4] = 96,
        /// Duration of bursts, receive to transmit, in ns ([`crate::histogram`]).
        burst_ns: [u64; BUCKETS] = 128,
    }
}

layout! {
    /// One port, as one lcore saw it.
    pub struct PortBlock: 3072 {
        /// Packets received, those included that the device dropped at its edge.
        rx_packets: u64 = 0,
        /// Bytes of them.
        rx_bytes: u64 = 8,
        /// Packets that came in by this port and left by any, or went to the host's handler.
        forwarded_packets: u64 = 16,
        /// Packets that left by this port.
        tx_packets: u64 = 24,
        /// Bytes of them.
        tx_bytes: u64 = 32,
        /// 1 while the link is up.
        link_up: u64 = 40,
        /// 1 when the device will never receive again.
        finished: u64 = 48,
        /// Bytes of the packets that the device dropped at its edge, part of `rx_bytes`.
        edge_drop_bytes: u64 = 56,
        /// Drops of packets that came in by this port, by [`crate::DropReason`].
        drops: [u64; 32] = 64,
        /// Extra statistics, named by the device.
        xstats: [u64; 16] = 320,
        /// MAC address: its six bytes, the first one highest; 0 where there is none.
        mac: u64 = 448,
        /// MTU; 0 where there is none.
        mtu: u64 = 456,
        /// 1 while packets for every MAC address are received.
        promiscuous: u64 = 464,
        /// Packets that floods added to those that came in by this port: one for each port that a
        /// packet was sent to, but one.
        copied_packets: u64 = 472,
        /// Packets that came in by this port and were handed to the lcore of their flow, or of the
        /// queue that a rule names.
        steered_packets: u64 = 480,
        /// Packets that came in by this port and went to the host's handler, part of
        /// `forwarded_packets`.
        punted_packets: u64 = 488,
        /// Zero; reserved.
        reserved_tail: [u64; 2] = 496,
        /// Latency of packets from their generator to this port, in ns.
        latency_ns: [u64; BUCKETS] = 512,
        /// Packets that came in by this port and that a rule decided, by rule; of rules in hardware
        /// what the device counts.
        rule_hits: [u64; 64] = 2560,
    }
}

layout! {
    /// One program on one lcore.
    pub struct ProgramBlock: 128 {
        /// Calls.
        bursts: u64 = 0,
        /// Packets in them.
        packets: u64 = 8,
        /// Cycles inside the program, descriptors written and checked included.
        cycles: u64 = 16,
        /// Packets by [`crate::Verdict`].
        verdicts: [u64; 4] = 24,
        /// Faults.
        faults: u64 = 56,
        /// Packets dropped by faults, and while it was down.
        faulted_packets: u64 = 64,
        /// Packets it left undecided.
        undecided_packets: u64 = 72,
        /// Times it was rebuilt.
        rebuilds: u64 = 80,
        /// Log lines over the limit.
        log_lines_lost: u64 = 88,
        /// 1 while it runs, 0 while it is being rebuilt, 2 when quarantined.
        health: u64 = 96,
        /// Zero; reserved.
        reserved: [u64; 3] = 104,
    }
}

macro_rules! zeroed {
    ($($block:ident),*) => {$(
        impl Default for $block {
            fn default() -> Self {
                // SAFETY: a struct of u64s, for which all zeros is a value.
                unsafe { core::mem::zeroed() }
            }
        }
    )*};
}
zeroed!(LcoreBlock, PortBlock, ProgramBlock);

/// Values of [`LcoreBlock::state`].
pub mod state {
    /// The thread has not reached its loop.
    pub const STARTING: u64 = 0;
    /// In the loop.
    pub const RUNNING: u64 = 1;
    /// Waiting for a device or the host.
    pub const SLEEPING: u64 = 2;
    /// Left the loop as asked.
    pub const STOPPED: u64 = 3;
    /// Left the loop by a panic: a bug of ours.
    pub const FAILED: u64 = 4;
}

const _: () = {
    assert!(crate::limits::DROP_REASONS_MAX == 32);
    assert!(crate::limits::XSTATS_MAX == 16);
    assert!(crate::limits::RULES_MAX == 64);
};
