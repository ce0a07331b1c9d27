//! Log-linear buckets of nanoseconds: 8 per octave, so a bucket is at most 12.5 % wide.

/// Buckets: everything up to 2^34 ns (17 s); longer falls into the last one.
pub const BUCKETS: usize = 256;
/// An octave has 2 to this power buckets.
pub const SUB_BITS: u32 = 3;

/// The bucket that `ns` falls into.
#[inline]
pub const fn bucket(ns: u64) -> usize {
    if ns < 1 << SUB_BITS {
        return ns as usize;
    }
    let octave = 63 - ns.leading_zeros();
    let sub = (ns >> (octave - SUB_BITS)) as usize & ((1 << SUB_BITS) - 1);
    let index = ((octave - SUB_BITS + 1) as usize) << SUB_BITS | sub;
    if index < BUCKETS { index } else { BUCKETS - 1 }
}

/// The least value that falls into bucket `index`, in nanoseconds.
pub const fn lower_bound_ns(index: usize) -> u64 {
    if index < 1 << SUB_BITS {
        return index as u64;
    }
    let octave = (index >> SUB_BITS) as u32 + SUB_BITS - 1;
    let sub = (index & ((1 << SUB_BITS) - 1)) as u64;
    (1 << octave) + (sub << (octave - SUB_BITS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_falls_into_the_bucket_whose_bounds_hold_it() {
        for shift in 0..33 {
            for offset in [0, 1, 3] {
                let ns = (1u64 << shift) + offset;
                let index = bucket(ns);
                assert!(lower_bound_ns(index) <= ns, "{ns}");
                assert!(index == BUCKETS - 1 || ns < lower_bound_ns(index + 1), "{ns}");
            }
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }
}
