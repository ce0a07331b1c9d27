//! What ports of real interfaces do on one lcore, without programs:
//!
//! ```text
//! cargo run --release -p wirelet-drivers --example port_rate -- receive af_xdp:veth0
//! ... -- transmit af_xdp:veth0 --bytes 64
//! ... -- forward af_xdp:veth0 af_xdp:veth1 --seconds 10 --frame-bytes 2048 --cpu 1
//! ... -- reflect af_xdp:veth0
//! ... -- latency af_xdp:veth0 af_xdp:veth1 --every-us 100
//! ```
//!
//! Prints packets per second, and what each has cost this thread: ns in rounds that had packets
//! (as testpmd's `--record-core-cycles` counts), and CPU time outside the kernel and in it. `hold`
//! opens a port and leaves it alone: what comes is dropped by the kernel at once, and counted.
//! `latency` sends a packet by the first port now and then, and says when it came by the second.
#![allow(clippy::print_stdout, reason = "its output is what it is for")]

mod latency;
mod sender;

use std::time::{Duration, Instant};

use wirelet_abi::Error;
use wirelet_drivers::{Device, DeviceStats, OpenContext, Rings, open};
use wirelet_packet::{FrameCache, Mbuf, Region, RegionConfig, clock};

use crate::sender::Sender;

const BURST: usize = 64;
const FRAMES: usize = 16_384;
/// Rounds between two looks at the clock.
const ROUNDS: u32 = 256;

/// The command line.
struct Plan {
    work: String,
    specs: Vec<String>,
    seconds: f64,
    bytes: usize,
    frame_bytes: usize,
    every_us: u64,
}

fn main() -> Result<(), Error> {
    let plan = parse(std::env::args().skip(1));
    let region = Region::new(RegionConfig {
        frames: FRAMES,
        frame_bytes: plan.frame_bytes,
        hugepages: true,
        node: None,
    })?;
    let mut frames = region.cache();
    let mut rings = Rings::default();
    let mut ports: Vec<Box<dyn Device>> = Vec::new();
    for (port, spec) in (0..).zip(&plan.specs) {
        let context = OpenContext { region: region.clone(), port, queues: 1 };
        ports.push(open(spec, &context, &mut rings)?.remove(0));
    }
    let before = times();
    let started = Instant::now();
    let work = match (plan.work.as_str(), ports.as_mut_slice()) {
        ("receive", [port]) => run(plan.seconds, || receive(&mut frames, &mut **port)),
        ("transmit", [port]) => {
            let mut sender = Sender::new(&region, plan.bytes);
            run(plan.seconds, || sender.send(&mut frames, &mut **port))
        }
        ("forward", [left, right]) => run(plan.seconds, || {
            forward(&mut frames, &mut **left, &mut **right)
                + forward(&mut frames, &mut **right, &mut **left)
        }),
        ("reflect", [port]) => run(plan.seconds, || reflect(&mut frames, &mut **port)),
        ("latency", [_] | [_, _]) => {
            let sender = Sender::new(&region, plan.bytes);
            let every = Duration::from_micros(plan.every_us);
            let seconds = Duration::from_secs_f64(plan.seconds);
            latency::measure(&mut frames, &mut ports, sender, every, seconds);
            Work::default()
        }
        ("hold", [_port]) => {
            std::thread::sleep(Duration::from_secs_f64(plan.seconds));
            Work::default()
        }
        _ => usage(),
    };
    report(&plan, &ports, work, started.elapsed(), before);
    ports.iter_mut().try_for_each(|port| port.close(&mut frames))
}

