//! From a name to the descriptors of a tap's queues: `Documentation/networking/tuntap.rst`.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

use wirelet_abi::{Error, ErrorCode};

use crate::interface::{Interface, named, open_error};

/// A tap and its queues, each a descriptor that does not block.
pub(super) struct Attached {
    pub(super) queues: Vec<File>,
    /// It did not exist before.
    pub(super) created: bool,
}

/// Creates the tap, or attaches to the one that `ip tuntap` made.
///
/// # Errors
/// `WIRELET_E_PRIVILEGE`, `WIRELET_E_INTERFACE` when the name is taken by something else or by
/// another process, `WIRELET_E_DEVICE_OPEN`.
pub(super) fn attach(name: &str, queues: usize) -> Result<Attached, Error> {
    let created = Interface::find(name).is_err();
    // A tap that was made for several queues must be asked for with the flag, any other without.
    let several = queues > 1;
    let first = match attach_queue(name, several) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) && !created && !several => {
            attach_queue(name, true).map(|queue| (queue, true))
        }
        other => other.map(|queue| (queue, several)),
    };
    let failed = |error: io::Error| attach_error(name, queues, &error);
    let (first, several) = first.map_err(failed)?;
    let mut attached = Attached { queues: vec![first], created };
    while attached.queues.len() < queues {
        attached.queues.push(attach_queue(name, several).map_err(failed)?);
    }
    Ok(attached)
}

/// Keeps the tap when its last descriptor is closed.
///
/// # Errors
/// What the kernel says.
pub(super) fn set_persistent(name: &str, queue: &File) -> Result<(), Error> {
    // SAFETY: TUNSETPERSIST takes a number, no pointer.
    let status = unsafe { libc::ioctl(queue.as_raw_fd(), libc::TUNSETPERSIST, 1 as libc::c_ulong) };
    if status == 0 {
        return Ok(());
    }
    Err(open_error(name, "to make it persistent", &io::Error::last_os_error()))
}

fn attach_queue(name: &str, several: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC);
    let queue = options.open("/dev/net/tun")?;
    let mut request = named(name).map_err(|_| io::Error::from_raw_os_error(libc::ENODEV))?;
    // Packets as they are, without a header: see the offloads below.
    let flags = libc::IFF_TAP | libc::IFF_NO_PI | if several { libc::IFF_MULTI_QUEUE } else { 0 };
    request.ifr_ifru.ifru_flags = flags as libc::c_short;
    // SAFETY: TUNSETIFF reads and writes one ifreq, which `request` is.
    let status = unsafe { libc::ioctl(queue.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    if status < 0 {
        return Err(io::Error::last_os_error());
    }
    // No offloads: the kernel completes checksums and cuts large packets before we read them. An
    // earlier owner of a persistent tap may have left them on.
    // SAFETY: TUNSETOFFLOAD takes a number, no pointer.
    let status = unsafe { libc::ioctl(queue.as_raw_fd(), libc::TUNSETOFFLOAD, 0 as libc::c_ulong) };
    if status < 0 { Err(io::Error::last_os_error()) } else { Ok(queue) }
}

fn attach_error(name: &str, queues: usize, error: &io::Error) -> Error {
    let taken = |why: &str| Error::new(ErrorCode::Interface, format!("`{name}`: {why}"));
    match error.raw_os_error() {
        Some(libc::EBUSY) => taken("another process has it, or it has queues for one only"),
        Some(libc::EINVAL) if queues > 1 => {
            taken("it exists, and is no tap with several queues (`ip tuntap add ... multi_queue`)")
        }
        Some(libc::EINVAL) => taken("it exists and is no tap"),
        Some(libc::E2BIG) => taken("it has as many queues as it can have"),
        Some(libc::ENOENT) => open_error(name, "/dev/net/tun (`modprobe tun`)", error),
        _ => open_error(name, "to attach to it", error),
    }
}
