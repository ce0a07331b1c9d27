//! DPDK's tap driver, in a namespace of this test's own.

#[allow(dead_code, reason = "not all of it is needed here")]
#[path = "../../tests/netns/namespace.rs"]
mod namespace;
#[allow(dead_code, reason = "not all of it is needed here")]
#[path = "../../tests/netns/raw.rs"]
mod raw;
mod rig;

use std::time::{Duration, Instant};

use namespace::Namespace;
use raw::Raw;
use rig::{BURST, PATIENCE, Rig, packets, possible, stats};
use wirelet_abi::ErrorCode;

#[test]
fn packets_pass_both_ways_byte_for_byte() {
    if !possible() || !namespace::possible() {
        return;
    }
    let here = Namespace::new();
    here.stay();
    for _ in 0..2 {
        let mut rig = Rig::new(2048);
        let mut device = rig.open("dpdk:net_tap0,iface=wt0?rxd=64&txd=64");
        here.ip("link set wt0 up");
        let mut kernel = Raw::new(&here, "wt0");
        for some in packets(300).chunks(30) {
            rig.send(&mut *device, some);
            some.iter().for_each(|bytes| assert_eq!(kernel.receive().as_ref(), Some(bytes)));
        }
        for some in packets(300).chunks(30) {
            some.iter().for_each(|bytes| kernel.send(bytes));
            let ours = |bytes: &[u8]| bytes[12..14] == [0x88, 0xb5];
            assert_eq!(rig.receive(&mut *device, some.len(), ours), some);
        }
        here.ip("link set wt0 down");
        until("down", || !stats(&*device).link_up);
        assert!(!device.finished(), "the port goes on");
        here.ip("link set wt0 up");
        until("up", || stats(&*device).link_up);
        assert_eq!(device.take_error(), None);
        rig.close([device]);
        assert_eq!(here.index_of("wt0"), 0, "the tap outlived its port");
    }
    // Its interface is deleted under it.
    let mut rig = Rig::new(2048);
    let mut device = rig.open("dpdk:net_tap0,iface=wt0?rxd=64&txd=64");
    let mut other = rig.open("dpdk:net_ring0?rxd=64&txd=64");
    here.ip("link set wt0 up");
    rig.send(&mut *device, &packets(30));
    here.ip("link del wt0");
    let mut error = None;
    until("gone", || {
        // As an lcore goes on until it is told.
        rig.offer(&mut *device, &packets(3));
        let burst = rig.burst(&mut *device, BURST);
        rig.frames.give_burst(&burst);
        error = device.take_error();
        error.is_some()
    });
    assert_eq!(error.map(|error| error.code), Some(ErrorCode::InterfaceGone));
    assert!(device.finished() && !stats(&*device).link_up);
    rig.send(&mut *other, &packets(40));
    assert_eq!(rig.receive(&mut *other, 40, |_| true), packets(40), "another port");
    rig.close([device, other]);
    let device = rig.open("dpdk:net_tap0,iface=wt0?rxd=64&txd=64");
    rig.close([device]);
}

/// EAL's thread looks at links ten times a second.
fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < PATIENCE, "never {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
