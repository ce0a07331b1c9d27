//! What this machine offers to devices, asked without changing anything: for `wirelet doctor`.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use wirelet_abi::Error;

use crate::interface::{self, Hardware, Interface, Look, netlink, xdp_features};

/// What came of trying something that needs the kernel's support and a capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// It works.
    Yes,
    /// The kernel has it, and this process may not.
    Denied,
    /// The kernel does not have it.
    No,
}

/// Sockets and memory that devices need.
#[derive(Clone, Copy, Debug)]
pub struct Kernel {
    /// AF_XDP sockets.
    pub af_xdp: Support,
    /// Packet sockets.
    pub af_packet: Support,
    /// Anonymous memory whose size can be sealed.
    pub memfd: Support,
}

/// One interface of this network namespace.
#[derive(Clone, Debug, Default)]
pub struct InterfaceSurvey {
    /// Its name.
    pub name: String,
    /// Whether there is one of that name; nothing else is known where there is none.
    pub present: bool,
    /// Whether it is Ethernet, or loopback.
    pub ethernet: bool,
    /// Up, with a carrier.
    pub up: bool,
    /// Bytes behind the Ethernet header.
    pub mtu: usize,
    /// Driver's name; empty where it does not say.
    pub driver: String,
    /// `veth`, `tun` and so on; empty for hardware.
    pub kind: String,
    /// Bits of `enum netdev_xdp_act`; `None` from kernels before 6.3.
    pub xdp_features: Option<u64>,
    /// Number of the XDP program that is attached.
    pub xdp_program: Option<u32>,
    /// Packets of the receive ring, and the most it could have; 0 where the driver does not say.
    pub rx_ring: (u32, u32),
    /// The same of the transmit ring.
    pub tx_ring: (u32, u32),
    /// Queues that receive; 0 where the driver does not say.
    pub rx_queues: u32,
}

/// Tries what devices need, and lets go of it again.
pub fn kernel() -> Kernel {
    Kernel {
        af_xdp: socket(libc::AF_XDP, 0),
        af_packet: socket(libc::AF_PACKET, 0),
        memfd: sealed_memory(),
    }
}

/// Names of the interfaces of this network namespace, without loopback.
pub fn names() -> Vec<String> {
    let mut names = interface::all().unwrap_or_default();
    names.retain(|name| name != "lo");
    names
}

/// Looks at the interface of that name.
pub fn interface(name: &str) -> InterfaceSurvey {
    look(name).unwrap_or_else(|_| InterfaceSurvey { name: name.into(), ..Default::default() })
}

fn look(name: &str) -> Result<InterfaceSurvey, Error> {
    let mut interface = Interface::find(name)?;
    let hardware = Hardware::of(&interface);
    let index = interface.index();
    let described = netlink::describe(index).unwrap_or_default();
    let link = match interface.look() {
        Look::There(link) => link,
        Look::Renamed | Look::Gone => Default::default(),
    };
    Ok(InterfaceSurvey {
        name: name.into(),
        present: true,
        ethernet: interface.mac().is_ok(),
        up: link.up,
        mtu: link.mtu,
        driver: hardware.driver,
        kind: described.kind.unwrap_or_default(),
        xdp_features: xdp_features(index).ok(),
        xdp_program: described.program,
        rx_ring: hardware.rx_ring,
        tx_ring: hardware.tx_ring,
        rx_queues: hardware.rx_queues,
    })
}

fn socket(family: i32, protocol: i32) -> Support {
    // SAFETY: a plain system call that returns a new descriptor or -1.
    let fd = unsafe { libc::socket(family, libc::SOCK_RAW | libc::SOCK_CLOEXEC, protocol) };
    own(fd).map_or_else(|error| support(&error), |_| Support::Yes)
}

fn sealed_memory() -> Support {
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // SAFETY: a plain system call with a name that ends with a zero.
    let fd = unsafe { libc::memfd_create(c"wirelet-survey".as_ptr(), flags) };
    own(fd).map_or_else(|error| support(&error), |_| Support::Yes)
}

fn own(fd: i32) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn support(error: &io::Error) -> Support {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => Support::Denied,
        _ => Support::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_described_and_what_is_not_is_said_to_be_missing() {
        let loopback = interface("lo");
        assert!(loopback.present && loopback.ethernet && loopback.mtu > 1500, "{loopback:?}");
        assert!(!interface("wirelet-none0").present);
        assert!(!interface("no name at all, and far too long").present);
        assert!(names().iter().all(|name| name != "lo" && interface(name).present));
    }

    #[test]
    fn a_refusal_is_no_lack() {
        assert_eq!(support(&io::Error::from_raw_os_error(libc::EPERM)), Support::Denied);
        assert_eq!(support(&io::Error::from_raw_os_error(libc::EAFNOSUPPORT)), Support::No);
        assert_eq!(kernel().memfd, Support::Yes, "this crate's regions need it");
    }
}
