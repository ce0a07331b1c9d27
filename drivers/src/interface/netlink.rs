//! What only netlink tells of an interface: which kind it is, and which XDP program it has; and how
//! to ask it.
//!
//! The kernel may keep us waiting for the lock of all interfaces: ask before there are packets.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

const ANSWER_BYTES_MAX: usize = 64 << 10;
const HEADER_BYTES: usize = size_of::<libc::nlmsghdr>();
const MESSAGE_BYTES: usize = HEADER_BYTES + size_of::<libc::ifinfomsg>();
/// The two highest bits of an attribute's type are flags.
const TYPE_MASK: u16 = 0x3fff;

// linux/if_link.h
const LINK_INFO: u16 = 18;
const LINK_INFO_KIND: u16 = 1;
const EXTENSION_MASK: u16 = 29;
const XDP: u16 = 43;
const XDP_PROGRAM: u16 = 4;
/// Leaves counters out of the answer (RTEXT_FILTER_SKIP_STATS).
const SKIP_STATISTICS: u32 = 8;

/// What netlink said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Description {
    /// `veth`, `tun`, ...; none for hardware.
    pub(crate) kind: Option<String>,
    /// Number of the XDP program that is attached.
    pub(crate) program: Option<u32>,
}

/// Asks for the interface with that index, in the calling thread's network namespace.
pub(crate) fn describe(index: i32) -> io::Result<Description> {
    parse(&ask(libc::NETLINK_ROUTE, &request(index))?)
}

/// Sends one request to the kernel and returns its answer, whole.
pub(super) fn ask(protocol: i32, request: &[u8]) -> io::Result<Vec<u8>> {
    let socket = open(protocol)?;
    // SAFETY: reads the request's bytes; the destination of a fresh netlink socket is the kernel.
    let sent = unsafe { libc::send(socket.as_raw_fd(), request.as_ptr().cast(), request.len(), 0) };
    check(sent)?;
    let mut answer = vec![0u8; ANSWER_BYTES_MAX];
    // SAFETY: writes at most the buffer's length.
    let received =
        unsafe { libc::recv(socket.as_raw_fd(), answer.as_mut_ptr().cast(), answer.len(), 0) };
    answer.truncate(check(received)? as usize);
    Ok(answer)
}

fn open(protocol: i32) -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: a plain system call that returns a new descriptor or -1.
    let fd = unsafe { libc::socket(libc::AF_NETLINK, kind, protocol) };
    check(fd as isize)?;
    // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn check(result: isize) -> io::Result<isize> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// RTM_GETLINK: nlmsghdr, ifinfomsg, one attribute.
fn request(index: i32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(MESSAGE_BYTES + 8);
    bytes.extend((MESSAGE_BYTES as u32 + 8).to_ne_bytes());
    bytes.extend(libc::RTM_GETLINK.to_ne_bytes());
    bytes.extend((libc::NLM_F_REQUEST as u16).to_ne_bytes());
    // Sequence and port; then family, padding and type.
    bytes.extend([0; 8 + 4]);
    bytes.extend(index.to_ne_bytes());
    // Flags and their mask.
    bytes.extend([0; 8]);
    bytes.extend(8u16.to_ne_bytes());
    bytes.extend(EXTENSION_MASK.to_ne_bytes());
    bytes.extend(SKIP_STATISTICS.to_ne_bytes());
    bytes
}

/// What stands behind the header of an answer, which must be a message of type `wanted`.
pub(super) fn body(answer: &[u8], wanted: u16) -> io::Result<&[u8]> {
    let kind = answer.get(4..6).and_then(read_u16);
    if kind == Some(libc::NLMSG_ERROR as u16) {
        let number = answer.get(HEADER_BYTES..).and_then(read_u32).unwrap_or(0) as i32;
        return Err(io::Error::from_raw_os_error(number.wrapping_neg()));
    }
    let end = answer.len().min(read_u32(answer).unwrap_or(0) as usize);
    let found = answer.get(HEADER_BYTES..end).filter(|_| kind == Some(wanted));
    found.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn parse(answer: &[u8]) -> io::Result<Description> {
    let body = body(answer, libc::RTM_NEWLINK)?;
    let attributes = body.get(size_of::<libc::ifinfomsg>()..).ok_or(io::ErrorKind::InvalidData)?;
    let mut description = Description::default();
    if let Some(kind) = find(attributes, LINK_INFO).and_then(|info| find(info, LINK_INFO_KIND)) {
        description.kind = Some(text(kind));
    }
    let program = find(attributes, XDP).and_then(|xdp| find(xdp, XDP_PROGRAM));
    description.program = program.and_then(read_u32);
    Ok(description)
}

/// Text up to its zero.
pub(super) fn text(bytes: &[u8]) -> String {
    let text = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

/// The value of the first attribute of type `wanted`.
pub(super) fn find(mut attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let bytes = usize::from(attributes.get(..2).and_then(read_u16)?);
        let kind = attributes.get(2..4).and_then(read_u16)? & TYPE_MASK;
        let value = attributes.get(4..bytes)?;
        if kind == wanted {
            return Some(value);
        }
        attributes = attributes.get(bytes.next_multiple_of(4)..)?;
    }
}

pub(super) fn read_u16(bytes: &[u8]) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.first_chunk()?))
}

pub(super) fn read_u32(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_has_no_kind_and_no_program() {
        assert_eq!(describe(1).expect("an answer"), Description::default());
    }

    #[test]
    fn what_is_not_there_is_the_kernels_error() {
        let error = describe(i32::MAX).expect_err("no such interface");
        assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
    }

    #[test]
    fn attributes_are_found_and_damaged_ones_end_the_search() {
        let attribute = |kind: u16, value: &[u8]| {
            let mut bytes = (4 + value.len() as u16).to_ne_bytes().to_vec();
            bytes.extend(kind.to_ne_bytes());
            bytes.extend(value);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes
        };
        let nested = attribute(XDP_PROGRAM, &17u32.to_ne_bytes());
        // The flag says that it is nested.
        let all = [attribute(3, b"a name"), attribute(XDP | 1 << 15, &nested)].concat();
        let found = find(&all, XDP).and_then(|xdp| find(xdp, XDP_PROGRAM)).and_then(read_u32);
        assert_eq!(found, Some(17));
        assert_eq!(find(&all, 9), None);
        for end in 0..all.len() {
            assert_eq!(find(&all[..end], 9), None);
        }
        assert_eq!(find(&[0, 0, 3, 0], 9), None);
    }
}
