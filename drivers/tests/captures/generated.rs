//! What the generator makes, as tshark decodes it: protocols, names, and every checksum right.

use std::collections::BTreeMap;
use std::process::Command;

use wirelet_drivers::{OpenContext, Rings, open};
use wirelet_packet::{Mbuf, Region, RegionConfig};

use crate::foreign::TempFile;

const COUNT: usize = 900;

#[test]
fn tshark_finds_every_protocol_and_no_bad_checksum() {
    let file = TempFile::new(".pcap");
    generate(
        "gen:?rate=max&count=900&flows=90&sizes=60-400&vlan=7&names=a.example,b.example\
         &protocols=udp,tcp,icmp,dns,arp,udp6,tcp6,icmp6,dns6",
        &file,
    );
    let checks = ["ip", "tcp", "udp"].map(|protocol| format!("{protocol}.check_checksum:TRUE"));
    let fields = ["frame.protocols", "_ws.expert.severity", "dns.qry.name", "vlan.id"];
    let mut tshark = Command::new("tshark");
    tshark.args(["-n", "-T", "fields", "-r"]).arg(&file.0);
    checks.iter().for_each(|check| {
        tshark.args(["-o", check]);
    });
    fields.iter().for_each(|field| {
        tshark.args(["-e", field]);
    });
    tshark.args(["-e", "ip.checksum.status", "-e", "udp.checksum.status"]);
    tshark.args(["-e", "tcp.checksum.status", "-e", "icmp.checksum.status"]);
    tshark.args(["-e", "icmpv6.checksum.status"]);
    let Ok(output) = tshark.output() else {
        eprintln!("skipped: tshark is not installed");
        return;
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for line in text.lines() {
        let columns: Vec<&str> = line.split('\t').collect();
        assert_eq!(columns[3], "7", "{line}");
        // 1 is good, 0 is bad, 2 unverified; a protocol that is not there is empty.
        assert!(columns[4..].iter().all(|status| ["", "1"].contains(status)), "{line}");
        let layers: Vec<&str> = columns[0].split(':').collect();
        let transport = layers.iter().skip(3).take(4).copied().collect::<Vec<_>>().join(":");
        if transport.contains("dns") {
            assert!(["a.example", "b.example"].contains(&columns[2]), "{line}");
        }
        *kinds.entry(transport).or_default() += 1;
    }
    assert_eq!(kinds.values().sum::<usize>(), COUNT);
    let names: Vec<&str> = kinds.keys().map(String::as_str).collect();
    for expected in ["arp", "ip:udp:dns", "ip:tcp", "ip:icmp", "ipv6:udp:dns", "ipv6:icmpv6"] {
        assert!(names.iter().any(|name| name.contains(expected)), "{expected}: {names:?}");
    }
}

fn generate(spec: &str, file: &TempFile) {
    let region = Region::new(RegionConfig { frames: 256, ..RegionConfig::default() });
    let region = region.expect("a region");
    let mut frames = region.cache();
    let device = |spec: &str| {
        let context = OpenContext { region: region.clone(), port: 1, queues: 1 };
        let opened = open(spec, &context, &mut Rings::default());
        opened.unwrap_or_else(|error| panic!("{error}")).remove(0)
    };
    let (mut source, mut target) = (device(spec), device(&format!("pcap:,{}", file.0.display())));
    let mut burst = [Mbuf::default(); 64];
    while !source.finished() {
        let count = source.rx_burst(&mut frames, &mut burst);
        assert_eq!(target.tx_burst(&mut frames, &burst[..count]), count);
    }
    source.close(&mut frames).expect("closes");
    target.close(&mut frames).expect("written");
    assert_eq!(region.used(), 0);
}
