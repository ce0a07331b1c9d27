//! DPDK's packet socket driver on a veth pair, in namespaces of this test's own. EAL and its
//! threads live where the first port opens, so this is one test in one process.

#[path = "../../tests/netns/namespace.rs"]
mod namespace;
#[allow(dead_code, reason = "not all of it is needed here")]
#[path = "../../tests/netns/raw.rs"]
mod raw;
mod rig;

use std::time::{Duration, Instant};

use namespace::Namespace;
use raw::{Raw, is_experiment, tagged};
use rig::{PATIENCE, Rig, packet, packets, possible, stats, xstat};
use wirelet_abi::ErrorCode;

#[test]
fn packets_pass_both_ways_byte_for_byte() {
    if !possible() || !namespace::possible() {
        return;
    }
    let (here, there) = (Namespace::new(), Namespace::new());
    here.veth("v0", &there, "v1");
    let mut peer = Raw::new(&there, "v1");
    here.stay();
    for _ in 0..2 {
        let mut rig = Rig::new(2048);
        let mut device = rig.open("dpdk:net_af_packet0,iface=v0?rxd=64&txd=64");
        assert!(stats(&*device).link_up);
        assert_ne!(device.mac(), [0; 6]);
        for some in packets(300).chunks(30) {
            some.iter().for_each(|bytes| peer.send(bytes));
            let ours = |bytes: &[u8]| bytes[12..14] == [0x88, 0xb5];
            assert_eq!(rig.receive(&mut *device, some.len(), ours), some);
        }
        for some in packets(300).chunks(30) {
            rig.send(&mut *device, some);
            some.iter().for_each(|bytes| assert_eq!(peer.receive().as_ref(), Some(bytes)));
        }
        // The kernel takes a tag out of the packet, and the driver leaves it beside it.
        let wire: Vec<_> = (0..4).map(|at| tagged(&packet(at, 90), &[(0x8100, 0x6123)])).collect();
        wire.iter().for_each(|bytes| peer.send(bytes));
        assert_eq!(rig.receive(&mut *device, wire.len(), is_experiment), wire);
        assert_eq!(xstat(&*device, "tags_restored"), 4);
        rig.send(&mut *device, &wire);
        wire.iter().for_each(|bytes| assert_eq!(peer.receive().as_ref(), Some(bytes)));
        rig.close([device]);
    }
    // Down, up, and deleted under it, with packets on their way out all the time.
    let mut rig = Rig::new(2048);
    let mut device = rig.open("dpdk:net_af_packet0,iface=v0?rxd=64&txd=64");
    for (words, link_up) in [("link set v0 down", false), ("link set v0 up", true)] {
        here.ip(words);
        let started = Instant::now();
        while stats(&*device).link_up != link_up {
            assert!(started.elapsed() < PATIENCE, "never after {words}");
            rig.offer(&mut *device, &packets(3));
            assert_eq!(device.take_error(), None);
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    here.ip("link del v0");
    let started = Instant::now();
    let error = loop {
        assert!(started.elapsed() < PATIENCE, "never gone");
        rig.offer(&mut *device, &packets(3));
        if let Some(error) = device.take_error() {
            break error;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    assert_eq!(error.code, ErrorCode::InterfaceGone);
    assert!(device.finished() && !stats(&*device).link_up);
    rig.close([device]);
}
