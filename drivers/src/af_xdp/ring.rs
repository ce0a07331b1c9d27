//! The four rings of an AF_XDP socket, in memory shared with the kernel.
//!
//! A ring is an array whose length is a power of two, and two counters that only grow (and wrap):
//! the producer has written all entries before *producer*, the consumer has read all before
//! *consumer*. One side of each ring is the kernel's. `Documentation/networking/af_xdp.rst`.
//!
//! Each side keeps its own copy of the other's counter and looks again only when the copy says
//! that there is not enough: the cache line that the kernel writes is touched once per burst.

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering, fence};

/// The kernel has gone to sleep on this ring and wants a system call.
const NEED_WAKEUP: u32 = libc::XDP_RING_NEED_WAKEUP;

/// Where the parts of a ring lie, and the memory they lie in.
#[derive(Debug)]
struct Shared<T> {
    base: *mut u8,
    bytes: usize,
    producer: *const AtomicU32,
    consumer: *const AtomicU32,
    flags: *const AtomicU32,
    entries: *mut T,
    mask: u32,
    _entries: PhantomData<T>,
}

// SAFETY: the mapping belongs to this value alone, and stays where it is until it is dropped.
unsafe impl<T: Send> Send for Shared<T> {}

impl<T: Copy> Shared<T> {
    /// Maps the ring of `size` entries at `page_offset` of an AF_XDP socket.
    fn map(
        socket: BorrowedFd<'_>,
        page_offset: libc::off_t,
        offsets: &libc::xdp_ring_offset,
        size: u32,
    ) -> io::Result<Shared<T>> {
        assert!(size.is_power_of_two());
        let bytes = offsets.desc as usize + size as usize * size_of::<T>();
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_POPULATE;
        let (null, fd) = (ptr::null_mut(), socket.as_raw_fd());
        // SAFETY: a new mapping at an address of the kernel's choice overlaps nothing.
        let base = unsafe { libc::mmap(null, bytes, protection, flags, fd, page_offset) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel says where in the mapping each part lies, aligned for its type; the
        // mapping is as long as the last of them.
        Ok(unsafe { Shared::at(base.cast(), bytes, offsets, size) })
    }

    /// # Safety
    /// `base` is a mapping of `bytes` that this value may unmap, and holds a ring at `offsets`.
    unsafe fn at(
        base: *mut u8,
        bytes: usize,
        offsets: &libc::xdp_ring_offset,
        size: u32,
    ) -> Shared<T> {
        // SAFETY: the caller's promise: every offset lies within the mapping.
        let part = |offset: u64| unsafe { base.add(offset as usize) };
        Shared {
            base,
            bytes,
            producer: part(offsets.producer).cast(),
            consumer: part(offsets.consumer).cast(),
            flags: part(offsets.flags).cast(),
            entries: part(offsets.desc).cast(),
            mask: size - 1,
            _entries: PhantomData,
        }
    }

    fn producer(&self) -> &AtomicU32 {
        // SAFETY: within the mapping, aligned, and only ever used as an atomic, by both sides.
        unsafe { &*self.producer }
    }

    fn consumer(&self) -> &AtomicU32 {
        // SAFETY: as above.
        unsafe { &*self.consumer }
    }

    fn flags(&self) -> u32 {
        // SAFETY: as above.
        unsafe { (*self.flags).load(Ordering::Relaxed) }
    }

    fn entry(&self, counter: u32) -> *mut T {
        // SAFETY: masked, so within the array of mask + 1 entries.
        unsafe { self.entries.add((counter & self.mask) as usize) }
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // SAFETY: our own mapping, and nobody uses it after drop.
        unsafe { libc::munmap(self.base.cast(), self.bytes) };
    }
}

/// A ring that we write: fill or transmit.
#[derive(Debug)]
pub(super) struct ProducerRing<T> {
    shared: Shared<T>,
    /// Entries that we have written.
    written: u32,
    /// How far the kernel had read when we last looked.
    read: u32,
}

impl<T: Copy> ProducerRing<T> {
    /// Maps such a ring.
    pub(super) fn map(
        socket: BorrowedFd<'_>,
        page_offset: libc::off_t,
        offsets: &libc::xdp_ring_offset,
        size: u32,
    ) -> io::Result<ProducerRing<T>> {
        Shared::map(socket, page_offset, offsets, size).map(ProducerRing::new)
    }

