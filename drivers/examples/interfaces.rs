//! What real interfaces cost, one core for each side, in namespaces of its own (needs root):
//! `cargo run --release -p wirelet-drivers --example interfaces`.
//!
//! Per device and size: packets a second that one lcore receives (the other core sends them
//! through `af_packet` at the other end), that it sends, that it sends back; what a call that
//! brought or took packets cost per packet; and the time from one end to the other and back for a
//! packet that is alone.
#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use wirelet_drivers::{Device, OpenContext, Rings, open};
use wirelet_packet::{FrameCache, Mbuf, Region, RegionConfig, clock};

#[path = "../tests/netns/namespace.rs"]
mod namespace;
use namespace::{Namespace, possible};

const BURST: usize = 64;
const WINDOW: Duration = Duration::from_millis(500);
const ROUNDS: usize = 5;
const LONELY: usize = 2000;
const DEVICES: [&str; 4] =
    ["af_xdp:ours", "af_packet:ours?tpacket=2", "af_packet:ours?tpacket=3", "tap:ours"];

fn main() {
    if !possible() {
        return;
    }
    println!(
        "{:<26} {:>5}  rx kpps    ns  tx kpps    ns  fwd kpps    RTT us p50, p99",
        "", "bytes"
    );
    for spec in DEVICES {
        for bytes in [60, 1514] {
            measure(spec, bytes);
        }
    }
}

/// One end: a device, its frames, and packets to send.
struct End {
    device: Box<dyn Device>,
    frames: FrameCache,
    bytes: usize,
    burst: [Mbuf; BURST],
}

impl End {
    fn open(namespace: &Namespace, spec: &str, bytes: usize) -> End {
        let region = Region::new(RegionConfig::default()).expect("a region");
        let context = OpenContext { region: Arc::clone(&region), port: 0, queues: 1 };
        let opened = namespace.enter(|| open(spec, &context, &mut Rings::default()));
        let device = opened.unwrap_or_else(|error| panic!("{error}")).remove(0);
        End { device, frames: region.cache(), bytes, burst: [Mbuf::default(); BURST] }
    }

    /// Packets received.
    fn receive(&mut self) -> usize {
        let count = self.device.rx_burst(&mut self.frames, &mut self.burst);
        self.frames.give_burst(&self.burst[..count]);
        count
    }

    /// Packets sent back, of those received.
    fn echo(&mut self) -> usize {
        let count = self.device.rx_burst(&mut self.frames, &mut self.burst);
        let sent = self.device.tx_burst(&mut self.frames, &self.burst[..count]);
        self.frames.give_burst(&self.burst[sent..count]);
        sent
    }

    /// Packets sent, of `count`.
    fn send(&mut self, count: usize) -> usize {
        for mbuf in &mut self.burst[..count] {
            let frame = self.frames.take().expect("frames");
            *mbuf = Mbuf { frame, offset: 128, length: self.bytes as u16, ..Mbuf::default() };
            // SAFETY: the frame was just taken and has room for an Ethernet header.
            unsafe {
                self.frames.region().data(mbuf).copy_from_nonoverlapping(HEADER.as_ptr(), 14)
            };
        }
        let sent = self.device.tx_burst(&mut self.frames, &self.burst[..count]);
        self.frames.give_burst(&self.burst[sent..count]);
        sent
    }
}

/// To a station that is not there, so that no stack answers.
const HEADER: [u8; 14] = [2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 0x88, 0xB5];

fn measure(spec: &str, bytes: usize) {
    let (here, there) = (Namespace::new(), Namespace::new());
    let veth = !spec.starts_with("tap");
    if veth {
        here.veth("ours", &there, "theirs");
    }
    let mut ours = End::open(&here, spec, bytes);
    let (place, other) =
        if veth { (&there, "af_packet:theirs") } else { (&here, "af_packet:ours") };
    let mut theirs = End::open(place, other, bytes);
    let mut other_side = |work: &mut dyn FnMut(&mut End) -> Rate| {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                pin(0);
                while !stop.load(Ordering::Relaxed) {
                    theirs.send(BURST);
                }
            });
            pin(1);
            let rate = work(&mut ours);
            stop.store(true, Ordering::Relaxed);
            rate
        })
    };
    let receive = other_side(&mut |ours| best(|| ours.receive()));
    let forward = other_side(&mut |ours| best(|| ours.echo()));
    while theirs.receive() > 0 {}
    let send = best(|| ours.send(BURST));
    while ours.receive() > 0 || theirs.receive() > 0 {}
    let [median, late] = lonely(&mut ours, &mut theirs);
    println!(
        "{spec:<26} {bytes:>5} {:>8.0} {:>5.0} {:>8.0} {:>5.0} {:>9.0} {median:>11.1} {late:>8.1}",
        receive.kpps, receive.ns, send.kpps, send.ns, forward.kpps
    );
    ours.device.close(&mut ours.frames).expect("closed");
    theirs.device.close(&mut theirs.frames).expect("closed");
}

#[derive(Clone, Copy, Debug)]
struct Rate {
    kpps: f64,
    /// Time in calls that had packets, per packet.
    ns: f64,
}

/// The best of some windows: other work on the machine only ever makes it slower.
fn best(mut work: impl FnMut() -> usize) -> Rate {
    let mut best = Rate { kpps: 0.0, ns: f64::MAX };
    for _ in 0..ROUNDS {
        let (started, mut packets, mut busy) = (Instant::now(), 0, 0);
        while started.elapsed() < WINDOW {
            let before = clock::cycles();
            let count = work();
            if count > 0 {
                busy += clock::cycles() - before;
            }
            packets += count;
        }
        if packets == 0 {
            continue;
        }
        let packets = packets as f64;
        best.kpps = best.kpps.max(packets / started.elapsed().as_secs_f64() / 1e3);
        best.ns = best.ns.min(clock::to_ns(busy) as f64 / packets);
    }
    best
}

/// Median and 99th percentile of the way there and back, in µs, for packets that are alone.
fn lonely(ours: &mut End, theirs: &mut End) -> [f64; 2] {
    let stop = AtomicBool::new(false);
    let mut times: Vec<f64> = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            pin(1);
            while !stop.load(Ordering::Relaxed) {
                ours.echo();
            }
        });
        pin(0);
        for _ in 0..LONELY {
            let started = Instant::now();
            theirs.send(1);
            while theirs.receive() == 0 && started.elapsed() < WINDOW {}
            times.push(started.elapsed().as_secs_f64() * 1e6);
        }
        stop.store(true, Ordering::Relaxed);
    });
    times.sort_by(f64::total_cmp);
    [times[LONELY / 2], times[LONELY * 99 / 100]]
}

fn pin(cpu: usize) {
    // SAFETY: a CPU set is plain bits; sched_setaffinity reads it during the call.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set);
    }
}
