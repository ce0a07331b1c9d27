//! Prefixes of addresses.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The first `length` bits of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    /// The address, from the highest bit on; all bits behind the prefix are zero.
    pub bits: u128,
    /// Bits that count.
    pub length: u8,
    /// Bytes of the address: 4 or 16.
    pub bytes: u8,
}

impl Prefix {
    /// Out of an address in network order and, behind it, a byte with the length. `None` when there
    /// are other than `bytes` + 1 bytes, the length is too large or bits behind the prefix are set.
    pub fn parse(key: &[u8], bytes: u32) -> Option<Prefix> {
        let (&length, address) = key.split_last()?;
        let bits = address_bits(address, bytes)?;
        let prefix = Prefix { bits, length, bytes: bytes as u8 };
        (u32::from(length) <= 8 * bytes && prefix.cut(length) == prefix).then_some(prefix)
    }

    /// As it is parsed.
    pub fn key(&self) -> Vec<u8> {
        let mut key = self.bits.to_be_bytes()[..usize::from(self.bytes)].to_vec();
        key.push(self.length);
        key
    }

    /// The first `length` bits of it.
    pub fn cut(self, length: u8) -> Prefix {
        let behind = u128::MAX.checked_shr(length.into()).unwrap_or(0);
        Prefix { bits: self.bits & !behind, length, ..self }
    }

    /// `width` bits from bit `start` on, as a number.
    #[inline]
    pub fn index(&self, start: u32, width: u32) -> usize {
        index(self.bits, start, width)
    }
}

/// An address in network order, from the highest bit on; `None` when it has other than `bytes`
/// bytes.
pub fn address_bits(address: &[u8], bytes: u32) -> Option<u128> {
    let mut all = [0; 16];
    let fits = address.len() == bytes as usize && address.len() <= all.len();
    fits.then(|| {
        all[..address.len()].copy_from_slice(address);
        u128::from_be_bytes(all)
    })
}

/// `width` bits of an address from bit `start` on, as a number.
#[inline]
pub fn index(bits: u128, start: u32, width: u32) -> usize {
    (bits << start >> (128 - width)) as usize
}

impl fmt::Display for Prefix {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bytes {
            4 => write!(out, "{}/{}", Ipv4Addr::from((self.bits >> 96) as u32), self.length),
            _ => write!(out, "{}/{}", Ipv6Addr::from(self.bits), self.length),
        }
    }
}
