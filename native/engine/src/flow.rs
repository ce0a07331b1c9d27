//! Which packets belong together: hashes of their headers, the same for both directions.

use std::marker::PhantomData;

use wirelet_packet::{Mbuf, Region, ethertype};

const ICMP: u8 = 1;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
const ICMP6: u8 = 58;
pub(crate) const SCTP: u8 = 132;
/// Bytes of an ICMP error before the packet that it is about (RFC 792, RFC 4443).
const ICMP_ERROR_BYTES: usize = 8;
/// Odd, and as good as any: 2^64 divided by the golden ratio.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

/// A packet's bytes, read field by field: most hashes need one cache line of them.
#[derive(Clone, Copy)]
pub struct Bytes<'a> {
    start: *const u8,
    length: usize,
    _of: PhantomData<&'a [u8]>,
}

impl<'a> Bytes<'a> {
    /// Of a packet in its frame.
    #[inline]
    pub fn of(region: &'a Region, mbuf: &Mbuf) -> Bytes<'a> {
        Bytes { start: region.data(mbuf), length: mbuf.length.into(), _of: PhantomData }
    }

    #[inline]
    pub(crate) fn len(self) -> usize {
        self.length
    }

    /// `N` bytes from `at` on. Each is read once: what a program on another lcore writes there
    /// meanwhile changes the hash, and nothing else.
    #[inline]
    pub(crate) fn get<const N: usize>(self, at: usize) -> Option<[u8; N]> {
        if at + N > self.length {
            return None;
        }
        // SAFETY: at + N lies within the packet, which lies within its frame (checked whenever that
        // changes), and bytes have no alignment.
        Some(unsafe { self.start.add(at).cast::<[u8; N]>().read() })
    }

    #[inline]
    pub(crate) fn u8(self, at: usize) -> Option<u8> {
        self.get::<1>(at).map(|[byte]| byte)
    }

    #[inline]
    pub(crate) fn u16(self, at: usize) -> Option<u16> {
        self.get(at).map(u16::from_be_bytes)
    }

    #[inline]
    pub(crate) fn u32(self, at: usize) -> Option<u32> {
        self.get(at).map(u32::from_be_bytes)
    }

    #[inline]
    fn u64(self, at: usize) -> Option<u64> {
        self.get(at).map(u64::from_be_bytes)
    }
}

impl<'a> From<&'a [u8]> for Bytes<'a> {
    fn from(bytes: &'a [u8]) -> Bytes<'a> {
        Bytes { start: bytes.as_ptr(), length: bytes.len(), _of: PhantomData }
    }
}

/// Of all packets between two addresses: whatever protocol, whatever ports, fragments, and ICMP
/// errors about any of them, wherever those come from. What is no IP goes by its MAC addresses.
#[inline]
pub fn of_addresses(packet: Bytes<'_>) -> u32 {
    let network = Network::of(packet).map(|network| network.meant(packet));
    mix(network.map_or_else(|| of_mac(packet), |network| network.addresses))
}

/// Of a flow: addresses, protocol and ports. All fragments go by addresses and protocol, since only
/// the first has ports. IPv6 extension headers are not followed: their packets go so too.
pub fn of_ports(packet: Bytes<'_>) -> u32 {
    let Some(network) = Network::of(packet) else { return mix(of_mac(packet)) };
    let has_ports = matches!(network.protocol, TCP | UDP | SCTP) && !network.fragment;
    let ports = match packet.u32(network.payload) {
        Some(ports) if has_ports => both((ports >> 16).into(), (ports & 0xFFFF).into()),
        _ => 0,
    };
    let below = ports.wrapping_mul(SPREAD).wrapping_add(network.protocol.into());
    mix(network.addresses.wrapping_mul(SPREAD) ^ below)
}

/// What an IP header says.
struct Network {
    /// The same both ways.
    addresses: u64,
    protocol: u8,
    fragment: bool,
    /// Where the next header is.
    payload: usize,
}

impl Network {
    #[inline]
    fn of(packet: Bytes<'_>) -> Option<Network> {
        let mut at = 12;
        for _ in 0..2 {
            if matches!(packet.u16(at), Some(ethertype::VLAN | ethertype::QINQ)) {
                at += 4;
            }
        }
        match packet.u16(at)? {
            ethertype::IPV4 => Network::ipv4(packet, at + 2),
            ethertype::IPV6 => Network::ipv6(packet, at + 2),
            _ => None,
        }
    }

