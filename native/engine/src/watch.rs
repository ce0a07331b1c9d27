//! Where traces and devices that take notes look at a burst: when it has come in, around a program,
//! around the device that sends it, and when all of it is settled. Called only while there are
//! some.

use wirelet_abi::limits::BURST_MAX;
use wirelet_drivers::Device;
use wirelet_packet::{FrameCache, Mbuf, clock};

use crate::burst::{Burst, GONE};
use crate::fate::{Fate, Names, What};
use crate::lcore::Lcore;
use crate::pipeline::{self, Faulted, Slot, Way};
use crate::port::Port;
use crate::tracer::{Moment, Tracer};

/// A burst has come in by a port that somebody watches.
#[cold]
pub fn arrived(lcore: &mut Lcore, port: usize) {
    let Lcore { ports, burst, fates, frames, .. } = lcore;
    fates.begin(burst.count);
    if let Some(tracer) = &mut ports[port].trace_rx {
        let packets = places(&burst.mbufs[..burst.count]);
        tracer.see(frames.region(), packets, (Moment::Rx, clock::wall_ns()));
    }
}

/// What came in by that port has left or is gone.
#[cold]
pub fn settled(lcore: &mut Lcore, port: usize) {
    lcore.fates.on = false;
    let Lcore { ports, slots, fates, burst, note, .. } = lcore;
    if let Some(tracer) = &mut ports[port].trace_rx {
        tracer.tell(&|place| fates.of(place));
    }
    // With flow affinity or rules a burst is not what one of our devices has received.
    let as_received = ports[port].steering.stays() && ports[port].route.rules.is_empty();
    if !ports[port].takes_notes || !as_received {
        return;
    }
    for place in 0..burst.count {
        note.clear();
        fates.of(place).describe(&LcoreNames { ports, slots }, note);
        if let Some(device) = &mut ports[port].device {
            device.note(place, note);
        }
    }
}

/// A program's turn, with a look at its packets before and after.
#[cold]
pub fn step(
    index: usize,
    slot: &mut Slot,
    burst: &mut Burst,
    way: &mut Way<'_>,
    faults: &mut Vec<Faulted>,
) {
    let (before, count) = (burst.live, burst.live_count);
    let given = &before[..count];
    if let Some(tracer) = &mut slot.tracer {
        let packets = given.iter().map(|&place| (place, &burst.mbufs[usize::from(place)]));
        tracer.see(way.frames.region(), packets, (Moment::After, clock::wall_ns()));
    }
    // What looking takes is no program's time.
    way.now = clock::cycles();
    pipeline::step(index, slot, burst, way, faults);
    let mut made = [Fate::by_program(What::Passed, index); BURST_MAX];
    let mut passes = [false; BURST_MAX];
    for &place in &burst.live[..burst.live_count] {
        passes[usize::from(place)] = true;
    }
    for place in given.iter().map(|&place| usize::from(place)) {
        if !passes[place] {
            made[place] = Fate::of_decided(&burst.mbufs[place], index);
            if way.fates.on {
                way.fates.decided(place, made[place]);
            }
        }
    }
    if let Some(tracer) = &mut slot.tracer {
        // The frame of a packet that is gone may have another owner by now.
        let inside = |place: usize| {
            let mbuf = &burst.mbufs[place];
            (passes[place] || mbuf.egress != GONE).then_some(mbuf)
        };
        tracer.tell_after(way.frames.region(), &inside, &|place| made[place]);
    }
}

/// Sends packets that somebody watches; returns how many the device took.
#[cold]
pub fn send(
    tracer: &mut Tracer,
    device: &mut dyn Device,
    frames: &mut FrameCache,
    packets: &[Mbuf],
    port: u16,
) -> usize {
    // Before it is sent: the frames are the device's after that.
    tracer.see(frames.region(), places(packets), (Moment::Tx, clock::wall_ns()));
    let sent = device.tx_burst(frames, packets);
    tracer.tell(&|place| match packets.get(place) {
        Some(mbuf) if place < sent => Fate::came_in(mbuf.port),
        _ => Fate::not_sent(port),
    });
    sent
}

/// Packets that a rule has dropped, before their frames go.
#[cold]
pub fn refused(tracer: &mut Tracer, frames: &FrameCache, packets: &[Mbuf]) {
    tracer.see(frames.region(), places(packets), (Moment::Rx, clock::wall_ns()));
    tracer.tell(&|_| Fate::refused());
}

fn places(packets: &[Mbuf]) -> impl Iterator<Item = (u8, &Mbuf)> + Clone {
    packets.iter().enumerate().map(|(place, mbuf)| (place as u8, mbuf))
}

struct LcoreNames<'a> {
    ports: &'a [Port],
    slots: &'a [Slot],
}

impl Names for LcoreNames<'_> {
    fn port(&self, port: usize) -> &str {
        &self.ports[port].name
    }

    fn program(&self, slot: usize) -> &str {
        self.slots[slot].program.as_ref().map_or("", |program| &program.config.name)
    }
}
