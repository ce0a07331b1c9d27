//! TPACKET_V2: a slot for each packet. It arrives the moment the kernel has written it.

use std::io;
use std::mem::offset_of;

use libc::tpacket2_hdr as Header;

use super::ring::{Arrived, Mapping, PIECE_BYTES, SLOT_HEADER_BYTES, nanoseconds, tag_of};
use super::socket::Socket;
use crate::offload::VnetHeader;

/// The address behind the header tells where the packet came from.
const ADDRESS: usize = size_of::<Header>().next_multiple_of(libc::TPACKET_ALIGNMENT);
const KIND: usize = ADDRESS + offset_of!(libc::sockaddr_ll, sll_pkttype);
/// Large packets wait in the socket's own queue.
const QUEUE_BYTES: i32 = 8 << 20;
const LARGE_BYTES: usize = (64 << 10) + 512;

/// A ring of slots.
pub(super) struct Packets {
    memory: Mapping,
    slot_bytes: usize,
    slots_per_piece: usize,
    pieces: usize,
    /// The oldest slot.
    piece: usize,
    slot: usize,
    /// A packet that no slot has room for, behind its offload header.
    large: Box<[u8]>,
    /// Bytes of it, once it is read.
    large_bytes: Option<usize>,
}

impl Packets {
    /// At least `slots` slots for packets of `room` bytes.
    pub(super) fn new(socket: &Socket, slots: usize, room: usize) -> io::Result<Packets> {
        let slot_bytes = (SLOT_HEADER_BYTES + room).next_multiple_of(libc::TPACKET_ALIGNMENT);
        let slots_per_piece = PIECE_BYTES / slot_bytes;
        let pieces = slots.div_ceil(slots_per_piece);
        socket.set(libc::PACKET_VERSION, &(libc::tpacket_versions::TPACKET_V2 as i32))?;
        // What does not fit into its slot can be received whole.
        socket.set(libc::PACKET_COPY_THRESH, &1i32)?;
        socket.set_buffer(false, QUEUE_BYTES);
        let request = libc::tpacket_req {
            tp_block_size: PIECE_BYTES as u32,
            tp_block_nr: pieces as u32,
            tp_frame_size: slot_bytes as u32,
            tp_frame_nr: (pieces * slots_per_piece) as u32,
        };
        socket.set(libc::PACKET_RX_RING, &request)?;
        let memory = Mapping::new(socket, pieces * PIECE_BYTES)?;
        let large = vec![0; LARGE_BYTES].into();
        let large_bytes = None;
        let (piece, slot) = (0, 0);
        Ok(Packets { memory, slot_bytes, slots_per_piece, pieces, piece, slot, large, large_bytes })
    }

    fn at(&self) -> usize {
        self.piece * PIECE_BYTES + self.slot * self.slot_bytes
    }

    #[inline]
    pub(super) fn peek(&mut self, socket: &Socket) -> Option<Arrived<'_>> {
        let at = self.at();
        let status = self.memory.status(at);
        if status & libc::TP_STATUS_USER == 0 {
            return None;
        }
        let header: Header = self.memory.read(at);
        let mut arrived = Arrived {
            bytes: &[],
            length: header.tp_len as usize,
            tag: tag_of(status, header.tp_vlan_tpid, header.tp_vlan_tci.into()),
            vnet: VnetHeader::default(),
            checksum_good: status & libc::TP_STATUS_CSUM_VALID != 0,
            kind: self.memory.read(at + KIND),
            timestamp_ns: nanoseconds(header.tp_sec, header.tp_nsec),
        };
        if status & libc::TP_STATUS_COPY != 0 {
            let large = &mut self.large;
            let read = || socket.receive(large).unwrap_or(0);
            let bytes = *self.large_bytes.get_or_insert_with(read);
            if let Some((vnet, packet)) = large_packet(&self.large, bytes) {
                (arrived.vnet, arrived.bytes) = (vnet, packet);
            }
            return Some(arrived);
        }
        let packet = at + usize::from(header.tp_mac);
        arrived.vnet = self.memory.read(packet - VnetHeader::BYTES);
        arrived.bytes = self.memory.bytes(packet, header.tp_snaplen as usize);
        Some(arrived)
    }

    #[inline]
    pub(super) fn pop(&mut self) {
        self.memory.give(self.at());
        self.large_bytes = None;
        self.slot += 1;
        if self.slot == self.slots_per_piece {
            (self.slot, self.piece) = (0, (self.piece + 1) % self.pieces);
        }
    }
}

/// Offload header and packet; `None` when it was longer than the buffer.
fn large_packet(buffer: &[u8], bytes: usize) -> Option<(VnetHeader, &[u8])> {
    let (header, packet) = buffer.get(..bytes)?.split_at_checked(VnetHeader::BYTES)?;
    // SAFETY: the header's ten bytes are there, and it is a struct of integers.
    let vnet = unsafe { header.as_ptr().cast::<VnetHeader>().read_unaligned() };
    Some((vnet, packet))
}
