//! A test bench: an appliance, run to its end, and what it says then.

use std::time::{Duration, Instant};

use wirelet_engine::appliance::{Appliance, ApplianceConfig};
use wirelet_engine::event::{FaultReport, What};
use wirelet_engine::idle::IdlePolicy;
use wirelet_engine::ports::PortConfig;
use wirelet_engine::program::ProgramConfig;
use wirelet_engine::rules::Offload;
use wirelet_packet::RegionConfig;

use super::page::{self, Page};

/// Long enough for a machine that has other things to do; a test that waits for this has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A port of `device` whose packets run through `pipeline` and leave by `forward`.
pub fn port(device: &str, forward: impl Into<Option<u16>>, pipeline: &[usize]) -> PortConfig {
    PortConfig {
        name: device.into(),
        device: device.into(),
        queues: 1,
        forward: forward.into(),
        punt: None,
        pipeline: pipeline.into(),
        rules: Vec::new(),
        offload: Offload::Auto,
    }
}

/// An appliance of one lcore.
pub fn config(ports: Vec<PortConfig>, programs: Vec<ProgramConfig>) -> ApplianceConfig {
    ApplianceConfig {
        region: RegionConfig { frames: 4096, hugepages: false, ..RegionConfig::default() },
        lcores: vec![None],
        burst: 64,
        idle: IdlePolicy::Adaptive,
        offline: false,
        ports,
        programs,
        state_directory: None,
    }
}

/// What an appliance leaves behind.
pub struct Outcome {
    pub page: Page,
    pub faults: Vec<FaultReport>,
    pub logs: Vec<String>,
    pub errors: Vec<String>,
    /// Rollbacks and quarantines.
    pub turns: Vec<String>,
    pub counters: Vec<(String, u64)>,
}

/// Runs until all inputs have ended; checks that every packet is counted and every frame is back.
pub fn run(config: ApplianceConfig) -> Outcome {
    let mut appliance = start(config);
    wait_for("its inputs end", || appliance.finished());
    stop(&mut appliance, 1_000_000_000)
}

/// A running appliance.
pub fn start(config: ApplianceConfig) -> Appliance {
    let mut appliance = Appliance::new(config).unwrap_or_else(|error| panic!("{error}"));
    appliance.start().unwrap_or_else(|error| panic!("{error}"));
    appliance
}

/// Stops it; checks that every packet is counted and every frame is back.
pub fn stop(appliance: &mut Appliance, drain_ns: u64) -> Outcome {
    appliance.request_stop(drain_ns);
    wait_for("it stops", || appliance.stopped());
    appliance.close().unwrap_or_else(|error| panic!("{error}"));
    let outcome = outcome(appliance);
    outcome.page.assert_conserved();
    assert_eq!(appliance.frames_used(), 0, "frames leaked:{}", outcome.page.describe());
    outcome
}

/// What it says now.
pub fn outcome(appliance: &Appliance) -> Outcome {
    let page = page::read(appliance.stats_page());
    let (mut faults, mut logs, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    let mut turns = Vec::new();
    for event in appliance.events() {
        match event.what {
            What::Rollback { to, message, .. } => {
                turns.push(format!("rollback to {to}: {message}"))
            }
            What::Quarantine { program } => turns.push(format!("quarantine of {program}")),
            What::Fault(report) => faults.push(*report),
            What::Log(line) => {
                logs.push(String::from_utf8_lossy(&line.text[..line.bytes.into()]).into_owned());
            }
            What::Placement { message, .. } => turns.push(message.into()),
            What::Link { port, up } => turns.push(format!("link of port {port}: {up}")),
            What::Reopened { port } => turns.push(format!("port {port} is open again")),
            What::Device { error, .. } | What::Lcore(error) | What::State(error) => {
                errors.push(error.to_string())
            }
        }
    }
    let counters = appliance.counters();
    let counters = counters.into_iter().map(|counter| (counter.name, counter.value)).collect();
    Outcome { page, faults, logs, errors, turns, counters }
}

/// Waits, bounded.
pub fn wait_for(what: &str, mut ready: impl FnMut() -> bool) {
    let started = Instant::now();
    while !ready() {
        assert!(started.elapsed() < PATIENCE, "not in {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
