//! A packet's headers as etherparse decodes them.
//!
//! Views look at what is inside the packet and not at the lengths that IP claims, so headers are
//! decoded one by one from all the bytes behind the one before. `lax` is what etherparse makes of
//! the packet as a whole, by its own walk and within those lengths.

use etherparse::checksum::Sum16BitWords;
use etherparse::{
    ArpOperation, ArpPacketSlice, EtherType, Ethernet2Slice, Icmpv4Slice, Icmpv6Slice, IpNumber,
    Ipv4HeaderSlice, Ipv6ExtensionSlice, Ipv6ExtensionsSlice, Ipv6HeaderSlice, LaxIpv4Slice,
    LaxIpv6Slice, LaxNetSlice, LaxSlicedPacket, LenSource, SingleVlanSlice, TcpHeaderSlice,
    TcpOptionElement, TransportSlice, UdpHeaderSlice, UdpSlice, err, ether_type, ip_number,
};

use crate::json::{Line, Value};

const TAGS_MAX: u8 = 8;

/// Where and what an upper header is.
struct Upper {
    version: u8,
    protocol: IpNumber,
    at: usize,
    fragment: bool,
    later: bool,
}

/// The line about a packet.
pub fn describe(frame: &[u8]) -> Line {
    let mut line = Line::default();
    let Ok(ethernet) = Ethernet2Slice::from_slice_without_fcs(frame) else { return line };
    line.object(
        "ethernet",
        [
            ("destination", Value::Bytes(&ethernet.destination())),
            ("source", Value::Bytes(&ethernet.source())),
            ("type", ethernet.ether_type().0.into()),
        ],
    );
    let (kind, rest) = tags(&mut line, ethernet.ether_type(), ethernet.payload_slice());
    let at = frame.len() - rest.len();
    line.object("behind", [("type", kind.0.into()), ("at", number(at))]);
    let upper = match kind {
        ether_type::ARP => arp(&mut line, rest),
        ether_type::IPV4 => ipv4(&mut line, at, rest),
        ether_type::IPV6 => ipv6(&mut line, at, rest),
        _ => None,
    };
    if let Some(upper) = upper {
        line.object(
            "payload",
            [
                ("version", upper.version.into()),
                ("protocol", upper.protocol.0.into()),
                ("at", number(upper.at)),
                ("fragment", upper.fragment.into()),
                ("later", upper.later.into()),
            ],
        );
        if !upper.later {
            transport(&mut line, &upper, &frame[upper.at..]);
        }
    }
    lax(&mut line, frame);
    line
}

fn number(value: usize) -> Value<'static> {
    Value::Number(value as u64)
}

/// Walks over VLAN tags: the type behind them, and what has it.
fn tags<'a>(line: &mut Line, mut kind: EtherType, mut rest: &'a [u8]) -> (EtherType, &'a [u8]) {
    for tag in 0..TAGS_MAX {
        let (ether_type::VLAN_TAGGED_FRAME
        | ether_type::PROVIDER_BRIDGING
        | ether_type::VLAN_DOUBLE_TAGGED_FRAME) = kind
        else {
            break;
        };
        let Ok(vlan) = SingleVlanSlice::from_slice(rest) else { break };
        line.object(
            &format!("tag{tag}"),
            [
                ("id", vlan.vlan_identifier().value().into()),
                ("priority", vlan.priority_code_point().value().into()),
                ("eligible", vlan.drop_eligible_indicator().into()),
                ("type", vlan.ether_type().0.into()),
            ],
        );
        kind = vlan.ether_type();
        rest = vlan.payload_slice();
    }
    (kind, rest)
}

fn arp(line: &mut Line, rest: &[u8]) -> Option<Upper> {
    let arp = ArpPacketSlice::from_slice(rest).ok()?;
    let ArpOperation(operation) = arp.operation();
    line.object(
        "arp",
        [
            ("operation", operation.into()),
            ("senderMac", Value::Bytes(arp.sender_hw_addr())),
            ("senderIp", Value::Bytes(arp.sender_protocol_addr())),
            ("targetMac", Value::Bytes(arp.target_hw_addr())),
            ("targetIp", Value::Bytes(arp.target_protocol_addr())),
        ],
    );
    line.object(
        "facts",
        [
            ("hardware", arp.hw_addr_type().0.into()),
            ("protocol", arp.proto_addr_type().0.into()),
            ("hardwareBytes", arp.hw_addr_size().into()),
            ("protocolBytes", arp.proto_addr_size().into()),
        ],
    );
    None
}

