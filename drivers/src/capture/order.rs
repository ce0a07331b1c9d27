//! Byte order of a file or section: that of the machine that wrote it.

/// Which byte comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Little,
    Big,
}

impl Order {
    /// The order in which `bytes` begin with `magic`, if one does.
    pub(super) fn of_magic(bytes: &[u8], magic: u32) -> Option<Order> {
        [Order::Little, Order::Big].into_iter().find(|order| order.u32(bytes, 0) == magic)
    }

    /// Two bytes at `at`.
    ///
    /// # Panics
    /// When `bytes` end before; callers have checked the length of the whole header.
    #[inline]
    pub(super) fn u16(self, bytes: &[u8], at: usize) -> u16 {
        let value = u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        if self == Order::Little { value } else { value.swap_bytes() }
    }

    /// Four bytes at `at`; panics as [`Order::u16`] does.
    #[inline]
    pub(super) fn u32(self, bytes: &[u8], at: usize) -> u32 {
        let bytes = &bytes[at..at + 4];
        let value = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        if self == Order::Little { value } else { value.swap_bytes() }
    }

    /// Eight bytes at `at`; panics as [`Order::u16`] does.
    #[inline]
    pub(super) fn u64(self, bytes: &[u8], at: usize) -> u64 {
        let (first, second) = (u64::from(self.u32(bytes, at)), u64::from(self.u32(bytes, at + 4)));
        match self {
            Order::Little => second << 32 | first,
            Order::Big => first << 32 | second,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_orders_are_read() {
        let bytes = [1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(Order::Little.u16(&bytes, 0), 0x0201);
        assert_eq!(Order::Big.u32(&bytes, 1), 0x0203_0405);
        assert_eq!(Order::Big.u64(&bytes, 0), 0x0102_0304_0506_0708);
        assert_eq!(Order::Little.u64(&bytes, 0), 0x0807_0605_0403_0201);
        assert_eq!(Order::of_magic(&bytes, 0x0102_0304), Some(Order::Big));
        assert_eq!(Order::of_magic(&bytes, 0x1111_1111), None);
    }
}
