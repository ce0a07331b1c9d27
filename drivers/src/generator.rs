//! `gen:`: generates packets, open loop, and checks what is sent back to it.
//!
//! `gen:?rate=1M&size=64&flows=64&seed=1` is what pktgen does: seeded flows, sizes, protocols. Each
//! packet carries a stamp (flow, sequence, due time), which `sink:` and the transmitting side of
//! every `gen:` read.
//!
//! | option | default | |
//! |---|---|---|
//! | `rate` | 1M | packets per second, or `max`: always one more, never missed |
//! | `count` | no end | packets in all, missed ones included |
//! | `size`, `sizes` | 60 | without FCS: `64`, `64-1500`, `60,590,1514`, `imix` (7:4:1 of these) |
//! | `flows` | 64 | at most 65,536 |
//! | `seed` | 1 | which flow and size packet n has follows from seed, n and the number of queues |
//! | `protocols` | udp | of udp, tcp, icmp, dns, arp, udp6, tcp6, icmp6, dns6: flows take turns |
//! | `names` | example.com | what DNS flows ask for |
//! | `vlan` | none | 802.1Q tag |
//! | `src`, `dst` | 198.18.0.0/16, 198.19.0.0/16 | IPv4 address or prefix (RFC 2544) |
//! | `src6`, `dst6` | 2001:2:0:1::/64, 2001:2:0:2::/64 | IPv6 address or prefix (RFC 5180) |
//! | `src_mac`, `dst_mac` | 02:00:00:00:00:PP, 02:00:00:00:01:PP | PP: the port |
//! | `ring` | 1024 | packets that wait for an lcore before one is missed |
//!
//! A size that has no room for a protocol's headers and the stamp is raised: 60 bytes for UDP, ICMP
//! and ARP, 72 for TCP, 80 for UDP over IPv6.

mod flows;
mod plan;
mod schedule;
mod template;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use wirelet_abi::Error;
use wirelet_abi::limits::HEADROOM_BYTES;
use wirelet_packet::{FrameCache, Mbuf, Region, clock};

use crate::checker::{self, Checker};
use crate::{Device, DeviceStats, Idle, OpenContext, Spec};
use flows::Flows;
use plan::Plan;
use schedule::Schedule;
use template::Protocol;

pub(crate) use template::plain_udp;

const XSTATS: [&str; 9] = {
    let [received, lost, reordered, duplicates, corrupt, unstamped, untracked] = checker::XSTATS;
    let (generated, missed) = ("generated", "missed");
    [generated, missed, received, lost, reordered, duplicates, corrupt, unstamped, untracked]
};

struct GeneratorDevice {
    region: Arc<Region>,
    port: u16,
    queue: u64,
    queues: u64,
    schedule: Schedule,
    flows: Flows,
    checker: Checker,
    /// What makes the monotonic clock's time one since the epoch, as timestamps of captures are.
    epoch_ns: u64,
    closed: bool,
}

/// Opens as many queues as the config asks for and there are flows: each generates every n-th
/// packet, out of flows of its own, at its share of the rate.
pub(crate) fn open(spec: &Spec, context: &OpenContext) -> Result<Vec<Box<dyn Device>>, Error> {
    let plan = Plan::parse(spec, context)?;
    let room = context.region.data_room();
    let queues = context.queues.min(plan.flows as usize) as u64;
    let checkers = Checker::for_queues(&context.region, queues as usize, checker::FLOWS_DEFAULT);
    let interval_24 = plan.rate.map_or(0, |rate| (1_000_000_000 << 24) * queues / rate);
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let epoch_ns = (since_epoch.as_nanos() as u64).saturating_sub(clock::now_ns());
    let mut devices: Vec<Box<dyn Device>> = Vec::new();
    for (queue, checker) in (0..queues).zip(checkers) {
        let count = match plan.count {
            u64::MAX => u64::MAX,
            count => count / queues + u64::from(queue < count % queues),
        };
        let place = (context.port, queue as u32, queues as u32);
        devices.push(Box::new(GeneratorDevice {
            region: Arc::clone(&context.region),
            port: context.port,
            queue,
            queues,
            schedule: Schedule::new(interval_24, count, plan.ring),
            flows: Flows::new(spec, &plan, room, place)?,
            checker,
            epoch_ns,
            closed: false,
        }));
    }
    Ok(devices)
}

