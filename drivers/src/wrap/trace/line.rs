//! A packet as one line, in tcpdump's words (`tcpdump -n -S`), without options of TCP.

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

const FLAGS: [(u8, char); 8] = [
    (0x01, 'F'),
    (0x02, 'S'),
    (0x04, 'R'),
    (0x08, 'P'),
    (0x10, '.'),
    (0x20, 'U'),
    (0x40, 'E'),
    (0x80, 'W'),
];

/// `bytes` are the first of a packet of `length` bytes. What they don't hold is `[|...]`.
pub fn line(bytes: &[u8], length: usize) -> String {
    let mut text = String::new();
    if ethernet(&mut text, bytes, length).is_none() {
        text.push_str("[|ether]");
    }
    text
}

fn ethernet(text: &mut String, bytes: &[u8], length: usize) -> Option<()> {
    let (mut at, mut kind) = (14, half(bytes, 12)?);
    while kind == 0x8100 || kind == 0x88A8 {
        let _ = write!(text, "vlan {}, ", half(bytes, at)? & 0xFFF);
        kind = half(bytes, at + 2)?;
        at += 4;
    }
    let rest = bytes.get(at..)?;
    let (name, shown) = match kind {
        0x0800 => ("ip", ipv4(text, rest)),
        0x86DD => ("ip6", ipv6(text, rest)),
        0x0806 => ("arp", arp(text, rest, length - at)),
        _ => {
            let (to, from) = (mac(bytes.get(..6)?), mac(bytes.get(6..12)?));
            let _ = write!(text, "{from} > {to}, ethertype {kind:#06x}, length {length}");
            ("ether", Some(()))
        }
    };
    if shown.is_none() {
        let _ = write!(text, "[|{name}]");
    }
    Some(())
}

fn arp(text: &mut String, bytes: &[u8], length: usize) -> Option<()> {
    // Ethernet and IPv4 only (RFC 826).
    if bytes.get(..6)? != [0, 1, 8, 0, 6, 4] {
        let _ = write!(text, "ARP, length {length}");
        return Some(());
    }
    let (sender, target) = (v4(bytes, 14)?, v4(bytes, 24)?);
    let _ = match half(bytes, 6)? {
        1 => write!(text, "ARP, Request who-has {target} tell {sender}, length {length}"),
        2 => write!(text, "ARP, Reply {sender} is-at {}, length {length}", mac(bytes.get(8..14)?)),
        other => write!(text, "ARP, operation {other}, length {length}"),
    };
    Some(())
}

fn ipv4(text: &mut String, bytes: &[u8]) -> Option<()> {
    let header = usize::from(bytes.first()? & 15) * 4;
    let (from, to) = (v4(bytes, 12)?.to_string(), v4(bytes, 16)?.to_string());
    let length = usize::from(half(bytes, 2)?).saturating_sub(header);
    let fragment = half(bytes, 6)? & 0x1FFF;
    if fragment > 0 {
        let at = usize::from(fragment) * 8;
        let _ = write!(text, "IP {from} > {to}: fragment at {at}, length {length}");
        return Some(());
    }
    text.push_str("IP ");
    transport(text, [&from, &to], *bytes.get(9)?, bytes.get(header..)?, length)
}

fn ipv6(text: &mut String, bytes: &[u8]) -> Option<()> {
    let (from, to) = (v6(bytes, 8)?.to_string(), v6(bytes, 24)?.to_string());
    text.push_str("IP6 ");
    transport(text, [&from, &to], *bytes.get(6)?, bytes.get(40..)?, half(bytes, 4)?.into())
}

fn transport(
    text: &mut String,
    [from, to]: [&str; 2],
    protocol: u8,
    bytes: &[u8],
    length: usize,
) -> Option<()> {
    match protocol {
        6 | 17 => {
            let (source, destination) = (half(bytes, 0)?, half(bytes, 2)?);
            let _ = write!(text, "{from}.{source} > {to}.{destination}: ");
            match protocol {
                6 => tcp(text, bytes, length)?,
                _ => drop(write!(text, "UDP, length {}", half(bytes, 4)?.saturating_sub(8))),
            }
        }
        1 => {
            let _ = write!(text, "{from} > {to}: ICMP ");
            let kinds = [(8, "echo request"), (0, "echo reply")];
            echo(text, bytes, kinds)?;
            let _ = write!(text, ", length {length}");
        }
        58 => {
            let _ = write!(text, "{from} > {to}: ICMP6, ");
            match *bytes.first()? {
                135 => drop(write!(text, "neighbor solicitation, who has {}", v6(bytes, 8)?)),
                136 => drop(write!(text, "neighbor advertisement, tgt is {}", v6(bytes, 8)?)),
                _ => echo(text, bytes, [(128, "echo request"), (129, "echo reply")])?,
            }
            let _ = write!(text, ", length {length}");
        }
        other => drop(write!(text, "{from} > {to}: protocol {other}, length {length}")),
    }
    Some(())
}

