//! The XDP program: looks into a packet as far as the rules ask, then hands it to the socket of its
//! queue, or leaves it to the kernel.
//!
//! It is written anew for every set of rules, in the order below, and never reads past the end of
//! the packet: the kernel's verifier proves it. A packet that is too short for a question does not
//! fit.
//!
//! A VLAN tag that a sender or the hardware keeps beside the packet is lost when a packet is
//! redirected, unless the program puts it back: it asks the driver for it (a kfunc, Linux 6.8).
//! Only programs under the GPL may ask: **what this file writes** may be used under BSD-2-Clause
//! or GPL-2.0.
//!
//! ```text
//! tag       stack: whether there is a tag beside the packet, and which
//! parse     r7 EtherType behind tags, r9 outer VLAN id, stack: protocol, ports   (-1: none)
//! dispatch  by receive queue
//! rules     per queue: compare, go on with the next rule or to `ours` or `kernel`
//! ours      put the tag back, redirect to the queue's socket; without one: kernel
//! kernel    XDP_PASS
//! ```

use super::assembler::Register::{R0, R1, R2, R3, R4, R6, R7, R8, R9, R10};
use super::assembler::{Assembler, Label, Size, When};
use wirelet_packet::ethertype;

use super::rules::{Rule, Rules, Term, protocol};

/// XDP_PASS: the kernel goes on with the packet as if there were no program.
const PASS: i32 = 2;
/// Helper bpf_redirect_map(map, key, flags); the low bits of flags are returned for an empty slot.
const REDIRECT_MAP: i32 = 51;
/// Helper bpf_map_lookup_elem(map, key).
const LOOK_UP: i32 = 1;
/// Helper bpf_xdp_adjust_head(context, delta).
const ADJUST_HEAD: i32 = 44;
/// bpf_xdp_metadata_rx_vlan_tag(context, &protocol, &tag): 0 when there is one.
pub(super) const TAG_FUNCTION: &str = "bpf_xdp_metadata_rx_vlan_tag";
/// Offsets in struct xdp_md.
const CONTEXT_DATA: i16 = 0;
const CONTEXT_DATA_END: i16 = 4;
const CONTEXT_QUEUE: i16 = 16;
/// Places on the stack, 8 bytes each.
const PROTOCOL: i16 = -8;
const SOURCE_PORT: i16 = -16;
const DESTINATION_PORT: i16 = -24;
const TAG_RESULT: i16 = -32;
const TAG_PROTOCOL: i16 = -40;
const TAG: i16 = -48;
const KEY: i16 = -56;

/// The program for the rules of each queue; packets of other queues are the kernel's. `map` is the
/// descriptor of the XSKMAP that has the sockets by queue, `tag_function` the number of
/// [`TAG_FUNCTION`]'s type, where it may be called.
pub(super) fn redirect(
    queues: &[(u32, Rules)],
    map: i32,
    tag_function: Option<i32>,
) -> Vec<[u8; 8]> {
    build(queues, tag_function, |it, kernel| {
        if tag_function.is_some() {
            restore_tag(it, map, kernel);
        }
        it.load_map(R1, map);
        it.load(Size::Word, R2, R6, CONTEXT_QUEUE);
        it.set(R3, PASS);
        it.call(REDIRECT_MAP);
        it.exit();
    })
}

/// `end` writes what happens to packets that are ours, `exit` included; it may jump to `kernel`.
fn build(
    queues: &[(u32, Rules)],
    tag_function: Option<i32>,
    end: impl FnOnce(&mut Assembler, Label),
) -> Vec<[u8; 8]> {
    let mut it = Assembler::default();
    let (ours, kernel) = (it.label(), it.label());
    it.copy(R6, R1);
    it.set(R9, -1);
    if let Some(function) = tag_function {
        ask_for_tag(&mut it, function);
    }
    if !queues.iter().all(|(_, rules)| rules.take_all()) {
        parse(&mut it, kernel);
    }
    it.load(Size::Word, R1, R6, CONTEXT_QUEUE);
    let starts: Vec<Label> = queues.iter().map(|_| it.label()).collect();
    for ((queue, _), start) in queues.iter().zip(&starts) {
        it.jump_if(R1, When::Equal, *queue as i32, *start);
    }
    it.jump(kernel);
    for ((_, rules), start) in queues.iter().zip(starts) {
        it.place(start);
        if rules.take_all() {
            it.jump(ours);
            continue;
        }
        let (last, before) = rules.0.split_last().expect("at least one rule");
        let decided = |rule: &Rule| if rule.ours { ours } else { kernel };
        before.iter().for_each(|rule| compare(&mut it, rule, decided(rule)));
        if last.always_fits() {
            it.jump(decided(last));
        } else {
            compare(&mut it, last, decided(last));
            it.jump(kernel);
        }
    }
    it.place(ours);
    end(&mut it, kernel);
    it.place(kernel);
    it.set(R0, PASS);
    it.exit();
    it.finish()
}