fn ipv4(line: &mut Line, at: usize, rest: &[u8]) -> Option<Upper> {
    let ip = Ipv4HeaderSlice::from_slice(rest).ok()?;
    let (whole, _) = LaxIpv4Slice::from_slice(rest).ok()?;
    let later = ip.fragments_offset().value() != 0;
    if whole.payload().len_source == LenSource::Ipv4HeaderTotalLen {
        line.object(
            "ipv4",
            [
                ("header", number(ip.slice().len())),
                ("class", (ip.dcp().value() << 2 | ip.ecn().value()).into()),
                ("total", ip.total_len().into()),
                ("identification", ip.identification().into()),
                ("dont", ip.dont_fragment().into()),
                ("fragment", ip.is_fragmenting_payload().into()),
                ("later", later.into()),
                ("ttl", ip.ttl().into()),
                ("protocol", ip.protocol().0.into()),
                ("checksum", ip.header_checksum().into()),
                ("good", is_zero(Sum16BitWords::new().add_slice(ip.slice())).into()),
                ("source", Value::Bytes(&ip.source())),
                ("destination", Value::Bytes(&ip.destination())),
            ],
        );
    }
    line.object("total", [("bytes", ip.total_len().into()), ("header", number(ip.slice().len()))]);
    Some(Upper {
        version: 4,
        protocol: ip.protocol(),
        at: at + ip.slice().len(),
        fragment: ip.is_fragmenting_payload(),
        later,
    })
}

fn ipv6(line: &mut Line, at: usize, rest: &[u8]) -> Option<Upper> {
    let ip = Ipv6HeaderSlice::from_slice(rest).ok()?;
    let (whole, _) = LaxIpv6Slice::from_slice(rest).ok()?;
    if !whole.payload().incomplete {
        line.object(
            "ipv6",
            [
                ("class", ip.traffic_class().into()),
                ("flow", ip.flow_label().value().into()),
                ("length", ip.payload_length().into()),
                ("next", ip.next_header().0.into()),
                ("hops", ip.hop_limit().into()),
                ("source", Value::Bytes(&ip.source())),
                ("destination", Value::Bytes(&ip.destination())),
            ],
        );
    }
    let first = at + ip.slice().len();
    Some(extensions(line, first, ip.next_header(), &rest[ip.slice().len()..]))
}

/// Walks over extension headers, and ends behind the fragment header of a later fragment.
fn extensions(line: &mut Line, at: usize, first: IpNumber, rest: &[u8]) -> Upper {
    use Ipv6ExtensionSlice::{Authentication, DestinationOptions, Fragment, HopByHop, Routing};
    let (headers, _, _, stop) = Ipv6ExtensionsSlice::from_slice_lax(first, rest);
    let end = at + headers.slice().len();
    let mut upper = Upper { version: 6, protocol: first, at, fragment: false, later: false };
    let mut count = 0_u32;
    let mut headers = headers.into_iter();
    // etherparse 0.21 must not be asked for one more: it would read the header that it refused, out
    // of bounds.
    while upper.at < end
        && let Some(header) = headers.next()
    {
        let (next, bytes) = match &header {
            HopByHop(raw) | Routing(raw) | DestinationOptions(raw) => {
                (raw.next_header(), raw.slice())
            }
            Authentication(auth) => (auth.next_header(), auth.slice()),
            Fragment(fragment) => {
                upper.fragment |= fragment.is_fragmenting_payload();
                upper.later = fragment.fragment_offset().value() != 0;
                (fragment.next_header(), fragment.slice())
            }
        };
        upper.protocol = next;
        upper.at += bytes.len();
        count += 1;
        if upper.later {
            break;
        }
    }
    let refused = matches!(stop, Some((err::ipv6_exts::HeaderSliceError::Content(_), _)));
    line.object(
        "facts",
        [("extensions", count.into()), ("refused", (refused && !upper.later).into())],
    );
    upper
}

fn transport(line: &mut Line, upper: &Upper, rest: &[u8]) -> Option<()> {
    match (upper.protocol, upper.version) {
        (ip_number::UDP, _) => udp(line, upper.at, rest),
        (ip_number::TCP, _) => tcp(line, upper.at, rest),
        (ip_number::ICMP, 4) => {
            // etherparse refuses a timestamp message (RFC 792) with bytes behind its 20.
            let message = if let [13 | 14, ..] = rest { rest.get(..20)? } else { rest };
            let icmp = Icmpv4Slice::from_slice(message).ok()?;
            let words = icmp.bytes5to8();
            echo(line, "icmp", [icmp.type_u8(), icmp.code_u8()], icmp.checksum(), words);
            Some(())
        }
        (ip_number::IPV6_ICMP, 6) => {
            let icmp = Icmpv6Slice::from_slice(rest).ok()?;
            let words = icmp.bytes5to8();
            echo(line, "icmpv6", [icmp.type_u8(), icmp.code_u8()], icmp.checksum(), words);
            Some(())
        }
        _ => None,
    }
}

fn echo(line: &mut Line, name: &str, [kind, code]: [u8; 2], checksum: u16, words: [u8; 4]) {
    line.object(
        name,
        [
            ("type", kind.into()),
            ("code", code.into()),
            ("checksum", checksum.into()),
            ("identifier", u16::from_be_bytes([words[0], words[1]]).into()),
            ("sequence", u16::from_be_bytes([words[2], words[3]]).into()),
        ],
    );
}

