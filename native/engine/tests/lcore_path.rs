//! No allocation and no lock on an lcore's path, once it is warm. A binary of its own: the
//! allocator counts for each thread, and a thread's waits are read from /proc.
//!
//! What the second half shows: in `poll` mode a thread that never blocks has no voluntary context
//! switch. A contended lock would be one (futex waits); an uncontended one would not show, and is
//! ruled out by the first half only as far as std's channels allocate. The code has no `Mutex`
//! there.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::bench::{config, port, start, stop, wait_for};
use common::{decide, per_packet, program};
use wirelet_engine::appliance::{Appliance, ApplianceConfig};
use wirelet_engine::idle::IdlePolicy;
use wirelet_engine::trace::{Target, Trace};
use wirelet_engine::tracer::Wanted;
use wirelet_engine::{Match, Rule, RuleAction};

struct Counting;

/// Allocations and frees by lcore threads, all lcores together.
static COUNTED: AtomicU64 = AtomicU64::new(0);
/// One test at a time: the count is the process's.
static ALONE: Mutex<()> = Mutex::new(());

thread_local! {
    /// Whether this thread is an lcore: 0 not known yet, 1 no, 2 yes.
    static KIND: Cell<u8> = const { Cell::new(0) };
}

fn count() {
    let kind = KIND.try_with(|kind| {
        if kind.get() == 0 {
            kind.set(1 + u8::from(is_lcore()));
        }
        kind.get()
    });
    if kind == Ok(2) {
        COUNTED.fetch_add(1, Ordering::Relaxed);
    }
}

/// By the name the kernel knows, read without allocating.
fn is_lcore() -> bool {
    let mut name = [0u8; 16];
    // SAFETY: PR_GET_NAME writes at most 16 bytes.
    unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    name.starts_with(b"wirelet-lcore")
}

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Swaps the addresses of Ethernet, as the gallery's macswap does.
fn macswap() -> Vec<u8> {
    per_packet(&format!(
        "(local.set $x (i32.load (local.get $d)))
        (local.set $y (i32.load (local.get $x)))
        (i32.store (local.get $x) (i32.load offset=6 (local.get $x)))
        (i32.store offset=6 (local.get $x) (local.get $y))
        {}",
        decide(0)
    ))
}

/// Runs until `packets` have passed, and counts what lcores allocate over the next `packets`, while
/// something else happens.
fn allocations_while(
    config: ApplianceConfig,
    packets: u64,
    meanwhile: impl FnOnce(&Appliance),
) -> u64 {
    let _alone = ALONE.lock();
    let mut appliance = start(config);
    let page = std::sync::Arc::clone(appliance.stats_page());
    let passed = || {
        let page = common::page::read(&page);
        page.0.iter().map(|lcore| lcore.lcore.packets).sum::<u64>()
    };
    wait_for("it is warm", || passed() >= packets);
    let (from, before) = (passed(), COUNTED.load(Ordering::Relaxed));
    meanwhile(&appliance);
    wait_for("packets pass", || passed() >= from + packets);
    let counted = COUNTED.load(Ordering::Relaxed) - before;
    drop(stop(&mut appliance, 0));
    counted
}

fn allocations(config: ApplianceConfig, packets: u64) -> u64 {
    allocations_while(config, packets, |_| {})
}

fn generated(idle: IdlePolicy) -> ApplianceConfig {
    let ports = vec![port("gen:?rate=max&flows=64", 1, &[0, 0]), port("sink:", None, &[])];
    let mut config = config(ports, vec![program(macswap())]);
    config.idle = idle;
    config
}

#[test]
fn a_warm_lcore_allocates_nothing() {
    assert_eq!(allocations(generated(IdlePolicy::Poll), 1_000_000), 0);
    assert_eq!(allocations(generated(IdlePolicy::Adaptive), 1_000_000), 0);
}

#[test]
fn the_count_sees_an_lcores_allocations() {
    let sabotage = |_: &Appliance| {
        let allocate = || drop(std::hint::black_box(Box::new(1)));
        let thread = std::thread::Builder::new().name("wirelet-lcore9".into());
        thread.spawn(allocate).map(|thread| thread.join().is_ok()).expect("a thread");
    };
    assert!(allocations_while(generated(IdlePolicy::Poll), 10_000, sabotage) > 0);
}

#[test]
fn two_lcores_with_handovers_and_sleeps_allocate_nothing() {
    let sources =
        wirelet_engine::ports::PortConfig { queues: 2, ..port("gen:?rate=300k&flows=64", 1, &[0]) };
    let mut config = config(vec![sources, port("sink:", None, &[])], vec![program(macswap())]);
    config.lcores = vec![None, None];
    assert_eq!(allocations(config, 300_000), 0);
}