    fn new(shared: Shared<T>) -> ProducerRing<T> {
        let written = shared.producer().load(Ordering::Relaxed);
        let read = shared.consumer().load(Ordering::Acquire);
        ProducerRing { shared, written, read }
    }

    /// Free entries, as far as anybody wants to know: `want` or fewer.
    #[inline]
    pub(super) fn free(&mut self, want: u32) -> u32 {
        let size = self.shared.mask + 1;
        if size - self.written.wrapping_sub(self.read) < want {
            self.read = self.shared.consumer().load(Ordering::Acquire);
        }
        (size - self.written.wrapping_sub(self.read)).min(want)
    }

    /// Writes one entry; the kernel sees it after [`Self::publish`].
    ///
    /// # Panics
    /// When the ring is full: ask [`Self::free`] before.
    #[inline]
    pub(super) fn push(&mut self, entry: T) {
        assert!(self.written.wrapping_sub(self.read) <= self.shared.mask, "the ring is full");
        // SAFETY: a free entry is ours, the kernel does not look at it before it is published.
        unsafe { self.shared.entry(self.written).write(entry) };
        self.written = self.written.wrapping_add(1);
    }

    /// Shows the kernel what was written.
    #[inline]
    pub(super) fn publish(&self) {
        self.shared.producer().store(self.written, Ordering::Release);
    }

    /// Entries that the kernel has not taken yet. It writes this counter late in copy mode.
    pub(super) fn pending(&self) -> u32 {
        self.written.wrapping_sub(self.shared.consumer().load(Ordering::Acquire))
    }

    /// Whether the kernel waits for a system call before it looks at this ring again.
    ///
    /// The fence stands between our counter and its flag: without it we could miss that it has just
    /// gone to sleep, and it that there is work. Costs about 20 cycles.
    #[inline]
    pub(super) fn needs_wakeup(&self) -> bool {
        fence(Ordering::SeqCst);
        self.shared.flags() & NEED_WAKEUP != 0
    }
}

/// A ring that we read: receive or completion.
#[derive(Debug)]
pub(super) struct ConsumerRing<T> {
    shared: Shared<T>,
    /// Entries that we have read.
    read: u32,
    /// How far the kernel had written when we last looked.
    written: u32,
}

impl<T: Copy> ConsumerRing<T> {
    /// Maps such a ring.
    pub(super) fn map(
        socket: BorrowedFd<'_>,
        page_offset: libc::off_t,
        offsets: &libc::xdp_ring_offset,
        size: u32,
    ) -> io::Result<ConsumerRing<T>> {
        Shared::map(socket, page_offset, offsets, size).map(ConsumerRing::new)
    }

    fn new(shared: Shared<T>) -> ConsumerRing<T> {
        let read = shared.consumer().load(Ordering::Relaxed);
        let written = shared.producer().load(Ordering::Acquire);
        ConsumerRing { shared, read, written }
    }

    /// Entries that can be read, as far as anybody wants to know: `want` or fewer.
    #[inline]
    pub(super) fn ready(&mut self, want: u32) -> u32 {
        if self.written.wrapping_sub(self.read) < want {
            self.written = self.shared.producer().load(Ordering::Acquire);
        }
        self.written.wrapping_sub(self.read).min(want)
    }

    /// Reads one entry; the kernel may use it again after [`Self::release`].
    ///
    /// # Panics
    /// When there is none: ask [`Self::ready`] before.
    #[inline]
    pub(super) fn pop(&mut self) -> T {
        assert!(self.written != self.read, "the ring is empty");
        // SAFETY: the kernel has released this entry to us and does not touch it until we give it
        // back; any bytes are a valid T (integers only).
        let entry = unsafe { self.shared.entry(self.read).read() };
        self.read = self.read.wrapping_add(1);
        entry
    }

