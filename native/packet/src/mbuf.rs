//! The native handle of a packet.

/// One packet: which frame it is in, where in the frame, and what is known of it. 32 bytes, plain
/// data; whoever holds it owns the frame, and gives both on together.
///
/// Fields stand where a [`wirelet_abi::Descriptor`] has its own, with the frame's number in place
/// of the guest address: a descriptor is four words copied and two of them changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(8))]
pub struct Mbuf {
    /// Frame of the region.
    pub frame: u32,
    /// Bytes of the packet.
    pub length: u16,
    /// Bytes from the frame's start to the packet.
    pub offset: u16,
    /// Zero.
    pub reserved: u16,
    /// Port it came in by.
    pub port: u16,
    /// Free for the engine's own use during a burst.
    pub scratch: u8,
    /// Bits of [`wirelet_abi::descriptor::flags`].
    pub flags: u8,
    /// Port it leaves by, once that is decided.
    pub egress: u16,
    /// Flow hash; valid when `flags` says so.
    pub hash: u32,
    /// 32 bits that programs pass along.
    pub mark: u32,
    /// When it was received, ns of the device's clock.
    pub timestamp_ns: u64,
}

const _: () = {
    use core::mem::offset_of;
    use wirelet_abi::Descriptor;
    assert!(size_of::<Mbuf>() == size_of::<Descriptor>());
    assert!(offset_of!(Mbuf, frame) == offset_of!(Descriptor, data));
    assert!(offset_of!(Mbuf, length) == offset_of!(Descriptor, length));
    assert!(offset_of!(Mbuf, offset) == offset_of!(Descriptor, headroom));
    assert!(offset_of!(Mbuf, port) == offset_of!(Descriptor, port));
    assert!(offset_of!(Mbuf, flags) == offset_of!(Descriptor, flags));
    assert!(offset_of!(Mbuf, hash) == offset_of!(Descriptor, hash));
    assert!(offset_of!(Mbuf, mark) == offset_of!(Descriptor, mark));
    assert!(offset_of!(Mbuf, timestamp_ns) == offset_of!(Descriptor, timestamp_ns));
};
