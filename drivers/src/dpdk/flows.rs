//! From rules to flows that mean the same in rte_flow, where patterns name every header up to the
//! last that they look at. So one rule may be several flows: with and without VLAN tags, for both
//! versions of IP (docs/design/dpdk.md).

use wirelet_abi::plugin::{Flow, flow};
use wirelet_packet::ethertype;

use crate::{Family, Match, PortRange, Prefix, Rule, RuleAction, TAGS_MAX, VlanMatch};

/// All flows of `rules`, in order. With `loose`, a second VLAN tag is not looked past, nor IPv6
/// extension headers that the device does not know.
///
/// # Errors
/// Which rule no device can be trusted with, and why.
pub(super) fn of_rules(rules: &[Rule], loose: bool) -> Result<Vec<Flow>, String> {
    let mut flows = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        let Match { protocol, source_port, destination_port, .. } = rule.when;
        let packets = Packets::of(&rule.when);
        if matches!(rule.when.ether_type, Some(ethertype::VLAN | ethertype::QINQ)) {
            return Err(format!("rule {index} is about a tag behind two tags"));
        }
        let looks_behind = protocol.or(source_port.or(destination_port).map(|_| 0)).is_some();
        if looks_behind && packets.contains(&Packets::Ip(Family::V6)) && !loose {
            return Err(format!(
                "rule {index} looks behind IPv6 extension headers, and devices differ in which \
                 they look past"
            ));
        }
        for packets in packets {
            let deepest = if loose { TAGS_MAX - 1 } else { TAGS_MAX };
            for tags in tags(rule.when.vlan, packets, deepest) {
                flows.push(one(index, rule, packets, tags));
            }
        }
    }
    if flows.is_empty() {
        return Err("no packet can match them".into());
    }
    Ok(flows)
}

/// Which packets a flow can be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packets {
    /// All.
    Any,
    /// Of an EtherType that is no IP's.
    Of(u16),
    Ip(Family),
}

impl Packets {
    fn of(when: &Match) -> Vec<Packets> {
        let addressed = when.source.or(when.destination).map(|prefix| prefix.family);
        let looks_inside = when.protocol.is_some()
            || when.source_port.is_some()
            || when.destination_port.is_some();
        let all: &[Packets] = match (when.ether_type, addressed, looks_inside) {
            (Some(ethertype::IPV4), ..) => &[Packets::Ip(Family::V4)],
            (Some(ethertype::IPV6), ..) => &[Packets::Ip(Family::V6)],
            (Some(other), None, false) => return vec![Packets::Of(other)],
            // What is no IP has neither addresses nor a protocol.
            (Some(_), ..) => &[],
            (None, None, false) => &[Packets::Any],
            (None, ..) => &[Packets::Ip(Family::V4), Packets::Ip(Family::V6)],
        };
        let fits = |prefix: &Option<Prefix>, family| prefix.is_none_or(|p| p.family == family);
        let possible = |packets: &&Packets| match packets {
            Packets::Ip(family) => fits(&when.source, *family) && fits(&when.destination, *family),
            _ => true,
        };
        all.iter().filter(possible).copied().collect()
    }
}

/// How many VLAN tags there can be; `None` where nothing behind them is looked at.
fn tags(vlan: VlanMatch, packets: Packets, deepest: u8) -> Vec<Option<u8>> {
    let some = |range: std::ops::RangeInclusive<u8>| range.map(Some).collect();
    match (vlan, packets) {
        (VlanMatch::Untagged, _) => vec![Some(0)],
        (VlanMatch::Any, Packets::Any) => vec![None],
        (VlanMatch::Any, _) => some(0..=deepest),
        // Whatever follows the first.
        (VlanMatch::Id(_), Packets::Any) => vec![Some(1)],
        (VlanMatch::Id(_), _) => some(1..=deepest),
    }
}

