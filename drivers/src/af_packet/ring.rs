//! The receive ring: memory that the kernel fills with packets and we read them from.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};

use super::blocks::Blocks;
use super::packets::Packets;
use super::socket::Socket;
use crate::offload::VnetHeader;

/// The ring's memory is asked for in pieces of this: room for the largest packet there is.
pub(super) const PIECE_BYTES: usize = 256 << 10;
/// Bytes of a slot before the packet: the kernel's header, its address and the offload header.
pub(super) const SLOT_HEADER_BYTES: usize = 112;

/// A packet in the ring.
pub(super) struct Arrived<'a> {
    /// From its Ethernet header on; fewer than `length` when the ring had no room for it.
    pub(super) bytes: &'a [u8],
    /// Bytes that it has, without the tag.
    pub(super) length: usize,
    /// The VLAN tag that the kernel took out.
    pub(super) tag: Option<[u8; 4]>,
    pub(super) vnet: VnetHeader,
    /// Somebody has verified its TCP or UDP checksum.
    pub(super) checksum_good: bool,
    /// PACKET_HOST, PACKET_OUTGOING, ...
    pub(super) kind: u8,
    /// Nanoseconds since the epoch.
    pub(super) timestamp_ns: u64,
}

/// Either version of the ring.
pub(super) enum Ring {
    /// TPACKET_V2: a slot for each packet, which arrives at once.
    Packets(Packets),
    /// TPACKET_V3: blocks of packets, which arrive when a block is full or a millisecond old.
    Blocks(Blocks),
}

impl Ring {
    /// The oldest packet, until [`Ring::pop`].
    #[inline]
    pub(super) fn peek(&mut self, socket: &Socket) -> Option<Arrived<'_>> {
        match self {
            Ring::Packets(ring) => ring.peek(socket),
            Ring::Blocks(ring) => ring.peek(),
        }
    }

    /// Gives the oldest packet's room back to the kernel.
    #[inline]
    pub(super) fn pop(&mut self) {
        match self {
            Ring::Packets(ring) => ring.pop(),
            Ring::Blocks(ring) => ring.pop(),
        }
    }
}

/// A ring's memory, shared with the kernel.
#[derive(Debug)]
pub(super) struct Mapping {
    base: *mut u8,
    bytes: usize,
}

// SAFETY: the memory belongs to whoever owns the mapping, and it moves with its owner.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Maps the ring of a socket.
    pub(super) fn new(socket: &Socket, bytes: usize) -> io::Result<Mapping> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address that the kernel chooses.
        let base = unsafe {
            libc::mmap(std::ptr::null_mut(), bytes, access, libc::MAP_SHARED, socket.fd(), 0)
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Mapping { base: base.cast(), bytes })
    }

    /// A value of plain data that the kernel wrote before it handed its slot over.
    #[inline]
    pub(super) fn read<T: Copy>(&self, at: usize) -> T {
        assert!(at <= self.bytes && self.bytes - at >= size_of::<T>());
        // SAFETY: within the mapping, as just checked; callers read structs of integers, for which
        // every byte pattern is a value.
        unsafe { self.base.add(at).cast::<T>().read_unaligned() }
    }

    /// Bytes of a slot that is ours: the kernel writes them no more until the slot is given back.
    #[inline]
    pub(super) fn bytes(&self, at: usize, length: usize) -> &[u8] {
        assert!(at <= self.bytes && self.bytes - at >= length);
        // SAFETY: within the mapping, as just checked, and nobody writes there, as said above.
        unsafe { std::slice::from_raw_parts(self.base.add(at), length) }
    }

    /// The word by which a slot changes hands.
    #[inline]
    pub(super) fn status(&self, at: usize) -> u32 {
        self.word(at).load(Ordering::Acquire)
    }

    /// Gives a slot to the kernel.
    #[inline]
    pub(super) fn give(&self, at: usize) {
        self.word(at).store(libc::TP_STATUS_KERNEL, Ordering::Release);
    }

    fn word(&self, at: usize) -> &AtomicU32 {
        assert!(at.is_multiple_of(4) && at < self.bytes);
        // SAFETY: within the mapping and aligned; we touch this word only as an atomic.
        unsafe { AtomicU32::from_ptr(self.base.add(at).cast()) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours alone, and nothing borrows from it any more.
        unsafe { libc::munmap(self.base.cast(), self.bytes) };
    }
}

/// The tag as it was on the wire.
pub(super) fn tag_of(status: u32, protocol: u16, tag: u32) -> Option<[u8; 4]> {
    if status & libc::TP_STATUS_VLAN_VALID == 0 {
        return None;
    }
    let protocol = match status & libc::TP_STATUS_VLAN_TPID_VALID {
        // Kernels before 3.14 know no other.
        0 => 0x8100,
        _ => protocol,
    };
    let ([a, b], [c, d]) = (protocol.to_be_bytes(), (tag as u16).to_be_bytes());
    Some([a, b, c, d])
}

pub(super) fn nanoseconds(seconds: u32, nanoseconds: u32) -> u64 {
    u64::from(seconds) * 1_000_000_000 + u64::from(nanoseconds)
}
