//! Capture files read back equal, whoever wrote them and in whatever order, unit and format.

use crate::foreign::{Block, Outcome, PcapVariant, TempFile, gzip, read_all, write_blocks};
use proptest::prelude::*;
use wirelet_drivers::{CaptureWriter, Format, Precision};

const SECONDS_MAX: u64 = u32::MAX as u64;

fn packets() -> impl Strategy<Value = Vec<(u64, Vec<u8>)>> {
    let time = (0..=SECONDS_MAX, 0..1_000_000_000u64).prop_map(|(s, ns)| s * 1_000_000_000 + ns);
    let bytes = proptest::collection::vec(any::<u8>(), 0..200);
    proptest::collection::vec((time, bytes), 0..40)
}

fn pcap_variant() -> impl Strategy<Value = PcapVariant> {
    let magic = prop_oneof![Just(0xA1B2_C3D4), Just(0xA1B2_3C4D), Just(0xA1B2_CD34)];
    // Ethernet, Ethernet with a frame check sequence of 4 bytes, raw IP.
    let link_type = prop_oneof![3 => Just(1), 1 => Just(0x2400_0001), 1 => Just(101)];
    (any::<bool>(), magic, 2u16..=4, link_type)
        .prop_map(|(big, magic, minor, link_type)| PcapVariant { big, magic, minor, link_type })
}

/// Timestamps and what they should become, for a resolution that is asked for.
fn units_of(timestamp_ns: u64, tsresol: Option<u8>) -> (u64, u64) {
    match tsresol {
        None | Some(6) => (timestamp_ns / 1000, timestamp_ns / 1000 * 1000),
        Some(9) => (timestamp_ns, timestamp_ns),
        Some(0) => (timestamp_ns / 1_000_000_000, timestamp_ns / 1_000_000_000 * 1_000_000_000),
        // 2^-1: half seconds.
        Some(0x81) => (timestamp_ns / 500_000_000, timestamp_ns / 500_000_000 * 500_000_000),
        Some(other) => panic!("{other}"),
    }
}

/// A section with an Ethernet and a raw IP interface, and packets in every kind of block.
fn section(
    big: bool,
    tsresol: Option<u8>,
    tsoffset: i64,
    packets: &[(u64, Vec<u8>)],
) -> (Vec<Block>, Vec<Outcome>) {
    let mut blocks = vec![
        Block::Section { big },
        Block::Interface { link_type: 1, snaplen: 0, tsresol, tsoffset },
        Block::Interface { link_type: 101, snaplen: 0, tsresol: None, tsoffset: 0 },
    ];
    let mut outcomes = Vec::new();
    for (index, (timestamp_ns, bytes)) in packets.iter().enumerate() {
        let (units, expected_ns) = units_of(*timestamp_ns, tsresol);
        let expected_ns = expected_ns + tsoffset as u64 * 1_000_000_000;
        let bytes = bytes.clone();
        let (block, outcome) = match index % 5 {
            0 => (
                Block::Obsolete { interface: 0, units, bytes: bytes.clone() },
                Outcome::Packet(expected_ns, bytes),
            ),
            // Simple packets have no time, so they stand at the epoch or at the offset.
            1 => (
                Block::Simple { bytes: bytes.clone() },
                Outcome::Packet(tsoffset as u64 * 1_000_000_000, bytes),
            ),
            2 => (Block::Enhanced { interface: 1, units, bytes }, Outcome::Dropped("link_type")),
            3 => (Block::Enhanced { interface: 2, units, bytes }, Outcome::Dropped("corrupt")),
            _ => (
                Block::Enhanced { interface: 0, units, bytes: bytes.clone() },
                Outcome::Packet(expected_ns, bytes),
            ),
        };
        blocks.extend([block, Block::Other { kind: 4 + index as u32 % 2, length: index }]);
        outcomes.push(outcome);
    }
    (blocks, outcomes)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_we_write_reads_back(
        packets in packets(), pcapng: bool, nanoseconds: bool, gz: bool,
    ) {
        let file = TempFile::new(if gz { ".gz" } else { "" });
        let (format, ending) = match pcapng {
            true => (Format::PcapNg, ".pcapng.gz"),
            false => (Format::Pcap, ".pcap"),
        };
        prop_assert_eq!(Format::of_path(ending.as_ref()), format);
        let (precision, unit_ns) = match nanoseconds {
            true => (Precision::Nanoseconds, 1),
            false => (Precision::Microseconds, 1000),
        };
        let mut writer = CaptureWriter::create(&file.0, format, precision).expect("created");
        for (index, (timestamp_ns, bytes)) in packets.iter().enumerate() {
            writer.write(*timestamp_ns, bytes);
            if index % 7 == 0 {
                writer.flush();
            }
        }
        writer.close().expect("written");
        let is_gzip = std::fs::read(&file.0).expect("read").starts_with(&[0x1F, 0x8B]);
        prop_assert_eq!(is_gzip, gz);
        let expected: Vec<Outcome> = packets
            .into_iter()
            .map(|(timestamp_ns, bytes)| Outcome::Packet(timestamp_ns / unit_ns * unit_ns, bytes))
            .collect();
        prop_assert_eq!(read_all(&file.0).expect("a capture"), expected);
    }

    #[test]
    fn every_variant_of_pcap_is_read(packets in packets(), variant in pcap_variant(), gz: bool) {
        let bytes = variant.write(&packets);
        let file = TempFile::with(&if gz { gzip(&bytes) } else { bytes });
        prop_assert_eq!(read_all(&file.0).expect("a capture"), variant.outcomes(&packets));
    }

    #[test]
    fn every_block_and_section_of_pcapng_is_read(
        sections in proptest::collection::vec((any::<bool>(), 0..5usize, 0..9i64, packets()), 1..4),
        gz: bool,
    ) {
        let (mut blocks, mut expected) = (Vec::new(), Vec::new());
        for (big, tsresol, tsoffset, packets) in &sections {
            let tsresol = [None, Some(6), Some(9), Some(0), Some(0x81)][*tsresol];
            let (more, outcomes) = section(*big, tsresol, *tsoffset, packets);
            blocks.extend(more);
            expected.extend(outcomes);
        }
        let bytes = write_blocks(&blocks);
        let file = TempFile::with(&if gz { gzip(&bytes) } else { bytes });
        prop_assert_eq!(read_all(&file.0).expect("a capture"), expected);
    }
}

