//! One AF_XDP socket: its UMEM registration, its four rings, and the system calls on it.
//!
//! `Documentation/networking/af_xdp.rst`; numbers from linux/if_xdp.h.

use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use wirelet_abi::{Error, ErrorCode, limits};
use wirelet_packet::Region;

use super::bpf::AttachMode;
use super::frames::Chunks;
use super::options::{BusyPoll, Mode, Options};
use super::ring::{ConsumerRing, ProducerRing};

/// XDP_MAX_TX_SKB_BUDGET, Linux 6.18: packets that one system call may send in copy mode.
const MAX_TX_BUDGET: libc::c_int = 9;
/// Packets that it sends otherwise (TX_BATCH_SIZE).
const TX_BUDGET_DEFAULT: u32 = 32;
const PREFER_BUSY_POLL: libc::c_int = 69;
const BUSY_POLL_BUDGET: libc::c_int = 70;
/// The socket of a process that was killed is there for a moment longer.
const BIND_PATIENCE: Duration = Duration::from_secs(2);
const BIND_PAUSE: Duration = Duration::from_millis(10);
/// What a packet under way counts against the send buffer beside its bytes (struct sk_buff and its
/// shared info), generously.
const PACKET_OVERHEAD_BYTES: u32 = 1024;

/// An open socket with its rings. The region must outlive it: the kernel keeps the pages, but frame
/// numbers mean nothing without it.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) fill: ProducerRing<u64>,
    pub(super) completion: ConsumerRing<u64>,
    pub(super) rx: ConsumerRing<libc::xdp_desc>,
    pub(super) tx: ProducerRing<libc::xdp_desc>,
    fd: OwnedFd,
    zero_copy: bool,
    calls_per_burst: u32,
}

/// What came of a system call that asks the kernel to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kick {
    /// It has taken everything.
    Done,
    /// It has taken some, or none; ask again.
    Again,
    /// The driver has dropped one packet, which is completed all the same; ask again.
    Dropped,
    /// The interface is down.
    Down,
    /// The interface is gone.
    Gone,
}

/// What is the same for all queues of a port.
pub(super) struct Setup<'a> {
    pub(super) region: &'a Arc<Region>,
    pub(super) chunks: Chunks,
    pub(super) interface: &'a str,
    pub(super) index: i32,
    pub(super) attached: AttachMode,
    pub(super) options: &'a Options,
    /// UMEM registrations of the whole port, for the message about locked memory.
    pub(super) queues: usize,
}

impl Socket {
    /// Opens and binds a socket on `queue`. `Ok(None)` when the interface has no such queue.
    ///
    /// # Errors
    /// `WIRELET_E_PRIVILEGE`, `WIRELET_E_MEMORY_LOCK`, `WIRELET_E_FRAME_SIZE`,
    /// `WIRELET_E_INTERFACE`, `WIRELET_E_DEVICE_OPEN`.
    pub(super) fn open(setup: &Setup<'_>, queue: u32) -> Result<Option<Socket>, Error> {
        let fd = create().map_err(|error| create_error(setup.interface, &error))?;
        register(&fd, setup).map_err(|error| register_error(setup, &error))?;
        let sizes = (setup.options.rx_frames, setup.options.tx_frames);
        let made = make_rings(&fd, sizes);
        let (fill, completion, rx, tx) = made.map_err(|error| {
            let message = format!("`{}`: rings: {error}", setup.interface);
            Error::new(ErrorCode::DeviceOpen, message)
        })?;
        if let Some(busy_poll) = &setup.options.busy_poll {
            set_busy_poll(&fd, busy_poll).map_err(|error| {
                crate::interface::open_error(setup.interface, "busy polling", &error)
            })?;
        }
        let calls_per_burst = tune(&fd, setup);
        if !bind(&fd, setup, queue)? {
            return Ok(None);
        }
        let zero_copy = is_zero_copy(&fd);
        Ok(Some(Socket { fill, completion, rx, tx, fd, zero_copy, calls_per_burst }))
    }

