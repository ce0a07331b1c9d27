//! The other end of a veth pair as raw packets, and packets to send.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// An EtherType for experiments (IEEE 802, local): the kernel neither sends nor answers it.
pub const EXPERIMENT: u16 = 0x88b5;

/// A packet socket on one interface, for one EtherType.
pub struct RawSocket {
    fd: OwnedFd,
}

impl RawSocket {
    /// On `interface` of this thread's namespace.
    pub fn open(interface: &str, ether_type: u16) -> RawSocket {
        let protocol = i32::from(ether_type.to_be());
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
        // SAFETY: plain system calls; the descriptor is new and ours.
        let fd = unsafe {
            let fd = libc::socket(libc::AF_PACKET, kind, protocol);
            assert!(fd >= 0, "{}", io::Error::last_os_error());
            OwnedFd::from_raw_fd(fd)
        };
        let name = std::ffi::CString::new(interface).expect("a name");
        // SAFETY: integers, for which all zeros is a value; `name` is a C string.
        let (mut address, index): (libc::sockaddr_ll, u32) =
            unsafe { (std::mem::zeroed(), libc::if_nametoindex(name.as_ptr())) };
        assert!(index > 0, "{interface}");
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = ether_type.to_be();
        address.sll_ifindex = index as i32;
        let length = size_of::<libc::sockaddr_ll>() as u32;
        // SAFETY: reads one sockaddr_ll.
        let status = unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), length) };
        assert!(status == 0, "{}", io::Error::last_os_error());
        RawSocket { fd }
    }

    /// Sends a packet; false when the interface takes none now.
    pub fn send(&self, packet: &[u8]) -> bool {
        // SAFETY: reads the packet.
        let sent =
            unsafe { libc::send(self.fd.as_raw_fd(), packet.as_ptr().cast(), packet.len(), 0) };
        sent == packet.len() as isize
    }

    /// The next packet, if one comes in time.
    pub fn receive(&self, patience: Duration) -> Option<Vec<u8>> {
        let until = Instant::now() + patience;
        let mut packet = vec![0; 4096];
        loop {
            let flags = libc::MSG_DONTWAIT;
            let (fd, at) = (self.fd.as_raw_fd(), packet.as_mut_ptr().cast());
            // SAFETY: writes at most the buffer's length.
            let length = unsafe { libc::recv(fd, at, packet.len(), flags) };
            if length >= 0 {
                packet.truncate(length as usize);
                return Some(packet);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            let mut descriptor = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
            // SAFETY: one pollfd.
            unsafe { libc::poll(&raw mut descriptor, 1, left.as_millis() as i32 + 1) };
        }
    }
}

/// A packet of the experiment's type: broadcast, so that every interface takes it, its length and
/// number in its bytes.
pub fn packet(length: usize, number: u32) -> Vec<u8> {
    let mut packet = vec![0xff; 6];
    packet.extend([2, 0, 0, 0, 0, 1]);
    packet.extend(EXPERIMENT.to_be_bytes());
    packet.extend(number.to_be_bytes());
    packet.extend((packet.len()..length).map(|at| (at as u32 ^ number.wrapping_mul(31)) as u8));
    packet
}

/// A UDP packet of a flow, broadcast.
pub fn udp(source_port: u16, destination_port: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0xff; 6];
    packet.extend([2, 0, 0, 0, 0, 1, 0x08, 0x00]);
    let length = 28 + payload.len() as u16;
    packet.extend([0x45, 0]);
    packet.extend(length.to_be_bytes());
    packet.extend([0, 0, 0, 0, 64, 17, 0, 0, 10, 9, 0, 2, 10, 9, 0, 1]);
    packet.extend(source_port.to_be_bytes());
    packet.extend(destination_port.to_be_bytes());
    packet.extend((length - 20).to_be_bytes());
    // No checksum: RFC 768 allows it.
    packet.extend([0, 0]);
    packet.extend(payload);
    packet.resize(packet.len().max(60), 0);
    packet
}
