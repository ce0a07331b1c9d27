//! The other end of the wire: a plain packet socket, and packets to send over it.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd};

use crate::namespace::Namespace;

/// A type that no protocol of the kernel listens to (IEEE 802, local experiments).
const EXPERIMENT: u16 = 0x88B5;

/// Sends and receives whole packets on one interface.
pub struct Raw(File);

impl Raw {
    /// On `interface` of `namespace`; receives wait for two seconds at most.
    pub fn new(namespace: &Namespace, interface: &str) -> Raw {
        namespace.enter(|| Raw::open(interface).expect("a packet socket"))
    }

    /// The same, and it sees what leaves by the interface too.
    pub fn outgoing(namespace: &Namespace, interface: &str) -> Raw {
        let raw = Raw::new(namespace, interface);
        let fd = raw.0.as_raw_fd();
        set(fd, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, &0i32).expect("an option");
        raw
    }

    /// The same, and what it sends begins with a header (virtio 1.2, section 5.1.6) that says what
    /// is left to hardware.
    pub fn offloading(namespace: &Namespace, interface: &str) -> Raw {
        let raw = Raw::new(namespace, interface);
        let fd = raw.0.as_raw_fd();
        set(fd, libc::SOL_PACKET, libc::PACKET_VNET_HDR, &1i32).expect("an option");
        raw
    }

    fn open(interface: &str) -> io::Result<Raw> {
        let name = std::ffi::CString::new(interface).expect("a name");
        let protocol = (libc::ETH_P_ALL as u16).to_be();
        // SAFETY: system calls with plain numbers and, for the address and the options, pointers to
        // values that live during the call and sizes that are theirs.
        unsafe {
            let index = libc::if_nametoindex(name.as_ptr());
            let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
            let fd = libc::socket(libc::AF_PACKET, kind, 0);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            let socket = File::from_raw_fd(fd);
            let wait = libc::timeval { tv_sec: 2, tv_usec: 0 };
            set(fd, libc::SOL_SOCKET, libc::SO_RCVTIMEO, &wait)?;
            set(fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &(16i32 << 20))?;
            set(fd, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, &1i32)?;
            // The kernel takes a VLAN tag out of the packet and tells it beside it.
            set(fd, libc::SOL_PACKET, libc::PACKET_AUXDATA, &1i32)?;
            let mut address: libc::sockaddr_ll = std::mem::zeroed();
            address.sll_family = libc::AF_PACKET as u16;
            address.sll_protocol = protocol;
            address.sll_ifindex = index as i32;
            let length = size_of::<libc::sockaddr_ll>() as u32;
            if libc::bind(fd, (&raw const address).cast(), length) < 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(Raw(socket))
        }
    }

    pub fn send(&mut self, packet: &[u8]) {
        let sent = self.0.write(packet).unwrap_or_else(|error| panic!("send: {error}"));
        assert_eq!(sent, packet.len());
    }

    /// Whether it could be sent; no room is no failure.
    pub fn try_send(&mut self, packet: &[u8]) -> bool {
        match self.0.write(packet) {
            Ok(bytes) => bytes == packet.len(),
            Err(error) => error.raw_os_error() == Some(libc::ENOBUFS),
        }
    }

    /// The next packet that is none of the kernel's own.
    pub fn receive(&mut self) -> Option<Vec<u8>> {
        loop {
            let packet = self.receive_any()?;
            if is_experiment(&packet) {
                return Some(packet);
            }
        }
    }

    /// The next packet as it was on the wire.
    pub fn receive_any(&mut self) -> Option<Vec<u8>> {
        let mut packet = vec![0; 1 << 16];
        let mut part = libc::iovec { iov_base: packet.as_mut_ptr().cast(), iov_len: packet.len() };
        let mut control = [0u64; 16];
        // SAFETY: a msghdr is integers and pointers, for which all zeros is a value.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        (message.msg_iov, message.msg_iovlen) = (&raw mut part, 1);
        (message.msg_control, message.msg_controllen) =
            (control.as_mut_ptr().cast(), size_of_val(&control));
        // SAFETY: the message points to buffers that live during the call, with their sizes.
        let length = unsafe { libc::recvmsg(self.0.as_raw_fd(), &raw mut message, 0) };
        packet.truncate(usize::try_from(length).ok()?);
        // SAFETY: the kernel has filled in the control messages, which are of the type they say.
        let tag = unsafe {
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            assert!(!header.is_null() && (*header).cmsg_type == libc::PACKET_AUXDATA);
            libc::CMSG_DATA(header).cast::<libc::tpacket_auxdata>().read_unaligned()
        };
        if tag.tp_status & libc::TP_STATUS_VLAN_VALID != 0 {
            packet = tagged(&packet, &[(tag.tp_vlan_tpid, tag.tp_vlan_tci)]);
        }
        Some(packet)
    }
}

fn set<T>(fd: i32, level: i32, option: i32, value: &T) -> io::Result<()> {
    let length = size_of::<T>() as libc::socklen_t;
    // SAFETY: `value` lives during the call and has the size that is given.
    let status = unsafe { libc::setsockopt(fd, level, option, (&raw const *value).cast(), length) };
    if status < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A packet of `length` bytes whose bytes tell its number.
pub fn packet(number: usize, length: usize) -> Vec<u8> {
    let mut packet: Vec<u8> = (0..length).map(|at| (at * 7 + number * 31) as u8).collect();
    packet[..12].copy_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]);
    packet[12..14].copy_from_slice(&EXPERIMENT.to_be_bytes());
    packet
}

/// The same behind VLAN tags, outermost first.
pub fn tagged(packet: &[u8], tags: &[(u16, u16)]) -> Vec<u8> {
    let tags = tags.iter().flat_map(|(protocol, tag)| [protocol.to_be_bytes(), tag.to_be_bytes()]);
    [&packet[..12], tags.flatten().collect::<Vec<u8>>().as_slice(), &packet[12..]].concat()
}

/// Whether it is a [`packet`], tagged or not.
pub fn is_experiment(packet: &[u8]) -> bool {
    let mut types = packet.chunks_exact(2).skip(6).step_by(2);
    let tag =
        |bytes: &&[u8]| [0x8100u16, 0x88A8].contains(&u16::from_be_bytes([bytes[0], bytes[1]]));
    types.find(|bytes| !tag(bytes)).is_some_and(|bytes| bytes == EXPERIMENT.to_be_bytes())
}

/// Compares packets and shows the first difference, not all of the bytes.
#[track_caller]
pub fn assert_same(left: &[Vec<u8>], right: &[Vec<u8>]) {
    for (number, (left, right)) in left.iter().zip(right).enumerate() {
        let at = left.iter().zip(right).position(|(a, b)| a != b);
        let at = at.or((left.len() != right.len()).then(|| left.len().min(right.len())));
        if let Some(at) = at {
            let (a, b) =
                (left.get(at..left.len().min(at + 16)), right.get(at..right.len().min(at + 16)));
            panic!(
                "packet {number}: {} and {} bytes, at {at} {a:x?} and {b:x?}",
                left.len(),
                right.len()
            );
        }
    }
    assert_eq!(left.len(), right.len(), "packets");
}
