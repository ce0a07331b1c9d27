//! Packets for a handler in the host: copied into a bounded ring of the lcore's, which the host
//! empties when it comes around. A host that does not come costs the punted packets and no others.

use std::cell::UnsafeCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use wirelet_abi::DropReason;
use wirelet_packet::ring::{Consumer, Producer, ring};
use wirelet_packet::{Mbuf, Region};

/// Packets of one lcore that may wait for the host.
pub const PUNTS_MAX: usize = 256;

/// A packet that a program has punted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Punted {
    /// Where it ran.
    pub lcore: u32,
    /// Port it came in by.
    pub port: u16,
    /// Number of the program.
    pub program: u16,
    /// The 32 bits it carries.
    pub mark: u32,
    /// When its burst started, ns of the monotonic clock.
    pub time_ns: u64,
    /// Its bytes.
    pub packet: Vec<u8>,
}

/// What travels; the bytes lie in the place.
#[derive(Clone, Copy)]
struct Entry {
    place: u32,
    length: u16,
    port: u16,
    program: u16,
    mark: u32,
    time_ns: u64,
}

/// Room for the bytes of packets.
struct Places {
    bytes: Box<[UnsafeCell<u8>]>,
    place_bytes: usize,
}

// SAFETY: a place is touched only by the side that has its number. Numbers travel by two rings, in
// which releasing and acquiring order the accesses.
unsafe impl Sync for Places {}

impl Places {
    fn start(&self, place: u32) -> *mut u8 {
        let from = place as usize * self.place_bytes;
        self.bytes[from..from + self.place_bytes].as_ptr().cast_mut().cast()
    }
}

/// The lcore's end.
pub struct PuntSender {
    places: Arc<Places>,
    free: Consumer<u32>,
    entries: Producer<Entry>,
    listens: Arc<AtomicBool>,
}

/// The host's end.
pub struct PuntReceiver {
    lcore: u32,
    places: Arc<Places>,
    free: Producer<u32>,
    entries: Consumer<Entry>,
}

/// Both ends of lcore `lcore`; nothing is sent while `listens` is false. Memory is touched when
/// packets come.
pub fn punts(
    lcore: usize,
    region: &Region,
    listens: &Arc<AtomicBool>,
) -> (PuntSender, PuntReceiver) {
    let place_bytes = region.frame_bytes();
    // SAFETY: zeros are a value of bytes, and a cell of one has its layout.
    let bytes = unsafe { Box::new_zeroed_slice(PUNTS_MAX * place_bytes).assume_init() };
    let places = Arc::new(Places { bytes, place_bytes });
    let (mut give, free) = ring(PUNTS_MAX);
    let all: Vec<u32> = (0..PUNTS_MAX as u32).collect();
    assert_eq!(give.push(&all), PUNTS_MAX, "a place for each number");
    let (entries, taken) = ring(PUNTS_MAX);
    let listens = Arc::clone(listens);
    let sender = PuntSender { places: Arc::clone(&places), free, entries, listens };
    (sender, PuntReceiver { lcore: lcore as u32, places, free: give, entries: taken })
}

impl PuntSender {
    /// Copies a packet for the host; its frame stays the caller's.
    ///
    /// # Errors
    /// Why it was not: nobody listens, or nobody has come for long.
    #[cold]
    pub fn send(
        &mut self,
        region: &Region,
        mbuf: &Mbuf,
        program: u16,
        time_ns: u64,
    ) -> Result<(), DropReason> {
        if !self.listens.load(Ordering::Relaxed) {
            return Err(DropReason::PuntUnset);
        }
        let mut place = [0];
        if self.free.pop(&mut place) == 0 {
            return Err(DropReason::PuntFull);
        }
        let [place] = place;
        // SAFETY: offset + length lie within the frame (checked whenever they change), which is
        // ours; a place is as long as a frame, and nobody else has this one's number.
        unsafe {
            let from = region.data(mbuf);
            from.copy_to_nonoverlapping(self.places.start(place), mbuf.length.into());
        }
        let Mbuf { length, port, mark, .. } = *mbuf;
        let sent = self.entries.push(&[Entry { place, length, port, program, mark, time_ns }]);
        assert_eq!(sent, 1, "there are as many entries as places");
        Ok(())
    }
}

impl PuntReceiver {
    /// Takes what waits now, oldest first, and appends it to `out`.
    pub fn take(&mut self, out: &mut Vec<Punted>) {
        for _ in 0..self.entries.len() {
            let mut entry =
                [Entry { place: 0, length: 0, port: 0, program: 0, mark: 0, time_ns: 0 }];
            if self.entries.pop(&mut entry) == 0 {
                return;
            }
            let [Entry { place, length, port, program, mark, time_ns }] = entry;
            let start = self.places.start(place);
            // SAFETY: the lcore has written so many bytes there, and gave the number to us.
            let packet = unsafe { std::slice::from_raw_parts(start, length.into()) }.to_vec();
            let given = self.free.push(&[place]);
            assert_eq!(given, 1, "there is room for every place");
            out.push(Punted { lcore: self.lcore, port, program, mark, time_ns, packet });
        }
    }
}

#[cfg(test)]
mod tests {
    use wirelet_packet::RegionConfig;

    use super::*;

    #[test]
    fn the_newest_find_no_room_and_the_oldest_come_first() {
        let config = RegionConfig { frames: 512, hugepages: false, ..RegionConfig::default() };
        let region = Region::new(config).expect("memory");
        let listens = Arc::new(AtomicBool::new(false));
        let (mut sender, mut receiver) = punts(3, &region, &listens);
        let mbuf = |number: usize| {
            let mbuf = Mbuf { frame: 1, offset: 128, length: 60, port: 2, ..Mbuf::default() };
            let number = number as u64;
            // SAFETY: the packet lies within its frame, which this test alone uses.
            unsafe { region.data(&mbuf).cast::<u64>().write_unaligned(number) };
            mbuf
        };
        assert_eq!(sender.send(&region, &mbuf(0), 0, 0), Err(DropReason::PuntUnset));
        listens.store(true, Ordering::Relaxed);
        for round in 0..3 {
            for number in 0..PUNTS_MAX {
                assert_eq!(sender.send(&region, &mbuf(number), 7, number as u64), Ok(()));
            }
            let full = sender.send(&region, &mbuf(0), 0, 0);
            assert_eq!(full, Err(DropReason::PuntFull), "round {round}");
            let mut taken = Vec::new();
            receiver.take(&mut taken);
            assert_eq!(taken.len(), PUNTS_MAX);
            for (number, punted) in taken.iter().enumerate() {
                let Punted { lcore, port, program, time_ns, packet, .. } = punted;
                assert_eq!((*lcore, *port, *program, packet.len()), (3, 2, 7, 60));
                assert_eq!(*time_ns, number as u64);
                assert_eq!(packet[..8], (number as u64).to_le_bytes());
            }
        }
    }
}
