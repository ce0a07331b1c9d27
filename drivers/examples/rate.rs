//! What a packet costs in each device, one lcore, no programs:
//! `cargo run --release -p wirelet-drivers --example rate`.
#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::time::Instant;

use wirelet_abi::Error;
use wirelet_drivers::{CaptureWriter, Device, Format, OpenContext, Precision, Rings, open};
use wirelet_packet::{Mbuf, Region, RegionConfig};

const PACKETS: u64 = 20_000_000;
const BURST: usize = 64;

fn main() -> Result<(), Error> {
    let file = std::env::temp_dir().join(format!("wirelet-rate-{}.pcap", std::process::id()));
    let capture = format!("pcap:{}?loop=20", file.display());
    write_capture(&file)?;
    println!("{:<58} {:>9} {:>8}", "device", "ns/packet", "Mpps");
    for spec in [
        "null:?rx=60",
        "gen:?rate=max&size=60",
        "gen:?rate=max&size=60&flows=65536",
        "gen:?rate=max&sizes=60-64",
        "gen:?rate=max&size=64&protocols=udp,tcp,icmp,arp,dns,udp6",
        "gen:?rate=max&sizes=imix",
        "gen:?rate=max&size=1514",
        &capture,
    ] {
        measure(spec, "null:")?;
    }
    measure("gen:?rate=max&size=60", "sink:")?;
    measure("gen:?rate=max&size=60&flows=65536", "sink:")?;
    measure("gen:?rate=max&size=60", "pcap:,/dev/null")?;
    let _ = std::fs::remove_file(&file);
    Ok(())
}

/// A million packets of 60 bytes.
fn write_capture(path: &std::path::Path) -> Result<(), Error> {
    let mut writer = CaptureWriter::create(path, Format::Pcap, Precision::Nanoseconds)?;
    (0..1_000_000).for_each(|number| writer.write(number, &[7; 60]));
    writer.close()
}

fn measure(receive: &str, send: &str) -> Result<(), Error> {
    let region = Region::new(RegionConfig::default())?;
    let mut frames = region.cache();
    let mut rings = Rings::default();
    let mut device = |spec: &str| -> Result<Box<dyn Device>, Error> {
        let context = OpenContext { region: region.clone(), port: 0, queues: 1 };
        Ok(open(spec, &context, &mut rings)?.remove(0))
    };
    let (mut source, mut target) = (device(receive)?, device(send)?);
    let mut burst = [Mbuf::default(); BURST];
    let mut best = f64::MAX;
    // The best of five: other work on the machine only ever makes it slower.
    for _ in 0..5 {
        let (started, mut packets) = (Instant::now(), 0);
        while packets < PACKETS / 5 && !source.finished() {
            let count = source.rx_burst(&mut frames, &mut burst);
            target.tx_burst(&mut frames, &burst[..count]);
            packets += count as u64;
        }
        if packets > 0 {
            best = best.min(started.elapsed().as_nanos() as f64 / packets as f64);
        }
    }
    source.close(&mut frames)?;
    target.close(&mut frames)?;
    let name = format!("{} > {send}", receive.rsplit('/').next().unwrap_or(receive));
    println!("{name:<58} {best:>9.1} {:>8.1}", 1000.0 / best);
    Ok(())
}
