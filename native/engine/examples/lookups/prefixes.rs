//! Prefixes as a router without a default route has them: as many of each length as were announced
//! in the Internet in 2024, rounded (about 950,000), at pseudo-random places, the same each time.

use std::collections::HashSet;

/// Prefixes of each length. Longer ones than /24 are not announced; an operator has some inside.
const COUNTS: &[(u8, usize)] = &[
    (8, 16),
    (9, 14),
    (10, 39),
    (11, 102),
    (12, 300),
    (13, 590),
    (14, 1_200),
    (15, 2_050),
    (16, 13_600),
    (17, 8_300),
    (18, 14_000),
    (19, 25_000),
    (20, 44_000),
    (21, 53_000),
    (22, 110_000),
    (23, 98_000),
    (24, 560_000),
    (28, 1_000),
    (29, 1_500),
    (30, 2_500),
    (32, 5_000),
];

/// Addresses and lengths, shorter ones first.
pub fn generate() -> Vec<(u32, u8)> {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u32
    };
    let mut prefixes = Vec::new();
    for &(length, count) in COUNTS {
        let mut seen = HashSet::new();
        while seen.len() < count {
            let address = random() & u32::MAX << (32 - length);
            // Unicast: 1.0.0.0 to 223.255.255.255.
            if (1..=223).contains(&(address >> 24)) && seen.insert(address) {
                prefixes.push((address, length));
            }
        }
    }
    prefixes
}
