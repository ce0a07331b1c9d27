//! The reader against damaged files: it never panics, always ends, and counts every record.
//!
//! A few thousand files per run; `WIRELET_FUZZ_SECONDS=3600` for as long as that. A failure names
//! its seed, and `WIRELET_FUZZ_SEED` runs that one.

use std::time::{Duration, Instant};

use crate::foreign::{Block, Outcome, PcapVariant, TempFile, gzip, read_all, write_blocks};
use wirelet_drivers::{DeviceStats, OpenContext, Rings, open};
use wirelet_packet::{Mbuf, Region, RegionConfig};

const FILES: u64 = 2000;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let value = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let value = (value ^ value >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        value ^ value >> 31
    }

    fn below(&mut self, limit: usize) -> usize {
        self.next() as usize % limit.max(1)
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }
}

#[test]
fn damaged_files_are_read_to_an_end_and_every_record_counts() {
    let variable = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = variable("WIRELET_FUZZ_SEED") {
        return check(seed);
    }
    let (first, seconds) = match variable("WIRELET_FUZZ_SECONDS") {
        Some(seconds) => (std::process::id().into(), seconds),
        None => (0, 0),
    };
    let (started, mut seed) = (Instant::now(), first);
    while seed - first < FILES || started.elapsed() < Duration::from_secs(seconds) {
        if std::panic::catch_unwind(|| check(seed)).is_err() {
            panic!("WIRELET_FUZZ_SEED={seed} fails");
        }
        seed += 1;
    }
}

fn check(seed: u64) {
    let random = &mut Random(seed << 20);
    let plain = damaged(random);
    let packed = random.below(8) == 0;
    let file = TempFile::with(&if packed { damaged_gzip(random, &plain) } else { plain.clone() });
    let Ok(outcomes) = read_all(&file.0) else { return };
    assert_eq!(outcomes, read_all(&file.0).expect("the same file"));
    if !packed {
        // Each record has at least 12 bytes of its own, and nothing is invented.
        assert!(outcomes.len() <= plain.len() / 12 + 1);
        let delivered: usize = outcomes.iter().map(bytes_of).sum();
        assert!(delivered <= plain.len());
        if let Some(expected) = naive_pcap(&plain) {
            assert_eq!(outcomes, expected);
        }
    }
    check_device(&file, &outcomes);
}

fn bytes_of(outcome: &Outcome) -> usize {
    match outcome {
        Outcome::Packet(_, bytes) => bytes.len(),
        Outcome::Dropped(_) => 0,
    }
}

/// The device delivers and drops as many as the reader gives, and every frame comes back.
fn check_device(file: &TempFile, outcomes: &[Outcome]) {
    let region = Region::new(RegionConfig { frames: 64, ..RegionConfig::default() });
    let region = region.expect("a region");
    let mut frames = region.cache();
    let context = OpenContext { region: region.clone(), port: 1, queues: 1 };
    let spec = format!("pcap:{}", file.0.display());
    let mut device =
        open(&spec, &context, &mut Rings::default()).expect("it read before").remove(0);
    let (mut delivered, mut burst) = (0, [Mbuf::default(); 8]);
    while !device.finished() {
        let count = device.rx_burst(&mut frames, &mut burst);
        frames.give_burst(&burst[..count]);
        delivered += count as u64;
    }
    let mut stats = DeviceStats::default();
    device.stats(&mut stats);
    assert_eq!(delivered + stats.rx_drops.iter().sum::<u64>(), outcomes.len() as u64);
    device.close(&mut frames).expect("closes");
    assert_eq!(region.used(), 0);
}

/// A good file of any kind with some of its bytes changed, or no file at all.
fn damaged(random: &mut Random) -> Vec<u8> {
    let mut file = match random.below(10) {
        0 => {
            let length = random.below(300);
            return random.bytes(length);
        }
        1..=4 => good_pcap(random),
        _ => good_pcapng(random),
    };
    for _ in 0..random.below(6) {
        let (place, length) = (random.below(file.len()), random.below(9));
        match random.below(5) {
            0 => file[place] ^= 1 << random.below(8),
            1 => file.truncate(place.max(1)),
            2 => {
                let more = random.bytes(length);
                file.splice(place..place, more);
            }
            3 => {
                file.drain(place..(place + length).min(file.len()));
                file.push(0);
            }
            // Numbers that are often wrong: lengths.
            _ => {
                let values = [0, 1, 11, 12, 13, 0x7FFF_FFFF, u32::MAX, 262_144, 262_145, 16 << 20];
                let value = values[random.below(10)].to_le_bytes();
                let place = place / 4 * 4;
                let end = (place + 4).min(file.len());
                file[place..end].copy_from_slice(&value[..end - place]);
            }
        }
    }
    file
}