fn udp(line: &mut Line, at: usize, rest: &[u8]) -> Option<()> {
    let udp = UdpHeaderSlice::from_slice(rest).ok()?;
    let datagram = UdpSlice::from_slice_lax(rest).ok()?;
    line.object(
        "udp",
        [
            ("payload", number(at + udp.slice().len())),
            ("end", number(at + datagram.slice().len())),
            ("source", udp.source_port().into()),
            ("destination", udp.destination_port().into()),
            ("length", udp.length().into()),
            ("checksum", udp.checksum().into()),
        ],
    );
    Some(())
}

fn tcp(line: &mut Line, at: usize, rest: &[u8]) -> Option<()> {
    let tcp = TcpHeaderSlice::from_slice(rest).ok()?;
    let flags =
        [tcp.fin(), tcp.syn(), tcp.rst(), tcp.psh(), tcp.ack(), tcp.urg(), tcp.ece(), tcp.cwr()];
    line.object(
        "tcp",
        [
            ("payload", number(at + tcp.slice().len())),
            ("source", tcp.source_port().into()),
            ("destination", tcp.destination_port().into()),
            ("sequence", tcp.sequence_number().into()),
            ("acknowledgment", tcp.acknowledgment_number().into()),
            ("header", number(tcp.slice().len())),
            (
                "flags",
                flags.iter().rev().fold(0_u32, |all, &flag| all << 1 | u32::from(flag)).into(),
            ),
            ("window", tcp.window_size().into()),
            ("checksum", tcp.checksum().into()),
        ],
    );
    let mut found = [0_u8; 5];
    for option in tcp.options_iterator() {
        // An option that etherparse does not know or finds malformed: no word about the list.
        let kind = match option.ok()? {
            TcpOptionElement::Noop => continue,
            TcpOptionElement::MaximumSegmentSize(_) => 0,
            TcpOptionElement::WindowScale(_) => 1,
            TcpOptionElement::SelectiveAcknowledgementPermitted => 2,
            TcpOptionElement::SelectiveAcknowledgement(..) => 3,
            TcpOptionElement::Timestamp(..) => 4,
        };
        found[kind] = 1;
    }
    let [mss, scale, permitted, selective, timestamp] = found.map(Value::from);
    line.object(
        "options",
        [
            ("mss", mss),
            ("scale", scale),
            ("permitted", permitted),
            ("selective", selective),
            ("timestamp", timestamp),
        ],
    );
    Some(())
}

/// The transport header of the packet as a whole, and whether the checksum there is right.
fn lax(line: &mut Line, frame: &[u8]) -> Option<()> {
    let packet = LaxSlicedPacket::from_ethernet(frame).ok()?;
    let (protocol, bytes, datagram) = match packet.transport? {
        TransportSlice::Icmpv4(icmp) => (ip_number::ICMP, icmp.slice(), true),
        TransportSlice::Icmpv6(icmp) => (ip_number::IPV6_ICMP, icmp.slice(), true),
        TransportSlice::Tcp(tcp) => (ip_number::TCP, tcp.slice(), true),
        TransportSlice::Udp(udp) => {
            (ip_number::UDP, udp.slice(), udp.payload_len_source() == LenSource::UdpHeaderLen)
        }
        TransportSlice::Igmp(_) => return None,
    };
    let at = bytes.as_ptr().addr() - frame.as_ptr().addr();
    line.object("lax", [("protocol", protocol.0.into()), ("at", number(at))]);
    let mut pseudo = match packet.net? {
        LaxNetSlice::Ipv4(ip) if ip.payload().len_source == LenSource::Ipv4HeaderTotalLen => {
            Sum16BitWords::new()
                .add_4bytes(ip.header().source())
                .add_4bytes(ip.header().destination())
        }
        LaxNetSlice::Ipv6(ip) if ip.payload().len_source == LenSource::Ipv6HeaderPayloadLen => {
            Sum16BitWords::new()
                .add_16bytes(ip.header().source())
                .add_16bytes(ip.header().destination())
        }
        _ => return None,
    };
    if datagram {
        // RFC 9293, 3.1 and RFC 8200, 8.1; the fields are in another order, of the same sum.
        let all = match protocol {
            ip_number::ICMP => Sum16BitWords::new(),
            _ => pseudo.add_4bytes((bytes.len() as u32).to_be_bytes()).add_2bytes([0, protocol.0]),
        };
        line.object("sum", [("good", is_zero(all.add_slice(bytes)).into())]);
    }
    Some(())
}

/// Whether a sum over everything with its checksum says that the checksum is right (RFC 1071).
fn is_zero(sum: Sum16BitWords) -> bool {
    sum.ones_complement() == 0
}
