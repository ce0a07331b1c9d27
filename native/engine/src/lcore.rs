//! The loop: receive, run, transmit, count. No allocation, no lock, no system call of its own while
//! there are packets.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use wirelet_abi::histogram;
use wirelet_abi::stats::{LcoreBlock, state};
use wirelet_abi::{BurstHeader, DropReason};
use wirelet_drivers::{Device, Passage};
use wirelet_packet::ring::{Consumer, Producer};
use wirelet_packet::{FrameCache, Mbuf, clock};

use crate::burst::{Burst, BurstPage};
use crate::control::{Control, Stop};
use crate::errand;
use crate::event::{EventSender, What};
use crate::fate::Fates;
use crate::handover;
use crate::idle::{self, Idler};
use crate::pass;
use crate::pipeline::{self, Slot, Way};
use crate::port::Port;
use crate::program::Places;
use crate::punt::PuntSender;
use crate::rebuild;
use crate::stats::StatsWriter;
use crate::{rules, steer, transmit, watch};

/// Bursts between two publications of the counters.
const PUBLISH_BURSTS: u64 = 100;

/// One lcore's private things. Nothing in here is seen by another thread while the loop runs.
pub struct Lcore {
    /// Its number.
    pub index: usize,
    /// Every port of the appliance.
    pub ports: Vec<Port>,
    /// Every program of the appliance.
    pub slots: Vec<Slot>,
    /// What their windows show here.
    pub places: Places,
    /// Free frames.
    pub frames: FrameCache,
    /// Where programs see bursts.
    pub page: BurstPage,
    /// The burst under way.
    pub burst: Burst,
    /// Packets per burst at most.
    pub burst_max: usize,
    /// The cycle counter as it was read last. A reading takes some 10 ns, so each one ends a step
    /// and begins the next.
    pub now: u64,
    /// Packets on their way out, gathered by port, or to another lcore.
    pub gather: Vec<Mbuf>,
    /// Packets from another lcore, while some of them run here.
    pub arrived: Vec<Mbuf>,
    /// To each other lcore.
    pub outgoing: Vec<Option<Producer<Mbuf>>>,
    /// From each other lcore.
    pub incoming: Vec<Consumer<Mbuf>>,
    /// What it counts.
    pub stats: LcoreBlock,
    /// Where it publishes that.
    pub writer: StatsWriter,
    /// How it waits.
    pub idler: Idler,
    /// What the host asks of it.
    pub control: Arc<Control>,
    /// What it tells the host.
    pub events: EventSender,
    /// Packets for the host's handler.
    pub host: PuntSender,
    /// Generation of its pipeline.
    pub generation: u32,
    /// Packets that it has taken from other lcores.
    pub taken: u64,
    /// Of them, those that it has not sent or run yet.
    pub taking: u64,
    /// What becomes of the packets of a burst, while somebody asks.
    pub fates: Fates,
    /// Room for what is told of one.
    pub note: String,
}

/// Runs until the host says stop. One round looks at every queue once.
pub fn run(lcore: &mut Lcore) {
    lcore.stats.state = state::RUNNING;
    lcore.now = clock::cycles();
    let mut published = 0;
    loop {
        let round_started = lcore.now;
        errand::run_pending(lcore);
        let mut packets = handover::receive(lcore);
        if lcore.control.stopping() == Stop::No {
            for port in 0..lcore.ports.len() {
                packets += receive(lcore, port);
            }
        } else if drain(lcore, packets) {
            break;
        }
        lcore.stats.rounds += 1;
        if packets > 0 {
            // Up to the end of the last burst.
            let cycles = lcore.now - round_started;
            lcore.stats.busy_cycles += cycles;
            lcore.stats.gap_max_cycles = lcore.stats.gap_max_cycles.max(cycles);
            idle::worked(lcore);
        } else {
            lcore.now = clock::cycles();
            lcore.stats.idle_cycles += lcore.now - round_started;
        }
        let due = lcore.stats.bursts - published >= PUBLISH_BURSTS;
        if due || packets == 0 && lcore.idler.publishes() {
            if packets == 0 {
                idle::flush(lcore);
            }
            publish(lcore);
            published = lcore.stats.bursts;
        }
        // What follows a sleep is no gap.
        if packets == 0 && idle::wait(lcore) {
            lcore.now = clock::cycles();
        }
    }
    lcore.stats.state = state::STOPPED;
}

