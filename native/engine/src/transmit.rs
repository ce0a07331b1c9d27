//! The way out: to a device of this lcore, to the lcore that has the device, or a counted drop.

use wirelet_abi::DropReason;
use wirelet_abi::stats::LcoreBlock;
use wirelet_packet::ring::Producer;
use wirelet_packet::{FrameCache, Mbuf};

use crate::burst::GONE;
use crate::control::Control;
use crate::fate::Fates;
use crate::flood;
use crate::handover;
use crate::lcore::Lcore;
use crate::port::Port;

/// Sends what is left of a burst that came in by `ingress`: passing packets by `forward`, others by
/// the port in their `egress`. Order of arrival is kept per port of departure.
#[inline]
pub fn burst(lcore: &mut Lcore, ingress: usize, forward: Option<u16>) {
    if let Some(egress) = forward
        && !lcore.burst.diverges
    {
        // The usual case: by one port, without gathering.
        let (burst, mut exit) = split(lcore);
        return exit.send(egress, burst.close_ranks());
    }
    for &live in &lcore.burst.live[..lcore.burst.live_count] {
        let mbuf = &mut lcore.burst.mbufs[usize::from(live)];
        mbuf.egress = forward.unwrap_or(GONE);
        if forward.is_none() {
            lcore.frames.give(mbuf.frame);
            lcore.ports[ingress].stats.drops[DropReason::NoForward as usize] += 1;
            if lcore.fates.on {
                lcore.fates.dropped(mbuf, DropReason::NoForward, None);
            }
        }
    }
    if lcore.burst.floods {
        flood::spread(lcore);
    }
    decided(lcore);
}

/// Sends packets whose `egress` is decided.
pub fn decided(lcore: &mut Lcore) {
    let mut gather = std::mem::take(&mut lcore.gather);
    let (burst, mut exit) = split(lcore);
    for first in 0..burst.count {
        let egress = burst.mbufs[first].egress;
        if egress == GONE {
            continue;
        }
        gather.clear();
        for mbuf in &mut burst.mbufs[first..burst.count] {
            if mbuf.egress == egress {
                gather.push(*mbuf);
                mbuf.egress = GONE;
            }
        }
        exit.send(egress, &mut gather);
    }
    lcore.gather = gather;
}

/// What sending needs of an lcore, apart from the packets.
pub(crate) struct Exit<'a> {
    pub(crate) ports: &'a mut [Port],
    pub(crate) frames: &'a mut FrameCache,
    outgoing: &'a mut [Option<Producer<Mbuf>>],
    control: &'a Control,
    stats: &'a mut LcoreBlock,
    pub(crate) fates: &'a mut Fates,
}

pub(crate) fn split(lcore: &mut Lcore) -> (&mut crate::burst::Burst, Exit<'_>) {
    let Lcore { burst, ports, frames, outgoing, control, stats, fates, .. } = lcore;
    (burst, Exit { ports, frames, outgoing, control, stats, fates })
}

