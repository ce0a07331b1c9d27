//! Flooding: a packet leaves by several ports, by the last of them itself and by the others as
//! copies.

use wirelet_abi::DropReason;
use wirelet_abi::verdict::FLOOD;
use wirelet_packet::{FrameCache, Mbuf};

use crate::burst::{Burst, GONE};
use crate::lcore::Lcore;
use crate::transmit::{self, Exit};

/// Sends the flooded packets of a burst, and with them what else leaves by the same ports: order of
/// arrival is kept per port of departure. A packet costs a frame and a copy of its bytes for every
/// port but the last; at most `PORTS_MAX` - 2 copies, of at most a frame each.
#[inline(never)]
pub fn spread(lcore: &mut Lcore) {
    let mut gather = std::mem::take(&mut lcore.gather);
    let (burst, mut exit) = transmit::split(lcore);
    burst.floods = false;
    let flooded = (0..burst.count).filter(|&index| burst.mbufs[index].egress == FLOOD);
    let mut ports = flooded.fold(0, |ports, index| ports | burst.flood_ports[index]);
    while ports != 0 {
        let egress = ports.trailing_zeros() as u16;
        ports &= ports - 1;
        gather.clear();
        for index in 0..burst.count {
            take(burst, index, egress, &mut exit, &mut gather);
        }
        exit.send(egress, &mut gather);
    }
    lcore.gather = gather;
}

/// Gathers what of a packet leaves by `egress`: nothing, a copy, or the packet.
fn take(burst: &mut Burst, index: usize, egress: u16, exit: &mut Exit<'_>, gather: &mut Vec<Mbuf>) {
    let (mbuf, to) = (&mut burst.mbufs[index], &mut burst.flood_ports[index]);
    if mbuf.egress == FLOOD && *to >> egress & 1 == 1 {
        *to &= !(1 << egress);
        if *to != 0 {
            return copy(mbuf, egress, exit, gather);
        }
    } else if mbuf.egress != egress {
        return;
    }
    gather.push(*mbuf);
    mbuf.egress = GONE;
}

/// One packet more: it is gathered, or dropped when there is no frame for it.
fn copy(mbuf: &Mbuf, egress: u16, exit: &mut Exit<'_>, gather: &mut Vec<Mbuf>) {
    let stats = &mut exit.ports[usize::from(mbuf.port)].stats;
    stats.copied_packets += 1;
    match duplicate(exit.frames, mbuf) {
        Some(copy) => gather.push(copy),
        None => {
            stats.drops[DropReason::NoCopyFrame as usize] += 1;
            if exit.fates.on {
                exit.fates.dropped(mbuf, DropReason::NoCopyFrame, Some(egress));
            }
        }
    }
}

/// The same packet in a frame of its own, at the same place in it.
fn duplicate(frames: &mut FrameCache, mbuf: &Mbuf) -> Option<Mbuf> {
    let copy = Mbuf { frame: frames.take()?, ..*mbuf };
    let region = frames.region();
    // SAFETY: offset + length lie within a frame (checked whenever they change); both frames are
    // ours, and two different ones, since the pool gives only free ones.
    unsafe {
        let bytes = usize::from(mbuf.length);
        region.data(&copy).copy_from_nonoverlapping(region.data(mbuf), bytes);
    }
    Some(copy)
}
