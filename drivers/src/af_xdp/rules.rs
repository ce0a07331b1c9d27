//! Which packets we take and which the kernel keeps: the `match` option of a spec.
//!
//! ```text
//! match = rule { "," rule }          the first rule that fits decides; when none fits: the kernel
//! rule  = [ "!" ] term { "+" term }  all terms must fit; "!" leaves the packet to the kernel
//! term  = all | arp | ip | ip6 | ethertype:0x88cc | vlan | vlan:100
//!       | proto:47 | icmp | icmp6 | tcp | udp | sctp
//!       | udp:53 | tcp:8000-8080 | sctp:5060 | udp-from:53 | tcp-from:80 | sctp-from:5060
//! ```
//!
//! `udp:53` is the port of destination, `udp-from:53` that of the source.

use wirelet_packet::ethertype;

/// Rules in one spec.
const RULES_MAX: usize = 32;
/// Terms in one rule.
const TERMS_MAX: usize = 8;

/// Protocol numbers (IANA).
pub(super) mod protocol {
    pub(crate) const ICMP: u8 = 1;
    pub(crate) const TCP: u8 = 6;
    pub(crate) const UDP: u8 = 17;
    pub(crate) const ICMP6: u8 = 58;
    pub(crate) const SCTP: u8 = 132;
}

/// What one rule asks of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Term {
    /// Nothing.
    All,
    /// The EtherType behind all VLAN tags.
    EtherType(u16),
    /// Any VLAN tag.
    Tagged,
    /// The id of the outer VLAN tag.
    Vlan(u16),
    /// The IPv4 protocol, or the first next header of IPv6.
    Protocol(u8),
    /// A port of `protocol` within `low..=high`; packets without one (later fragments) don't fit.
    Port { protocol: u8, source: bool, low: u16, high: u16 },
}

/// Packets that all terms fit, and whose they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    /// We take them; otherwise the kernel keeps them.
    pub(super) ours: bool,
    /// At least one.
    pub(super) terms: Vec<Term>,
}

/// All rules of a port, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rules(pub(super) Vec<Rule>);

impl Rule {
    /// Whether every packet fits.
    pub(super) fn always_fits(&self) -> bool {
        self.terms.iter().all(|term| *term == Term::All)
    }
}

impl Rules {
    /// Everything is ours.
    pub(super) fn all() -> Rules {
        Rules(vec![Rule { ours: true, terms: vec![Term::All] }])
    }

    /// Whether no packet needs to be looked into.
    pub(super) fn take_all(&self) -> bool {
        self.0[0].ours && self.0[0].always_fits()
    }

    /// Parses the option's value; the error is a sentence without the option's name.
    pub(super) fn parse(text: &str) -> Result<Rules, String> {
        let rules: Vec<Rule> = text.split(',').map(parse_rule).collect::<Result<_, _>>()?;
        if rules.len() > RULES_MAX {
            return Err(format!("{} rules; at most {RULES_MAX}", rules.len()));
        }
        // The kernel's verifier would not accept what can't be reached, and nobody means it.
        if rules[..rules.len() - 1].iter().any(Rule::always_fits) {
            return Err("what stands behind `all` never decides".into());
        }
        if !rules.iter().any(|rule| rule.ours) {
            return Err("it takes nothing: without a fitting rule a packet is the kernel's; \
                        end it with `,all`"
                .into());
        }
        Ok(Rules(rules))
    }
}

fn parse_rule(text: &str) -> Result<Rule, String> {
    let (ours, body) = text.strip_prefix('!').map_or((true, text), |rest| (false, rest));
    let terms: Vec<Term> = body.split('+').map(parse_term).collect::<Result<_, _>>()?;
    if terms.len() > TERMS_MAX {
        return Err(format!("{} terms in one rule; at most {TERMS_MAX}", terms.len()));
    }
    Ok(Rule { ours, terms })
}

