//! Traces and captures of an appliance that runs: what they say became of each packet, and that the
//! packets go their way as if nobody looked.

use std::collections::BTreeMap;
use std::time::Duration;

use wirelet_abi::{DropReason, ErrorCode};
use wirelet_drivers::{Filter, Instruction};
use wirelet_engine::appliance::Appliance;
use wirelet_engine::fate::Names;
use wirelet_engine::ports::PortConfig;
use wirelet_engine::program::ProgramConfig;
use wirelet_engine::steer::Affinity;
use wirelet_engine::trace::{Target, Trace, Traced};
use wirelet_engine::tracer::{Moment, Wanted};

use crate::common::bench::{Outcome, config, port, run, start, stop, wait_for};
use crate::common::{decide, per_packet, program};

const ALL: Wanted = Wanted { filter: None, every: 1, snap: 2048 };
/// Verdict by the last two bits of the IPv4 source: pass, drop, redirect to port 2, punt.
const FOUR_WAYS: &str = r#"
    (i32.store16 offset=14 (local.get $d) (i32.const 2))
    (i32.store8 offset=12 (local.get $d)
        (i32.and (i32.load8_u offset=29 (i32.load (local.get $d))) (i32.const 3)))"#;
/// Bytes of the packet until its source's last.
const SOURCE_LAST: usize = 29;

struct Named;

impl Names for Named {
    fn port(&self, port: usize) -> &str {
        ["in", "wan", "side", "tap"][port]
    }
    fn program(&self, slot: usize) -> &str {
        ["it", "next"][slot]
    }
}

fn named(name: &str, code: &str) -> ProgramConfig {
    ProgramConfig { name: name.into(), ..program(per_packet(code)) }
}

/// `device` through programs: forwarded to `wan`, redirected to `side`, punted to `tap`.
fn ports(device: &str, programs: usize) -> Vec<PortConfig> {
    let pipeline: Vec<usize> = (0..programs).collect();
    let mut first = PortConfig { name: "in".into(), punt: Some(3), ..port(device, 1, &pipeline) };
    first.queues = 0;
    let sink = |name: &str| PortConfig { name: name.into(), ..port("null:", None, &[]) };
    vec![first, sink("wan"), sink("side"), sink("tap")]
}

fn flowing(device: &str, programs: Vec<ProgramConfig>, lcores: usize) -> Appliance {
    let mut config = config(ports(device, programs.len()), programs);
    config.lcores = vec![None; lcores];
    start(config)
}

fn trace(appliance: &Appliance, target: Target, wanted: &Wanted) -> Trace {
    let trace = Trace::start(appliance.changes(), &target, wanted);
    trace.unwrap_or_else(|error| panic!("{error}"))
}

fn it() -> Target {
    Target::Program("it".into())
}

/// At least `count` packets.
fn take(trace: &mut Trace, count: usize) -> Vec<Traced> {
    let mut packets = Vec::new();
    wait_for("packets are traced", || {
        packets.extend(trace.take(1000));
        packets.len() >= count
    });
    packets
}

fn note(packet: &Traced) -> String {
    let mut text = String::new();
    packet.copied.fate.describe(&Named, &mut text);
    text
}

fn at_its_end(appliance: &mut Appliance) -> Outcome {
    stop(appliance, 1_000_000_000)
}

#[test]
fn a_trace_of_a_port_says_what_became_of_each_packet() {
    for lcores in [1, 2] {
        let mut appliance = flowing("gen:?rate=50k&flows=64", vec![named("it", FOUR_WAYS)], lcores);
        let mut trace = trace(&appliance, Target::Port(0), &ALL);
        let mut seen = BTreeMap::new();
        for packet in take(&mut trace, 2000) {
            assert_eq!((packet.copied.moment, packet.copied.port), (Moment::Rx, 0));
            assert_eq!(packet.bytes.len(), usize::from(packet.copied.length));
            let way = packet.bytes[SOURCE_LAST] & 3;
            *seen.entry((way, note(&packet).replace(", by another lcore", ""))).or_insert(0) += 1;
        }
        let ways = [
            "forwarded to wan",
            "dropped by it",
            "redirected to side by it",
            "punted to tap by it",
        ];
        let expected: Vec<_> = (0..4).map(|way| (way as u8, ways[way].to_string())).collect();
        assert_eq!(seen.keys().cloned().collect::<Vec<_>>(), expected, "{lcores} lcores");
        assert!(seen.values().all(|&count| count > 50), "{seen:?}");
        trace.end();
        let outcome = at_its_end(&mut appliance);
        assert!(outcome.page.drops(0, DropReason::Program) > 50);
    }
}

