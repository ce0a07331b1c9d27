//! Flow affinity: a packet goes to the lcore of its flow before its pipeline runs
//! (docs/design/affinity.md). Which lcores share a port's flows is part of a generation.

use std::sync::Arc;

use wirelet_abi::limits::{BURST_MAX, LCORES_MAX, PORTS_MAX, RULES_MAX};
use wirelet_abi::{DropReason, Error, ErrorCode};
use wirelet_drivers::{Rule, RuleAction};
use wirelet_packet::clock;

use crate::burst::GONE;
use crate::flow::{self, Bytes};
use crate::generation::Route;
use crate::handover;
use crate::lcore::{self, Lcore};
use crate::port::Port;
use crate::program::Program;
use crate::rules::RulesAt;

/// Which packets a program must see on one lcore.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Affinity {
    /// Any, anywhere.
    #[default]
    None,
    /// All of a flow that come in by one port.
    Flow,
    /// All between two addresses, in both directions, whatever port they come in by.
    Symmetric,
}

/// How packets of a port find their lcore. Without lcores they stay where they were received.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Steering {
    /// Lcores that share the flows; none or several.
    lcores: Vec<u8>,
    /// By addresses alone, else by ports too.
    symmetric: bool,
}

/// The queues of a port.
#[derive(Clone, Debug)]
pub struct Queues {
    /// Lcores that have one.
    lcores: Vec<u8>,
    /// Packets of a flow come to one of them.
    keeps_flows: bool,
    /// The port's name.
    name: String,
    /// Its rules are in hardware.
    offloaded: bool,
}

/// Of every port, as `per_lcore` opened them.
pub fn queues(per_lcore: &[Vec<Port>]) -> Vec<Queues> {
    let ports = per_lcore.first().map_or(0, Vec::len);
    let of = |port: usize| {
        let device = |lcore: usize| per_lcore[lcore][port].device.as_deref();
        let lcores = (0..per_lcore.len()).filter(|&lcore| device(lcore).is_some());
        let lcores: Vec<u8> = lcores.map(|lcore| lcore as u8).collect();
        let keeps = |&lcore: &u8| device(lcore.into()).is_some_and(|queue| queue.keeps_flows());
        let keeps_flows = lcores.len() < 2 || lcores.iter().all(keeps);
        let Port { name, rules_at, .. } = &per_lcore[0][port];
        let offloaded = *rules_at != RulesAt::Engine;
        Queues { lcores, keeps_flows, name: name.clone(), offloaded }
    };
    (0..ports).map(of).collect()
}

/// Whether every port can have the rules that its route has.
///
/// # Errors
/// `WIRELET_E_RULES`, `WIRELET_E_CONFIG_LIMIT`.
pub fn check_rules(
    routes: &[Route],
    steering: &[Steering],
    queues: &[Queues],
) -> Result<(), Error> {
    for ((route, steering), queues) in routes.iter().zip(steering).zip(queues) {
        let Queues { lcores, name, .. } = queues;
        if route.rules.len() > RULES_MAX {
            let message = format!("rules.{name}: {} rules; at most {RULES_MAX}", route.rules.len());
            return Err(Error::new(ErrorCode::ConfigLimit, message));
        }
        for (index, rule) in route.rules.iter().enumerate() {
            let RuleAction::Queue(queue) = rule.action else { continue };
            let wrong = |message| {
                let message = format!("rules.{name}[{index}]: queue {queue}, but {message}");
                Err(Error::new(ErrorCode::Rules, message))
            };
            if usize::from(queue) >= lcores.len() {
                return wrong(format!("the port has {} (from 0 on)", lcores.len()));
            }
            if !steering.stays() {
                return wrong("a program of the port's asks for flow affinity".into());
            }
        }
    }
    Ok(())
}

/// The first port whose rules are in hardware and would be others.
///
/// # Errors
/// `WIRELET_E_RESTART_NEEDED`.
pub fn check_offloaded(from: &[Route], to: &[Route], queues: &[Queues]) -> Result<(), Error> {
    let changes = from.iter().zip(to).map(|(from, to)| from.rules != to.rules);
    match queues.iter().zip(changes).find(|(queues, changes)| queues.offloaded && *changes) {
        None => Ok(()),
        Some((Queues { name, .. }, _)) => {
            let message = format!("rules.{name}: they are in hardware");
            Err(Error::new(ErrorCode::RestartNeeded, message))
        }
    }
}