fn echo(text: &mut String, bytes: &[u8], kinds: [(u8, &str); 2]) -> Option<()> {
    let kind = *bytes.first()?;
    let _ = match kinds.iter().find(|(number, _)| *number == kind) {
        Some((_, name)) => {
            write!(text, "{name}, id {}, seq {}", half(bytes, 4)?, half(bytes, 6)?)
        }
        None => write!(text, "type {kind} code {}", bytes.get(1)?),
    };
    Some(())
}

fn tcp(text: &mut String, bytes: &[u8], length: usize) -> Option<()> {
    let (sequence, acknowledged) = (word(bytes, 4)?, word(bytes, 8)?);
    let (header, flags) = (usize::from(bytes.get(12)? >> 4) * 4, *bytes.get(13)?);
    let payload = length.saturating_sub(header);
    let letters: String =
        FLAGS.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, letter)| letter).collect();
    let _ = write!(text, "Flags [{}]", if letters.is_empty() { "none" } else { &letters });
    // SYN, FIN and RST show where they stand, and so does data.
    if payload > 0 {
        let end = sequence.wrapping_add(payload as u32);
        let _ = write!(text, ", seq {sequence}:{end}");
    } else if flags & 0x07 != 0 {
        let _ = write!(text, ", seq {sequence}");
    }
    if flags & 0x10 != 0 {
        let _ = write!(text, ", ack {acknowledged}");
    }
    let _ = write!(text, ", win {}, length {payload}", half(bytes, 14)?);
    Some(())
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes)
}

fn v4(bytes: &[u8], at: usize) -> Option<Ipv4Addr> {
    word(bytes, at).map(Ipv4Addr::from)
}

fn v6(bytes: &[u8], at: usize) -> Option<Ipv6Addr> {
    bytes.get(at..at + 16)?.try_into().ok().map(u128::from_be_bytes).map(Ipv6Addr::from)
}