/// Receives one burst of a port, runs its programs and sends what is left; returns the packets.
#[inline]
pub fn receive(lcore: &mut Lcore, port: usize) -> usize {
    let Some(device) = &mut lcore.ports[port].device else { return 0 };
    device.reclaim(&mut lcore.frames);
    let count = match pass::receive(lcore, port) {
        Passage::Received(0) => {
            lcore.ports[port].rules_at.found_empty();
            return 0;
        }
        Passage::Received(count) => count,
        Passage::Passed(passed) => return passed.packets,
    };
    let started = clock::cycles();
    lcore.now = started;
    let ingress = &mut lcore.ports[port];
    let bytes: u64 = lcore.burst.mbufs[..count].iter().map(|mbuf| u64::from(mbuf.length)).sum();
    ingress.stats.rx_packets += count as u64;
    ingress.stats.rx_bytes += bytes;
    let mut own = count;
    if !lcore.ports[port].route.rules.is_empty() {
        own = rules::apply(lcore, port, own);
        lcore.now = clock::cycles();
    }
    if !lcore.ports[port].steering.stays() {
        own = steer::split(lcore, port, own);
        lcore.now = clock::cycles();
    }
    run_burst(lcore, port, own, started);
    count
}

/// Runs the programs of `port` on the first `count` packets of the burst, which came in at
/// `started` (cycles), and sends what is left. The clock has just been read.
#[inline]
pub fn run_burst(lcore: &mut Lcore, port: usize, count: usize, started: u64) {
    if count == 0 {
        return;
    }
    lcore.burst.begin(count);
    let ingress = &mut lcore.ports[port];
    let (forward, punt) = (ingress.route.forward, ingress.route.punt);
    lcore.fates.on = ingress.is_watched();
    if lcore.fates.on {
        watch::arrived(lcore, port);
    }
    let ingress = &mut lcore.ports[port];
    let mut way = Way {
        page: &mut lcore.page,
        frames: &mut lcore.frames,
        drops: &mut ingress.stats.drops,
        header: BurstHeader {
            count: count as u32,
            lcore: lcore.index as u32,
            generation: lcore.generation,
            flags: 0,
            now_ns: clock::ns_at(started),
            reserved: [0; 5],
        },
        ports: lcore.control.ports,
        punt,
        fates: &mut lcore.fates,
        host: &mut lcore.host,
        punted: 0,
        slot: 0,
        now: lcore.now,
    };
    let faults = pipeline::run(&mut lcore.slots, &ingress.route.chain, &mut lcore.burst, &mut way);
    let punted = way.punted;
    if punted > 0 {
        ingress.stats.punted_packets += punted;
        ingress.stats.forwarded_packets += punted;
    }
    if lcore.fates.on {
        Fates::number(&mut lcore.burst);
    }
    transmit::burst(lcore, port, forward);
    if lcore.fates.on {
        watch::settled(lcore, port);
    }
    for faulted in faults {
        rebuild::report(lcore, faulted);
    }
    lcore.stats.bursts += 1;
    lcore.stats.packets += count as u64;
    lcore.now = clock::cycles();
    let duration_ns = clock::to_ns(lcore.now - started);
    lcore.stats.burst_ns[histogram::bucket(duration_ns)] += 1;
}

/// After a stop: devices receive nothing any more, what is inside leaves. True when nothing is
/// inside any lcore, or the time is over.
fn drain(lcore: &mut Lcore, packets: usize) -> bool {
    let mut inside = packets;
    for port in 0..lcore.ports.len() {
        let Some(device) = &mut lcore.ports[port].device else { continue };
        device.reclaim(&mut lcore.frames);
        if device.internal() {
            inside += receive(lcore, port);
        }
    }
    let in_flight = |port: &Port| port.device.as_ref().map_or(0, |device| device.in_flight());
    inside += lcore.ports.iter().map(in_flight).sum::<usize>();
    lcore.control.drained(lcore.index, inside == 0)
}

