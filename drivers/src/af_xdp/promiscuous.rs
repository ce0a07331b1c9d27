//! Promiscuous mode for as long as somebody wants it.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use wirelet_abi::Error;

use crate::interface::{Interface, open_error};

/// Asks the interface for packets of every MAC address. The kernel counts who asks, and forgets
/// us when the socket is closed: nothing is left behind by a process that is killed.
#[derive(Debug)]
pub(super) struct Promiscuous {
    _socket: OwnedFd,
}

impl Promiscuous {
    /// # Errors
    /// `WIRELET_E_PRIVILEGE` without CAP_NET_RAW.
    pub(super) fn new(interface: &Interface) -> Result<Promiscuous, Error> {
        let failed = |error: io::Error| open_error(interface.name(), "promiscuous mode", &error);
        // Of no protocol: it never receives.
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
        // SAFETY: a plain system call that returns a new descriptor or -1.
        let fd = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
        if fd < 0 {
            return Err(failed(io::Error::last_os_error()));
        }
        // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        let membership = libc::packet_mreq {
            mr_ifindex: interface.index(),
            mr_type: libc::PACKET_MR_PROMISC as libc::c_ushort,
            mr_alen: 0,
            mr_address: [0; 8],
        };
        // SAFETY: reads one packet_mreq.
        let status = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_ADD_MEMBERSHIP,
                (&raw const membership).cast(),
                size_of::<libc::packet_mreq>() as libc::socklen_t,
            )
        };
        if status < 0 {
            return Err(failed(io::Error::last_os_error()));
        }
        Ok(Promiscuous { _socket: socket })
    }
}
