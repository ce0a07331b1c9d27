//! The same answers as libpcap's own interpreter gives, over packets that the generator makes.

use proptest::prelude::*;

use super::*;
use crate::testing::Rig;

const EXPRESSIONS: &[&str] = &[
    "",
    "ip",
    "ip6",
    "arp",
    "udp port 53",
    "udp port 53 and src net 198.18.0.0/17",
    "not (udp and (port 53 or port 9))",
    "tcp[tcpflags] & (tcp-syn|tcp-ack) != 0",
    "icmp or icmp6",
    "net 198.18.0.0/17 and greater 100",
    "less 80",
    "ether host 02:00:00:00:00:03",
    "vlan 7",
    "vlan and udp port 53",
    "ip[3] % 7 = 2 or ip[8] * 2 > ip[9] - 1 and ip[2:2] / ip[8] = 1",
    "ip[6:2] & 0x1fff = 0 and udp[4:2] << 1 > 20",
    "ether[14] ^ 3 = 0x46 or len - 60 < 30",
    "src portrange 1000-2000 and dst net 198.19.0.0/16",
    "ether[len - 1] != 0",
];

fn packets() -> Vec<Vec<u8>> {
    let mut rig = Rig::new(256);
    let all = "protocols=udp,tcp,icmp,dns,arp,udp6,tcp6,icmp6,dns6";
    let options = ["", "&vlan=7"].map(|vlan| format!("rate=max&count=90&{all}&sizes=60-300{vlan}"));
    let receive = |options: String| {
        let mut device = rig.open(&format!("gen:?{options}"), 3);
        rig.receive(&mut *device)
    };
    options.into_iter().flat_map(receive).map(|(_, bytes)| bytes).collect()
}

/// Compiled, or `None` without a libpcap: then the test says so and proves nothing.
fn compiled(expression: &str) -> Option<Vec<Instruction>> {
    match Filter::compile(expression) {
        Ok(instructions) => Some(instructions),
        Err(error) if error.code == ErrorCode::Libpcap => {
            eprintln!("skipped: no libpcap");
            None
        }
        Err(error) => panic!("{expression}: {error}"),
    }
}

#[test]
fn every_expression_says_what_libpcap_says() {
    let packets = packets();
    assert_eq!(packets.len(), 180);
    for expression in EXPRESSIONS {
        let Some(instructions) = compiled(expression) else { return };
        let filter = Filter::new(&instructions).unwrap_or_else(|error| panic!("{error}"));
        let mut matched = 0;
        for packet in &packets {
            for kept in [packet.len(), 40, 20, 13, 0] {
                let bytes = &packet[..kept.min(packet.len())];
                let expected = libpcap::offline_filter(&instructions, bytes, packet.len());
                let expected = expected.map(|value| value != 0);
                let wanted = filter.matches(bytes, packet.len());
                assert_eq!(Some(wanted), expected, "{expression}, {bytes:x?}");
                matched += usize::from(wanted);
            }
        }
        assert!(matched > 0, "{expression} matches nothing of ours");
    }
}

#[test]
fn what_is_no_expression_is_told_in_libpcaps_words() {
    for (expression, words) in [
        ("prot 53", "syntax error"),
        ("host", "syntax error"),
        ("port 70000", "illegal port number 70000 > 65535"),
        ("udp\0", "a NUL"),
        ("ip6 protochain 17", "a jump backwards"),
    ] {
        match Filter::parse(expression) {
            Err(error) if error.code == ErrorCode::Libpcap => return eprintln!("skipped"),
            Err(error) => {
                assert_eq!(error.code, ErrorCode::Filter);
                assert!(error.message.contains(words), "{error}");
            }
            Ok(_) => panic!("{expression:?} was taken"),
        }
    }
    assert_eq!(Filter::parse(&"(".repeat(5000)).expect_err("long").code, ErrorCode::Filter);
    // As deep as it gets: an error or a filter, no crash.
    let deep = FILTER_TEXT_BYTES_MAX / 2 - 2;
    let _ = Filter::parse(&format!("{}ip{}", "(".repeat(deep), ")".repeat(deep)));
    let _ = Filter::parse(&vec!["port 1"; 400].join(" or "));
}

