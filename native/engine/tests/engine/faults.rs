//! Faults on real lcores (DESIGN §9): who pays, and what follows.

use wirelet_abi::DropReason;
use wirelet_abi::ErrorCode;
use wirelet_abi::stats::ProgramBlock;
use wirelet_engine::pipeline::health;
use wirelet_engine::program::{OnFault, ProgramConfig};

use crate::common::bench::{Outcome, config, outcome, port, run, start, stop, wait_for};
use crate::common::{decide, on_packets, per_packet, program};

/// One burst of 16 packets through `programs`, offline, so that a fault is over at its end.
fn one_burst(programs: Vec<ProgramConfig>) -> Outcome {
    let pipeline: Vec<usize> = (0..programs.len()).collect();
    let ports = vec![port("null:?rx=64&packets=16", 1, &pipeline), port("null:", None, &[])];
    let mut config = config(ports, programs);
    config.offline = true;
    run(config)
}

fn passing(wasm: Vec<u8>, on_fault: OnFault) -> ProgramConfig {
    ProgramConfig { on_fault, ..program(wasm) }
}

/// Decides the first five packets and traps on the sixth.
fn traps_on_the_sixth() -> Vec<u8> {
    let pass = decide(0);
    per_packet(&format!("(if (i32.eq (local.get $i) (i32.const 5)) (then unreachable)) {pass}"))
}

#[test]
fn a_trap_costs_the_packet_and_by_policy_the_untouched() {
    let dropping = one_burst(vec![passing(traps_on_the_sixth(), OnFault::Drop)]);
    assert_eq!(dropping.page.port(0, |port| port.forwarded_packets), 5);
    assert_eq!(dropping.page.drops(0, DropReason::Fault), 11);
    let passing = one_burst(vec![passing(traps_on_the_sixth(), OnFault::Pass)]);
    assert_eq!(passing.page.port(0, |port| port.forwarded_packets), 15);
    assert_eq!(passing.page.drops(0, DropReason::Fault), 1);
    for outcome in [dropping, passing] {
        assert_eq!(outcome.faults.len(), 1);
        assert_eq!(outcome.faults[0].fault.error.code, ErrorCode::ProgramTrap);
        assert_eq!(outcome.faults[0].packet.len(), 64);
        assert!(!outcome.faults[0].fault.frames.is_empty());
        let program = &outcome.page.0[0].programs[0];
        assert_eq!((program.faults, program.rebuilds, program.health), (1, 1, health::UP));
    }
}

#[test]
fn a_program_that_decides_out_of_order_loses_what_it_has_not_decided() {
    // Backwards: the last three get `pass`, then it traps. The first is "being worked on".
    let backwards = r#"(func (export "onBurst") (param $burst i32)
        (i32.store8 (i32.add (local.get $burst) (i32.const 556)) (i32.const 0))
        (i32.store8 (i32.add (local.get $burst) (i32.const 524)) (i32.const 0))
        (i32.store8 (i32.add (local.get $burst) (i32.const 492)) (i32.const 1))
        unreachable)"#;
    let wasm = crate::common::module(backwards);
    let outcome = one_burst(vec![passing(wasm, OnFault::Pass)]);
    assert_eq!(outcome.page.port(0, |port| port.forwarded_packets), 2);
    assert_eq!(outcome.page.drops(0, DropReason::Fault), 13);
    assert_eq!(outcome.page.drops(0, DropReason::Program), 1);
}

#[test]
fn a_trap_after_all_decisions_costs_nothing() {
    let code = on_packets(&decide(0));
    let code = code.strip_suffix(')').expect("the function's end");
    let wasm = crate::common::module(&format!("{code} unreachable)"));
    let outcome = one_burst(vec![program(wasm)]);
    assert_eq!(outcome.page.port(0, |port| port.forwarded_packets), 16);
    assert_eq!((outcome.faults.len(), outcome.faults[0].packet.len()), (1, 0));
}

#[test]
fn the_rest_of_the_chain_sees_what_still_passes() {
    let counting = per_packet(&decide(0));
    let outcome = one_burst(vec![program(traps_on_the_sixth()), program(counting)]);
    assert_eq!(outcome.page.program(1, |program| program.packets), 5);
    assert_eq!(outcome.page.port(0, |port| port.forwarded_packets), 5);
}