    /// Whether the driver receives into frames and sends out of them itself.
    pub(super) fn zero_copy(&self) -> bool {
        self.zero_copy
    }

    /// System calls that it takes to send a burst, when the kernel says each time that it has not
    /// sent everything and nothing shows that it has sent anything.
    pub(super) fn calls_per_burst(&self) -> u32 {
        self.calls_per_burst
    }

    /// To wait on: readable when there are packets.
    pub(super) fn raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Asks the kernel to send what is in the transmit ring.
    pub(super) fn kick(&self) -> Kick {
        let flags = libc::MSG_DONTWAIT;
        // SAFETY: no bytes are read; the socket does not block.
        let sent =
            unsafe { libc::sendto(self.raw_fd(), std::ptr::null(), 0, flags, std::ptr::null(), 0) };
        if sent >= 0 {
            return Kick::Done;
        }
        match io::Error::last_os_error().raw_os_error() {
            // Zero copy: the driver is at work on this queue just now.
            Some(libc::EBUSY) if !self.zero_copy => Kick::Dropped,
            Some(libc::ENETDOWN) => Kick::Down,
            Some(libc::ENXIO) => Kick::Gone,
            // Its budget is spent, its queue is full, there is no memory.
            _ => Kick::Again,
        }
    }

    /// Lets the kernel receive: it looks at the fill ring, or polls the driver for us.
    pub(super) fn poll_driver(&self) {
        let flags = libc::MSG_DONTWAIT;
        let (null, length) = (std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: no bytes are written; the socket does not block.
        unsafe { libc::recvfrom(self.raw_fd(), null, 0, flags, null.cast(), length) };
    }

    /// What the kernel has counted for this socket.
    pub(super) fn statistics(&self) -> Option<libc::xdp_statistics> {
        // SAFETY: integers, for which all zeros is a value.
        let mut statistics: libc::xdp_statistics = unsafe { mem::zeroed() };
        get_option(&self.fd, libc::XDP_STATISTICS, &mut statistics).ok()?;
        Some(statistics)
    }
}

fn create() -> io::Result<OwnedFd> {
    // SAFETY: a plain system call that returns a new descriptor or -1.
    let fd = unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn create_error(interface: &str, error: &io::Error) -> Error {
    let (code, hint) = match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => (ErrorCode::Privilege, "; it needs CAP_NET_RAW"),
        Some(libc::EAFNOSUPPORT) => {
            (ErrorCode::DeviceOpen, "; this kernel has no AF_XDP (CONFIG_XDP_SOCKETS)")
        }
        _ => (ErrorCode::DeviceOpen, ""),
    };
    Error::new(code, format!("`{interface}`: an AF_XDP socket: {error}{hint}"))
}

/// The region's frames become the UMEM: one chunk each, no headroom beyond the kernel's 256 bytes.
fn register(fd: &OwnedFd, setup: &Setup<'_>) -> io::Result<()> {
    let aligned = setup.chunks.aligned();
    let umem = libc::xdp_umem_reg {
        addr: setup.region.backing().base() as u64,
        len: umem_bytes(setup.region) as u64,
        chunk_size: setup.region.frame_bytes() as u32,
        headroom: 0,
        flags: if aligned { 0 } else { libc::XDP_UMEM_UNALIGNED_CHUNK_FLAG },
        tx_metadata_len: 0,
    };
    set_option(fd, libc::SOL_XDP, libc::XDP_UMEM_REG, &umem)
}

fn umem_bytes(region: &Region) -> usize {
    region.frames() * region.frame_bytes()
}

fn register_error(setup: &Setup<'_>, error: &io::Error) -> Error {
    let name = setup.interface;
    let mib = umem_bytes(setup.region).div_ceil(1 << 20);
    match error.raw_os_error() {
        Some(libc::ENOBUFS) => {
            let limit = locked_bytes_max() >> 20;
            let message = format!(
                "`{name}`: {mib} MiB of frames for each of {} queues can't be locked: this user's \
                 limit (RLIMIT_MEMLOCK) is {limit} MiB in all",
                setup.queues
            );
            Error::new(ErrorCode::MemoryLock, message)
        }
        Some(libc::EINVAL) => {
            let message = format!(
                "`{name}`: this kernel takes no frames of {} bytes; set 2048 or 4096",
                setup.region.frame_bytes()
            );
            Error::new(ErrorCode::FrameSize, message)
        }
        Some(libc::ENOMEM) => {
            let message = format!("`{name}`: to lock {mib} MiB of frames: {error}");
            Error::new(ErrorCode::MemoryExhausted, message)
        }
        _ => crate::interface::open_error(name, "its UMEM", error),
    }
}

fn locked_bytes_max() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: writes one rlimit.
    unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &mut limit) };
    limit.rlim_cur
}

