//! `loop:`: what is sent comes back as received, on the same port and queue.
//!
//! | option | default | |
//! |---|---|---|
//! | `size` | 1024 | packets it holds, a power of two; when it is full it takes no more |

use wirelet_abi::Error;
use wirelet_packet::ring::{Consumer, Producer, ring};
use wirelet_packet::{FrameCache, Mbuf};

use crate::{Device, DeviceStats, Idle, OpenContext, Spec};

const SIZE_DEFAULT: u64 = 1024;
const SIZE_MAX: u64 = 1 << 20;

struct LoopDevice {
    port: u16,
    sent: Producer<Mbuf>,
    received: Consumer<Mbuf>,
}

/// Opens as many queues as the config asks for, each a loop of its own.
pub(crate) fn open(spec: &Spec, context: &OpenContext) -> Result<Vec<Box<dyn Device>>, Error> {
    spec.allow_options(&["size"])?;
    spec.allow_no_target()?;
    let size = spec.number("size", SIZE_DEFAULT, 2..=SIZE_MAX)? as usize;
    let open_queue = |_| -> Box<dyn Device> {
        let (sent, received) = ring(size);
        Box::new(LoopDevice { port: context.port, sent, received })
    };
    Ok((0..context.queues).map(open_queue).collect())
}

impl Device for LoopDevice {
    fn rx_burst(&mut self, _frames: &mut FrameCache, burst: &mut [Mbuf]) -> usize {
        let count = self.received.pop(burst);
        for mbuf in &mut burst[..count] {
            (mbuf.port, mbuf.egress, mbuf.mark, mbuf.scratch) = (self.port, 0, 0, 0);
        }
        count
    }

    fn tx_burst(&mut self, _frames: &mut FrameCache, burst: &[Mbuf]) -> usize {
        self.sent.push(burst)
    }

    fn in_flight(&self) -> usize {
        self.received.len()
    }

    fn stats(&self, stats: &mut DeviceStats) {
        *stats = DeviceStats::default();
    }

    /// Only its own lcore sends, and that looks again before it sleeps.
    fn idle(&self) -> Idle {
        Idle::Waker
    }

    fn close(&mut self, frames: &mut FrameCache) -> Result<(), Error> {
        let mut burst = [Mbuf::default(); 64];
        loop {
            match self.received.pop(&mut burst) {
                0 => return Ok(()),
                count => frames.give_burst(&burst[..count]),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Rig;

    #[test]
    fn what_is_sent_comes_back_in_order() {
        let mut rig = Rig::new(64);
        let mut device = rig.open("loop:", 5);
        for number in 0..10 {
            assert!(rig.send(&mut *device, u64::from(number), &[number; 20]));
        }
        assert_eq!(device.in_flight(), 10);
        let burst = rig.burst(&mut *device, 3);
        assert!(burst.iter().all(|mbuf| mbuf.port == 5));
        rig.frames.give_burst(&burst);
        let rest = rig.receive(&mut *device);
        assert!(rest.into_iter().eq((3..10).map(|number| (u64::from(number), vec![number; 20]))));
        rig.close([device]);
    }

    #[test]
    fn a_full_loop_takes_no_more_and_gives_everything_back() {
        let mut rig = Rig::new(64);
        let mut device = rig.open("loop:?size=4", 0);
        let taken = (0..9).filter(|_| rig.send(&mut *device, 0, &[1; 20])).count();
        assert_eq!((taken, rig.region.used()), (4, 4));
        rig.close([device]);
    }
}
