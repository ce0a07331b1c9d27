//! The classifier against an oracle, packet by packet: headers decoded by etherparse, prefixes
//! compared bit by bit, and nothing shared with what it judges.

use std::path::Path;

use etherparse::{
    IpAuthHeaderSlice, Ipv4HeaderSlice, Ipv6FragmentHeaderSlice, Ipv6HeaderSlice,
    Ipv6RawExtHeaderSlice, SingleVlanHeader,
};
use wirelet_drivers::{CaptureReader, Record};

use super::*;

/// What a packet is to the oracle.
#[derive(Debug, Default)]
struct Facts {
    vlan: Option<u16>,
    ether_type: Option<u16>,
    /// Source and destination, 4 or 16 bytes each.
    addresses: Option<(Vec<u8>, Vec<u8>)>,
    protocol: Option<u8>,
    ports: Option<(u16, u16)>,
}

fn facts(packet: &[u8]) -> Facts {
    let mut facts = Facts::default();
    let Some(ether_type) = packet.get(12..14) else { return facts };
    let mut ether_type = u16::from_be_bytes([ether_type[0], ether_type[1]]);
    let mut rest = &packet[14..];
    for _ in 0..2 {
        if ether_type != 0x8100 && ether_type != 0x88A8 {
            break;
        }
        // A tag that is cut off has a number if that is there.
        let number = rest.get(..2).map(|tag| u16::from_be_bytes([tag[0] & 0xF, tag[1]]));
        facts.vlan = facts.vlan.or(number);
        let Ok((tag, behind)) = SingleVlanHeader::from_slice(rest) else { return facts };
        (ether_type, rest) = (tag.ether_type.0, behind);
    }
    facts.ether_type = Some(ether_type);
    match ether_type {
        0x0800 => ipv4(&mut facts, rest),
        0x86DD => ipv6(&mut facts, rest),
        _ => {}
    }
    facts
}

fn ipv4(facts: &mut Facts, rest: &[u8]) {
    let Ok(header) = Ipv4HeaderSlice::from_slice(rest) else { return };
    facts.addresses = Some((header.source().to_vec(), header.destination().to_vec()));
    facts.protocol = Some(header.protocol().0);
    if header.fragments_offset().value() == 0 {
        let end = rest.len().min(header.total_len().into());
        ports(facts, rest.get(header.slice().len()..end).unwrap_or_default());
    }
}

fn ipv6(facts: &mut Facts, rest: &[u8]) {
    let Ok(header) = Ipv6HeaderSlice::from_slice(rest) else { return };
    facts.addresses = Some((header.source().to_vec(), header.destination().to_vec()));
    let end = rest.len().min(40 + usize::from(header.payload_length()));
    let (mut next, mut rest) = (header.next_header().0, &rest[40..end]);
    for _ in 0..=8 {
        let used = match next {
            0 | 43 | 60 => Ipv6RawExtHeaderSlice::from_slice(rest)
                .map(|header| (header.next_header().0, header.slice().len(), false))
                .ok(),
            51 => IpAuthHeaderSlice::from_slice(rest)
                .map(|header| (header.next_header().0, header.slice().len(), false))
                .ok(),
            44 => Ipv6FragmentHeaderSlice::from_slice(rest)
                .map(|header| (header.next_header().0, 8, header.fragment_offset().value() != 0))
                .ok(),
            _ => {
                facts.protocol = Some(next);
                return ports(facts, rest);
            }
        };
        let Some((after, bytes, is_middle)) = used else { return };
        (next, rest) = (after, &rest[bytes..]);
        if is_middle {
            facts.protocol = Some(next).filter(|next| ![0, 43, 44, 51, 60].contains(next));
            return;
        }
    }
}

fn ports(facts: &mut Facts, payload: &[u8]) {
    let has_ports = [6, 17, 132].map(Some).contains(&facts.protocol);
    if let (true, [a, b, c, d, ..]) = (has_ports, payload) {
        facts.ports = Some((u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])));
    }
}

/// A rule in the oracle's words.
#[derive(Clone, Debug, Default)]
struct Words {
    /// -1 for untagged.
    vlan: Option<i32>,
    ether_type: Option<u16>,
    source: Option<(Vec<u8>, usize)>,
    destination: Option<(Vec<u8>, usize)>,
    protocol: Option<u8>,
    source_port: Option<(u16, u16)>,
    destination_port: Option<(u16, u16)>,
}

