//! Shadow runs: they end, whatever the candidate does and whatever happens to the appliance.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use wirelet_abi::{Error, ErrorCode};
use wirelet_engine::appliance::Appliance;
use wirelet_engine::program::ProgramConfig;
use wirelet_engine::shadow::{self, ShadowConfig, ShadowReport};
use wirelet_engine::swap::Changes;

use crate::common::bench::{config, port, start, stop};
use crate::common::{decide, module, on_packets, per_packet, program};

const PASS: u8 = 0;
const DROP: u8 = 1;

fn named(wasm: Vec<u8>) -> ProgramConfig {
    ProgramConfig { name: "it".into(), ..program(wasm) }
}

/// Endless packets through a program that passes them.
fn passing() -> Appliance {
    let ports = vec![port("null:?rx=64", 1, &[0]), port("null:", None, &[])];
    let mut config = config(ports, vec![named(per_packet(&decide(PASS)))]);
    config.lcores = vec![None];
    start(config)
}

fn shadow(changes: &Mutex<Changes>, wasm: Vec<u8>, ms: u64) -> Result<ShadowReport, Error> {
    let duration = Duration::from_millis(ms);
    let config = ShadowConfig { candidate: named(wasm), duration, one_in: 1 };
    shadow::run(changes, config)
}

#[test]
fn an_equal_candidate_shows_no_difference_and_another_one_all_of_them() {
    let mut appliance = passing();
    let same = shadow(appliance.changes(), per_packet(&decide(PASS)), 50).unwrap();
    assert!(same.sampled > 0);
    assert_eq!((same.differences, same.faults), (0, [0, 0]));
    let other = shadow(appliance.changes(), per_packet(&decide(DROP)), 50).unwrap();
    assert_eq!(other.differences, other.sampled);
    assert!(!other.examples.is_empty());
    stop(&mut appliance, 1_000_000_000);
}

#[test]
fn a_candidate_that_faults_on_everything_ends_its_run() {
    let mut appliance = passing();
    let trapping = module(&on_packets("unreachable"));
    let report = shadow(appliance.changes(), trapping, 60_000).unwrap();
    // A burst of its own for each look at the clock at most.
    assert!((64..200).contains(&report.faults[1]), "{:?}", report.faults);
    assert_eq!(report.faults[0], 0);
    assert!(report.fault.is_some());
    stop(&mut appliance, 1_000_000_000);
}

#[test]
fn an_appliance_that_stops_ends_its_shadow_run() {
    let mut appliance = passing();
    let changes = Arc::clone(appliance.changes());
    let run = std::thread::spawn(move || shadow(&changes, per_packet(&decide(PASS)), 600_000));
    std::thread::sleep(Duration::from_millis(50));
    appliance.request_stop(1_000_000_000);
    assert_eq!(run.join().unwrap().unwrap_err().code, ErrorCode::State);
    stop(&mut appliance, 1_000_000_000);
}
