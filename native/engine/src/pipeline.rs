//! One lcore's programs, and what becomes of a burst that runs through some of them.

use std::sync::Arc;

use wirelet_abi::limits::{BURST_MAX, DROP_REASONS_MAX};
use wirelet_abi::stats::ProgramBlock;
use wirelet_abi::verdict::{FLOOD, UNDECIDED};
use wirelet_abi::{BurstHeader, DropReason, Verdict};
use wirelet_packet::{FrameCache, clock};

use crate::burst::{Burst, BurstPage, GONE};
use crate::fate::{Fates, TO_HOST};
use crate::fault::Fault;
use crate::program::{Instance, OnFault, Program};
use crate::punt::PuntSender;
use crate::sampler::Sampler;
use crate::tracer::Tracer;
use crate::watch;

/// A program on one lcore.
#[derive(Default)]
pub struct Slot {
    /// The program; `None` once it was taken out.
    pub program: Option<Arc<Program>>,
    /// `None` while it is being rebuilt or is quarantined.
    pub instance: Option<Instance>,
    /// The generation before: gets what the program can't answer (`onFault: 'previous'`).
    pub fallback: Option<Instance>,
    /// Copies packets for a shadow run, while there is one.
    pub sampler: Option<Box<Sampler>>,
    /// Those that trace it.
    pub tracer: Option<Box<Tracer>>,
    /// What it did here.
    pub stats: ProgramBlock,
}

impl Slot {
    /// A program that is ready to run.
    pub fn new(program: Arc<Program>, instance: Instance) -> Slot {
        let stats = ProgramBlock { health: health::UP, ..ProgramBlock::default() };
        Slot { program: Some(program), instance: Some(instance), stats, ..Slot::default() }
    }

    /// What untouched packets get.
    fn on_fault(&self) -> OnFault {
        self.program.as_ref().map_or(OnFault::Drop, |program| program.config.on_fault)
    }

    /// Ports it may redirect to, a bit each.
    fn redirect_to(&self) -> u64 {
        self.program.as_ref().map_or(0, |program| program.config.redirect_to)
    }
}

/// Values of [`ProgramBlock::health`].
pub mod health {
    /// Being rebuilt.
    pub const DOWN: u64 = 0;
    /// Running.
    pub const UP: u64 = 1;
    /// Will not be rebuilt.
    pub const QUARANTINED: u64 = 2;
}

/// What a burst needs on its way: lent by the lcore for one call.
pub struct Way<'a> {
    /// Where programs see the burst.
    pub page: &'a mut BurstPage,
    /// Where dropped frames go.
    pub frames: &'a mut FrameCache,
    /// Drops of the port it came in by.
    pub drops: &'a mut [u64; DROP_REASONS_MAX],
    /// Header of the burst; `count` is set for each program.
    pub header: BurstHeader,
    /// Ports that exist, a bit each.
    pub ports: u64,
    /// Port that punted packets of this port leave by.
    pub punt: Option<u16>,
    /// What becomes of them, while somebody asks.
    pub fates: &'a mut Fates,
    /// Where they go without one.
    pub host: &'a mut PuntSender,
    /// Packets that went there.
    pub punted: u64,
    /// The program that runs, an index into the slots.
    pub slot: usize,
    /// The cycle counter when the burst, or the program before, ended: this one's start.
    pub now: u64,
}

/// A fault, the packet that was being worked on, and the instance, which must not run again.
pub struct Faulted {
    /// Index into the slots.
    pub slot: usize,
    /// What and where.
    pub fault: Fault,
    /// That packet's bytes.
    pub packet: Vec<u8>,
    /// To be dropped off the lcore: unmapping it takes a fraction of a millisecond.
    pub instance: Option<Instance>,
    /// It was the generation before that faulted, in place of the program.
    pub fallback: bool,
}

/// Runs the packets that still pass through the programs of `chain`, in order, and returns the
/// faults: an empty `Vec`, which allocates nothing, unless a program faults. A fault costs only the
/// packets that the program held; the others go on to the next one.
#[inline]
pub fn run(
    slots: &mut [Slot],
    chain: &[usize],
    burst: &mut Burst,
    way: &mut Way<'_>,
) -> Vec<Faulted> {
    let mut faults = Vec::new();
    for &index in chain {
        if burst.live_count == 0 {
            break;
        }
        let slot = &mut slots[index];
        way.slot = index;
        if way.fates.on || slot.tracer.is_some() {
            watch::step(index, slot, burst, way, &mut faults);
        } else {
            step(index, slot, burst, way, &mut faults);
        }
    }
    faults
}