/// Asks the driver for a tag beside the packet: r9 becomes its id.
fn ask_for_tag(it: &mut Assembler, function: i32) {
    let none = it.label();
    it.store_value(Size::Double, R10, TAG_PROTOCOL, 0);
    it.store_value(Size::Double, R10, TAG, 0);
    it.copy(R1, R6);
    for (argument, place) in [(R2, TAG_PROTOCOL), (R3, TAG)] {
        it.copy(argument, R10);
        it.add(argument, place.into());
    }
    it.call_kernel(function);
    it.store(Size::Double, R10, TAG_RESULT, R0);
    it.jump_if(R0, When::NotEqual, 0, none);
    it.load(Size::Half, R9, R10, TAG);
    it.and(R9, 0xfff);
    it.place(none);
}

/// Writes the tag between the MAC addresses and the type. The kernel keeps the tag of a packet that
/// it gets back, so first look whether there is a socket at all.
fn restore_tag(it: &mut Assembler, map: i32, kernel: Label) {
    let untagged = it.label();
    it.load(Size::Double, R1, R10, TAG_RESULT);
    it.jump_if(R1, When::NotEqual, 0, untagged);
    it.load(Size::Word, R1, R6, CONTEXT_QUEUE);
    it.store(Size::Word, R10, KEY, R1);
    it.load_map(R1, map);
    it.copy(R2, R10);
    it.add(R2, KEY.into());
    it.call(LOOK_UP);
    it.jump_if(R0, When::Equal, 0, kernel);
    it.copy(R1, R6);
    it.set(R2, -4);
    it.call(ADJUST_HEAD);
    it.jump_if(R0, When::NotEqual, 0, kernel);
    it.load(Size::Word, R8, R6, CONTEXT_DATA);
    it.load(Size::Word, R3, R6, CONTEXT_DATA_END);
    ensure(it, 18, kernel);
    for (size, to) in [(Size::Double, 0), (Size::Word, 8)] {
        it.load(size, R1, R8, to + 4);
        it.store(size, R8, to, R1);
    }
    it.load(Size::Half, R1, R10, TAG_PROTOCOL);
    it.store(Size::Half, R8, 12, R1);
    it.load(Size::Half, R1, R10, TAG);
    it.swap_16(R1);
    it.store(Size::Half, R8, 14, R1);
    it.place(untagged);
}

/// Goes to `decided` when all terms fit, else on with what comes behind.
fn compare(it: &mut Assembler, rule: &Rule, decided: Label) {
    let next = it.label();
    for term in &rule.terms {
        match *term {
            Term::All => {}
            Term::EtherType(value) => it.jump_if(R7, When::NotEqual, value.into(), next),
            Term::Tagged => it.jump_if(R9, When::Equal, -1, next),
            Term::Vlan(id) => it.jump_if(R9, When::NotEqual, id.into(), next),
            Term::Protocol(value) => {
                it.load(Size::Double, R1, R10, PROTOCOL);
                it.jump_if(R1, When::NotEqual, value.into(), next);
            }
            Term::Port { protocol, source, low, high } => {
                it.load(Size::Double, R1, R10, PROTOCOL);
                it.jump_if(R1, When::NotEqual, protocol.into(), next);
                // No port is -1, which is larger than any.
                let place = if source { SOURCE_PORT } else { DESTINATION_PORT };
                it.load(Size::Double, R1, R10, place);
                it.jump_if(R1, When::Less, low.into(), next);
                it.jump_if(R1, When::Greater, high.into(), next);
            }
        }
    }
    it.jump(decided);
    it.place(next);
}

