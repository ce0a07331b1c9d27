//! What ports of real interfaces do on one lcore, without programs:
//!
//! ```text
//! cargo run --release -p wirelet-drivers --example port_rate -- receive af_xdp:veth0
//! ... -- transmit af_xdp:veth0 --bytes 64
//! ... -- forward af_xdp:veth0 af_xdp:veth1 --seconds 10 --frame-bytes 2048 --cpu 1
//! ```
//!
//! Prints packets per second, and what each has cost this thread: ns in rounds that had packets
//! (as testpmd's `--record-core-cycles` counts), and CPU time outside the kernel and in it. `hold`
//! opens a port and leaves it alone: what comes is dropped by the kernel at once.
#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::time::{Duration, Instant};

use wirelet_abi::Error;
use wirelet_abi::limits::HEADROOM_BYTES;
use wirelet_drivers::{Device, DeviceStats, OpenContext, Rings, open};
use wirelet_packet::{FrameCache, Mbuf, Region, RegionConfig, clock};

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
}

fn main() -> Result<(), Error> {
    let plan = parse(std::env::args().skip(1));
    let region = Region::new(RegionConfig {
        frames: FRAMES,
        frame_bytes: plan.frame_bytes,
        hugepages: true,
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
    println!("port_rate receive SPEC | transmit SPEC | forward SPEC SPEC | hold SPEC");
    println!("    [--seconds 5] [--bytes 64] [--frame-bytes 2048] [--cpu N]");
    std::process::exit(2)
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Plan {
    let work = arguments.next().unwrap_or_default();
    let mut plan = Plan { work, specs: Vec::new(), seconds: 5.0, bytes: 64, frame_bytes: 2048 };
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

/// Sends UDP packets of one flow. A frame that was written once keeps its bytes.
struct Sender<'a> {
    region: &'a Region,
    packet: Vec<u8>,
    written: Vec<bool>,
}

impl Sender<'_> {
    fn new(region: &Region, bytes: usize) -> Sender<'_> {
        let mut packet = vec![0xff; 6];
        packet.extend([2, 0, 0, 0, 0, 1, 0x08, 0x00, 0x45, 0]);
        packet.extend((bytes as u16 - 14).to_be_bytes());
        packet.extend([0, 0, 0, 0, 64, 17, 0, 0, 10, 9, 0, 2, 10, 9, 0, 1, 0, 9, 0, 9]);
        packet.extend((bytes as u16 - 34).to_be_bytes());
        packet.resize(bytes, 0);
        let header: u32 =
            packet[14..34].chunks(2).map(|w| u32::from(w[0]) << 8 | u32::from(w[1])).sum();
        let checksum = !((header & 0xffff) + (header >> 16)) as u16;
        packet[24..26].copy_from_slice(&checksum.to_be_bytes());
        Sender { region, packet, written: vec![false; region.frames()] }
    }

    fn send(&mut self, frames: &mut FrameCache, port: &mut dyn Device) -> usize {
        port.reclaim(frames);
        let mut burst = [Mbuf::default(); BURST];
        let mut count = 0;
        while count < BURST
            && let Some(frame) = frames.take()
        {
            let (offset, length) = (HEADROOM_BYTES as u16, self.packet.len() as u16);
            burst[count] = Mbuf { frame, offset, length, ..Mbuf::default() };
            if !std::mem::replace(&mut self.written[frame as usize], true) {
                // SAFETY: the frame is ours, and has room for any packet of the MTU.
                unsafe {
                    let data = self.region.data(&burst[count]);
                    data.copy_from_nonoverlapping(self.packet.as_ptr(), self.packet.len());
                }
            }
            count += 1;
        }
        let sent = port.tx_burst(frames, &burst[..count]);
        frames.give_burst(&burst[sent..count]);
        sent
    }
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
