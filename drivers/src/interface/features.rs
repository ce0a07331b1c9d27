//! What an interface's driver can do with XDP: generic netlink family `netdev`, from Linux 6.3 on.
//! Anybody may ask.

use std::io;

use super::netlink::{ask, body, find, read_u16};

// linux/genetlink.h
const CONTROL_FAMILY: u16 = 16;
const GET_FAMILY: u8 = 3;
const FAMILY_ID: u16 = 1;
const FAMILY_NAME: u16 = 2;
/// Command, version, and two bytes of nothing.
const HEADER_BYTES: usize = 4;
// linux/netdev.h
const DEVICE_GET: u8 = 1;
const DEVICE_INDEX: u16 = 1;
const DEVICE_XDP_FEATURES: u16 = 3;

/// Bits of `enum netdev_xdp_act`: 1 native XDP, 2 redirect, 4 ndo_xdp_xmit, 8 zero copy, and more.
///
/// # Errors
/// What the kernel says; ENOENT from one that does not know the family.
pub(crate) fn xdp_features(index: i32) -> io::Result<u64> {
    let name = request(CONTROL_FAMILY, GET_FAMILY, FAMILY_NAME, b"netdev\0");
    let answer = ask(libc::NETLINK_GENERIC, &name)?;
    let family = attribute(&answer, CONTROL_FAMILY, FAMILY_ID)?;
    let family = read_u16(family).ok_or(io::ErrorKind::InvalidData)?;
    let device = request(family, DEVICE_GET, DEVICE_INDEX, &index.to_ne_bytes());
    let answer = ask(libc::NETLINK_GENERIC, &device)?;
    let features = attribute(&answer, family, DEVICE_XDP_FEATURES)?;
    let features = features.first_chunk().ok_or(io::ErrorKind::InvalidData)?;
    Ok(u64::from_ne_bytes(*features))
}

fn attribute(answer: &[u8], family: u16, wanted: u16) -> io::Result<&[u8]> {
    let attributes = body(answer, family)?.get(HEADER_BYTES..).unwrap_or_default();
    find(attributes, wanted).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// nlmsghdr, genlmsghdr, one attribute.
fn request(family: u16, command: u8, kind: u16, value: &[u8]) -> Vec<u8> {
    let attribute_bytes = 4 + value.len();
    let bytes = size_of::<libc::nlmsghdr>() + HEADER_BYTES + attribute_bytes.next_multiple_of(4);
    let mut request = Vec::with_capacity(bytes);
    request.extend((bytes as u32).to_ne_bytes());
    request.extend(family.to_ne_bytes());
    request.extend((libc::NLM_F_REQUEST as u16).to_ne_bytes());
    // Sequence and port.
    request.extend([0; 8]);
    request.extend([command, 1, 0, 0]);
    request.extend((attribute_bytes as u16).to_ne_bytes());
    request.extend(kind.to_ne_bytes());
    request.extend(value);
    request.resize(bytes, 0);
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_that_knows_the_family_answers_for_loopback_and_for_nobody_else() {
        match xdp_features(1) {
            // Loopback has generic XDP only.
            Ok(features) => assert_eq!(features & 1, 0),
            Err(error) => assert_eq!(error.raw_os_error(), Some(libc::ENOENT), "{error}"),
        }
        assert!(xdp_features(i32::MAX).is_err());
    }
}
