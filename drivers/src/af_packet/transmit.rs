//! Out of frames: a system call for a burst, and the kernel copies. Measured on veth, this beats
//! both transmit rings (TPACKET_V2 and V3), which need the same call, and a copy of ours before it.

use std::io;
use std::ptr;

use wirelet_abi::limits::BURST_MAX;
use wirelet_packet::{Mbuf, Region};

use super::socket::Socket;

/// One queue's way out.
pub(super) struct Sender {
    socket: Socket,
    messages: Box<[libc::mmsghdr]>,
    /// What the messages point to.
    parts: Box<[libc::iovec]>,
}

// SAFETY: the messages point into `parts`, which is on the heap and moves with them.
unsafe impl Send for Sender {}

/// What became of packets, in their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    /// Those that are done with, sent or failed; the rest may be tried again.
    pub(super) taken: usize,
    /// Those of them that could not be sent.
    pub(super) failed: usize,
    /// The kernel has said that the interface is down or gone.
    pub(super) down: bool,
}

impl Sender {
    pub(super) fn new(socket: Socket) -> Sender {
        let empty = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };
        let mut parts: Box<[libc::iovec]> = vec![empty; BURST_MAX].into();
        let message = |part: &mut libc::iovec| {
            // SAFETY: a message header is integers and pointers, for which all zeros is a value.
            let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
            message.msg_hdr.msg_iov = &raw mut *part;
            message.msg_hdr.msg_iovlen = 1;
            message
        };
        let messages = parts.iter_mut().map(message).collect();
        Sender { socket, messages, parts }
    }

    /// Sends packets until the kernel has no room. `link_up` is what was last seen of the link.
    pub(super) fn send(&mut self, region: &Region, burst: &[Mbuf], link_up: bool) -> Sent {
        let mut sent = Sent::default();
        while sent.taken < burst.len() {
            match self.call(region, &burst[sent.taken..]) {
                Ok(count) => sent.taken += count,
                Err(error) => match error.raw_os_error() {
                    Some(libc::EINTR) => {}
                    Some(libc::ENETDOWN | libc::ENXIO | libc::ENODEV) => {
                        sent.down = true;
                        return fail(sent, burst.len());
                    }
                    // No room in the socket, in the driver, or in memory. A NIC without a carrier
                    // has none either, and will not have any soon.
                    Some(libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM) => {
                        return if link_up { sent } else { fail(sent, burst.len()) };
                    }
                    // This one can't be sent: longer than the MTU has become, most likely.
                    _ => sent = fail(sent, sent.taken + 1),
                },
            }
        }
        sent
    }

    /// One call; returns how many of the packets were sent, at least one.
    fn call(&mut self, region: &Region, burst: &[Mbuf]) -> io::Result<usize> {
        let count = burst.len().min(self.parts.len());
        for (part, mbuf) in self.parts.iter_mut().zip(burst) {
            part.iov_base = region.data(mbuf).cast();
            part.iov_len = mbuf.length.into();
        }
        let messages = self.messages.as_mut_ptr();
        // SAFETY: `count` messages, each of which points to one part; each part is a packet, which
        // lies within its frame (the engine's invariant), and the frame is ours.
        let sent =
            unsafe { libc::sendmmsg(self.socket.fd(), messages, count as u32, libc::MSG_DONTWAIT) };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }
}

/// Everything up to `taken` is done with, and failed.
fn fail(sent: Sent, taken: usize) -> Sent {
    Sent { taken, failed: sent.failed + taken - sent.taken, ..sent }
}