/// How each port is steered when packets go by `routes` through `slots`. Ports that need both
/// directions of a flow share the lcores of all of them: a flow may come in by any.
pub fn plan(routes: &[Route], slots: &[Option<Arc<Program>>], queues: &[Queues]) -> Vec<Steering> {
    let of_program = |&slot: &usize| {
        let program = slots.get(slot).and_then(Option::as_ref);
        program.map_or(Affinity::None, |program| program.config.affinity)
    };
    let wanted = |route: &Route| route.chain.iter().map(of_program).max().unwrap_or_default();
    let wanted: Vec<Affinity> = routes.iter().map(wanted).collect();
    let mut all: Vec<u8> = Vec::new();
    for (queues, wanted) in queues.iter().zip(&wanted) {
        if *wanted == Affinity::Symmetric {
            all.extend(&queues.lcores);
        }
    }
    all.sort_unstable();
    all.dedup();
    let of_port = |((queues, wanted), route): ((&Queues, &Affinity), &Route)| {
        // A rule may tear a flow that the device would keep: later fragments have no ports.
        let is_queue = |rule: &Rule| matches!(rule.action, RuleAction::Queue(_));
        let keeps_flows = queues.keeps_flows && !route.rules.iter().any(is_queue);
        let (lcores, symmetric) = match wanted {
            Affinity::None => (Vec::new(), false),
            Affinity::Flow if keeps_flows => (Vec::new(), false),
            Affinity::Flow => (queues.lcores.clone(), false),
            Affinity::Symmetric => (all.clone(), true),
        };
        if lcores.len() < 2 { Steering::default() } else { Steering { lcores, symmetric } }
    };
    queues.iter().zip(&wanted).zip(routes).map(of_port).collect()
}

impl Steering {
    /// Whether packets stay on the lcore that received them.
    #[inline]
    pub fn stays(&self) -> bool {
        self.lcores.is_empty()
    }

    #[inline]
    fn lcore(&self, packet: Bytes<'_>) -> u8 {
        let hash = match self.symmetric {
            true => flow::of_addresses(packet),
            false => flow::of_ports(packet),
        };
        // The upper bits decide: programs that take a hash of the same fields modulo something
        // would see half of the values only.
        let index = (u64::from(hash) * self.lcores.len() as u64) >> 32;
        self.lcores[index as usize]
    }
}

/// Hands the packets of the burst that belong to other lcores to those; returns how many are left,
/// in front and in order. What a ring has no room for is dropped.
#[inline(never)]
pub fn split(lcore: &mut Lcore, port: usize, count: usize) -> usize {
    let steering = &lcore.ports[port].steering;
    let mbufs = &lcore.burst.mbufs[..count];
    let mut to = [0u8; BURST_MAX];
    for (to, mbuf) in to.iter_mut().zip(mbufs) {
        *to = steering.lcore(Bytes::of(lcore.frames.region(), mbuf));
    }
    deal(lcore, port, &to[..count])
}

/// Gives each packet of the burst to the lcore that `to` has for it; returns how many are left
/// here, in front and in order. Those with a number that is no lcore's are gone.
pub fn deal(lcore: &mut Lcore, port: usize, to: &[u8]) -> usize {
    let Lcore { index, ports, frames, burst, outgoing, control, stats, gather, .. } = lcore;
    let ingress = &mut ports[port];
    let mbufs = &mut burst.mbufs[..to.len()];
    let is_lcore = |&&to: &&u8| usize::from(to) < LCORES_MAX;
    let mut others = to.iter().filter(is_lcore).fold(0u64, |others, to| others | 1 << to);
    others &= !(1 << *index);
    while others != 0 {
        let other = others.trailing_zeros() as usize;
        others &= others - 1;
        gather.clear();
        let theirs = to.iter().zip(&*mbufs).filter(|(to, _)| usize::from(**to) == other);
        gather.extend(theirs.map(|(_, mbuf)| *mbuf));
        gather.iter_mut().for_each(|mbuf| mbuf.egress = GONE);
        let sent = handover::give(outgoing, control, stats, other, gather);
        ingress.stats.steered_packets += sent as u64;
        ingress.stats.drops[DropReason::HandoverFull as usize] += (gather.len() - sent) as u64;
        gather[sent..].iter().for_each(|mbuf| frames.give(mbuf.frame));
    }
    let mut own = 0;
    for (at, &to) in to.iter().enumerate() {
        if usize::from(to) == *index {
            mbufs[own] = mbufs[at];
            own += 1;
        }
    }
    own
}

const _: () = assert!(LCORES_MAX <= 64 && PORTS_MAX <= 64, "sets of them are 64 bits");

/// Runs those of `arrived` that were steered here, as bursts of the ports they came in by.
pub fn run(lcore: &mut Lcore, arrived: &[wirelet_packet::Mbuf]) {
    let steered = || arrived.iter().filter(|mbuf| mbuf.egress == GONE);
    let mut ports = steered().fold(0u64, |ports, mbuf| ports | 1 << mbuf.port);
    while ports != 0 {
        let port = ports.trailing_zeros() as usize;
        ports &= ports - 1;
        let mut count = 0;
        for mbuf in steered().filter(|mbuf| usize::from(mbuf.port) == port) {
            if count == lcore.burst_max {
                run_now(lcore, port, count);
                count = 0;
            }
            lcore.burst.mbufs[count] = wirelet_packet::Mbuf { egress: 0, ..*mbuf };
            count += 1;
        }
        run_now(lcore, port, count);
    }
}

fn run_now(lcore: &mut Lcore, port: usize, count: usize) {
    lcore.now = clock::cycles();
    lcore::run_burst(lcore, port, count, lcore.now);
}