    #[inline]
    fn ipv4(packet: Bytes<'_>, start: usize) -> Option<Network> {
        let (from, to) = (packet.u32(start + 12)?, packet.u32(start + 16)?);
        Some(Network {
            addresses: both(from.into(), to.into()),
            protocol: packet.u8(start + 9)?,
            fragment: packet.u16(start + 6)? & 0x3FFF != 0,
            payload: start + usize::from(packet.u8(start)? & 0xF) * 4,
        })
    }

    #[inline]
    fn ipv6(packet: Bytes<'_>, start: usize) -> Option<Network> {
        let half = |at: usize| packet.u64(start + at);
        let address = |high: u64, low: u64| (high ^ high >> 29).wrapping_mul(SPREAD) ^ low;
        let from = address(half(8)?, half(16)?);
        let to = address(half(24)?, half(32)?);
        let protocol = packet.u8(start + 6)?;
        Some(Network { addresses: both(from, to), protocol, fragment: false, payload: start + 40 })
    }

    /// Of an ICMP error: the packet that it is about, which may have gone between other addresses.
    #[inline]
    fn meant(self, packet: Bytes<'_>) -> Network {
        if !matches!(self.protocol, ICMP | ICMP6) || self.fragment {
            return self;
        }
        let inner = self.payload + ICMP_ERROR_BYTES;
        let meant = match (self.protocol, packet.u8(self.payload)) {
            (ICMP, Some(3 | 4 | 5 | 11 | 12)) => Network::ipv4(packet, inner),
            (ICMP6, Some(1..=4)) => Network::ipv6(packet, inner),
            _ => None,
        };
        meant.unwrap_or(self)
    }
}

fn of_mac(packet: Bytes<'_>) -> u64 {
    let half = |at| packet.get::<6>(at).unwrap_or_default();
    let number = |mac: [u8; 6]| mac.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
    both(number(half(0)), number(half(6)))
}

/// The same for (a, b) and (b, a).
#[inline]
fn both(a: u64, b: u64) -> u64 {
    let (low, high) = (a.min(b), a.max(b));
    let spread = low.wrapping_add(SPREAD).wrapping_mul(SPREAD);
    (spread ^ spread >> 32).wrapping_add(high.wrapping_mul(SPREAD))
}

#[inline]
fn mix(sum: u64) -> u32 {
    let mixed = (sum ^ sum >> 31).wrapping_mul(SPREAD);
    ((mixed ^ mixed >> 29).wrapping_mul(SPREAD) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: [u8; 6] = [10, 0, 0, 1, 0x10, 0];
    const B: [u8; 6] = [10, 0, 0, 2, 0, 53];

    fn ethernet(vlan: bool, ethertype: u16) -> Vec<u8> {
        let mut packet = vec![2; 12];
        if vlan {
            packet.extend([0x81, 0, 0, 7]);
        }
        packet.extend(ethertype.to_be_bytes());
        packet
    }

    fn ip(from: [u8; 6], to: [u8; 6], protocol: u8, fragment: u16) -> Vec<u8> {
        let [high, low] = fragment.to_be_bytes();
        let mut packet = vec![0x45, 0, 0, 28, 0, 0, high, low, 64, protocol, 0, 0];
        packet.extend(&from[..4]);
        packet.extend(&to[..4]);
        packet.extend(&from[4..]);
        packet.extend(&to[4..]);
        packet.extend([0, 8, 0, 0]);
        packet
    }

    fn udp(from: [u8; 6], to: [u8; 6], vlan: bool) -> Vec<u8> {
        [ethernet(vlan, ethertype::IPV4), ip(from, to, UDP, 0)].concat()
    }

    fn ports(packet: &[u8]) -> u32 {
        of_ports(packet.into())
    }

    fn addresses(packet: &[u8]) -> u32 {
        of_addresses(packet.into())
    }

    #[test]
    fn both_directions_have_one_hash_and_flows_differ() {
        for hash in [ports, addresses] {
            assert_eq!(hash(&udp(A, B, false)), hash(&udp(B, A, false)));
            assert_eq!(hash(&udp(A, B, false)), hash(&udp(A, B, true)));
        }
        let other = [10, 0, 0, 2, 0, 54];
        assert_ne!(ports(&udp(A, B, false)), ports(&udp(A, other, false)));
        let elsewhere = [10, 0, 0, 3, 0, 53];
        assert_ne!(addresses(&udp(A, B, false)), addresses(&udp(A, elsewhere, false)));
    }

    #[test]
    fn fragments_and_icmp_errors_are_where_their_flow_is() {
        let flow = addresses(&udp(A, B, false));
        let of = |packet: Vec<u8>| [ethernet(false, ethertype::IPV4), packet].concat();
        for fragment in [0x2000, 0x2001, 0x0040] {
            assert_eq!(addresses(&of(ip(B, A, UDP, fragment))), flow);
        }
        let router = [192, 0, 2, 1, 3, 0];
        let mut error = of(ip(router, A, ICMP, 0));
        error.extend(ip(A, B, UDP, 0));
        assert_eq!(addresses(&error), flow, "a router's answer to the sender");
        let mut echo = of(ip([192, 0, 2, 1, 8, 0], A, ICMP, 0));
        echo.extend(ip(A, B, UDP, 0));
        assert_ne!(addresses(&echo), flow, "a ping holds whatever it likes");
    }

    #[test]
    fn ipv6_goes_the_same_ways() {
        let ip = |from: u8, to: u8, next: u8| {
            let mut packet = vec![0x60, 0, 0, 0, 0, 8, next, 64];
            packet.extend([&[0xFD; 15][..], &[from], &[0xFD; 15], &[to]].concat());
            packet
        };
        let framed = |packet: Vec<u8>| [ethernet(true, ethertype::IPV6), packet].concat();
        let flow = addresses(&framed(ip(1, 2, TCP)));
        assert_eq!(addresses(&framed(ip(2, 1, UDP))), flow);
        assert_ne!(addresses(&framed(ip(2, 3, UDP))), flow);
        let mut error = ip(9, 1, ICMP6);
        error.extend([2, 0, 0, 0, 0, 0, 5, 0]);
        error.extend(ip(1, 2, UDP));
        assert_eq!(addresses(&framed(error)), flow, "too big, says a router");
    }

    #[test]
    fn flows_are_spread_and_any_bytes_have_a_hash() {
        let to = [192, 0, 2, 1, 0, 53];
        for hash in [ports, addresses] {
            let flow = |number: u16| {
                let [high, low] = number.to_be_bytes();
                hash(&udp([10, 0, high, low, 4, 0], to, false))
            };
            let sampled = (0..8192).filter(|&number| flow(number) % 64 == 0).count();
            assert!((64..256).contains(&sampled), "{sampled} of 8,192 flows at 1/64");
            let half = (0..8192).filter(|&number| flow(number) < 1 << 31).count();
            assert!((3700..4500).contains(&half), "{half} of 8,192 flows in the lower half");
            let packet = udp([1; 6], [2; 6], true);
            (0..packet.len()).for_each(|bytes| {
                hash(&packet[..bytes]);
            });
        }
    }
}
