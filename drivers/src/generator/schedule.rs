//! When which packet is due: an open loop, with a receive ring as a NIC has one.
//!
//! Due times follow from the rate and the start alone. A packet whose time has come stands in the
//! ring; one that finds the ring full is missed and never sent. So an lcore that stalls loses
//! packets here as it would with a NIC, and the generator never waits for who it measures.

/// Packets in a row, by number.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    first: u64,
    count: u64,
}

/// One queue's schedule.
#[derive(Debug)]
pub(crate) struct Schedule {
    /// Nanoseconds between two packets, times 2^24; 0 when they are always due.
    interval_24: u64,
    /// Packets in all.
    count: u64,
    start_ns: Option<u64>,
    /// Packets whose time has come.
    due: u64,
    missed: u64,
    /// When the next one is due.
    next_due_ns: u64,
    /// What stands in the ring: runs, because missed packets leave gaps. As many as it has slots,
    /// so that there is always room for one more run while there is room for one more packet.
    runs: Box<[Run]>,
    first_run: usize,
    run_count: usize,
    waiting: u64,
    now_ns: u64,
}

impl Schedule {
    /// `interval_24`: nanoseconds between packets, times 2^24; 0 for as fast as they are taken.
    pub(crate) fn new(interval_24: u64, count: u64, ring: usize) -> Schedule {
        Schedule {
            interval_24,
            count,
            start_ns: None,
            due: 0,
            missed: 0,
            next_due_ns: 0,
            runs: vec![Run::default(); ring].into(),
            first_run: 0,
            run_count: 0,
            waiting: 0,
            now_ns: 0,
        }
    }

    /// Lets in what is due at `now_ns`. The first call starts the clock: its packet 0 is due.
    #[inline]
    pub(crate) fn admit(&mut self, now_ns: u64) {
        self.now_ns = now_ns;
        let start_ns = *self.start_ns.get_or_insert(now_ns);
        if self.due == self.count {
            return;
        }
        if self.interval_24 == 0 {
            let free = self.runs.len() as u64 - self.waiting;
            self.push(free.min(self.count - self.due));
        } else if now_ns >= self.next_due_ns {
            let elapsed_24 = u128::from(now_ns.saturating_sub(start_ns)) << 24;
            let due = (elapsed_24 / u128::from(self.interval_24)) as u64 + 1;
            self.admit_up_to(due.clamp(self.due, self.count));
            self.next_due_ns = self.due_ns(self.due);
        }
    }

    /// The next packet's number.
    #[inline]
    pub(crate) fn front(&self) -> Option<u64> {
        if self.waiting == 0 { None } else { Some(self.runs[self.first_run].first) }
    }

    /// Takes it.
    #[inline]
    pub(crate) fn take(&mut self) {
        let run = &mut self.runs[self.first_run];
        (run.first, run.count) = (run.first + 1, run.count - 1);
        self.waiting -= 1;
        if run.count == 0 {
            self.first_run = self.place(1);
            self.run_count -= 1;
        }
    }

    /// When packet `number` is due; now, when packets are always due.
    #[inline]
    pub(crate) fn due_ns(&self, number: u64) -> u64 {
        if self.interval_24 == 0 {
            return self.now_ns;
        }
        let offset = (u128::from(number) * u128::from(self.interval_24)) >> 24;
        self.start_ns.unwrap_or(0).saturating_add(u64::try_from(offset).unwrap_or(u64::MAX))
    }

    /// Packets that were due so far, missed ones included.
    pub(crate) fn generated(&self) -> u64 {
        self.due
    }

    /// Packets that found the ring full.
    pub(crate) fn missed(&self) -> u64 {
        self.missed
    }

    /// When there is something to take: `None` for now, or never again.
    pub(crate) fn next_due_ns(&self) -> Option<u64> {
        (self.waiting == 0 && self.interval_24 != 0).then_some(self.next_due_ns)
    }

    /// Whether every packet was taken or missed.
    pub(crate) fn finished(&self) -> bool {
        self.due == self.count && self.waiting == 0
    }

    fn admit_up_to(&mut self, due: u64) {
        let new = due - self.due;
        let admitted = new.min(self.runs.len() as u64 - self.waiting);
        self.push(admitted);
        self.missed += new - admitted;
        self.due = due;
    }

    /// Lets the next `count` packets into the ring; there is room.
    fn push(&mut self, count: u64) {
        if count == 0 {
            return;
        }
        let last = self.place(self.run_count.wrapping_sub(1));
        let follows = self.run_count > 0 && {
            let run = &self.runs[last];
            run.first + run.count == self.due
        };
        if follows {
            self.runs[last].count += count;
        } else {
            self.runs[self.place(self.run_count)] = Run { first: self.due, count };
            self.run_count += 1;
        }
        self.waiting += count;
        self.due += count;
    }

    fn place(&self, offset: usize) -> usize {
        self.first_run.wrapping_add(offset) & (self.runs.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MICROSECOND_24: u64 = 1000 << 24;

    fn taken(schedule: &mut Schedule, most: usize) -> Vec<u64> {
        let mut taken = Vec::new();
        while taken.len() < most
            && let Some(number) = schedule.front()
        {
            taken.push(number);
            schedule.take();
        }
        taken
    }

    #[test]
    fn packets_are_due_at_the_rate() {
        let mut schedule = Schedule::new(MICROSECOND_24, u64::MAX, 8);
        schedule.admit(5_000);
        assert_eq!(taken(&mut schedule, 9), [0]);
        assert_eq!(schedule.next_due_ns(), Some(6_000));
        schedule.admit(5_999);
        assert_eq!(taken(&mut schedule, 9), []);
        schedule.admit(8_000);
        assert_eq!(taken(&mut schedule, 9), [1, 2, 3]);
        assert_eq!(schedule.due_ns(3), 8_000);
    }

    #[test]
    fn a_stall_misses_what_the_ring_has_no_room_for_and_keeps_the_oldest() {
        let mut schedule = Schedule::new(MICROSECOND_24, 100, 8);
        schedule.admit(0);
        schedule.admit(20_000);
        assert_eq!((schedule.missed(), schedule.generated()), (13, 21));
        assert_eq!(taken(&mut schedule, 2), [0, 1]);
        schedule.admit(22_000);
        assert_eq!(taken(&mut schedule, 99), [2, 3, 4, 5, 6, 7, 21, 22]);
        schedule.admit(1_000_000);
        assert_eq!(taken(&mut schedule, 99), [23, 24, 25, 26, 27, 28, 29, 30]);
        assert!(schedule.finished());
        assert_eq!(schedule.missed() + 18, 100);
    }

    #[test]
    fn without_a_rate_nothing_is_missed() {
        let mut schedule = Schedule::new(0, 20, 8);
        let mut all = Vec::new();
        for now in 0..10 {
            schedule.admit(now * 1_000_000);
            all.extend(taken(&mut schedule, 5));
        }
        assert!(all.into_iter().eq(0..20));
        assert!(schedule.finished() && schedule.missed() == 0);
    }
}
