//! `null:`: receives nothing, or endless frames of one size; frees what is sent.
//!
//! What DPDK's net_null is: the cost of everything but a device.
//!
//! | option | default | |
//! |---|---|---|
//! | `rx` | nothing | bytes of the UDP packets it receives, 60 or more |
//! | `packets` | no end | how many |

use std::sync::Arc;

use wirelet_abi::Error;
use wirelet_abi::limits::HEADROOM_BYTES;
use wirelet_packet::{FrameCache, Mbuf, Region, clock};

use crate::generator::plain_udp;
use crate::{Device, DeviceStats, Idle, OpenContext, Spec};

/// Frames that were written once keep their bytes: receiving one costs a look at this map, not a
/// copy. Programs may change the bytes; then the next packet in that frame has the changed ones.
struct NullDevice {
    region: Arc<Region>,
    port: u16,
    /// 0 to receive nothing.
    packet_bytes: u16,
    left: u64,
    written: Box<[bool]>,
    template: Box<[u8]>,
}

/// Opens as many queues as the config asks for.
pub(crate) fn open(spec: &Spec, context: &OpenContext) -> Result<Vec<Box<dyn Device>>, Error> {
    spec.allow_options(&["rx", "packets"])?;
    spec.allow_no_target()?;
    let room = context.region.data_room().min(usize::from(u16::MAX)) as u64;
    let packet_bytes = match spec.text("rx") {
        None => 0,
        Some(_) => spec.number("rx", 0, 60..=room)? as u16,
    };
    let packets = spec.number("packets", u64::MAX, 0..=u64::MAX)?;
    let queues = context.queues as u64;
    let share = |queue: u64| match packets {
        u64::MAX => u64::MAX,
        packets => packets / queues + u64::from(queue < packets % queues),
    };
    let template: Box<[u8]> = match packet_bytes {
        0 => Box::default(),
        bytes => plain_udp(bytes.into()).into(),
    };
    let open_queue = |queue| -> Box<dyn Device> {
        Box::new(NullDevice {
            region: Arc::clone(&context.region),
            port: context.port,
            packet_bytes,
            left: if packet_bytes == 0 { 0 } else { share(queue) },
            written: vec![false; context.region.frames()].into(),
            template: template.clone(),
        })
    };
    Ok((0..queues).map(open_queue).collect())
}

impl NullDevice {
    #[cold]
    fn write(&mut self, mbuf: &Mbuf) {
        // SAFETY: the frame is ours since `take`, and the template is no longer than its data room
        // (checked when the device was opened).
        unsafe {
            let data = self.region.data(mbuf);
            data.copy_from_nonoverlapping(self.template.as_ptr(), self.template.len());
        }
        self.written[mbuf.frame as usize] = true;
    }
}

impl Device for NullDevice {
    fn rx_burst(&mut self, frames: &mut FrameCache, burst: &mut [Mbuf]) -> usize {
        if self.left == 0 {
            return 0;
        }
        let want = burst.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let timestamp_ns = clock::now_ns();
        let mut count = 0;
        while count < want
            && let Some(frame) = frames.take()
        {
            let mbuf = Mbuf {
                frame,
                offset: HEADROOM_BYTES as u16,
                length: self.packet_bytes,
                port: self.port,
                timestamp_ns,
                ..Mbuf::default()
            };
            if !self.written[frame as usize] {
                self.write(&mbuf);
            }
            burst[count] = mbuf;
            count += 1;
        }
        // Endless stays endless: 2^64 packets are thousands of years.
        self.left -= count as u64;
        count
    }

    fn tx_burst(&mut self, frames: &mut FrameCache, burst: &[Mbuf]) -> usize {
        frames.give_burst(burst);
        burst.len()
    }

    fn stats(&self, stats: &mut DeviceStats) {
        *stats = DeviceStats::default();
    }

    fn idle(&self) -> Idle {
        if self.left == 0 { Idle::Waker } else { Idle::Poll }
    }

    fn finished(&self) -> bool {
        self.left == 0
    }

    fn close(&mut self, _frames: &mut FrameCache) -> Result<(), Error> {
        self.left = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Rig;

    #[test]
    fn it_receives_nothing_unless_asked() {
        let mut rig = Rig::new(64);
        let mut device = rig.open("null:", 1);
        assert!(device.finished() && rig.receive(&mut *device).is_empty());
        assert!(rig.send(&mut *device, 0, &[0; 60]));
        rig.close([device]);
    }

    #[test]
    fn queues_share_the_packets_and_frames_keep_their_bytes() {
        let mut rig = Rig::new(64);
        let mut queues = rig.try_open("null:?rx=64&packets=101", 3, 2).expect("two queues");
        let counts: Vec<usize> = queues
            .iter_mut()
            .map(|queue| {
                let packets = rig.receive(&mut **queue);
                assert!(packets.iter().all(|(_, bytes)| bytes == &super::plain_udp(64)));
                assert!(queue.finished());
                packets.len()
            })
            .collect();
        assert_eq!(counts, [51, 50]);
        rig.close(queues);
    }

    #[test]
    fn without_frames_it_receives_what_there_are() {
        let mut rig = Rig::new(64);
        let mut device = rig.open("null:?rx=60", 3);
        let burst = rig.burst(&mut *device, 100);
        assert_eq!(burst.len(), 64);
        assert!(burst.iter().all(|mbuf| mbuf.port == 3 && mbuf.length == 60));
        assert!(rig.burst(&mut *device, 1).is_empty() && !device.finished());
        rig.frames.give_burst(&burst);
        rig.close([device]);
    }
}
