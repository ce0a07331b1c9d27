//! The way out of a queue: into its ring, the system call that makes the kernel look, and what to
//! do when it refuses.

use wirelet_packet::{FrameCache, Mbuf, clock};

use super::queue::Queue;
use super::socket::Kick;

/// How long an interface that takes no packets is left alone.
const REFUSE_NS: u64 = 1_000_000;

impl Queue {
    /// As [`crate::Device::tx_burst`].
    #[inline]
    pub(super) fn send(&mut self, frames: &mut FrameCache, burst: &[Mbuf]) -> usize {
        if self.refuses() {
            return self.refuse(frames, burst);
        }
        self.complete(frames);
        let room = self.tx_frames - self.ledger.transmitting();
        let Some(socket) = &mut self.socket else { return 0 };
        let room = socket.tx.free(room.min(burst.len()) as u32) as usize;
        for mbuf in &burst[..room] {
            let addr = self.chunks.send_address(mbuf);
            self.ledger.send(mbuf.frame);
            socket.tx.push(libc::xdp_desc { addr, len: mbuf.length.into(), options: 0 });
        }
        socket.tx.publish();
        if room > 0 {
            self.kick();
            self.complete(frames);
        }
        room
    }

    /// As [`crate::Device::reclaim`].
    #[inline]
    pub(super) fn take_back(&mut self, frames: &mut FrameCache) {
        if self.ledger.transmitting() == 0 {
            return;
        }
        self.complete(frames);
        if self.unsent && !self.refuses() {
            self.kick();
            self.complete(frames);
        }
    }

    /// Takes back frames of packets that are sent.
    #[inline]
    fn complete(&mut self, frames: &mut FrameCache) {
        let outstanding = self.ledger.transmitting() as u32;
        let Some(socket) = &mut self.socket else { return };
        if outstanding == 0 {
            return;
        }
        let done = socket.completion.ready(outstanding);
        for _ in 0..done {
            let (frame, _) = self.chunks.place(socket.completion.pop());
            self.ledger.sent(frame);
            frames.give(frame);
        }
        if done > 0 {
            socket.completion.release();
        }
    }

    /// Has the kernel send what is in the transmit ring, as long as it gets on.
    fn kick(&mut self) {
        let Some(socket) = &mut self.socket else { return };
        self.unsent = socket.zero_copy() && socket.tx.pending() > 0;
        if socket.zero_copy() && !socket.tx.needs_wakeup() {
            return;
        }
        let (mut patience, dropped_before) = (socket.calls_per_burst(), self.counts.tx_dropped);
        // Each call sends a packet, or uses up patience: this ends.
        for _ in 0..=self.tx_frames {
            let done_before = socket.completion.written();
            self.counts.tx_calls += 1;
            match socket.kick() {
                Kick::Done => {
                    if self.counts.tx_dropped != dropped_before {
                        self.look_for_carrier();
                    }
                    return;
                }
                Kick::Dropped => {
                    self.counts.tx_dropped += 1;
                    self.counts.tx_errors += 1;
                }
                Kick::Again if socket.completion.written() != done_before => {}
                Kick::Again if patience > 1 => patience -= 1,
                Kick::Again => break,
                Kick::Down => {
                    self.refuse_for_now();
                    break;
                }
                Kick::Gone => {
                    self.watch.lose();
                    self.refuse_for_now();
                    break;
                }
            }
        }
        self.unsent = true;
    }

    /// Packets were dropped by the driver, perhaps for want of a carrier.
    #[cold]
    fn look_for_carrier(&mut self) {
        if self.watch.stale() {
            self.watch.look();
        }
        if !self.watch.link().up {
            self.refusing_until_ns = clock::now_ns() + REFUSE_NS;
        }
    }

    #[cold]
    fn refuse_for_now(&mut self) {
        self.watch.look();
        self.refusing_until_ns = clock::now_ns() + REFUSE_NS;
    }

    /// Whether packets can't leave; asks the kernel again now and then. An interface that is down
    /// takes none; one that is up without a carrier drops them one by one, a system call each.
    #[inline]
    fn refuses(&mut self) -> bool {
        self.refusing_until_ns > 0 && self.still_refuses()
    }

    #[cold]
    fn still_refuses(&mut self) -> bool {
        let Some(socket) = &self.socket else { return true };
        if clock::now_ns() < self.refusing_until_ns {
            return true;
        }
        match socket.kick() {
            Kick::Down | Kick::Gone => self.refuse_for_now(),
            outcome => {
                let dropped = u64::from(outcome == Kick::Dropped);
                self.counts.tx_dropped += dropped;
                self.counts.tx_errors += dropped;
                self.refusing_until_ns = 0;
            }
        }
        self.refusing_until_ns > 0
    }

    /// Packets that can't leave now: the interface is down or gone.
    #[cold]
    fn refuse(&mut self, frames: &mut FrameCache, burst: &[Mbuf]) -> usize {
        frames.give_burst(burst);
        self.counts.tx_errors += burst.len() as u64;
        burst.len()
    }
}
