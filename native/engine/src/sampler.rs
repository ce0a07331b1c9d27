//! Copies of some packets, taken on an lcore before a program sees them, for a shadow run.

use wirelet_packet::ring::{Consumer, Producer, ring};
use wirelet_packet::{Mbuf, Region};

use crate::burst::Burst;
use crate::flow;

/// Bytes of a packet that fit into a sample; longer ones are not sampled.
pub const SAMPLE_BYTES: usize = 2048;
/// Samples that may wait.
const RING: usize = 1024;

/// A packet as the program got it.
#[derive(Clone, Copy)]
pub struct Sample {
    /// Bytes of it.
    pub length: u16,
    /// Port it came in by.
    pub port: u16,
    /// The 32 bits it carried.
    pub mark: u32,
    /// When its burst started.
    pub now_ns: u64,
    /// Its bytes.
    pub bytes: [u8; SAMPLE_BYTES],
}

/// The lcore's end.
pub struct Sampler {
    samples: Producer<Sample>,
    one_in: u32,
    /// Packets that were to be sampled and had no room.
    pub lost: u64,
}

/// A sampler that takes one flow in `one_in`, and where its samples arrive.
pub fn sampler(one_in: u32) -> (Box<Sampler>, Consumer<Sample>) {
    let (samples, consumer) = ring(RING);
    (Box::new(Sampler { samples, one_in: one_in.max(1), lost: 0 }), consumer)
}

impl Sampler {
    /// Takes the sampled flows' packets of those that still pass. Hashes every packet: only while a
    /// shadow run is on.
    #[cold]
    pub fn take(&mut self, region: &Region, burst: &Burst, now_ns: u64) {
        for &live in &burst.live[..burst.live_count] {
            let mbuf = &burst.mbufs[usize::from(live)];
            let length = usize::from(mbuf.length);
            let mut bytes = [0; SAMPLE_BYTES];
            let Some(copy) = bytes.get_mut(..length) else { continue };
            // SAFETY: offset + length lie within the frame (checked whenever they change), which
            // is the lcore's now; `copy` has `length` bytes.
            unsafe { region.data(mbuf).copy_to_nonoverlapping(copy.as_mut_ptr(), length) };
            if !flow::of_ports((&*copy).into()).is_multiple_of(self.one_in) {
                continue;
            }
            let Mbuf { length, port, mark, .. } = *mbuf;
            let sample = Sample { length, port, mark, now_ns, bytes };
            self.lost += 1 - self.samples.push(&[sample]) as u64;
        }
    }
}