fn good_pcap(random: &mut Random) -> Vec<u8> {
    let variant = PcapVariant {
        big: random.below(2) == 0,
        magic: [0xA1B2_C3D4, 0xA1B2_3C4D, 0xA1B2_CD34][random.below(3)],
        minor: 4 - random.below(3) as u16,
        link_type: [1, 1, 1, 101][random.below(4)],
    };
    let packets: Vec<_> = (0..random.below(6))
        .map(|_| {
            let length = random.below(80);
            (random.next() % (1 << 60), random.bytes(length))
        })
        .collect();
    variant.write(&packets)
}

fn good_pcapng(random: &mut Random) -> Vec<u8> {
    let mut blocks = Vec::new();
    for _ in 0..random.below(2) + 1 {
        blocks.push(Block::Section { big: random.below(2) == 0 });
        for _ in 0..random.below(3) + 1 {
            blocks.push(Block::Interface {
                link_type: [1, 1, 101][random.below(3)],
                snaplen: [0, 40, 262_144][random.below(3)],
                tsresol: [None, Some(random.next() as u8)][random.below(2)],
                tsoffset: [0, random.next() as i64][random.below(2)],
            });
        }
        for _ in 0..random.below(6) {
            let (length, units) = (random.below(80), random.next());
            let bytes = random.bytes(length);
            blocks.push(match random.below(4) {
                0 => Block::Simple { bytes },
                1 => Block::Obsolete { interface: random.below(3) as u16, units, bytes },
                2 => Block::Other { kind: random.next() as u32, length },
                _ => Block::Enhanced { interface: random.below(3) as u32, units, bytes },
            });
        }
    }
    write_blocks(&blocks)
}

fn damaged_gzip(random: &mut Random, plain: &[u8]) -> Vec<u8> {
    let mut packed = gzip(plain);
    let place = random.below(packed.len());
    match random.below(3) {
        0 => packed.truncate(place.max(2)),
        1 => packed[place] ^= 1 << random.below(8),
        _ => packed.extend(plain),
    }
    packed
}

/// Reads pcap the plain way, over the whole file in memory: another opinion on damaged files.
fn naive_pcap(file: &[u8]) -> Option<Vec<Outcome>> {
    let little = |at: usize| Some(u32::from_le_bytes(file.get(at..at + 4)?.try_into().ok()?));
    let magics = [0xA1B2_C3D4u32, 0xA1B2_3C4D, 0xA1B2_CD34];
    let magic = little(0)?;
    let swapped = magics.contains(&magic.swap_bytes());
    let magic = if swapped { magic.swap_bytes() } else { magic };
    if !magics.contains(&magic) {
        return None;
    }
    let word = |at: usize| Some(if swapped { little(at)?.swap_bytes() } else { little(at)? });
    let version = word(4)?;
    let minor = if swapped { version & 0xFFFF } else { version >> 16 };
    let ethernet = word(20)? & 0x03FF_FFFF == 1;
    let header = if magic == 0xA1B2_CD34 { 24 } else { 16 };
    let unit_ns = if magic == 0xA1B2_3C4D { 1 } else { 1000 };
    let (mut at, mut outcomes) = (24, Vec::new());
    while at < file.len() {
        if at + header > file.len() {
            outcomes.push(Outcome::Dropped("truncated"));
            break;
        }
        let (first, second) = (word(at + 8)?, word(at + 12)?);
        let captured = match minor {
            0..=2 => second,
            3 => first.min(second),
            _ => first,
        } as usize;
        if captured > if ethernet { 256 << 10 } else { 128 << 20 } {
            outcomes.push(Outcome::Dropped("corrupt"));
            break;
        }
        let Some(bytes) = file.get(at + header..at + header + captured) else {
            outcomes.push(Outcome::Dropped("truncated"));
            break;
        };
        let time = u64::from(word(at)?) * 1_000_000_000 + u64::from(word(at + 4)?) * unit_ns;
        outcomes.push(match ethernet {
            true => Outcome::Packet(time, bytes.to_vec()),
            false => Outcome::Dropped("link_type"),
        });
        at += header + captured;
    }
    Some(outcomes)
}
