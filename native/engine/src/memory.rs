//! Linear memory of program instances: 4 GiB of nothing, with windows (DESIGN §4).

use std::cell::RefCell;
use std::io;
use std::ptr;
use std::sync::Arc;

use wasmtime::{LinearMemory, MemoryCreator, MemoryType};
use wirelet_abi::{Error, ErrorCode, guest};
use wirelet_packet::{ALIAS_BYTES, Backing};

/// Address space of one instance: all that 32 bits reach.
pub const RESERVATION_BYTES: usize = 4 << 30;
/// Behind it: what a load with the largest constant offset can reach past 4 GiB.
pub const GUARD_BYTES: usize = 4 << 30;
/// So that a window has one address to the first-level cache in every program, and native code's; a
/// multiple of the largest page, at which hugetlb mappings must begin.
const ALIGNMENT: usize = ALIAS_BYTES;

thread_local! {
    /// The memory that the instantiation under way on this thread has made, or why it could not:
    /// wasmtime would pass on the text of an error, and lose its code.
    static CREATED: RefCell<Option<Result<Arc<GuestMemory>, Error>>> = const { RefCell::new(None) };
}

/// One instance's address space. Everything is PROT_NONE until a window is mapped into it.
#[derive(Debug)]
pub struct GuestMemory {
    reservation: *mut u8,
    base: *mut u8,
    own_bytes: usize,
}

// SAFETY: only addresses; what is behind them is reached through raw pointers by whoever runs or
// checks the instance, one thread at a time.
unsafe impl Send for GuestMemory {}
// SAFETY: as above; no method gives out a reference into the memory.
unsafe impl Sync for GuestMemory {}

impl GuestMemory {
    fn new(own_bytes: usize) -> io::Result<GuestMemory> {
        let bytes = RESERVATION_BYTES + GUARD_BYTES + ALIGNMENT;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: address space of the kernel's choice, without access: it overlaps nothing.
        let reservation =
            unsafe { libc::mmap(ptr::null_mut(), bytes, libc::PROT_NONE, flags, -1, 0) };
        if reservation == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let reservation: *mut u8 = reservation.cast();
        let base = reservation.map_addr(|address| address.next_multiple_of(ALIGNMENT));
        let memory = GuestMemory { reservation, base, own_bytes };
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        memory.map(guest::PROGRAM_MEMORY, own_bytes, flags, -1, Access::ReadWrite)?;
        Ok(memory)
    }

    /// Maps all of `backing` at guest address `at`.
    ///
    /// # Errors
    /// `WIRELET_E_MAP_COUNT` when the kernel allows no more mappings, `WIRELET_E_MEMORY_EXHAUSTED`
    /// for anything else it refuses.
    pub fn open(&self, at: u32, backing: &Backing, access: Access) -> Result<(), Error> {
        self.map(at, backing.bytes(), libc::MAP_SHARED, backing.fd(), access).map_err(refused)
    }

    /// Takes a window away again: a touch is a trap from now on. Of a program that may be running,
    /// so only what it has no address of any more.
    pub fn close(&self, at: u32, bytes: usize) {
        assert!(at as usize + bytes <= RESERVATION_BYTES, "window {at:#x} + {bytes:#x}");
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED;
        let place = self.address(at).cast();
        // SAFETY: the range lies within our own reservation, so MAP_FIXED replaces nothing else. A
        // failure leaves the window mapped: its memory stays until the instance goes.
        unsafe { libc::mmap(place, bytes, libc::PROT_NONE, flags, -1, 0) };
    }

