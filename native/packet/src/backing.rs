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

/// A sealed memfd, allocated and populated in full, mapped read-write for native code.
///
/// SIGBUS would kill the process (DESIGN §4), so no page is left to be found missing later: the
/// file is allocated before it is mapped and sealed so that nobody can change its size.
#[derive(Debug)]
pub struct Backing {
    fd: OwnedFd,
    base: *mut u8,
    bytes: usize,
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
        let page_bytes = match pages {
            Pages::Small => SMALL_PAGE_BYTES,
            Pages::Huge => HUGE_PAGE_BYTES,
        };
        let bytes = bytes.max(1).next_multiple_of(page_bytes);
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
        let flags = libc::MAP_SHARED | libc::MAP_POPULATE;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice overlaps nothing.
        let base = unsafe { libc::mmap(ptr::null_mut(), bytes, protection, flags, raw, 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Backing { fd, base: base.cast(), bytes, pages })
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
        unsafe { libc::munmap(self.base.cast(), self.bytes) };
    }
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

    #[test]
    fn more_memory_than_there_is_is_a_coded_error() {
        let error = Backing::new("wirelet-test", 1 << 50, Pages::Small).expect_err("1 PiB");
        assert_eq!(error.code, ErrorCode::MemoryExhausted);
    }
}
