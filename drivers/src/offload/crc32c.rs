//! CRC32c (RFC 9260, appendix A), for SCTP: rare, so a table of 1 KiB and a byte at a time.

const POLYNOMIAL: u32 = 0x82F6_3B78;

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut value = index as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { value >> 1 ^ POLYNOMIAL } else { value >> 1 };
            bit += 1;
        }
        table[index] = value;
        index += 1;
    }
    table
};

/// Of all parts, one behind the other.
pub(super) fn of(parts: &[&[u8]]) -> u32 {
    let next = |crc: u32, byte: &u8| crc >> 8 ^ TABLE[usize::from(crc as u8 ^ byte)];
    !parts.iter().copied().flatten().fold(u32::MAX, next)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_check_value_of_the_catalogue() {
        assert_eq!(super::of(&[b"1234", b"56789"]), 0xE306_9283);
    }
}
