//! A device that panics: the lcore fails, everything else goes on. Specs can't name such a device,
//! so these tests put it in place of another one.

use std::time::{Duration, Instant};

use wirelet_abi::stats::{PortBlock, ProgramBlock};
use wirelet_drivers::{Device, DeviceStats, Idle};
use wirelet_packet::{FrameCache, Mbuf};

use super::*;
use crate::rules::Offload;

/// Where it panics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Where {
    Receive,
    Send,
    Stats,
    Close,
}

/// Receives what the device it stands for receives, and panics when its packets are used up.
struct Broken {
    inner: Box<dyn Device>,
    breaks: Where,
    left: usize,
}

impl Broken {
    fn at(&mut self, place: Where) {
        assert!(self.breaks != place || self.left > 0, "broken at {place:?}");
    }
}

impl Device for Broken {
    fn rx_burst(&mut self, frames: &mut FrameCache, burst: &mut [Mbuf]) -> usize {
        let count = self.inner.rx_burst(frames, burst);
        self.left = self.left.saturating_sub(count);
        self.at(Where::Receive);
        count
    }

    fn tx_burst(&mut self, frames: &mut FrameCache, burst: &[Mbuf]) -> usize {
        self.left = self.left.saturating_sub(burst.len());
        self.at(Where::Send);
        self.inner.tx_burst(frames, burst)
    }

    fn stats(&self, stats: &mut DeviceStats) {
        assert!(self.breaks != Where::Stats || self.left > 0, "broken at stats");
        self.inner.stats(stats);
    }

    fn idle(&self) -> Idle {
        self.inner.idle()
    }

    fn finished(&self) -> bool {
        self.inner.finished()
    }

    fn close(&mut self, frames: &mut FrameCache) -> Result<(), Error> {
        assert!(self.breaks != Where::Close, "broken at close");
        self.inner.close(frames)
    }
}

fn port(device: &str, forward: u16) -> PortConfig {
    PortConfig {
        name: device.into(),
        device: device.into(),
        queues: 1,
        forward: Some(forward),
        punt: None,
        pipeline: Vec::new(),
        rules: Vec::new(),
        offload: Offload::Auto,
    }
}

/// Two lcores with a pair of ports each; the first pair's second or first port is broken.
fn broken(breaks: Where) -> Appliance {
    let ports = vec![
        port("null:?rx=64&packets=100000", 1),
        port("null:", 0),
        port("gen:?rate=100k", 3),
        port("sink:", 2),
    ];
    let mut appliance = of(ports);
    let number = if breaks == Where::Receive { 0 } else { 1 };
    let lcore = &mut appliance.waiting[0];
    let inner = lcore.ports[number].device.take().expect("its queue is on the first lcore");
    lcore.ports[number].device = Some(Box::new(Broken { inner, breaks, left: 5000 }));
    appliance
}

/// Two lcores.
fn of(ports: Vec<PortConfig>) -> Appliance {
    let region = RegionConfig { frames: 8192, hugepages: false, ..RegionConfig::default() };
    let config = ApplianceConfig {
        region,
        lcores: vec![None, None],
        burst: 32,
        idle: IdlePolicy::Adaptive,
        offline: false,
        ports,
        programs: Vec::new(),
        state_directory: None,
    };
    Appliance::new(config).expect("it is a good config")
}

/// One lcore's state and blocks of the four ports.
fn blocks(appliance: &Appliance, lcore: usize) -> (u64, Vec<PortBlock>) {
    let spare = limits::PROGRAMS_SPARE * size_of::<ProgramBlock>();
    let stride = size_of::<LcoreBlock>() + 4 * size_of::<PortBlock>() + spare;
    let start = size_of::<wirelet_abi::stats::PageHeader>() + lcore * stride;
    // SAFETY: these blocks are where the page has them. They are read while the lcore may write
    // them, which for single words, as they are used here, does no harm.
    unsafe {
        let base = appliance.stats_page().base().add(start);
        let state = base.cast::<LcoreBlock>().read_volatile().state;
        let ports = base.add(size_of::<LcoreBlock>()).cast::<PortBlock>();
        (state, (0..4).map(|index| ports.add(index).read_volatile()).collect())
    }
}

fn wait_for(what: &str, mut ready: impl FnMut() -> bool) {
    let started = Instant::now();
    while !ready() {
        assert!(started.elapsed() < Duration::from_secs(30), "never: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// What came in by the broken pair is counted; nobody hangs; the error is told.
fn assert_contained(breaks: Where) {
    let mut appliance = broken(breaks);
    appliance.start().expect("it starts");
    if breaks != Where::Close {
        wait_for("the host sees the failure", || blocks(&appliance, 0).0 == state::FAILED);
        let sent = |appliance: &Appliance| blocks(appliance, 1).1[3].tx_packets;
        let before = sent(&appliance);
        wait_for("the other lcore goes on", || sent(&appliance) > before + 1000);
    }
    appliance.request_stop(1_000_000_000);
    wait_for("it stops", || appliance.stopped());
    let (failed, ports) = blocks(&appliance, 0);
    if breaks != Where::Close {
        assert_eq!(failed, state::FAILED);
    }
    for lcore in 0..2 {
        for port in blocks(&appliance, lcore).1 {
            let drops: u64 = port.drops.iter().sum();
            assert_eq!(port.rx_packets, port.forwarded_packets + drops, "{breaks:?}");
        }
    }
    if breaks == Where::Send {
        assert!((1..=32).contains(&ports[0].drops[DropReason::Stopped as usize]), "{ports:?}");
    }
    let told = |event: &Event| match &event.what {
        What::Lcore(error) => error.code == ErrorCode::LcoreFailed,
        _ => false,
    };
    assert!(appliance.events().iter().any(told), "{breaks:?}");
    assert!(appliance.close().is_ok());
}

#[test]
fn a_panic_while_receiving_costs_one_lcore() {
    assert_contained(Where::Receive);
}

#[test]
fn a_panic_while_sending_costs_one_lcore_and_its_burst_is_counted() {
    assert_contained(Where::Send);
}

#[test]
fn a_panic_while_counting_costs_one_lcore() {
    assert_contained(Where::Stats);
}

#[test]
fn a_panic_while_closing_hangs_nobody() {
    assert_contained(Where::Close);
}
