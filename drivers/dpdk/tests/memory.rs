//! Frames are shared with programs, and nothing else is: what lies where.

mod rig;

use std::os::fd::RawFd;
use std::ptr;

use wirelet_abi::limits::HEADROOM_BYTES;
use wirelet_packet::{Mbuf, Region};

use rig::{BURST, Folder, Rig, packets, possible};

/// The region as programs have it: another mapping of the same memory (native/engine/memory.rs).
struct Window {
    base: *mut u8,
    bytes: usize,
    frame_bytes: usize,
}

impl Window {
    fn new(region: &Region) -> Window {
        let (fd, bytes): (RawFd, usize) = (region.backing().fd(), region.backing().bytes());
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice overlaps nothing.
        let base =
            unsafe { libc::mmap(ptr::null_mut(), bytes, protection, libc::MAP_SHARED, fd, 0) };
        assert_ne!(base, libc::MAP_FAILED);
        assert_ne!(base.cast(), region.backing().base());
        Window { base: base.cast(), bytes, frame_bytes: region.frame_bytes() }
    }

    /// A packet, at the address that the program is told.
    fn packet(&mut self, mbuf: &Mbuf) -> &mut [u8] {
        let at = mbuf.frame as usize * self.frame_bytes + usize::from(mbuf.offset);
        assert!(at + usize::from(mbuf.length) <= self.bytes);
        // SAFETY: within the mapping; this test is single-threaded and DPDK is in no burst.
        unsafe { std::slice::from_raw_parts_mut(self.base.add(at), mbuf.length.into()) }
    }

    /// All of a frame.
    fn frame(&mut self, frame: u32) -> &mut [u8] {
        let at = frame as usize * self.frame_bytes;
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.base.add(at), self.frame_bytes) }
    }

    fn all(&mut self) -> &mut [u8] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.base, self.bytes) }
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // SAFETY: our own mapping, which nobody uses any more.
        unsafe { libc::munmap(self.base.cast(), self.bytes) };
    }
}

/// Number of the physical page behind an address (Documentation/admin-guide/mm/pagemap.rst); 0
/// without CAP_SYS_ADMIN.
fn physical_page(address: *const u8) -> u64 {
    use std::os::unix::fs::FileExt;
    // SAFETY: it is mapped, so that its page is present.
    unsafe { address.read_volatile() };
    let mut entry = [0; 8];
    let file = std::fs::File::open("/proc/self/pagemap").expect("pagemap");
    file.read_exact_at(&mut entry, address as u64 / 4096 * 8).expect("its entry");
    u64::from_ne_bytes(entry) & ((1 << 55) - 1)
}

fn open_pcap(rig: &mut Rig, folder: &Folder, name: &str) -> Box<dyn wirelet_drivers::Device> {
    let [from, to] = ["in.pcap", "out.pcap"].map(|file| folder.path(file).display().to_string());
    rig.open(&format!("dpdk:{name},rx_pcap={from},tx_pcap={to}?rxd=64&txd=64"))
}

#[test]
fn a_program_and_a_driver_see_the_same_physical_memory() {
    if !possible() {
        return;
    }
    let (mut rig, folder) = (Rig::new(1024), Folder::new());
    folder.write("in.pcap", &packets(64));
    let mut window = Window::new(&rig.region);
    let mut device = open_pcap(&mut rig, &folder, "net_pcap0");
    let mut expected = Vec::new();
    for _ in 0..64 / BURST {
        let burst = rig.burst(&mut *device, BURST);
        for mbuf in &burst {
            // What the driver wrote is read through the program's mapping, and the reverse.
            let seen = window.packet(mbuf);
            assert_eq!(seen, packets(64)[expected.len()]);
            let (native, guest) = (rig.region.data(mbuf), seen.as_ptr());
            assert_eq!(physical_page(native), physical_page(guest));
            seen.iter_mut().for_each(|byte| *byte ^= 0x5a);
            expected.push(seen.to_vec());
        }
        rig.transmit(&mut *device, &burst);
    }
    rig.close([device]);
    assert_eq!(folder.read("out.pcap"), expected);
}

#[test]
fn drivers_write_nothing_but_packets_into_frames() {
    if !possible() {
        return;
    }
    let (mut rig, folder) = (Rig::new(1024), Folder::new());
    folder.write("in.pcap", &packets(200));
    let mut window = Window::new(&rig.region);
    window.all().fill(0xa5);
    let mut device = open_pcap(&mut rig, &folder, "net_pcap1");
    let mut kept = Vec::new();
    while kept.len() < 200 {
        kept.extend(rig.burst(&mut *device, BURST));
    }
    // Sent once, so that every kind of header has been written somewhere, and then blanked out.
    rig.transmit(&mut *device, &kept);
    for mbuf in &kept {
        assert_eq!(usize::from(mbuf.offset), HEADROOM_BYTES);
        window.packet(mbuf).fill(0xa5);
    }
    rig.close([device]);
    // No pointer, no count, no header: a guest has nothing of DPDK's to read or to write.
    let first = window.all().iter().position(|&byte| byte != 0xa5);
    assert_eq!(first, None, "a byte that is of no packet");
}

#[test]
fn a_hostile_program_that_fills_its_frames_changes_nothing_native() {
    if !possible() {
        return;
    }
    let mut rig = Rig::new(1024);
    let mut window = Window::new(&rig.region);
    let mut ring = rig.open("dpdk:net_ring0?rxd=64&txd=64");
    let mut null = rig.open("dpdk:net_null0,size=64?rxd=64&txd=64");
    for round in 0..200u32 {
        // Frames that a driver has received, frames on their way, and all others: every byte.
        let burst = rig.burst(&mut *null, BURST);
        assert_eq!(burst.len(), BURST);
        let value = if round % 2 == 0 { 0xff } else { round as u8 };
        window.all().fill(value);
        for mbuf in &burst {
            window.frame(mbuf.frame).fill(!value);
        }
        rig.transmit(&mut *ring, &burst);
        window.all().fill(value);
        let back = rig.burst(&mut *ring, BURST);
        let place = |mbuf: &Mbuf| (mbuf.frame, mbuf.offset, mbuf.length);
        assert!(back.iter().map(place).eq(burst.iter().map(place)), "round {round}");
        rig.transmit(&mut *null, &back);
    }
    rig.close([ring, null]);
}
