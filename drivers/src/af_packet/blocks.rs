//! TPACKET_V3: packets of any size, one behind the other in blocks. It costs a third of what
//! TPACKET_V2 does per small packet, but a block arrives only when it is full or its time is over.

use std::io;
use std::mem::offset_of;

use libc::tpacket3_hdr as Header;

use super::ring::{Arrived, Mapping, PIECE_BYTES, SLOT_HEADER_BYTES, nanoseconds, tag_of};
use super::socket::Socket;
use crate::offload::VnetHeader;

const ADDRESS: usize = size_of::<Header>().next_multiple_of(libc::TPACKET_ALIGNMENT);
const KIND: usize = ADDRESS + offset_of!(libc::sockaddr_ll, sll_pkttype);
const BLOCK: usize = offset_of!(libc::tpacket_block_desc, hdr);
const BLOCK_STATUS: usize = BLOCK + offset_of!(libc::tpacket_hdr_v1, block_status);
/// The kernel's least: after this a block arrives as full as it is.
const BLOCK_TIMEOUT_MS: u32 = 1;

/// A ring of blocks.
pub(super) struct Blocks {
    memory: Mapping,
    blocks: usize,
    /// The oldest block.
    block: usize,
    /// Its packets that were not popped; 0 when the block is not known to be ours.
    left: u32,
    /// The oldest packet, from the ring's start.
    packet: usize,
}

impl Blocks {
    /// Room for `packets` packets of `room` bytes, in at least two blocks.
    pub(super) fn new(socket: &Socket, packets: usize, room: usize) -> io::Result<Blocks> {
        let bytes = packets * (SLOT_HEADER_BYTES + room);
        let blocks = bytes.div_ceil(PIECE_BYTES).max(2);
        socket.set(libc::PACKET_VERSION, &(libc::tpacket_versions::TPACKET_V3 as i32))?;
        let frame_bytes = 2048;
        let request = libc::tpacket_req3 {
            tp_block_size: PIECE_BYTES as u32,
            tp_block_nr: blocks as u32,
            // Only checked: packets take the room they need.
            tp_frame_size: frame_bytes,
            tp_frame_nr: blocks as u32 * (PIECE_BYTES as u32 / frame_bytes),
            tp_retire_blk_tov: BLOCK_TIMEOUT_MS,
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        };
        socket.set(libc::PACKET_RX_RING, &request)?;
        let memory = Mapping::new(socket, blocks * PIECE_BYTES)?;
        Ok(Blocks { memory, blocks, block: 0, left: 0, packet: 0 })
    }

    #[inline]
    pub(super) fn peek(&mut self) -> Option<Arrived<'_>> {
        loop {
            if self.left == 0 && !self.open() {
                return None;
            }
            let header: Header = self.memory.read(self.packet);
            // The kernel begins a slot and then finds that it can't describe the packet: it has
            // counted that as a drop, and left the slot without this bit.
            if header.tp_status & libc::TP_STATUS_USER != 0 {
                break;
            }
            self.pop();
        }
        let header: Header = self.memory.read(self.packet);
        let (status, packet) = (header.tp_status, self.packet + usize::from(header.tp_mac));
        Some(Arrived {
            bytes: self.memory.bytes(packet, header.tp_snaplen as usize),
            length: header.tp_len as usize,
            tag: tag_of(status, header.hv1.tp_vlan_tpid, header.hv1.tp_vlan_tci),
            vnet: self.memory.read(packet - VnetHeader::BYTES),
            checksum_good: status & libc::TP_STATUS_CSUM_VALID != 0,
            kind: self.memory.read(self.packet + KIND),
            timestamp_ns: nanoseconds(header.tp_sec, header.tp_nsec),
        })
    }

    /// Begins the next block that has packets, if the kernel has handed it over.
    fn open(&mut self) -> bool {
        // A block may be handed over empty when its time is over; more than all are not.
        for _ in 0..self.blocks {
            let start = self.block * PIECE_BYTES;
            if self.memory.status(start + BLOCK_STATUS) & libc::TP_STATUS_USER == 0 {
                return false;
            }
            let block: libc::tpacket_hdr_v1 = self.memory.read(start + BLOCK);
            self.packet = start + block.offset_to_first_pkt as usize;
            self.left = block.num_pkts;
            if self.left > 0 {
                return true;
            }
            self.give();
        }
        false
    }

    #[inline]
    pub(super) fn pop(&mut self) {
        let header: Header = self.memory.read(self.packet);
        self.left -= 1;
        self.packet += header.tp_next_offset as usize;
        if self.left == 0 {
            self.give();
        }
    }

    fn give(&mut self) {
        self.memory.give(self.block * PIECE_BYTES + BLOCK_STATUS);
        self.block = (self.block + 1) % self.blocks;
    }
}