#[test]
fn packets_that_are_steered_allocate_nothing() {
    let source =
        wirelet_engine::ports::PortConfig { queues: 2, ..port("gen:?rate=300k&flows=64", 1, &[0]) };
    let bound = wirelet_engine::program::ProgramConfig {
        affinity: wirelet_engine::steer::Affinity::Symmetric,
        ..program(macswap())
    };
    let mut config = config(vec![source, port("sink:", None, &[])], vec![bound]);
    config.lcores = vec![None, None];
    assert_eq!(allocations(config, 300_000), 0);
}

#[test]
fn packets_that_meet_rules_allocate_nothing() {
    let of_ports = |first, action, mark| Rule {
        when: Match { source_port: Some((first, first + 9)), ..Match::default() },
        action,
        mark,
    };
    let source = wirelet_engine::ports::PortConfig {
        queues: 2,
        rules: vec![
            of_ports(1024, RuleAction::Drop, None),
            of_ports(1034, RuleAction::Queue(0), Some(1)),
            of_ports(1044, RuleAction::Queue(1), None),
        ],
        ..port("gen:?rate=300k&flows=64", 1, &[0])
    };
    let mut config = config(vec![source, port("sink:", None, &[])], vec![program(macswap())]);
    config.lcores = vec![None, None];
    assert_eq!(allocations(config, 300_000), 0);
}

#[test]
fn files_are_read_and_written_without_allocating() {
    let folder = std::env::temp_dir().join(format!("wirelet-lcore-path-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let (input, output) = (folder.join("in.pcap"), folder.join("out.pcap"));
    let write = vec![
        port("gen:?rate=max&count=20000&sizes=60-1500", 1, &[]),
        port(&format!("pcap:,{}", input.display()), None, &[]),
    ];
    drop(common::bench::run(config(write, vec![])));
    let ports = vec![
        port(&format!("pcap:{}?loop=0", input.display()), 1, &[0]),
        port(&format!("pcap:,{}", output.display()), None, &[]),
    ];
    let counted = allocations(config(ports, vec![program(macswap())]), 200_000);
    std::fs::remove_dir_all(&folder).expect("the folder goes");
    assert_eq!(counted, 0);
}

#[test]
fn traces_come_and_go_without_an_lcore_allocating() {
    let wanted = Wanted { filter: None, every: 1, snap: 100 };
    let meanwhile = |appliance: &Appliance| {
        for target in [Target::Port(0), Target::Port(1), Target::Program("program".into())] {
            let trace = Trace::start(appliance.changes(), &target, &wanted);
            let mut trace = trace.unwrap_or_else(|error| panic!("{error}"));
            let mut seen = 0;
            wait_for("packets are traced", || {
                seen += trace.take(1000).len();
                seen > 5000
            });
        }
    };
    assert_eq!(allocations_while(generated(IdlePolicy::Poll), 300_000, meanwhile), 0);
}

#[test]
fn what_became_of_packets_is_written_without_allocating() {
    let ports = vec![
        port("capture(file=/dev/null,snap=100):gen:?rate=max", 1, &[0]),
        port("capture(file=/dev/null):sink:", None, &[]),
    ];
    assert_eq!(allocations(config(ports, vec![program(macswap())]), 300_000), 0);
}

/// Voluntary context switches of the lcore's thread over a second of traffic.
#[test]
fn a_polling_lcore_never_waits() {
    let _alone = ALONE.lock();
    let mut appliance = start(generated(IdlePolicy::Poll));
    std::thread::sleep(Duration::from_millis(200));
    let status = lcore_status().expect("the lcore's thread");
    let switches = || {
        let text = std::fs::read_to_string(&status).expect("it runs");
        let line = text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.and_then(|number| number.trim().parse::<u64>().ok()).expect("a number")
    };
    let (started, before) = (Instant::now(), switches());
    while started.elapsed() < Duration::from_secs(1) {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(switches() - before, 0);
    drop(stop(&mut appliance, 0));
}

fn lcore_status() -> Option<std::path::PathBuf> {
    let tasks = std::fs::read_dir("/proc/self/task").ok()?;
    let named = |path: &std::path::PathBuf| {
        std::fs::read_to_string(path.join("comm")).is_ok_and(|name| name == "wirelet-lcore0\n")
    };
    tasks.flatten().map(|task| task.path()).find(named).map(|path| path.join("status"))
}
