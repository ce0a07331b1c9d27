//! Native twins of gallery programs, over the same descriptors and frames: what a good C programmer
//! would write, for `wirelet bench` to compare with. Nothing else uses them.

use wirelet_abi::{BurstHeader, Descriptor, Verdict};

/// A twin: `page` is the burst page, `memory` the native address of guest address 0.
///
/// # Safety
/// `page` holds `count` descriptors, each of whose `data` and `length` lie within mapped memory
/// behind `memory`; nobody else touches page and frames meanwhile.
pub type Twin = unsafe fn(page: *mut BurstHeader, memory: *mut u8);

/// Every twin, by the program's name.
pub const TWINS: &[(&str, Twin)] =
    &[("drop", drop_all), ("macswap", macswap), ("dnsguard", dnsguard), ("udp53", udp53)];

/// The descriptors of a page, as the loop of each twin.
///
/// # Safety
/// As [`Twin`].
#[inline(always)]
unsafe fn each(page: *mut BurstHeader, body: impl FnMut(&mut Descriptor)) {
    // SAFETY: the caller promises a page with `count` descriptors behind its header, ours alone.
    let descriptors = unsafe {
        let first = page.add(1).cast::<Descriptor>();
        std::slice::from_raw_parts_mut(first, (*page).count as usize)
    };
    descriptors.iter_mut().for_each(body);
}

unsafe fn drop_all(page: *mut BurstHeader, _memory: *mut u8) {
    // SAFETY: the caller's promise is passed on.
    unsafe { each(page, |descriptor| descriptor.verdict = Verdict::Drop as u8) };
}

/// testpmd's macswap: two loads, two stores per address pair.
unsafe fn macswap(page: *mut BurstHeader, memory: *mut u8) {
    let swap = |descriptor: &mut Descriptor| {
        if descriptor.length >= 12 {
            // SAFETY: 12 bytes lie within the packet, and packets within mapped memory.
            unsafe {
                let data = memory.add(descriptor.data as usize);
                let (low, high) = (data.cast::<u64>(), data.add(8).cast::<u32>());
                let (first, second) = (low.read_unaligned(), high.read_unaligned());
                let source = first >> 48 | u64::from(second) << 16;
                low.write_unaligned(source | first << 48);
                high.write_unaligned((first >> 16) as u32);
            }
        }
        descriptor.verdict = Verdict::Pass as u8;
    };
    // SAFETY: the caller's promise is passed on.
    unsafe { each(page, swap) };
}

const VLAN: u16 = 0x8100u16.to_be();
const QINQ: u16 = 0x88A8u16.to_be();
const IPV4: u16 = 0x0800u16.to_be();
const IPV6: u16 = 0x86DDu16.to_be();
const UDP: u8 = 17;
const DNS: u16 = 53u16.to_be();

/// The fast path of `dnsguard`: is it UDP to port 53? Such packets go to a function of their own.
unsafe fn dnsguard(page: *mut BurstHeader, memory: *mut u8) {
    let guard = |descriptor: &mut Descriptor| {
        // SAFETY: the packet lies within mapped memory, for as long as this call lasts.
        let packet = unsafe {
            let data = memory.add(descriptor.data as usize);
            std::slice::from_raw_parts(data, usize::from(descriptor.length))
        };
        let verdict = if is_dns(packet) { dns_verdict(packet) } else { Verdict::Pass };
        descriptor.verdict = verdict as u8;
    };
    // SAFETY: the caller's promise is passed on.
    unsafe { each(page, guard) };
}

#[inline(always)]
fn is_dns(packet: &[u8]) -> bool {
    let word = |at: usize| packet.get(at..at + 2).map(|two| u16::from_ne_bytes([two[0], two[1]]));
    let (mut at, mut ethertype) = (14, word(12));
    for _ in 0..2 {
        if ethertype != Some(VLAN) && ethertype != Some(QINQ) {
            break;
        }
        ethertype = word(at + 2);
        at += 4;
    }
    match ethertype {
        Some(IPV4) => {
            let Some(header) = packet.get(at..at + 20) else { return false };
            let fragment = u16::from_ne_bytes([header[6], header[7]]) & 0x1FFFu16.to_be();
            let header_bytes = usize::from(header[0] & 15) * 4;
            header[9] == UDP
                && header[0] >> 4 == 4
                && header_bytes >= 20
                && fragment == 0
                && packet.len() >= at + header_bytes + 8
                && word(at + header_bytes + 2) == Some(DNS)
        }
        Some(IPV6) => {
            packet.get(at + 6) == Some(&UDP)
                && packet.len() >= at + 48
                && word(at + 42) == Some(DNS)
        }
        _ => false,
    }
}

/// The reference filter of the peers (test/peers): UDP to port 53 from 10.0.0.0/8 is dropped.
unsafe fn udp53(page: *mut BurstHeader, memory: *mut u8) {
    let filter = |descriptor: &mut Descriptor| {
        // SAFETY: the packet lies within mapped memory, for as long as this call lasts.
        let packet = unsafe {
            let data = memory.add(descriptor.data as usize);
            std::slice::from_raw_parts(data, usize::from(descriptor.length))
        };
        let drops = is_dns(packet) && packet[12..14] == [8, 0] && packet[26] == 10;
        descriptor.verdict = if drops { Verdict::Drop } else { Verdict::Pass } as u8;
    };
    // SAFETY: the caller's promise is passed on.
    unsafe { each(page, filter) };
}

/// Walks the question's name as the program does; blocks nothing, because the bench names nothing.
#[inline(never)]
fn dns_verdict(packet: &[u8]) -> Verdict {
    let mut at = packet.len().min(14 + 20 + 8 + 12);
    let mut hash = 0u32;
    while let Some(&length) = packet.get(at).filter(|&&length| length > 0 && length < 64) {
        for &letter in packet.get(at + 1..at + 1 + usize::from(length)).unwrap_or_default() {
            hash = (hash ^ u32::from(letter | 0x20)).wrapping_mul(0x0100_0193);
        }
        at += 1 + usize::from(length);
    }
    // Keeps the walk: its result decides in the program.
    if std::hint::black_box(hash) == 0 { Verdict::Drop } else { Verdict::Pass }
}
