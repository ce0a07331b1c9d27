//! Sends numbered packets from one port to another and back, compares every byte, and closes:
//! `WIRELET_DPDK_PLUGIN=... exchange dpdk:0000:00:10.0 dpdk:0000:00:11.0 1000`. The two are wired.
//!
//! Ends with 0 when packets came in order, byte for byte, and every frame is back; says how many
//! were lost on the wire.

use std::env;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wirelet_abi::Error;
use wirelet_abi::limits::{FRAME_BYTES_DEFAULT, HEADROOM_BYTES};
use wirelet_drivers::{Device, DeviceStats, OpenContext, Rings, open};
use wirelet_packet::{FrameCache, Mbuf, Region, RegionConfig};

const USAGE: &str = "exchange SPEC SPEC COUNT [BYTES OF A FRAME]";
const BURST: usize = 32;
const PATIENCE: Duration = Duration::from_secs(20);
/// Packets on their way at most: less than any ring holds.
const WINDOW: usize = 64;
const SIZES: [usize; 4] = [60, 64, 590, 1514];

fn main() -> Result<(), Error> {
    let mut arguments = env::args().skip(1);
    let mut next = || arguments.next().expect(USAGE);
    let (specs, count) = ([next(), next()], next().parse().expect(USAGE));
    let frame_bytes =
        arguments.next().map_or(FRAME_BYTES_DEFAULT, |text| text.parse().expect(USAGE));
    let region = Region::new(RegionConfig { frame_bytes, ..RegionConfig::default() })?;
    eprintln!("region: {} frames, {:?} pages", region.frames(), region.backing().pages());
    // Twice: the second start in a process is a start like the first.
    for _ in 0..2 {
        let mut frames = region.cache();
        let open = |port: usize| {
            let context = OpenContext { region: Arc::clone(&region), port: port as u16, queues: 1 };
            open(&specs[port], &context, &mut Rings::default()).map(|mut queues| queues.remove(0))
        };
        let mut ports = [open(0)?, open(1)?];
        ports.iter_mut().for_each(|port| port.enter());
        wait_for_links(&mut ports);
        for (from, to) in [(0, 1), (1, 0)] {
            exchange(&mut frames, &mut ports, from, to, count);
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
    let up = |port: &dyn Device| {
        let mut stats = DeviceStats::default();
        port.stats(&mut stats);
        stats.link_up
    };
    while !ports.iter().all(|port| up(&**port)) {
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
    let (mut sent, mut received, mut lost, mut heard) = (0, 0, 0, Instant::now());
    let mut burst = [Mbuf::default(); BURST];
    while received < count {
        if heard.elapsed() > PATIENCE {
            ports.iter().for_each(|port| show(&**port));
            panic!("{received} of {count}, then nothing for {PATIENCE:?}");
        }
        let window = BURST.min(count - sent).min(WINDOW - (sent - received).min(WINDOW));
        let packets: Vec<Mbuf> = (sent..sent + window).map(|index| make(frames, index)).collect();
        let taken = ports[from].tx_burst(frames, &packets);
        frames.give_burst(&packets[taken..]);
        sent += taken;
        let arrived = ports[to].rx_burst(frames, &mut burst);
        for mbuf in &burst[..arrived] {
            let bytes = bytes(frames, mbuf);
            let number = bytes[14..18].iter().fold(0, |sum, &byte| sum << 8 | usize::from(byte));
            assert!(number >= received && number < sent, "packet {number} after {received}");
            assert_eq!(bytes, packet(number), "packet {number}");
            lost += number - received;
            received = number + 1;
            heard = Instant::now();
        }
        frames.give_burst(&burst[..arrived]);
    }
    eprintln!("port {from} to port {to}: {count} packets, {lost} lost");
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