fn mac(bytes: &[u8]) -> String {
    let bytes: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.join(":")
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;
    use crate::capture::{CaptureWriter, Format, Precision};
    use crate::testing::Folder;

    const MACS: &[u8] = &[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];

    fn ip(protocol: u8, body: &[u8]) -> Vec<u8> {
        let mut header =
            [0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, protocol, 0, 0, 10, 1, 0, 1, 10, 1, 0, 2];
        header[2..4].copy_from_slice(&(body.len() as u16 + 20).to_be_bytes());
        [MACS, &[8, 0], &header, body].concat()
    }

    fn ip6(protocol: u8, body: &[u8]) -> Vec<u8> {
        let length = (body.len() as u16).to_be_bytes();
        let header = [&[0x60, 0, 0, 0][..], &length, &[protocol, 255], &[0xFD; 16], &[0xFE; 16]];
        [MACS, &[0x86, 0xDD], header.concat().as_slice(), body].concat()
    }

    fn tcp(flags: u8, payload: usize) -> Vec<u8> {
        let header =
            [0x9C, 0x41, 0x9C, 0x42, 0, 0, 1, 0, 0, 0, 2, 0, 0x50, flags, 1, 0, 0, 0, 0, 0];
        [&header[..], &vec![b'x'; payload]].concat()
    }

    fn samples() -> Vec<(Vec<u8>, &'static str)> {
        let arp = |operation: u8| {
            let head = [&[0, 1, 8, 0, 6, 4, 0, operation][..], &[2, 0, 0, 0, 0, 1], &[10, 1, 0, 1]];
            [MACS, &[8, 6], head.concat().as_slice(), &[0; 6], &[10, 1, 0, 2]].concat()
        };
        let udp = [0x9C, 0x41, 0x9C, 0x42, 0, 12, 0, 0, 1, 2, 3, 4];
        let who = [&[135, 0, 0, 0, 0, 0, 0, 0][..], &[0xFE; 16]].concat();
        vec![
            (arp(1), "ARP, Request who-has 10.1.0.2 tell 10.1.0.1, length 28"),
            (arp(2), "ARP, Reply 10.1.0.1 is-at 02:00:00:00:00:01, length 28"),
            (ip(17, &udp), "IP 10.1.0.1.40001 > 10.1.0.2.40002: UDP, length 4"),
            (
                ip(6, &tcp(0x02, 0)),
                "IP 10.1.0.1.40001 > 10.1.0.2.40002: Flags [S], seq 256, win 256, length 0",
            ),
            (
                ip(6, &tcp(0x18, 9)),
                "IP 10.1.0.1.40001 > 10.1.0.2.40002: Flags [P.], seq 256:265, ack 512, win 256, length 9",
            ),
            (
                ip(6, &tcp(0x10, 0)),
                "IP 10.1.0.1.40001 > 10.1.0.2.40002: Flags [.], ack 512, win 256, length 0",
            ),
            (
                ip(1, &[8, 0, 0, 0, 0, 7, 0, 3, 1, 2]),
                "IP 10.1.0.1 > 10.1.0.2: ICMP echo request, id 7, seq 3, length 10",
            ),
            (
                ip6(17, &udp),
                "IP6 fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd.40001 > \
                 fefe:fefe:fefe:fefe:fefe:fefe:fefe:fefe.40002: UDP, length 4",
            ),
            (
                ip6(58, &who),
                "IP6 fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd > \
                 fefe:fefe:fefe:fefe:fefe:fefe:fefe:fefe: ICMP6, neighbor solicitation, \
                 who has fefe:fefe:fefe:fefe:fefe:fefe:fefe:fefe, length 24",
            ),
        ]
    }

    #[test]
    fn packets_read_as_tcpdump_prints_them() {
        for (packet, expected) in samples() {
            assert_eq!(line(&packet, packet.len()), expected);
        }
        let tagged = [MACS, &[0x81, 0, 0x20, 5, 8, 0], &ip(47, &[0; 10])[14..]].concat();
        assert_eq!(line(&tagged, 48), "vlan 5, IP 10.1.0.1 > 10.1.0.2: protocol 47, length 10");
        let other = [MACS, &[0x88, 0xB5], &[0; 46]].concat();
        let expected = "02:00:00:00:00:01 > 02:00:00:00:00:02, ethertype 0x88b5, length 60";
        assert_eq!(line(&other, 60), expected);
    }

    #[test]
    fn tcpdump_prints_the_same() {
        let folder = Folder::new();
        let path = folder.path("samples.pcap");
        let writer = CaptureWriter::create(&path, Format::Pcap, Precision::Nanoseconds);
        let mut writer = writer.unwrap_or_else(|error| panic!("{error}"));
        samples().iter().for_each(|(packet, _)| writer.write(0, packet));
        writer.close().expect("written");
        let output = Command::new("tcpdump").args(["-n", "-S", "-t", "-r"]).arg(&path).output();
        let Ok(output) = output else {
            eprintln!("skipped: no tcpdump");
            return;
        };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        let expected: Vec<&str> = samples().iter().map(|(_, line)| *line).collect();
        assert_eq!(lines, expected);
    }

    proptest! {
        #[test]
        fn any_bytes_make_a_line(
            mut bytes in prop::collection::vec(any::<u8>(), 0..128),
            kind in prop::sample::select(vec![0x0800u16, 0x86DD, 0x0806, 0x8100, 0x1234]),
            more in 0usize..1400,
        ) {
            if let Some(place) = bytes.get_mut(12..14) {
                place.copy_from_slice(&kind.to_be_bytes());
            }
            let text = line(&bytes, bytes.len() + more);
            prop_assert!(!text.is_empty() && !text.contains('\n'));
        }

        #[test]
        fn a_packet_that_is_cut_off_says_so(sample in 0usize..9, length in 0usize..34) {
            let (packet, _) = &samples()[sample];
            let text = line(&packet[..length], packet.len());
            prop_assert!(text.contains("[|"), "{}", text);
        }
    }
}
