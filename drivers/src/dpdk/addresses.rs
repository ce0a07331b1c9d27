//! Where EAL's own memory may lie. Its address is also the one that NICs use, and some IOMMUs know
//! only 39 bits of it. EAL asks for 128 GiB from 4 GiB on, in parts; V8 puts pages of its heap
//! anywhere, and where one of them is in the way EAL's memory goes to the top of 47 bits, and then
//! no NIC of such a machine can be plugged.

use std::fs;

/// Below, EAL would be in the way of what is not 64-bit.
const LOWEST: usize = 4 << 30;
/// Half of what 39 bits reach: frames have addresses at its end (shim/pool.c), and EAL needs room
/// behind its first address.
const HIGHEST: usize = 1 << 38;
const ALIGNMENT: usize = 1 << 30;

/// First address of the largest gap between mappings, as far as NICs reach.
pub(super) fn base() -> Option<usize> {
    largest_gap(&fs::read_to_string("/proc/self/maps").ok()?)
}

/// Of lines that begin with `start-end`, in hexadecimal and in order.
fn largest_gap(maps: &str) -> Option<usize> {
    let range = |line: &str| {
        let (start, rest) = line.split_once('-')?;
        let end = rest.split(' ').next()?;
        Some((usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?))
    };
    let (mut best, mut at) = ((0, 0), LOWEST);
    for (start, end) in maps.lines().filter_map(range).chain([(HIGHEST, HIGHEST)]) {
        let gap = start.min(HIGHEST).saturating_sub(at);
        if gap > best.0 {
            best = (gap, at);
        }
        at = at.max(end.next_multiple_of(ALIGNMENT));
    }
    (best.0 > 0).then_some(best.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_gap_that_nics_reach() {
        assert_eq!(largest_gap(""), Some(LOWEST));
        let low = "00400000-00500000 r-xp\n500000000-500040000 rw-p 00:00 0 [heap]\n";
        assert_eq!(largest_gap(low), Some(0x5_4000_0000));
        let high = format!("{low}3000000000-3000001000 rw-p\n7f0000000000-7f0000001000 r--p\n");
        assert_eq!(largest_gap(&high), Some(0x5_4000_0000));
        let full = "0-8000000000 rw-p\n";
        assert_eq!(largest_gap(full), None);
        let base = base().expect("no test has so many mappings");
        assert!((LOWEST..HIGHEST).contains(&base) && base.is_multiple_of(ALIGNMENT), "{base:#x}");
    }
}