/// One program's turn.
#[inline]
pub fn step(
    index: usize,
    slot: &mut Slot,
    burst: &mut Burst,
    way: &mut Way<'_>,
    faults: &mut Vec<Faulted>,
) {
    let Some(instance) = &mut slot.instance else {
        return bypass(index, slot, burst, way, faults);
    };
    if let Some(sampler) = &mut slot.sampler {
        sampler.take(way.frames.region(), burst, way.header.now_ns);
        way.now = clock::cycles();
    }
    let started = way.now;
    let packets = burst.live_count as u64;
    if let Err(fault) = enter(instance, &mut slot.stats, burst, way) {
        down(index, slot, fault, burst, way, faults);
    } else if let Some((fault, packet)) = settle(slot, burst, way) {
        faults.push(take_down(index, slot, fault, packet));
    }
    slot.stats.bursts += 1;
    slot.stats.packets += packets;
    way.now = clock::cycles();
    slot.stats.cycles += way.now - started;
}

/// One call into a program with the packets that still pass.
#[inline]
fn enter(
    instance: &mut Instance,
    stats: &mut ProgramBlock,
    burst: &Burst,
    way: &mut Way<'_>,
) -> Result<(), Fault> {
    way.header.count = burst.live_count as u32;
    let (mbufs, live) = (&burst.mbufs[..burst.count], &burst.live[..burst.live_count]);
    way.page.write(way.frames.region(), &way.header, mbufs, live);
    let result = instance.run();
    stats.log_lines_lost += instance.take_lost_log_lines();
    result
}

/// The program has faulted: its packets are settled, those it left untouched by policy.
#[cold]
fn down(
    index: usize,
    slot: &mut Slot,
    fault: Fault,
    burst: &mut Burst,
    way: &mut Way<'_>,
    faults: &mut Vec<Faulted>,
) {
    let policy = match (slot.on_fault(), &slot.fallback) {
        (OnFault::Previous, None) => OnFault::Drop,
        (policy, _) => policy,
    };
    let (packet, untouched) = settle_fault(slot, policy, burst, way);
    faults.push(take_down(index, slot, fault, packet));
    if untouched == 0 {
        return;
    }
    // They are the last ones; those in front of them have passed already.
    let passing = burst.live_count;
    let mut passed = [0; BURST_MAX];
    passed[..passing].copy_from_slice(&burst.live[..passing]);
    burst.live.copy_within(passing..passing + untouched, 0);
    burst.live_count = untouched;
    run_fallback(index, slot, burst, way, faults);
    let count = burst.live_count;
    passed[passing..passing + count].copy_from_slice(&burst.live[..count]);
    burst.live = passed;
    burst.live_count = passing + count;
}

fn take_down(index: usize, slot: &mut Slot, fault: Fault, packet: Vec<u8>) -> Faulted {
    slot.stats.faults += 1;
    slot.stats.health = health::DOWN;
    Faulted { slot: index, fault, packet, instance: slot.instance.take(), fallback: false }
}

/// The generation before answers for a program that can't. When it faults too, it is taken away,
/// and its untouched packets are dropped.
#[cold]
fn run_fallback(
    index: usize,
    slot: &mut Slot,
    burst: &mut Burst,
    way: &mut Way<'_>,
    faults: &mut Vec<Faulted>,
) {
    let instance = slot.fallback.as_mut().expect("the caller has looked");
    let (fault, packet) = match enter(instance, &mut slot.stats, burst, way) {
        Ok(()) => match settle(slot, burst, way) {
            None => return,
            Some(lie) => lie,
        },
        Err(fault) => {
            let (packet, _) = settle_fault(slot, OnFault::Drop, burst, way);
            (fault, packet)
        }
    };
    slot.stats.faults += 1;
    let instance = slot.fallback.take();
    faults.push(Faulted { slot: index, fault, packet, instance, fallback: true });
}

