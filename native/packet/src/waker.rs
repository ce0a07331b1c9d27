//! How a sleeping lcore is woken: by whoever gives it a packet, a pipeline or a command.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering, fence};

/// One per lcore. The lcore announces that it will sleep, fences, looks at its rings again, and
/// only then waits on [`Waker::fd`]; a writer publishes, fences, and wakes only who has announced.
#[derive(Debug)]
pub struct Waker {
    fd: OwnedFd,
    sleeping: AtomicBool,
}

impl Waker {
    /// A new eventfd.
    ///
    /// # Errors
    /// The kernel's, when it has no descriptor left.
    pub fn new() -> io::Result<Waker> {
        // SAFETY: a plain system call that returns a new descriptor or -1.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
        Ok(Waker { fd: unsafe { OwnedFd::from_raw_fd(fd) }, sleeping: AtomicBool::new(false) })
    }

    /// The lcore: I will sleep. Look at everything once more after this, then wait.
    pub fn announce(&self) {
        self.sleeping.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// The lcore: I am awake. Takes the event that woke it, if one did.
    pub fn awake(&self) {
        self.sleeping.store(false, Ordering::Relaxed);
        let mut value = 0u64;
        // SAFETY: reads at most 8 bytes into `value`; the descriptor does not block.
        unsafe { libc::read(self.fd(), (&raw mut value).cast(), 8) };
    }

    /// A writer, after it has published: wakes the lcore if it sleeps. Costs a fence, and a
    /// system call only when the lcore had announced.
    #[inline]
    pub fn wake(&self) {
        fence(Ordering::SeqCst);
        if self.sleeping.load(Ordering::Relaxed) {
            let one = 1u64;
            // SAFETY: writes 8 bytes from `one`; the descriptor does not block.
            unsafe { libc::write(self.fd(), (&raw const one).cast(), 8) };
        }
    }

    /// The descriptor to wait on.
    pub fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}