    /// Populated: an lcore must never take a page fault for a window.
    fn map(&self, at: u32, bytes: usize, flags: i32, fd: i32, access: Access) -> io::Result<()> {
        assert!(at as usize + bytes <= RESERVATION_BYTES, "window {at:#x} + {bytes:#x}");
        let protection = match access {
            Access::Read => libc::PROT_READ,
            Access::ReadWrite => libc::PROT_READ | libc::PROT_WRITE,
        };
        let flags = flags | libc::MAP_FIXED | libc::MAP_POPULATE;
        // SAFETY: the range lies within our own reservation, so MAP_FIXED replaces nothing else.
        let mapped =
            unsafe { libc::mmap(self.address(at).cast(), bytes, protection, flags, fd, 0) };
        if mapped == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Native address of guest address `at`; whether something is mapped there is another matter.
    #[inline]
    pub fn address(&self, at: u32) -> *mut u8 {
        // SAFETY: 32 bits stay within the 4 GiB that are reserved.
        unsafe { self.base.add(at as usize) }
    }

    /// `bytes` bytes at guest address `at`, if they lie within the program's own memory.
    pub fn own(&self, at: u32, bytes: usize) -> Option<*mut u8> {
        let first = (at as usize).checked_sub(guest::PROGRAM_MEMORY as usize)?;
        let end = first.checked_add(bytes)?;
        (end <= self.own_bytes).then(|| self.address(at))
    }

    /// Copies at most `max` bytes out of the program's own memory; `None` when they are not its
    /// own.
    pub fn copy_own(&self, at: u32, bytes: u32, max: usize) -> Option<Vec<u8>> {
        let start = self.own(at, bytes as usize)?;
        let mut copy = vec![0; (bytes as usize).min(max)];
        // SAFETY: `own` says the range is mapped; `copy` is a fresh allocation of that length. The
        // instance runs on this thread, in the host call that asks, so nobody writes meanwhile.
        unsafe { ptr::copy_nonoverlapping(start, copy.as_mut_ptr(), copy.len()) };
        Some(copy)
    }
}

impl Drop for GuestMemory {
    fn drop(&mut self) {
        let bytes = RESERVATION_BYTES + GUARD_BYTES + ALIGNMENT;
        // SAFETY: the whole reservation, windows included, is ours and no longer used.
        unsafe { libc::munmap(self.reservation.cast(), bytes) };
    }
}

/// What a program may do with a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read it.
    Read,
    /// Read and write it.
    ReadWrite,
}

/// Makes the memories that wasmtime asks for.
pub struct GuestMemoryCreator;

// SAFETY: the memory has `minimum` bytes from `as_ptr`, of which what is not mapped faults, within
// a reservation of 4 GiB and a guard of the size that the config announces; it never moves.
unsafe impl MemoryCreator for GuestMemoryCreator {
    fn new_memory(
        &self,
        _ty: MemoryType,
        minimum: usize,
        maximum: Option<usize>,
        reserved_size_in_bytes: Option<usize>,
        guard_size_in_bytes: usize,
    ) -> Result<Box<dyn LinearMemory>, String> {
        // The door has checked all of this; wasmtime's own idea must agree.
        assert_eq!(maximum, Some(minimum));
        assert!(reserved_size_in_bytes.is_none_or(|bytes| bytes <= RESERVATION_BYTES));
        assert!(guard_size_in_bytes <= GUARD_BYTES);
        let own_bytes = minimum - guest::PROGRAM_MEMORY as usize;
        let created = GuestMemory::new(own_bytes).map(Arc::new).map_err(refused);
        CREATED.set(Some(created.clone()));
        let memory = created.map_err(|error| error.to_string())?;
        Ok(Box::new(Linear { memory, bytes: minimum }))
    }
}

/// The memory that the last instantiation on this thread made, or why it made none.
pub fn take_created() -> Option<Result<Arc<GuestMemory>, Error>> {
    CREATED.take()
}

struct Linear {
    memory: Arc<GuestMemory>,
    bytes: usize,
}

// SAFETY: see `GuestMemoryCreator`; pointer and size never change.
unsafe impl LinearMemory for Linear {
    fn byte_size(&self) -> usize {
        self.bytes
    }

    fn byte_capacity(&self) -> usize {
        self.bytes
    }

    fn grow_to(&mut self, _new_size: usize) -> wasmtime::Result<()> {
        Err(wasmtime::Error::msg("memories of programs don't grow"))
    }

    fn as_ptr(&self) -> *mut u8 {
        self.memory.base
    }
}

fn refused(error: io::Error) -> Error {
    let mappings =
        || std::fs::read_to_string("/proc/self/maps").map_or(0, |maps| maps.lines().count());
    let limit = || {
        let text = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap_or_default();
        text.trim().parse::<usize>().unwrap_or(65_530)
    };
    if error.raw_os_error() == Some(libc::ENOMEM) && mappings() + 16 > limit() {
        let message = format!("{} mappings, the limit is {}", mappings(), limit());
        return Error::new(ErrorCode::MapCount, message);
    }
    Error::new(ErrorCode::MemoryExhausted, format!("a program's memory: {error}"))
}
