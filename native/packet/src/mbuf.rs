//! The native handle of a packet.

/// One packet: which frame it is in, where in the frame, and what is known of it. 32 bytes, plain
/// data; whoever holds it owns the frame, and gives both on together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Mbuf {
    /// Frame of the region.
    pub frame: u32,
    /// Bytes from the frame's start to the packet.
    pub offset: u16,
    /// Bytes of the packet.
    pub length: u16,
    /// Port it came in by.
    pub port: u16,
    /// Port it leaves by, once that is decided.
    pub egress: u16,
    /// Flow hash; valid when `flags` says so.
    pub hash: u32,
    /// 32 bits that programs pass along.
    pub mark: u32,
    /// Bits of [`wirelet_abi::descriptor::flags`].
    pub flags: u8,
    /// Free for the engine's own use during a burst.
    pub scratch: u8,
    /// Zero.
    pub reserved: u16,
    /// When it was received, ns of the device's clock.
    pub timestamp_ns: u64,
}

const _: () = assert!(size_of::<Mbuf>() == 32);
