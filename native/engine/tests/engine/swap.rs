//! Changing programs while packets flow: who answers for which packet, and what stays.

use std::sync::PoisonError;
use std::time::Duration;

use wirelet_abi::{DropReason, Error, ErrorCode};
use wirelet_engine::appliance::Appliance;
use wirelet_engine::generation::{GenerationConfig, NextProgram, RollbackPolicy, Route};
use wirelet_engine::pipeline::health;
use wirelet_engine::program::{OnFault, ProgramConfig};
use wirelet_engine::swap::SwapReport;

use crate::common::bench::{config, outcome, port, start, stop, wait_for};
use crate::common::page::read;
use crate::common::{decide, module, on_packets, per_packet, program};

const PASS: u8 = 0;
const DROP: u8 = 1;

fn named(name: &str, wasm: Vec<u8>) -> ProgramConfig {
    ProgramConfig { name: name.into(), ..program(wasm) }
}

fn deciding(verdict: u8) -> Vec<u8> {
    per_packet(&decide(verdict))
}

/// Endless packets through `programs`, in order.
fn flowing(programs: Vec<ProgramConfig>, lcores: usize) -> Appliance {
    let pipeline: Vec<usize> = (0..programs.len()).collect();
    let ports = (0..lcores as u16).flat_map(|lcore| {
        [port("null:?rx=64", 2 * lcore + 1, &pipeline), port("null:", None, &[])]
    });
    let mut config = config(ports.collect(), programs);
    config.lcores = vec![None; lcores];
    start(config)
}

/// A generation of `programs` in this order; `None` for the wasm keeps one.
fn generation(appliance: &Appliance, programs: Vec<(ProgramConfig, bool)>) -> GenerationConfig {
    let chain: Vec<usize> = (0..programs.len()).collect();
    let ports = read(appliance.stats_page()).0[0].ports.len() as u16;
    let route = |port: u16| match port % 2 {
        0 => Route { forward: Some(port + 1), chain: chain.clone(), ..Route::default() },
        _ => Route::default(),
    };
    GenerationConfig {
        programs: programs.into_iter().map(|(config, keep)| NextProgram { config, keep }).collect(),
        routes: (0..ports).map(route).collect(),
        reset_state: false,
        dry_run: false,
        rollback: RollbackPolicy { faults: 0, window: Duration::from_secs(10) },
    }
}

fn swap(appliance: &Appliance, next: GenerationConfig) -> Result<SwapReport, Error> {
    appliance.changes().lock().unwrap_or_else(PoisonError::into_inner).swap(next)
}

fn rollback(appliance: &Appliance) -> Result<SwapReport, Error> {
    appliance.changes().lock().unwrap_or_else(PoisonError::into_inner).rollback()
}

fn replace(appliance: &Appliance, config: ProgramConfig) -> Result<SwapReport, Error> {
    swap(appliance, generation(appliance, vec![(config, false)]))
}

/// Packets that a program has given a verdict so far, as published.
fn verdicts(appliance: &Appliance, slot: usize, verdict: u8) -> u64 {
    let page = read(appliance.stats_page());
    page.program(slot, |program| program.verdicts[usize::from(verdict)])
}

fn wait_for_more(appliance: &Appliance, slot: usize, verdict: u8) {
    let before = verdicts(appliance, slot, verdict);
    wait_for("packets go on", || verdicts(appliance, slot, verdict) > before);
}

#[test]
fn a_new_version_answers_for_every_packet_after_the_swap() {
    let mut appliance = flowing(vec![named("p", deciding(PASS))], 2);
    wait_for_more(&appliance, 0, PASS);
    let report = replace(&appliance, named("p", deciding(DROP))).expect("a good program");
    assert_eq!((report.generation, appliance.generation()), (2, 2));
    wait_for_more(&appliance, 0, DROP);
    let passed = verdicts(&appliance, 0, PASS);
    wait_for_more(&appliance, 0, DROP);
    assert_eq!(verdicts(&appliance, 0, PASS), passed, "the old version is gone");
    let outcome = stop(&mut appliance, 0);
    assert!(outcome.page.0.iter().all(|lcore| lcore.lcore.generation == 2));
    assert_eq!(outcome.page.drops(0, DropReason::ProgramDown), 0);
}