/// Reads every descriptor back. Returns the fault of the first one that lies, if one does.
#[inline]
fn settle(slot: &mut Slot, burst: &mut Burst, way: &mut Way<'_>) -> Option<(Fault, Vec<u8>)> {
    let live = &burst.live[..burst.live_count];
    let first = way.page.passed(&mut burst.mbufs[..burst.count], live);
    let allowed = way.ports & slot.redirect_to();
    let (mut passing, mut quick, mut lie) = (first, first as u64, None);
    for index in first..burst.live_count {
        let live = burst.live[index];
        // As `passed` looks: one that was dropped does not make those behind it slow.
        if way.page.take_passed(index, &mut burst.mbufs[usize::from(live)]) {
            burst.live[passing] = live;
            (passing, quick) = (passing + 1, quick + 1);
            continue;
        }
        match decide(slot, burst, way, index, allowed) {
            Outcome::Passes => {
                burst.live[passing] = live;
                passing += 1;
            }
            Outcome::Leaves => {}
            Outcome::Lies => {
                let told = reject(slot, burst, way, index);
                lie = lie.or(Some(told));
            }
        }
    }
    slot.stats.verdicts[Verdict::Pass as usize] += quick;
    burst.live_count = passing;
    lie
}

enum Outcome {
    Passes,
    Leaves,
    Lies,
}

/// What becomes of the packet behind descriptor `index`; `allowed` are ports, a bit each.
#[inline]
fn decide(
    slot: &mut Slot,
    burst: &mut Burst,
    way: &mut Way<'_>,
    index: usize,
    allowed: u64,
) -> Outcome {
    let mbuf = &mut burst.mbufs[usize::from(burst.live[index])];
    let frame_bytes = way.frames.region().frame_bytes() as u32;
    let byte = way.page.verdict(index);
    if !way.page.take(index, mbuf, frame_bytes) {
        return Outcome::Lies;
    }
    let Some(verdict) = Verdict::from_byte(byte) else {
        if byte != UNDECIDED {
            return Outcome::Lies;
        }
        slot.stats.undecided_packets += 1;
        drop_packet(burst, way, index, DropReason::Undecided);
        return Outcome::Leaves;
    };
    slot.stats.verdicts[verdict as usize] += 1;
    let egress = way.page.egress(index);
    // For who asks what became of it.
    mbuf.scratch = byte;
    match verdict {
        Verdict::Pass => return Outcome::Passes,
        Verdict::Drop => drop_packet(burst, way, index, DropReason::Program),
        Verdict::Redirect if egress < 64 && allowed >> egress & 1 == 1 => {
            (mbuf.egress, burst.diverges) = (egress, true);
        }
        Verdict::Redirect if egress == FLOOD && others(allowed, mbuf.port) != 0 => {
            mbuf.egress = FLOOD;
            burst.flood_ports[usize::from(burst.live[index])] = others(allowed, mbuf.port);
            (burst.floods, burst.diverges) = (true, true);
        }
        Verdict::Redirect => drop_packet(burst, way, index, DropReason::RedirectInvalid),
        Verdict::Punt => match way.punt {
            Some(port) => (mbuf.egress, burst.diverges) = (port, true),
            None => punt_to_host(burst, way, index),
        },
    }
    Outcome::Leaves
}

/// Ports that a flood goes to: the allowed ones, a bit each, but the port of arrival.
fn others(allowed: u64, arrival: u16) -> u64 {
    allowed & !(1 << arrival)
}

/// To the host's handler, as far as it listens and has room.
#[cold]
fn punt_to_host(burst: &mut Burst, way: &mut Way<'_>, index: usize) {
    let mbuf = &mut burst.mbufs[usize::from(burst.live[index])];
    let (region, program, now_ns) = (way.frames.region(), way.slot as u16, way.header.now_ns);
    match way.host.send(region, mbuf, program, now_ns) {
        Ok(()) => {
            way.frames.give(mbuf.frame);
            (mbuf.egress, mbuf.scratch) = (GONE, TO_HOST);
            way.punted += 1;
        }
        Err(reason) => drop_packet(burst, way, index, reason),
    }
}

