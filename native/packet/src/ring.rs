//! A ring from one lcore to another: one producer, one consumer, no lock.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A cache line of its own: producer and consumer must not share one.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Padded<T>(T);

#[derive(Debug)]
struct Shared<T> {
    slots: Box<[UnsafeCell<MaybeUninit<T>>]>,
    /// Entries ever written; the producer's.
    head: Padded<AtomicUsize>,
    /// Entries ever read; the consumer's.
    tail: Padded<AtomicUsize>,
}

// SAFETY: a slot is written by the producer before `head` is released past it and read by the
// consumer after acquiring it; `tail` guards the way back. `T: Copy`, so no drop is owed.
unsafe impl<T: Copy + Send> Sync for Shared<T> {}

/// The writing end.
#[derive(Debug)]
pub struct Producer<T> {
    shared: Arc<Shared<T>>,
    head: usize,
    /// Last seen; read again only when the ring looks full.
    tail: usize,
}

/// The reading end.
#[derive(Debug)]
pub struct Consumer<T> {
    shared: Arc<Shared<T>>,
    tail: usize,
    /// Last seen; read again only when the ring looks empty.
    head: usize,
}

/// A ring of at least `capacity` entries (rounded up to a power of two).
pub fn ring<T: Copy + Send>(capacity: usize) -> (Producer<T>, Consumer<T>) {
    let capacity = capacity.max(2).next_power_of_two();
    let slots = (0..capacity).map(|_| UnsafeCell::new(MaybeUninit::uninit())).collect();
    let shared = Arc::new(Shared { slots, head: Padded::default(), tail: Padded::default() });
    let producer = Producer { shared: Arc::clone(&shared), head: 0, tail: 0 };
    (producer, Consumer { shared, tail: 0, head: 0 })
}

impl<T: Copy + Send> Producer<T> {
    /// Writes as many of `items`, in order, as there is room for; returns how many.
    #[inline]
    pub fn push(&mut self, items: &[T]) -> usize {
        let capacity = self.shared.slots.len();
        if capacity - self.head.wrapping_sub(self.tail) < items.len() {
            self.tail = self.shared.tail.0.load(Ordering::Acquire);
        }
        let room = capacity - self.head.wrapping_sub(self.tail);
        let count = room.min(items.len());
        for item in &items[..count] {
            let slot = &self.shared.slots[self.head & (capacity - 1)];
            // SAFETY: this slot was read already (tail is past it), and only we write.
            unsafe { (*slot.get()).write(*item) };
            self.head = self.head.wrapping_add(1);
        }
        if count > 0 {
            self.shared.head.0.store(self.head, Ordering::Release);
        }
        count
    }

    /// Entries written that the consumer has not read.
    pub fn len(&self) -> usize {
        self.head.wrapping_sub(self.shared.tail.0.load(Ordering::Acquire))
    }

    /// Whether the consumer has read everything.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T: Copy + Send> Consumer<T> {
    /// Reads up to `out.len()` entries in order; returns how many.
    #[inline]
    pub fn pop(&mut self, out: &mut [T]) -> usize {
        if self.head.wrapping_sub(self.tail) < out.len() {
            self.head = self.shared.head.0.load(Ordering::Acquire);
        }
        let count = self.head.wrapping_sub(self.tail).min(out.len());
        let mask = self.shared.slots.len() - 1;
        for item in &mut out[..count] {
            let slot = &self.shared.slots[self.tail & mask];
            // SAFETY: the producer released `head` past this slot, so it is initialised.
            *item = unsafe { (*slot.get()).assume_init() };
            self.tail = self.tail.wrapping_add(1);
        }
        if count > 0 {
            self.shared.tail.0.store(self.tail, Ordering::Release);
        }
        count
    }

    /// Entries that wait.
    pub fn len(&self) -> usize {
        self.shared.head.0.load(Ordering::Acquire).wrapping_sub(self.tail)
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the producer is gone, so that nothing will come once it is empty.
    pub fn is_abandoned(&self) -> bool {
        Arc::strong_count(&self.shared) == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_ring_takes_no_more_until_it_is_read() {
        let (mut producer, mut consumer) = ring::<u32>(4);
        assert_eq!(producer.push(&[1, 2, 3, 4, 5]), 4);
        let mut out = [0; 3];
        assert_eq!((consumer.pop(&mut out), out), (3, [1, 2, 3]));
        assert_eq!(producer.push(&[5, 6, 7, 8]), 3);
        assert_eq!(consumer.len(), 4);
    }

    #[test]
    fn entries_cross_threads_in_order() {
        let (mut producer, mut consumer) = ring::<u64>(64);
        let writer = std::thread::spawn(move || {
            let mut next = 0u64;
            while next < 1_000_000 {
                let batch: Vec<u64> = (next..(next + 17).min(1_000_000)).collect();
                next += producer.push(&batch) as u64;
            }
        });
        let (mut expected, mut out) = (0u64, [0u64; 32]);
        while expected < 1_000_000 {
            let count = consumer.pop(&mut out);
            for &value in &out[..count] {
                assert_eq!(value, expected);
                expected += 1;
            }
        }
        writer.join().expect("the writer ends");
        assert!(consumer.is_abandoned() && consumer.is_empty());
    }
}
