//! Punted packets: to a port, to the host's handler, or to nobody.

use std::collections::HashSet;
use std::time::Duration;

use wirelet_abi::DropReason;
use wirelet_engine::appliance::{Appliance, ApplianceConfig};
use wirelet_engine::ports::PortConfig;
use wirelet_engine::punt::PUNTS_MAX;

use crate::common::bench::{config, port, start, stop, wait_for};
use crate::common::page::read;
use crate::common::{decide, per_packet, program};

const PUNT: u8 = 3;
const PASS: u8 = 0;

/// Packets of port 0 are punted, those of port 1 pass to a sink.
fn punting(generator: &str, punt: Option<u16>) -> ApplianceConfig {
    let ports = vec![
        PortConfig { punt, ..port(generator, None, &[0, 1]) },
        port("gen:?rate=50k&count=5000&ring=65536&flows=4", 2, &[0]),
        port("sink:", None, &[]),
    ];
    let wasm = [decide(PASS), decide(PUNT)].map(|code| program(per_packet(&code)));
    config(ports, wasm.into())
}

#[test]
fn a_handler_gets_packets_with_where_they_were() {
    let generator = "gen:?rate=20k&count=4000&ring=65536&sizes=60-1514&seed=5";
    for lcores in [1, 2] {
        let mut config = punting(generator, None);
        config.lcores = vec![None; lcores];
        let mut appliance = start_listening(config);
        let mut punted = Vec::new();
        wait_for("its inputs end", || {
            punted.extend(appliance.punted());
            appliance.finished()
        });
        punted.extend(appliance.punted());
        let outcome = stop(&mut appliance, 1_000_000_000);
        let page = &outcome.page;
        let full = page.drops(0, DropReason::PuntFull);
        assert_eq!(punted.len() as u64 + full, 4000, "{}", page.describe());
        assert_eq!(page.port(0, |port| port.punted_packets), punted.len() as u64);
        assert!(punted.iter().all(|packet| (packet.port, packet.program) == (0, 1)));
        // The generator's sequence numbers make no two alike.
        let distinct: HashSet<&[u8]> = punted.iter().map(|packet| &packet.packet[..]).collect();
        assert_eq!(distinct.len(), punted.len());
        let lengths = || punted.iter().map(|packet| packet.packet.len());
        assert!(lengths().min() < Some(100) && lengths().max() > Some(1400));
        assert_eq!(page.port(2, |port| port.tx_packets), 5000);
    }
}

/// The handler is there before the first packet.
fn start_listening(config: ApplianceConfig) -> Appliance {
    let mut appliance = Appliance::new(config).unwrap_or_else(|error| panic!("{error}"));
    appliance.listen_to_punts(true);
    appliance.start().unwrap_or_else(|error| panic!("{error}"));
    appliance
}

#[test]
fn a_host_that_never_comes_costs_punted_packets_only() {
    let mut appliance = start_listening(punting("gen:?rate=max&flows=4", None));
    let page = std::sync::Arc::clone(appliance.stats_page());
    wait_for("the others are through", || read(&page).port(2, |port| port.tx_packets) == 5000);
    wait_for("it is full", || read(&page).drops(0, DropReason::PuntFull) > 0);
    std::thread::sleep(Duration::from_millis(20));
    let outcome = stop(&mut appliance, 0);
    let page = &outcome.page;
    let kept = page.port(0, |port| port.punted_packets);
    let full = page.drops(0, DropReason::PuntFull);
    assert_eq!(kept, PUNTS_MAX as u64, "{}", page.describe());
    assert_eq!(page.port(0, |port| port.rx_packets), kept + full, "{}", page.describe());
    assert_eq!(page.port(1, |port| port.drops.iter().sum()), 0, "{}", page.describe());
    assert_eq!(page.port(2, |port| port.xstats[1]), 0, "nothing lost: {}", page.describe());
    assert_eq!(appliance.punted().len(), PUNTS_MAX, "they wait still");
}

#[test]
fn a_port_is_stronger_than_a_handler_and_nobody_is_a_reason() {
    for punt in [Some(2), None] {
        let generator = "gen:?rate=20k&count=1000&ring=65536";
        let mut appliance = start(punting(generator, punt));
        appliance.listen_to_punts(punt.is_some());
        wait_for("its inputs end", || appliance.finished());
        let outcome = stop(&mut appliance, 1_000_000_000);
        let unset = outcome.page.drops(0, DropReason::PuntUnset);
        assert_eq!(unset, if punt.is_some() { 0 } else { 1000 });
        let sent = outcome.page.port(2, |port| port.tx_packets);
        assert_eq!(sent, if punt.is_some() { 6000 } else { 5000 });
        assert_eq!(appliance.punted(), []);
    }
}
