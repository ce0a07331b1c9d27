//! Rules of a port: which packets go to which queue, get a mark, or are dropped, before a program
//! sees them. The first rule that matches decides.
//!
//! What a rule means is said here once; the engine's classifier and the drivers that hand rules to
//! hardware keep to it (docs/operating.md, "Rules").

use std::net::IpAddr;
use std::str::FromStr;

use wirelet_abi::{Error, ErrorCode};

/// VLAN tags that rules look past.
pub const TAGS_MAX: u8 = 2;

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Which packets.
    pub when: Match,
    /// What becomes of them.
    pub action: RuleAction,
    /// Their mark, where they go on.
    pub mark: Option<u32>,
}

/// What becomes of the packets of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleAction {
    /// They go on as if there were no rules.
    Pass,
    /// They are dropped, as `rule`.
    Drop,
    /// They run on the lcore that serves this queue of the port.
    Queue(u16),
}

/// All that is said here has to hold; what is not said is not looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Match {
    /// VLAN tags.
    pub vlan: VlanMatch,
    /// EtherType behind up to two tags.
    pub ether_type: Option<u16>,
    /// Source address.
    pub source: Option<Prefix>,
    /// Destination address.
    pub destination: Option<Prefix>,
    /// What the IP packet holds, behind IPv6 extension headers.
    pub protocol: Option<u8>,
    /// Source port, of TCP, UDP and SCTP. Later fragments have none.
    pub source_port: Option<PortRange>,
    /// Destination port.
    pub destination_port: Option<PortRange>,
}

/// Ports from the first to the last, both included.
pub type PortRange = (u16, u16);

/// Which VLAN tags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VlanMatch {
    /// Any, or none.
    #[default]
    Any,
    /// None.
    Untagged,
    /// The outermost one has this number.
    Id(u16),
}

/// Version of IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// Addresses that begin alike. An IPv4 address stands in the lower 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// Of this version.
    pub family: Family,
    /// The bits that they have.
    pub value: u128,
    /// Which bits count.
    pub mask: u128,
}

impl Prefix {
    /// Whether `address` begins like this.
    #[inline]
    pub fn holds(&self, family: Family, address: u128) -> bool {
        family == self.family && address & self.mask == self.value
    }
}

impl FromStr for Prefix {
    type Err = Error;

    /// `10.0.0.0/8`, `2001:db8::/32`; an address alone is one address.
    fn from_str(text: &str) -> Result<Prefix, Error> {
        let wrong = || Error::new(ErrorCode::Rules, format!("`{text}` is no address or prefix"));
        let (address, length) = text.split_once('/').map_or((text, None), |(a, l)| (a, Some(l)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let (family, value, bits): (_, _, u32) = match address {
            IpAddr::V4(address) => (Family::V4, u128::from(u32::from(address)), 32),
            IpAddr::V6(address) => (Family::V6, u128::from(address), 128),
        };
        let length = length.map_or(Ok(bits), str::parse).map_err(|_| wrong())?;
        let free = bits.checked_sub(length).ok_or_else(wrong)?;
        let all = u128::MAX >> (128 - bits);
        let mask = u128::MAX.checked_shl(free).unwrap_or(0) & all;
        Ok(Prefix { family, value: value & mask, mask })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().expect("a prefix")
    }

    #[test]
    fn prefixes_hold_what_begins_like_them() {
        let of = |text: &str| match text.parse().expect("an address") {
            IpAddr::V4(address) => (Family::V4, u128::from(u32::from(address))),
            IpAddr::V6(address) => (Family::V6, u128::from(address)),
        };
        for (text, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("10.1.2.3", "10.1.2.3", "10.1.2.4"),
            ("10.1.2.3/31", "10.1.2.2", "10.1.2.4"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("::/0", "ffff::", "0.0.0.0"),
            ("fe80::1", "fe80::1", "fe80::2"),
        ] {
            let ((family, address), (other, stranger)) = (of(inside), of(outside));
            assert!(prefix(text).holds(family, address), "{text} holds {inside}");
            assert!(!prefix(text).holds(other, stranger), "{text} holds {outside}");
        }
    }

    #[test]
    fn what_is_no_prefix_is_refused() {
        for text in ["", "10.0.0", "10.0.0.0/33", "::/129", "10.0.0.0/-1", "10.0.0.0/", "a/8"] {
            let error = text.parse::<Prefix>().expect_err(text);
            assert_eq!(error.code, ErrorCode::Rules, "{text}");
        }
    }
}
