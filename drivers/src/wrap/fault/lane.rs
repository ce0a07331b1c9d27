//! One direction: packets in, and out again when their time has come.

use std::collections::VecDeque;
use std::sync::Arc;

use wirelet_packet::{FrameCache, Mbuf, Region};

use super::fate::{Fate, Fates, Plan};
use crate::Device;

/// A reordered packet waits no longer for others to pass it.
const REORDER_NS: u64 = 10_000_000;
/// Packets given to a device at once.
const BURST: usize = 32;

#[derive(Clone, Copy, Debug)]
struct Held {
    mbuf: Mbuf,
    due_ns: u64,
    /// Packets that have to pass it still.
    passed_by: u64,
}

/// A queue with a plan.
#[derive(Debug)]
pub(super) struct Lane {
    region: Arc<Region>,
    fates: Fates,
    rate_bits: u64,
    limit: usize,
    /// In the order in which their turn comes.
    queue: VecDeque<Held>,
    /// Reordered ones that let others pass.
    late: VecDeque<Held>,
    /// When the last packet will have left, at the rate.
    busy_until_ns: u64,
    lost: u64,
    duplicated: u64,
    corrupted: u64,
    reordered: u64,
}

impl Lane {
    /// Room for everything is taken now: it allocates nothing later.
    pub(super) fn new(region: Arc<Region>, plan: Plan, seed: u64, limit: usize) -> Lane {
        Lane {
            region,
            fates: Fates::new(plan, seed),
            rate_bits: plan.rate_bits,
            limit,
            // A duplicate may come on top of a full queue.
            queue: VecDeque::with_capacity(limit + 1),
            late: VecDeque::with_capacity(limit + 1),
            busy_until_ns: 0,
            lost: 0,
            duplicated: 0,
            corrupted: 0,
            reordered: 0,
        }
    }

    /// Packets in it.
    pub(super) fn held(&self) -> usize {
        self.queue.len() + self.late.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.held() >= self.limit
    }

    /// Lost, duplicated, corrupted, reordered.
    pub(super) fn counts(&self) -> [u64; 4] {
        [self.lost, self.duplicated, self.corrupted, self.reordered]
    }

    /// Takes a packet with its frame; false when it is lost, and the frame the caller's.
    pub(super) fn accept(&mut self, frames: &mut FrameCache, mbuf: Mbuf, now_ns: u64) -> bool {
        let fate = self.fates.next();
        if fate.lost {
            self.lost += 1;
            return false;
        }
        if let Some(bit) = fate.corrupt_bit {
            self.corrupt(&mbuf, bit);
        }
        // Before it is held: the duplicate of a reordered packet comes first.
        if fate.duplicated
            && let Some(copy) = self.copy(frames, &mbuf)
        {
            self.duplicated += 1;
            self.hold(copy, Fate { passed_by: 0, ..fate }, now_ns);
        }
        self.hold(mbuf, fate, now_ns);
        true
    }

    fn hold(&mut self, mbuf: Mbuf, fate: Fate, now_ns: u64) {
        let mut start_ns = now_ns;
        if self.rate_bits > 0 {
            let bits = u128::from(mbuf.length) * 8;
            let ns = (bits * 1_000_000_000 / u128::from(self.rate_bits)) as u64;
            start_ns = now_ns.max(self.busy_until_ns).saturating_add(ns);
            self.busy_until_ns = start_ns;
        }
        let due_ns = start_ns.saturating_add(fate.delay_ns);
        let passed_by = fate.passed_by;
        // Nearly always the last one; jitter moves it a little ahead.
        let behind = self.queue.iter().rev().take_while(|held| held.due_ns > due_ns).count();
        self.queue.insert(self.queue.len() - behind, Held { mbuf, due_ns, passed_by });
    }

    fn corrupt(&mut self, mbuf: &Mbuf, random: u64) {
        let bit = random % (u64::from(mbuf.length) * 8).max(1);
        if mbuf.length == 0 {
            return;
        }
        self.corrupted += 1;
        // SAFETY: the packet lies within its frame (the engine's invariant), which is ours; `bit`
        // lies within the packet.
        unsafe {
            let byte = self.region.data(mbuf).add((bit / 8) as usize);
            byte.write(byte.read() ^ 1 << (bit % 8));
        }
    }

    /// The same bytes in a frame of their own; `None` when there is no frame.
    fn copy(&self, frames: &mut FrameCache, mbuf: &Mbuf) -> Option<Mbuf> {
        let copy = Mbuf { frame: frames.take()?, ..*mbuf };
        // SAFETY: both frames are ours, they are two, and the packet lies within either.
        unsafe {
            let (from, to) = (self.region.data(mbuf), self.region.data(&copy));
            to.copy_from_nonoverlapping(from, mbuf.length.into());
        }
        Some(copy)
    }

    /// Puts those whose time has come into `burst`, in order; returns how many.
    pub(super) fn leave(&mut self, burst: &mut [Mbuf], now_ns: u64) -> usize {
        let mut count = 0;
        while count < burst.len()
            && let Some(mbuf) = self.next(now_ns)
        {
            burst[count] = mbuf;
            count += 1;
        }
        count
    }

    /// The next one to leave.
    fn next(&mut self, now_ns: u64) -> Option<Mbuf> {
        let passed = |held: &Held| held.passed_by == 0 || held.due_ns <= now_ns;
        if let Some(index) = self.late.iter().position(passed) {
            return self.late.remove(index).map(|held| held.mbuf);
        }
        loop {
            self.queue.front().filter(|held| held.due_ns <= now_ns)?;
            let held = self.queue.pop_front()?;
            if held.passed_by == 0 {
                self.late.iter_mut().for_each(|late| late.passed_by -= 1);
                return Some(held.mbuf);
            }
            // Its turn has come, and it lets others pass.
            self.reordered += 1;
            let due_ns = now_ns.saturating_add(REORDER_NS);
            self.late.push_back(Held { due_ns, ..held });
        }
    }

    /// Gives those whose time has come to a device; what it has no room for stays in front.
    pub(super) fn send(&mut self, device: &mut dyn Device, frames: &mut FrameCache, now_ns: u64) {
        loop {
            let mut burst = [Mbuf::default(); BURST];
            let count = self.leave(&mut burst, now_ns);
            let sent = device.tx_burst(frames, &burst[..count]);
            for mbuf in burst[sent..count].iter().rev() {
                self.queue.push_front(Held { mbuf: *mbuf, due_ns: 0, passed_by: 0 });
            }
            if sent < count || count == 0 {
                return;
            }
        }
    }

    /// Everything that is held.
    pub(super) fn drain(&mut self, mut each: impl FnMut(Mbuf)) {
        self.queue.drain(..).chain(self.late.drain(..)).for_each(|held| each(held.mbuf));
    }
}
