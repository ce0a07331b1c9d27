//! A network interface of the kernel: found by its name, then known by its index, so that a new
//! name loses nothing.
//!
//! All questions are ioctls that the kernel answers under RCU (`net/core/dev_ioctl.c`): an lcore
//! may ask them, because it never waits for whoever holds the lock of all interfaces (RTNL).

mod dropped;
mod ethtool;
mod features;
pub(crate) mod netlink;
mod watch;

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use wirelet_abi::{Error, ErrorCode};

pub(crate) use dropped::Dropped;
pub(crate) use ethtool::Hardware;
pub(crate) use features::xdp_features;
pub(crate) use watch::LinkWatch;

/// What the kernel says of an interface now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Link {
    /// Set up, and with a carrier.
    pub(crate) up: bool,
    /// Bytes behind the Ethernet header.
    pub(crate) mtu: usize,
    /// Somebody asked for packets of every MAC address (`ip link set X promisc on`).
    pub(crate) promiscuous: bool,
}

/// What a look at an interface has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    There(Link),
    /// There, and just being renamed: for some milliseconds the kernel knows neither the old name
    /// nor the new one (`dev_change_name` waits for RCU between the two).
    Renamed,
    Gone,
}

/// An interface of the network namespace of the thread that found it.
#[derive(Debug)]
pub(crate) struct Interface {
    /// Any socket will do to ask; it keeps the namespace.
    socket: OwnedFd,
    index: i32,
    name: String,
}

type Request = libc::ifreq;

impl Interface {
    /// Looks it up.
    ///
    /// # Errors
    /// `WIRELET_E_INTERFACE` when there is none of that name, `WIRELET_E_DEVICE_OPEN` when no
    /// descriptor is left.
    pub(crate) fn find(name: &str) -> Result<Interface, Error> {
        let socket = ask_socket().map_err(|error| open_error(name, "a socket", &error))?;
        let mut request = named(name)?;
        control(&socket, libc::SIOCGIFINDEX, &mut request)
            .map_err(|error| open_error(name, "its index", &error))?;
        // SAFETY: SIOCGIFINDEX has filled in the index.
        let index = unsafe { request.ifr_ifru.ifru_ifindex };
        Ok(Interface { socket, index, name: name.into() })
    }

    pub(crate) fn index(&self) -> i32 {
        self.index
    }

    /// The name it had when it was last looked at.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// How it is now. Three system calls, about 1 µs.
    pub(crate) fn look(&mut self) -> Look {
        self.ask().unwrap_or(Look::Renamed)
    }

    fn ask(&mut self) -> io::Result<Look> {
        let mut request = empty();
        request.ifr_ifru.ifru_ifindex = self.index;
        if control(&self.socket, libc::SIOCGIFNAME, &mut request).is_err() {
            return Ok(Look::Gone);
        }
        // On an lcore nothing is allocated unless the name is another one.
        let letters = request.ifr_name.iter().take(self.name.len() + 1);
        if !letters.map(|letter| *letter as u8).eq(self.name.bytes().chain([0])) {
            self.name = name_of(&request);
        }
        let mut answers = [request, request];
        for (code, answer) in [libc::SIOCGIFFLAGS, libc::SIOCGIFMTU].into_iter().zip(&mut answers) {
            control(&self.socket, code, answer)?;
        }
        // SAFETY: SIOCGIFFLAGS has filled in the flags, SIOCGIFMTU the MTU.
        let (flags, mtu) =
            unsafe { (answers[0].ifr_ifru.ifru_flags, answers[1].ifr_ifru.ifru_mtu) };
        let flags = i32::from(flags);
        let running = libc::IFF_UP | libc::IFF_RUNNING;
        Ok(Look::There(Link {
            up: flags & running == running,
            mtu: usize::try_from(mtu).unwrap_or(0),
            promiscuous: flags & libc::IFF_PROMISC != 0,
        }))
    }

    /// Its MAC address, and whether it is an Ethernet interface at all (loopback counts: its
    /// frames have an Ethernet header).
    ///
    /// # Errors
    /// `WIRELET_E_INTERFACE` when it is not Ethernet, or gone.
    pub(crate) fn mac(&self) -> Result<[u8; 6], Error> {
        let mut request = named(&self.name)?;
        control(&self.socket, libc::SIOCGIFHWADDR, &mut request)
            .map_err(|error| open_error(&self.name, "its MAC address", &error))?;
        // SAFETY: SIOCGIFHWADDR has filled in the address.
        let address = unsafe { request.ifr_ifru.ifru_hwaddr };
        if ![libc::ARPHRD_ETHER, libc::ARPHRD_LOOPBACK].contains(&address.sa_family) {
            let message = format!("`{}` is no Ethernet interface", self.name);
            return Err(Error::new(ErrorCode::Interface, message));
        }
        Ok(std::array::from_fn(|index| address.sa_data[index] as u8))
    }

