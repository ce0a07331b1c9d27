//! Rules of a port, carried out where a burst comes in: the first that matches a packet drops it,
//! marks it, or takes it to the lcore of a queue (docs/operating.md, "Rules").

use wirelet_abi::limits::{BURST_MAX, LCORES_MAX};
use wirelet_abi::{DropReason, Error, ErrorCode};
use wirelet_drivers::{Device, Family, Match, Rule, RuleAction, TAGS_MAX, VlanMatch};
use wirelet_packet::ethertype;

use crate::flow::Bytes;
use crate::flow::{SCTP, TCP, UDP};
use crate::lcore::Lcore;
use crate::ports::PortConfig;
use crate::{steer, watch};

/// IPv6 extension headers that are looked past: more than any sane packet has.
const EXTENSIONS_MAX: usize = 8;
/// In place of an lcore's number: the packet is dropped.
const DROPPED: u8 = u8::MAX;
const _: () = assert!((DROPPED as usize) >= LCORES_MAX);
/// Packets that a queue can hold: drivers count descriptors in 16 bits.
const QUEUED_MAX: u32 = 1 << 16;

/// Who shall carry out a port's rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Offload {
    /// The device, where it takes all of them and means the same; else the engine.
    #[default]
    Auto,
    /// The engine.
    Never,
    /// The device, even where it reads packets its own way, or the port does not open.
    Always,
}

/// Who carries out a port's rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RulesPlace {
    /// The device.
    pub hardware: bool,
    /// It counts hits; the engine always does.
    pub counted: bool,
    /// Why not the device, where it was asked.
    pub refused: String,
}

/// Who carries out a port's rules, as an lcore needs to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RulesAt {
    /// The engine.
    Engine,
    /// The device, but so many packets may still come that it had received before it had the
    /// rules.
    Settling(u32),
    /// The device.
    Device,
}

impl RulesPlace {
    /// Offers a port's rules to its device.
    ///
    /// # Errors
    /// `WIRELET_E_RULES` where the device has to take them, and does not.
    pub fn choose(config: &PortConfig, device: &mut dyn Device) -> Result<RulesPlace, Error> {
        let mut place = RulesPlace { hardware: false, counted: true, refused: String::new() };
        if config.rules.is_empty() || config.offload == Offload::Never {
            return Ok(place);
        }
        match device.take_rules(&config.rules, config.offload == Offload::Always) {
            Ok(counted) => (place.hardware, place.counted) = (true, counted),
            Err(why) if config.offload == Offload::Always => {
                let message = format!("`offload` is \"always\", but {why}");
                return Err(Error::new(ErrorCode::Rules, message));
            }
            Err(why) => place.refused = why,
        }
        Ok(place)
    }

    /// As it is at the start.
    pub fn at(&self) -> RulesAt {
        if self.hardware { RulesAt::Device.begun() } else { RulesAt::Engine }
    }
}

impl RulesAt {
    /// When the device has just been given what it had before, or has it for the first time.
    pub fn begun(self) -> RulesAt {
        if self == RulesAt::Engine { self } else { RulesAt::Settling(QUEUED_MAX) }
    }

    /// The port's queue was found empty: everything in it will have met the device's rules.
    #[inline]
    pub fn found_empty(&mut self) {
        if matches!(self, RulesAt::Settling(_)) {
            *self = RulesAt::Device;
        }
    }
}

/// Carries out the port's rules on the first `count` packets of the burst; returns how many are
/// left, in front and in order.
///
/// A device that has the rules needs no help, but for packets that were in its queue before. They
/// are over when the queue was empty once, or has given as many as it can hold. (A burst that is
/// not full says nothing: some drivers never give more than 32.) Until then both do the same, and
/// the device counts the hits.
#[inline(never)]
pub fn apply(lcore: &mut Lcore, port: usize, count: usize) -> usize {
    let counts = match lcore.ports[port].rules_at {
        RulesAt::Device => return count,
        RulesAt::Engine => 1,
        RulesAt::Settling(left) => {
            let left = left.saturating_sub(count as u32);
            let at = if left == 0 { RulesAt::Device } else { RulesAt::Settling(left) };
            lcore.ports[port].rules_at = at;
            0
        }
    };
    let Lcore { index, ports, frames, burst, outgoing, gather, .. } = lcore;
    let ingress = &mut ports[port];
    let mut to = [*index as u8; BURST_MAX];
    let (mut stays, mut dropped) = (true, 0);
    gather.clear();
    for (to, mbuf) in to.iter_mut().zip(&mut burst.mbufs[..count]) {
        let headers = Headers::of(Bytes::of(frames.region(), mbuf));
        let matches = |rule: &Rule| headers.fit(&rule.when);
        let Some(at) = ingress.route.rules.iter().position(matches) else { continue };
        ingress.stats.rule_hits[at] += counts;
        let rule = &ingress.route.rules[at];
        if let Some(mark) = rule.mark {
            mbuf.mark = mark;
        }
        match rule.action {
            RuleAction::Pass => {}
            RuleAction::Drop => {
                (*to, dropped) = (DROPPED, dropped + 1);
                gather.push(*mbuf);
            }
            // Queues lie on lcores one after the other, from the port's home on (`open_ports`).
            RuleAction::Queue(queue) => {
                *to = ((ingress.home + usize::from(queue)) % outgoing.len()) as u8;
            }
        }
        stays &= usize::from(*to) == *index;
    }
    if stays {
        return count;
    }
    if dropped > 0 {
        ingress.stats.drops[DropReason::Rule as usize] += dropped;
        if let Some(tracer) = &mut ingress.trace_rx {
            watch::refused(tracer, frames, gather);
        }
        frames.give_burst(gather);
    }
    steer::deal(lcore, port, &to[..count])
}

