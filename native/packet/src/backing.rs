//! Memory with a file descriptor, so that it can be mapped natively and into programs.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use wirelet_abi::{Error, ErrorCode};

const HUGE_PAGE_BYTES: usize = 2 << 20;
const SMALL_PAGE_BYTES: usize = 4096;
/// Addresses that differ by a multiple of this are one address to a first-level cache that guesses
/// its way by a hash of the address's bits 12 to 27 (AMD, since Zen). Two mappings of the same
/// memory that differ in these bits take each line from the second level each time the other one
/// has touched it: 1.2 ns instead of 0.6 to write a line by one and read it by the other.
pub const ALIAS_BYTES: usize = 1 << 28;
/// Linux 6.1; the libc crate does not have it for every target.
const MADV_COLLAPSE: libc::c_int = 25;

/// Where a backing's pages come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pages {
    /// Ordinary memory: 4 KiB each, or 2 MiB where the kernel can put them together.
    Small,
    /// 2 MiB from the kernel's hugepage pool.
    Huge,
}

impl Pages {
    /// Bytes of such a page.
    pub const fn bytes(self) -> usize {
        match self {
            Pages::Small => SMALL_PAGE_BYTES,
            Pages::Huge => HUGE_PAGE_BYTES,
        }
    }
}

/// A sealed memfd, or a file on tmpfs or hugetlbfs; allocated and populated in full, mapped
/// read-write for native code.
///
/// SIGBUS would kill the process (DESIGN §4), so no page is left to be found missing later: it is
/// allocated before it is mapped, and a memfd is sealed so that nobody can change its size. A file
/// can't be sealed: whoever may write it can still truncate it, and so kill the process.
///
/// Ordinary memory is put together into pages of 2 MiB (MADV_COLLAPSE, Linux 6.1), which needs no
/// privilege and nobody to set hugepages aside. Measured for a region of 36 MiB: mapping it into
/// one more program takes 0.03 ms instead of 2.7, and a touch of a frame half the time (no miss in
/// the TLB). Where the kernel can't, pages stay small.
#[derive(Debug)]
pub struct Backing {
    fd: OwnedFd,
    base: *mut u8,
    bytes: usize,
    tail_bytes: usize,
    pages: Pages,
    collapsed: bool,
}

// SAFETY: the mapping is plain memory that stays until drop; access goes through raw pointers whose
// users answer for their own races.
unsafe impl Send for Backing {}
// SAFETY: as above; no method hands out a reference into the mapping.
unsafe impl Sync for Backing {}

impl Backing {
    /// `bytes` (rounded up to whole pages) of zeroed memory called `name` in /proc/self/maps.
    ///
    /// # Errors
    /// `WIRELET_E_MEMORY_EXHAUSTED` when there are not enough pages of that kind.
    pub fn new(name: &str, bytes: usize, pages: Pages) -> Result<Backing, Error> {
        Self::seen_at(name, bytes, pages, 0)
    }

    /// As [`Backing::new`], for memory that native code and programs touch in turn, packet by
    /// packet: programs see it at guest address `at`, and the native address is the same modulo
    /// [`ALIAS_BYTES`].
    ///
    /// # Errors
    /// As [`Backing::new`].
    pub fn seen_at(name: &str, bytes: usize, pages: Pages, at: u32) -> Result<Backing, Error> {
        let bytes = bytes.max(1).next_multiple_of(pages.bytes());
        Self::allocate(name, bytes, pages, at as usize).map_err(|error| {
            let kind = if pages == Pages::Huge { "hugepages" } else { "memory" };
            let message = format!("{name}: {} MiB of {kind}: {error}", bytes.div_ceil(1 << 20));
            Error::new(ErrorCode::MemoryExhausted, message)
        })
    }