/// Copies the counters to the page that the host reads.
pub fn publish(lcore: &mut Lcore) {
    for index in 0..lcore.ports.len() {
        let (failed, ingress) = lcore.ports[index].read_device();
        if failed > 0 {
            take_back(&mut lcore.ports, failed, usize::from(ingress));
        }
        let port = &mut lcore.ports[index];
        // A link that every queue of the port sees is told by the first one's lcore.
        if let Some(up) = port.link_change().filter(|_| port.home == lcore.index) {
            lcore.events.send(What::Link { port: index as u16, up });
        }
        if let Some(what) = port.news(index as u16, lcore.index) {
            lcore.events.send(what);
        }
    }
    let settled = |port: &Port| {
        // A ring never ends by itself: it is at its end when those that feed it are.
        let ends = |device: &dyn Device| device.finished() || device.internal();
        port.device.as_deref().is_none_or(|device| ends(device) && device.in_flight() == 0)
    };
    let finished =
        lcore.ports.iter().all(settled) && lcore.incoming.iter().all(|ring| ring.is_empty());
    lcore.control.lcores[lcore.index].finished.store(finished, Ordering::Release);
    write(lcore);
}

/// Copies what is counted so far, without asking the devices: one of them may have panicked.
pub fn write(lcore: &mut Lcore) {
    lcore.stats.generation = lcore.generation.into();
    lcore.stats.frames_cached = lcore.frames.len() as u64;
    let Lcore { writer, stats, ports, slots, .. } = lcore;
    let ports = ports.iter().map(|port| &port.stats);
    writer.publish(stats, ports, slots.iter().map(|slot| &slot.stats));
}

/// After a panic: what came in and has no counted outcome counts as stopped. Its frames are not
/// given back: somebody may still point to them.
pub fn abandon(lcore: &mut Lcore) {
    let edge = |port: &Port| -> u64 {
        let reasons = DropReason::ALL.iter().filter(|reason| reason.at_edge());
        reasons.map(|&reason| port.stats.drops[reason as usize]).sum()
    };
    let received = |port: &Port| port.stats.rx_packets - edge(port) + port.stats.copied_packets;
    let came_in = lcore.taken + lcore.ports.iter().map(received).sum::<u64>();
    let lost = came_in.saturating_sub(settled(lcore));
    let ingress = usize::from(lcore.burst.mbufs[0].port).min(lcore.ports.len() - 1);
    lcore.ports[ingress].stats.drops[DropReason::Stopped as usize] += lost;
    handover::settle(lcore);
    lcore.control.drained(lcore.index, true);
}

/// Packets that counted as forwarded and that a device then could not send count as dropped.
/// Nobody knows any more which ones they were: the port that sent there last answers first, then
/// the others, each for no more than it forwarded.
#[cold]
fn take_back(ports: &mut [Port], mut failed: u64, last_ingress: usize) {
    let others = (0..ports.len()).filter(|&port| port != last_ingress);
    for index in std::iter::once(last_ingress).chain(others) {
        let stats = &mut ports[index].stats;
        // What went to the host has left by no device.
        let share = failed.min(stats.forwarded_packets - stats.punted_packets);
        stats.forwarded_packets -= share;
        stats.drops[DropReason::TxError as usize] += share;
        failed -= share;
    }
    debug_assert!(failed == 0, "more packets failed than were forwarded");
}

/// Packets whose outcome this lcore has counted.
fn settled(lcore: &Lcore) -> u64 {
    let port = |port: &Port| {
        let drops = DropReason::ALL.iter().filter(|reason| !reason.at_edge());
        let drops: u64 = drops.map(|&reason| port.stats.drops[reason as usize]).sum();
        port.stats.forwarded_packets + drops
    };
    lcore.stats.handovers + lcore.ports.iter().map(port).sum::<u64>()
}

#[cfg(test)]
mod tests {
    use wirelet_drivers::TxLimits;

    use super::*;

    #[test]
    fn failed_packets_are_taken_back_from_no_port_twice() {
        let port = |forwarded| {
            let mut port = Port::new(None, 0, TxLimits::FILE);
            port.stats.forwarded_packets = forwarded;
            port
        };
        let mut ports = [port(3), port(7)];
        ports[1].stats.punted_packets = 2;
        take_back(&mut ports, 7, 0);
        let failed = DropReason::TxError as usize;
        let counts = ports.map(|port| (port.stats.forwarded_packets, port.stats.drops[failed]));
        assert_eq!(counts, [(0, 3), (3, 4)]);
    }
}