    /// How far the kernel has written, just now.
    pub(super) fn written(&self) -> u32 {
        self.shared.producer().load(Ordering::Acquire)
    }

    /// Gives the kernel the entries back that were read.
    #[inline]
    pub(super) fn release(&self) {
        self.shared.consumer().store(self.read, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFSETS: libc::xdp_ring_offset =
        libc::xdp_ring_offset { producer: 0, consumer: 64, flags: 128, desc: 192 };
    const SIZE: u32 = 8;

    /// A ring in anonymous memory, both counters at `start`, seen from both sides.
    fn both_sides(start: u32) -> (ProducerRing<u64>, ConsumerRing<u64>) {
        let bytes = 4096;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping overlaps nothing.
        let base = unsafe { libc::mmap(ptr::null_mut(), bytes, protection, flags, -1, 0) };
        assert!(base != libc::MAP_FAILED);
        // SAFETY: a second mapping of the same pages: each side unmaps its own.
        let twin = unsafe { libc::mremap(base, 0, bytes, libc::MREMAP_MAYMOVE) };
        assert!(twin != libc::MAP_FAILED);
        let side = |base: *mut libc::c_void| {
            // SAFETY: page-aligned memory of 4,096 bytes, and 192 + 8 x 8 fit.
            let shared = unsafe { Shared::at(base.cast(), bytes, &OFFSETS, SIZE) };
            shared.producer().store(start, Ordering::Relaxed);
            shared.consumer().store(start, Ordering::Relaxed);
            shared
        };
        (ProducerRing::new(side(base)), ConsumerRing::new(side(twin)))
    }

    #[test]
    fn nothing_is_seen_before_it_is_published() {
        let (mut producer, mut consumer) = both_sides(0);
        assert_eq!((producer.free(100), consumer.ready(100)), (SIZE, 0));
        producer.push(7);
        assert_eq!((consumer.ready(1), producer.pending()), (0, 1));
        producer.publish();
        assert_eq!((consumer.ready(100), consumer.pop()), (1, 7));
        assert_eq!((producer.pending(), producer.free(SIZE)), (1, SIZE - 1));
        consumer.release();
        assert_eq!((producer.pending(), producer.free(SIZE)), (0, SIZE));
    }

    #[test]
    fn counters_wrap_and_order_is_kept() {
        let (mut producer, mut consumer) = both_sides(u32::MAX - 20);
        let (mut next_in, mut next_out) = (0, 0);
        for round in 0..100u32 {
            for _ in 0..producer.free(round % SIZE + 1) {
                producer.push(next_in);
                next_in += 1;
            }
            producer.publish();
            for _ in 0..consumer.ready(round % 5) {
                assert_eq!(consumer.pop(), next_out);
                next_out += 1;
            }
            consumer.release();
            assert!(next_in - next_out <= u64::from(SIZE));
        }
        assert!(next_out > 100, "{next_out} went through, past the wrap at 20");
    }

    #[test]
    #[should_panic(expected = "full")]
    fn a_full_ring_takes_no_more() {
        let (mut producer, _consumer) = both_sides(u32::MAX - 3);
        (0..=SIZE).for_each(|entry| producer.push(entry.into()));
    }

    #[test]
    #[should_panic(expected = "empty")]
    fn an_empty_ring_gives_nothing() {
        both_sides(0).1.pop();
    }

    #[test]
    fn a_sleeping_kernel_is_noticed() {
        let (producer, consumer) = both_sides(0);
        assert!(!producer.needs_wakeup());
        // SAFETY: within the mapping; the kernel would write it.
        unsafe { (*consumer.shared.flags).store(NEED_WAKEUP | 8, Ordering::Relaxed) };
        assert!(producer.needs_wakeup());
    }
}