/// Each row lies in one field of packets 3 and 7: two lies in one burst.
#[test]
fn descriptors_that_lie_cost_their_own_packets_and_nobody_elses() {
    for lie in [
        "(i32.store (local.get $d) (i32.const 0))",
        "(i32.store (local.get $d) (i32.const -1))",
        "(i32.store (local.get $d) (i32.const 0x40000000))",
        "(i32.store (local.get $d) (i32.const 0x1ffff))",
        "(i32.store (local.get $d) (i32.add (i32.load (local.get $d)) (i32.const 2240)))",
        "(i32.store (local.get $d) (i32.sub (i32.load (local.get $d)) (i32.const 129)))",
        "(i32.store (local.get $d) (i32.add (i32.load (local.get $d)) (i32.const 2049)))",
        "(i32.store16 offset=4 (local.get $d) (i32.const 2113))",
        "(i32.store16 offset=4 (local.get $d) (i32.const 65535))",
        "(i32.store8 offset=12 (local.get $d) (i32.const 4))",
        "(i32.store8 offset=12 (local.get $d) (i32.const 0xfe))",
        "(i32.store8 offset=12 (local.get $d) (i32.const 0x80))",
    ] {
        let wasm = per_packet(&format!(
            "{} (if (i32.eq (i32.and (local.get $i) (i32.const -5)) (i32.const 3)) (then {lie}))",
            decide(0)
        ));
        let outcome = one_burst(vec![program(wasm)]);
        assert!(outcome.errors.is_empty(), "{lie}: {:?}", outcome.errors);
        assert_eq!(outcome.page.drops(0, DropReason::Fault), 2, "{lie}");
        assert_eq!(outcome.page.port(0, |port| port.forwarded_packets), 14, "{lie}");
        assert_eq!(outcome.faults.len(), 1, "{lie}");
        assert_eq!(outcome.faults[0].fault.error.code, ErrorCode::Descriptor, "{lie}");
        assert_eq!(outcome.page.program(0, |program| program.verdicts[0]), 14, "{lie}");
    }
}

#[test]
fn what_a_program_may_not_change_is_ignored() {
    let wasm = per_packet(&format!(
        "{} (i32.store16 offset=6 (local.get $d) (i32.const 0xffff))
        (i32.store16 offset=8 (local.get $d) (i32.const 0xffff))
        (i32.store16 offset=10 (local.get $d) (i32.const 0xffff))
        (i32.store8 offset=13 (local.get $d) (i32.const 0xff))
        (i32.store offset=16 (local.get $d) (i32.const -1))
        (i64.store offset=24 (local.get $d) (i64.const -1))
        (i32.store (local.get $burst) (i32.const 0xffff))
        (i64.store offset=8 (local.get $burst) (i64.const -1))",
        decide(0)
    ));
    // The second one traps unless the first one's writes are gone.
    let seen = per_packet(&format!(
        "{} (if (i32.or (i32.or
            (i32.ne (i32.load16_u offset=6 (local.get $d)) (i32.const 128))
            (i32.ne (i32.load16_u offset=8 (local.get $d)) (i32.const 2048)))
            (i32.or (i32.ne (i32.load16_u offset=10 (local.get $d)) (i32.const 0))
            (i32.ne (i32.load (local.get $burst)) (i32.const 16))))
            (then unreachable))",
        decide(0)
    ));
    let outcome = one_burst(vec![program(wasm), program(seen)]);
    assert!(outcome.faults.is_empty(), "{:?}", outcome.faults);
    assert_eq!(outcome.page.port(0, |port| port.forwarded_packets), 16);
}

#[test]
fn redirects_lead_only_where_they_may() {
    // To port i: 1 exists and is allowed, 2 exists and is not, others do not exist.
    let egress = "(i32.store16 offset=14 (local.get $d) (i32.mul (local.get $i) (local.get $i)))";
    let mut redirecting = program(per_packet(&format!("{} {egress}", decide(2))));
    redirecting.redirect_to = 0b0011;
    let outcome = one_burst(vec![redirecting]);
    assert_eq!(outcome.page.port(0, |port| port.forwarded_packets), 2);
    assert_eq!(outcome.page.drops(0, DropReason::RedirectInvalid), 14);
    let outcome = one_burst(vec![program(per_packet(&decide(3)))]);
    assert_eq!(outcome.page.drops(0, DropReason::PuntUnset), 16);
    let outcome = one_burst(vec![program(crate::common::module(crate::common::EMPTY))]);
    assert_eq!(outcome.page.drops(0, DropReason::Undecided), 16);
    assert_eq!(outcome.page.program(0, |program| program.undecided_packets), 16);
}

