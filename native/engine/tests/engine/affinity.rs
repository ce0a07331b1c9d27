//! Flow affinity: which lcore a packet's programs run on, and what becomes of packets on the way.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;
use wirelet_abi::DropReason;
use wirelet_engine::appliance::{Appliance, ApplianceConfig};
use wirelet_engine::generation::{GenerationConfig, NextProgram, RollbackPolicy, Route};
use wirelet_engine::ports::PortConfig;
use wirelet_engine::program::ProgramConfig;
use wirelet_engine::steer::Affinity;

use crate::common::bench::{config, port, run, start, stop, wait_for};
use crate::common::page::{Page, read};
use crate::common::{decide, per_packet, program};

/// Bytes of a capture file's header, and of one before each packet.
const FILE_HEADER: usize = 24;
const PACKET_HEADER: usize = 16;

fn passing(name: &str, affinity: Affinity) -> ProgramConfig {
    ProgramConfig { name: name.into(), affinity, ..program(per_packet(&decide(0))) }
}

fn on_lcores(
    lcores: usize,
    ports: Vec<PortConfig>,
    programs: Vec<ProgramConfig>,
) -> ApplianceConfig {
    let mut config = config(ports, programs);
    config.lcores = vec![None; lcores];
    config.region.frames = 16384;
    config
}

fn steered(page: &Page, port: usize) -> u64 {
    page.port(port, |block| block.steered_packets)
}

/// What a packet is; both ends have numbers.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Udp,
    Tcp6,
    FirstFragment,
    LaterFragment,
    /// From a router, about a packet of the two.
    Unreachable,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    kind: Kind,
    ends: (u8, u8),
    ports: (u16, u16),
    vlan: bool,
}

impl Sent {
    fn bytes(self, number: u32) -> Vec<u8> {
        let mut packet = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0xFF];
        if self.vlan {
            packet.extend([0x81, 0, 0, 5]);
        }
        let ip = |fragment: u16, protocol: u8, from: [u8; 4], to: [u8; 4]| {
            let [high, low] = fragment.to_be_bytes();
            let head = [0x45, 0, 0, 40, 0, 9, high, low, 64, protocol, 0, 0];
            [&head[..], &from, &to].concat()
        };
        let address = |end: u8| [10, 0, 0, end];
        let (from, to) = (address(self.ends.0), address(self.ends.1));
        let ports = [self.ports.0.to_be_bytes(), self.ports.1.to_be_bytes()].concat();
        let (ethertype, network) = match self.kind {
            Kind::Udp => ([8, 0], ip(0, 17, from, to)),
            Kind::FirstFragment => ([8, 0], ip(0x2000, 17, from, to)),
            Kind::LaterFragment => ([8, 0], ip(0x0003, 17, from, to)),
            Kind::Unreachable => {
                let error = [3, 1, 0, 0, 0, 0, 0, 0];
                let about = [&error[..], &ip(0, 17, to, from)].concat();
                ([8, 0], [ip(0, 1, [192, 0, 2, 1], from), about].concat())
            }
            Kind::Tcp6 => {
                let end = |end: u8| [&[0xFD; 15][..], &[end]].concat();
                let head = [0x60, 0, 0, 0, 0, 20, 6, 64];
                ([0x86, 0xDD], [&head[..], &end(self.ends.0), &end(self.ends.1)].concat())
            }
        };
        packet.extend(ethertype);
        packet.extend(network);
        packet.extend(ports);
        packet.extend(number.to_be_bytes());
        packet
    }

    /// What it must share an lcore with.
    fn flow(self) -> (bool, u8, u8) {
        let (a, b) = self.ends;
        (matches!(self.kind, Kind::Tcp6), a.min(b), a.max(b))
    }
}

fn sent() -> impl Strategy<Value = Sent> {
    let kind = prop_oneof![
        4 => Just(Kind::Udp),
        4 => Just(Kind::Tcp6),
        1 => Just(Kind::FirstFragment),
        1 => Just(Kind::LaterFragment),
        1 => Just(Kind::Unreachable),
    ];
    (kind, (0..6u8, 0..6u8), (0..4u16, 0..4u16), any::<bool>())
        .prop_map(|(kind, ends, ports, vlan)| Sent { kind, ends, ports, vlan })
}

/// A capture file with `packets`, numbered from `first` on.
fn write_capture(path: &Path, packets: &[Sent], first: u32) {
    let mut file = Vec::new();
    file.extend(0xA1B2_C3D4u32.to_le_bytes());
    file.extend([2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0]);
    for (packet, number) in packets.iter().zip(first..) {
        let bytes = packet.bytes(number);
        file.extend([0; 8]);
        file.extend((bytes.len() as u32).to_le_bytes());
        file.extend((bytes.len() as u32).to_le_bytes());
        file.extend(bytes);
    }
    std::fs::write(path, file).expect("a capture file");
}