#[test]
fn the_longest_records_are_read_and_longer_ones_are_corrupt() {
    let lengths = [262_144, 1, 262_143, 0, 262_144, 65_535];
    let mut packets: Vec<_> =
        lengths.iter().map(|&length| (0, vec![length as u8; length])).collect();
    let variant = PcapVariant { big: true, magic: 0xA1B2_3C4D, minor: 4, link_type: 1 };
    let file = TempFile::with(&variant.write(&packets));
    assert!(read_all(&file.0).expect("a capture") == variant.outcomes(&packets));

    packets.insert(1, (0, vec![0; 262_145]));
    let file = TempFile::with(&variant.write(&packets));
    let outcomes = read_all(&file.0).expect("a capture");
    assert_eq!(outcomes[1..], [Outcome::Dropped("corrupt")], "pcap has no way to find the next");

    let enhanced = |(_, bytes): &(u64, Vec<u8>)| Block::Enhanced {
        interface: 0,
        units: 0,
        bytes: bytes.clone(),
    };
    let mut blocks = vec![
        Block::Section { big: false },
        Block::Interface { link_type: 1, snaplen: 0, tsresol: None, tsoffset: 0 },
        Block::Interface { link_type: 9, snaplen: 0, tsresol: None, tsoffset: 0 },
    ];
    blocks.extend(packets.iter().map(enhanced));
    // Longer than the buffer, and longer than any block may be.
    blocks.push(Block::Other { kind: 10, length: 3 << 20 });
    blocks.push(Block::Enhanced { interface: 1, units: 0, bytes: vec![0; 1 << 20] });
    blocks.push(Block::Simple { bytes: vec![5; 600_000] });
    blocks.push(enhanced(&packets[0]));
    blocks.push(Block::Other { kind: 10, length: 16 << 20 });
    let file = TempFile::with(&write_blocks(&blocks));
    let outcomes = read_all(&file.0).expect("a capture");
    let mut expected = variant.outcomes(&packets);
    expected[1] = Outcome::Dropped("corrupt");
    expected.extend(["link_type", "corrupt"].map(Outcome::Dropped));
    expected.push(Outcome::Packet(0, packets[0].1.clone()));
    expected.push(Outcome::Dropped("corrupt"));
    assert!(outcomes == expected);
}

