//! Where the headers of a packet are, as far as offloads need it.

use wirelet_packet::ethertype::{IPV4, IPV6, QINQ, VLAN};

const VLANS: [u16; 2] = [VLAN, QINQ];
const TAGS_MAX: usize = 4;
const EXTENSIONS_MAX: usize = 8;

/// Offsets into a packet that is no fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) network: usize,
    pub(super) ipv6: bool,
    pub(super) transport: usize,
    /// IP protocol of the transport header.
    pub(super) protocol: u8,
}

impl Layout {
    /// `None` for what is not IP, is a fragment, or ends within its headers.
    pub(super) fn of(packet: &[u8]) -> Option<Layout> {
        let half = |at: usize| Some(u16::from_be_bytes([*packet.get(at)?, *packet.get(at + 1)?]));
        let mut network = 14;
        for _ in 0..TAGS_MAX {
            if VLANS.contains(&half(network - 2)?) {
                network += 4;
            }
        }
        let header = packet.get(network..)?;
        let (ipv6, length, protocol) = match half(network - 2)? {
            IPV4 => {
                let words = usize::from(*header.first()? & 0x0F);
                // More fragments, or not the first one.
                if words < 5 || half(network + 6)? & 0x3FFF != 0 {
                    return None;
                }
                (false, words * 4, *header.get(9)?)
            }
            IPV6 => {
                let (length, protocol) = extensions(header)?;
                (true, length, protocol)
            }
            _ => return None,
        };
        header.get(length..)?;
        Some(Layout { network, ipv6, transport: network + length, protocol })
    }

    /// Source and destination address, one behind the other.
    pub(super) fn addresses(&self) -> std::ops::Range<usize> {
        if self.ipv6 {
            self.network + 8..self.network + 40
        } else {
            self.network + 12..self.network + 20
        }
    }
}

/// Bytes of an IPv6 header with its extensions, and the protocol behind them (RFC 8200 section 4).
fn extensions(header: &[u8]) -> Option<(usize, u8)> {
    let (mut at, mut protocol) = (40, *header.get(6)?);
    for _ in 0..EXTENSIONS_MAX {
        match protocol {
            // Hop-by-hop, routing, destination options.
            0 | 43 | 60 => {
                protocol = *header.get(at)?;
                at += usize::from(*header.get(at + 1)?) * 8 + 8;
            }
            44 => return None,
            _ => return Some((at, protocol)),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::testing::{tcp, udp};
    use super::*;

    #[test]
    fn headers_are_found_behind_tags_options_and_extensions() {
        let (packet, _) = tcp(false, &[7], 10);
        let layout = Layout { network: 18, ipv6: false, transport: 38, protocol: 6 };
        assert_eq!(Layout::of(&packet), Some(layout));
        let (mut packet, _) = udp(true, &[], 30);
        // Destination options of 16 bytes, then UDP.
        packet[20] = 60;
        packet[54..56].copy_from_slice(&[17, 1]);
        let layout = Layout { network: 14, ipv6: true, transport: 70, protocol: 17 };
        assert_eq!(Layout::of(&packet), Some(layout));
    }

    #[test]
    fn fragments_other_protocols_and_stumps_are_none() {
        let (packet, _) = udp(false, &[], 30);
        for (at, value) in [(12, 0x86), (12, 0x06), (20, 0x20), (21, 1), (14, 0x44)] {
            let mut packet = packet.clone();
            packet[at] = value;
            assert_eq!(Layout::of(&packet), None, "byte {at}");
        }
        let (mut fragment, _) = udp(true, &[], 30);
        fragment[20] = 44;
        assert_eq!(Layout::of(&fragment), None);
        for length in 0..34 {
            assert_eq!(Layout::of(&packet[..length]), None, "{length} bytes");
        }
    }
}
