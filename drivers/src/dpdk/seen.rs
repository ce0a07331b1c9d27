//! What the last look at a port found: written by EAL's thread, read by lcores without a call into
//! DPDK.

use std::array;
use std::ffi::CStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use wirelet_abi::limits::{RULES_MAX, XSTATS_MAX};
use wirelet_abi::plugin::{DRIVER_XSTATS_MAX, PortInfo, PortStats, XSTAT_NAME_BYTES};

/// Statistics of every port, before those of its driver: first the port's, then its queues'.
const GENERAL: [&str; 7] = [
    "rx_missed",
    "rx_errors",
    "rx_no_frame",
    "tx_errors",
    "link_mbps",
    "linearized",
    "tags_restored",
];
/// The only one that does not count.
const LINK_MBPS: usize = 4;
/// Where the first one of a queue stands.
pub(super) const LINEARIZED: usize = 5;
pub(super) const TAGS_RESTORED: usize = 6;
/// Those of the port, and those of its driver.
const COUNTS: usize = LINEARIZED + DRIVER_XSTATS_MAX;

/// What lcores may read.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) link_up: AtomicU64,
    pub(super) mtu: AtomicU64,
    pub(super) promiscuous: AtomicU64,
    pub(super) removed: AtomicU64,
    mac: AtomicU64,
    xstats: [AtomicU64; COUNTS],
    rule_hits: [AtomicU64; RULES_MAX],
}

/// What the devices before this one have counted, and where its own counts go. EAL's thread has it.
#[derive(Debug)]
pub(super) struct Before {
    xstats: [u64; COUNTS],
    rule_hits: [u64; RULES_MAX],
    /// By place in the driver's own: which of those of `PortStats` it is.
    own: [Option<usize>; DRIVER_XSTATS_MAX],
}

impl Seen {
    pub(super) fn new() -> Seen {
        let zero = || AtomicU64::new(0);
        Seen {
            link_up: zero(),
            mtu: zero(),
            promiscuous: zero(),
            removed: zero(),
            mac: zero(),
            xstats: array::from_fn(|_| zero()),
            rule_hits: array::from_fn(|_| zero()),
        }
    }

    /// A device is there, one after the other, and its counts add to what was counted `before`.
    pub(super) fn begin(&self, info: &PortInfo, names: &[&str]) -> Before {
        let mac = info.mac.iter().fold(0, |mac, &byte| mac << 8 | u64::from(byte));
        self.mac.store(mac, Ordering::Relaxed);
        self.removed.store(0, Ordering::Relaxed);
        let now = |seen: &AtomicU64| seen.load(Ordering::Relaxed);
        let theirs = own_names(info);
        let place = |name: &&str| theirs.iter().position(|other| other == name);
        let mut before = Before {
            xstats: array::from_fn(|index| now(&self.xstats[index])),
            rule_hits: array::from_fn(|index| now(&self.rule_hits[index])),
            own: array::from_fn(|index| names.get(GENERAL.len() + index).and_then(place)),
        };
        before.xstats[LINK_MBPS] = 0;
        before
    }

    pub(super) fn store(&self, stats: &PortStats, before: &Before) {
        self.removed.store(stats.removed, Ordering::Relaxed);
        self.link_up.store(stats.link_up, Ordering::Relaxed);
        // Registers of a device that is gone read as ones.
        if stats.removed != 0 {
            return;
        }
        self.mtu.store(stats.mtu, Ordering::Relaxed);
        self.promiscuous.store(stats.promiscuous, Ordering::Relaxed);
        let general =
            [stats.rx_missed, stats.rx_errors, stats.rx_no_frame, stats.tx_errors, stats.link_mbps];
        let own = before.own.map(|place| place.map_or(0, |place| stats.xstats[place]));
        let all = general.into_iter().chain(own).zip(before.xstats);
        for (seen, (value, before)) in self.xstats.iter().zip(all) {
            seen.store(before.wrapping_add(value), Ordering::Relaxed);
        }
    }

    pub(super) fn store_hits(&self, hits: &[u64; RULES_MAX], before: &Before) {
        for (seen, (hits, before)) in self.rule_hits.iter().zip(hits.iter().zip(before.rule_hits)) {
            seen.store(before + hits, Ordering::Relaxed);
        }
    }

    pub(super) fn mac(&self) -> [u8; 6] {
        let [_, _, mac @ ..] = self.mac.load(Ordering::Relaxed).to_be_bytes();
        mac
    }

