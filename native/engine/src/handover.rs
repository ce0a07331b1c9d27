//! Packets from one lcore to another, by a ring for each pair: those whose port of departure the
//! other one has, and those whose flow is its.

use std::sync::atomic::Ordering;

use wirelet_abi::DropReason;
use wirelet_abi::stats::LcoreBlock;
use wirelet_packet::ring::{Consumer, Producer, ring};
use wirelet_packet::{Mbuf, clock};

use crate::burst::GONE;
use crate::control::Control;
use crate::lcore::Lcore;
use crate::{steer, transmit};

/// Packets that fit into the ring from one lcore to another.
const RING: usize = 1024;

/// One lcore's ends: to each other lcore, and from each.
pub type Ends = (Vec<Option<Producer<Mbuf>>>, Vec<Consumer<Mbuf>>);

/// A ring from every lcore to every other.
pub fn rings(lcores: usize) -> Vec<Ends> {
    let mut all: Vec<Ends> = (0..lcores).map(|_| Ends::default()).collect();
    for from in 0..lcores {
        for to in 0..lcores {
            if from == to {
                all[from].0.push(None);
                continue;
            }
            let (producer, consumer) = ring(RING);
            all[from].0.push(Some(producer));
            all[to].1.push(consumer);
        }
    }
    all
}

/// Gives packets to lcore `to`; returns how many its ring took. `egress` says where they leave, or
/// with [`GONE`] that they run there first. Costs a fence, and a system call when it sleeps.
pub fn give(
    outgoing: &mut [Option<Producer<Mbuf>>],
    control: &Control,
    stats: &mut LcoreBlock,
    to: usize,
    packets: &[Mbuf],
) -> usize {
    let ring = outgoing[to].as_mut().expect("a ring leads to every other lcore");
    // Counted before they can be taken: `taken_over` must never be ahead.
    control.handed_over.fetch_add(packets.len() as u64, Ordering::AcqRel);
    let sent = ring.push(packets);
    control.handed_over.fetch_sub((packets.len() - sent) as u64, Ordering::AcqRel);
    control.lcores[to].waker.wake();
    stats.handovers += sent as u64;
    sent
}

/// Sends or runs what other lcores have handed over; returns how many packets that were.
#[inline]
pub fn receive(lcore: &mut Lcore) -> usize {
    let mut packets = 0;
    for index in 0..lcore.incoming.len() {
        let Lcore { incoming, burst, .. } = lcore;
        let count = incoming[index].pop(&mut burst.mbufs);
        if count > 0 {
            take(lcore, count);
        }
        packets += count;
    }
    packets
}

fn take(lcore: &mut Lcore, count: usize) {
    lcore.taken += count as u64;
    lcore.taking = count as u64;
    let steered = |mbuf: &Mbuf| mbuf.egress == GONE;
    if lcore.burst.mbufs[..count].iter().any(steered) {
        let mut arrived = std::mem::take(&mut lcore.arrived);
        arrived.clear();
        arrived.extend_from_slice(&lcore.burst.mbufs[..count]);
        send(lcore, count);
        steer::run(lcore, &arrived);
        lcore.arrived = arrived;
    } else {
        send(lcore, count);
    }
    // Only now: until it has them where they go, this lcore may hand them on, and nobody may leave.
    settle(lcore);
    lcore.now = clock::cycles();
}

/// Those of the first `count` that have somewhere to leave.
fn send(lcore: &mut Lcore, count: usize) {
    (lcore.burst.count, lcore.burst.live_count) = (count, 0);
    transmit::decided(lcore);
}

/// What it was taking is taken.
pub fn settle(lcore: &mut Lcore) {
    let taking = std::mem::take(&mut lcore.taking);
    lcore.control.taken_over.fetch_add(taking, Ordering::AcqRel);
}

/// Packets that other lcores handed over too late are dropped; called when all have left the loop.
pub fn drop_rest(lcore: &mut Lcore, reason: DropReason) {
    let Lcore { incoming, burst, control, frames, ports, .. } = lcore;
    for ring in incoming {
        loop {
            let count = ring.pop(&mut burst.mbufs);
            if count == 0 {
                break;
            }
            control.taken_over.fetch_add(count as u64, Ordering::Relaxed);
            for mbuf in &burst.mbufs[..count] {
                frames.give(mbuf.frame);
                ports[usize::from(mbuf.port)].stats.drops[reason as usize] += 1;
            }
        }
    }
}