/// Number of each packet, and of the lcore that it ran on, in the order of the file.
fn read_capture(path: &Path) -> Vec<(u32, u8)> {
    let file = std::fs::read(path).expect("the output");
    let (mut at, mut packets) = (FILE_HEADER, Vec::new());
    while at < file.len() {
        let length = u32::from_le_bytes(file[at + 8..at + 12].try_into().expect("4 bytes"));
        at += PACKET_HEADER;
        let packet = &file[at..at + length as usize];
        let number = packet.last_chunk::<4>().expect("a number at its end");
        packets.push((u32::from_be_bytes(*number), packet[11]));
        at += length as usize;
    }
    packets
}

/// A folder of its own for each case; removed by who made it.
fn folder() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let (process, next) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let folder = std::env::temp_dir().join(format!("wirelet-affinity-{process}-{next}"));
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// Runs `inputs`, a port each and each on an lcore of its own, and returns what left.
fn replay(inputs: &[Vec<Sent>], affinity: Affinity, burst: usize) -> (Vec<(u32, u8)>, Page) {
    let folder = folder();
    let output = inputs.len() as u16;
    let mut ports = Vec::new();
    for (index, packets) in inputs.iter().enumerate() {
        let path = folder.join(format!("{index}.pcap"));
        write_capture(&path, packets, index as u32 * 100_000);
        // Not paired with the output, or all of them would have its lcore.
        ports.push(port(&format!("pcap:{}", path.display()), None, &[0]));
    }
    let path = folder.join("out.pcap");
    ports.push(port(&format!("pcap:,{}", path.display()), None, &[]));
    // Its lcore goes into the source address.
    let redirect = format!(
        "(i32.store8 offset=11 (i32.load (local.get $d)) (i32.load offset=4 (local.get $burst)))
        (i32.store16 offset=14 (local.get $d) (i32.const {output})) {}",
        decide(2)
    );
    let program = ProgramConfig { affinity, ..program(per_packet(&redirect)) };
    let mut config = on_lcores(inputs.len(), ports, vec![program]);
    config.burst = burst;
    let outcome = run(config);
    let packets = read_capture(&path);
    std::fs::remove_dir_all(&folder).expect("the folder goes");
    assert!(outcome.errors.is_empty(), "{:?}", outcome.errors);
    (packets, outcome.page)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn all_between_two_addresses_is_on_one_lcore_in_order(
        inputs in prop::collection::vec(prop::collection::vec(sent(), 1..400), 2..5),
        burst in 1..257usize,
    ) {
        let (packets, page) = replay(&inputs, Affinity::Symmetric, burst);
        let mut lcores = HashMap::new();
        let mut last = HashMap::new();
        for (number, lcore) in &packets {
            let input = (number / 100_000) as usize;
            let sent = inputs[input][(number % 100_000) as usize];
            let first = lcores.entry(sent.flow()).or_insert(*lcore);
            prop_assert_eq!(first, lcore, "{:?}", sent);
            let before = last.insert((input, sent.flow()), *number);
            prop_assert!(before < Some(*number), "{:?} after {:?}", number, before);
        }
        let all: usize = inputs.iter().map(Vec::len).sum();
        let full = page.all_drops(DropReason::HandoverFull) as usize;
        prop_assert_eq!(packets.len() + full, all, "{}", page.describe());
        let ran: u64 = page.0.iter().map(|lcore| lcore.lcore.packets).sum();
        prop_assert!(ran as usize + full >= all);
    }
}

/// Enough hosts that every lcore has some.
fn many_hosts() -> Vec<Sent> {
    let of = |number: u16| Sent {
        kind: Kind::Udp,
        ends: ((number % 200) as u8, 201),
        ports: (number, 53),
        vlan: false,
    };
    (0..800).map(of).collect()
}

#[test]
fn flows_are_shared_by_the_lcores_that_receive_some() {
    let inputs = [many_hosts(), many_hosts(), many_hosts()];
    let (packets, page) = replay(&inputs, Affinity::Symmetric, 64);
    for lcore in 0..3 {
        let share = packets.iter().filter(|(_, ran)| *ran == lcore).count();
        assert!((500..1100).contains(&share), "{share} of 2,400 on lcore {lcore}");
        let (own, here) = (page.port(lcore.into(), |block| block.rx_packets), lcore.into());
        assert!((own / 3..own).contains(&steered(&page, here)), "{}", page.describe());
    }
}

#[test]
fn without_affinity_and_on_one_lcore_packets_stay() {
    let (packets, page) = replay(&[many_hosts(), many_hosts()], Affinity::None, 64);
    assert_eq!((steered(&page, 0), steered(&page, 1)), (0, 0));
    for (number, lcore) in packets {
        assert_eq!(u32::from(lcore), number / 100_000);
    }
    // Each of the files has one queue, so each flow that it has is on one lcore already.
    let (_, page) = replay(&[many_hosts(), many_hosts()], Affinity::Flow, 64);
    assert_eq!((steered(&page, 0), steered(&page, 1)), (0, 0));
    let (_, page) = replay(&[many_hosts()], Affinity::Symmetric, 64);
    assert_eq!(steered(&page, 0), 0);
}

