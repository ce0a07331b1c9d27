//! A burst on its way through a pipeline, and the page on which programs see it.

use std::sync::Arc;

use wirelet_abi::limits::{BURST_MAX, PACKET_BYTES_MIN};
use wirelet_abi::verdict::{FLOOD, UNDECIDED};
use wirelet_abi::{BurstHeader, Descriptor, Error, Verdict, guest};
use wirelet_packet::{Backing, Mbuf, Pages, Region};

/// `Mbuf::egress` of a packet that is gone.
pub const GONE: u16 = 0xFFFF;
const _: () = assert!(GONE != FLOOD);

/// Packets that were received together, in order, and which of them still pass.
pub struct Burst {
    /// In order of arrival. `egress` is set once a packet has left the pipeline: a port, [`GONE`],
    /// or [`FLOOD`].
    pub mbufs: [Mbuf; BURST_MAX],
    /// How many there are.
    pub count: usize,
    /// Indexes of those that still pass, in order.
    pub live: [u8; BURST_MAX],
    /// How many of them there are.
    pub live_count: usize,
    /// Ports that packets with [`FLOOD`] leave by, a bit each; of no meaning for others.
    pub flood_ports: [u64; BURST_MAX],
    /// Whether there are any.
    pub floods: bool,
    /// Whether a packet leaves by a port of a program's choice, and not by the ingress's usual one.
    pub diverges: bool,
}

impl Burst {
    /// No packets.
    pub fn new() -> Burst {
        let live = std::array::from_fn(|index| index as u8);
        let (mbufs, flood_ports) = ([Mbuf::default(); BURST_MAX], [0; BURST_MAX]);
        let (floods, diverges) = (false, false);
        Burst { mbufs, count: 0, live, live_count: 0, flood_ports, floods, diverges }
    }

    /// `count` packets have just been received into `mbufs`: all of them pass so far.
    #[inline]
    pub fn begin(&mut self, count: usize) {
        if self.live_count < self.count {
            // The last burst lost packets, so its list has gaps.
            for (index, live) in self.live.iter_mut().enumerate() {
                *live = index as u8;
            }
        }
        (self.count, self.live_count, self.diverges) = (count, count, false);
    }

    /// Those that still pass, in order, side by side: for a burst of which others were dropped and
    /// none diverges. A move for each behind the first gap, half of what gathering them costs.
    #[inline]
    pub fn close_ranks(&mut self) -> &mut [Mbuf] {
        if self.live_count < self.count {
            for (to, &live) in self.live[..self.live_count].iter().enumerate() {
                self.mbufs[to] = self.mbufs[usize::from(live)];
            }
        }
        &mut self.mbufs[..self.live_count]
    }
}

impl Default for Burst {
    fn default() -> Self {
        Self::new()
    }
}

/// The page of one lcore, mapped into every program that runs there.
#[derive(Debug)]
pub struct BurstPage {
    backing: Arc<Backing>,
    /// First word of each descriptor as it was written: where its packet was. Most programs leave
    /// it there, and one comparison with this, which no guest can reach, tells.
    places: [u64; BURST_MAX],
}

impl BurstPage {
    /// A zeroed page.
    ///
    /// # Errors
    /// `WIRELET_E_MEMORY_EXHAUSTED`.
    pub fn new() -> Result<BurstPage, Error> {
        let bytes = guest::BURST_PAGE_BYTES as usize;
        let (name, at) = ("wirelet-burst", guest::BURST_PAGE);
        let backing = Arc::new(Backing::seen_at(name, bytes, Pages::Small, at)?);
        Ok(BurstPage { backing, places: [0; BURST_MAX] })
    }

    /// Its memory.
    pub fn backing(&self) -> &Arc<Backing> {
        &self.backing
    }

    /// Writes header and descriptors of the packets that still pass (`live`, indexes into `mbufs`),
    /// every field anew: whatever an earlier program wrote there is gone. Four 8-byte stores per
    /// packet. No prefetch of the packet: tried, and programs got slower by 5 to 15 % (measured).
    #[inline]
    pub fn write(&mut self, region: &Region, header: &BurstHeader, mbufs: &[Mbuf], live: &[u8]) {
        self.head(header);
        assert!(live.len() <= mbufs.len() && mbufs.len() <= BURST_MAX);
        let frame_bytes = region.frame_bytes() as u32;
        if live.len() == mbufs.len() {
            for (index, mbuf) in mbufs.iter().enumerate() {
                self.describe(index, mbuf, frame_bytes);
            }
        } else {
            for (index, &live) in live.iter().enumerate() {
                self.describe(index, &mbufs[usize::from(live)], frame_bytes);
            }
        }
    }

    /// Field by field, in the width in which each was stored just before: a copy of the whole would
    /// be done 16 bytes at a time, and such a load waits until the narrower stores are in the cache
    /// (1.5 ns per call of a program, measured). Volatile is what keeps the compiler from that.
    #[inline(always)]
    fn head(&mut self, header: &BurstHeader) {
        let page = self.backing.base().cast::<BurstHeader>();
        // SAFETY: the page is larger than the header, aligned, and only this lcore writes it now:
        // no program runs on it.
        unsafe {
            (&raw mut (*page).count).write_volatile(header.count);
            (&raw mut (*page).lcore).write_volatile(header.lcore);
            (&raw mut (*page).generation).write_volatile(header.generation);
            (&raw mut (*page).flags).write_volatile(header.flags);
            (&raw mut (*page).now_ns).write_volatile(header.now_ns);
            (&raw mut (*page).reserved).write([0; 5]);
        }
    }

