//! No memory, no address space, no hugepages: a coded error, never a signal. A binary of its own,
//! because limits hold for the process.

mod common;

use common::bench::{config, port};
use common::{decide, per_packet, program};
use wirelet_abi::{Error, ErrorCode};
use wirelet_engine::appliance::Appliance;
use wirelet_engine::runner::Runner;
use wirelet_packet::{Backing, Pages, Region, RegionConfig};

fn code<T>(result: Result<T, Error>) -> Option<ErrorCode> {
    result.err().map(|error| error.code)
}

#[test]
fn without_hugepages_small_pages_do() {
    // More hugepages than this machine has: 510 MiB, unless it was set up with as many.
    let frames = (510 << 20) / 16384;
    let config = RegionConfig { frames, frame_bytes: 16384, hugepages: true, node: None };
    let huge = Backing::new("wirelet-test", frames * 16384, Pages::Huge);
    let expected = if huge.is_ok() { Pages::Huge } else { Pages::Small };
    if let Err(error) = &huge {
        assert_eq!(error.code, ErrorCode::MemoryExhausted);
    }
    drop(huge);
    let region = Region::new(config).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(region.backing().pages(), expected);
}

#[test]
fn regions_that_do_not_fit_are_refused() {
    let region = |frames, frame_bytes| {
        code(Region::new(RegionConfig { frames, frame_bytes, hugepages: false, node: None }))
    };
    assert_eq!(region(1 << 20, 2240), Some(ErrorCode::ConfigLimit));
    assert_eq!(region(usize::MAX, 2240), Some(ErrorCode::ConfigLimit));
    assert_eq!(region(0, 2240), Some(ErrorCode::ConfigLimit));
    assert_eq!(region(64, 2000), Some(ErrorCode::FrameSize));
    assert_eq!(region(64, 16448), Some(ErrorCode::FrameSize));
    assert_eq!(region(64, 2241), Some(ErrorCode::FrameSize));
    assert_eq!(
        code(Backing::new("wirelet-test", 1 << 45, Pages::Small)),
        Some(ErrorCode::MemoryExhausted)
    );
}

/// A child of its own, with no more address space than it has: every next reservation fails.
#[test]
fn without_address_space_loading_is_a_coded_error() {
    if std::env::var_os("WIRELET_TEST_CHILD").is_none() {
        let program = std::env::current_exe().expect("a path");
        let name = "without_address_space_loading_is_a_coded_error";
        let mut child = std::process::Command::new(program);
        child.args([name, "--exact", "--test-threads=1"]).env("WIRELET_TEST_CHILD", "1");
        assert!(child.status().is_ok_and(|status| status.success()));
        return;
    }
    let wasm = per_packet(&decide(0));
    // The engine, its thread pool and its ticker are there; room for an instance is not.
    drop(Runner::new(program(wasm.clone())));
    let limit = libc::rlimit { rlim_cur: (16 << 30) + reserved(), rlim_max: libc::RLIM_INFINITY };
    // SAFETY: a valid rlimit.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) }, 0);
    let runners: Vec<_> = (0..4).map(|_| Runner::new(program(wasm.clone()))).collect();
    let codes: Vec<_> = runners.into_iter().map(code).collect();
    assert!(codes.contains(&Some(ErrorCode::MemoryExhausted)), "{codes:?}");
    assert!(codes.iter().flatten().all(|code| *code == ErrorCode::MemoryExhausted), "{codes:?}");
}

/// Address space of this process, in bytes.
fn reserved() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").expect("procfs");
    let pages = text.split_whitespace().next().and_then(|word| word.parse::<u64>().ok());
    pages.expect("a number") * 4096
}

#[test]
fn configs_outside_the_limits_are_refused() {
    let ports = || vec![port("null:", None, &[])];
    let good = || config(ports(), vec![program(per_packet(&decide(0)))]);
    let refused = |change: &dyn Fn(&mut wirelet_engine::appliance::ApplianceConfig)| {
        let mut config = good();
        change(&mut config);
        code(Appliance::new(config))
    };
    assert_eq!(refused(&|_| {}), None);
    assert_eq!(refused(&|config| config.lcores.clear()), Some(ErrorCode::ConfigLimit));
    assert_eq!(refused(&|config| config.ports.clear()), Some(ErrorCode::ConfigLimit));
    assert_eq!(refused(&|config| config.burst = 0), Some(ErrorCode::ConfigLimit));
    assert_eq!(refused(&|config| config.burst = 257), Some(ErrorCode::ConfigLimit));
    assert_eq!(refused(&|config| config.region.frames = 127), Some(ErrorCode::ConfigLimit));
    assert_eq!(refused(&|config| config.ports[0].pipeline = vec![1]), Some(ErrorCode::ConfigLimit));
    assert_eq!(
        refused(&|config| config.ports[0].pipeline = vec![0; 17]),
        Some(ErrorCode::ConfigLimit)
    );
    assert_eq!(
        refused(&|config| config.ports[0].forward = Some(1)),
        Some(ErrorCode::ConfigUnknownPort)
    );
    assert_eq!(
        refused(&|config| config.ports[0].punt = Some(9)),
        Some(ErrorCode::ConfigUnknownPort)
    );
    assert_eq!(
        refused(&|config| config.ports[0].device = "nul:".into()),
        Some(ErrorCode::ConfigUnknownDevice)
    );
    assert_eq!(
        refused(&|config| config.ports[0].device = "ring:a".into()),
        Some(ErrorCode::DeviceSpec)
    );
}

#[test]
fn a_cpu_that_is_not_ours_is_refused_and_nothing_runs() {
    let mut config = config(vec![port("null:", None, &[])], vec![]);
    config.lcores = vec![None, Some(4095)];
    config.region.frames = 4096;
    let mut appliance = Appliance::new(config).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(code(appliance.start()), Some(ErrorCode::Lcore));
    assert_eq!(code(appliance.start()), Some(ErrorCode::State));
    assert_eq!(code(appliance.close()), None);
    assert!(appliance.stopped());
    assert_eq!(appliance.frames_used(), 0);
}
