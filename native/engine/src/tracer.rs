//! An lcore's end of a trace: copies of packets that match, with what became of them, into memory
//! that goes round between the lcore and who shows them. The lcore never waits, and what finds no
//! room is counted.

use std::cell::UnsafeCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wirelet_abi::limits::BURST_MAX;
use wirelet_drivers::Filter;
use wirelet_packet::ring::{Consumer, Producer, ring};
use wirelet_packet::{Mbuf, Region};

use crate::fate::Fate;

/// Copies that may wait, as memory allows.
const COPIES: std::ops::RangeInclusive<usize> = 64..=1024;
/// Bytes of copies.
const COPIES_BYTES: usize = 4 << 20;

/// What a copy is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// As it came in by the port.
    Rx,
    /// As it left by the port.
    Tx,
    /// As the program got it, where it has changed it.
    Before,
    /// As the program left it; of a dropped one, as it got it.
    After,
}

/// A copy on its way to who shows it.
#[derive(Clone, Copy, Debug)]
pub struct Copied {
    copy: u32,
    /// Bytes of the packet; `kept` of them were copied.
    pub length: u16,
    kept: u16,
    /// Port it came in by.
    pub port: u16,
    /// Of what.
    pub moment: Moment,
    /// What became of it.
    pub fate: Fate,
    /// When it was copied, ns since the epoch.
    pub timestamp_ns: u64,
}

impl Copied {
    const NONE: Copied = Copied {
        copy: 0,
        length: 0,
        kept: 0,
        port: 0,
        moment: Moment::Rx,
        fate: Fate::OPEN,
        timestamp_ns: 0,
    };
}

/// Memory for copies. A copy belongs to who took its number out of a ring.
struct Copies {
    bytes: Box<[UnsafeCell<u8>]>,
    each: usize,
}

// SAFETY: a copy's bytes are touched only by who has its number, and numbers change hands by rings,
// which order what was written before.
unsafe impl Sync for Copies {}

impl Copies {
    /// Every page is written here, so that an lcore faults none in.
    fn new(count: usize, each: usize) -> Copies {
        Copies { bytes: (0..count * each).map(|_| UnsafeCell::new(0xFF)).collect(), each }
    }

    /// Where a copy begins.
    fn at(&self, copy: u32) -> *mut u8 {
        let start = copy as usize * self.each;
        self.bytes[start..start + self.each].as_ptr().cast_mut().cast()
    }

    /// # Safety
    /// The caller has the number `copy`; `kept` bytes were written.
    unsafe fn read(&self, copy: u32, kept: usize) -> &[u8] {
        assert!(kept <= self.each);
        // SAFETY: it lies within, was written, and nobody else touches it meanwhile.
        unsafe { std::slice::from_raw_parts(self.at(copy), kept) }
    }
}

/// What a trace asks of a packet.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// All packets where there is none.
    pub filter: Option<Filter>,
    /// One of so many that match, per lcore and direction.
    pub every: u64,
    /// Bytes of a packet to keep.
    pub snap: usize,
}

/// The lcore's end. Several traces of one place are a list, so that an lcore can put one in and
/// take one out without memory.
pub struct Tracer {
    /// The trace's number.
    pub id: u64,
    wanted: Wanted,
    matched: u64,
    free: Consumer<u32>,
    full: Producer<Copied>,
    copies: Arc<Copies>,
    lost: Arc<AtomicU64>,
    /// Copies of the burst under way, by their packet's place.
    staged: Box<[(u8, Copied); BURST_MAX]>,
    count: usize,
    /// For comparing; always there while a program changes nothing.
    spare: Option<u32>,
    next: Option<Box<Tracer>>,
}

/// The other end.
pub struct Viewer {
    free: Producer<u32>,
    full: Consumer<Copied>,
    copies: Arc<Copies>,
    lost: Arc<AtomicU64>,
}

/// Both ends of trace `id` on one lcore.
pub fn tracer(id: u64, wanted: Wanted) -> (Box<Tracer>, Viewer) {
    let each = wanted.snap.max(1);
    let count = (COPIES_BYTES / each).clamp(*COPIES.start(), *COPIES.end());
    // One more, for comparing.
    let copies = Arc::new(Copies::new(count + 1, each));
    let ((mut free, lcores_free), (lcores_full, full)) = (ring(count + 1), ring(count + 1));
    free.push(&(0..count as u32).collect::<Vec<_>>());
    let lost = Arc::new(AtomicU64::new(0));
    let tracer = Tracer {
        id,
        wanted,
        matched: 0,
        free: lcores_free,
        full: lcores_full,
        copies: Arc::clone(&copies),
        lost: Arc::clone(&lost),
        staged: Box::new([(0, Copied::NONE); BURST_MAX]),
        count: 0,
        spare: Some(count as u32),
        next: None,
    };
    (Box::new(tracer), Viewer { free, full, copies, lost })
}

