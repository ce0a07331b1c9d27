//! Several lcores: order, handovers, idling, waking, and what readers of the counters see.

use std::time::{Duration, Instant};

use wirelet_abi::DropReason;
use wirelet_abi::stats::state;
use wirelet_engine::appliance::ApplianceConfig;
use wirelet_engine::ports::PortConfig;

use crate::common::bench::{config, outcome, port, run, start, stop, wait_for};
use crate::common::{decide, per_packet, program};

fn two_lcores(ports: Vec<PortConfig>, programs: &[u8]) -> ApplianceConfig {
    let wasm = |verdict: &u8| program(per_packet(&decide(*verdict)));
    let mut config = config(ports, programs.iter().map(wasm).collect());
    config.lcores = vec![None, None];
    config.region.frames = 16384;
    config
}

/// A generator with a queue on each lcore; all of it leaves by a port that one lcore has.
#[test]
fn packets_that_change_lcores_keep_their_order() {
    let sources = PortConfig { queues: 2, ..port("gen:?rate=100k&count=40000&flows=32", 1, &[0]) };
    let outcome = run(two_lcores(vec![sources, port("sink:", None, &[])], &[0]));
    let page = &outcome.page;
    let handovers: u64 = page.0.iter().map(|lcore| lcore.lcore.handovers).sum();
    let full = page.drops(0, DropReason::HandoverFull);
    // How many the generator misses is the machine's affair.
    let received = page.port(0, |port| port.rx_packets);
    let crossing = page.0[1].ports[0].rx_packets.max(page.0[0].ports[0].rx_packets);
    assert!(handovers + full == crossing || handovers + full == received - crossing);
    assert!(handovers > 0);
    // received, lost, reordered, duplicates, corrupt: by the sink's checks of each flow.
    let xstats: Vec<u64> = (0..5).map(|index| page.port(1, |port| port.xstats[index])).collect();
    assert_eq!((xstats[0] + full, &xstats[2..]), (received, &[0, 0, 0][..]), "{}", page.describe());
}

#[test]
fn rings_join_lcores_and_inputs_that_end_end_the_appliance() {
    let ports = vec![
        port("gen:?rate=100k&count=20000&flows=8", 1, &[0]),
        port("ring:a", 0, &[]),
        port("ring:a", 3, &[0]),
        port("sink:", None, &[]),
    ];
    let outcome = run(two_lcores(ports, &[0]));
    let page = &outcome.page;
    let left = page.port(3, |port| port.tx_packets) + page.all_drops(DropReason::TxFull);
    assert_eq!(left, page.port(0, |port| port.rx_packets), "{}", page.describe());
    assert_eq!(page.port(3, |port| port.xstats[2]), 0, "order:{}", page.describe());
}

#[test]
fn a_drain_of_one_lcore_does_not_sleep_for_the_other() {
    let ports = vec![port("null:", 1, &[]), port("null:", 0, &[])];
    let mut times = Vec::new();
    for _ in 0..21 {
        let mut appliance = start(two_lcores(ports.clone(), &[]));
        std::thread::sleep(Duration::from_millis(5));
        let started = Instant::now();
        appliance.request_stop(5_000_000_000);
        wait_for("both stop", || appliance.stopped());
        times.push(started.elapsed());
        drop(stop(&mut appliance, 0));
    }
    times.sort();
    assert!(times[10] < Duration::from_millis(50), "{times:?}");
}

#[test]
fn an_idle_lcore_sleeps_and_wakes_for_a_handover_and_for_stop() {
    // Nothing comes in but one packet in 20 ms, on one lcore; it leaves by the other.
    let ports = vec![
        port("gen:?rate=50&count=20&flows=1", 1, &[]),
        port("null:", None, &[]),
        port("null:", 3, &[]),
        port("sink:", None, &[]),
    ];
    let mut config = two_lcores(ports, &[2]);
    config.ports[0].pipeline = vec![0];
    config.programs[0].wasm =
        per_packet(&format!("{} (i32.store16 offset=14 (local.get $d) (i32.const 3))", decide(2)));
    let cpu = process_cpu();
    let started = Instant::now();
    let mut appliance = start(config);
    wait_for("the packets have crossed", || appliance.finished());
    let (cpu, wall) = (process_cpu() - cpu, started.elapsed());
    let stopping = Instant::now();
    let outcome = stop(&mut appliance, 1_000_000_000);
    println!("cpu {cpu:?} of {wall:?}, stop {:?}", stopping.elapsed());
    for lcore in &outcome.page.0 {
        assert!(lcore.lcore.sleeps > 3, "{}", outcome.page.describe());
        assert_eq!(lcore.lcore.state, state::STOPPED);
    }
    let latency = &outcome.page.0.iter().map(|lcore| lcore.ports[3].latency_ns).next_back();
    println!("latency {:?}", latency.map(|buckets| buckets.iter().rposition(|count| *count > 0)));
    assert_eq!(outcome.page.port(3, |port| port.tx_packets), 20);
}

fn process_cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a valid timespec to write to.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// At an even sequence every number is of one publication: with a program that drops everything,
/// what came in is what was dropped, in every block that a reader sees.
#[test]
fn readers_of_the_counters_see_no_torn_blocks() {
    let ports = vec![port("null:?rx=64", 1, &[0]), port("null:", None, &[])];
    let mut config = config(ports, vec![program(per_packet(&decide(1)))]);
    config.burst = 4;
    let mut appliance = start(config);
    let page = std::sync::Arc::clone(appliance.stats_page());
    let (started, mut last, mut seen) = (Instant::now(), 0, 0);
    while started.elapsed() < Duration::from_secs(1) || seen < 100 {
        let blocks = crate::common::page::read(&page);
        let (block, program) = (&blocks.0[0].ports[0], &blocks.0[0].programs[0]);
        assert_eq!(block.rx_packets, block.drops[DropReason::Program as usize]);
        assert_eq!(block.rx_packets * 64, block.rx_bytes);
        assert_eq!(block.rx_packets, program.verdicts[1]);
        assert_eq!(block.rx_packets, blocks.0[0].lcore.packets);
        assert!(block.rx_packets >= last, "it went back");
        seen += u64::from(block.rx_packets > last);
        last = block.rx_packets;
        assert!(started.elapsed() < Duration::from_secs(60), "{seen} publications");
    }
    drop(outcome(&appliance));
    drop(stop(&mut appliance, 0));
}
