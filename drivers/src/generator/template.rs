//! Packets of a flow, built once: headers and checksums, so that a packet costs a copy and a stamp.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::stamp::{STAMP_BYTES, fold};

/// Protocols that a flow can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Udp,
    Tcp,
    Icmp,
    Dns,
    Arp,
    Udp6,
    Tcp6,
    Icmp6,
    Dns6,
}

impl Protocol {
    /// By its name in specs.
    pub(crate) const ALL: [(&str, Protocol); 9] = [
        ("udp", Protocol::Udp),
        ("tcp", Protocol::Tcp),
        ("icmp", Protocol::Icmp),
        ("dns", Protocol::Dns),
        ("arp", Protocol::Arp),
        ("udp6", Protocol::Udp6),
        ("tcp6", Protocol::Tcp6),
        ("icmp6", Protocol::Icmp6),
        ("dns6", Protocol::Dns6),
    ];

    fn is_ipv6(self) -> bool {
        matches!(self, Protocol::Udp6 | Protocol::Tcp6 | Protocol::Icmp6 | Protocol::Dns6)
    }

    fn transport(self) -> Transport {
        match self {
            Protocol::Udp | Protocol::Udp6 | Protocol::Dns | Protocol::Dns6 => Transport::Udp,
            Protocol::Tcp | Protocol::Tcp6 => Transport::Tcp,
            Protocol::Icmp => Transport::Icmp,
            Protocol::Icmp6 => Transport::Icmp6,
            Protocol::Arp => Transport::None,
        }
    }
}

/// What stands behind the network header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    Udp,
    Tcp,
    Icmp,
    Icmp6,
    None,
}

impl Transport {
    /// Protocol number (IANA), header bytes, offset of the checksum, and how often the length of
    /// header and payload stands in what the checksum covers: in UDP's header and, but for ICMP, in
    /// the pseudo header.
    fn facts(self) -> (u8, usize, usize, u64) {
        match self {
            Transport::Udp => (17, 8, 6, 2),
            Transport::Tcp => (6, 20, 16, 1),
            Transport::Icmp => (1, 8, 2, 0),
            Transport::Icmp6 => (58, 8, 2, 1),
            Transport::None => (0, 0, 0, 0),
        }
    }
}

/// What is particular to a flow.
#[derive(Clone, Debug)]
pub(crate) struct FlowHeader<'a> {
    pub(crate) protocol: Protocol,
    pub(crate) destination_mac: [u8; 6],
    pub(crate) source_mac: [u8; 6],
    pub(crate) vlan: Option<u16>,
    pub(crate) source: Ipv4Addr,
    pub(crate) destination: Ipv4Addr,
    pub(crate) source6: Ipv6Addr,
    pub(crate) destination6: Ipv6Addr,
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
    /// For DNS: what it asks for.
    pub(crate) name: &'a str,
}

/// Where a flow's headers begin, and what depends on a packet's length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    ipv6: bool,
    transport: Transport,
    network_at: u8,
    transport_at: u8,
}

