//! `gen:`: generates packets, open loop, and checks what is sent back to it.
//!
//! `gen:?rate=1M&size=64&flows=64&seed=1` is what pktgen does: seeded flows, sizes, protocols. Each
//! packet carries a stamp (flow, sequence, due time), which `sink:` and the transmitting side of
//! every `gen:` read.

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