#[test]
fn queues_that_mix_flows_are_sorted_for_flow() {
    // Endless packets of one flow from both queues.
    let source = PortConfig { queues: 2, ..port("null:?rx=64&packets=3000", 1, &[0]) };
    let ports = vec![source, port("null:", None, &[])];
    let dropping = ProgramConfig { affinity: Affinity::Flow, ..program(per_packet(&decide(1))) };
    let outcome = run(on_lcores(2, ports, vec![dropping]));
    let page = &outcome.page;
    let ran: Vec<u64> = page.0.iter().map(|lcore| lcore.programs[0].packets).collect();
    assert!(ran.contains(&0), "{}", page.describe());
    let full = page.drops(0, DropReason::HandoverFull);
    assert_eq!(steered(page, 0) + full, 1500, "{}", page.describe());
}

/// Takes some 40 µs for a packet on lcore 1.
fn slow_on_one() -> ProgramConfig {
    let spin = "(if (i32.load offset=4 (local.get $burst)) (then
        (local.set $x (i32.const 20000))
        (loop $spin
            (local.set $x (i32.sub (local.get $x) (i32.const 1)))
            (br_if $spin (local.get $x)))))";
    let wasm = per_packet(&format!("{spin} {}", decide(0)));
    let deadline_ns = 1_000_000_000;
    ProgramConfig { affinity: Affinity::Symmetric, deadline_ns, ..program(wasm) }
}

#[test]
fn what_a_slow_lcore_has_no_room_for_is_counted() {
    let source = PortConfig { queues: 2, ..port("gen:?rate=max&flows=512", 1, &[0]) };
    let ports = vec![source, port("null:", None, &[])];
    let mut appliance = start(on_lcores(2, ports, vec![slow_on_one()]));
    let page = std::sync::Arc::clone(appliance.stats_page());
    wait_for("its ring is full", || read(&page).drops(0, DropReason::HandoverFull) > 100);
    let outcome = stop(&mut appliance, 1_000_000_000);
    let page = &outcome.page;
    assert_eq!(page.drops(0, DropReason::Stopped), 0, "it drains:{}", page.describe());
    let handovers: u64 = page.0.iter().map(|lcore| lcore.lcore.handovers).sum();
    assert!(handovers >= steered(page, 0));
}

fn next(programs: &[ProgramConfig]) -> GenerationConfig {
    let chain: Vec<usize> = (0..programs.len()).collect();
    let next = |config: &ProgramConfig| NextProgram { config: config.clone(), keep: false };
    GenerationConfig {
        programs: programs.iter().map(next).collect(),
        routes: vec![Route { forward: Some(1), chain, ..Route::default() }, Route::default()],
        reset_state: false,
        dry_run: false,
        rollback: RollbackPolicy { faults: 0, window: std::time::Duration::ZERO },
    }
}

fn swap(appliance: &Appliance, programs: &[ProgramConfig]) {
    let mut changes = appliance.changes().lock().unwrap_or_else(PoisonError::into_inner);
    changes.swap(next(programs)).expect("a good generation");
}

/// A swap brings affinity and takes it, under traffic, again and again.
#[test]
fn affinity_comes_and_goes_with_its_generation() {
    let source = PortConfig { queues: 2, ..port("gen:?rate=100k&flows=64", 1, &[0]) };
    let ports = vec![source, port("sink:", None, &[])];
    let plain = passing("plain", Affinity::None);
    let bound = passing("bound", Affinity::Symmetric);
    let mut appliance = start(on_lcores(2, ports, vec![plain.clone()]));
    let page = std::sync::Arc::clone(appliance.stats_page());
    let now = || {
        let page = read(&page);
        (steered(&page, 0), page.port(0, |block| block.rx_packets))
    };
    for _ in 0..5 {
        let (before, received) = now();
        wait_for("packets come", || now().1 > received + 1000);
        assert_eq!(now().0, before, "nobody asked for it");
        swap(&appliance, &[plain.clone(), bound.clone()]);
        wait_for("packets are steered", || now().0 > before + 1000);
        swap(&appliance, std::slice::from_ref(&plain));
        // What was counted before the adoption may be published after it.
        let (_, received) = now();
        wait_for("all is published", || now().1 > received + 5000);
    }
    let mut changes = appliance.changes().lock().unwrap_or_else(PoisonError::into_inner);
    changes.rollback().expect("the generation before");
    drop(changes);
    let (before, _) = now();
    wait_for("a rollback brings it back", || now().0 > before + 1000);
    let outcome = stop(&mut appliance, 1_000_000_000);
    assert!(outcome.faults.is_empty() && outcome.errors.is_empty(), "{:?}", outcome.errors);
    assert_eq!(outcome.page.drops(0, DropReason::Stopped), 0);
}
