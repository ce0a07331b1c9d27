//! The Internet checksum (RFC 1071).

use super::layout::Layout;
use super::{VnetHeader, crc32c};
use crate::stamp::fold;

/// Offset of an SCTP checksum in its header; no sum of 16-bit words has this one.
const SCTP_OFFSET: usize = 8;
const SCTP: u8 = 132;

/// Where a checksum stands and its bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Checksum {
    pub(crate) at: usize,
    bytes: [u8; 4],
    length: usize,
}

impl Checksum {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// Ones' complement sum of the 16-bit words in network order; an odd last byte is the first of its
/// word. About 8 bytes in a cycle.
pub(crate) fn sum(bytes: &[u8]) -> u64 {
    let words = bytes.chunks_exact(4);
    let mut rest = [0; 4];
    rest[..words.remainder().len()].copy_from_slice(words.remainder());
    let word = |word: &[u8]| u64::from(u32::from_ne_bytes([word[0], word[1], word[2], word[3]]));
    let sum = words.map(word).sum::<u64>() + word(&rest);
    // Either byte order gives the same sum, with its bytes swapped (section 2, B).
    u64::from(u16::from_be(fold(sum)))
}

/// What a sender left undone: the field holds the sum of the pseudo-header. `None` when it would
/// lie outside of the packet.
pub(crate) fn completed(packet: &[u8], vnet: &VnetHeader) -> Option<Checksum> {
    let (start, offset) = (vnet.checksum_start.into(), usize::from(vnet.checksum_offset));
    let summed = packet.get(start..)?;
    if offset == SCTP_OFFSET && Layout::of(packet).is_some_and(|layout| layout.protocol == SCTP) {
        let header = summed.get(..offset)?;
        let rest = summed.get(offset + 4..)?;
        let bytes = crc32c::of(&[header, &[0; 4], rest]).to_le_bytes();
        return Some(Checksum { at: start + offset, bytes, length: 4 });
    }
    summed.get(offset..offset + 2)?;
    // 0 says "no checksum" in UDP; 0xFFFF is the same number, and Linux writes it for all.
    let value = match !fold(sum(summed)) {
        0 => 0xFFFF,
        value => value,
    };
    let [high, low] = value.to_be_bytes();
    Some(Checksum { at: start + offset, bytes: [high, low, 0, 0], length: 2 })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{checksum_holds, tcp, udp};
    use super::*;

    proptest! {
        #[test]
        fn the_sum_is_that_of_its_words(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let high: u64 = bytes.iter().step_by(2).map(|&byte| u64::from(byte)).sum();
            let low: u64 = bytes.iter().skip(1).step_by(2).map(|&byte| u64::from(byte)).sum();
            prop_assert_eq!(fold(sum(&bytes)), fold((high << 8) + low));
        }
    }

    #[test]
    fn a_completed_checksum_holds() {
        for payload in [0, 1, 99, 1460] {
            for ipv6 in [false, true] {
                for (mut packet, vnet) in [tcp(ipv6, &[], payload), udp(ipv6, &[5], payload)] {
                    assert!(!checksum_holds(&packet));
                    let checksum = completed(&packet, &vnet).expect("inside");
                    packet[checksum.at..][..2].copy_from_slice(checksum.bytes());
                    assert!(checksum_holds(&packet), "{payload} bytes");
                }
            }
        }
    }

    #[test]
    fn udp_never_says_that_it_has_none() {
        let (mut packet, vnet) = udp(false, &[], 2);
        let at = packet.len() - 2;
        packet[at..].fill(0);
        let value = completed(&packet, &vnet).expect("inside");
        // What is missing to a sum of 0xFFFF.
        packet[at..].copy_from_slice(value.bytes());
        assert_eq!(completed(&packet, &vnet).expect("inside").bytes(), [0xFF, 0xFF]);
    }

    #[test]
    fn sctp_gets_its_own() {
        let (mut packet, mut vnet) = udp(false, &[], 4);
        packet[23] = SCTP;
        // Source and destination port, tag, checksum (RFC 9260 section 3.1).
        packet[34..].copy_from_slice(&[0, 1, 0, 2, 9, 9, 9, 9, 7, 7, 7, 7]);
        vnet.checksum_offset = 8;
        let checksum = completed(&packet, &vnet).expect("inside");
        let crc = crc32c::of(&[&packet[34..42], &[0; 4]]);
        assert_eq!((checksum.at, checksum.bytes()), (42, &crc.to_le_bytes()[..]));
    }

    #[test]
    fn what_would_lie_outside_is_refused() {
        let (packet, vnet) = udp(false, &[], 0);
        for (start, offset) in [(0, 41), (43, 0), (65_535, 65_535), (34, 65_535)] {
            let vnet = VnetHeader { checksum_start: start, checksum_offset: offset, ..vnet };
            assert_eq!(completed(&packet, &vnet), None, "{start}, {offset}");
        }
    }
}
