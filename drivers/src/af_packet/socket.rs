//! Packet sockets: packet(7) and `Documentation/networking/packet_mmap.rst`.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// Fanout flags beside the mode (`linux/if_packet.h`).
const UNIQUE: u32 = libc::PACKET_FANOUT_FLAG_UNIQUEID;
const IGNORE_OUTGOING: u32 = libc::PACKET_FANOUT_FLAG_IGNORE_OUTGOING;

/// A raw packet socket that does not block; it receives nothing until it is bound to a protocol.
#[derive(Debug)]
pub(super) struct Socket(OwnedFd);

impl Socket {
    pub(super) fn new() -> io::Result<Socket> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: a plain system call that returns a new descriptor or -1.
        let fd = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
        Ok(Socket(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    pub(super) fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// Binds it to an interface; protocol 0 receives nothing.
    pub(super) fn bind(&self, interface: i32, protocol: i32) -> io::Result<()> {
        let mut address = empty_address();
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = (protocol as u16).to_be();
        address.sll_ifindex = interface;
        let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
        // SAFETY: the address lives during the call and has the length that is given.
        check(unsafe { libc::bind(self.fd(), (&raw const address).cast(), length) })
    }

    /// An option of packet sockets.
    pub(super) fn set<T>(&self, option: i32, value: &T) -> io::Result<()> {
        self.set_at(libc::SOL_PACKET, option, value)
    }

    /// An option of any level. `T` is what the kernel reads for that option.
    pub(super) fn set_at<T>(&self, level: i32, option: i32, value: &T) -> io::Result<()> {
        let length = size_of::<T>() as libc::socklen_t;
        let value = (&raw const *value).cast();
        // SAFETY: `value` lives during the call and has the length that is given.
        check(unsafe { libc::setsockopt(self.fd(), level, option, value, length) })
    }

    fn get_at<T>(&self, level: i32, option: i32, value: &mut T) -> io::Result<()> {
        let mut length = size_of::<T>() as libc::socklen_t;
        let value = (&raw mut *value).cast();
        // SAFETY: the kernel writes at most `length` bytes to `value`, which are its size; callers
        // pass plain integers and structs of them.
        check(unsafe { libc::getsockopt(self.fd(), level, option, value, &raw mut length) })
    }

    /// Room for packets on their way. More than the administrator allows only with CAP_NET_ADMIN.
    pub(super) fn set_buffer(&self, send: bool, bytes: i32) {
        let (forced, usual) = match send {
            true => (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF),
            false => (libc::SO_RCVBUFFORCE, libc::SO_RCVBUF),
        };
        if self.set_at(libc::SOL_SOCKET, forced, &bytes).is_err() {
            // As much as is allowed will do.
            let _ = self.set_at(libc::SOL_SOCKET, usual, &bytes);
        }
    }

    /// Lets nothing in, or everything again: between binding and joining its group a socket would
    /// receive what others of the group receive too.
    pub(super) fn set_closed(&self, closed: bool) -> io::Result<()> {
        if !closed {
            return self.set_at(libc::SOL_SOCKET, libc::SO_DETACH_FILTER, &0i32);
        }
        let code = (libc::BPF_RET | libc::BPF_K) as u16;
        let mut program = [libc::sock_filter { code, jt: 0, jf: 0, k: 0 }];
        let filter = libc::sock_fprog { len: 1, filter: program.as_mut_ptr() };
        self.set_at(libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &filter)
    }

    /// Joins the group of `first`, or founds one; returns the group.
    pub(super) fn join(&self, mode: u32, group: Option<u16>) -> io::Result<u16> {
        let flags = mode | IGNORE_OUTGOING | if group.is_none() { UNIQUE } else { 0 };
        self.set(libc::PACKET_FANOUT, &(flags << 16 | u32::from(group.unwrap_or(0))))?;
        let mut joined = 0u32;
        self.get_at(libc::SOL_PACKET, libc::PACKET_FANOUT, &mut joined)?;
        Ok(joined as u16)
    }

    /// Packets that the kernel had no room for since the last call.
    pub(super) fn take_drops(&self) -> u64 {
        let mut stats = [0u32; 3];
        // Packets, drops, and for TPACKET_V3 the times the ring was full.
        match self.get_at(libc::SOL_PACKET, libc::PACKET_STATISTICS, &mut stats) {
            Ok(()) => stats[1].into(),
            Err(_) => 0,
        }
    }

    /// The error that waits at the socket, which would wake a sleeper again and again.
    pub(super) fn take_error(&self) -> Option<io::Error> {
        let mut number = 0i32;
        let asked = self.get_at(libc::SOL_SOCKET, libc::SO_ERROR, &mut number);
        (asked.is_ok() && number != 0).then(|| io::Error::from_raw_os_error(number))
    }

    /// Whether the interface that it was bound to has gone: the kernel unbinds it then, for ever.
    pub(super) fn unbound(&self) -> bool {
        let mut address = empty_address();
        let mut length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
        // SAFETY: the kernel writes at most `length` bytes, the size of the address.
        let status =
            unsafe { libc::getsockname(self.fd(), (&raw mut address).cast(), &raw mut length) };
        status == 0 && address.sll_ifindex == -1
    }

    /// Receives one packet of the socket's own queue; `None` when there is none.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> Option<usize> {
        let (data, length) = (buffer.as_mut_ptr().cast(), buffer.len());
        // SAFETY: the kernel writes at most `length` bytes into the buffer.
        let bytes = unsafe { libc::recv(self.fd(), data, length, libc::MSG_TRUNC) };
        usize::try_from(bytes).ok()
    }
}

fn empty_address() -> libc::sockaddr_ll {
    // SAFETY: an address is integers and an array of them, for which all zeros is a value.
    unsafe { std::mem::zeroed() }
}

fn check(status: i32) -> io::Result<()> {
    if status < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