fn one(index: usize, rule: &Rule, packets: Packets, tags: Option<u8>) -> Flow {
    let when = &rule.when;
    // SAFETY: all zeros are a Flow: it is integers.
    let mut flow: Flow = unsafe { std::mem::zeroed() };
    flow.rule = index as u32;
    if let Some(tags) = tags {
        flow.says |= flow::TAGS;
        flow.tags = tags;
    }
    if let VlanMatch::Id(id) = when.vlan {
        flow.says |= flow::VLAN;
        flow.vlan = id;
    }
    match packets {
        Packets::Any => {}
        Packets::Of(ether_type) => {
            flow.says |= flow::ETHER_TYPE;
            flow.ether_type = ether_type;
        }
        Packets::Ip(family) => flow.ip = if family == Family::V4 { 4 } else { 6 },
    }
    if let Some(protocol) = when.protocol {
        flow.says |= flow::PROTOCOL;
        flow.protocol = protocol;
    }
    let mut range = |range: Option<PortRange>, bit| {
        let (first, last) = range.unwrap_or_default();
        flow.says |= if range.is_some() { bit } else { 0 };
        [first, last]
    };
    let source_ports = range(when.source_port, flow::SOURCE_PORT);
    let destination_ports = range(when.destination_port, flow::DESTINATION_PORT);
    (flow.source_ports, flow.destination_ports) = (source_ports, destination_ports);
    (flow.source, flow.source_mask) = address(when.source);
    (flow.destination, flow.destination_mask) = address(when.destination);
    if let Some(mark) = rule.mark {
        flow.says |= flow::MARK;
        flow.mark = mark;
    }
    match rule.action {
        RuleAction::Pass => {}
        RuleAction::Drop => flow.says |= flow::DROP,
        RuleAction::Queue(queue) => {
            flow.says |= flow::QUEUE;
            flow.queue = queue;
        }
    }
    flow
}

/// Value and mask, in the order of the wire.
fn address(prefix: Option<Prefix>) -> ([u8; 16], [u8; 16]) {
    let Some(Prefix { family, value, mask }) = prefix else { return Default::default() };
    let shift = if family == Family::V4 { 96 } else { 0 };
    ((value << shift).to_be_bytes(), (mask << shift).to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(when: Match) -> Rule {
        Rule { when, action: RuleAction::Drop, mark: None }
    }

    fn shapes(when: Match, loose: bool) -> Result<Vec<(u8, u8)>, String> {
        let flows = of_rules(&[rule(when)], loose)?;
        Ok(flows.iter().map(|flow| (flow.ip, flow.tags)).collect())
    }

    #[test]
    fn a_rule_is_as_many_flows_as_packets_have_shapes() {
        let source = Some("10.0.0.0/8".parse().expect("a prefix"));
        let any = Match::default();
        assert_eq!(shapes(any.clone(), false), Ok(vec![(0, 0)]));
        let vlan = VlanMatch::Id(7);
        assert_eq!(shapes(Match { vlan, ..any.clone() }, false), Ok(vec![(0, 1)]));
        let from = Match { source, ..any.clone() };
        assert_eq!(shapes(from.clone(), false), Ok(vec![(4, 0), (4, 1), (4, 2)]));
        assert_eq!(shapes(from.clone(), true), Ok(vec![(4, 0), (4, 1)]));
        assert_eq!(shapes(Match { vlan, ..from.clone() }, false), Ok(vec![(4, 1), (4, 2)]));
        let untagged = Match { vlan: VlanMatch::Untagged, ..from };
        assert_eq!(shapes(untagged, false), Ok(vec![(4, 0)]));
        let vlan = VlanMatch::Untagged;
        let udp = Match { protocol: Some(17), vlan, ..any.clone() };
        assert_eq!(shapes(udp, true), Ok(vec![(4, 0), (6, 0)]));
        let arp = Match { ether_type: Some(0x0806), vlan, ..any };
        assert_eq!(shapes(arp, false), Ok(vec![(0, 0)]));
    }

    #[test]
    fn what_devices_read_differently_stays_here() {
        let udp = Match { protocol: Some(17), ..Match::default() };
        assert!(shapes(udp.clone(), false).is_err_and(|why| why.contains("extension headers")));
        let ipv4 = Match { ether_type: Some(ethertype::IPV4), ..udp };
        assert!(shapes(ipv4, false).is_ok());
        let tag = Match { ether_type: Some(ethertype::QINQ), ..Match::default() };
        assert!(shapes(tag, true).is_err_and(|why| why.contains("two tags")));
        let [source, destination] = ["10.0.0.1", "::1"].map(|text| text.parse().ok());
        let both = Match { source, destination, ..Match::default() };
        assert!(shapes(both, false).is_err_and(|why| why.contains("no packet")));
    }
}