    /// The port's statistics, but for those of its queues.
    pub(super) fn read_xstats(&self, values: &mut [u64]) {
        for (index, seen) in self.xstats.iter().enumerate() {
            let at = if index < LINEARIZED { index } else { index - LINEARIZED + GENERAL.len() };
            if let Some(value) = values.get_mut(at) {
                *value = seen.load(Ordering::Relaxed);
            }
        }
    }

    pub(super) fn read_hits(&self, hits: &mut [u64]) {
        for (hits, seen) in hits.iter_mut().zip(&self.rule_hits) {
            *hits = seen.load(Ordering::Relaxed);
        }
    }
}

/// Names of the driver's own statistics.
fn own_names(info: &PortInfo) -> Vec<String> {
    let name = |bytes: &[u8; XSTAT_NAME_BYTES]| {
        let name = CStr::from_bytes_until_nul(bytes).unwrap_or_default();
        name.to_string_lossy().into_owned()
    };
    info.xstats.iter().take(info.xstat_count as usize).map(name).collect()
}

/// Names of all its statistics. Each name and each list is kept for the life of the process: there
/// are as many as drivers.
pub(super) fn names_of(info: &PortInfo) -> &'static [&'static str] {
    static LISTS: Mutex<Vec<&'static [&'static str]>> = Mutex::new(Vec::new());
    let all = GENERAL.iter().map(|name| (*name).to_owned()).chain(own_names(info));
    let wanted: Vec<String> = all.take(XSTATS_MAX).collect();
    let mut lists = LISTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(list) = lists.iter().find(|list| list.iter().eq(wanted.iter())) {
        return list;
    }
    let names: Vec<&'static str> = wanted.into_iter().map(|name| &*name.leak()).collect();
    let list: &'static [&'static str] = names.leak();
    lists.push(list);
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(names: &[&str]) -> PortInfo {
        // SAFETY: all zeros are a PortInfo: it is integers.
        let mut info: PortInfo = unsafe { std::mem::zeroed() };
        info.xstat_count = names.len() as u32;
        for (room, name) in info.xstats.iter_mut().zip(names) {
            room[..name.len()].copy_from_slice(name.as_bytes());
        }
        info
    }

    fn stats(rx_missed: u64, link_mbps: u64, own: &[u64]) -> PortStats {
        // SAFETY: all zeros are a PortStats: it is integers.
        let mut stats: PortStats = unsafe { std::mem::zeroed() };
        (stats.rx_missed, stats.link_mbps, stats.mtu) = (rx_missed, link_mbps, 1500);
        stats.xstats[..own.len()].copy_from_slice(own);
        stats
    }

    #[test]
    fn counts_go_on_with_the_next_device_and_by_their_names() {
        let (seen, mut all) = (Seen::new(), [0; 9]);
        let mut first = info(&["crc", "pause"]);
        first.mac = [2, 0, 0, 0, 0, 1];
        let names = names_of(&first);
        let before = seen.begin(&first, names);
        seen.store(&stats(5, 1000, &[1, 2]), &before);
        seen.store_hits(&[3; RULES_MAX], &before);
        seen.read_xstats(&mut all);
        assert_eq!((all, seen.mac()), ([5, 0, 0, 0, 1000, 0, 0, 1, 2], [2, 0, 0, 0, 0, 1]));
        // Registers of a device that is gone.
        let gone = PortStats { removed: 1, ..stats(u64::MAX, 0, &[u64::MAX; 2]) };
        seen.store(&gone, &before);
        seen.read_xstats(&mut all);
        assert_eq!(all, [5, 0, 0, 0, 1000, 0, 0, 1, 2]);
        assert_eq!(seen.removed.load(Ordering::Relaxed), 1);
        // Another model, of the same driver.
        let before = seen.begin(&info(&["other", "crc"]), names);
        assert_eq!(seen.removed.load(Ordering::Relaxed), 0);
        seen.store(&stats(7, 100, &[50, 10]), &before);
        seen.store_hits(&[4; RULES_MAX], &before);
        seen.read_xstats(&mut all);
        assert_eq!(all, [12, 0, 0, 0, 100, 0, 0, 11, 2]);
        let mut hits = [0; 2];
        seen.read_hits(&mut hits);
        assert_eq!(hits, [7, 7]);
    }
}
