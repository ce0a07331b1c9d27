//! The checker: reads stamps and says what was lost, reordered, doubled or damaged.
//!
//! One table for all queues of a port, so that a flow may arrive on another queue than before. No
//! locks: a packet costs one look at its flow's cache line, and an atomic write that is a
//! compare-and-swap only where queues share the table.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering::Relaxed};

use wirelet_abi::histogram::{BUCKETS, bucket};
use wirelet_packet::{Mbuf, Region, clock};

use crate::DeviceStats;
use crate::stamp::{Found, STAMP_BYTES, Stamp};

/// Flows of a table when the spec says nothing.
pub(crate) const FLOWS_DEFAULT: u64 = 1 << 16;
/// Most flows of a table: 128 MiB.
pub(crate) const FLOWS_MAX: u64 = 1 << 20;
/// Names of what [`Checker::stats`] writes, in its order.
pub(crate) const XSTATS: [&str; 7] =
    ["received", "lost", "reordered", "duplicates", "corrupt", "unstamped", "untracked"];

/// Cells of 32 sequence numbers in a row: a duplicate is known as one when at most 192 packets of
/// its flow came in between. With owner and next, 7 cells fill one cache line.
const CELLS: usize = 7;
/// Places to look at for a flow before the table counts as full for it.
const PROBES: usize = 16;

/// What is known of one flow; 64 bytes.
#[derive(Default)]
#[repr(C, align(64))]
struct Flow {
    /// Its number + 1; 0 while the entry is free.
    owner: AtomicU32,
    /// One more than the highest sequence number so far.
    next: AtomicU32,
    /// Which sequence numbers came: the cell's number (sequence / 32) above 32 bits, one for each;
    /// 0 while empty.
    cells: [AtomicU64; CELLS],
}

struct Table {
    flows: Box<[Flow]>,
    /// Several queues write: compare-and-swap. Else plain loads and stores.
    shared: bool,
    /// Gaps minus late arrivals, of all queues. Negative for a moment while two queues race.
    lost: AtomicI64,
}

/// One queue's view.
pub(crate) struct Checker {
    table: Arc<Table>,
    region: Arc<Region>,
    /// Only one queue reports what is counted for all.
    first: bool,
    received: u64,
    reordered: u64,
    duplicates: u64,
    corrupt: u64,
    unstamped: u64,
    untracked: u64,
    latency_ns: Box<[u64; BUCKETS]>,
}

impl Checker {
    /// Checkers for `queues` queues of a port that meets up to `flows` flows.
    pub(crate) fn for_queues(region: &Arc<Region>, queues: usize, flows: u64) -> Vec<Checker> {
        // Half full at most, so that probes stay short.
        let entries = (flows as usize * 2).next_power_of_two().max(PROBES);
        // SAFETY: all-zero bytes are a valid `Flow`: atomic integers of value 0. Pages that no
        // flow needs are never touched.
        let flows = unsafe { Box::<[Flow]>::new_zeroed_slice(entries).assume_init() };
        let table = Arc::new(Table { flows, shared: queues > 1, lost: AtomicI64::new(0) });
        let checker = |queue| Checker {
            table: Arc::clone(&table),
            region: Arc::clone(region),
            first: queue == 0,
            received: 0,
            reordered: 0,
            duplicates: 0,
            corrupt: 0,
            unstamped: 0,
            untracked: 0,
            latency_ns: Box::new([0; BUCKETS]),
        };
        (0..queues).map(checker).collect()
    }

    /// Checks packets that arrive now.
    pub(crate) fn check(&mut self, burst: &[Mbuf]) {
        let now_ns = clock::now_ns();
        self.received += burst.len() as u64;
        for mbuf in burst {
            match stamp_of(&self.region, mbuf) {
                Found::Nothing => self.unstamped += 1,
                Found::Damaged => self.corrupt += 1,
                Found::Stamp(stamp) => {
                    self.latency_ns[bucket(stamp.latency_ns(now_ns))] += 1;
                    self.note(&stamp);
                }
            }
        }
    }