impl FlowHeader<'_> {
    /// The flow's first bytes, up to where zeros and the stamp follow. Lengths are 0 in it, and
    /// checksums hold the sum of everything but lengths: [`Shape::patches`] completes both.
    pub(crate) fn build(&self) -> (Vec<u8>, Shape) {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend(self.destination_mac);
        bytes.extend(self.source_mac);
        if let Some(vlan) = self.vlan {
            bytes.extend([0x81, 0x00]);
            bytes.extend(vlan.to_be_bytes());
        }
        let ipv6 = self.protocol.is_ipv6();
        let transport = self.protocol.transport();
        bytes.extend(match (ipv6, transport) {
            (_, Transport::None) => [0x08, 0x06],
            (false, _) => [0x08, 0x00],
            (true, _) => [0x86, 0xDD],
        });
        let network_at = bytes.len();
        match (ipv6, transport) {
            (_, Transport::None) => self.push_arp(&mut bytes),
            (false, _) => self.push_ipv4(&mut bytes),
            (true, _) => self.push_ipv6(&mut bytes),
        }
        let transport_at = bytes.len();
        self.push_transport(&mut bytes);
        // At most 14 + 4 and 40 more.
        let (network_at, transport_at) = (network_at as u8, transport_at as u8);
        let shape = Shape { ipv6, transport, network_at, transport_at };
        (bytes, shape)
    }

    /// RFC 826: who has `destination`?
    fn push_arp(&self, bytes: &mut Vec<u8>) {
        bytes.extend([0, 1, 8, 0, 6, 4, 0, 1]);
        bytes.extend(self.source_mac);
        bytes.extend(self.source.octets());
        bytes.extend([0; 6]);
        bytes.extend(self.destination.octets());
    }

    /// RFC 791.
    fn push_ipv4(&self, bytes: &mut Vec<u8>) {
        let at = bytes.len();
        let number = self.protocol.transport().facts().0;
        bytes.extend([0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, number, 0, 0]);
        bytes.extend(self.source.octets());
        bytes.extend(self.destination.octets());
        let sum = fold(sum_of(&bytes[at..]));
        bytes[at + 10..at + 12].copy_from_slice(&sum.to_be_bytes());
    }

    /// RFC 8200.
    fn push_ipv6(&self, bytes: &mut Vec<u8>) {
        let number = self.protocol.transport().facts().0;
        bytes.extend([0x60, 0, 0, 0, 0, 0, number, 64]);
        bytes.extend(self.source6.octets());
        bytes.extend(self.destination6.octets());
    }

    fn push_transport(&self, bytes: &mut Vec<u8>) {
        let at = bytes.len();
        let (source, destination) =
            (self.source_port.to_be_bytes(), self.destination_port.to_be_bytes());
        match self.protocol.transport() {
            Transport::None => return,
            Transport::Udp => {
                bytes.extend(source);
                bytes.extend(destination);
                bytes.extend([0; 4]);
            }
            // RFC 9293: PSH and ACK, so that nobody sees new connections.
            Transport::Tcp => {
                bytes.extend(source);
                bytes.extend(destination);
                bytes.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 0xFF, 0xFF, 0, 0, 0, 0]);
            }
            // RFC 792 and RFC 4443: echo request; the identifier is the flow's port.
            Transport::Icmp | Transport::Icmp6 => {
                let kind = if self.protocol == Protocol::Icmp { 8 } else { 128 };
                bytes.extend([kind, 0, 0, 0]);
                bytes.extend(source);
                bytes.extend([0, 1]);
            }
        }
        if matches!(self.protocol, Protocol::Dns | Protocol::Dns6) {
            self.push_query(bytes);
        }
        let (number, _, checksum, _) = self.protocol.transport().facts();
        let pseudo_header = match self.protocol {
            Protocol::Icmp => 0,
            _ if self.protocol.is_ipv6() => {
                sum_of(&self.source6.octets()) + sum_of(&self.destination6.octets())
            }
            _ => sum_of(&self.source.octets()) + sum_of(&self.destination.octets()),
        };
        let number = if self.protocol == Protocol::Icmp { 0 } else { u64::from(number) };
        let sum = fold(sum_of(&bytes[at..]) + pseudo_header + number);
        bytes[at + checksum..at + checksum + 2].copy_from_slice(&sum.to_be_bytes());
    }

    /// RFC 1035 section 4.1: a recursive query for an A or AAAA record.
    fn push_query(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.source_port.to_be_bytes());
        bytes.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        for label in self.name.split('.') {
            bytes.push(label.len() as u8);
            bytes.extend(label.as_bytes());
        }
        let kind = if self.protocol == Protocol::Dns6 { 28 } else { 1 };
        bytes.extend([0, 0, kind, 0, 1]);
    }
}

impl Shape {
    /// Lengths and checksums of a packet of `length` bytes, as (offset, value), from its template.
    /// A list of numbers, so that it serves native buffers and frames alike: no reference is ever
    /// made into a frame, which a guest may see.
    #[inline]
    pub(crate) fn patches(&self, template: &[u8], length: usize) -> [(usize, u16); 4] {
        // What a protocol has no use for writes the destination's first bytes again.
        let mut patches = [(0, get(template, 0)); 4];
        if self.transport == Transport::None {
            return patches;
        }
        let at = usize::from(self.network_at);
        let network_bytes = (length - at) as u16;
        if self.ipv6 {
            patches[0] = (at + 4, network_bytes - 40);
        } else {
            let sum = u64::from(get(template, at + 10)) + u64::from(network_bytes);
            patches[0] = (at + 2, network_bytes);
            patches[1] = (at + 10, !fold(sum));
        }
        let (_, _, checksum, lengths) = self.transport.facts();
        let at = usize::from(self.transport_at);
        let transport_bytes = (length - at) as u16;
        if self.transport == Transport::Udp {
            patches[2] = (at + 4, transport_bytes);
        }
        let sum = u64::from(get(template, at + checksum)) + lengths * u64::from(transport_bytes);
        // RFC 768: a checksum of 0 says that there is none; 0xFFFF is the same number.
        let value = match !fold(sum) {
            0 if self.transport == Transport::Udp => 0xFFFF,
            value => value,
        };
        patches[3] = (at + checksum, value);
        patches
    }

    /// Completes a template whose packets all have `length` bytes.
    pub(crate) fn finish(&self, template: &mut [u8], length: usize) {
        for (at, value) in self.patches(template, length) {
            template[at..at + 2].copy_from_slice(&value.to_be_bytes());
        }
    }
}

