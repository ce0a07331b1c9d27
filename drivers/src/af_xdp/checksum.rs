//! Completes checksums that a sender on this machine left to hardware.
//!
//! The kernel lets TCP and UDP write only the sum of the pseudo-header when the interface says that
//! it can do the rest (CHECKSUM_PARTIAL). A veth, tap or virtio interface says so and then hands
//! the packet over as it is. AF_XDP has no field that tells, but the packet does: its checksum
//! field holds exactly the pseudo-header's sum, not inverted. A complete packet looks like that
//! once in 65,536, and then its checksum is right, which is looked at before anything is written.

use std::ptr;

use wirelet_packet::ethertype;

use super::rules::protocol;

/// Bytes that are copied out to be looked at: Ethernet, two tags, the longest IPv4 header or IPv6
/// with 40 bytes of extension headers, and a TCP header up to its checksum.
const HEAD_BYTES: usize = 14 + 8 + 80 + 18;
const EXTENSIONS_MAX: usize = 4;
const HOP_BY_HOP: u8 = 0;
const DESTINATION_OPTIONS: u8 = 60;

/// Where TCP or UDP lies, and the sum of its pseudo-header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segment {
    at: usize,
    length: usize,
    protocol: u8,
    pseudo: u16,
}

/// Completes the TCP or UDP checksum of the packet of `length` bytes at `data`, if its sender has
/// left that undone; returns whether it had. Other packets cost a look at their headers.
///
/// # Safety
/// `length` bytes at `data` may be read and written. Others may write them at the same time:
/// everything that decides where to look is read once.
pub(super) unsafe fn complete(data: *mut u8, length: usize) -> bool {
    let mut head = [0u8; HEAD_BYTES];
    let seen = length.min(HEAD_BYTES);
    // SAFETY: the caller's promise covers `seen` bytes.
    unsafe { ptr::copy_nonoverlapping(data, head.as_mut_ptr(), seen) };
    let Some(segment) = find_segment(&head[..seen], length) else { return false };
    let field = match segment.protocol {
        protocol::TCP if segment.length >= 20 => segment.at + 16,
        protocol::UDP if segment.length >= 8 => segment.at + 6,
        _ => return false,
    };
    let Some(stored) = read_u16(&head[..seen], field) else { return false };
    if stored != segment.pseudo {
        return false;
    }
    // SAFETY: find_segment has seen that the segment ends within `length`.
    let sum = unsafe { sum(data.add(segment.at), segment.length) };
    // The field is part of the segment and holds the pseudo-header's sum. With it added once more
    // the sum of a packet that is right would be all ones.
    if fold(u64::from(sum) + u64::from(segment.pseudo)) == 0xffff {
        return false;
    }
    let checksum = match !sum {
        // RFC 768: zero would mean that there is none.
        0 if segment.protocol == protocol::UDP => 0xffff,
        checksum => checksum,
    };
    // SAFETY: `field` lies within `seen`, so within `length`.
    unsafe { data.add(field).cast::<[u8; 2]>().write(checksum.to_be_bytes()) };
    true
}

/// The TCP or UDP segment of a packet of `length` bytes that begins with `head`; none in fragments,
/// whose checksums nobody leaves undone.
fn find_segment(head: &[u8], length: usize) -> Option<Segment> {
    let mut at = 12;
    for _ in 0..2 {
        if matches!(read_u16(head, at)?, ethertype::VLAN | ethertype::QINQ) {
            at += 4;
        }
    }
    let network = at + 2;
    let (segment, addresses) = match read_u16(head, at)? {
        ethertype::IPV4 => find_in_ipv4(head, network)?,
        ethertype::IPV6 => find_in_ipv6(head, network)?,
        _ => return None,
    };
    if segment.at + segment.length > length {
        return None;
    }
    let words = addresses.chunks_exact(2).map(|word| u64::from(word[0]) << 8 | u64::from(word[1]));
    let pseudo = fold(words.sum::<u64>() + segment.length as u64 + u64::from(segment.protocol));
    Some(Segment { pseudo, ..segment })
}

