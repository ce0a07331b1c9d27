//! The reading side of `pcap:`: records become packets, in their time and as often as asked.

use wirelet_abi::limits::{HEADROOM_BYTES, PACKET_BYTES_MIN};
use wirelet_abi::{DropReason, Error};
use wirelet_packet::{FrameCache, Mbuf, Region, clock};

use crate::capture::{CaptureReader, Record};
use crate::{DeviceStats, Idle};

pub(super) struct Input {
    reader: CaptureReader,
    /// Passes that are left after this one; `u64::MAX` for no end.
    passes_left: u64,
    pub(super) passes: u64,
    /// Whether this pass has delivered a packet: a file without any is not read for ever.
    delivered: bool,
    pace: Option<Pace>,
    pub(super) finished: bool,
}

/// Delivers packets at the distances they have in the file.
#[derive(Default)]
pub(super) struct Pace {
    /// Of the pass: the clock, and the first packet's timestamp.
    start: Option<(u64, u64)>,
    /// A packet that was read and is not due yet.
    waiting: Option<Mbuf>,
}

/// What the next record was.
pub(super) enum Received {
    Packet(Mbuf),
    /// A packet waits for its time.
    NotDue,
    /// No packet: its frame is free again.
    Nothing,
    /// The pass is over.
    End,
}

impl Input {
    /// Reads `reader` `passes` times, 0 for no end; at its own pace or as fast as asked.
    pub(super) fn new(reader: CaptureReader, passes: u64, pace: bool) -> Input {
        Input {
            reader,
            passes_left: passes.checked_sub(1).unwrap_or(u64::MAX),
            passes: 1,
            delivered: false,
            pace: pace.then(Pace::default),
            finished: false,
        }
    }

    /// The packet that waits for its time.
    pub(super) fn waiting(&self) -> Option<&Mbuf> {
        self.pace.as_ref()?.waiting.as_ref()
    }

    /// Finishes; the caller frees what waited.
    pub(super) fn close(&mut self) -> Option<Mbuf> {
        self.finished = true;
        self.pace.as_mut()?.waiting.take()
    }

    /// The frame of the packet that waits, or a free one for the next.
    #[inline]
    pub(super) fn frame(&mut self, frames: &mut FrameCache) -> Option<Mbuf> {
        if let Some(pace) = &mut self.pace
            && let Some(mbuf) = pace.waiting.take()
        {
            return Some(mbuf);
        }
        Some(Mbuf { frame: frames.take()?, offset: HEADROOM_BYTES as u16, ..Mbuf::default() })
    }

    /// Reads the next packet into `mbuf`, unless it is one that waited.
    #[inline]
    pub(super) fn receive(
        &mut self,
        region: &Region,
        mbuf: Mbuf,
        drops: &mut DeviceStats,
    ) -> Received {
        if mbuf.length > 0 {
            return self.when_due(mbuf);
        }
        let (timestamp_ns, bytes) = match self.reader.next_record() {
            None => return Received::End,
            Some(Record::Dropped { reason, bytes }) => {
                drops.drop_at_edge(reason, bytes);
                return Received::Nothing;
            }
            Some(Record::Packet { timestamp_ns, bytes, .. }) => (timestamp_ns, bytes),
        };
        let reason = match bytes.len() {
            length if length < PACKET_BYTES_MIN => Some(DropReason::TooShort),
            length if length > region.data_room() => Some(DropReason::TooLong),
            _ => None,
        };
        if let Some(reason) = reason {
            drops.drop_at_edge(reason, bytes.len() as u64);
            return Received::Nothing;
        }
        // SAFETY: the frame is ours and has room for `bytes` (checked just now); the reader's
        // buffer is native memory, so the two do not overlap.
        unsafe { region.data(&mbuf).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        let mbuf = Mbuf { length: bytes.len() as u16, timestamp_ns, ..mbuf };
        self.delivered = true;
        self.when_due(mbuf)
    }

    #[inline]
    fn when_due(&mut self, mbuf: Mbuf) -> Received {
        if let Some(pace) = &mut self.pace
            && pace.due_ns(&mbuf) > clock::now_ns()
        {
            pace.waiting = Some(mbuf);
            return Received::NotDue;
        }
        Received::Packet(mbuf)
    }

    /// Begins the next pass, or finishes.
    pub(super) fn end_pass(&mut self) -> Result<(), Error> {
        self.finished = true;
        if let Some(error) = self.reader.take_error() {
            return Err(error);
        }
        if self.passes_left == 0 || !self.delivered {
            return Ok(());
        }
        self.reader.rewind()?;
        if self.passes_left != u64::MAX {
            self.passes_left -= 1;
        }
        (self.finished, self.delivered) = (false, false);
        self.passes += 1;
        if let Some(pace) = &mut self.pace {
            pace.start = None;
        }
        Ok(())
    }

    pub(super) fn idle(&self) -> Idle {
        let waiting = self.pace.as_ref().and_then(|pace| Some((pace, pace.waiting?)));
        match waiting {
            Some((pace, mbuf)) => Idle::Until(pace.due_at(&mbuf)),
            None => Idle::Poll,
        }
    }
}

impl Pace {
    /// When `mbuf` is due; the first packet of a pass is at once.
    fn due_ns(&mut self, mbuf: &Mbuf) -> u64 {
        self.start.get_or_insert_with(|| (clock::now_ns(), mbuf.timestamp_ns));
        self.due_at(mbuf)
    }