/// Drops all packets from its second burst on: a global remembers the first.
fn remembers() -> Vec<u8> {
    let code = on_packets("(i32.store8 offset=12 (local.get $d) (global.get $seen))");
    let code = code.strip_suffix(')').expect("the function's end");
    module(&format!(
        r#"(global $seen (mut i32) (i32.const 0)) {code} (global.set $seen (i32.const 1)))"#
    ))
}

#[test]
fn an_unchanged_program_keeps_its_instance_and_another_comes_and_goes() {
    let mut appliance = flowing(vec![named("old", remembers())], 1);
    wait_for_more(&appliance, 0, DROP);
    let passed = verdicts(&appliance, 0, PASS);
    let both = vec![(named("new", deciding(PASS)), false), (named("old", Vec::new()), true)];
    swap(&appliance, generation(&appliance, both)).expect("one more program");
    assert_eq!(appliance.slot_names(), ["old", "new"]);
    wait_for_more(&appliance, 1, PASS);
    wait_for_more(&appliance, 0, DROP);
    assert_eq!(verdicts(&appliance, 0, PASS), passed, "its global is as it was");
    let one = vec![(named("old", Vec::new()), true)];
    swap(&appliance, generation(&appliance, one)).expect("one program less");
    assert_eq!(appliance.slot_names(), ["old", ""]);
    let third = vec![(named("third", deciding(DROP)), false)];
    swap(&appliance, generation(&appliance, third)).expect("another program");
    assert_eq!(appliance.slot_names(), ["", "third"], "a free slot is used again");
    wait_for_more(&appliance, 1, DROP);
    assert_eq!(verdicts(&appliance, 1, PASS), 0, "and counts anew");
    stop(&mut appliance, 0);
}