    /// Word by word: an [`Mbuf`] has its fields where a descriptor has them, so two words are
    /// copied as they are, one gets the guest address and one tailroom and verdict. Field by field
    /// this takes twice the instructions (counted with callgrind).
    #[inline(always)]
    fn describe(&mut self, index: usize, mbuf: &Mbuf, frame_bytes: u32) {
        let words = *words_of(mbuf);
        let (length, offset) = ((words[0] >> 32) as u16, (words[0] >> 48) as u32);
        let start = words[0] as u32 * frame_bytes + offset;
        let place = (words[0] & !0xFFFF_FFFF) | u64::from(guest::PACKET_WINDOW + start);
        self.places[index] = place;
        let tailroom = frame_bytes - offset - u32::from(length);
        let descriptor = [
            place,
            (words[1] & KEPT_OF_WORD_1) | u64::from(tailroom) | u64::from(UNDECIDED) << 32,
            words[2],
            words[3],
        ];
        // SAFETY: index < BURST_MAX, so the descriptor lies within the page (asserted in the abi),
        // aligned to 8; nobody else writes now.
        unsafe { self.descriptor(index).cast::<[u64; 4]>().write(descriptor) };
    }

    /// Takes over what a program may change: data, length, mark. False when the descriptor points
    /// outside the packet's own frame; `mbuf` is unchanged then.
    #[inline(always)]
    pub fn take(&self, index: usize, mbuf: &mut Mbuf, frame_bytes: u32) -> bool {
        debug_assert!(index < BURST_MAX);
        let descriptor = self.descriptor(index);
        // SAFETY: index < BURST_MAX, so the descriptor lies within the page, aligned to 8; each of
        // the two is read once, into a copy. Neither load is wider than the store that `describe`
        // did, so it need not wait for the store buffer.
        let (place, mark) =
            unsafe { (descriptor.cast::<u64>().read(), (&raw const (*descriptor).mark).read()) };
        // Most programs leave a packet where it was.
        if place != self.places[index] && !relocate(mbuf, place, frame_bytes) {
            return false;
        }
        mbuf.mark = mark;
        true
    }

    /// How many packets, from the first on, pass and are where they were, which is what most
    /// programs do to all of them; their marks are taken over. A loop of its own: the one that
    /// looks at all that a program may have done takes 1 ns longer per packet and program (measured
    /// in a chain of four).
    #[inline]
    pub fn passed(&self, mbufs: &mut [Mbuf], live: &[u8]) -> usize {
        assert!(live.len() <= mbufs.len() && mbufs.len() <= BURST_MAX);
        if live.len() == mbufs.len() {
            let mut all = mbufs.iter_mut().enumerate();
            return all
                .position(|(index, mbuf)| !self.take_passed(index, mbuf))
                .unwrap_or(live.len());
        }
        let mut some = live.iter().enumerate();
        let stays = |(index, &live)| !self.take_passed(index, &mut mbufs[usize::from(live)]);
        some.position(stays).unwrap_or(live.len())
    }

    /// Takes over the mark of a packet that passes and is where it was; false when it does not.
    #[inline(always)]
    pub fn take_passed(&self, index: usize, mbuf: &mut Mbuf) -> bool {
        let descriptor = self.descriptor(index);
        // SAFETY: as in `take`.
        let place = unsafe { descriptor.cast::<u64>().read() };
        if self.verdict(index) != Verdict::Pass as u8 || place != self.places[index] {
            return false;
        }
        // SAFETY: as in `take`.
        mbuf.mark = unsafe { (&raw const (*descriptor).mark).read() };
        true
    }

    /// The verdict's byte, not checked.
    #[inline(always)]
    pub fn verdict(&self, index: usize) -> u8 {
        debug_assert!(index < BURST_MAX);
        // SAFETY: as in `take`.
        unsafe { (&raw const (*self.descriptor(index)).verdict).read() }
    }

    /// The port of a redirect, not checked.
    #[inline]
    pub fn egress(&self, index: usize) -> u16 {
        debug_assert!(index < BURST_MAX);
        // SAFETY: as in `take`.
        unsafe { (&raw const (*self.descriptor(index)).egress).read() }
    }

    #[inline]
    fn descriptor(&self, index: usize) -> *mut Descriptor {
        // SAFETY: index < BURST_MAX by the callers' checks, so this stays within the page.
        unsafe { self.backing.base().add(size_of::<BurstHeader>()).cast::<Descriptor>().add(index) }
    }
}

// Words are cut into fields below; Wasm is little-endian, and so must this machine be.
const _: () = assert!(cfg!(target_endian = "little"));

/// Of an mbuf's second word a descriptor shows port and flags.
const KEPT_OF_WORD_1: u64 = 0x0000_FF00_FFFF_0000;

/// An mbuf as four words.
#[inline(always)]
fn words_of(mbuf: &Mbuf) -> &[u64; 4] {
    // SAFETY: an Mbuf is 32 bytes without padding, aligned to 8 (asserted where it is declared).
    unsafe { &*(&raw const *mbuf).cast() }
}

/// A program has moved or resized the packet: within its own frame, and down to an Ethernet header,
/// this is fine. What is shorter is no packet, and the next program need not look for that.
fn relocate(mbuf: &mut Mbuf, place: u64, frame_bytes: u32) -> bool {
    let (data, length) = (place as u32, (place >> 32) as u16);
    let offset = data.wrapping_sub(guest::PACKET_WINDOW + mbuf.frame * frame_bytes);
    // A `data` before the frame has become a huge offset, so the sum can't wrap past this.
    let inside = offset <= frame_bytes && offset + u32::from(length) <= frame_bytes;
    if !inside || usize::from(length) < PACKET_BYTES_MIN {
        return false;
    }
    mbuf.offset = offset as u16;
    mbuf.length = length;
    true
}