/// RFC 791: header length in words, total length at 2, fragment at 6, protocol at 9, addresses
/// at 12.
fn find_in_ipv4(head: &[u8], at: usize) -> Option<(Segment, &[u8])> {
    let header_bytes = usize::from(*head.get(at)? & 0x0f) * 4;
    let total = usize::from(read_u16(head, at + 2)?);
    let fragment = read_u16(head, at + 6)? & 0x3fff;
    if header_bytes < 20 || total < header_bytes || fragment != 0 {
        return None;
    }
    let (at, protocol) = (at, *head.get(at + 9)?);
    let segment =
        Segment { at: at + header_bytes, length: total - header_bytes, protocol, pseudo: 0 };
    Some((segment, head.get(at + 12..at + 20)?))
}

/// RFC 8200: payload length at 4, next header at 6, addresses at 8.
fn find_in_ipv6(head: &[u8], at: usize) -> Option<(Segment, &[u8])> {
    let payload = usize::from(read_u16(head, at + 4)?);
    let mut protocol = *head.get(at + 6)?;
    let mut skipped = 0;
    for _ in 0..EXTENSIONS_MAX {
        if ![HOP_BY_HOP, DESTINATION_OPTIONS].contains(&protocol) {
            break;
        }
        let extension = at + 40 + skipped;
        protocol = *head.get(extension)?;
        skipped += (usize::from(*head.get(extension + 1)?) + 1) * 8;
    }
    let length = payload.checked_sub(skipped)?;
    let segment = Segment { at: at + 40 + skipped, length, protocol, pseudo: 0 };
    Some((segment, head.get(at + 8..at + 40)?))
}

fn read_u16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// RFC 1071's sum of big-endian words over `length` bytes.
///
/// # Safety
/// `length` bytes at `data` may be read.
unsafe fn sum(data: *const u8, length: usize) -> u16 {
    let mut sum = 0u64;
    // Byte order does not matter to the sum, only to its result: section 2(B).
    for index in 0..length / 8 {
        // SAFETY: 8 whole bytes lie before `length`.
        let word = unsafe { data.add(index * 8).cast::<u64>().read_unaligned() };
        sum += (word & 0xffff_ffff) + (word >> 32);
    }
    let mut rest = [0u8; 8];
    let done = length & !7;
    // SAFETY: the last length % 8 bytes.
    unsafe { ptr::copy_nonoverlapping(data.add(done), rest.as_mut_ptr(), length - done) };
    let word = u64::from_ne_bytes(rest);
    sum += (word & 0xffff_ffff) + (word >> 32);
    u16::from_be(fold(sum))
}