#[test]
fn packets_that_flow_affinity_hands_on_are_traced_where_they_are_decided() {
    let bound = ProgramConfig { affinity: Affinity::Flow, ..named("it", FOUR_WAYS) };
    let mut config = config(ports("gen:?rate=50k&flows=64", 1), vec![bound]);
    config.lcores = vec![None, None];
    let mut appliance = start(config);
    let mut trace = trace(&appliance, Target::Port(0), &ALL);
    let mut lcores = [0; 2];
    for packet in take(&mut trace, 2000) {
        lcores[packet.lcore] += 1;
        assert_eq!(packet.bytes[SOURCE_LAST] & 3 == 1, note(&packet) == "dropped by it");
    }
    assert!(lcores.iter().all(|&count| count > 200), "{lcores:?}");
    drop(trace);
    at_its_end(&mut appliance);
}

#[test]
fn a_trace_of_the_port_of_departure_says_where_packets_came_from() {
    let mut appliance = flowing("gen:?rate=50k", vec![named("it", FOUR_WAYS)], 1);
    let mut trace = trace(&appliance, Target::Port(1), &ALL);
    for packet in take(&mut trace, 100) {
        assert_eq!(packet.copied.moment, Moment::Tx);
        assert_eq!((packet.bytes[SOURCE_LAST] & 3, note(&packet)), (0, "came in by in".into()));
    }
    drop(trace);
    at_its_end(&mut appliance);
}

#[test]
fn a_trace_of_a_program_shows_what_it_changed_and_decided() {
    let change = format!("{FOUR_WAYS} (i32.store8 (i32.load (local.get $d)) (i32.const 0xEE))");
    let programs = vec![named("it", &change), named("next", &decide(0))];
    let mut appliance = flowing("gen:?rate=50k", programs, 1);
    let mut first = trace(&appliance, it(), &ALL);
    let mut second = trace(&appliance, Target::Program("next".into()), &ALL);
    let mut before = None;
    for packet in take(&mut first, 1000) {
        let (way, moment) = (packet.bytes[SOURCE_LAST] & 3, packet.copied.moment);
        // Of a dropped one nobody knows what it has become.
        let changed = way != 1 && moment == Moment::After;
        assert_eq!(packet.bytes[0], if changed { 0xEE } else { 0x02 }, "{packet:?}");
        if moment == Moment::Before {
            assert_eq!(note(&packet), "");
            before = Some(packet.bytes);
            continue;
        }
        let verdict = packet.copied.fate.verdict();
        assert_eq!(verdict, ["pass", "drop", "redirect", "punt"][usize::from(way)]);
        let pair = before.take().map(|bytes| bytes[1..] == packet.bytes[1..]);
        assert_eq!(pair, changed.then_some(true), "each change has its packet before it");
    }
    for packet in take(&mut second, 100) {
        assert_eq!((packet.bytes[SOURCE_LAST] & 3, packet.copied.moment), (0, Moment::After));
        assert_eq!((packet.bytes[0], note(&packet)), (0xEE, "passed by next".into()));
    }
    drop((first, second));
    at_its_end(&mut appliance);
}

#[test]
fn a_fault_shows_at_the_packet_that_it_happened_on() {
    // Traps on packets that are to be dropped, and passes others.
    let trap = r#"
        (if (i32.eq (i32.and (i32.load8_u offset=29 (i32.load (local.get $d))) (i32.const 3))
                    (i32.const 1))
            (then unreachable))
        (i32.store8 offset=12 (local.get $d) (i32.const 0))"#;
    let mut appliance = flowing("gen:?rate=20k&count=4000", vec![named("it", trap)], 1);
    let mut trace = trace(&appliance, Target::Port(0), &ALL);
    let mut packets = Vec::new();
    wait_for("a fault is traced", || {
        packets.extend(trace.take(1000));
        packets.iter().any(|packet| note(packet) == "fault in it")
    });
    let faulted = packets.iter().find(|packet| note(packet) == "fault in it");
    assert!(faulted.is_some_and(|packet| packet.bytes[SOURCE_LAST] & 3 == 1));
    wait_for("its inputs end", || appliance.finished());
    packets.extend(trace.take(usize::MAX));
    let expected = ["dropped: program_down by it", "fault in it", "forwarded to wan"];
    let all: Vec<String> = packets.iter().map(note).collect();
    assert!(all.iter().all(|note| expected.contains(&note.as_str())), "{all:?}");
    drop(trace);
    at_its_end(&mut appliance);
}