impl Tracer {
    /// Copies what matches of `packets`, which come with their places in the burst.
    pub fn see<'a>(
        &mut self,
        region: &Region,
        packets: impl Iterator<Item = (u8, &'a Mbuf)> + Clone,
        (moment, timestamp_ns): (Moment, u64),
    ) {
        self.count = 0;
        for (place, mbuf) in packets.clone() {
            // SAFETY: the packet lies within its frame (checked whenever it changes), which is the
            // lcore's now.
            let matches = |filter: &Filter| unsafe { filter.matches_mbuf(region, mbuf) };
            if !self.wanted.filter.as_ref().is_none_or(matches) {
                continue;
            }
            self.matched += 1;
            if !(self.matched - 1).is_multiple_of(self.wanted.every) {
                continue;
            }
            let Some(copy) = self.take_free() else { continue };
            let kept = self.copy(region, mbuf, copy);
            let Mbuf { length, port, .. } = *mbuf;
            let fate = Fate::OPEN;
            self.staged[self.count] =
                (place, Copied { copy, length, kept, port, moment, fate, timestamp_ns });
            self.count += 1;
        }
        if let Some(next) = &mut self.next {
            next.see(region, packets, (moment, timestamp_ns));
        }
    }

    /// Gives on what was copied, with what became of it by place.
    pub fn tell(&mut self, fate: &dyn Fn(usize) -> Fate) {
        for index in 0..self.count {
            let (place, mut copied) = self.staged[index];
            copied.fate = fate(place.into());
            self.give(copied);
        }
        self.count = 0;
        if let Some(next) = &mut self.next {
            next.tell(fate);
        }
    }

    /// As [`Tracer::tell`], after a program: what it has changed is copied again. `packet` is
    /// `None` for one whose frame is gone.
    pub fn tell_after<'a>(
        &mut self,
        region: &Region,
        packet: &dyn Fn(usize) -> Option<&'a Mbuf>,
        fate: &dyn Fn(usize) -> Fate,
    ) {
        for index in 0..self.count {
            let (place, mut copied) = self.staged[index];
            copied.fate = fate(place.into());
            match packet(place.into()) {
                None => self.give(copied),
                Some(mbuf) => self.give_after(region, mbuf, copied),
            }
        }
        self.count = 0;
        if let Some(next) = &mut self.next {
            next.tell_after(region, packet, fate);
        }
    }

    /// Gives the packet as it is now, and what it was before where that differs.
    fn give_after(&mut self, region: &Region, mbuf: &Mbuf, copied: Copied) {
        let Some(now) = self.spare.take().or_else(|| self.take_free()) else {
            // Counted as lost.
            self.spare = Some(copied.copy);
            return;
        };
        let kept = self.copy(region, mbuf, now);
        // SAFETY: both numbers are this tracer's, and `kept` bytes of each were written.
        let same = mbuf.length == copied.length
            && unsafe {
                let before = self.copies.read(copied.copy, copied.kept.into());
                self.copies.read(now, kept.into()) == before
            };
        if same {
            self.spare = Some(now);
            return self.give(copied);
        }
        self.give(Copied { moment: Moment::Before, fate: Fate::OPEN, ..copied });
        self.give(Copied { copy: now, length: mbuf.length, kept, ..copied });
    }

    /// Counts a packet as lost when nobody has read for so long.
    fn take_free(&mut self) -> Option<u32> {
        let mut copy = [0];
        if self.free.pop(&mut copy) == 0 {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(copy[0])
    }

    fn copy(&self, region: &Region, mbuf: &Mbuf, copy: u32) -> u16 {
        let kept = usize::from(mbuf.length).min(self.wanted.snap);
        // SAFETY: the packet lies within its frame, which is the lcore's now; the copy is this
        // tracer's and has room for `snap` bytes.
        unsafe { region.data(mbuf).copy_to_nonoverlapping(self.copies.at(copy), kept) };
        kept as u16
    }

    fn give(&mut self, copied: Copied) {
        let given = self.full.push(&[copied]);
        debug_assert_eq!(given, 1, "there are as many places as copies");
    }
}

/// Puts a tracer into a list, in front.
pub fn insert(list: &mut Option<Box<Tracer>>, mut tracer: Box<Tracer>) {
    tracer.next = list.take();
    *list = Some(tracer);
}

/// Takes the tracer of trace `id` out of a list.
pub fn remove(list: &mut Option<Box<Tracer>>, id: u64) -> Option<Box<Tracer>> {
    if list.as_ref()?.id != id {
        return remove(&mut list.as_mut()?.next, id);
    }
    let mut found = list.take()?;
    *list = found.next.take();
    Some(found)
}

impl Viewer {
    /// Hands up to `max` copies to `view`, oldest first, with their bytes; returns how many.
    pub fn view(&mut self, max: usize, mut view: impl FnMut(&Copied, &[u8])) -> usize {
        let mut seen = 0;
        let mut batch = [Copied::NONE; 32];
        while seen < max {
            let want = (max - seen).min(batch.len());
            let count = self.full.pop(&mut batch[..want]);
            for copied in &batch[..count] {
                // SAFETY: the number came out of the ring and goes back only below; `kept` bytes
                // were written before it came.
                view(copied, unsafe { self.copies.read(copied.copy, copied.kept.into()) });
                self.free.push(&[copied.copy]);
            }
            seen += count;
            if count < want {
                break;
            }
        }
        seen
    }

    /// Packets that found no room so far.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests;
