//! The stamp: what a generator writes at the end of each packet and a checker reads there.
//!
//! ```text
//! magic(2) flow(4) sequence(4) due time(6) check(2)      18 bytes, big-endian
//! ```
//! The check makes the 16-bit ones' complement sum of the whole stamp zero. So damage shows, and no
//! checksum of a packet depends on its stamp: IP, UDP, TCP and ICMP add these 18 bytes up to
//! nothing (RFC 1071; at an odd offset too, because a zero stays zero when its bytes are swapped).

/// Bytes of a stamp: what a UDP/IPv4 frame of 60 bytes has room for.
pub(crate) const STAMP_BYTES: usize = 18;

const MAGIC: u16 = 0x57A9;
const DUE_MASK: u64 = (1 << 48) - 1;

/// One packet's mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// The generator's port (16 bits) and its flow (16 bits).
    pub(crate) flow: u32,
    /// Packets of this flow before it.
    pub(crate) sequence: u32,
    /// When it should have been received, ns of the monotonic clock modulo 2^48 (78 hours).
    pub(crate) due_ns: u64,
}

/// What stands in the last 18 bytes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Stamp(Stamp),
    /// It was a stamp, but its check does not hold any more.
    Damaged,
    /// No stamp.
    Nothing,
}

impl Stamp {
    /// Its bytes: the first 16 and the check, both as they stand in memory. Two words in registers
    /// instead of 18 bytes in memory: what is read back at once in another width than it was
    /// written in costs about 5 ns.
    #[inline]
    pub(crate) fn to_words(self) -> (u128, u16) {
        let head = u128::from(MAGIC) << 112
            | u128::from(self.flow) << 80
            | u128::from(self.sequence) << 48
            | u128::from(self.due_ns & DUE_MASK);
        // The sum is the same in either byte order (RFC 1071 section 2).
        let head = head.to_be();
        (head, !sum_of_words(head))
    }

    /// Reads the last 18 bytes of a packet, given as [`Stamp::to_words`] gives them.
    #[inline]
    pub(crate) fn find(head: u128, check: u16) -> Found {
        let value = u128::from_be(head);
        if (value >> 112) as u16 != MAGIC {
            return Found::Nothing;
        }
        if sum_of_words(head) != !check {
            return Found::Damaged;
        }
        Found::Stamp(Stamp {
            flow: (value >> 80) as u32,
            sequence: (value >> 48) as u32,
            due_ns: value as u64 & DUE_MASK,
        })
    }

    /// How late it is at `now_ns`; 0 when it is not due yet.
    #[inline]
    pub(crate) fn latency_ns(&self, now_ns: u64) -> u64 {
        let latency = now_ns.wrapping_sub(self.due_ns) & DUE_MASK;
        if latency > DUE_MASK / 2 { 0 } else { latency }
    }
}

/// Ones' complement sum of 16-bit words (RFC 1071), not complemented.
#[inline]
pub(crate) fn fold(mut sum: u64) -> u16 {
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    sum as u16
}

#[inline]
fn sum_of_words(value: u128) -> u16 {
    let sum = (value >> 96)
        + (value >> 64 & 0xFFFF_FFFF)
        + (value >> 32 & 0xFFFF_FFFF)
        + (value & 0xFFFF_FFFF);
    fold(sum as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { flow: 0x0003_FFFF, sequence: 7, due_ns: 0x1234_5678_9ABC };

    fn bytes_of(stamp: Stamp) -> [u8; STAMP_BYTES] {
        let (head, check) = stamp.to_words();
        let mut bytes = [0; STAMP_BYTES];
        bytes[..16].copy_from_slice(&head.to_ne_bytes());
        bytes[16..].copy_from_slice(&check.to_ne_bytes());
        bytes
    }

    fn find(bytes: &[u8; STAMP_BYTES]) -> Found {
        let head = u128::from_ne_bytes(bytes[..16].try_into().expect("16 bytes"));
        Stamp::find(head, u16::from_ne_bytes([bytes[16], bytes[17]]))
    }

    #[test]
    fn a_stamp_is_found_again_and_sums_to_nothing() {
        let bytes = bytes_of(STAMP);
        assert_eq!(find(&bytes), Found::Stamp(STAMP));
        assert_eq!(bytes[..6], [0x57, 0xA9, 0x00, 0x03, 0xFF, 0xFF]);
        let pairs = bytes.chunks(2).map(|pair| u64::from(u16::from_be_bytes([pair[0], pair[1]])));
        assert_eq!(fold(pairs.sum()), 0xFFFF);
    }

    #[test]
    fn every_damaged_bit_shows() {
        for bit in 0..STAMP_BYTES * 8 {
            let mut bytes = bytes_of(STAMP);
            bytes[bit / 8] ^= 1 << (bit % 8);
            let expected = if bit < 16 { Found::Nothing } else { Found::Damaged };
            assert_eq!(find(&bytes), expected, "bit {bit}");
        }
    }

    #[test]
    fn latency_survives_the_clocks_wrap() {
        let stamp = Stamp { due_ns: DUE_MASK - 5, ..STAMP };
        assert_eq!(stamp.latency_ns((1 << 48) + 4), 10);
        assert_eq!(stamp.latency_ns((3 << 48) + 4), 10);
        assert_eq!(stamp.latency_ns(DUE_MASK - 6), 0);
    }
}