/// A descriptor that lies: its packet goes, the program is at fault.
#[cold]
fn reject(slot: &mut Slot, burst: &mut Burst, way: &mut Way<'_>, index: usize) -> (Fault, Vec<u8>) {
    let packet = copy_packet(burst, way, index);
    slot.stats.faulted_packets += 1;
    drop_packet(burst, way, index, DropReason::Fault);
    let message = format!("packet {index} of the burst: outside its frame, or verdict unknown");
    (Fault::lie(message), packet)
}

/// DESIGN §9: packets decided before the fault keep their verdict, the one being worked on is
/// dropped, untouched ones get the program's policy. A program that decided out of order loses all
/// its undecided ones: nobody can tell which it had touched.
///
/// Returns the bytes of the one being worked on, and how many untouched ones wait for the fallback:
/// they lie behind the passing ones in `live`, and `live_count` does not count them.
#[cold]
fn settle_fault(
    slot: &mut Slot,
    policy: OnFault,
    burst: &mut Burst,
    way: &mut Way<'_>,
) -> (Vec<u8>, usize) {
    let count = burst.live_count;
    let undecided = |index: &usize| way.page.verdict(*index) == UNDECIDED;
    let current = (0..count).find(undecided).unwrap_or(count);
    let ordered = (current..count).all(|index| undecided(&index));
    let packet = if current < count { copy_packet(burst, way, current) } else { Vec::new() };
    let allowed = way.ports & slot.redirect_to();
    let (mut passing, mut waiting) = (0, 0);
    for index in 0..count {
        let live = burst.live[index];
        let untouched = ordered && index > current;
        let passes = if way.page.verdict(index) != UNDECIDED {
            match decide(slot, burst, way, index, allowed) {
                Outcome::Passes => true,
                Outcome::Leaves => false,
                Outcome::Lies => {
                    reject(slot, burst, way, index);
                    false
                }
            }
        } else if untouched && policy == OnFault::Pass {
            // Untouched, so descriptor and packet are as they were.
            slot.stats.verdicts[Verdict::Pass as usize] += 1;
            true
        } else if untouched && policy == OnFault::Previous {
            waiting += 1;
            true
        } else {
            slot.stats.faulted_packets += 1;
            drop_packet(burst, way, index, DropReason::Fault);
            false
        };
        if passes {
            burst.live[passing] = live;
            passing += 1;
        }
    }
    burst.live_count = passing - waiting;
    (packet, waiting)
}

/// The program is down: the generation before answers, or the policy decides.
#[cold]
fn bypass(
    index: usize,
    slot: &mut Slot,
    burst: &mut Burst,
    way: &mut Way<'_>,
    faults: &mut Vec<Faulted>,
) {
    slot.stats.packets += burst.live_count as u64;
    let policy = slot.on_fault();
    if policy == OnFault::Previous && slot.fallback.is_some() {
        return run_fallback(index, slot, burst, way, faults);
    }
    if policy == OnFault::Pass {
        slot.stats.verdicts[Verdict::Pass as usize] += burst.live_count as u64;
        return;
    }
    slot.stats.faulted_packets += burst.live_count as u64;
    for index in 0..burst.live_count {
        drop_packet(burst, way, index, DropReason::ProgramDown);
    }
    burst.live_count = 0;
}

#[inline]
fn drop_packet(burst: &mut Burst, way: &mut Way<'_>, index: usize, reason: DropReason) {
    let mbuf = &mut burst.mbufs[usize::from(burst.live[index])];
    way.frames.give(mbuf.frame);
    // The reason for who asks; a store to a line that is written anyway.
    (mbuf.egress, mbuf.scratch) = (GONE, reason as u8);
    way.drops[reason as usize] += 1;
}

fn copy_packet(burst: &Burst, way: &Way<'_>, index: usize) -> Vec<u8> {
    let mbuf = &burst.mbufs[usize::from(burst.live[index])];
    let mut packet = vec![0; usize::from(mbuf.length)];
    // SAFETY: offset + length lie within the frame (checked whenever they change), the frame is
    // ours, and the copy is a fresh allocation of that length.
    unsafe {
        let data = way.frames.region().data(mbuf);
        data.copy_to_nonoverlapping(packet.as_mut_ptr(), packet.len());
    }
    packet
}
