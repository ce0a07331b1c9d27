//! `fault(loss=1%,seed=7):device`: a bad network, the same one each time.
//!
//! | option | default | |
//! |---|---|---|
//! | `loss`, `duplicate`, `corrupt`, `reorder` | 0 | part of the packets, `1%` or `0.01` |
//! | `delay`, `jitter` | 0 | `10ms`, at most `60s`; jitter adds a random time up to its own |
//! | `rate` | no limit | bits a second, `10M` |
//! | `limit` | 1000 | packets that it holds each way; more are lost, or not taken |
//! | `on` | both | `rx`, `tx` or `both` |
//! | `seed` | 1 | what becomes of packet n follows from seed, queue, direction and n |
//!
//! What becomes of the n-th packet of a direction depends on the seed and on n only. A reordered
//! packet leaves after 1 to 8 others; a corrupt one has one bit changed.
//!
//! Every packet that it eats or makes is counted, so that conservation holds: lost on receive is a
//! drop on arrival with reason `impaired`, lost on transmit a `tx_error`; a duplicate on receive is
//! one more packet received. What it still holds at the end is sent, or `impaired` if it was on its
//! way in.

mod fate;
mod lane;

use std::sync::Arc;

use wirelet_abi::{DropReason, Error};
use wirelet_packet::{FrameCache, Mbuf, clock};

use super::Wrapped;
use super::layer::{Layer, directions};
use crate::{Device, DeviceStats, OpenContext, Spec};
use fate::Plan;
use lane::Lane;

const OPTIONS: &[&str] =
    &["loss", "duplicate", "corrupt", "reorder", "delay", "jitter", "rate", "limit", "on", "seed"];
/// Packets that are taken from the device inside at once.
const FETCH: usize = 32;

/// A lane each way; `None` where nothing is changed.
struct Fault {
    rx: Option<Lane>,
    tx: Option<Lane>,
    fetched: [Mbuf; FETCH],
    impaired_bytes: u64,
    impaired: u64,
    tx_errors: u64,
}

pub(super) fn around(
    spec: &Spec,
    context: &OpenContext,
    devices: Vec<Box<dyn Device>>,
) -> Result<Vec<Box<dyn Device>>, Error> {
    spec.allow_options(OPTIONS)?;
    let plan = Plan::parse(spec)?;
    let limit = spec.number("limit", 1000, 1..=context.region.frames() as u64)? as usize;
    let seed = spec.number("seed", 1, 0..=u64::MAX)?;
    let (on_rx, on_tx) = directions(spec)?;
    let wrap = |(queue, inside): (usize, Box<dyn Device>)| {
        let lane = |direction: u64| {
            let seed = seed.wrapping_mul(64).wrapping_add(queue as u64).wrapping_mul(2);
            Lane::new(Arc::clone(&context.region), plan, seed.wrapping_add(direction), limit)
        };
        let layer = Fault {
            rx: on_rx.then(|| lane(0)),
            tx: on_tx.then(|| lane(1)),
            fetched: [Mbuf::default(); FETCH],
            impaired_bytes: 0,
            impaired: 0,
            tx_errors: 0,
        };
        Wrapped::device(inside, layer)
    };
    Ok(devices.into_iter().enumerate().map(wrap).collect())
}

impl Layer for Fault {
    const KEEPS_PLACES: bool = false;
    const XSTATS: &'static [&'static str] = &[
        "rx_lost",
        "rx_duplicated",
        "rx_corrupted",
        "rx_reordered",
        "tx_lost",
        "tx_duplicated",
        "tx_corrupted",
        "tx_reordered",
    ];

    fn rx_burst(
        &mut self,
        inside: &mut dyn Device,
        frames: &mut FrameCache,
        burst: &mut [Mbuf],
    ) -> usize {
        let Some(lane) = &mut self.rx else { return inside.rx_burst(frames, burst) };
        let now_ns = clock::now_ns();
        let left = lane.leave(burst, now_ns);
        let want = (burst.len() - left).min(FETCH);
        let count = inside.rx_burst(frames, &mut self.fetched[..want]);
        for mbuf in &self.fetched[..count] {
            // As in a router, what finds no room in the queue is lost.
            if lane.is_full() || !lane.accept(frames, *mbuf, now_ns) {
                self.impaired += 1;
                self.impaired_bytes += u64::from(mbuf.length);
                frames.give(mbuf.frame);
            }
        }
        left + lane.leave(&mut burst[left..], now_ns)
    }

    fn tx_burst(
        &mut self,
        inside: &mut dyn Device,
        frames: &mut FrameCache,
        burst: &[Mbuf],
    ) -> usize {
        let Some(lane) = &mut self.tx else { return inside.tx_burst(frames, burst) };
        let (now_ns, mut taken) = (clock::now_ns(), 0);
        while taken < burst.len() && !lane.is_full() {
            let mbuf = burst[taken];
            if !lane.accept(frames, mbuf, now_ns) {
                self.tx_errors += 1;
                frames.give(mbuf.frame);
            }
            taken += 1;
        }
        lane.send(inside, frames, now_ns);
        taken
    }

    fn poll(&mut self, inside: &mut dyn Device, frames: &mut FrameCache) {
        if let Some(lane) = self.tx.as_mut().filter(|lane| lane.held() > 0) {
            lane.send(inside, frames, clock::now_ns());
        }
    }

    fn leaving(&self) -> usize {
        self.tx.as_ref().map_or(0, Lane::held)
    }

    fn arriving(&self) -> usize {
        self.rx.as_ref().map_or(0, Lane::held)
    }

    fn count(&self, stats: &mut DeviceStats) {
        stats.rx_drops[DropReason::Impaired as usize] += self.impaired;
        stats.rx_drop_bytes += self.impaired_bytes;
        stats.tx_errors += self.tx_errors;
    }

    fn xstats(&self, values: &mut [u64]) {
        for (lane, values) in [&self.rx, &self.tx].into_iter().zip(values.chunks_mut(4)) {
            values.copy_from_slice(&lane.as_ref().map_or([0; 4], Lane::counts));
        }
    }

    fn close(&mut self, inside: &mut dyn Device, frames: &mut FrameCache) -> Result<(), Error> {
        if let Some(lane) = &mut self.tx {
            lane.send(inside, frames, u64::MAX);
            // What the device has no room for even now.
            lane.drain(|mbuf| {
                self.tx_errors += 1;
                frames.give(mbuf.frame);
            });
        }
        if let Some(lane) = &mut self.rx {
            lane.drain(|mbuf| {
                self.impaired += 1;
                self.impaired_bytes += u64::from(mbuf.length);
                frames.give(mbuf.frame);
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