/// Bytes of the shortest packet with these headers: 60, as Ethernet pads.
pub(crate) fn minimum_bytes(header_bytes: usize) -> usize {
    (header_bytes + STAMP_BYTES).max(wirelet_abi::limits::PACKET_BYTES_PADDED)
}

/// A UDP/IPv4 packet of `length` bytes, at least 60, without a stamp.
pub(crate) fn plain_udp(length: usize) -> Vec<u8> {
    let header = FlowHeader {
        protocol: Protocol::Udp,
        destination_mac: [2, 0, 0, 0, 0, 2],
        source_mac: [2, 0, 0, 0, 0, 1],
        vlan: None,
        source: Ipv4Addr::new(198, 18, 0, 1),
        destination: Ipv4Addr::new(198, 19, 0, 1),
        source6: Ipv6Addr::UNSPECIFIED,
        destination6: Ipv6Addr::UNSPECIFIED,
        source_port: 1024,
        destination_port: 9,
        name: "",
    };
    let (mut bytes, shape) = header.build();
    bytes.resize(length, 0);
    shape.finish(&mut bytes, length);
    bytes
}

/// Sum of 16-bit words; an odd last byte counts as the first of its word.
fn sum_of(bytes: &[u8]) -> u64 {
    let word = |pair: &[u8]| u64::from(pair[0]) << 8 | u64::from(pair.get(1).copied().unwrap_or(0));
    bytes.chunks(2).map(word).sum()
}

#[inline]
fn get(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stamp::Stamp;

    fn header(protocol: Protocol, vlan: Option<u16>) -> FlowHeader<'static> {
        FlowHeader {
            protocol,
            destination_mac: [2, 0, 0, 0, 0, 2],
            source_mac: [2, 0, 0, 0, 0, 1],
            vlan,
            source: Ipv4Addr::new(10, 0, 200, 255),
            destination: Ipv4Addr::new(10, 1, 2, 3),
            source6: "2001:2::1".parse().expect("an address"),
            destination6: "2001:2::2".parse().expect("an address"),
            source_port: 40_001,
            destination_port: 53,
            name: "mail.example.org",
        }
    }

    /// Independent of the code above: sums the finished packet as a receiver does.
    fn verify(bytes: &[u8], at: usize, protocol: Protocol) {
        let sum = |parts: &[&[u8]]| fold(parts.iter().map(|part| sum_of(part)).sum());
        let (addresses, transport_at) = if protocol.is_ipv6() {
            assert_eq!(usize::from(get(bytes, at + 4)), bytes.len() - at - 40);
            (&bytes[at + 8..at + 40], at + 40)
        } else {
            assert_eq!(usize::from(get(bytes, at + 2)), bytes.len() - at);
            assert_eq!(sum(&[&bytes[at..at + 20]]), 0xFFFF, "IPv4 header of {protocol:?}");
            (&bytes[at + 12..at + 20], at + 20)
        };
        let number = bytes[if protocol.is_ipv6() { at + 6 } else { at + 9 }];
        let body = &bytes[transport_at..];
        let length = (body.len() as u16).to_be_bytes();
        let pseudo: [&[u8]; 3] = [addresses, &length, &[0, number]];
        let pseudo = if protocol == Protocol::Icmp { 0 } else { u64::from(sum(&pseudo)) };
        assert_eq!(fold(pseudo + sum_of(body)), 0xFFFF, "{protocol:?} of {}", bytes.len());
    }

    #[test]
    fn checksums_hold_for_every_protocol_length_and_stamp() {
        for (_, protocol) in Protocol::ALL {
            for vlan in [None, Some(100)] {
                let (start, shape) = header(protocol, vlan).build();
                let minimum = minimum_bytes(start.len());
                for length in minimum..minimum + 40 {
                    let mut bytes = start.clone();
                    bytes.resize(length, 0);
                    shape.finish(&mut bytes, length);
                    let stamp = Stamp { flow: 77, sequence: length as u32, due_ns: 1 << 40 };
                    let (head, check) = stamp.to_words();
                    bytes[length - 18..length - 2].copy_from_slice(&head.to_ne_bytes());
                    bytes[length - 2..].copy_from_slice(&check.to_ne_bytes());
                    if protocol != Protocol::Arp {
                        verify(&bytes, if vlan.is_some() { 18 } else { 14 }, protocol);
                    }
                }
            }
        }
    }

    #[test]
    fn udp_fits_into_the_shortest_frame_with_its_stamp() {
        let (start, _) = header(Protocol::Udp, None).build();
        assert_eq!(minimum_bytes(start.len()), 60);
        verify(&plain_udp(60), 14, Protocol::Udp);
    }
}