/// Adds the carries back in, down to 16 bits.
fn fold(mut sum: u64) -> u16 {
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(packet: &mut [u8]) -> bool {
        // SAFETY: the slice is ours.
        unsafe { complete(packet.as_mut_ptr(), packet.len()) }
    }

    fn slice_sum(bytes: &[u8]) -> u64 {
        let word = |pair: &[u8]| u64::from(pair[0]) << 8 | u64::from(*pair.get(1).unwrap_or(&0));
        bytes.chunks(2).map(word).sum()
    }

    struct Packet {
        bytes: Vec<u8>,
        at: usize,
        field: usize,
        pseudo: u16,
    }

    impl Packet {
        /// TCP or UDP with `payload`, its checksum undone, behind `tags` VLAN tags.
        fn new(version: u8, protocol: u8, tags: usize, payload: &[u8]) -> Packet {
            let mut bytes = vec![0xaa; 12];
            (0..tags).for_each(|_| bytes.extend([0x81, 0x00, 0x00, 0x07]));
            let (header, offset) = if protocol == protocol::TCP { (20, 16) } else { (8, 6) };
            let length = header + payload.len();
            let addresses = if version == 4 {
                bytes.extend([0x08, 0x00, 0x46, 0]);
                bytes.extend((24 + length as u16).to_be_bytes());
                bytes.extend([0, 1, 0x40, 0, 64, protocol, 0, 0]);
                bytes.extend([192, 0, 2, 1, 198, 51, 100, 77, 1, 1, 1, 1]);
                bytes.len() - 12..bytes.len() - 4
            } else {
                bytes.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
                bytes.extend((8 + length as u16).to_be_bytes());
                bytes.extend([DESTINATION_OPTIONS, 64]);
                bytes.extend((0..32).map(|byte| byte * 7));
                bytes.extend([protocol, 0, 1, 4, 0, 0, 0, 0]);
                bytes.len() - 40..bytes.len() - 8
            };
            let pseudo = slice_sum(&bytes[addresses]) + length as u64 + u64::from(protocol);
            let at = bytes.len();
            bytes.resize(at + header, 0x35);
            bytes.extend(payload);
            let mut packet = Packet { bytes, at, field: at + offset, pseudo: fold(pseudo) };
            packet.store(packet.pseudo);
            packet
        }

        fn store(&mut self, value: u16) {
            self.bytes[self.field..][..2].copy_from_slice(&value.to_be_bytes());
        }

        fn is_right(&self) -> bool {
            fold(slice_sum(&self.bytes[self.at..]) + u64::from(self.pseudo)) == 0xffff
        }
    }

    proptest! {
        #[test]
        fn what_was_left_undone_is_right_afterwards(
            version in prop_oneof![Just(4u8), Just(6)],
            protocol in prop_oneof![Just(protocol::TCP), Just(protocol::UDP)],
            tags in 0usize..3,
            payload in proptest::collection::vec(any::<u8>(), 0..1500),
        ) {
            let mut packet = Packet::new(version, protocol, tags, &payload);
            let before = packet.bytes.clone();
            prop_assert!(run(&mut packet.bytes) && packet.is_right());
            // Nothing else changes, and what is right stays.
            prop_assert_eq!(&packet.bytes[..packet.field], &before[..packet.field]);
            prop_assert_eq!(&packet.bytes[packet.field + 2..], &before[packet.field + 2..]);
            let complete = packet.bytes.clone();
            prop_assert!(!run(&mut packet.bytes));
            prop_assert_eq!(&packet.bytes, &complete);
        }

        #[test]
        fn any_bytes_are_survived(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let before = bytes.clone();
            if !run(&mut bytes) {
                prop_assert_eq!(bytes, before);
            }
        }
    }

    #[test]
    fn wrong_checksums_are_none_of_our_business() {
        let mut packet = Packet::new(4, protocol::UDP, 0, b"four");
        packet.store(packet.pseudo ^ 1);
        let before = packet.bytes.clone();
        assert!(!run(&mut packet.bytes) && packet.bytes == before);
    }

    #[test]
    fn a_right_packet_that_looks_undone_stays() {
        // The payload makes the true checksum equal to the pseudo-header's sum.
        let mut packet = Packet::new(4, protocol::UDP, 0, &[0, 0]);
        let end = packet.bytes.len() - 2;
        let missing = !fold(slice_sum(&packet.bytes[packet.at..]) + u64::from(packet.pseudo));
        packet.bytes[end..].copy_from_slice(&missing.to_be_bytes());
        assert!(packet.is_right());
        let before = packet.bytes.clone();
        assert!(!run(&mut packet.bytes) && packet.bytes == before);
    }

    #[test]
    fn a_udp_checksum_of_zero_is_written_as_ones() {
        let mut packet = Packet::new(4, protocol::UDP, 0, &[0, 0]);
        let end = packet.bytes.len() - 2;
        let missing = !fold(slice_sum(&packet.bytes[packet.at..]));
        packet.bytes[end..].copy_from_slice(&missing.to_be_bytes());
        assert!(run(&mut packet.bytes) && packet.is_right());
        assert_eq!(packet.bytes[packet.field..][..2], [0xff, 0xff]);
    }

    #[test]
    fn fragments_and_padding_are_told_apart() {
        let mut packet = Packet::new(4, protocol::UDP, 0, b"four");
        packet.bytes.resize(packet.bytes.len() + 20, 0xee);
        assert!(run(&mut packet.bytes));
        packet.bytes.truncate(packet.bytes.len() - 20);
        assert!(packet.is_right());
        let mut fragment = Packet::new(4, protocol::UDP, 0, b"four");
        fragment.bytes[14 + 6] = 0x20;
        assert!(!run(&mut fragment.bytes));
    }
}