impl Words {
    fn fit(&self, facts: &Facts) -> bool {
        let bit = |bytes: &[u8], at: usize| bytes[at / 8] >> (7 - at % 8) & 1;
        let begins = |prefix: &Option<(Vec<u8>, usize)>, address: Option<&Vec<u8>>| {
            let Some((prefix, bits)) = prefix else { return true };
            let Some(address) = address.filter(|address| address.len() == prefix.len()) else {
                return false;
            };
            (0..*bits).all(|at| bit(prefix, at) == bit(address, at))
        };
        let has_port = |range: Option<(u16, u16)>, port: Option<u16>| match (range, port) {
            (None, _) => true,
            (Some((first, last)), Some(port)) => first <= port && port <= last,
            (Some(_), None) => false,
        };
        let vlan = match self.vlan {
            None => true,
            Some(-1) => facts.vlan.is_none(),
            Some(number) => facts.vlan.map(i32::from) == Some(number),
        };
        vlan && (self.ether_type.is_none() || self.ether_type == facts.ether_type)
            && (self.protocol.is_none() || self.protocol == facts.protocol)
            && begins(&self.source, facts.addresses.as_ref().map(|both| &both.0))
            && begins(&self.destination, facts.addresses.as_ref().map(|both| &both.1))
            && has_port(self.source_port, facts.ports.map(|both| both.0))
            && has_port(self.destination_port, facts.ports.map(|both| both.1))
    }

    /// As the classifier gets it.
    fn rule(&self) -> Match {
        let prefix = |prefix: &Option<(Vec<u8>, usize)>| {
            let (bytes, bits) = prefix.as_ref()?;
            let address: std::net::IpAddr = match <[u8; 4]>::try_from(&bytes[..]) {
                Ok(bytes) => bytes.into(),
                Err(_) => <[u8; 16]>::try_from(&bytes[..]).expect("an address").into(),
            };
            Some(format!("{address}/{bits}").parse().expect("a prefix"))
        };
        Match {
            vlan: match self.vlan {
                None => VlanMatch::Any,
                Some(-1) => VlanMatch::Untagged,
                Some(number) => VlanMatch::Id(number as u16),
            },
            ether_type: self.ether_type,
            source: prefix(&self.source),
            destination: prefix(&self.destination),
            protocol: self.protocol,
            source_port: self.source_port,
            destination_port: self.destination_port,
        }
    }
}

/// Marsaglia's xorshift: the same packets for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit
    }

    fn of<T: Copy>(&mut self, some: &[T]) -> T {
        some[self.below(some.len())]
    }

    fn sometimes<T>(&mut self, one_in: usize, make: impl FnOnce(&mut Random) -> T) -> Option<T> {
        (self.below(one_in) == 0).then(|| make(self))
    }

    /// Few addresses, so that rules meet packets.
    fn address(&mut self, bytes: usize) -> Vec<u8> {
        let mut address = vec![if bytes == 4 { 10 } else { 0xFD }; bytes];
        address[bytes - 1] = self.below(3) as u8;
        address[1] = self.below(2) as u8;
        address
    }

    fn packet(&mut self) -> Vec<u8> {
        let mut packet = vec![2; 12];
        for _ in 0..self.of(&[0, 0, 0, 1, 1, 2, 3]) {
            packet.extend(self.of(&[[0x81, 0], [0x88, 0xA8]]));
            packet.extend([self.of(&[0, 0x20, 0xF0]), self.below(3) as u8]);
        }
        let inside = match self.below(8) {
            0 => vec![8, 6, 0, 1, 8, 0, 6, 4, 0, 1],
            1..=4 => self.ipv4(),
            _ => self.ipv6(),
        };
        packet.extend(inside);
        packet.extend((0..self.of(&[0, 0, 4, 40])).map(|byte| byte as u8));
        if self.below(8) == 0 {
            packet.truncate(14 + self.below(packet.len() - 13));
        }
        for _ in 0..self.of(&[0, 0, 0, 0, 1, 3]) {
            let at = self.below(packet.len());
            packet[at] = self.of(&[0, 1, 0x45, 0x60, 0xFF, 6, 17, 44]);
        }
        packet
    }

    fn ipv4(&mut self) -> Vec<u8> {
        let options = self.of(&[0usize, 0, 0, 1, 10]);
        let header = 0x45 + options as u8;
        let payload = self.transport();
        let total = 20 + options * 4 + payload.len() - self.of(&[0, 0, 0, 0, 6]).min(payload.len());
        let [fragment, offset] = self.of(&[[0u8, 0], [0x40, 0], [0x20, 0], [0x20, 7], [0, 9]]);
        let protocol = self.of(&[1, 6, 17, 17, 132, 50]);
        let mut packet =
            vec![8, 0, header, 0, 0, total as u8, 0, 1, fragment, offset, 64, protocol];
        packet.extend([0, 0]);
        packet.extend(self.address(4));
        packet.extend(self.address(4));
        packet.extend(vec![1; options * 4]);
        packet.extend(payload);
        packet
    }

    fn ipv6(&mut self) -> Vec<u8> {
        let mut payload = Vec::new();
        let extensions = self.of(&[0, 0, 1, 2, 3, 8, 9]);
        let mut chain: Vec<u8> = (0..extensions).map(|_| self.of(&[0, 43, 44, 51, 60])).collect();
        chain.push(self.of(&[58, 6, 17, 17, 132, 59]));
        for pair in chain.windows(2) {
            let size = self.of(&[0u8, 0, 1, 4]);
            let bytes = match pair[0] {
                44 => 8,
                51 => (usize::from(size) + 2) * 4,
                _ => (usize::from(size) + 1) * 8,
            };
            let mut header = vec![0; bytes];
            (header[0], header[1]) = (pair[1], size);
            if pair[0] == 44 {
                header[3] = self.of(&[0, 0, 1, 9]);
            }
            payload.extend(header);
        }
        payload.extend(self.transport());
        let length = payload.len() - self.of(&[0, 0, 0, 0, 6]).min(payload.len());
        let mut packet = vec![0x86, 0xDD, 0x60, 0, 0, 0];
        packet.extend((length as u16).to_be_bytes());
        packet.extend([chain[0], 64]);
        packet.extend(self.address(16));
        packet.extend(self.address(16));
        packet.extend(payload);
        packet
    }

    fn transport(&mut self) -> Vec<u8> {
        let ports = [0, 50 + self.below(4) as u8, 0, 50 + self.below(4) as u8, 0, 8, 0, 0];
        ports[..self.of(&[8, 8, 8, 4, 3, 0])].to_vec()
    }

    fn rule(&mut self) -> Words {
        let prefix = |random: &mut Random| {
            let bytes = random.of(&[4, 16]);
            let bits = random.of(&[0, 8, 9, 16, 31, 32]).max(random.of(&[0, bytes * 8]));
            (random.address(bytes), bits)
        };
        let range = |random: &mut Random| {
            let first = 50 + random.below(4) as u16;
            (first, first + random.of(&[0, 0, 2]))
        };
        Words {
            vlan: self.sometimes(3, |random| random.of(&[-1, 0, 1, 2])),
            ether_type: self
                .sometimes(5, |random| random.of(&[0x0800, 0x86DD, 0x0806, 0x8100, 0x88A8])),
            source: self.sometimes(3, prefix),
            destination: self.sometimes(3, prefix),
            protocol: self.sometimes(3, |random| random.of(&[1, 6, 17, 17, 44, 50, 58, 132])),
            source_port: self.sometimes(5, range),
            destination_port: self.sometimes(4, range),
        }
    }
}