    fn allocate(name: &str, bytes: usize, pages: Pages, at: usize) -> io::Result<Backing> {
        if pages == Pages::Small && bytes as u64 > available_bytes() {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        let fd = create_memfd(name, pages)?;
        let raw = fd.as_raw_fd();
        // SAFETY: plain system calls on a descriptor that we own.
        check(|| unsafe { libc::ftruncate(raw, bytes as libc::off_t) })?;
        let base = map(raw, bytes, at)?;
        let backing = Backing { fd, base, bytes, tail_bytes: 0, pages, collapsed: false }.fill()?;
        let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
        // SAFETY: as above.
        check(|| unsafe { libc::fcntl(raw, libc::F_ADD_SEALS, seals) })?;
        Ok(backing)
    }

    /// Allocates and populates all of it. Of each 2 MiB one page is allocated first: the kernel
    /// puts a large page in its place (zeros but for that page), instead of 512 copied ones.
    fn fill(mut self) -> io::Result<Backing> {
        let (raw, all) = (self.fd.as_raw_fd(), self.bytes + self.tail_bytes);
        if self.pages == Pages::Small {
            for at in (0..all - all % HUGE_PAGE_BYTES).step_by(HUGE_PAGE_BYTES) {
                let page = SMALL_PAGE_BYTES as libc::off_t;
                // SAFETY: a plain system call on a descriptor that we own.
                check(|| unsafe { libc::fallocate(raw, 0, at as libc::off_t, page) })?;
            }
            self.collapsed = collapse(self.base, all);
        }
        // Fills holes, too; fails with ENOSPC instead of a SIGBUS later. In pieces: one that a
        // signal interrupts begins anew.
        for at in (0..all).step_by(HUGE_PAGE_BYTES) {
            let piece = HUGE_PAGE_BYTES.min(all - at) as libc::off_t;
            // SAFETY: as above.
            check(|| unsafe { libc::fallocate(raw, 0, at as libc::off_t, piece) })?;
        }
        populate(self.base, all)?;
        Ok(self)
    }

    /// All of a file: `bytes` of memory, and `tail_bytes` behind it that only native code ever
    /// maps; both whole pages. A file of no bytes becomes as long as it must be.
    ///
    /// # Errors
    /// `WIRELET_E_MEMORY_EXHAUSTED` when there is no room for it, `WIRELET_E_PERSIST` when the file
    /// has another length.
    pub fn of_file(
        file: OwnedFd,
        bytes: usize,
        tail_bytes: usize,
        pages: Pages,
    ) -> Result<Backing, Error> {
        let all = bytes + tail_bytes;
        assert!(bytes.is_multiple_of(pages.bytes()) && tail_bytes.is_multiple_of(pages.bytes()));
        let raw = file.as_raw_fd();
        let failed = |error: io::Error| {
            let message = format!("a file of {} MiB: {error}", all.div_ceil(1 << 20));
            Error::new(ErrorCode::MemoryExhausted, message)
        };
        if length(raw).map_err(failed)? == 0 {
            if pages == Pages::Small && all as u64 > available_bytes() {
                return Err(failed(io::ErrorKind::OutOfMemory.into()));
            }
            // SAFETY: a plain system call on a descriptor that we own.
            check(|| unsafe { libc::ftruncate(raw, all as libc::off_t) }).map_err(failed)?;
        }
        check_length(raw, all)?;
        let base = map(raw, all, 0).map_err(failed)?;
        let backing = Backing { fd: file, base, bytes, tail_bytes, pages, collapsed: false };
        let backing = backing.fill().map_err(failed)?;
        // Once more: from here on nothing looks.
        check_length(raw, all)?;
        Ok(backing)
    }

    /// First byte of what only native code maps: it lies right behind the memory.
    pub fn tail(&self) -> *mut u8 {
        // SAFETY: the mapping has `bytes + tail_bytes` bytes.
        unsafe { self.base.add(self.bytes) }
    }

    /// Bytes of it; 0 for a memfd.
    pub fn tail_bytes(&self) -> usize {
        self.tail_bytes
    }

    /// First byte of the native mapping.
    #[inline]
    pub fn base(&self) -> *mut u8 {
        self.base
    }

    /// Bytes, whole pages.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Kind of pages.
    pub fn pages(&self) -> Pages {
        self.pages
    }

    /// Whether ordinary memory was put together into pages of 2 MiB.
    pub fn collapsed(&self) -> bool {
        self.collapsed
    }

    /// The descriptor, to map it elsewhere.
    pub fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl Drop for Backing {
    fn drop(&mut self) {
        // SAFETY: base and bytes are those of our own mapping, and nobody uses it after drop.
        unsafe { libc::munmap(self.base.cast(), self.bytes + self.tail_bytes) };
    }
}

/// A shared mapping of the first `bytes` bytes at an address that is `at` modulo [`ALIAS_BYTES`].
/// Not yet allocated: a touch would be a SIGBUS when there is no memory.
fn map(fd: RawFd, bytes: usize, at: usize) -> io::Result<*mut u8> {
    let reserved = bytes.next_multiple_of(SMALL_PAGE_BYTES) + ALIAS_BYTES;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: address space of the kernel's choice, without access: it overlaps nothing.
    let start = unsafe { libc::mmap(ptr::null_mut(), reserved, libc::PROT_NONE, flags, -1, 0) };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    let start: *mut u8 = start.cast();
    let base = start.map_addr(|start| start + at.wrapping_sub(start) % ALIAS_BYTES);
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_SHARED | libc::MAP_FIXED;
    // SAFETY: within the space that was just reserved, so MAP_FIXED replaces nothing else.
    let mapped = unsafe { libc::mmap(base.cast(), bytes, protection, flags, fd, 0) };
    let error = io::Error::last_os_error();
    let failed = mapped == libc::MAP_FAILED;
    let used = if failed { 0 } else { bytes };
    let (before, end) = (base.addr() - start.addr(), base.addr() - start.addr() + used);
    for (at, bytes) in [(0, before), (end, reserved - end)] {
        if bytes > 0 {
            // SAFETY: what is left of the reservation on this side of the mapping, nobody uses it.
            unsafe { libc::munmap(start.add(at).cast(), bytes) };
        }
    }
    if failed { Err(error) } else { Ok(base) }
}

/// Asks for large pages; whether all of it has them now, but for a last part that is shorter than
/// one.
fn collapse(base: *mut u8, bytes: usize) -> bool {
    let bytes = bytes - bytes % HUGE_PAGE_BYTES;
    // SAFETY: within our own mapping; what the memory holds stays the same.
    bytes > 0 && unsafe { libc::madvise(base.cast(), bytes, MADV_COLLAPSE) } == 0
}

/// So that nobody takes a page fault later.
fn populate(base: *mut u8, bytes: usize) -> io::Result<()> {
    // SAFETY: within our own mapping, all of it allocated: no SIGBUS; no byte changes.
    if unsafe { libc::madvise(base.cast(), bytes, libc::MADV_POPULATE_WRITE) } == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    if error.raw_os_error() != Some(libc::EINVAL) {
        return Err(error);
    }
    // Linux before 5.14 does not know how.
    for at in (0..bytes).step_by(SMALL_PAGE_BYTES) {
        // SAFETY: within our own mapping, which nobody else uses yet; the byte stays what it is.
        unsafe { base.add(at).write_volatile(base.add(at).read_volatile()) };
    }
    Ok(())
}

fn length(fd: RawFd) -> io::Result<u64> {
    // SAFETY: all zeros are a valid `stat`.
    let mut status: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: a plain system call that fills in `status`.
    check(|| unsafe { libc::fstat(fd, &raw mut status) })?;
    Ok(status.st_size as u64)
}

fn check_length(fd: RawFd, bytes: usize) -> Result<(), Error> {
    let found = length(fd).map_or_else(|error| error.to_string(), |found| found.to_string());
    if found == bytes.to_string() {
        return Ok(());
    }
    Err(Error::new(ErrorCode::Persist, format!("{found} bytes instead of {bytes}")))
}

/// What can be allocated without the kernel killing a process for it: it never refuses a memfd, so
/// this has to be asked before. The least of what the machine and our control group have left.
fn available_bytes() -> u64 {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let number = |text: String| text.trim().parse::<u64>().ok();
    let meminfo = read("/proc/meminfo").and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("MemAvailable:"))?;
        Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
    });
    let limit = read("/sys/fs/cgroup/memory.max").and_then(number);
    let current = read("/sys/fs/cgroup/memory.current").and_then(number).unwrap_or(0);
    let machine = meminfo.unwrap_or(u64::MAX);
    limit.map_or(machine, |limit| machine.min(limit.saturating_sub(current)))
}

