//! Cuts a large packet into those that it stands for, as a NIC with TSO or USO would.

use super::VnetHeader;
use super::checksum::sum;
use super::layout::Layout;
use crate::stamp::fold;

/// Bytes of headers, a VLAN tag that comes back included.
const HEADER_MAX: usize = 256;
const TCP: u8 = 6;
const UDP: u8 = 17;
const TCP_FIN: u8 = 0x01;
const TCP_PSH: u8 = 0x08;
const TCP_CWR: u8 = 0x80;

/// How far a large packet is cut.
#[derive(Clone, Debug)]
pub(crate) struct Segments {
    layout: Layout,
    /// Where the payload begins, where the next segment's does, and where it ends.
    payload: usize,
    next: usize,
    end: usize,
    segment_bytes: usize,
    number: u32,
}

/// Headers and payload of one packet.
pub(crate) struct Segment<'a> {
    header: [u8; HEADER_MAX],
    header_bytes: usize,
    pub(crate) payload: &'a [u8],
}

impl Segment<'_> {
    pub(crate) fn header(&self) -> &[u8] {
        &self.header[..self.header_bytes]
    }

    pub(crate) fn bytes(&self) -> usize {
        self.header_bytes + self.payload.len()
    }
}

impl Segments {
    /// `None` for what can't be cut: tunnels, UFO, headers that don't fit together.
    pub(crate) fn new(packet: &[u8], vnet: &VnetHeader) -> Option<Segments> {
        let layout = Layout::of(packet)?;
        let transport = packet.get(layout.transport..)?;
        let header_bytes = match (vnet.gso_type & !VnetHeader::GSO_ECN, layout.protocol) {
            (VnetHeader::GSO_TCPV4, TCP) if !layout.ipv6 => tcp_bytes(transport)?,
            (VnetHeader::GSO_TCPV6, TCP) if layout.ipv6 => tcp_bytes(transport)?,
            (VnetHeader::GSO_UDP_L4, UDP) => 8,
            _ => return None,
        };
        let payload = layout.transport + header_bytes;
        // A tunnel's inner header is where the checksum starts; its outer ones are not ours to cut.
        let plain = usize::from(vnet.checksum_start) == layout.transport && vnet.needs_checksum();
        if !plain || vnet.segment_bytes == 0 || payload + 4 > HEADER_MAX || payload > packet.len() {
            return None;
        }
        let segment_bytes = vnet.segment_bytes.into();
        let end = packet.len();
        Some(Segments { layout, payload, next: payload, end, segment_bytes, number: 0 })
    }

    /// Bytes of the longest, without a tag that comes back.
    pub(crate) fn bytes_max(&self) -> usize {
        self.payload + self.segment_bytes.min(self.end - self.payload)
    }

    /// Whether all are cut off. There is at least one, even without payload.
    pub(crate) fn done(&self) -> bool {
        self.next == self.end && self.number > 0
    }

    /// The next one, of the same packet; with the VLAN tag that the kernel took out of it.
    pub(crate) fn next<'a>(&mut self, packet: &'a [u8], tag: Option<[u8; 4]>) -> Segment<'a> {
        let end = self.end.min(self.next + self.segment_bytes);
        let payload = &packet[self.next..end];
        let mut header = [0; HEADER_MAX];
        header[..self.payload].copy_from_slice(&packet[..self.payload]);
        self.patch(&mut header[..self.payload], payload, end == self.end);
        let mut header_bytes = self.payload;
        if let Some(tag) = tag {
            header.copy_within(12..header_bytes, 16);
            header[12..16].copy_from_slice(&tag);
            header_bytes += 4;
        }
        self.next = end;
        self.number += 1;
        Segment { header, header_bytes, payload }
    }

    fn patch(&self, header: &mut [u8], payload: &[u8], last: bool) {
        let Layout { network, ipv6, transport, protocol } = self.layout;
        let transport_bytes = header.len() - transport + payload.len();
        if ipv6 {
            put(header, network + 4, (transport - network - 40 + transport_bytes) as u16);
        } else {
            put(header, network + 2, (transport - network + transport_bytes) as u16);
            let identification = get(header, network + 4).wrapping_add(self.number as u16);
            put(header, network + 4, identification);
            put(header, network + 10, 0);
            let checksum = !fold(sum(&header[network..transport]));
            put(header, network + 10, checksum);
        }
        let checksum_at = match protocol {
            TCP => {
                self.patch_tcp(&mut header[transport..], last);
                transport + 16
            }
            _ => {
                put(header, transport + 4, transport_bytes as u16);
                transport + 6
            }
        };
        put(header, checksum_at, 0);
        let pseudo_header =
            sum(&header[self.layout.addresses()]) + u64::from(protocol) + transport_bytes as u64;
        // A TCP header has an even number of bytes, so the sums can be added.
        let all = pseudo_header + sum(&header[transport..]) + sum(payload);
        let checksum = match !fold(all) {
            0 if protocol == UDP => 0xFFFF,
            checksum => checksum,
        };
        put(header, checksum_at, checksum);
    }

    /// Sequence number, and the flags that only the first or the last one has.
    fn patch_tcp(&self, tcp: &mut [u8], last: bool) {
        let sequence = u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]);
        let sequence = sequence.wrapping_add((self.next - self.payload) as u32);
        tcp[4..8].copy_from_slice(&sequence.to_be_bytes());
        if !last {
            tcp[13] &= !(TCP_FIN | TCP_PSH);
        }
        if self.number > 0 {
            tcp[13] &= !TCP_CWR;
        }
    }
}

