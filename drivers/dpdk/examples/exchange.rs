//! Sends numbered packets from one port to another and back, compares every byte, and closes:
//! `WIRELET_DPDK_PLUGIN=... exchange dpdk:0000:00:10.0 dpdk:0000:00:11.0 1000`. The two are wired.
//!
//! Ends with 0 when every packet came, in order, and every frame is back.

use std::env;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wirelet_abi::Error;
use wirelet_abi::limits::HEADROOM_BYTES;
use wirelet_drivers::{Device, DeviceStats, OpenContext, Rings, open};
use wirelet_packet::{FrameCache, Mbuf, Region, RegionConfig};

const BURST: usize = 32;
const PATIENCE: Duration = Duration::from_secs(20);
/// Packets on their way at most: less than any ring holds.
const WINDOW: usize = 64;
const SIZES: [usize; 4] = [60, 64, 590, 1514];

fn main() -> Result<(), Error> {
    let mut arguments = env::args().skip(1);
    let mut next = || arguments.next().expect("exchange SPEC SPEC COUNT");
    let (specs, count) = ([next(), next()], next().parse().expect("a count"));
    let region = Region::new(RegionConfig::default())?;
    eprintln!("region: {} frames, {:?} pages", region.frames(), region.backing().pages());
    // Twice: the second start in a process is a start like the first.
    for _ in 0..2 {
        let mut frames = region.cache();
        let mut open = |port: usize| {
            let context = OpenContext { region: Arc::clone(&region), port: port as u16, queues: 1 };
            open(&specs[port], &context, &mut Rings::default()).map(|mut queues| queues.remove(0))
        };
        let mut ports = [open(0)?, open(1)?];
        ports.iter_mut().for_each(|port| port.enter());
        wait_for_links(&mut ports);
        for (from, to) in [(0, 1), (1, 0)] {
            exchange(&mut frames, &mut ports, from, to, count);
            eprintln!("{} to {}: {count} packets", specs[from], specs[to]);
        }
        for port in &mut ports {
            show(&**port);
            port.close(&mut frames)?;
        }
        drop(frames);
        assert_eq!((region.used(), region.pooled()), (0, region.frames()));
    }
    Ok(())
}

fn wait_for_links(ports: &mut [Box<dyn Device>; 2]) {
    let started = Instant::now();
    let up = |port: &Box<dyn Device>| {
        let mut stats = DeviceStats::default();
        port.stats(&mut stats);
        stats.link_up
    };
    while !ports.iter().all(up) {
        assert!(started.elapsed() < PATIENCE, "no link");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn exchange(
    frames: &mut FrameCache,
    ports: &mut [Box<dyn Device>; 2],
    from: usize,
    to: usize,
    count: usize,
) {
    let (mut sent, mut received, started) = (0, 0, Instant::now());
    let mut burst = [Mbuf::default(); BURST];
    while received < count {
        assert!(started.elapsed() < PATIENCE, "{received} of {count} after {PATIENCE:?}");
        let window = BURST.min(count - sent).min(WINDOW - (sent - received).min(WINDOW));
        let packets: Vec<Mbuf> = (sent..sent + window).map(|index| make(frames, index)).collect();
        let taken = ports[from].tx_burst(frames, &packets);
        frames.give_burst(&packets[taken..]);
        sent += taken;
        let arrived = ports[to].rx_burst(frames, &mut burst);
        for mbuf in &burst[..arrived] {
            assert_eq!(bytes(frames, mbuf), packet(received), "packet {received}");
            received += 1;
        }
        frames.give_burst(&burst[..arrived]);
    }
}

fn packet(index: usize) -> Vec<u8> {
    let mut bytes = vec![0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x88, 0xb5];
    bytes.extend((index as u32).to_be_bytes());
    bytes.resize_with(SIZES[index % SIZES.len()], || (index % 251) as u8);
    bytes
}

fn make(frames: &mut FrameCache, index: usize) -> Mbuf {
    let bytes = packet(index);
    let mbuf = Mbuf {
        frame: frames.take().expect("a frame"),
        offset: HEADROOM_BYTES as u16,
        length: bytes.len() as u16,
        ..Mbuf::default()
    };
    // SAFETY: the frame was just taken and has room for `bytes`.
    unsafe { frames.region().data(&mbuf).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    mbuf
}

fn bytes(frames: &FrameCache, mbuf: &Mbuf) -> Vec<u8> {
    // SAFETY: the packet's frame is ours, and a packet lies within its frame.
    unsafe { std::slice::from_raw_parts(frames.region().data(mbuf), mbuf.length.into()).to_vec() }
}

fn show(port: &dyn Device) {
    let mut stats = DeviceStats::default();
    port.stats(&mut stats);
    let named = port.xstat_names().iter().zip(stats.xstats).filter(|(_, value)| *value > 0);
    let named: Vec<String> = named.map(|(name, value)| format!("{name} {value}")).collect();
    eprintln!("MAC {:02x?}, MTU {}, {}", port.mac(), port.mtu(), named.join(", "));
}
