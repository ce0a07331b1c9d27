//! Memory with a file descriptor, so that it can be mapped natively and into programs.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use wirelet_abi::{Error, ErrorCode};

const HUGE_PAGE_BYTES: usize = 2 << 20;
const SMALL_PAGE_BYTES: usize = 4096;

/// Which pages a backing has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pages {
    /// 4 KiB.
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
#[derive(Debug)]
pub struct Backing {
    fd: OwnedFd,
    base: *mut u8,
    bytes: usize,
    tail_bytes: usize,
    pages: Pages,
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
        let bytes = bytes.max(1).next_multiple_of(pages.bytes());
        Self::allocate(name, bytes, pages).map_err(|error| {
            let kind = if pages == Pages::Huge { "hugepages" } else { "memory" };
            let message = format!("{name}: {} MiB of {kind}: {error}", bytes.div_ceil(1 << 20));
            Error::new(ErrorCode::MemoryExhausted, message)
        })
    }

    fn allocate(name: &str, bytes: usize, pages: Pages) -> io::Result<Backing> {
        if pages == Pages::Small && bytes as u64 > available_bytes() {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        let fd = create_memfd(name, pages)?;
        let raw = fd.as_raw_fd();
        // SAFETY: plain system calls on a descriptor that we own.
        check(unsafe { libc::ftruncate(raw, bytes as libc::off_t) })?;
        // SAFETY: as above. Fails with ENOSPC instead of a SIGBUS later.
        check(unsafe { libc::fallocate(raw, 0, 0, bytes as libc::off_t) })?;
        let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
        // SAFETY: as above.
        check(unsafe { libc::fcntl(raw, libc::F_ADD_SEALS, seals) })?;
        let base = map(raw, bytes)?;
        Ok(Backing { fd, base, bytes, tail_bytes: 0, pages })
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
            check(unsafe { libc::ftruncate(raw, all as libc::off_t) }).map_err(failed)?;
        }
        check_length(raw, all)?;
        // SAFETY: as above. Fills holes, too; fails with ENOSPC instead of a SIGBUS later.
        check(unsafe { libc::fallocate(raw, 0, 0, all as libc::off_t) }).map_err(failed)?;
        let base = map(raw, all).map_err(failed)?;
        let backing = Backing { fd: file, base, bytes, tail_bytes, pages };
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

/// A shared mapping of the first `bytes` bytes, populated.
fn map(fd: RawFd, bytes: usize) -> io::Result<*mut u8> {
    let flags = libc::MAP_SHARED | libc::MAP_POPULATE;
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping at an address of the kernel's choice overlaps nothing.
    let base = unsafe { libc::mmap(ptr::null_mut(), bytes, protection, flags, fd, 0) };
    if base == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(base.cast()) }
}

fn length(fd: RawFd) -> io::Result<u64> {
    // SAFETY: all zeros are a valid `stat`.
    let mut status: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: a plain system call that fills in `status`.
    check(unsafe { libc::fstat(fd, &raw mut status) })?;
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
    check(fd)?;
    // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn check(status: libc::c_int) -> io::Result<()> {
    if status < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
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

    fn file(bytes: u64) -> OwnedFd {
        let fd = create_memfd("wirelet-test", Pages::Small).expect("a memfd, in place of a file");
        // SAFETY: a plain system call.
        check(unsafe { libc::ftruncate(fd.as_raw_fd(), bytes as libc::off_t) }).expect("a length");
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