/// Index of the first rule that matches.
fn first(rules: &[Match], packet: &[u8]) -> Option<usize> {
    let headers = Headers::of(packet.into());
    rules.iter().position(|rule| headers.fit(rule))
}

#[test]
fn random_packets_meet_the_rule_that_the_oracle_says() {
    let mut random = Random(0x5EED_1234_9876_ABCD);
    let (mut hits, mut with_ports, mut behind, mut fragments) = (0, 0, 0, 0);
    for _ in 0..4000 {
        let words: Vec<Words> = (0..1 + random.below(6)).map(|_| random.rule()).collect();
        let rules: Vec<Match> = words.iter().map(Words::rule).collect();
        for _ in 0..50 {
            let packet = random.packet();
            let facts = facts(&packet);
            let wanted = words.iter().position(|words| words.fit(&facts));
            let found = first(&rules, &packet);
            assert_eq!(found, wanted, "{packet:02x?}\n{facts:?}\n{words:?}");
            hits += usize::from(found.is_some());
            let by_port =
                |at: usize| words[at].source_port.or(words[at].destination_port).is_some();
            with_ports += usize::from(found.is_some_and(by_port));
            behind += usize::from(found.is_some() && facts.vlan.is_some());
            fragments += usize::from(facts.protocol == Some(17) && facts.ports.is_none());
        }
    }
    // Rules and packets that never meet would agree, too.
    for (what, count) in [("hits", hits), ("tagged", behind), ("fragments", fragments)] {
        assert!((20_000..190_000).contains(&count), "{count} of 200,000 {what}");
    }
    assert!(with_ports > 2_000, "{with_ports} of 200,000 by port");
}

#[test]
fn real_packets_meet_the_rule_that_the_oracle_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/captures");
    let Ok(files) = std::fs::read_dir(folder) else { return };
    let mut random = Random(0xCAFE_F00D_1234_5678);
    let mut hits = 0;
    for file in files.flatten() {
        let Ok(mut reader) = CaptureReader::open(&file.path()) else { continue };
        while let Some(record) = reader.next_record() {
            let Record::Packet { bytes, .. } = record else { continue };
            let facts = facts(bytes);
            // About this packet, and about something else.
            let (from, to) = facts.addresses.clone().unzip();
            let whole = |address: Vec<u8>| (address.clone(), address.len() * 8);
            let exact = Words {
                vlan: facts.vlan.map(i32::from),
                ether_type: facts.ether_type,
                source: from.map(whole),
                destination: to.map(whole),
                protocol: facts.protocol,
                source_port: facts.ports.map(|(port, _)| (port, port)),
                destination_port: facts.ports.map(|(_, port)| (port, port)),
            };
            let words = [random.rule(), random.rule(), exact];
            let rules = words.each_ref().map(Words::rule);
            let wanted = words.iter().position(|words| words.fit(&facts));
            let found = first(&rules, bytes);
            assert_eq!(found, wanted, "{}: {bytes:02x?}\n{facts:?}", file.path().display());
            hits += usize::from(found == Some(2));
        }
    }
    assert!(hits > 100, "{hits} packets of the captures met their own rule");
}