type Rings = (
    ProducerRing<u64>,
    ConsumerRing<u64>,
    ConsumerRing<libc::xdp_desc>,
    ProducerRing<libc::xdp_desc>,
);

/// Fill and receive ring are equally long, so the receive ring has room for every packet that there
/// is a frame for; so have the completion ring and the transmit ring.
fn make_rings(fd: &OwnedFd, (rx_frames, tx_frames): (u32, u32)) -> io::Result<Rings> {
    for (option, size) in [
        (libc::XDP_UMEM_FILL_RING, rx_frames),
        (libc::XDP_UMEM_COMPLETION_RING, tx_frames),
        (libc::XDP_RX_RING, rx_frames),
        (libc::XDP_TX_RING, tx_frames),
    ] {
        set_option(fd, libc::SOL_XDP, option, &size)?;
    }
    // SAFETY: integers, for which all zeros is a value.
    let mut offsets: libc::xdp_mmap_offsets = unsafe { mem::zeroed() };
    let bytes = get_option(fd, libc::XDP_MMAP_OFFSETS, &mut offsets)?;
    if bytes != size_of::<libc::xdp_mmap_offsets>() {
        // Before Linux 5.4 there were no flags.
        return Err(io::ErrorKind::Unsupported.into());
    }
    let (fill_page, completion_page) =
        (libc::XDP_UMEM_PGOFF_FILL_RING, libc::XDP_UMEM_PGOFF_COMPLETION_RING);
    let socket = fd.as_fd();
    Ok((
        ProducerRing::map(socket, fill_page as libc::off_t, &offsets.fr, rx_frames)?,
        ConsumerRing::map(socket, completion_page as libc::off_t, &offsets.cr, tx_frames)?,
        ConsumerRing::map(socket, libc::XDP_PGOFF_RX_RING, &offsets.rx, rx_frames)?,
        ProducerRing::map(socket, libc::XDP_PGOFF_TX_RING, &offsets.tx, tx_frames)?,
    ))
}

/// Needs Linux 5.11 and, for the preference, CAP_NET_ADMIN.
fn set_busy_poll(fd: &OwnedFd, busy_poll: &BusyPoll) -> io::Result<()> {
    let time_us = i32::try_from(busy_poll.time.as_micros()).unwrap_or(i32::MAX);
    set_option(fd, libc::SOL_SOCKET, PREFER_BUSY_POLL, &1i32)?;
    set_option(fd, libc::SOL_SOCKET, libc::SO_BUSY_POLL, &time_us)?;
    set_option(fd, libc::SOL_SOCKET, BUSY_POLL_BUDGET, &i32::from(busy_poll.budget))
}

/// What makes copy mode faster where the kernel has it; without it packets flow all the same.
/// Returns how many calls a burst takes.
fn tune(fd: &OwnedFd, setup: &Setup<'_>) -> u32 {
    let tx_frames = setup.options.tx_frames;
    let raised = set_option(fd, libc::SOL_XDP, MAX_TX_BUDGET, &tx_frames).is_ok();
    // The default holds about 270 packets, and then sending stops until some are through.
    let bytes = tx_frames * (setup.region.frame_bytes() as u32 + PACKET_OVERHEAD_BYTES) / 2;
    let bytes = i32::try_from(bytes).unwrap_or(i32::MAX);
    if set_option(fd, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, &bytes).is_err() {
        let _ = set_option(fd, libc::SOL_SOCKET, libc::SO_SNDBUF, &bytes);
    }
    if raised { 1 } else { limits::BURST_MAX as u32 / TX_BUDGET_DEFAULT }
}