fn usage() -> ! {
    println!("port_rate receive SPEC | transmit SPEC | reflect SPEC | hold SPEC");
    println!("port_rate forward SPEC SPEC | latency SPEC [SPEC] [--every-us 100]");
    println!("    [--seconds 5] [--bytes 64] [--frame-bytes 2048] [--cpu N]");
    std::process::exit(2)
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Plan {
    let work = arguments.next().unwrap_or_default();
    let mut plan =
        Plan { work, specs: Vec::new(), seconds: 5.0, bytes: 64, frame_bytes: 2048, every_us: 100 };
    while let Some(argument) = arguments.next() {
        if !argument.starts_with("--") {
            plan.specs.push(argument);
            continue;
        }
        let value = arguments.next().and_then(|text| text.parse::<f64>().ok());
        let value = value.unwrap_or_else(|| usage());
        match argument.as_str() {
            "--seconds" => plan.seconds = value,
            "--bytes" => plan.bytes = value as usize,
            "--frame-bytes" => plan.frame_bytes = value as usize,
            "--every-us" => plan.every_us = value as u64,
            "--cpu" => pin(value as usize),
            _ => usage(),
        }
    }
    plan
}

fn pin(cpu: usize) {
    // SAFETY: a set of CPUs is an array of bits, for which all zeros is a value; the CPU's bit is
    // within it, and this thread is the one that is pinned.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu % libc::CPU_SETSIZE as usize, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set);
    }
}

/// What was done.
#[derive(Clone, Copy, Default)]
struct Work {
    packets: u64,
    /// In rounds that had packets.
    busy_cycles: u64,
}

/// Repeats `round` for some time.
fn run(seconds: f64, mut round: impl FnMut() -> usize) -> Work {
    let until = Instant::now() + Duration::from_secs_f64(seconds);
    let mut work = Work::default();
    while Instant::now() < until {
        for _ in 0..ROUNDS {
            let started = clock::cycles();
            let packets = round();
            if packets > 0 {
                work.packets += packets as u64;
                work.busy_cycles += clock::cycles() - started;
            }
        }
    }
    work
}

fn receive(frames: &mut FrameCache, port: &mut dyn Device) -> usize {
    let mut burst = [Mbuf::default(); BURST];
    let count = port.rx_burst(frames, &mut burst);
    frames.give_burst(&burst[..count]);
    count
}

fn forward(frames: &mut FrameCache, from: &mut dyn Device, to: &mut dyn Device) -> usize {
    let mut burst = [Mbuf::default(); BURST];
    from.reclaim(frames);
    let count = from.rx_burst(frames, &mut burst);
    if count == 0 {
        return 0;
    }
    let sent = to.tx_burst(frames, &burst[..count]);
    frames.give_burst(&burst[sent..count]);
    sent
}

/// What came goes back by the same port.
fn reflect(frames: &mut FrameCache, port: &mut dyn Device) -> usize {
    let mut burst = [Mbuf::default(); BURST];
    port.reclaim(frames);
    let count = port.rx_burst(frames, &mut burst);
    if count == 0 {
        return 0;
    }
    let sent = port.tx_burst(frames, &burst[..count]);
    frames.give_burst(&burst[sent..count]);
    sent
}

/// CPU time of this thread: outside of the kernel, and in it.
fn times() -> (Duration, Duration) {
    // SAFETY: integers, for which all zeros is a value; the call writes them.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_THREAD, &mut usage);
        usage
    };
    let duration =
        |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
    (duration(usage.ru_utime), duration(usage.ru_stime))
}

fn report(
    plan: &Plan,
    ports: &[Box<dyn Device>],
    work: Work,
    elapsed: Duration,
    before: (Duration, Duration),
) {
    let (user, system) = times();
    let each = |now: Duration, before: Duration| {
        (now - before).as_nanos() as f64 / work.packets.max(1) as f64
    };
    let rate = work.packets as f64 / elapsed.as_secs_f64() / 1e6;
    let (user, system) = (each(user, before.0), each(system, before.1));
    let busy = clock::to_ns(work.busy_cycles) as f64 / work.packets.max(1) as f64;
    println!(
        "{} {} {rate:.3} Mpps, per packet {busy:.1} ns busy, CPU {user:.0} ns outside the kernel, \
         {system:.0} ns in it",
        plan.work,
        plan.specs.join(" ")
    );
    for port in ports {
        let mut stats = DeviceStats::default();
        port.stats(&mut stats);
        let dropped: u64 = stats.rx_drops.iter().sum();
        let pairs = port.xstat_names().iter().zip(stats.xstats);
        let xstats: Vec<String> = pairs.map(|(name, value)| format!("{name} {value}")).collect();
        println!("    dropped {dropped}, not sent {}; {}", stats.tx_errors, xstats.join(", "));
    }
}
