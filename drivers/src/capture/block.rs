//! Interfaces and timestamps of pcapng.

use super::ETHERNET;
use super::order::Order;

const OPTION_END: u16 = 0;
const OPTION_TSRESOL: u16 = 9;
const OPTION_TSOFFSET: u16 = 14;

/// An Interface Description Block (draft-ietf-opsawg-pcapng section 4.2): what its packets share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Interface {
    pub(super) ethernet: bool,
    /// Most bytes of a packet that were kept; 0 for all.
    pub(super) snaplen: u32,
    resolution: Resolution,
    offset_seconds: i64,
}

/// Unit of timestamps: 10^-n or 2^-n seconds (if_tsresol).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resolution {
    Decimal(u8),
    Binary(u8),
}

impl Interface {
    /// From the block's body: link type(2) reserved(2) snaplen(4) options. `None` when it is short.
    pub(super) fn parse(order: Order, body: &[u8]) -> Option<Interface> {
        if body.len() < 8 {
            return None;
        }
        let mut interface = Interface {
            ethernet: u32::from(order.u16(body, 0)) == ETHERNET,
            snaplen: order.u32(body, 4),
            resolution: Resolution::Decimal(6),
            offset_seconds: 0,
        };
        interface.read_options(order, &body[8..]);
        Some(interface)
    }

    /// Options that run past the block end the list: what was read stays.
    fn read_options(&mut self, order: Order, mut options: &[u8]) {
        while options.len() >= 4 {
            let (code, length) = (order.u16(options, 0), usize::from(order.u16(options, 2)));
            let Some(value) = options.get(4..4 + length) else { return };
            match (code, length) {
                (OPTION_END, _) => return,
                (OPTION_TSRESOL, 1) => self.resolution = Resolution::of(value[0]),
                (OPTION_TSOFFSET, 8) => self.offset_seconds = order.u64(value, 0) as i64,
                _ => {}
            }
            options = options.get(4 + length.next_multiple_of(4)..).unwrap_or(&[]);
        }
    }

    /// Whether its timestamps are finer than microseconds.
    pub(super) fn has_nanoseconds(&self) -> bool {
        match self.resolution {
            Resolution::Decimal(digits) => digits > 6,
            Resolution::Binary(bits) => bits > 19,
        }
    }

    /// Nanoseconds since the epoch; what is before it or too large for 64 bits becomes the nearest
    /// that is not.
    #[inline]
    pub(super) fn timestamp_ns(&self, units: u64) -> u64 {
        let ns = self.resolution.to_ns(units);
        if self.offset_seconds == 0 {
            return ns;
        }
        let ns = i128::from(ns) + i128::from(self.offset_seconds) * 1_000_000_000;
        ns.clamp(0, i128::from(u64::MAX)) as u64
    }
}

impl Resolution {
    fn of(option: u8) -> Resolution {
        match option & 0x80 {
            0 => Resolution::Decimal(option),
            _ => Resolution::Binary(option & 0x7F),
        }
    }

    #[inline]
    fn to_ns(self, units: u64) -> u64 {
        match self {
            Resolution::Decimal(6) => units.saturating_mul(1000),
            Resolution::Decimal(9) => units,
            Resolution::Decimal(digits @ 0..9) => {
                units.saturating_mul(10u64.pow(9 - u32::from(digits)))
            }
            Resolution::Decimal(digits) => {
                10u64.checked_pow(u32::from(digits) - 9).map_or(0, |divisor| units / divisor)
            }
            Resolution::Binary(bits) => {
                let ns = (u128::from(units) * 1_000_000_000) >> bits;
                ns.min(u128::from(u64::MAX)) as u64
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_of_every_resolution_become_nanoseconds() {
        assert_eq!(Resolution::of(6).to_ns(1_500_000), 1_500_000_000);
        assert_eq!(Resolution::of(0).to_ns(3), 3_000_000_000);
        assert_eq!(Resolution::of(9).to_ns(7), 7);
        assert_eq!(Resolution::of(12).to_ns(7_999), 7);
        assert_eq!(Resolution::of(0x80 | 10).to_ns(1536), 1_500_000_000);
    }

    #[test]
    fn no_resolution_offset_or_timestamp_overflows() {
        for option in 0..=255u8 {
            let resolution = Resolution::of(option);
            for offset_seconds in [0, 1, i64::MIN, i64::MAX] {
                let interface =
                    Interface { ethernet: true, snaplen: 0, resolution, offset_seconds };
                for units in [0, 1, u64::MAX / 2, u64::MAX] {
                    interface.timestamp_ns(units);
                }
            }
        }
        let before = Interface {
            ethernet: true,
            snaplen: 0,
            resolution: Resolution::Decimal(6),
            offset_seconds: -10,
        };
        assert_eq!(before.timestamp_ns(5_000_000), 0);
        assert_eq!(before.timestamp_ns(11_000_000), 1_000_000_000);
    }
}