    /// Writes its counts to `stats.xstats`, from index `at` on.
    pub(crate) fn stats(&self, stats: &mut DeviceStats, at: usize) {
        let lost = if self.first { self.table.lost.load(Relaxed).max(0) as u64 } else { 0 };
        let counts = [
            self.received,
            lost,
            self.reordered,
            self.duplicates,
            self.corrupt,
            self.unstamped,
            self.untracked,
        ];
        stats.xstats[at..at + counts.len()].copy_from_slice(&counts);
        stats.latency_ns = *self.latency_ns;
    }

    /// Every packet that is no duplicate either moves `next` on, past the gap it leaves, or fills
    /// a gap. So lost = next - received, whichever queues the packets came by and in which order.
    #[inline]
    fn note(&mut self, stamp: &Stamp) {
        let Some(flow) = self.table.find(stamp.flow) else {
            self.untracked += 1;
            return;
        };
        if !self.table.mark(flow, stamp.sequence) {
            self.duplicates += 1;
            return;
        }
        match self.table.advance(flow, stamp.sequence) {
            Some(0) => {}
            Some(gap) => {
                self.table.lost.fetch_add(gap.into(), Relaxed);
            }
            None => {
                self.reordered += 1;
                self.table.lost.fetch_sub(1, Relaxed);
            }
        }
    }
}

impl Table {
    /// The entry of flow `number`, taken for it when it has none; `None` when the table is full.
    #[inline]
    fn find(&self, number: u32) -> Option<&Flow> {
        // No generator has the number that would be 0.
        let owner = number.checked_add(1)?;
        let mask = self.flows.len() - 1;
        let first = (number.wrapping_mul(0x9E37_79B1) >> 7) as usize;
        for place in first..first + PROBES {
            let flow = &self.flows[place & mask];
            let mut current = flow.owner.load(Relaxed);
            if current == 0 {
                let claim = flow.owner.compare_exchange(0, owner, Relaxed, Relaxed);
                current = claim.map_or_else(|other| other, |_| owner);
            }
            if current == owner {
                return Some(flow);
            }
        }
        None
    }

    /// Notes that `sequence` came; false when it had come before. What is older than all cells
    /// can't be told from a late arrival and counts as one. Sequence numbers wrap.
    #[inline]
    fn mark(&self, flow: &Flow, sequence: u32) -> bool {
        let (number, bit) = (sequence >> 5, 1u64 << (sequence & 31));
        let fresh = u64::from(number) << 32 | bit;
        let cell = &flow.cells[number as usize % CELLS];
        let mut current = cell.load(Relaxed);
        loop {
            // 27 bits of cell number, moved up so that the sign tells which is ahead.
            let ahead = (number << 5).wrapping_sub(((current >> 32) as u32) << 5) as i32;
            let new = match ahead {
                _ if current == 0 => fresh,
                0 if current & bit != 0 => return false,
                0 => current | bit,
                1.. => fresh,
                _ => return true,
            };
            if !self.shared {
                cell.store(new, Relaxed);
                return true;
            }
            match cell.compare_exchange_weak(current, new, Relaxed, Relaxed) {
                Ok(_) => return true,
                Err(other) => current = other,
            }
        }
    }

    /// Moves `next` past `sequence` and returns the gap before it; `None` when it is behind.
    #[inline]
    fn advance(&self, flow: &Flow, sequence: u32) -> Option<u32> {
        let mut next = flow.next.load(Relaxed);
        loop {
            let gap = sequence.wrapping_sub(next);
            if gap > u32::MAX / 2 {
                return None;
            }
            let new = sequence.wrapping_add(1);
            if !self.shared {
                flow.next.store(new, Relaxed);
                return Some(gap);
            }
            match flow.next.compare_exchange_weak(next, new, Relaxed, Relaxed) {
                Ok(_) => return Some(gap),
                Err(other) => next = other,
            }
        }
    }
}

