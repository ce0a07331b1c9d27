//! Every file of ../shared/captures, against what tcpdump and capinfos make of it.
//!
//! 830 files, 10,183 records: tcpdump counts the same in each. capinfos refuses 14 of them for
//! their link types (Juniper, DSA, Broadcom tags) and counts the same in the other 816.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::foreign::{Outcome, read_all};
use wirelet_drivers::{DeviceStats, OpenContext, Rings, open};
use wirelet_packet::{Mbuf, Region, RegionConfig};

/// Files of the folder, or none where it is not there.
fn captures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/captures");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        eprintln!("skipped: no captures in {}", folder.display());
        return Vec::new();
    };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut paths: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|ending| ending != "md")).collect();
    paths.sort();
    paths
}

/// Packets that tcpdump finds; `None` when it is not installed or ends with an error.
fn tcpdump_count(path: &Path) -> Option<usize> {
    let output = Command::new("tcpdump").args(["-n", "--count", "-r"]).arg(path).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.split_whitespace().next()?.parse().ok().filter(|_| output.status.success())
}

/// Packets that Wireshark finds, by file: none where it is not installed, and no entry for a file
/// whose link type it does not know.
fn capinfos_counts(paths: &[PathBuf]) -> BTreeMap<PathBuf, usize> {
    let output = Command::new("capinfos").args(["-c", "-M", "-T", "-r", "-m"]).args(paths).output();
    let Ok(output) = output else { return BTreeMap::new() };
    let text = String::from_utf8_lossy(&output.stdout);
    let entry = |line: &str| {
        let (path, count) = line.rsplit_once(',')?;
        Some((PathBuf::from(path.trim_matches('"')), count.trim_matches('"').parse().ok()?))
    };
    text.lines().filter_map(entry).collect()
}

#[test]
fn every_capture_has_as_many_records_as_tcpdump_and_wireshark_find() {
    let (mut files, mut records, mut tcpdump, mut capinfos) = (0, 0, 0, 0);
    let paths = captures();
    let wireshark = capinfos_counts(&paths);
    for path in paths {
        let outcomes = read_all(&path).unwrap_or_else(|error| panic!("{error}"));
        if let Some(count) = tcpdump_count(&path) {
            assert_eq!(outcomes.len(), count, "tcpdump: {}", path.display());
            tcpdump += 1;
        }
        if let Some(count) = wireshark.get(&path) {
            assert_eq!(outcomes.len(), *count, "capinfos: {}", path.display());
            capinfos += 1;
        }
        (files, records) = (files + 1, records + outcomes.len());
    }
    eprintln!(
        "{files} files, {records} records; the same number as tcpdump in {tcpdump} files and as \
         capinfos in {capinfos}"
    );
}

#[test]
fn every_capture_goes_through_the_device_and_no_packet_is_uncounted() {
    let region = Region::new(RegionConfig { frames: 256, ..RegionConfig::default() });
    let region = region.expect("a region");
    let mut frames = region.cache();
    let (mut delivered_all, mut drops_all) = (0, [0; 32]);
    for path in captures() {
        let context = OpenContext { region: region.clone(), port: 1, queues: 1 };
        let spec = format!("pcap:{}", path.display());
        let mut devices = open(&spec, &context, &mut Rings::default()).expect("opens");
        let (mut delivered, mut burst) = (0, [Mbuf::default(); 64]);
        while !devices[0].finished() {
            let count = devices[0].rx_burst(&mut frames, &mut burst);
            frames.give_burst(&burst[..count]);
            delivered += count as u64;
        }
        let mut stats = DeviceStats::default();
        devices[0].stats(&mut stats);
        let outcomes = read_all(&path).expect("it opened");
        let fits = |outcome: &&Outcome| match outcome {
            Outcome::Packet(_, bytes) => (14..=region.data_room()).contains(&bytes.len()),
            Outcome::Dropped(_) => false,
        };
        assert_eq!(delivered, outcomes.iter().filter(fits).count() as u64, "{}", path.display());
        let drops: u64 = stats.rx_drops.iter().sum();
        assert_eq!(delivered + drops, outcomes.len() as u64, "{}", path.display());
        devices[0].close(&mut frames).expect("closes");
        delivered_all += delivered;
        drops_all.iter_mut().zip(stats.rx_drops).for_each(|(all, count)| *all += count);
    }
    let reasons =
        wirelet_abi::DropReason::ALL.iter().map(|reason| (reason.name(), *reason as usize));
    let drops: Vec<(&str, u64)> =
        reasons.map(|(name, index)| (name, drops_all[index])).filter(|drop| drop.1 > 0).collect();
    eprintln!("{delivered_all} packets delivered, {drops:?}");
    assert_eq!(region.used(), 0);
}

/// tcpdump and tshark read what we write: every packet, its time and its bytes.
#[test]
fn tcpdump_and_tshark_open_what_we_write() {
    use wirelet_drivers::{CaptureWriter, Format, Precision};
    let packet = [&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xB5][..], &[7; 46]].concat();
    let times: Vec<u64> = (0..300).map(|number| 1_700_000_000_123_456_789 + number).collect();
    for (ending, format) in [(".pcap", Format::Pcap), (".pcapng", Format::PcapNg)] {
        for precision in [Precision::Microseconds, Precision::Nanoseconds] {
            let file = crate::foreign::TempFile::new(ending);
            let mut writer = CaptureWriter::create(&file.0, format, precision).expect("created");
            times.iter().for_each(|time| writer.write(*time, &packet));
            writer.close().expect("written");
            let wireshark = capinfos_counts(std::slice::from_ref(&file.0));
            for count in [tcpdump_count(&file.0), wireshark.get(&file.0).copied()] {
                match count {
                    Some(count) => assert_eq!(count, times.len()),
                    None => eprintln!("skipped: tcpdump or capinfos is not installed"),
                }
            }
            let tshark = Command::new("tshark")
                .args(["-n", "-T", "fields", "-e", "frame.time_epoch", "-e", "frame.len", "-r"])
                .arg(&file.0)
                .output();
            let Ok(tshark) = tshark else { return };
            let text = String::from_utf8_lossy(&tshark.stdout);
            let unit_ns = if precision == Precision::Nanoseconds { 1 } else { 1000 };
            let expected = times.iter().map(|time| {
                let time = time / unit_ns * unit_ns;
                format!("{}.{:09}\t60", time / 1_000_000_000, time % 1_000_000_000)
            });
            assert!(text.lines().eq(expected), "{text}");
        }
    }
}
