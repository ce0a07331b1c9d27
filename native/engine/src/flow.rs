//! Which packets belong together: a hash of addresses, protocol and ports, the same both ways.

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86DD;
const ETHERTYPE_VLAN: u16 = 0x8100;
const ETHERTYPE_QINQ: u16 = 0x88A8;
const TCP: u8 = 6;
const UDP: u8 = 17;
const SCTP: u8 = 132;
/// Odd, and as good as any: 2^64 divided by the golden ratio.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

/// A packet's flow, as 32 bits. What is no IP goes by its MAC addresses; fragments go by addresses
/// alone, since only the first has ports.
pub fn hash(packet: &[u8]) -> u32 {
    let mut at = 12;
    for _ in 0..2 {
        if matches!(read16(packet, at), Some(ETHERTYPE_VLAN | ETHERTYPE_QINQ)) {
            at += 4;
        }
    }
    let start = at + 2;
    let of_ip = match read16(packet, at) {
        Some(ETHERTYPE_IPV4) => ipv4(packet, start),
        Some(ETHERTYPE_IPV6) => ipv6(packet, start),
        _ => None,
    };
    let by_mac = || both(packet.get(0..6).unwrap_or(&[]), packet.get(6..12).unwrap_or(&[]));
    let mixed = of_ip.unwrap_or_else(by_mac).wrapping_mul(SPREAD);
    ((mixed ^ mixed >> 29).wrapping_mul(SPREAD) >> 32) as u32
}

fn ipv4(packet: &[u8], start: usize) -> Option<u64> {
    let header = packet.get(start..start + 20)?;
    let addresses = both(&header[12..16], &header[16..20]);
    let fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3FFF != 0;
    let bytes = usize::from(header[0] & 0xF) * 4;
    Some(with_ports(addresses, packet, start + bytes, header[9], fragment))
}

/// Extension headers are not followed: their packets go by addresses.
fn ipv6(packet: &[u8], start: usize) -> Option<u64> {
    let header = packet.get(start..start + 40)?;
    let addresses = both(&header[8..24], &header[24..40]);
    Some(with_ports(addresses, packet, start + 40, header[6], false))
}

fn with_ports(addresses: u64, packet: &[u8], start: usize, protocol: u8, fragment: bool) -> u64 {
    let has_ports = matches!(protocol, TCP | UDP | SCTP) && !fragment;
    let ports = match packet.get(start..start + 4) {
        Some(ports) if has_ports => both(&ports[..2], &ports[2..]),
        _ => 0,
    };
    addresses.wrapping_mul(SPREAD).wrapping_add(ports << 8 | u64::from(protocol))
}

/// The same for (a, b) and (b, a).
fn both(a: &[u8], b: &[u8]) -> u64 {
    let fold = |bytes: &[u8]| {
        bytes.iter().fold(0u64, |sum, &byte| sum.wrapping_mul(257).wrapping_add(byte.into()))
    };
    let (a, b) = (fold(a), fold(b));
    a.wrapping_add(b) ^ (a ^ b).wrapping_mul(SPREAD)
}

fn read16(packet: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(packet.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn udp(from: [u8; 6], to: [u8; 6], vlan: bool) -> Vec<u8> {
        let mut packet = vec![2; 12];
        if vlan {
            packet.extend([0x81, 0, 0, 7]);
        }
        packet.extend([8, 0, 0x45, 0, 0, 28, 0, 0, 0, 0, 64, UDP, 0, 0]);
        packet.extend(&from[..4]);
        packet.extend(&to[..4]);
        packet.extend(&from[4..]);
        packet.extend(&to[4..]);
        packet.extend([0, 8, 0, 0]);
        packet
    }

    #[test]
    fn both_directions_have_one_hash_and_flows_differ() {
        let (a, b) = ([10, 0, 0, 1, 0x10, 0], [10, 0, 0, 2, 0, 53]);
        assert_eq!(hash(&udp(a, b, false)), hash(&udp(b, a, false)));
        assert_eq!(hash(&udp(a, b, false)), hash(&udp(a, b, true)));
        let other = [10, 0, 0, 2, 0, 54];
        assert_ne!(hash(&udp(a, b, false)), hash(&udp(a, other, false)));
    }

    #[test]
    fn flows_are_spread_and_any_bytes_have_a_hash() {
        let to = [192, 0, 2, 1, 0, 53];
        let flow = |number: u16| {
            let [high, low] = number.to_be_bytes();
            hash(&udp([10, 0, high, low, 4, 0], to, false))
        };
        let sampled = (0..8192).filter(|&number| flow(number) % 64 == 0).count();
        assert!((64..256).contains(&sampled), "{sampled} of 8,192 flows at 1/64");
        let packet = udp([1; 6], [2; 6], true);
        (0..packet.len()).for_each(|bytes| {
            hash(&packet[..bytes]);
        });
    }
}