#[test]
fn a_gzip_stream_that_breaks_off_or_is_damaged_is_counted() {
    let variant = PcapVariant { big: false, magic: 0xA1B2_C3D4, minor: 4, link_type: 1 };
    let noise = |seed: u64| (0..400).map(move |byte| (seed * 31 + byte * byte) as u8).collect();
    let packets: Vec<(u64, Vec<u8>)> = (0..500).map(|seed| (0, noise(seed))).collect();
    let packed = gzip(&variant.write(&packets));
    let last = |bytes: &[u8]| {
        let outcomes = read_all(&TempFile::with(bytes).0).expect("a capture");
        assert!(outcomes.len() <= 501);
        outcomes.last().cloned()
    };
    assert_eq!(last(&packed[..packed.len() / 2]), Some(Outcome::Dropped("truncated")));
    // All packets are there, but not the checksum behind them.
    assert_eq!(last(&packed[..packed.len() - 4]), Some(Outcome::Dropped("truncated")));
    let mut damaged = packed.clone();
    let place = damaged.len() - 6;
    damaged[place] ^= 0xFF;
    assert_eq!(last(&damaged), Some(Outcome::Dropped("corrupt")));
    // Several members in a row are one stream (RFC 1952 section 2.2).
    let two = [packed.clone(), gzip(&variant.write(&packets)[24..])].concat();
    assert_eq!(read_all(&TempFile::with(&two).0).expect("a capture").len(), 1000);
}

/// A block, or a file's first one, as bytes: kind, first length, body, last length.
fn block(kind: u32, first: u32, body: &[u8], last: u32) -> Vec<u8> {
    [&kind.to_le_bytes()[..], &first.to_le_bytes(), body, &last.to_le_bytes()].concat()
}

#[test]
fn blocks_that_contradict_themselves_are_corrupt_and_end_the_file() {
    let good = write_blocks(&[
        Block::Section { big: false },
        Block::Interface { link_type: 1, snaplen: 0, tsresol: None, tsoffset: 0 },
        Block::Enhanced { interface: 0, units: 1, bytes: vec![1; 60] },
    ]);
    let packet = Outcome::Packet(1000, vec![1; 60]);
    let section = |major: u8| [0x4D, 0x3C, 0x2B, 0x1A, major, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for (what, bad) in [
        ("its two lengths differ", block(10, 16, &[0; 4], 20)),
        ("a length that is no multiple of 4", block(10, 14, &[0; 2], 14)),
        ("shorter than its own framing", block(10, 8, &[], 8)),
        ("longer than any block", block(10, 64 << 20, &[], 12)),
        ("a section of version 2", block(0x0A0D_0D0A, 28, &section(2), 28)),
        ("a section without byte order", block(0x0A0D_0D0A, 28, &[7; 16], 28)),
        ("an interface without a body", block(1, 12, &[], 12)),
    ] {
        let file = TempFile::with(&[&good[..], &bad, &good].concat());
        let outcomes = read_all(&file.0).expect("a capture");
        assert_eq!(outcomes, [packet.clone(), Outcome::Dropped("corrupt")], "{what}");
    }
    // The first interface is read when the file is opened; what is wrong with it still counts.
    let first = write_blocks(&[Block::Section { big: true }]);
    let file = TempFile::with(&[&first[..], &[0, 0, 0, 1, 0, 0, 0, 12, 0, 0, 0, 12]].concat());
    assert_eq!(read_all(&file.0).expect("a capture"), [Outcome::Dropped("corrupt")]);
}

#[test]
fn what_is_written_to_a_name_of_gzip_is_gzip() {
    let file = TempFile::new(".pcapng.gz");
    assert_eq!(Format::of_path(&file.0), Format::PcapNg);
    let precision = Precision::Microseconds;
    CaptureWriter::create(&file.0, Format::PcapNg, precision).expect("created").close().expect("");
    assert!(std::fs::read(&file.0).expect("read").starts_with(&[0x1F, 0x8B]));
    assert_eq!(read_all(&file.0).expect("a capture"), []);
}