/// What rules ask of a packet. What a packet is too short for, or contradicts, is not there.
#[derive(Debug, Default, PartialEq, Eq)]
struct Headers {
    /// Of the outermost tag.
    vlan: Option<u16>,
    /// Behind up to two tags.
    ether_type: Option<u16>,
    addresses: Option<(Family, u128, u128)>,
    protocol: Option<u8>,
    ports: Option<(u16, u16)>,
}

impl Headers {
    #[inline]
    fn of(packet: Bytes<'_>) -> Headers {
        let mut headers = Headers::default();
        let (mut at, mut tags) = (12, 0);
        headers.ether_type = packet.u16(at);
        while tags < TAGS_MAX
            && matches!(headers.ether_type, Some(ethertype::VLAN | ethertype::QINQ))
        {
            let number = packet.u16(at + 2).map(|tag| tag & 0x0FFF);
            headers.vlan = headers.vlan.or(number);
            (at, tags) = (at + 4, tags + 1);
            headers.ether_type = packet.u16(at);
        }
        match headers.ether_type {
            Some(ethertype::IPV4) => headers.ipv4(packet, at + 2),
            Some(ethertype::IPV6) => headers.ipv6(packet, at + 2),
            _ => None,
        };
        headers
    }

    /// RFC 791, section 3.1.
    #[inline]
    fn ipv4(&mut self, packet: Bytes<'_>, start: usize) -> Option<()> {
        let first = packet.u8(start)?;
        let (from, to) = (packet.u32(start + 12)?, packet.u32(start + 16)?);
        let header_bytes = usize::from(first & 0xF) * 4;
        let end = start + usize::from(packet.u16(start + 2)?);
        let whole = header_bytes >= 20 && start + header_bytes <= packet.len();
        if first >> 4 != 4 || !whole {
            return None;
        }
        self.addresses = Some((Family::V4, from.into(), to.into()));
        self.protocol = packet.u8(start + 9);
        // Of a fragment, only the one at offset 0 has ports.
        let first_fragment = packet.u16(start + 6)? & 0x1FFF == 0;
        if first_fragment {
            self.ports(packet, start + header_bytes, end);
        }
        Some(())
    }

    /// RFC 8200, sections 3 and 4.
    #[inline]
    fn ipv6(&mut self, packet: Bytes<'_>, start: usize) -> Option<()> {
        let (from, to) = (packet.get::<16>(start + 8)?, packet.get::<16>(start + 24)?);
        if packet.u8(start)? >> 4 != 6 {
            return None;
        }
        let addresses = (Family::V6, u128::from_be_bytes(from), u128::from_be_bytes(to));
        self.addresses = Some(addresses);
        let end = packet.len().min(start + 40 + usize::from(packet.u16(start + 4)?));
        let (mut next, mut at) = (packet.u8(start + 6)?, start + 40);
        for _ in 0..=EXTENSIONS_MAX {
            if !is_extension(next) {
                self.protocol = Some(next);
                self.ports(packet, at, end);
                return Some(());
            }
            let length = usize::from(packet.u8(at + 1)?);
            let bytes = match next {
                FRAGMENT => 8,
                AUTHENTICATION if length == 0 => return None,
                AUTHENTICATION => (length + 2) * 4,
                _ => (length + 1) * 8,
            };
            let later_fragment = next == FRAGMENT && packet.u16(at + 2)? & 0xFFF8 != 0;
            next = packet.u8(at)?;
            at += bytes;
            if at > end {
                return None;
            }
            if later_fragment {
                // What follows is the middle of something; what, only another header would say.
                self.protocol = (!is_extension(next)).then_some(next);
                return Some(());
            }
        }
        None
    }

    /// Source and destination port at `at`, in an IP packet that ends at `end`.
    #[inline]
    fn ports(&mut self, packet: Bytes<'_>, at: usize, end: usize) {
        if matches!(self.protocol, Some(TCP | UDP | SCTP)) && at + 4 <= end {
            self.ports = packet.u32(at).map(|ports| ((ports >> 16) as u16, ports as u16));
        }
    }

    #[inline]
    fn fit(&self, when: &Match) -> bool {
        let vlan = match when.vlan {
            VlanMatch::Any => true,
            VlanMatch::Untagged => self.vlan.is_none(),
            VlanMatch::Id(id) => self.vlan == Some(id),
        };
        let between = |(first, last): (u16, u16), port: u16| (first..=last).contains(&port);
        vlan && when.ether_type.is_none_or(|wanted| self.ether_type == Some(wanted))
            && when.protocol.is_none_or(|wanted| self.protocol == Some(wanted))
            && when.source_port.is_none_or(|range| self.ports.is_some_and(|p| between(range, p.0)))
            && when
                .destination_port
                .is_none_or(|range| self.ports.is_some_and(|p| between(range, p.1)))
            && when.source.is_none_or(|prefix| {
                self.addresses.is_some_and(|(family, from, _)| prefix.holds(family, from))
            })
            && when.destination.is_none_or(|prefix| {
                self.addresses.is_some_and(|(family, _, to)| prefix.holds(family, to))
            })
    }
}

fn is_extension(next: u8) -> bool {
    matches!(next, HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION)
}

// IPv6 extension headers (IANA, Protocol Numbers) that are looked past.
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION: u8 = 60;

#[cfg(test)]
mod tests;
