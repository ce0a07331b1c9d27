use std::collections::BTreeMap;

use wirelet_abi::{DropReason, ErrorCode};

use crate::capture::{CaptureWriter, Format, Precision};
use crate::testing::{Folder, Rig, drops, stats, xstat};
use crate::{CaptureReader, Record};

const PACKETS: usize = 3000;

fn packet(number: usize) -> Vec<u8> {
    let mut packet = vec![0x55; 60 + number % 100];
    packet[..8].copy_from_slice(&(number as u64).to_be_bytes());
    packet
}

fn number(packet: &[u8]) -> usize {
    u64::from_be_bytes(packet[..8].try_into().expect("8 bytes")) as usize
}

/// A file of packets, as a spec.
fn input(folder: &Folder) -> String {
    let path = folder.path("in.pcap");
    let mut writer = CaptureWriter::create(&path, Format::Pcap, Precision::Nanoseconds)
        .unwrap_or_else(|error| panic!("{error}"));
    (0..PACKETS).for_each(|number| writer.write(number as u64, &packet(number)));
    writer.close().expect("written");
    format!("pcap:{}", path.display())
}

fn contents(folder: &Folder, name: &str) -> Vec<Vec<u8>> {
    let mut reader = CaptureReader::open(&folder.path(name)).expect("a capture");
    let mut packets = Vec::new();
    while let Some(Record::Packet { bytes, .. }) = reader.next_record() {
        packets.push(bytes.to_vec());
    }
    packets
}

/// Everything that comes through a wrapper; its drops and its extra statistics.
fn receive(options: &str) -> (Vec<Vec<u8>>, u64, BTreeMap<&'static str, u64>) {
    let (folder, mut rig) = (Folder::new(), Rig::new(256));
    let mut device = rig.open(&format!("fault({options}):{}", input(&folder)), 1);
    let mut packets = Vec::new();
    while !device.finished() {
        packets.extend(rig.receive(&mut *device).into_iter().map(|(_, bytes)| bytes));
    }
    let impaired = drops(&*device, DropReason::Impaired);
    let names = device.xstat_names().iter().copied();
    let xstats = names.zip(stats(&*device).xstats).collect();
    rig.close([device]);
    (packets, impaired, xstats)
}

#[test]
fn what_is_received_lost_and_made_adds_up() {
    let (packets, impaired, xstats) = receive("loss=10%,duplicate=5%,reorder=20%,corrupt=3%");
    let (lost, duplicated) = (xstats["rx_lost"], xstats["rx_duplicated"]);
    assert_eq!(packets.len() as u64, PACKETS as u64 - lost + duplicated);
    assert!(impaired == lost && xstats["tx_lost"] == 0 && xstats["passes"] == 1);
    for (name, part) in [("lost", 10), ("duplicated", 5), ("reordered", 20), ("corrupted", 3)] {
        let (count, expected) =
            (xstats[format!("rx_{name}").as_str()], PACKETS as u64 * part / 100);
        assert!((expected / 2..expected * 2).contains(&count), "{name}: {count}");
    }
}

#[test]
fn what_is_sent_lost_and_made_adds_up() {
    let (folder, mut rig) = (Folder::new(), Rig::new(256));
    let options = "loss=10%,duplicate=5%,reorder=20%,on=tx";
    let spec = format!("fault({options}):pcap:,{}", folder.text("out.pcap"));
    let mut device = rig.open(&spec, 1);
    for number in 0..PACKETS {
        assert!(rig.send(&mut *device, 0, &packet(number)));
    }
    let (lost, duplicated) = (xstat(&*device, "tx_lost"), xstat(&*device, "tx_duplicated"));
    assert!(lost > 0 && duplicated > 0 && stats(&*device).tx_errors == lost);
    rig.close([device]);
    let written = contents(&folder, "out.pcap");
    assert_eq!(written.len() as u64, PACKETS as u64 - lost + duplicated);
}

#[test]
fn the_same_seed_does_the_same() {
    let of =
        |seed: u64| receive(&format!("seed={seed},loss=5%,duplicate=5%,reorder=5%,corrupt=5%")).0;
    assert!(of(1) == of(1) && of(1) != of(2));
}