impl Exit<'_> {
    #[inline]
    pub(crate) fn send(&mut self, egress: u16, packets: &mut [Mbuf]) {
        if packets.is_empty() {
            return;
        }
        let port = &self.ports[usize::from(egress)];
        let mut sum = Sum::of(packets);
        let fits = port.sends(sum.shortest).is_ok()
            && port.sends(sum.longest).is_ok()
            && usize::from(sum.shortest) >= port.limits.padded_bytes;
        let packets = match fits {
            true => packets,
            false => {
                let kept = self.trim(egress, packets);
                sum = Sum::of(&packets[..kept]);
                &mut packets[..kept]
            }
        };
        let (sent, reason) = match self.ports[usize::from(egress)].device {
            Some(_) => (self.transmit(egress, packets, sum), DropReason::TxFull),
            None => (self.hand_over(egress, packets), DropReason::HandoverFull),
        };
        if self.fates.on {
            self.fates.left(&packets[..sent], egress, reason == DropReason::HandoverFull);
        }
        for mbuf in &packets[sent..] {
            self.drop(mbuf, reason, egress);
        }
    }

    #[inline]
    fn transmit(&mut self, egress: u16, packets: &[Mbuf], sum: Sum) -> usize {
        let port = &mut self.ports[usize::from(egress)];
        let sent = port.transmit(self.frames, packets, egress);
        let sum = if sent < packets.len() { Sum::of(&packets[..sent]) } else { sum };
        let Some(last) = packets[..sent].last() else { return 0 };
        port.sent(sent as u64, sum.bytes, last.port);
        // One ingress for all, but for packets that other lcores handed over.
        if sum.is_of_one_port {
            self.ports[usize::from(last.port)].stats.forwarded_packets += sent as u64;
        } else {
            for mbuf in &packets[..sent] {
                self.ports[usize::from(mbuf.port)].stats.forwarded_packets += 1;
            }
        }
        sent
    }

    /// To the lcore that has the device.
    fn hand_over(&mut self, egress: u16, packets: &mut [Mbuf]) -> usize {
        packets.iter_mut().for_each(|mbuf| mbuf.egress = egress);
        let home = self.ports[usize::from(egress)].home;
        handover::give(self.outgoing, self.control, self.stats, home, packets)
    }

    /// Drops packets that the port of departure can't send, pads those that are short; returns how
    /// many are left, in front.
    #[cold]
    fn trim(&mut self, egress: u16, packets: &mut [Mbuf]) -> usize {
        let padded = self.ports[usize::from(egress)].limits.padded_bytes;
        let mut kept = 0;
        for index in 0..packets.len() {
            let mut mbuf = packets[index];
            match self.ports[usize::from(egress)].sends(mbuf.length) {
                Err(reason) => self.drop(&mbuf, reason, egress),
                Ok(()) => {
                    pad(self.frames, &mut mbuf, padded);
                    packets[kept] = mbuf;
                    kept += 1;
                }
            }
        }
        kept
    }

    pub(crate) fn drop(&mut self, mbuf: &Mbuf, reason: DropReason, egress: u16) {
        self.frames.give(mbuf.frame);
        self.ports[usize::from(mbuf.port)].stats.drops[reason as usize] += 1;
        if self.fates.on {
            self.fates.dropped(mbuf, reason, Some(egress));
        }
    }
}

/// What there is to know of some packets, found in one pass over them.
#[derive(Clone, Copy)]
struct Sum {
    bytes: u64,
    shortest: u16,
    longest: u16,
    /// All of them came in by one port.
    is_of_one_port: bool,
}

impl Sum {
    #[inline]
    fn of(packets: &[Mbuf]) -> Sum {
        let (mut bytes, mut shortest, mut longest) = (0, u16::MAX, 0);
        let (port, mut others) = (packets.first().map_or(0, |mbuf| mbuf.port), 0);
        for mbuf in packets {
            bytes += u64::from(mbuf.length);
            shortest = shortest.min(mbuf.length);
            longest = longest.max(mbuf.length);
            others |= mbuf.port ^ port;
        }
        Sum { bytes, shortest, longest, is_of_one_port: others == 0 }
    }
}

/// Zeros behind a short packet: what stood there belongs to an earlier one (CVE-2003-0001,
/// "Etherleak").
fn pad(frames: &FrameCache, mbuf: &mut Mbuf, padded_bytes: usize) {
    let (offset, length) = (usize::from(mbuf.offset), usize::from(mbuf.length));
    let missing = padded_bytes.saturating_sub(length);
    if missing == 0 || offset + padded_bytes > frames.region().frame_bytes() {
        return;
    }
    // SAFETY: offset + length + missing lies within the frame, which is ours.
    unsafe { frames.region().data(mbuf).add(length).write_bytes(0, missing) };
    mbuf.length = padded_bytes as u16;
}
