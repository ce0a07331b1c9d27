//! The burst page: a header and up to 256 descriptors, shared by engine and program.
//!
//! The engine writes every field before each program of a chain. After the program it reads back
//! `data`, `length`, `verdict`, `egress` and `mark`, and checks them against the frame it owns.
//! Everything else a program writes is ignored.

use crate::layout::layout;

layout! {
    /// First 64 bytes of the burst page.
    pub struct BurstHeader: 64 {
        /// Descriptors that follow, 1 to 256.
        count: u32 = 0,
        /// Index of the lcore that runs the burst.
        lcore: u32 = 4,
        /// Number of the published pipeline.
        generation: u32 = 8,
        /// Zero; reserved.
        flags: u32 = 12,
        /// Nanoseconds of the monotonic clock when the burst started: one clock read per burst.
        now_ns: u64 = 16,
        /// Zero; reserved.
        reserved: [u64; 5] = 24,
    }
}

layout! {
    /// One packet, 32 bytes: two to a cache line.
    pub struct Descriptor: 32 {
        /// Guest address of the first byte of the packet.
        data: u32 = 0,
        /// Bytes of the packet.
        length: u16 = 4,
        /// Free bytes before `data` in its frame.
        headroom: u16 = 6,
        /// Free bytes behind the packet in its frame.
        tailroom: u16 = 8,
        /// Port it came in by.
        port: u16 = 10,
        /// [`crate::Verdict`], or [`crate::verdict::UNDECIDED`].
        verdict: u8 = 12,
        /// Bits of [`flags`].
        flags: u8 = 13,
        /// Port of a redirect.
        egress: u16 = 14,
        /// Flow hash, 0 when nobody computed one.
        hash: u32 = 16,
        /// 32 bits that travel with the packet along the chain.
        mark: u32 = 20,
        /// Nanoseconds: when the packet was received, by the device's clock.
        timestamp_ns: u64 = 24,
    }
}

/// Bits of [`Descriptor::flags`], set by devices.
pub mod flags {
    /// The device verified the IP checksum.
    pub const IP_CHECKSUM_GOOD: u8 = 1 << 0;
    /// The device verified the TCP or UDP checksum.
    pub const L4_CHECKSUM_GOOD: u8 = 1 << 1;
    /// `hash` was computed by the device.
    pub const HASH_VALID: u8 = 1 << 2;
}