#[test]
fn what_is_refused_leaves_everything_as_it_was() {
    let mut appliance = flowing(vec![named("p", deciding(PASS))], 2);
    wait_for_more(&appliance, 0, PASS);
    let loads = |code: &str| {
        let on_burst = on_packets(&decide(DROP));
        module(&format!(r#"(func (export "onLoad") {code}) {on_burst}"#))
    };
    let touch = |address: u32| loads(&format!("(drop (i32.load (i32.const {address})))"));
    let cases = [
        (b"no wasm".to_vec(), ErrorCode::ModuleNotWasm),
        (loads("unreachable"), ErrorCode::LoadTrap),
        (loads("(loop $for_ever (br $for_ever))"), ErrorCode::LoadDeadline),
        (touch(wirelet_abi::guest::PACKET_WINDOW), ErrorCode::LoadTrap),
        (touch(wirelet_abi::guest::BURST_PAGE), ErrorCode::LoadTrap),
        (crate::common::wasm("(module)"), ErrorCode::ModuleAbi),
    ];
    for (wasm, code) in cases {
        let error = replace(&appliance, named("p", wasm)).expect_err("a bad program");
        assert_eq!(error.code, code, "{error}");
    }
    let mut missing = generation(&appliance, vec![(named("q", Vec::new()), true)]);
    let error = swap(&appliance, missing.clone()).expect_err("nothing to keep");
    assert_eq!(error.code, ErrorCode::ConfigUnknownProgram);
    missing.routes.pop();
    assert_eq!(swap(&appliance, missing).map_err(|e| e.code).err(), Some(ErrorCode::RestartNeeded));
    let mut dry = generation(&appliance, vec![(named("p", deciding(DROP)), false)]);
    dry.dry_run = true;
    swap(&appliance, dry).expect("a good program");
    wait_for_more(&appliance, 0, PASS);
    assert_eq!((appliance.generation(), verdicts(&appliance, 0, DROP)), (1, 0));
    assert_eq!(rollback(&appliance).map_err(|e| e.code).err(), Some(ErrorCode::Rollback));
    let outcome = stop(&mut appliance, 0);
    assert_eq!(outcome.page.program(0, |program| program.faults), 0);
}

#[test]
fn a_rollback_brings_the_generation_before_back_once() {
    let mut appliance = flowing(vec![named("p", deciding(PASS))], 2);
    replace(&appliance, named("p", deciding(DROP))).expect("a good program");
    wait_for_more(&appliance, 0, DROP);
    assert_eq!(rollback(&appliance).expect("there is one").generation, 3);
    wait_for_more(&appliance, 0, PASS);
    assert_eq!(rollback(&appliance).map_err(|e| e.code).err(), Some(ErrorCode::Rollback));
    stop(&mut appliance, 0);
}

#[test]
fn faults_in_the_first_seconds_bring_the_generation_before_back() {
    let mut appliance = flowing(vec![named("p", deciding(PASS))], 2);
    let bad = named("p", per_packet("unreachable"));
    let mut next = generation(&appliance, vec![(bad, false)]);
    next.rollback.faults = 3;
    swap(&appliance, next).expect("it loads");
    wait_for("the rollback", || appliance.generation() == 3);
    wait_for_more(&appliance, 0, PASS);
    let outcome = stop(&mut appliance, 0);
    assert_eq!(outcome.turns, ["rollback to 3: generation 2 faulted 3 times"]);
    assert_eq!(outcome.page.program(0, |program| program.health), 2 * health::UP);
}

#[test]
fn untouched_packets_go_to_the_generation_before_when_that_is_the_policy() {
    let mut appliance = flowing(vec![named("p", deciding(PASS))], 1);
    wait_for_more(&appliance, 0, PASS);
    // Drops the first packet of each burst and traps on the second.
    let code = format!("(if (local.get $i) (then unreachable)) {}", decide(DROP));
    let bad = ProgramConfig { on_fault: OnFault::Previous, ..named("p", per_packet(&code)) };
    replace(&appliance, bad).expect("it loads");
    wait_for("a quarantine", || {
        read(appliance.stats_page()).program(0, |program| program.health) == health::QUARANTINED
    });
    wait_for_more(&appliance, 0, PASS);
    let outcome = stop(&mut appliance, 0);
    let program = &outcome.page.0[0].programs[0];
    let faults = program.faults;
    assert_eq!(faults, 9, "quarantined after 8 rebuilds in a row");
    // Each fault cost the packet it was working on; all others were answered by one or the other.
    assert_eq!(outcome.page.drops(0, DropReason::Fault), faults);
    assert_eq!(outcome.page.drops(0, DropReason::ProgramDown), 0);
    assert_eq!(program.verdicts[1], faults);
    let answered: u64 = program.verdicts.iter().sum();
    let received = outcome.page.port(0, |port| port.rx_packets);
    assert_eq!(answered + faults, received);
}

#[test]
fn hundreds_of_swaps_leave_no_mapping_behind() {
    let mut appliance = flowing(vec![named("p", deciding(PASS))], 2);
    let mappings = || std::fs::read_to_string("/proc/self/maps").expect("Linux").lines().count();
    let replace = |round: u32| {
        let verdict = if round.is_multiple_of(2) { DROP } else { PASS };
        replace(&appliance, named("p", deciding(verdict))).expect("a good program");
    };
    (0..20).for_each(replace);
    let before = mappings();
    (0..300).for_each(replace);
    let after = mappings();
    assert!(after <= before + 20, "{before} mappings before, {after} after");
    stop(&mut appliance, 0);
}

#[test]
fn a_sleeping_lcore_adopts_too() {
    let ports = vec![port("ring:a", 1, &[0]), port("ring:a", 0, &[0])];
    let mut appliance = start(config(ports, vec![named("p", deciding(PASS))]));
    wait_for("it sleeps", || outcome(&appliance).page.0[0].lcore.sleeps > 0);
    let route = Route { chain: vec![0], ..Route::default() };
    let next = NextProgram { config: named("p", deciding(DROP)), keep: false };
    let next = GenerationConfig {
        programs: vec![next],
        routes: vec![route.clone(), route],
        reset_state: false,
        dry_run: false,
        rollback: RollbackPolicy { faults: 0, window: Duration::ZERO },
    };
    assert_eq!(swap(&appliance, next).expect("a good program").generation, 2);
    stop(&mut appliance, 0);
}
