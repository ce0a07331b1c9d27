//! A device that has the rules itself: what was in its queue before is still the engine's.

use wirelet_drivers::{Device, DeviceStats, Idle};
use wirelet_packet::{FrameCache, Mbuf};

use super::*;
use crate::event::What;
use crate::lcore::{publish, receive};
use crate::rules::RulesAt;

/// Packets that the driver gives in one burst.
const GIVES_MAX: usize = 8;

/// Receives what the device it stands for receives, few at a time. Where `gone`, it is back when it
/// is asked for an error the second time.
struct Slow {
    inner: Box<dyn Device>,
    gone: u32,
}

impl Device for Slow {
    fn rx_burst(&mut self, frames: &mut FrameCache, burst: &mut [Mbuf]) -> usize {
        self.inner.rx_burst(frames, &mut burst[..GIVES_MAX])
    }

    fn tx_burst(&mut self, frames: &mut FrameCache, burst: &[Mbuf]) -> usize {
        self.inner.tx_burst(frames, burst)
    }

    fn stats(&self, stats: &mut DeviceStats) {
        self.inner.stats(stats);
    }

    fn idle(&self) -> Idle {
        self.inner.idle()
    }

    fn finished(&self) -> bool {
        self.gone > 0
    }

    fn take_error(&mut self) -> Option<Error> {
        self.gone = self.gone.saturating_sub(1);
        None
    }

    fn close(&mut self, frames: &mut FrameCache) -> Result<(), Error> {
        self.inner.close(frames)
    }
}

/// One port that drops everything by a rule which its device has, and its lcore.
fn appliance(device: &str, gone: u32) -> Appliance {
    let port = PortConfig {
        name: "in".into(),
        device: device.into(),
        queues: 1,
        forward: None,
        punt: None,
        pipeline: Vec::new(),
        rules: vec![wirelet_drivers::Rule {
            when: wirelet_drivers::Match::default(),
            action: wirelet_drivers::RuleAction::Drop,
            mark: None,
        }],
        offload: crate::rules::Offload::Auto,
    };
    let config = ApplianceConfig {
        region: RegionConfig { frames: 1024, hugepages: false, ..RegionConfig::default() },
        lcores: vec![None],
        burst: 32,
        idle: IdlePolicy::Adaptive,
        offline: false,
        ports: vec![port],
        programs: Vec::new(),
        state_directory: None,
    };
    let mut appliance = Appliance::new(config).expect("it is a good config");
    let port = &mut appliance.waiting[0].ports[0];
    let inner = port.device.take().expect("its queue");
    port.device = Some(Box::new(Slow { inner, gone }));
    let place = crate::rules::RulesPlace { hardware: true, ..Default::default() };
    port.rules_at = place.at();
    appliance
}

fn dropped(appliance: &Appliance) -> u64 {
    appliance.waiting[0].ports[0].stats.drops[DropReason::Rule as usize]
}

#[test]
fn the_engine_helps_until_the_queue_was_empty() {
    let mut appliance = appliance("null:?rx=64&packets=40", 0);
    for burst in 1..=5 {
        assert_eq!(receive(&mut appliance.waiting[0], 0), GIVES_MAX);
        assert_eq!(dropped(&appliance), burst * GIVES_MAX as u64, "of what was there before");
    }
    let port = &appliance.waiting[0].ports[0];
    assert!(matches!(port.rules_at, RulesAt::Settling(_)), "{:?}", port.rules_at);
    assert_eq!(port.stats.rule_hits[0], 0, "the device counts them");
    assert_eq!(receive(&mut appliance.waiting[0], 0), 0);
    assert_eq!(appliance.waiting[0].ports[0].rules_at, RulesAt::Device);
}

#[test]
fn or_until_it_has_given_all_that_it_can_hold() {
    let mut appliance = appliance("null:?rx=64&packets=66000", 0);
    let mut received = 0;
    while received < 66_000 {
        let count = receive(&mut appliance.waiting[0], 0);
        assert!(count > 0, "it ends after {received}");
        received += count as u64;
    }
    assert_eq!(dropped(&appliance), 1 << 16, "the others are the device's");
}

#[test]
fn a_device_that_is_back_begins_anew_and_is_told_once() {
    let mut appliance = appliance("null:?rx=64&packets=0", 2);
    assert_eq!(receive(&mut appliance.waiting[0], 0), 0);
    let told = |appliance: &mut Appliance| {
        publish(&mut appliance.waiting[0]);
        let events = appliance.events();
        events.iter().filter(|event| matches!(event.what, What::Reopened { port: 0 })).count()
    };
    assert_eq!(told(&mut appliance), 0, "not yet");
    assert_eq!(appliance.waiting[0].ports[0].rules_at, RulesAt::Device);
    assert!(appliance.control.lcores[0].finished.load(Ordering::Relaxed));
    assert_eq!(told(&mut appliance), 1);
    // What came before the device had the rules again is the engine's.
    let port = &appliance.waiting[0].ports[0];
    assert!(matches!(port.rules_at, RulesAt::Settling(_)), "{:?}", port.rules_at);
    assert!(!appliance.control.lcores[0].finished.load(Ordering::Relaxed));
    assert_eq!(told(&mut appliance), 0, "told twice");
}