    /// Sets its MAC address; needs CAP_NET_ADMIN, as the next two do.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn set_mac(&self, mac: [u8; 6]) -> Result<(), Error> {
        let mut request = named(&self.name)?;
        let mut address = libc::sockaddr { sa_family: libc::ARPHRD_ETHER, sa_data: [0; 14] };
        for (to, from) in address.sa_data.iter_mut().zip(mac) {
            *to = from as libc::c_char;
        }
        request.ifr_ifru.ifru_hwaddr = address;
        control(&self.socket, libc::SIOCSIFHWADDR, &mut request)
            .map_err(|error| open_error(&self.name, "its MAC address", &error))
    }

    /// Sets its MTU.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn set_mtu(&self, mtu: usize) -> Result<(), Error> {
        let mut request = named(&self.name)?;
        request.ifr_ifru.ifru_mtu = i32::try_from(mtu).unwrap_or(i32::MAX);
        control(&self.socket, libc::SIOCSIFMTU, &mut request)
            .map_err(|error| open_error(&self.name, "its MTU", &error))
    }

    /// `ip link set NAME up`.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn set_up(&self) -> Result<(), Error> {
        let mut request = named(&self.name)?;
        let failed = |error: io::Error| open_error(&self.name, "to set it up", &error);
        control(&self.socket, libc::SIOCGIFFLAGS, &mut request).map_err(failed)?;
        // SAFETY: SIOCGIFFLAGS has filled in the flags.
        unsafe { request.ifr_ifru.ifru_flags |= libc::IFF_UP as libc::c_short };
        control(&self.socket, libc::SIOCSIFFLAGS, &mut request).map_err(failed)
    }
}

/// What an interface's failure is called: privilege, interface, or the rest.
pub(crate) fn open_error(name: &str, what: &str, error: &io::Error) -> Error {
    let code = match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => ErrorCode::Privilege,
        Some(libc::ENODEV | libc::ENXIO) => ErrorCode::Interface,
        _ => ErrorCode::DeviceOpen,
    };
    Error::new(code, format!("`{name}`: {what}: {error}"))
}

/// A request that names an interface.
///
/// # Errors
/// `WIRELET_E_INTERFACE` for a name that no interface can have.
pub(crate) fn named(name: &str) -> Result<Request, Error> {
    let mut request = empty();
    let bad = |byte: u8| byte == 0 || byte == b'/' || byte.is_ascii_whitespace();
    if name.is_empty() || name.len() >= request.ifr_name.len() || name.bytes().any(bad) {
        let message =
            format!("`{name}`: names of interfaces have 1 to 15 bytes, no / and no space");
        return Err(Error::new(ErrorCode::Interface, message));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    Ok(request)
}

/// The name in a request.
pub(crate) fn name_of(request: &Request) -> String {
    let bytes = request.ifr_name.map(|letter| letter as u8);
    CStr::from_bytes_until_nul(&bytes).map_or_else(
        |_| String::from_utf8_lossy(&bytes).into_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}

fn empty() -> Request {
    // SAFETY: an ifreq is integers and arrays of them, for which all zeros is a value.
    unsafe { std::mem::zeroed() }
}

fn ask_socket() -> io::Result<OwnedFd> {
    // SAFETY: a plain system call that returns a new descriptor or -1.
    let fd = unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Names of all interfaces of this namespace, in the kernel's order.
pub(crate) fn all() -> io::Result<Vec<String>> {
    // SAFETY: allocates a list that ends with an entry without a name; freed below.
    let list = unsafe { libc::if_nameindex() };
    if list.is_null() {
        return Err(io::Error::last_os_error());
    }
    let mut names = Vec::new();
    for place in 0.. {
        // SAFETY: the list goes on as long as the entries before had names.
        let name = unsafe { (*list.add(place)).if_name };
        if name.is_null() {
            break;
        }
        // SAFETY: a name of the list ends with a zero.
        names.push(unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned());
    }
    // SAFETY: what if_nameindex has given, once.
    unsafe { libc::if_freenameindex(list) };
    Ok(names)
}

fn control(socket: &OwnedFd, code: libc::Ioctl, request: &mut Request) -> io::Result<()> {
    // SAFETY: the codes used here read and write one ifreq, which `request` is.
    let status = unsafe { libc::ioctl(socket.as_raw_fd(), code, &raw mut *request) };
    if status < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_found_and_what_is_not_there_is_a_coded_error() {
        let mut loopback = Interface::find("lo").expect("every namespace has one");
        assert_eq!((loopback.index(), loopback.mac()), (1, Ok([0; 6])));
        assert!(matches!(loopback.look(), Look::There(link) if link.mtu > 1500));
        assert_eq!(loopback.name(), "lo");
        for name in ["", "a name", "sixteen-letters-", "no/slash", "wirelet-none0"] {
            let error = Interface::find(name).expect_err("no such interface");
            assert_eq!(error.code, ErrorCode::Interface, "{error}");
            assert!(error.message.contains(name), "{error}");
        }
    }

    #[test]
    fn kernel_errors_get_the_code_that_says_what_to_do() {
        for (number, code) in [
            (libc::EPERM, ErrorCode::Privilege),
            (libc::ENODEV, ErrorCode::Interface),
            (libc::EBUSY, ErrorCode::DeviceOpen),
        ] {
            let error = open_error("eth0", "x", &io::Error::from_raw_os_error(number));
            assert_eq!(error.code, code);
        }
    }
}