impl Device for GeneratorDevice {
    fn rx_burst(&mut self, frames: &mut FrameCache, burst: &mut [Mbuf]) -> usize {
        if self.closed {
            return 0;
        }
        self.schedule.admit(clock::now_ns());
        let mut count = 0;
        while count < burst.len()
            && let Some(number) = self.schedule.front()
            && let Some(frame) = frames.take()
        {
            self.schedule.take();
            let due_ns = self.schedule.due_ns(number);
            let mbuf = Mbuf {
                frame,
                offset: HEADROOM_BYTES as u16,
                port: self.port,
                timestamp_ns: self.epoch_ns + due_ns,
                ..Mbuf::default()
            };
            let number = number * self.queues + self.queue;
            // SAFETY: the frame is ours since `take`; behind the headroom it has its data room.
            let length = unsafe { self.flows.write(self.region.data(&mbuf), number, due_ns) };
            burst[count] = Mbuf { length, ..mbuf };
            count += 1;
        }
        count
    }

    fn tx_burst(&mut self, frames: &mut FrameCache, burst: &[Mbuf]) -> usize {
        self.checker.check(burst);
        frames.give_burst(burst);
        burst.len()
    }

    fn keeps_flows(&self) -> bool {
        true
    }

    fn stats(&self, stats: &mut DeviceStats) {
        *stats = DeviceStats::default();
        stats.xstats[0] = self.schedule.generated();
        stats.xstats[1] = self.schedule.missed();
        self.checker.stats(stats, 2);
    }