#[test]
fn a_flood_is_told_once() {
    let flood = "(i32.store16 offset=14 (local.get $d) (i32.const 0xFFFE))
        (i32.store8 offset=12 (local.get $d) (i32.const 2))";
    let mut appliance = flowing("gen:?rate=20k", vec![named("it", flood)], 1);
    let mut came = trace(&appliance, Target::Port(0), &ALL);
    let mut left = trace(&appliance, Target::Port(3), &ALL);
    assert!(take(&mut came, 200).iter().all(|packet| note(packet) == "flooded by it"));
    assert!(take(&mut left, 200).iter().all(|packet| note(packet) == "came in by in"));
    drop((came, left));
    at_its_end(&mut appliance);
}

#[test]
fn filters_and_sampling_run_on_the_lcore() {
    // ldb [29]; jset #2; ret #0; ret #1: the upper half of the four ways.
    let code = [(0x30, 0, 0, 29), (0x45, 1, 0, 2), (0x06, 0, 0, 0), (0x06, 0, 0, 1)];
    let instruction = |(code, jt, jf, k)| Instruction { code, jt, jf, k };
    let filter = Some(Filter::new(&code.map(instruction)).expect("a filter"));
    let mut appliance = flowing("gen:?rate=50k", vec![named("it", FOUR_WAYS)], 1);
    let wanted = Wanted { filter, every: 10, snap: 40 };
    let mut trace = trace(&appliance, it(), &wanted);
    for packet in take(&mut trace, 50) {
        assert!(packet.bytes[SOURCE_LAST] & 2 != 0 && packet.bytes.len() == 40, "{packet:?}");
        assert!(packet.copied.length >= 60);
    }
    trace.end();
    at_its_end(&mut appliance);
}

#[test]
fn a_trace_that_nobody_reads_costs_copies_and_no_packets() {
    let mut appliance = flowing("null:?rx=64", vec![named("it", &decide(0))], 1);
    let mut traces: Vec<Trace> = (0..4).map(|_| trace(&appliance, it(), &ALL)).collect();
    wait_for("copies find no room", || traces.iter().all(|trace| trace.lost() > 10_000));
    for trace in &mut traces {
        trace.end();
        let lost = trace.lost();
        std::thread::sleep(Duration::from_millis(5));
        // It is on no lcore any more: nobody counts, nothing comes.
        assert_eq!((trace.lost(), trace.take(usize::MAX).len()), (lost, 1024));
        assert!(trace.take(usize::MAX).is_empty());
    }
    drop(traces);
    let outcome = at_its_end(&mut appliance);
    let dropped: u64 = DropReason::ALL.iter().map(|&reason| outcome.page.drops(0, reason)).sum();
    assert_eq!(dropped, 0);
}

#[test]
fn there_are_limits_and_names() {
    let mut appliance = flowing("null:?rx=64&packets=100", vec![named("it", &decide(0))], 1);
    let start = |target| Trace::start(appliance.changes(), &target, &ALL);
    for port in [4, 63, 64, usize::MAX] {
        let error = start(Target::Port(port)).err().expect("no port");
        assert_eq!(error.code, ErrorCode::Trace);
    }
    let error = start(Target::Program("guard".into())).err().expect("no program");
    assert_eq!(error.code, ErrorCode::ConfigUnknownProgram);
    let mut traces: Vec<Trace> = (0..8).map(|_| trace(&appliance, it(), &ALL)).collect();
    assert_eq!(start(it()).err().expect("too many").code, ErrorCode::Trace);
    traces.pop();
    traces.push(trace(&appliance, Target::Port(1), &ALL));
    at_its_end(&mut appliance);
    assert!(traces.iter().all(Trace::is_over));
    let error = Trace::start(appliance.changes(), &it(), &ALL).err().expect("it has ended");
    assert!([ErrorCode::State, ErrorCode::Trace].contains(&error.code));
}

#[test]
fn a_capture_says_what_became_of_each_packet() {
    let folder = std::env::temp_dir().join(format!("wirelet-notes-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join("wire.pcapng");
    for (around, noted) in [("", true), ("trace(count=0):", true), ("fault(delay=1us):", false)] {
        let device = format!("{around}capture(file={}):gen:?rate=max&count=4000", file.display());
        let outcome = run(config(ports(&device, 1), vec![named("it", FOUR_WAYS)]));
        let bytes = std::fs::read(&file).expect("a capture");
        let count = |text: &str| {
            let found = bytes.windows(text.len()).filter(|window| *window == text.as_bytes());
            found.count() as u64
        };
        let dropped = outcome.page.drops(0, DropReason::Program);
        assert!(dropped > 500, "{around}: {dropped}");
        assert_eq!(count("dropped by it"), if noted { dropped } else { 0 }, "{around}");
        let sent = ["forwarded to wan", "redirected to side by it", "punted to tap by it"];
        let sent: u64 = sent.iter().map(|text| count(text)).sum();
        assert_eq!(sent, if noted { 4000 - dropped } else { 0 }, "{around}");
    }
    std::fs::remove_dir_all(&folder).expect("removed");
}