/// Reads the headers; goes to `kernel` when there is not even an Ethernet header.
fn parse(it: &mut Assembler, kernel: Label) {
    let parsed = it.label();
    it.load(Size::Word, R2, R6, CONTEXT_DATA);
    it.load(Size::Word, R3, R6, CONTEXT_DATA_END);
    for place in [PROTOCOL, SOURCE_PORT, DESTINATION_PORT] {
        it.store_value(Size::Double, R10, place, -1);
    }
    it.copy(R8, R2);
    ensure(it, 14, kernel);
    network_16(it, R7, 12);
    it.add(R8, 14);
    parse_tags(it, parsed);
    parse_network(it, parsed);
    it.place(parsed);
}

/// Up to two tags (802.1Q, 802.1ad): r9 becomes the outer one's id, r7 the type behind them.
fn parse_tags(it: &mut Assembler, parsed: Label) {
    let untagged = it.label();
    for outer in [true, false] {
        let tagged = it.label();
        it.jump_if(R7, When::Equal, ethertype::VLAN.into(), tagged);
        it.jump_if(R7, When::NotEqual, ethertype::QINQ.into(), untagged);
        it.place(tagged);
        ensure(it, 4, parsed);
        if outer {
            // A tag beside the packet is further out.
            let known = it.label();
            it.jump_if(R9, When::NotEqual, -1, known);
            network_16(it, R9, 0);
            it.and(R9, 0xfff);
            it.place(known);
        }
        network_16(it, R7, 2);
        it.add(R8, 4);
    }
    it.place(untagged);
}

/// Protocol and ports, at r8.
fn parse_network(it: &mut Assembler, parsed: Label) {
    let (ipv4, ipv6, ports) = (it.label(), it.label(), it.label());
    it.jump_if(R7, When::Equal, ethertype::IPV4.into(), ipv4);
    it.jump_if(R7, When::Equal, ethertype::IPV6.into(), ipv6);
    it.jump(parsed);

    // RFC 791 section 3.1: length in words, protocol at 9, fragment offset in 13 bits at 6.
    it.place(ipv4);
    ensure(it, 20, parsed);
    it.load(Size::Byte, R1, R8, 9);
    it.store(Size::Double, R10, PROTOCOL, R1);
    network_16(it, R1, 6);
    it.and(R1, 0x1fff);
    it.jump_if(R1, When::NotEqual, 0, parsed);
    it.load(Size::Byte, R4, R8, 0);
    it.and(R4, 0x0f);
    // A length that is added as a register would ask for CAP_PERFMON (the verifier's guard against
    // Spectre), so each of them is a case.
    for words in 5..=15 {
        let other = it.label();
        it.jump_if(R4, When::NotEqual, words, other);
        it.add(R8, words * 4);
        it.jump(ports);
        it.place(other);
    }
    it.jump(parsed);

    // RFC 8200 section 3: next header at 6. Extension headers are not followed.
    it.place(ipv6);
    ensure(it, 40, parsed);
    it.load(Size::Byte, R1, R8, 6);
    it.store(Size::Double, R10, PROTOCOL, R1);
    it.add(R8, 40);

    // TCP, UDP and SCTP begin with both ports.
    it.place(ports);
    let has_ports = it.label();
    it.load(Size::Double, R1, R10, PROTOCOL);
    for value in [protocol::TCP, protocol::UDP] {
        it.jump_if(R1, When::Equal, value.into(), has_ports);
    }
    it.jump_if(R1, When::NotEqual, protocol::SCTP.into(), parsed);
    it.place(has_ports);
    ensure(it, 4, parsed);
    network_16(it, R1, 0);
    it.store(Size::Double, R10, SOURCE_PORT, R1);
    network_16(it, R1, 2);
    it.store(Size::Double, R10, DESTINATION_PORT, R1);
}

/// Goes to `short` when the packet ends within `bytes` of r8.
fn ensure(it: &mut Assembler, bytes: i32, short: Label) {
    it.copy(R1, R8);
    it.add(R1, bytes);
    it.jump_if_register(R1, When::Greater, R3, short);
}