    fn xstat_names(&self) -> &'static [&'static str] {
        &XSTATS
    }

    fn idle(&self) -> Idle {
        if self.finished() {
            return Idle::Waker;
        }
        self.schedule.next_due_ns().map_or(Idle::Poll, Idle::Until)
    }

    fn finished(&self) -> bool {
        self.closed || self.schedule.finished()
    }

    fn close(&mut self, _frames: &mut FrameCache) -> Result<(), Error> {
        self.closed = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::stamp::Found;
    use crate::stamp::Stamp;
    use crate::testing::{Rig, xstat};

    fn stamp(bytes: &[u8]) -> Stamp {
        let (head, check) = bytes[bytes.len() - 18..].split_at(16);
        let head = u128::from_ne_bytes(head.try_into().expect("16 bytes"));
        match Stamp::find(head, u16::from_ne_bytes([check[0], check[1]])) {
            Found::Stamp(stamp) => stamp,
            other => panic!("{other:?}"),
        }
    }

    /// All but the due time and the check that follows from it.
    fn timeless(packets: Vec<(u64, Vec<u8>)>) -> Vec<Vec<u8>> {
        let cut = |(_, mut bytes): (u64, Vec<u8>)| {
            bytes.truncate(bytes.len() - 8);
            bytes
        };
        packets.into_iter().map(cut).collect()
    }

    #[test]
    fn packets_follow_from_seed_and_number() {
        let mut rig = Rig::new(64);
        let spec = "gen:?rate=max&count=500&sizes=imix&flows=40&protocols=udp,tcp,dns6,arp";
        let mut packets = |spec: &str| {
            let mut device = rig.open(spec, 1);
            let packets = rig.receive(&mut *device);
            assert!(device.finished());
            rig.close([device]);
            timeless(packets)
        };
        let first = packets(spec);
        assert_eq!(first.len(), 500);
        assert_eq!(first, packets(spec));
        assert_ne!(first, packets(&format!("{spec}&seed=2")));
    }

    #[test]
    fn queues_have_flows_of_their_own_and_share_the_count() {
        let mut rig = Rig::new(64);
        let mut queues = rig.try_open("gen:?rate=max&count=101&flows=7", 4, 3).expect("queues");
        let mut owners: BTreeMap<u32, usize> = BTreeMap::new();
        let mut count = 0;
        for (index, queue) in queues.iter_mut().enumerate() {
            for (_, bytes) in rig.receive(&mut **queue) {
                let flow = stamp(&bytes).flow;
                assert_eq!(flow >> 16, 4);
                assert_eq!(*owners.entry(flow).or_insert(index), index, "flow {flow:x}");
                count += 1;
            }
        }
        assert_eq!((count, owners.len()), (101, 7));
        let few = rig.try_open("gen:?flows=2", 4, 3).expect("two queues");
        assert_eq!(few.len(), 2);
        rig.close(queues.into_iter().chain(few));
    }

    #[test]
    fn sizes_are_those_asked_for_or_the_protocols_least() {
        let mut rig = Rig::new(64);
        let mut lengths = |spec: &str| -> Vec<usize> {
            let mut device = rig.open(spec, 0);
            let packets = rig.receive(&mut *device);
            rig.close([device]);
            packets.iter().map(|(_, bytes)| bytes.len()).collect()
        };
        assert!(lengths("gen:?rate=max&count=50&size=100").iter().all(|&length| length == 100));
        let tcp6 = lengths("gen:?rate=max&count=50&size=60&protocols=tcp6&vlan=5");
        assert!(tcp6.iter().all(|&length| length == 14 + 4 + 40 + 20 + 18));
        let range = lengths("gen:?rate=max&count=9000&sizes=60-69");
        for size in 60..70 {
            let count = range.iter().filter(|&&length| length == size).count();
            assert!((700..1100).contains(&count), "{count} of {size} bytes");
        }
        let imix = lengths("gen:?rate=max&count=1200&sizes=imix");
        assert!([60, 590, 1514].iter().all(|size| imix.contains(size)));
        assert_eq!(lengths("gen:?rate=max&count=3&size=2112"), [2112; 3]);
    }

    #[test]
    fn a_stall_shows_as_missed_and_nothing_else_is_lost() {
        let mut rig = Rig::new(4096);
        let mut device = rig.open("gen:?rate=1M&count=20000&ring=256&flows=3", 1);
        let mut packets = rig.receive(&mut *device);
        std::thread::sleep(Duration::from_millis(5));
        while !device.finished() {
            packets.extend(rig.receive(&mut *device));
        }
        let missed = xstat(&*device, "missed");
        assert!(missed >= 4000, "{missed} missed in a stall of 5 ms at 1 Mpps");
        assert_eq!((xstat(&*device, "generated"), packets.len() as u64 + missed), (20000, 20000));
        for (timestamp_ns, bytes) in &packets {
            assert!(rig.send(&mut *device, *timestamp_ns, bytes));
        }
        assert_eq!((xstat(&*device, "lost"), xstat(&*device, "reordered")), (0, 0));
        rig.close([device]);
    }

    #[test]
    fn the_rate_is_kept() {
        let mut rig = Rig::new(4096);
        let mut device = rig.open("gen:?rate=200k&ring=65536", 1);
        // The clock is read on both sides of each look: a busy machine may stop us in between.
        let before = clock::now_ns();
        let first = rig.receive(&mut *device).len();
        let started = clock::now_ns();
        std::thread::sleep(Duration::from_millis(50));
        let ended = clock::now_ns();
        let count = (first + rig.receive(&mut *device).len()) as u64;
        let (least, most) = ((ended - started) / 5000, (clock::now_ns() - before) / 5000 + 1);
        assert!((least..=most).contains(&count), "{count}, not {least} to {most}");
        assert!(matches!(device.idle(), Idle::Until(_)));
        rig.close([device]);
    }

    #[test]
    fn without_frames_packets_wait_in_the_ring() {
        let mut rig = Rig::new(64);
        let mut device = rig.open("gen:?rate=max&count=100", 1);
        let held = rig.burst(&mut *device, 256);
        assert_eq!(held.len(), 64);
        rig.frames.give_burst(&held);
        assert_eq!(rig.receive(&mut *device).len(), 36);
        assert_eq!(xstat(&*device, "missed"), 0);
        rig.close([device]);
    }
}