    fn due_at(&self, mbuf: &Mbuf) -> u64 {
        let Some((start_ns, first_ns)) = self.start else { return 0 };
        start_ns.saturating_add(mbuf.timestamp_ns.saturating_sub(first_ns))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::time::{Duration, Instant};

    use super::super::tests::{SECOND, packets, write};
    use super::*;
    use crate::testing::{Folder, Rig, drops, stats, xstat};

    #[test]
    fn a_packet_that_finds_no_frame_is_not_lost() {
        let (folder, mut rig) = (Folder::new(), Rig::new(64));
        write(&folder.path("a.pcap"), &packets(200));
        let mut device = rig.open(&format!("pcap:{}", folder.text("a.pcap")), 1);
        let held = rig.burst(&mut *device, 256);
        assert_eq!(
            (held.len(), rig.burst(&mut *device, 9).len(), device.finished()),
            (64, 0, false)
        );
        rig.frames.give_burst(&held);
        assert_eq!(rig.receive(&mut *device), packets(200)[64..]);
        assert_eq!(stats(&*device).rx_drops, [0; 32]);
        rig.close([device]);
    }

    #[test]
    fn what_no_frame_can_hold_is_counted() {
        let (folder, mut rig) = (Folder::new(), Rig::new(64));
        let lengths = [13, 14, 2112, 2113, 9000, 0];
        let packets: Vec<_> = lengths.iter().map(|&length| (SECOND, vec![1; length])).collect();
        write(&folder.path("a.pcap"), &packets);
        let mut device = rig.open(&format!("pcap:{}", folder.text("a.pcap")), 1);
        assert_eq!(rig.receive(&mut *device), packets[1..3]);
        assert_eq!(drops(&*device, DropReason::TooShort), 2);
        assert_eq!(drops(&*device, DropReason::TooLong), 2);
        assert_eq!(stats(&*device).rx_drop_bytes, 13 + 2113 + 9000);
        rig.close([device]);
    }

    #[test]
    fn loop_reads_the_file_again() {
        let (folder, mut rig) = (Folder::new(), Rig::new(64));
        for name in ["a.pcap", "b.pcapng", "c.pcap.gz"] {
            write(&folder.path(name), &packets(50));
            let mut device = rig.open(&format!("pcap:{}?loop=3", folder.text(name)), 1);
            // A file that vanishes between passes is still open.
            std::fs::remove_file(folder.path(name)).expect("removed");
            assert_eq!(rig.receive(&mut *device), [packets(50), packets(50), packets(50)].concat());
            assert_eq!((xstat(&*device, "passes"), device.finished()), (3, true));
            rig.close([device]);
        }
        write(&folder.path("none.pcap"), &[]);
        let mut device = rig.open(&format!("pcap:{}?loop=0", folder.text("none.pcap")), 1);
        assert!(rig.receive(&mut *device).is_empty() && device.finished(), "endless nothing ends");
        rig.close([device]);
    }

    #[test]
    fn pace_keeps_the_distances_of_the_file() {
        let (folder, mut rig) = (Folder::new(), Rig::new(64));
        let times = [5 * SECOND, 5 * SECOND + 30_000_000, 4 * SECOND, 5 * SECOND + 60_000_000];
        let packets: Vec<_> = times.iter().map(|&time| (time, vec![3; 60])).collect();
        write(&folder.path("a.pcap"), &packets);
        let mut device = rig.open(&format!("pcap:{}?pace", folder.text("a.pcap")), 1);
        let started = Instant::now();
        assert_eq!(rig.receive(&mut *device), packets[..1]);
        assert!(matches!(device.idle(), Idle::Until(_)));
        assert_eq!(device.in_flight(), 1);
        let mut rest = Vec::new();
        while !device.finished() {
            rest.extend(rig.receive(&mut *device));
        }
        assert_eq!(rest, packets[1..]);
        assert!(started.elapsed() >= Duration::from_millis(60));
        rig.close([device]);

        let mut device = rig.open(&format!("pcap:{}?pace", folder.text("a.pcap")), 1);
        assert_eq!(rig.receive(&mut *device).len(), 1);
        rig.close([device]);
    }

    #[test]
    fn a_file_may_grow_shrink_or_vanish_while_it_is_read() {
        let (folder, mut rig) = (Folder::new(), Rig::new(64));
        // More than the reader's buffer, so that what happens later is seen.
        let many: Vec<_> = (0..2000).map(|number| (number, vec![number as u8; 1500])).collect();
        let path = folder.path("a.pcap");
        let spec = format!("pcap:{}", path.display());

        write(&path, &many);
        let mut device = rig.open(&spec, 1);
        let first = rig.burst(&mut *device, 1);
        rig.frames.give_burst(&first);
        let mut file = std::fs::OpenOptions::new().append(true).open(&path).expect("opens");
        let tail = std::fs::read(&path).expect("read")[24..].to_vec();
        file.write_all(&tail).expect("it grows");
        assert_eq!(rig.receive(&mut *device).len(), 1999 + 2000);
        rig.close([device]);

        write(&path, &many);
        let mut device = rig.open(&spec, 1);
        let file = std::fs::OpenOptions::new().write(true).open(&path).expect("opens");
        file.set_len(1_000_000).expect("it shrinks");
        std::fs::remove_file(&path).expect("it vanishes");
        let count = rig.receive(&mut *device).len() as u64;
        assert_eq!(count, (1_000_000 - 24) / 1516);
        assert_eq!(drops(&*device, DropReason::Truncated), 1);
        assert!(device.finished() && device.take_error().is_none());
        rig.close([device]);
    }
}