#[test]
fn reordered_packets_are_passed_by_eight_at_most() {
    let (packets, _, xstats) = receive("reorder=10%");
    let mut numbers: Vec<usize> = packets.iter().map(|packet| number(packet)).collect();
    let moved = numbers.iter().enumerate().filter(|(at, number)| at > number).count() as u64;
    let reordered = xstats["rx_reordered"];
    assert!(moved > 0 && moved <= reordered, "{moved} of {reordered}");
    // Others that are late make room for those that follow them.
    assert!(numbers.iter().enumerate().all(|(at, &number)| at.abs_diff(number) <= 16));
    numbers.sort_unstable();
    assert!(numbers.iter().copied().eq(0..PACKETS));
}

#[test]
fn a_corrupt_packet_has_one_bit_changed() {
    let (packets, _, xstats) = receive("corrupt=10%");
    let bits = |at: usize| -> u32 {
        packets[at].iter().zip(packet(at)).map(|(a, b)| (a ^ b).count_ones()).sum()
    };
    let changed: Vec<u32> = (0..PACKETS).map(bits).filter(|&bits| bits > 0).collect();
    assert!(changed.iter().all(|&bits| bits == 1));
    assert_eq!(changed.len() as u64, xstats["rx_corrupted"]);
}

#[test]
fn delayed_packets_and_a_slow_link_take_their_time() {
    let started = std::time::Instant::now();
    let (packets, ..) = receive("delay=20ms,jitter=5ms,limit=256");
    assert!(started.elapsed().as_millis() >= 20 && packets.len() <= PACKETS);
    let (folder, mut rig) = (Folder::new(), Rig::new(256));
    // 100 packets of 1,000 bytes at 8 Mbit/s: 100 ms.
    let spec = format!("fault(rate=8M):pcap:,{}", folder.text("out.pcap"));
    let (mut device, started) = (rig.open(&spec, 1), std::time::Instant::now());
    (0..100).for_each(|_| assert!(rig.send(&mut *device, 0, &[1; 1000])));
    assert!(device.in_flight() > 0 && device.idle() == crate::Idle::Poll);
    while device.in_flight() > 0 {
        device.reclaim(&mut rig.frames);
    }
    assert!(started.elapsed().as_millis() >= 99);
    rig.close([device]);
    assert_eq!(contents(&folder, "out.pcap").len(), 100);
}

#[test]
fn what_is_held_at_the_end_is_counted() {
    let (folder, mut rig) = (Folder::new(), Rig::new(256));
    let spec = format!("fault(delay=60s,limit=10):{},{}", input(&folder), folder.text("out.pcap"));
    let mut device = rig.open(&spec, 1);
    assert!(rig.burst(&mut *device, 32).is_empty());
    // 10 are held, the others found no room in the queue.
    assert_eq!(drops(&*device, DropReason::Impaired), 22);
    let taken = (0..12).filter(|&number| rig.send(&mut *device, 0, &packet(number))).count();
    assert_eq!((taken, device.in_flight()), (10, 10));
    device.close(&mut rig.frames).expect("closed");
    assert_eq!(drops(&*device, DropReason::Impaired), 32);
    assert_eq!((rig.region.used(), device.in_flight()), (0, 0));
    assert_eq!(contents(&folder, "out.pcap").len(), 10);
}

#[test]
fn wrappers_can_be_nested_and_say_what_is_wrong() {
    let mut rig = Rig::new(64);
    let device = rig.open("fault(loss=1%):fault(corrupt=1%,on=tx):null:?rx=60", 1);
    assert_eq!(device.xstat_names().len(), 16);
    rig.close([device]);
    for (spec, problem) in [
        ("fault(lost=1%):null:", "unknown option `lost`"),
        ("fault(loss=2):null:", "0% to 100%"),
        ("fault(on=both,on=rx):null:", "twice"),
        ("fault(on=x):null:", "rx, tx or both"),
        ("fault(limit=0):null:", "not within"),
        ("null(rx=60):", "no device"),
        ("null(rx=60):null:", "unknown wrapper"),
        ("fault:fault:fault:fault:fault:null:", "more than 4"),
    ] {
        let error = rig.try_open(spec, 1, 1).err().unwrap_or_else(|| panic!("{spec} opened"));
        assert!(error.message.contains(problem), "{spec}: {error}");
    }
    let error = rig.try_open("falt(loss=1%):null:", 1, 1).err().expect("no such wrapper");
    assert_eq!(error.code, ErrorCode::ConfigUnknownDevice);
    assert!(error.message.contains("did you mean \"fault\""), "{error}");
}