#[test]
fn an_endless_loop_ends_at_its_deadline_and_the_lcore_goes_on() {
    let spin = per_packet("(loop $ever (br $ever))");
    let outcome = one_burst(vec![ProgramConfig { deadline_ns: 2_000_000, ..program(spin) }]);
    assert_eq!(outcome.faults[0].fault.error.code, ErrorCode::ProgramDeadline);
    assert_eq!(outcome.page.drops(0, DropReason::Fault), 16);
}

#[test]
fn a_deadline_holds_after_a_silence_in_which_nobody_needed_one() {
    // The first packet passes; the second comes half a second later, when the tick rests, and ends
    // in a loop.
    let seen = "(i32.const 1073741824)";
    let count = format!("(i32.store {seen} (i32.add (i32.load {seen}) (i32.const 1)))");
    let again = format!("(i32.gt_u (i32.load {seen}) (i32.const 1))");
    let spin = "(then (loop $ever (br $ever)))";
    let wasm = per_packet(&format!("{count} (if {again} {spin}) {}", decide(0)));
    let ports = vec![port("gen:?rate=2&count=2", 1, &[0]), port("sink:", None, &[])];
    let outcome = run(config(ports, vec![program(wasm)]));
    assert_eq!(outcome.page.port(0, |port| port.forwarded_packets), 1);
    assert_eq!(outcome.faults[0].fault.error.code, ErrorCode::ProgramDeadline);
}

#[test]
fn a_program_that_always_faults_is_rebuilt_with_growing_pauses_and_then_quarantined() {
    let ports = vec![port("gen:?rate=20k", 1, &[0]), port("sink:", None, &[])];
    let mut appliance = start(config(ports, vec![program(per_packet("unreachable"))]));
    let program = |appliance: &_| outcome(appliance).page.0[0].programs[0];
    wait_for("quarantine", || program(&appliance).health == health::QUARANTINED);
    let outcome = stop(&mut appliance, 1_000_000_000);
    let block = &outcome.page.0[0].programs[0];
    assert_eq!((block.faults, block.rebuilds), (9, 8));
    assert!(outcome.page.drops(0, DropReason::ProgramDown) > 0);
    assert_eq!(outcome.page.port(0, |port| port.forwarded_packets), 0);
}

#[test]
fn a_program_that_faults_once_is_back_soon_and_its_policy_holds_meanwhile() {
    // Traps on its 3,000th packet; the second instance gets fewer.
    let wasm = crate::common::module(&format!(
        "(global $seen (mut i32) (i32.const 0)) {}",
        on_packets(&format!(
            "(global.set $seen (i32.add (global.get $seen) (i32.const 1)))
            (if (i32.eq (global.get $seen) (i32.const 3000)) (then unreachable)) {}",
            decide(1)
        ))
    ));
    // Nothing is missed: the queue is as long as the traffic.
    let source = "gen:?rate=20k&count=5900&ring=8192";
    let ports = vec![port(source, 1, &[0]), port("sink:", None, &[])];
    let mut appliance = start(config(ports, vec![passing(wasm, OnFault::Pass)]));
    wait_for("its inputs end", || appliance.finished());
    wait_for("it is up", || outcome_of(&appliance).health == health::UP);
    let outcome = stop(&mut appliance, 1_000_000_000);
    let block = &outcome.page.0[0].programs[0];
    assert_eq!((block.faults, block.rebuilds), (1, 1), "{block:?}");
    assert_eq!(outcome.page.drops(0, DropReason::Fault), 1);
    // Up, it drops; while it is down, and untouched by the fault, packets pass.
    let (dropped, passed) = (
        outcome.page.drops(0, DropReason::Program),
        outcome.page.port(0, |port| port.forwarded_packets),
    );
    assert_eq!(dropped + passed, 5899, "{}", outcome.page.describe());
    assert!(dropped >= 2999);
}

fn outcome_of(appliance: &wirelet_engine::appliance::Appliance) -> ProgramBlock {
    crate::common::page::read(appliance.stats_page()).0[0].programs[0]
}
