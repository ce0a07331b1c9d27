//! Conservation: whatever programs say, every packet is counted exactly once and every frame comes
//! back.

use std::time::Duration;

use proptest::prelude::*;
use wirelet_engine::appliance::ApplianceConfig;
use wirelet_engine::idle::IdlePolicy;
use wirelet_engine::ports::PortConfig;
use wirelet_engine::program::{OnFault, ProgramConfig};
use wirelet_engine::steer::Affinity;

use crate::common::bench::{config, port, run, start, stop};
use crate::common::{module, on_packets, program};

/// What a random program does with a packet: by a table of 16 entries, indexed by the packet's
/// bytes and what the program has seen so far.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Pass,
    Drop,
    Redirect(u8),
    Flood,
    Punt,
    Undecided,
    Shrink(u16),
    Lie,
    Trap,
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        8 => Just(Deed::Pass),
        3 => Just(Deed::Drop),
        3 => (0..5u8).prop_map(Deed::Redirect),
        2 => Just(Deed::Flood),
        1 => Just(Deed::Punt),
        1 => Just(Deed::Undecided),
        1 => (0..40u16).prop_map(Deed::Shrink),
        1 => Just(Deed::Lie),
        1 => Just(Deed::Trap),
    ]
}

impl Deed {
    fn code(self) -> String {
        let verdict = |byte: u8| crate::common::decide(byte);
        match self {
            Deed::Pass => verdict(0),
            Deed::Drop => verdict(1),
            Deed::Redirect(to) => {
                format!("(i32.store16 offset=14 (local.get $d) (i32.const {to})) {}", verdict(2))
            }
            Deed::Flood => {
                format!("(i32.store16 offset=14 (local.get $d) (i32.const 0xFFFE)) {}", verdict(2))
            }
            Deed::Punt => verdict(3),
            Deed::Undecided => String::new(),
            Deed::Shrink(bytes) => {
                format!("(i32.store16 offset=4 (local.get $d) (i32.const {bytes})) {}", verdict(0))
            }
            Deed::Lie => "(i32.store (local.get $d) (i32.const 7))".into(),
            Deed::Trap => "unreachable".into(),
        }
    }
}

/// Which deed: the sum of a few bytes of the packet (addresses, sequence), and a count.
fn random_program(deeds: &[Deed], on_fault: OnFault) -> ProgramConfig {
    let mut code = String::from(
        "(global.set $seen (i32.add (global.get $seen) (i32.const 7)))
        (local.set $y (i32.load (local.get $d)))
        (local.set $x (i32.add (global.get $seen) (i32.add
            (i32.load8_u offset=29 (local.get $y)) (i32.load8_u offset=33 (local.get $y)))))
        (local.set $x (i32.and (i32.add (local.get $x)
            (i32.shr_u (local.get $x) (i32.const 4))) (i32.const 15)))",
    );
    for (index, deed) in deeds.iter().enumerate() {
        code += &format!("(if (i32.eq (local.get $x) (i32.const {index})) (then {}))", deed.code());
    }
    let wasm = module(&format!("(global $seen (mut i32) (i32.const 0)) {}", on_packets(&code)));
    ProgramConfig { on_fault, ..program(wasm) }
}

fn any_program() -> impl Strategy<Value = ProgramConfig> {
    let affinity =
        prop_oneof![Just(Affinity::None), Just(Affinity::Flow), Just(Affinity::Symmetric)];
    (proptest::collection::vec(deed(), 16), any::<bool>(), 1..16u64, affinity).prop_map(
        |(deeds, pass, redirect_to, affinity)| {
            let on_fault = if pass { OnFault::Pass } else { OnFault::Drop };
            ProgramConfig { redirect_to, affinity, ..random_program(&deeds, on_fault) }
        },
    )
}

fn any_device() -> impl Strategy<Value = String> {
    prop_oneof![
        (1..3000u32, 1..20u32, any::<u16>()).prop_map(|(count, flows, seed)| format!(
            "gen:?rate=max&count={count}&flows={flows}&seed={seed}&sizes=60-1514"
        )),
        (1..3000u32).prop_map(|count| format!("null:?rx=64&packets={count}")),
        Just("null:".to_string()),
        Just("sink:".to_string()),
    ]
}

prop_compose! {
    fn any_config()(
        programs in proptest::collection::vec(any_program(), 1..5),
        devices in proptest::collection::vec(any_device(), 1..4),
        lcores in 1..3usize,
        burst in 1..257usize,
        offline in any::<bool>(),
        poll in any::<bool>(),
        frames in prop_oneof![Just(1664usize), Just(4096)],
    )(
        ports in proptest::collection::vec((
            proptest::option::of(0..devices.len() as u16),
            proptest::option::of(0..devices.len() as u16),
            proptest::collection::vec(0..programs.len(), 0..5),
            0..3usize,
        ), devices.len()),
        programs in Just(programs),
        devices in Just(devices),
        (lcores, burst, offline, poll, frames) in Just((lcores, burst, offline, poll, frames)),
    ) -> ApplianceConfig {
        let ports = devices.into_iter().zip(ports);
        let ports = ports.map(|(device, (forward, punt, pipeline, queues))| PortConfig {
            punt, queues, ..port(&device, forward, &pipeline)
        });
        let mut config = config(ports.collect(), programs);
        config.lcores = vec![None; lcores];
        config.idle = if poll { IdlePolicy::Poll } else { IdlePolicy::Adaptive };
        (config.burst, config.offline, config.region.frames) = (burst, offline, frames);
        config
    }
}

/// As many as fit into a minute or so, more with `PROPTEST_CASES`.
fn cases(default: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
    let cases = cases.unwrap_or(default);
    ProptestConfig {
        cases,
        max_shrink_iters: 40,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn every_packet_is_counted_once(config in any_config()) {
        let outcome = run(config);
        prop_assert!(outcome.errors.is_empty(), "{:?}", outcome.errors);
    }

    /// Stopped in the middle of endless traffic, with and without time to drain.
    #[test]
    fn a_stop_in_the_middle_loses_nothing(
        config in any_config(),
        after_us in 0..20_000u64,
        drain_ns in prop_oneof![Just(0u64), Just(100_000_000)],
    ) {
        let mut config = config;
        let rate = if config.lcores.len() == 1 { "max" } else { "200k" };
        config.ports[0].device = format!("gen:?rate={rate}&flows=8");
        let mut appliance = start(config);
        std::thread::sleep(Duration::from_micros(after_us));
        let outcome = stop(&mut appliance, drain_ns);
        prop_assert!(outcome.errors.is_empty(), "{:?}", outcome.errors);
    }
}
