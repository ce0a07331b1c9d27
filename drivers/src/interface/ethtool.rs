//! What an interface's driver says of its hardware, by ethtool's ioctl; only questions that the
//! kernel answers to anybody (`dev_ethtool` in `net/ethtool/ioctl.c`).

use std::io;
use std::mem;
use std::os::fd::AsRawFd;

use super::netlink::text;
use super::{Interface, named};

// linux/sockios.h, linux/ethtool.h
const SIOCETHTOOL: libc::Ioctl = 0x8946;
const GET_DRIVER: u32 = 0x03;
const GET_RINGS: u32 = 0x10;
const GET_CHANNELS: u32 = 0x3c;

/// Driver and sizes; 0 and nothing where a driver does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hardware {
    pub(crate) driver: String,
    /// Packets of the receive ring, and how many it could have.
    pub(crate) rx_ring: (u32, u32),
    /// The same of the transmit ring.
    pub(crate) tx_ring: (u32, u32),
    /// Queues that receive.
    pub(crate) rx_queues: u32,
}

/// `struct ethtool_drvinfo`.
#[repr(C)]
struct DriverInfo {
    command: u32,
    driver: [u8; 32],
    /// Versions, bus address, sizes.
    rest: [u8; 160],
}

/// `struct ethtool_ringparam`.
#[repr(C)]
struct Rings {
    command: u32,
    rx_max: u32,
    others_max: [u32; 2],
    tx_max: u32,
    rx: u32,
    others: [u32; 2],
    tx: u32,
}

/// `struct ethtool_channels`.
#[repr(C)]
struct Channels {
    command: u32,
    max: [u32; 4],
    rx: u32,
    tx: u32,
    other: u32,
    combined: u32,
}

const _: () = {
    assert!(size_of::<DriverInfo>() == 196);
    assert!(size_of::<Rings>() == 36);
    assert!(size_of::<Channels>() == 36);
};

impl Hardware {
    /// Asks for all of it.
    pub(crate) fn of(interface: &Interface) -> Hardware {
        // SAFETY: integers, for which all zeros is a value; so are the two below.
        let mut info: DriverInfo = unsafe { mem::zeroed() };
        info.command = GET_DRIVER;
        let driver = ask(interface, &mut info).map_or(String::new(), |()| text(&info.driver));
        // SAFETY: as above.
        let mut rings: Rings = unsafe { mem::zeroed() };
        rings.command = GET_RINGS;
        let has_rings = ask(interface, &mut rings).is_ok();
        // SAFETY: as above.
        let mut channels: Channels = unsafe { mem::zeroed() };
        channels.command = GET_CHANNELS;
        let has_channels = ask(interface, &mut channels).is_ok();
        Hardware {
            driver,
            rx_ring: if has_rings { (rings.rx, rings.rx_max) } else { (0, 0) },
            tx_ring: if has_rings { (rings.tx, rings.tx_max) } else { (0, 0) },
            rx_queues: if has_channels { channels.rx + channels.combined } else { 0 },
        }
    }
}

/// `command` is a struct of ethtool's that begins with its command.
fn ask<T>(interface: &Interface, command: &mut T) -> io::Result<()> {
    let mut request = named(interface.name()).map_err(|_| io::ErrorKind::InvalidInput)?;
    request.ifr_ifru.ifru_data = (&raw mut *command).cast();
    // SAFETY: the kernel reads the command and writes at most the struct that belongs to it, which
    // the callers above pass; it outlives the call.
    let status =
        unsafe { libc::ioctl(interface.socket.as_raw_fd(), SIOCETHTOOL, &raw mut request) };
    if status < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_has_no_rings() {
        let hardware = Hardware::of(&Interface::find("lo").expect("every namespace has one"));
        assert_eq!((hardware.rx_ring, hardware.rx_queues), ((0, 0), 0));
    }
}