#[inline]
fn stamp_of(region: &Region, mbuf: &Mbuf) -> Found {
    let length = usize::from(mbuf.length);
    if length < STAMP_BYTES {
        return Found::Nothing;
    }
    // SAFETY: the last 18 bytes of a packet of at least 18 lie within its frame, which is ours;
    // they are copied out, since a guest of another lcore may see the frame.
    let (head, check) = unsafe {
        let stamp = region.data(mbuf).add(length - STAMP_BYTES);
        (stamp.cast::<u128>().read_unaligned(), stamp.add(16).cast::<u16>().read_unaligned())
    };
    Stamp::find(head, check)
}

#[cfg(test)]
mod tests {
    use wirelet_packet::RegionConfig;

    use super::*;

    fn checkers(queues: usize) -> Vec<Checker> {
        let region = Region::new(RegionConfig { frames: 64, ..RegionConfig::default() });
        Checker::for_queues(&region.expect("a region"), queues, 16)
    }

    fn note(checker: &mut Checker, flow: u32, sequences: &[u32]) {
        for &sequence in sequences {
            checker.received += 1;
            checker.note(&Stamp { flow, sequence, due_ns: 0 });
        }
    }

    /// received, lost, reordered, duplicates
    fn counts(checker: &Checker) -> [u64; 4] {
        let mut stats = DeviceStats::default();
        checker.stats(&mut stats, 0);
        [stats.xstats[0], stats.xstats[1], stats.xstats[2], stats.xstats[3]]
    }

    #[test]
    fn gaps_are_lost_until_they_are_filled() {
        let checker = &mut checkers(1)[0];
        note(checker, 9, &[0, 1, 4]);
        assert_eq!(counts(checker), [3, 2, 0, 0]);
        note(checker, 9, &[2, 2, 5]);
        assert_eq!(counts(checker), [6, 1, 1, 1]);
    }

    #[test]
    fn flows_are_apart_and_a_full_table_says_so() {
        let checker = &mut checkers(1)[0];
        for flow in 0..200 {
            note(checker, flow, &[0, 1]);
        }
        assert_eq!(counts(checker), [400, 0, 0, 0]);
        assert_eq!(checker.untracked, 400 - 2 * 32);
        note(checker, u32::MAX, &[0]);
        assert_eq!(checker.untracked, 401 - 2 * 32);
    }

    #[test]
    fn sequence_numbers_wrap() {
        let checker = &mut checkers(1)[0];
        let flow = checker.table.find(1).expect("an entry");
        flow.next.store(u32::MAX - 40, Relaxed);
        let before = u32::MAX - 40;
        let sequences: Vec<u32> = (0..100).map(|step| before.wrapping_add(step)).collect();
        note(checker, 1, &sequences);
        assert_eq!(counts(checker), [100, 0, 0, 0]);
        note(checker, 1, &sequences[..3]);
        assert_eq!(counts(checker)[3], 3, "duplicates from before the wrap");
    }

    #[test]
    fn a_flow_that_changes_queues_at_random_is_counted_exactly() {
        let mut checkers = checkers(2);
        let mut second = checkers.pop().expect("two");
        let mut first = checkers.pop().expect("two");
        const COUNT: u32 = 10_000_004;
        // Each takes the next number: neither runs ahead, so that they meet at every step.
        let (sequences, started) = (AtomicU32::new(0), std::sync::Barrier::new(2));
        let run = |checker: &mut Checker| {
            started.wait();
            loop {
                let sequence = sequences.fetch_add(1, Relaxed);
                if sequence >= COUNT {
                    return;
                }
                if sequence % 5 != 0 {
                    checker.received += 1;
                    checker.note(&Stamp { flow: 3, sequence, due_ns: 0 });
                }
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(|| run(&mut first));
            scope.spawn(|| run(&mut second));
        });
        let lost = counts(&first)[1];
        assert_eq!(first.received + second.received + lost, u64::from(COUNT));
        assert_eq!((first.duplicates, second.duplicates), (0, 0));
    }
}
