//! How long a packet takes from one port to another, through whoever is between them.

use std::time::{Duration, Instant};

use wirelet_drivers::Device;
use wirelet_packet::{FrameCache, Mbuf, clock};

use crate::BURST;
use crate::sender::Sender;

/// Behind Ethernet, IPv4 and UDP.
const STAMP_AT: usize = 42;
/// Packets that may still come after the last one was sent.
const PATIENCE: Duration = Duration::from_millis(200);

/// Sends a stamped packet by the first port every so often and waits for it at the last one, which
/// may be the same; prints percentiles in ns. Polls all the time.
pub fn measure(
    frames: &mut FrameCache,
    ports: &mut [Box<dyn Device>],
    mut sender: Sender<'_>,
    every: Duration,
    seconds: Duration,
) {
    let (started, every_cycles) = (Instant::now(), cycles_of(every));
    let mut next = clock::cycles();
    let (mut sent, mut taken) = (0u64, Vec::with_capacity(1 << 20));
    let mut burst = [Mbuf::default(); BURST];
    loop {
        let sending = started.elapsed() < seconds;
        if !sending && started.elapsed() > seconds + PATIENCE {
            break;
        }
        if sending && clock::cycles() >= next {
            next += every_cycles;
            ports[0].reclaim(frames);
            sent += u64::from(send(frames, &mut *ports[0], &mut sender));
        }
        let back = ports.len() - 1;
        let count = ports[back].rx_burst(frames, &mut burst);
        let now = clock::cycles();
        for mbuf in &burst[..count] {
            // SAFETY: a received packet is within its frame, which is ours now; the stamp need not
            // be aligned. Shorter packets are not ours, and not looked at.
            let stamp = (usize::from(mbuf.length) >= STAMP_AT + 8).then(|| unsafe {
                sender.region().data(mbuf).add(STAMP_AT).cast::<u64>().read_unaligned()
            });
            let latency = stamp.and_then(|stamp| now.checked_sub(stamp));
            taken.extend(latency.map(clock::to_ns));
        }
        frames.give_burst(&burst[..count]);
    }
    taken.sort_unstable();
    let at = |part: f64| taken.get((taken.len() as f64 * part) as usize).copied().unwrap_or(0);
    println!(
        "latency sent {sent}, received {}, ns p50 {} p99 {} p99.9 {} longest {}",
        taken.len(),
        at(0.5),
        at(0.99),
        at(0.999),
        taken.last().copied().unwrap_or(0),
    );
}

fn send(frames: &mut FrameCache, port: &mut dyn Device, sender: &mut Sender<'_>) -> bool {
    let Some(mbuf) = sender.next(frames) else { return false };
    // SAFETY: the frame is ours until it is sent; the packet has room for the stamp.
    unsafe {
        let stamp = sender.region().data(&mbuf).add(STAMP_AT);
        stamp.cast::<u64>().write_unaligned(clock::cycles());
    }
    let sent = port.tx_burst(frames, &[mbuf]) == 1;
    if !sent {
        frames.give(mbuf.frame);
    }
    sent
}

fn cycles_of(time: Duration) -> u64 {
    // The clock converts one way only.
    let probe = 1 << 20;
    (time.as_nanos() as u64 * probe) / clock::to_ns(probe).max(1)
}