#[test]
fn instructions_from_anywhere_are_checked() {
    let one = |code, jt, jf, k| Instruction { code, jt, jf, k };
    let end = one(0x06, 0, 0, 1);
    for (instructions, problem) in [
        (vec![], "0 instructions"),
        (vec![end; FILTER_INSTRUCTIONS_MAX + 1], "4097 instructions"),
        (vec![one(0x28, 0, 0, 12)], "no return"),
        (vec![one(0x05, 0, 0, 1), end], "out of the filter"),
        (vec![one(0x05, 0, 0, u32::MAX), end], "a jump backwards"),
        (vec![one(0x05, 0, 0, 1 << 20), end], "out of the filter"),
        (vec![one(0x15, 0, 1, 0), end], "out of the filter"),
        (vec![one(0x15, 9, 0, 0), end], "out of the filter"),
        (vec![one(0x02, 0, 0, 16), end], "memory"),
        (vec![one(0x61, 0, 0, u32::MAX), end], "memory"),
        (vec![one(0x34, 0, 0, 0), end], "division by 0"),
        (vec![one(0x94, 0, 0, 0), end], "division by 0"),
        (vec![one(0x64, 0, 0, 32), end], "shift"),
        (vec![one(0x0E, 0, 0, 0), end], "unknown"),
        (vec![one(0xFFFF, 0, 0, 0), end], "unknown"),
        (vec![one(0xB4, 0, 0, 0), end], "unknown"),
    ] {
        let error = Filter::new(&instructions).expect_err(problem);
        assert_eq!(error.code, ErrorCode::Filter);
        assert!(error.message.contains(problem), "{error}");
    }
    let filter = Filter::new(&[one(0x20, 0, 0, u32::MAX), end]).expect("allowed");
    assert!(!filter.matches(&[0; 64], 64), "nothing lies there");
    let filter = Filter::new(&[one(0x01, 0, 0, u32::MAX), one(0x50, 0, 0, 1), end]);
    assert!(!filter.expect("allowed").matches(&[0; 64], 64), "the sum does not wrap");
}

/// Any instruction that libpcap knows, jumps that mostly stay inside.
fn instruction() -> impl Strategy<Value = Instruction> {
    let codes = [
        0x20u16, 0x28, 0x30, 0x40, 0x48, 0x50, 0x80, 0x00, 0x60, 0x01, 0x61, 0x81, 0xB1, 0x02,
        0x03, 0x04, 0x0C, 0x14, 0x1C, 0x24, 0x2C, 0x34, 0x3C, 0x44, 0x4C, 0x54, 0x5C, 0x64, 0x6C,
        0x74, 0x7C, 0x84, 0x94, 0x9C, 0xA4, 0xAC, 0x05, 0x15, 0x1D, 0x25, 0x2D, 0x35, 0x3D, 0x45,
        0x4D, 0x06, 0x16, 0x07, 0x87,
    ];
    let k = prop_oneof![4 => 0u32..16, 4 => 0u32..80, 1 => any::<u32>()];
    (prop::sample::select(codes.to_vec()), 0u8..6, 0u8..6, k)
        .prop_map(|(code, jt, jf, k)| Instruction { code, jt, jf, k })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_filter_that_passes_says_what_libpcap_says(
        middle in prop::collection::vec(instruction(), 0..24),
        bytes in prop::collection::vec(any::<u8>(), 0..80),
        more in 0usize..1500,
    ) {
        // libpcap leaves its memory as it finds it; ours is zeros.
        let mut all: Vec<_> =
            (0..16).map(|k| Instruction { code: 0x02, k, ..Instruction::default() }).collect();
        all.extend(middle);
        all.push(Instruction { code: 0x16, ..Instruction::default() });
        let Ok(filter) = Filter::new(&all) else { return Ok(()) };
        let length = bytes.len() + more;
        if let Some(expected) = libpcap::offline_filter(&all, &bytes, length) {
            prop_assert_eq!(filter.matches(&bytes, length), expected != 0);
        }
    }

    #[test]
    fn any_instructions_end(
        raw in prop::collection::vec((any::<u16>(), any::<u8>(), any::<u8>(), any::<u32>()), 0..9),
        bytes in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let instruction = |&(code, jt, jf, k)| Instruction { code: code & 0xFF, jt, jf, k };
        let all: Vec<Instruction> = raw.iter().map(instruction).collect();
        if let Ok(filter) = Filter::new(&all) {
            filter.matches(&bytes, bytes.len());
        }
    }
}
