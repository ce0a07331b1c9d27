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
    /// Its bytes.
    #[inline]
    pub(crate) fn to_bytes(self) -> [u8; STAMP_BYTES] {
        let due = self.due_ns & DUE_MASK;
        let words = u64::from(MAGIC) + sum32(self.flow) + sum32(self.sequence) + sum48(due);
        let mut bytes = [0; STAMP_BYTES];
        bytes[..2].copy_from_slice(&MAGIC.to_be_bytes());
        bytes[2..6].copy_from_slice(&self.flow.to_be_bytes());
        bytes[6..10].copy_from_slice(&self.sequence.to_be_bytes());
        let check = u64::from(!fold(words));
        bytes[10..].copy_from_slice(&(due << 16 | check).to_be_bytes());
        bytes
    }

    /// Reads the end of a packet.
    #[inline]
    pub(crate) fn find(bytes: &[u8; STAMP_BYTES]) -> Found {
        let word =
            |at| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        if bytes[..2] != MAGIC.to_be_bytes() {
            return Found::Nothing;
        }
        let (flow, sequence) = (word(2), word(6));
        let tail = u64::from(word(10)) << 32 | u64::from(word(14));
        let (due_ns, check) = (tail >> 16, tail & 0xFFFF);
        let words = u64::from(MAGIC) + sum32(flow) + sum32(sequence) + sum48(due_ns) + check;
        match fold(words) {
            0xFFFF => Found::Stamp(Stamp { flow, sequence, due_ns }),
            _ => Found::Damaged,
        }
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
fn sum32(value: u32) -> u64 {
    u64::from(value >> 16) + u64::from(value & 0xFFFF)
}

#[inline]
fn sum48(value: u64) -> u64 {
    (value >> 32) + sum32(value as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { flow: 0x0003_FFFF, sequence: 7, due_ns: 0x1234_5678_9ABC };

    #[test]
    fn a_stamp_is_found_again_and_sums_to_nothing() {
        let bytes = STAMP.to_bytes();
        assert_eq!(Stamp::find(&bytes), Found::Stamp(STAMP));
        let pairs = bytes.chunks(2).map(|pair| u64::from(u16::from_be_bytes([pair[0], pair[1]])));
        assert_eq!(fold(pairs.sum()), 0xFFFF);
    }

    #[test]
    fn every_damaged_bit_shows() {
        for bit in 0..STAMP_BYTES * 8 {
            let mut bytes = STAMP.to_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let expected = if bit < 16 { Found::Nothing } else { Found::Damaged };
            assert_eq!(Stamp::find(&bytes), expected, "bit {bit}");
        }
    }

    #[test]
    fn latency_survives_the_clocks_wrap() {
        let stamp = Stamp { due_ns: DUE_MASK - 5, ..STAMP };
        assert_eq!(stamp.latency_ns((1 << 48) + 4), 10);
        assert_eq!(stamp.latency_ns(DUE_MASK - 6), 0);
    }
}
