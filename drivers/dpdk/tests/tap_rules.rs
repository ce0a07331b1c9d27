//! Rules on DPDK's tap driver, which hands them to the kernel's traffic control (tc, flower). Where
//! the kernel has that they are hit; where not they are refused, and nothing of them is left.

#[allow(dead_code, reason = "not all of it is needed here")]
#[path = "../../tests/netns/namespace.rs"]
mod namespace;
#[allow(dead_code, reason = "not all of it is needed here")]
#[path = "../../tests/netns/raw.rs"]
mod raw;
mod rig;

use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};

use namespace::Namespace;
use raw::Raw;
use rig::{BURST, PATIENCE, Rig, possible};
use wirelet_drivers::{Device, Match, Rule, RuleAction, VlanMatch};

/// Of IPv4 packets to this UDP port.
fn to_port(port: u16, action: RuleAction) -> Rule {
    let when = Match {
        ether_type: Some(0x0800),
        protocol: Some(17),
        destination_port: Some((port, port)),
        ..Match::default()
    };
    Rule { when, action, mark: None }
}

fn udp(port: u16) -> Vec<u8> {
    let mut bytes = vec![0xFF; 6];
    bytes.extend([2, 0, 0, 0, 0, 9, 8, 0, 0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0]);
    bytes.extend([10, 0, 0, 1, 10, 0, 0, 2, 0x10, 0]);
    bytes.extend(port.to_be_bytes());
    bytes.extend([0, 26, 0, 0]);
    bytes.resize(60, 0);
    bytes
}

/// Ports and queues of the UDP packets that come, until `last` does.
fn arrivals(rig: &mut Rig, devices: &mut [Box<dyn Device>], last: u16) -> Vec<(u16, usize)> {
    let (started, mut seen) = (Instant::now(), Vec::new());
    while !seen.iter().any(|(port, _)| *port == last) {
        assert!(started.elapsed() < PATIENCE, "{seen:?}");
        for (queue, device) in devices.iter_mut().enumerate() {
            let burst = rig.burst(&mut **device, BURST);
            let ours = burst.iter().map(|mbuf| rig.bytes(mbuf));
            let ports =
                ours.filter(|bytes| bytes.len() == 60 && bytes[6..12] == [2, 0, 0, 0, 0, 9]);
            seen.extend(ports.map(|bytes| (u16::from_be_bytes([bytes[36], bytes[37]]), queue)));
            rig.frames.give_burst(&burst);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    seen
}

fn filters(here: &Namespace) -> String {
    let words = ["filter", "show", "dev", "wt0", "parent", "ffff:"];
    let output = here.enter(|| Command::new("tc").args(words).output()).expect("tc runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn rules_are_hit_or_refused_and_nothing_is_left() {
    if !possible() || !namespace::possible() {
        return;
    }
    let here = Namespace::new();
    here.stay();
    let mut rig = Rig::new(2048);
    let opened = rig.try_open("dpdk:net_tap0,iface=wt0?rxd=64&txd=64", 2);
    let mut devices = opened.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(devices.len(), 2, "two queues");
    here.ip("link set wt0 up");
    let before = filters(&here);
    let rules = [to_port(53, RuleAction::Drop), to_port(54, RuleAction::Queue(1))];
    let mut tag_rule = to_port(53, RuleAction::Drop);
    for vlan in [VlanMatch::Untagged, VlanMatch::Id(100)] {
        tag_rule.when.vlan = vlan;
        let mixed_up = "rule 0 is about VLAN tags, which net_tap mixes up";
        let refused = devices[0].take_rules(std::slice::from_ref(&tag_rule), true);
        assert!(refused.is_err_and(|why| why.starts_with(mixed_up)), "{vlan:?}");
        assert_eq!(filters(&here), before, "a refused rule has left a filter");
    }
    // The kernel looks past one tag.
    let taken = devices[0].take_rules(&rules, true);
    let mut kernel = Raw::new(&here, "wt0");
    [53, 54, 53, 54, 55].iter().for_each(|&port| kernel.send(&udp(port)));
    let seen = arrivals(&mut rig, &mut devices, 55);
    let ports = |wanted: u16| seen.iter().filter(|(port, _)| *port == wanted).count();
    match taken {
        Ok(_) => {
            assert!(filters(&here).contains("flower"), "{}", filters(&here));
            assert_eq!((ports(53), ports(54)), (0, 2), "{seen:?}");
            assert!(seen.iter().all(|&(port, queue)| port != 54 || queue == 1), "{seen:?}");
        }
        Err(why) => {
            let _ = writeln!(std::io::stdout(), "net_tap has no rules on this kernel: {why}");
            assert!(why.starts_with("the driver refuses rule 0: "), "{why}");
            assert_eq!(filters(&here), before, "a refused rule has left a filter");
            assert_eq!((ports(53), ports(54)), (2, 2), "{seen:?}");
        }
    }
    rig.close(devices);
    assert_eq!(here.index_of("wt0"), 0, "the tap outlived its port, and its filters with it");
}
