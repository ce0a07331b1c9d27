//! Floods: who gets a copy, in which order, and that all of it is counted.

use wirelet_abi::DropReason;
use wirelet_abi::verdict::FLOOD;
use wirelet_engine::appliance::ApplianceConfig;
use wirelet_engine::ports::PortConfig;
use wirelet_engine::program::ProgramConfig;

use crate::common::bench::{Outcome, config, port, run};
use crate::common::{decide, per_packet, program};

/// Redirects to `egress`.
fn redirect(egress: u16) -> String {
    format!("(i32.store16 offset=14 (local.get $d) (i32.const {egress})) {}", decide(2))
}

fn flooding(redirect_to: u64) -> ProgramConfig {
    ProgramConfig { redirect_to, ..program(per_packet(&redirect(FLOOD))) }
}

/// Packets that left by each port.
fn sent(outcome: &Outcome) -> Vec<u64> {
    (0..outcome.page.ports())
        .map(|port| outcome.page.port(port, |block| block.tx_packets))
        .collect()
}

fn copies(outcome: &Outcome) -> u64 {
    (0..outcome.page.ports()).map(|port| outcome.page.port(port, |b| b.copied_packets)).sum()
}

/// 1,000 packets that are flooded to `sinks` ports.
fn to_sinks(sinks: usize, redirect_to: u64) -> ApplianceConfig {
    let source = port("gen:?rate=max&count=1000&flows=8&sizes=60-1514", None, &[0]);
    let sinks = (0..sinks).map(|_| port("sink:", None, &[]));
    let ports: Vec<PortConfig> = std::iter::once(source).chain(sinks).collect();
    let mut config = config(ports, vec![flooding(redirect_to)]);
    config.offline = true;
    config
}

#[test]
fn a_flood_goes_to_every_port_but_the_port_of_arrival() {
    let outcome = run(to_sinks(3, u64::MAX));
    assert_eq!(sent(&outcome), [0, 1000, 1000, 1000], "{}", outcome.page.describe());
    assert_eq!(copies(&outcome), 2000);
    assert_eq!(outcome.page.port(0, |block| block.forwarded_packets), 3000);
    assert_eq!(outcome.page.program(0, |block| block.verdicts[2]), 1000);
    for sink in 1..4 {
        // received, lost, reordered, duplicates, corrupt: bytes are the generator's own.
        let xstats: Vec<u64> =
            (0..5).map(|index| outcome.page.port(sink, |port| port.xstats[index])).collect();
        assert_eq!(xstats, [1000, 0, 0, 0, 0], "sink {sink}");
    }
}

#[test]
fn a_flood_stays_within_the_ports_that_the_program_may_use() {
    let outcome = run(to_sinks(3, 0b1010));
    assert_eq!(sent(&outcome), [0, 1000, 0, 1000], "{}", outcome.page.describe());
    assert_eq!(copies(&outcome), 1000);
}

#[test]
fn a_flood_to_one_port_is_a_redirect() {
    let outcome = run(to_sinks(2, 0b0101));
    assert_eq!((sent(&outcome), copies(&outcome)), (vec![0, 0, 1000], 0));
}

#[test]
fn a_flood_without_ports_is_dropped() {
    let outcome = run(to_sinks(2, 0b0001));
    assert_eq!((sent(&outcome), copies(&outcome)), (vec![0, 0, 0], 0));
    assert_eq!(outcome.page.drops(0, DropReason::RedirectInvalid), 1000);
}

/// Every other packet is flooded, the rest goes to port 2: its sink sees all of them in order.
#[test]
fn floods_keep_their_place_among_redirects() {
    let mut config = to_sinks(3, u64::MAX);
    config.ports[0].device = "gen:?rate=max&count=1000&flows=1".into();
    let (odd, even) = (redirect(FLOOD), redirect(2));
    config.programs[0].wasm = per_packet(&format!(
        "(if (i32.and (local.get $i) (i32.const 1)) (then {odd}) (else {even}))"
    ));
    let outcome = run(config);
    let xstats: Vec<u64> =
        (0..4).map(|index| outcome.page.port(2, |port| port.xstats[index])).collect();
    assert_eq!(xstats, [1000, 0, 0, 0], "{}", outcome.page.describe());
    assert_eq!(sent(&outcome)[1], copies(&outcome) / 2);
}

#[test]
fn the_largest_burst_goes_to_the_most_ports() {
    let mut config = to_sinks(63, u64::MAX);
    config.burst = 256;
    config.region.frames = 512;
    let outcome = run(config);
    assert_eq!(sent(&outcome)[1..], [1000; 63], "{}", outcome.page.describe());
    assert_eq!(copies(&outcome), 62 * 1000);
}

/// Rings keep what they get for a while: the second one's copies find no frame.
#[test]
fn copies_without_a_frame_are_counted_drops() {
    let ring = |name: &str, forward: Option<u16>| port(name, forward, &[]);
    let ports = vec![
        port("gen:?rate=max&count=1000&flows=8", None, &[0]),
        ring("ring:a", None),
        ring("ring:a", Some(5)),
        ring("ring:b", None),
        ring("ring:b", Some(5)),
        port("sink:", None, &[]),
    ];
    let mut config = config(ports, vec![flooding(0b10_1010)]);
    (config.offline, config.burst, config.region.frames) = (true, 256, 512);
    let outcome = run(config);
    let page = &outcome.page;
    assert_eq!(copies(&outcome), 2 * 1000);
    assert!(page.drops(0, DropReason::NoCopyFrame) > 0, "{}", page.describe());
    let dropped = page.port(0, |block| block.drops.iter().sum());
    let left = page.port(0, |block| block.forwarded_packets);
    assert_eq!(left + dropped, 3 * 1000, "{}", page.describe());
}

/// Half of the ports belong to the other lcore.
#[test]
fn floods_cross_lcores() {
    let mut config = to_sinks(3, u64::MAX);
    config.ports[0].device = "gen:?rate=20k&count=1000&flows=8".into();
    config.lcores = vec![None, None];
    config.offline = false;
    config.region.frames = 16384;
    let outcome = run(config);
    let page = &outcome.page;
    let handovers: u64 = page.0.iter().map(|lcore| lcore.lcore.handovers).sum();
    let received = page.port(0, |block| block.rx_packets);
    let dropped = page.port(0, |block| block.drops.iter().sum());
    assert!(handovers > 0);
    assert_eq!(sent(&outcome).iter().sum::<u64>() + dropped, 3 * received, "{}", page.describe());
}