fn tcp_bytes(transport: &[u8]) -> Option<usize> {
    let bytes = usize::from(*transport.get(12)? >> 4) * 4;
    (bytes >= 20 && bytes <= transport.len()).then_some(bytes)
}

fn get(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn put(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::super::testing::{checksum_holds, large, tcp, udp};
    use super::*;

    fn cut(packet: &[u8], vnet: &VnetHeader, tag: Option<[u8; 4]>) -> Vec<Vec<u8>> {
        let mut segments = Segments::new(packet, vnet).expect("it can be cut");
        let mut all = Vec::new();
        while !segments.done() {
            let segment = segments.next(packet, tag);
            all.push([segment.header(), segment.payload].concat());
            assert_eq!(segment.bytes(), all[all.len() - 1].len());
        }
        all
    }

    #[test]
    fn tcp_is_cut_as_a_nic_would() {
        for (ipv6, tags, headers) in [(false, &[][..], 54), (true, &[9][..], 78)] {
            let (mut packet, vnet) = tcp(ipv6, tags, 64_000);
            packet[headers - 7] = TCP_FIN | TCP_PSH | TCP_CWR | 0x10;
            let vnet = large(vnet, if ipv6 { 4 } else { 1 } | VnetHeader::GSO_ECN, 1400);
            let all = cut(&packet, &vnet, None);
            assert_eq!(all.len(), 46);
            let sequence = |bytes: &[u8]| {
                u32::from_be_bytes(bytes[headers - 16..headers - 12].try_into().expect("4"))
            };
            let (mut payload, first) = (Vec::new(), sequence(&packet));
            for (number, segment) in all.iter().enumerate() {
                assert!(checksum_holds(segment), "segment {number}");
                assert_eq!(sequence(segment), first.wrapping_add(payload.len() as u32));
                payload.extend_from_slice(&segment[headers..]);
                let flags = match number {
                    0 => TCP_CWR | 0x10,
                    45 => TCP_FIN | TCP_PSH | 0x10,
                    _ => 0x10,
                };
                assert_eq!(segment[headers - 7], flags, "segment {number}");
            }
            assert_eq!(payload, packet[headers..]);
        }
    }

    #[test]
    fn ipv4_identifications_count_up() {
        let (packet, vnet) = tcp(false, &[], 3000);
        let all = cut(&packet, &large(vnet, 1, 1000), None);
        let numbers: Vec<u16> = all.iter().map(|segment| get(segment, 18)).collect();
        let first = get(&packet, 18);
        assert_eq!(numbers, [first, first.wrapping_add(1), first.wrapping_add(2)]);
    }

    #[test]
    fn udp_is_cut_into_datagrams_and_a_tag_comes_back() {
        for ipv6 in [false, true] {
            let (packet, vnet) = udp(ipv6, &[], 2500);
            let all = cut(&packet, &large(vnet, 5, 1200), Some([0x81, 0, 0x20, 5]));
            let headers = if ipv6 { 66 } else { 46 };
            assert_eq!(
                all.iter().map(Vec::len).collect::<Vec<_>>(),
                [headers + 1200, headers + 1200, headers + 100]
            );
            for segment in &all {
                assert!(checksum_holds(segment));
                assert_eq!(segment[12..16], [0x81, 0, 0x20, 5]);
                assert_eq!(usize::from(get(segment, headers - 4)), segment.len() - headers + 8);
            }
        }
    }

    #[test]
    fn a_packet_without_payload_is_one() {
        let (packet, vnet) = tcp(false, &[], 0);
        assert_eq!(cut(&packet, &large(vnet, 1, 1000), None).len(), 1);
    }

    #[test]
    fn what_cannot_be_cut_is_none() {
        let (packet, vnet) = tcp(false, &[], 3000);
        let good = large(vnet, 1, 1000);
        assert!(Segments::new(&packet, &good).is_some());
        let bad = [
            VnetHeader { segment_bytes: 0, ..good },
            VnetHeader { gso_type: 3, ..good },
            VnetHeader { gso_type: 4, ..good },
            VnetHeader { gso_type: 5, ..good },
            VnetHeader { gso_type: 0x21, ..good },
            VnetHeader { checksum_start: 84, ..good },
            VnetHeader { flags: 0, ..good },
        ];
        assert!(bad.iter().all(|vnet| Segments::new(&packet, vnet).is_none()));
        for length in 0..54 {
            assert!(Segments::new(&packet[..length], &good).is_none(), "{length} bytes");
        }
        let mut packet = packet;
        packet[46] = 0x40;
        assert!(Segments::new(&packet, &good).is_none(), "a TCP header of 16 bytes");
    }
}