/// Binds to the queue; `Ok(false)` when there is none.
fn bind(fd: &OwnedFd, setup: &Setup<'_>, queue: u32) -> Result<bool, Error> {
    let native = setup.attached == AttachMode::Native;
    let mode = match setup.options.mode {
        Mode::ZeroCopy => libc::XDP_ZEROCOPY,
        // The kernel tries zero copy first.
        Mode::Auto if native && setup.chunks.aligned() => 0,
        Mode::Auto | Mode::Copy => libc::XDP_COPY,
    };
    let address = libc::sockaddr_xdp {
        sxdp_family: libc::AF_XDP as u16,
        sxdp_flags: mode | libc::XDP_USE_NEED_WAKEUP,
        sxdp_ifindex: setup.index as u32,
        sxdp_queue_id: queue,
        sxdp_shared_umem_fd: 0,
    };
    let length = size_of::<libc::sockaddr_xdp>() as libc::socklen_t;
    let until = Instant::now() + BIND_PATIENCE;
    loop {
        // SAFETY: reads one sockaddr_xdp.
        let status = unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), length) };
        if status == 0 {
            return Ok(true);
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EBUSY) if Instant::now() < until => std::thread::sleep(BIND_PAUSE),
            Some(libc::EINVAL) => return Ok(false),
            _ => return Err(bind_error(setup.interface, queue, mode, &error)),
        }
    }
}

fn bind_error(interface: &str, queue: u32, mode: u16, error: &io::Error) -> Error {
    let (code, problem) = match error.raw_os_error() {
        Some(libc::EBUSY) => (ErrorCode::DeviceOpen, "another socket has it".to_string()),
        Some(libc::ENODEV | libc::ENXIO) => (ErrorCode::Interface, error.to_string()),
        Some(libc::ENETDOWN) => (ErrorCode::Interface, "the interface is down".to_string()),
        Some(libc::EOPNOTSUPP | 524) if mode == libc::XDP_ZEROCOPY => {
            (ErrorCode::Interface, "its driver has no zero copy; set mode=auto".to_string())
        }
        _ => (ErrorCode::DeviceOpen, error.to_string()),
    };
    Error::new(code, format!("`{interface}`: queue {queue}: {problem}"))
}

fn is_zero_copy(fd: &OwnedFd) -> bool {
    let mut options = libc::xdp_options { flags: 0 };
    get_option(fd, libc::XDP_OPTIONS, &mut options).is_ok()
        && options.flags & libc::XDP_OPTIONS_ZEROCOPY != 0
}

fn set_option<T>(
    fd: &OwnedFd,
    level: libc::c_int,
    option: libc::c_int,
    value: &T,
) -> io::Result<()> {
    let length = size_of::<T>() as libc::socklen_t;
    let value = std::ptr::from_ref(value).cast();
    // SAFETY: reads one T.
    let status = unsafe { libc::setsockopt(fd.as_raw_fd(), level, option, value, length) };
    if status < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Bytes that the kernel has written.
fn get_option<T>(fd: &OwnedFd, option: libc::c_int, value: &mut T) -> io::Result<usize> {
    let mut length = size_of::<T>() as libc::socklen_t;
    let value = std::ptr::from_mut(value).cast();
    // SAFETY: writes at most one T, which is made of integers.
    let status =
        unsafe { libc::getsockopt(fd.as_raw_fd(), libc::SOL_XDP, option, value, &mut length) };
    if status < 0 { Err(io::Error::last_os_error()) } else { Ok(length as usize) }
}