fn parse_term(text: &str) -> Result<Term, String> {
    let (name, value) = match text.split_once(':') {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    let unknown = || {
        let known = "all, arp, ip, ip6, ethertype:N, vlan[:N], proto:N, icmp, icmp6, \
                     tcp|udp|sctp[:PORT[-PORT]], tcp|udp|sctp-from:PORT[-PORT]";
        format!("`{text}` is no term; terms: {known}")
    };
    let number = |most: u32| {
        let value = value.ok_or_else(unknown)?;
        let number = parse_number(value).filter(|number| *number <= most);
        number.ok_or_else(|| format!("`{text}`: `{value}` is no number from 0 to {most}"))
    };
    let (transport, source) = match name.strip_suffix("-from") {
        Some(transport) => (transport, true),
        None => (name, false),
    };
    let transport = match transport {
        "tcp" => Some(protocol::TCP),
        "udp" => Some(protocol::UDP),
        "sctp" => Some(protocol::SCTP),
        _ => None,
    };
    Ok(match (name, value, transport) {
        (_, None, Some(protocol)) if !source => Term::Protocol(protocol),
        (_, Some(value), Some(protocol)) => {
            let (low, high) = parse_ports(value)
                .ok_or_else(|| format!("`{text}`: `{value}` is no port and no range of ports"))?;
            Term::Port { protocol, source, low, high }
        }
        ("all", None, _) => Term::All,
        ("arp", None, _) => Term::EtherType(ethertype::ARP),
        ("ip", None, _) => Term::EtherType(ethertype::IPV4),
        ("ip6", None, _) => Term::EtherType(ethertype::IPV6),
        ("ethertype", Some(_), _) => Term::EtherType(number(0xffff)? as u16),
        ("vlan", None, _) => Term::Tagged,
        ("vlan", Some(_), _) => Term::Vlan(number(4095)? as u16),
        ("icmp", None, _) => Term::Protocol(protocol::ICMP),
        ("icmp6", None, _) => Term::Protocol(protocol::ICMP6),
        ("proto", Some(_), _) => Term::Protocol(number(255)? as u8),
        _ => return Err(unknown()),
    })
}

/// Decimal, or hexadecimal after `0x`.
fn parse_number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

fn parse_ports(text: &str) -> Option<(u16, u16)> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let (low, high) = (low.parse().ok()?, high.parse().ok()?);
    (low <= high).then_some((low, high))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(text: &str) -> Vec<Term> {
        let mut rules = Rules::parse(text).unwrap_or_else(|error| panic!("{error}")).0;
        assert_eq!(rules.len(), 1);
        rules.remove(0).terms
    }

    fn error(text: &str) -> String {
        Rules::parse(text).expect_err(text)
    }

    #[test]
    fn terms_say_what_a_packet_must_have() {
        assert_eq!(terms("all"), [Term::All]);
        assert_eq!(terms("ethertype:0x88cc"), [Term::EtherType(0x88cc)]);
        assert_eq!(terms("vlan:100+ip6"), [Term::Vlan(100), Term::EtherType(0x86dd)]);
        assert_eq!(terms("proto:47"), [Term::Protocol(47)]);
        let port = |protocol, source, low, high| Term::Port { protocol, source, low, high };
        assert_eq!(terms("udp:53"), [port(17, false, 53, 53)]);
        assert_eq!(terms("tcp-from:8000-8080"), [port(6, true, 8000, 8080)]);
        assert_eq!(terms("sctp+vlan"), [Term::Protocol(132), Term::Tagged]);
    }

    #[test]
    fn rules_keep_their_order() {
        let rules = Rules::parse("!tcp:22,!arp,all").expect("rules");
        let ours: Vec<bool> = rules.0.iter().map(|rule| rule.ours).collect();
        assert_eq!(ours, [false, false, true]);
        assert!(!rules.take_all() && Rules::all().take_all());
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(error("").contains("`` is no term; terms: all, arp"));
        assert!(error("upd:53").contains("`upd:53` is no term"));
        assert!(error("udp-from").contains("no term"));
        assert!(error("arp:1").contains("no term"));
        assert!(error("udp:53-1").contains("no range of ports"));
        assert!(error("vlan:4096").contains("no number from 0 to 4095"));
        assert!(error("ethertype:0x10000").contains("65535"));
        assert!(error("!arp").contains("takes nothing"));
        assert!(error("!all").contains("takes nothing"));
        assert!(error("arp,!all+all,ip").contains("never decides"));
        assert!(error(&["arp"; 33].join(",")).contains("at most 32"));
        assert!(error(&["ip"; 9].join("+")).contains("at most 8"));
    }
}
