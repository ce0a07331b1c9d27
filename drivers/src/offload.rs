//! What a local sender leaves to hardware and a packet socket hands out undone: checksums, and
//! packets of up to 64 KiB that a NIC would have cut ("GSO", `Documentation/networking/
//! segmentation-offloads.rst`).

mod checksum;
mod crc32c;
mod layout;
mod segment;

pub(crate) use checksum::completed;
pub(crate) use segment::Segments;

/// `struct virtio_net_hdr` (virtio 1.2, section 5.1.6), in the machine's byte order: what the
/// kernel puts before each packet of a socket with PACKET_VNET_HDR.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct VnetHeader {
    flags: u8,
    gso_type: u8,
    /// Bytes of all headers.
    header_bytes: u16,
    /// Bytes of payload of each packet that it stands for.
    segment_bytes: u16,
    /// Where the checksum begins to sum.
    checksum_start: u16,
    /// Where it stands, behind `checksum_start`.
    checksum_offset: u16,
}

const _: () = assert!(size_of::<VnetHeader>() == VnetHeader::BYTES);

impl VnetHeader {
    pub(crate) const BYTES: usize = 10;

    const NEEDS_CHECKSUM: u8 = 1;
    const GSO_NONE: u8 = 0;
    const GSO_TCPV4: u8 = 1;
    const GSO_TCPV6: u8 = 4;
    const GSO_UDP_L4: u8 = 5;
    /// A bit beside the others: the first packet carries CWR, the rest don't (RFC 3168).
    const GSO_ECN: u8 = 0x80;

    /// Whether the checksum is the receiver's to complete.
    pub(crate) fn needs_checksum(&self) -> bool {
        self.flags & Self::NEEDS_CHECKSUM != 0
    }

    /// Whether it stands for several packets.
    pub(crate) fn is_large(&self) -> bool {
        self.gso_type != Self::GSO_NONE
    }
}

/// Packets as kernel senders leave them, for tests of this and of devices.
#[cfg(test)]
mod testing;