fn create_memfd(name: &str, pages: Pages) -> io::Result<OwnedFd> {
    let name = std::ffi::CString::new(name).map_err(io::Error::other)?;
    let mut flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    if pages == Pages::Huge {
        flags |= libc::MFD_HUGETLB | libc::MFD_HUGE_2MB;
    }
    // SAFETY: `name` is a C string that outlives the call.
    let fd = unsafe { libc::memfd_create(name.as_ptr(), flags) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Calls once more what a signal has interrupted: fallocate of older kernels (6.1, in the lab)
/// gives up for any that Node's thread may get.
fn check(mut call: impl FnMut() -> libc::c_int) -> io::Result<()> {
    while call() < 0 {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backing_is_zeroed_writable_and_sealed() {
        let backing = Backing::new("wirelet-test", 5000, Pages::Small).expect("8 KiB");
        assert_eq!(backing.bytes(), 8192);
        // SAFETY: the last byte lies within the mapping.
        unsafe {
            assert_eq!(backing.base().add(8191).read(), 0);
            backing.base().add(8191).write(7);
        }
        // SAFETY: plain system call.
        assert!(unsafe { libc::ftruncate(backing.fd(), 0) } < 0, "a sealed file can't shrink");
    }

    #[test]
    fn memory_that_programs_see_has_their_address_to_a_cache() {
        for (bytes, at) in [(4096, 0x1_0000), (3 * HUGE_PAGE_BYTES, 0x20_0000)] {
            // Two, so that one of them does not lie there by chance.
            for _ in 0..2 {
                let backing = Backing::seen_at("wirelet-test", bytes, Pages::Small, at);
                let base = backing.expect("memory").base().addr();
                assert_eq!(base % ALIAS_BYTES, at as usize);
            }
        }
    }

    /// Bytes of the mapping at `base` that large pages of ordinary memory map.
    fn mapped_large(base: *const u8) -> usize {
        let maps = std::fs::read_to_string("/proc/self/smaps").expect("smaps");
        let head = format!("{:x}-", base.addr());
        let lines = maps.lines().skip_while(|line| !line.starts_with(&head));
        let line = lines.skip(1).find(|line| line.starts_with("ShmemPmdMapped:"));
        let kib = line.and_then(|line| line.split_whitespace().nth(1)).expect("a line with kB");
        kib.parse::<usize>().expect("a number") << 10
    }

    #[test]
    fn ordinary_memory_gets_large_pages_where_the_kernel_can() {
        let bytes = 3 * HUGE_PAGE_BYTES + 3 * SMALL_PAGE_BYTES;
        let backing = Backing::new("wirelet-test", bytes, Pages::Small).expect("6 MiB");
        let large = if backing.collapsed() { 3 * HUGE_PAGE_BYTES } else { 0 };
        assert_eq!(mapped_large(backing.base()), large);
        // Another mapping, as a program's, has them too.
        let again = map(backing.fd(), bytes, 0).expect("a mapping");
        populate(again, bytes).expect("populated");
        assert_eq!(mapped_large(again), large);
        // SAFETY: the last byte lies within both mappings; they show the same memory.
        unsafe {
            backing.base().add(bytes - 1).write(9);
            assert_eq!((again.read(), again.add(bytes - 1).read()), (0, 9));
            libc::munmap(again.cast(), bytes);
        }
    }

    fn file(bytes: u64) -> OwnedFd {
        let fd = create_memfd("wirelet-test", Pages::Small).expect("a memfd, in place of a file");
        // SAFETY: a plain system call.
        check(|| unsafe { libc::ftruncate(fd.as_raw_fd(), bytes as libc::off_t) })
            .expect("a length");
        fd
    }

    #[test]
    fn a_file_has_a_tail_that_is_not_of_the_memory() {
        let file = file(0);
        let other = file.try_clone().expect("a descriptor");
        let backing = Backing::of_file(file, 8192, 4096, Pages::Small).expect("a new file");
        assert_eq!((backing.bytes(), backing.tail_bytes()), (8192, 4096));
        assert_eq!(length(backing.fd()).expect("a length"), 12_288);
        // SAFETY: the last byte of the tail is mapped.
        unsafe { backing.tail().add(4095).write(7) };
        drop(backing);
        let again = Backing::of_file(other, 8192, 4096, Pages::Small).expect("as it was");
        // SAFETY: as above.
        assert_eq!(unsafe { again.tail().add(4095).read() }, 7);
    }

    #[test]
    fn a_file_of_another_length_is_not_mapped() {
        for bytes in [1, 4096, 12_287, 12_289, 1 << 30] {
            let backing = Backing::of_file(file(bytes), 8192, 4096, Pages::Small);
            assert_eq!(backing.expect_err("truncated or grown").code, ErrorCode::Persist);
        }
    }

    #[test]
    fn more_memory_than_there_is_is_a_coded_error() {
        let error = Backing::new("wirelet-test", 1 << 50, Pages::Small).expect_err("1 PiB");
        assert_eq!(error.code, ErrorCode::MemoryExhausted);
    }
}