/// `to =` 16 bits at r8 + `offset`, in network order.
fn network_16(it: &mut Assembler, to: super::assembler::Register, offset: i16) {
    it.load(Size::Half, to, R8, offset);
    it.swap_16(to);
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::super::bpf;
    use super::*;

    /// XDP_TX: no packet leaves, the test run only reports it.
    const OURS: i32 = 3;

    /// What the kernel's own run of the program for queue 0 says; `None` without privilege.
    fn decide(text: &str, packets: &[&[u8]]) -> Option<Vec<bool>> {
        let rules = Rules::parse(text).unwrap_or_else(|error| panic!("{error}"));
        let code = build(&[(0, rules)], None, |it, _| {
            it.set(R0, OURS);
            it.exit();
        });
        let program = match bpf::load_xdp(&code, None) {
            Ok(program) => program,
            Err(error) if bpf::denied(&error.cause) => {
                println!("skipped: no right to load XDP programs (root, or CAP_BPF)");
                return None;
            }
            Err(error) => panic!("{text}: {}\n{}", error.cause, error.log),
        };
        let run = |packet: &&[u8]| {
            let action = bpf::test_run(program.as_fd(), packet).expect("a test run");
            assert!([OURS as u32, PASS as u32].contains(&action), "{action}");
            action == OURS as u32
        };
        Some(packets.iter().map(run).collect())
    }

    fn ethernet(tags: &[u16], ether_type: u16, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![2; 12];
        for (depth, tag) in tags.iter().enumerate() {
            let last = depth + 1 == tags.len();
            packet.extend([[0x88, 0xa8], [0x81, 0x00]][usize::from(last)]);
            packet.extend((0x6000 | tag).to_be_bytes());
        }
        packet.extend(ether_type.to_be_bytes());
        packet.extend(payload);
        // Shorter packets are refused by a test run.
        packet.resize(packet.len().max(60), 0);
        packet
    }

    fn ipv4(protocol: u8, options: usize, fragment: u16, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x45 + (options / 4) as u8, 0, 0, 60, 0, 1];
        packet.extend(fragment.to_be_bytes());
        packet.extend([64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        packet.resize(20 + options, 1);
        packet.extend(payload);
        packet
    }

    fn ipv6(next_header: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x60, 0, 0, 0, 0, payload.len() as u8, next_header, 64];
        packet.resize(40, 0xfd);
        packet.extend(payload);
        packet
    }

    fn ports(source: u16, destination: u16) -> Vec<u8> {
        let mut bytes = [source.to_be_bytes(), destination.to_be_bytes()].concat();
        bytes.resize(20, 0);
        bytes
    }

    /// Holds `rules` against packets and what should be decided of each.
    fn check(rules: &str, cases: &[(&str, Vec<u8>, bool)]) {
        let packets: Vec<&[u8]> = cases.iter().map(|(_, packet, _)| packet.as_slice()).collect();
        let Some(decided) = decide(rules, &packets) else { return };
        for ((name, _, expected), ours) in cases.iter().zip(decided) {
            assert_eq!(ours, *expected, "{rules}: {name}");
        }
    }

    #[test]
    fn ports_are_compared_where_there_are_any() {
        check(
            "udp:53,tcp:8000-8080,udp-from:67",
            &[
                ("DNS", ethernet(&[], 0x0800, &ipv4(17, 0, 0, &ports(9, 53))), true),
                ("options before it", ethernet(&[], 0x0800, &ipv4(17, 40, 0, &ports(9, 53))), true),
                ("IPv6", ethernet(&[], 0x86dd, &ipv6(17, &ports(9, 53))), true),
                ("two tags", ethernet(&[5, 6], 0x0800, &ipv4(17, 0, 0, &ports(9, 53))), true),
                (
                    "first fragment",
                    ethernet(&[], 0x0800, &ipv4(17, 0, 0x2000, &ports(9, 53))),
                    true,
                ),
                ("later one", ethernet(&[], 0x0800, &ipv4(17, 0, 0x2001, &ports(9, 53))), false),
                ("the other way", ethernet(&[], 0x0800, &ipv4(17, 0, 0, &ports(53, 9))), false),
                ("TCP", ethernet(&[], 0x0800, &ipv4(6, 0, 0, &ports(9, 53))), false),
                ("range, low", ethernet(&[], 0x0800, &ipv4(6, 0, 0, &ports(9, 8000))), true),
                ("range, high", ethernet(&[], 0x0800, &ipv4(6, 0, 0, &ports(9, 8080))), true),
                ("below", ethernet(&[], 0x0800, &ipv4(6, 0, 0, &ports(9, 7999))), false),
                ("above", ethernet(&[], 0x0800, &ipv4(6, 0, 0, &ports(9, 8081))), false),
                ("source", ethernet(&[], 0x0800, &ipv4(17, 0, 0, &ports(67, 68))), true),
                ("ARP", ethernet(&[], 0x0806, &[0; 28]), false),
            ],
        );
    }

    #[test]
    fn types_tags_and_protocols_are_compared() {
        check(
            "arp,vlan:100,proto:47,ethertype:0x88cc,ip6+icmp6,vlan+icmp",
            &[
                ("ARP", ethernet(&[], 0x0806, &[0; 28]), true),
                ("ARP in another VLAN", ethernet(&[7], 0x0806, &[0; 28]), true),
                ("VLAN", ethernet(&[100], 0x1234, &[]), true),
                ("outer tag", ethernet(&[100, 7], 0x1234, &[]), true),
                ("inner tag", ethernet(&[7, 100], 0x1234, &[]), false),
                ("GRE", ethernet(&[], 0x0800, &ipv4(47, 0, 0, &[])), true),
                ("GRE, later fragment", ethernet(&[], 0x0800, &ipv4(47, 0, 99, &[])), true),
                ("LLDP", ethernet(&[], 0x88cc, &[]), true),
                ("ICMPv6", ethernet(&[], 0x86dd, &ipv6(58, &[])), true),
                ("ICMPv6 in IPv4", ethernet(&[], 0x0800, &ipv4(58, 0, 0, &[])), false),
                ("tagged ping", ethernet(&[9], 0x0800, &ipv4(1, 0, 0, &[])), true),
                ("ping", ethernet(&[], 0x0800, &ipv4(1, 0, 0, &[])), false),
            ],
        );
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        check(
            "!tcp:22,!arp,tcp,all+vlan:3",
            &[
                ("ssh", ethernet(&[], 0x0800, &ipv4(6, 0, 0, &ports(9, 22))), false),
                ("ssh in VLAN 3", ethernet(&[3], 0x0800, &ipv4(6, 0, 0, &ports(9, 22))), false),
                ("web", ethernet(&[], 0x0800, &ipv4(6, 0, 0, &ports(9, 80))), true),
                ("ARP", ethernet(&[], 0x0806, &[0; 28]), false),
                ("UDP", ethernet(&[], 0x0800, &ipv4(17, 0, 0, &ports(9, 22))), false),
                ("UDP in VLAN 3", ethernet(&[3], 0x0800, &ipv4(17, 0, 0, &ports(9, 22))), true),
            ],
        );
        check("!arp,all", &[("anything", ethernet(&[], 0x1234, &[]), true)]);
        check("arp,!all", &[("anything", ethernet(&[], 0x1234, &[]), false)]);
        check("all", &[("anything", ethernet(&[], 0x1234, &[]), true)]);
    }

    #[test]
    fn damaged_headers_fit_nothing_that_they_hide() {
        let mut short_header = ipv4(17, 0, 0, &ports(9, 53));
        short_header[0] = 0x44;
        let mut cut = ethernet(&[], 0x0800, &ipv4(17, 40, 0, &ports(9, 53)));
        cut.truncate(60);
        check(
            "udp:53",
            &[
                ("header of 16 bytes", ethernet(&[], 0x0800, &short_header), false),
                ("cut in the options", cut, false),
                ("empty", ethernet(&[], 0x0800, &[]), false),
                ("tags only", ethernet(&[1, 2, 3], 0x0800, &[]), false),
            ],
        );
    }

    #[test]
    fn the_largest_set_of_rules_passes_the_verifier() {
        let rule = ["vlan:4095", "ip", "udp:1-65535", "udp-from:1-9", "vlan", "all"].join("+");
        let text = vec![rule; 32].join(",");
        let packet = ethernet(&[4095], 0x0800, &ipv4(17, 0, 0, &ports(9, 53)));
        check(&text, &[("the first of 32", packet, true)]);
    }
}
