//! Rules of ports, through a whole appliance: drops, marks, queues, and rules that change while
//! packets flow.

use std::sync::PoisonError;

use wirelet_abi::{DropReason, ErrorCode};
use wirelet_engine::appliance::{Appliance, ApplianceConfig};
use wirelet_engine::generation::{GenerationConfig, NextProgram, RollbackPolicy, Route};
use wirelet_engine::ports::PortConfig;
use wirelet_engine::program::ProgramConfig;
use wirelet_engine::rules::Offload;
use wirelet_engine::steer::Affinity;
use wirelet_engine::trace::{Target, Trace};
use wirelet_engine::tracer::Wanted;
use wirelet_engine::{Match, Rule, RuleAction};

use crate::common::bench::{config, port, run, start, stop, wait_for};
use crate::common::page::{Page, read};
use crate::common::{decide, per_packet, program};

/// Source port of the generator's flow 0; flow n has the n-th after it.
const FLOW_0: u16 = 1024;

/// Of one flow of the generator's.
fn of_flow(flow: u16, action: RuleAction, mark: Option<u32>) -> Rule {
    let source_port = Some((FLOW_0 + flow, FLOW_0 + flow));
    Rule { when: Match { source_port, ..Match::default() }, action, mark }
}

fn with_rules(device: &str, queues: usize, rules: Vec<Rule>) -> PortConfig {
    PortConfig { queues, rules, ..port(device, 1, &[0]) }
}

/// Drops packets with mark 42 (offset 20 of a descriptor), passes the others.
fn drops_marked() -> ProgramConfig {
    program(per_packet(
        "(i32.store8 offset=12 (local.get $d)
            (i32.eq (i32.load offset=20 (local.get $d)) (i32.const 42)))",
    ))
}

fn passing(affinity: Affinity) -> ProgramConfig {
    ProgramConfig { affinity, ..program(per_packet(&decide(0))) }
}

fn on_two_lcores(source: PortConfig, program: ProgramConfig) -> ApplianceConfig {
    let mut config = config(vec![source, port("sink:", None, &[])], vec![program]);
    config.lcores = vec![None, None];
    config
}

fn hits(page: &Page, rule: usize) -> u64 {
    page.port(0, |port| port.rule_hits[rule])
}

#[test]
fn the_first_rule_that_matches_drops_marks_or_passes() {
    let rules = vec![
        of_flow(0, RuleAction::Drop, None),
        of_flow(0, RuleAction::Pass, None),
        of_flow(1, RuleAction::Pass, Some(42)),
        of_flow(2, RuleAction::Pass, None),
        Rule { when: Match::default(), action: RuleAction::Pass, mark: Some(7) },
    ];
    let source = with_rules("gen:?rate=200k&count=8000&ring=65536&flows=4", 1, rules);
    let outcome = run(config(vec![source, port("sink:", None, &[])], vec![drops_marked()]));
    let page = &outcome.page;
    let counts = [0, 1, 2, 3, 4].map(|rule| hits(page, rule));
    assert_eq!(counts.iter().sum::<u64>(), 8000, "{counts:?}");
    assert_eq!(counts[1], 0, "the one before it matches the same");
    assert!([0, 2, 3, 4].iter().all(|&rule| counts[rule] > 1500), "{counts:?}");
    assert_eq!(page.drops(0, DropReason::Rule), counts[0], "{}", page.describe());
    assert_eq!(page.drops(0, DropReason::Program), counts[2], "{}", page.describe());
    assert_eq!(page.port(0, |port| port.forwarded_packets), counts[3] + counts[4]);
    // The program has not seen what a rule dropped.
    assert_eq!(page.program(0, |block| block.packets), 8000 - counts[0]);
}

#[test]
fn a_queue_is_where_its_lcore_is() {
    let rules = vec![
        of_flow(0, RuleAction::Queue(1), Some(1)),
        of_flow(1, RuleAction::Queue(0), None),
        of_flow(2, RuleAction::Drop, None),
    ];
    let source = with_rules("gen:?rate=50k&count=6000&ring=65536&flows=4", 2, rules);
    let outcome = run(on_two_lcores(source, passing(Affinity::None)));
    let page = &outcome.page;
    let ran = |lcore: usize| page.0[lcore].programs[0].packets;
    let received = |lcore: usize| page.0[lcore].ports[0].rx_packets;
    // Queue 0 has the flows 0 and 2, queue 1 has 1 and 3.
    let (to_one, to_zero, dropped) = (hits(page, 0), hits(page, 1), hits(page, 2));
    assert!(to_one > 1000 && to_zero > 1000 && dropped > 1000, "{}", page.describe());
    assert_eq!(ran(0), to_zero, "{}", page.describe());
    assert_eq!(ran(1), received(1) - to_zero + to_one, "{}", page.describe());
    assert_eq!(page.port(0, |port| port.steered_packets), to_one + to_zero);
    assert_eq!(page.drops(0, DropReason::Rule), dropped);
}

