//! What the kernel dropped before an interface's reader took it, from `/proc/net/dev`: the one
//! place that needs neither RTNL nor a sysfs that is mounted for this namespace.

use std::fs::File;
use std::os::unix::fs::FileExt;

use wirelet_packet::clock;

/// Reads no more: thousands of interfaces would keep the lcore for milliseconds.
const BYTES_MAX: usize = 64 << 10;
const LOOK_NS: u64 = 1_000_000_000;
/// Columns behind the name: 8 of receiving, then bytes, packets, errs, drop of transmitting.
const TX_DROP: usize = 11;

/// The transmit drops of one interface, as the namespace that opened this counts them.
#[derive(Debug)]
pub(crate) struct Dropped {
    file: Option<File>,
    text: Box<[u8]>,
    looked_at_ns: u64,
    /// What the interface had counted before: it may be older than this device.
    before: Option<u64>,
    count: u64,
}

impl Dropped {
    /// Opens it; where there is no procfs it counts nothing.
    pub(crate) fn new(interface: &str) -> Dropped {
        let file = File::open("/proc/thread-self/net/dev").ok();
        let text = vec![0; BYTES_MAX].into();
        let mut dropped = Dropped { file, text, looked_at_ns: 0, before: None, count: 0 };
        dropped.look(interface);
        dropped
    }

    /// Packets dropped since it was opened.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Reads the file, once a second at most: a system call and some µs.
    pub(crate) fn look_when_stale(&mut self, interface: &str) {
        if clock::now_ns().saturating_sub(self.looked_at_ns) >= LOOK_NS {
            self.look(interface);
        }
    }

    /// Reads the file.
    pub(crate) fn look(&mut self, interface: &str) {
        self.looked_at_ns = clock::now_ns();
        let Some(now) = self.read(interface) else { return };
        let before = *self.before.get_or_insert(now);
        self.count = now.saturating_sub(before);
    }

    fn read(&mut self, interface: &str) -> Option<u64> {
        let file = self.file.as_ref()?;
        let mut length = 0;
        // procfs gives a page at a time.
        while let Ok(bytes @ 1..) = file.read_at(&mut self.text[length..], length as u64) {
            length += bytes;
        }
        find(&self.text[..length], interface)
    }
}

fn find(text: &[u8], interface: &str) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let counters = text.lines().find_map(|line| {
        let (name, counters) = line.trim_start().split_once(':')?;
        (name == interface).then_some(counters)
    })?;
    counters.split_ascii_whitespace().nth(TX_DROP)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_column_is_found_behind_the_right_name() {
        let text = b"Inter-|   Receive  |  Transmit\n face |bytes packets errs drop\n    \
            lo: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n  tap1:0 0 0 0 0 0 0 0 0 0 0 99 0 0 0 0\n";
        assert_eq!((find(text, "lo"), find(text, "tap1")), (Some(12), Some(99)));
        assert_eq!((find(text, "tap"), find(&text[..70], "lo")), (None, None));
    }

    #[test]
    fn only_what_is_dropped_from_now_on_counts() {
        let mut dropped = Dropped::new("lo");
        assert_eq!(dropped.count(), 0);
        assert!(dropped.before.is_some(), "loopback is in the file");
        dropped.look("wirelet-none0");
        assert_eq!(dropped.count(), 0);
    }
}
