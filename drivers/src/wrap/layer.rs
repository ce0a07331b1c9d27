//! What wrappers have in common: everything they don't change goes to the device inside.

use std::sync::{Arc, Mutex, PoisonError};

use wirelet_abi::Error;
use wirelet_abi::limits::XSTATS_MAX;
use wirelet_packet::{FrameCache, Mbuf, Waker};

use crate::{Device, DeviceStats, Filter, Idle, Spec, TxLimits};

/// One wrapper's own part.
pub(super) trait Layer: Send {
    /// Names of what it counts; they stand behind those of the device inside.
    const XSTATS: &'static [&'static str];

    /// What it receives is what the device inside received, packet by packet: then what became of
    /// it can be told inside too.
    const KEEPS_PLACES: bool;

    fn rx_burst(
        &mut self,
        inside: &mut dyn Device,
        frames: &mut FrameCache,
        burst: &mut [Mbuf],
    ) -> usize;

    fn tx_burst(
        &mut self,
        inside: &mut dyn Device,
        frames: &mut FrameCache,
        burst: &[Mbuf],
    ) -> usize;

    /// Called once a round, before packets are received.
    fn poll(&mut self, _inside: &mut dyn Device, _frames: &mut FrameCache) {}

    /// Writes out what it has collected.
    fn flush(&mut self) {}

    /// As [`Device::take_notes`].
    fn take_notes(&mut self) -> bool {
        false
    }

    /// As [`Device::note`].
    fn note(&mut self, _place: usize, _note: &str) {}

    /// Packets on their way out that it holds.
    fn leaving(&self) -> usize {
        0
    }

    /// Packets on their way in that it holds.
    fn arriving(&self) -> usize {
        0
    }

    /// Adds drops and errors to what the device inside counts.
    fn count(&self, _stats: &mut DeviceStats) {}

    /// Its own counts, as [`Layer::XSTATS`] names them.
    fn xstats(&self, _values: &mut [u64]) {}

    fn take_error(&mut self) -> Option<Error> {
        None
    }

    /// Gives everything on that it holds; the device inside is closed after that.
    ///
    /// # Errors
    /// What it could not write.
    fn close(&mut self, _inside: &mut dyn Device, _frames: &mut FrameCache) -> Result<(), Error> {
        Ok(())
    }
}

/// Directions that a wrapper is for, `on=rx|tx|both`: receive and transmit.
///
/// # Errors
/// `WIRELET_E_DEVICE_SPEC`.
pub(super) fn directions(spec: &Spec) -> Result<(bool, bool), Error> {
    match spec.text("on") {
        None | Some("both") => Ok((true, true)),
        Some("rx") => Ok((true, false)),
        Some("tx") => Ok((false, true)),
        Some(_) => Err(spec.invalid("option `on` is rx, tx or both")),
    }
}

/// Packets that a wrapper is for, `filter='udp port 53'`: all where there is none.
///
/// # Errors
/// `WIRELET_E_FILTER`, `WIRELET_E_LIBPCAP`.
pub(super) fn filter(spec: &Spec) -> Result<Option<Filter>, Error> {
    let named =
        |error: Error| Error::new(error.code, format!("{}: {}", spec.driver, error.message));
    spec.text("filter").map(Filter::parse).transpose().map_err(named)
}

/// A layer around a device.
pub(super) struct Wrapped<L> {
    inside: Box<dyn Device>,
    layer: L,
    names: &'static [&'static str],
}

impl<L: Layer + 'static> Wrapped<L> {
    pub(super) fn device(inside: Box<dyn Device>, layer: L) -> Box<dyn Device> {
        let mut names = inside.xstat_names().to_vec();
        names.extend(L::XSTATS);
        names.truncate(XSTATS_MAX);
        Box::new(Wrapped { inside, layer, names: interned(names) })
    }
}

/// Keeps each list once for the life of the process: there are as many as ways to wrap devices.
fn interned(names: Vec<&'static str>) -> &'static [&'static str] {
    static LISTS: Mutex<Vec<&'static [&'static str]>> = Mutex::new(Vec::new());
    let mut lists = LISTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(list) = lists.iter().find(|list| **list == names) {
        return list;
    }
    let list: &'static [&'static str] = names.leak();
    lists.push(list);
    list
}

impl<L: Layer> Device for Wrapped<L> {
    fn rx_burst(&mut self, frames: &mut FrameCache, burst: &mut [Mbuf]) -> usize {
        self.layer.rx_burst(&mut *self.inside, frames, burst)
    }

    fn tx_burst(&mut self, frames: &mut FrameCache, burst: &[Mbuf]) -> usize {
        self.layer.tx_burst(&mut *self.inside, frames, burst)
    }

    fn reclaim(&mut self, frames: &mut FrameCache) {
        self.inside.reclaim(frames);
        self.layer.poll(&mut *self.inside, frames);
    }

    fn flush(&mut self) {
        self.layer.flush();
        self.inside.flush();
    }

    fn set_waker(&mut self, waker: Arc<Waker>) {
        self.inside.set_waker(waker);
    }

    fn enter(&mut self) {
        self.inside.enter();
    }

    fn take_notes(&mut self) -> bool {
        // Both are asked.
        let layer = self.layer.take_notes();
        L::KEEPS_PLACES && self.inside.take_notes() || layer
    }

    fn note(&mut self, place: usize, note: &str) {
        self.layer.note(place, note);
        if L::KEEPS_PLACES {
            self.inside.note(place, note);
        }
    }

    /// What is on its way in does not count: nobody receives it any more while an appliance drains,
    /// and it was not received yet.
    fn in_flight(&self) -> usize {
        self.inside.in_flight() + self.layer.leaving()
    }

    fn internal(&self) -> bool {
        self.inside.internal()
    }

    fn keeps_flows(&self) -> bool {
        self.inside.keeps_flows()
    }

    fn stats(&self, stats: &mut DeviceStats) {
        self.inside.stats(stats);
        self.layer.count(stats);
        let first = self.inside.xstat_names().len();
        let mut values = [0; XSTATS_MAX];
        self.layer.xstats(&mut values[..L::XSTATS.len()]);
        for (to, from) in stats.xstats[first.min(XSTATS_MAX)..].iter_mut().zip(values) {
            *to = from;
        }
    }

    fn xstat_names(&self) -> &'static [&'static str] {
        self.names
    }

    fn tx_limits(&self) -> TxLimits {
        self.inside.tx_limits()
    }

    fn mac(&self) -> [u8; 6] {
        self.inside.mac()
    }

    fn mtu(&self) -> usize {
        self.inside.mtu()
    }

    fn promiscuous(&self) -> bool {
        self.inside.promiscuous()
    }

    fn idle(&self) -> Idle {
        // What is held has its time: it must not wait for a packet to wake the lcore.
        match self.layer.leaving() + self.layer.arriving() {
            0 => self.inside.idle(),
            _ => Idle::Poll,
        }
    }

    fn finished(&self) -> bool {
        self.inside.finished() && self.layer.arriving() == 0
    }

    fn take_error(&mut self) -> Option<Error> {
        self.layer.take_error().or_else(|| self.inside.take_error())
    }

    fn close(&mut self, frames: &mut FrameCache) -> Result<(), Error> {
        let own = self.layer.close(&mut *self.inside, frames);
        self.inside.close(frames).and(own)
    }
}