#[test]
fn a_trace_shows_what_a_rule_drops() {
    let rules = vec![of_flow(0, RuleAction::Drop, None)];
    let source = with_rules("gen:?rate=20k&flows=2", 1, rules);
    let mut appliance = start(config(vec![source, port("sink:", None, &[])], vec![drops_marked()]));
    let wanted = Wanted { filter: None, every: 1, snap: 64 };
    let mut trace = Trace::start(appliance.changes(), &Target::Port(0), &wanted).expect("a trace");
    let (names, mut notes) = (["in".to_owned(), "out".to_owned()], Vec::new());
    wait_for("packets are traced", || {
        let taken = trace.take(100);
        notes.extend(taken.iter().map(|traced| trace.describe(traced, &names).1));
        notes.len() > 400
    });
    trace.end();
    let refused = notes.iter().filter(|note| *note == "dropped: rule").count();
    assert!(refused > 100 && refused < notes.len() - 100, "{refused} of {}", notes.len());
    stop(&mut appliance, 1_000_000_000);
}

fn next(program: &ProgramConfig, rules: Vec<Rule>) -> GenerationConfig {
    let route = Route { forward: Some(1), chain: vec![0], rules, ..Route::default() };
    GenerationConfig {
        programs: vec![NextProgram { config: program.clone(), keep: true }],
        routes: vec![route, Route::default()],
        reset_state: false,
        dry_run: false,
        rollback: RollbackPolicy { faults: 0, window: std::time::Duration::ZERO },
    }
}

#[test]
fn rules_come_and_go_with_their_generation() {
    let program = passing(Affinity::None);
    let source = with_rules("gen:?rate=100k&flows=4", 2, vec![]);
    let mut appliance = start(on_two_lcores(source, program.clone()));
    let page = std::sync::Arc::clone(appliance.stats_page());
    let swap = |appliance: &Appliance, rules| {
        let mut changes = appliance.changes().lock().unwrap_or_else(PoisonError::into_inner);
        changes.swap(next(&program, rules))
    };
    assert_eq!(hits(&read(&page), 0), 0);
    swap(&appliance, vec![of_flow(1, RuleAction::Drop, None)]).expect("rules");
    wait_for("it is hit", || hits(&read(&page), 0) > 100);
    // The same rules again count on; others begin at zero.
    swap(&appliance, vec![of_flow(1, RuleAction::Drop, None)]).expect("the same");
    assert!(hits(&read(&page), 0) > 100);
    swap(&appliance, vec![of_flow(77, RuleAction::Drop, None)]).expect("others");
    wait_for("they count from zero", || hits(&read(&page), 0) == 0);
    let refused = swap(&appliance, vec![of_flow(1, RuleAction::Queue(2), None)]);
    let error = refused.expect_err("there are two queues");
    assert_eq!((error.code, error.message.contains("has 2")), (ErrorCode::Rules, true), "{error}");
    stop(&mut appliance, 1_000_000_000);
}

#[test]
fn rules_that_a_port_cannot_have_are_refused() {
    let error = |source: PortConfig, affinity| {
        let appliance = Appliance::new(on_two_lcores(source, passing(affinity)));
        appliance.err().expect("refused")
    };
    let device = "gen:?rate=1k&flows=4";
    let queue = |queue| vec![of_flow(0, RuleAction::Queue(queue), None)];
    let beyond = error(with_rules(device, 1, queue(1)), Affinity::None);
    assert_eq!(beyond.code, ErrorCode::Rules, "{beyond}");
    // Of `flow` too, although the device keeps flows: fragments would go another way.
    for affinity in [Affinity::Symmetric, Affinity::Flow] {
        let torn = error(with_rules(device, 2, queue(1)), affinity);
        assert!(torn.code == ErrorCode::Rules && torn.message.contains("affinity"), "{torn}");
    }
    let many = vec![of_flow(0, RuleAction::Drop, None); 65];
    assert_eq!(error(with_rules(device, 1, many), Affinity::None).code, ErrorCode::ConfigLimit);
    let mut always = with_rules(device, 1, vec![of_flow(0, RuleAction::Drop, None)]);
    always.offload = Offload::Always;
    let alone = error(always, Affinity::None);
    assert!(alone.code == ErrorCode::Rules && alone.message.contains("always"), "{alone}");
}
