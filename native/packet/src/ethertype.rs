//! EtherTypes that this project looks at (IEEE 802.3, 802.1Q, 802.1ad).

/// IPv4.
pub const IPV4: u16 = 0x0800;
/// ARP.
pub const ARP: u16 = 0x0806;
/// IPv6.
pub const IPV6: u16 = 0x86DD;
/// A VLAN tag.
pub const VLAN: u16 = 0x8100;
/// The outer one of two.
pub const QINQ: u16 = 0x88A8;
