//! Devices that go and come back while their port stays open: interfaces under DPDK's drivers for
//! packet sockets and taps, deleted and made again in namespaces of this test's own.

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
use wirelet_abi::{Error, ErrorCode};
use wirelet_drivers::Device;

const SPEC: &str = "dpdk:net_af_packet0,iface=v0?rxd=64&txd=64";

/// As an lcore does it: asks for errors now and then, until something has happened.
fn until(
    what: &str,
    devices: &mut [Box<dyn Device>],
    is: impl Fn(&dyn Device) -> bool,
) -> Vec<Error> {
    let (started, mut errors) = (Instant::now(), Vec::new());
    while !devices.iter().all(|device| is(&**device)) {
        assert!(started.elapsed() < PATIENCE, "never {what}: {errors:?}");
        errors.extend(devices.iter_mut().filter_map(|device| device.take_error()));
        std::thread::sleep(Duration::from_millis(5));
    }
    errors
}

fn is_gone(device: &dyn Device) -> bool {
    device.finished() && !stats(device).link_up
}

fn is_back(device: &dyn Device) -> bool {
    !device.finished() && stats(device).link_up
}

/// With one queue of several, which the kernel spreads packets over.
fn exchange_one_way(rig: &mut Rig, device: &mut dyn Device, peer: &mut Raw) {
    for some in packets(90).chunks(30) {
        rig.send(device, some);
        some.iter().for_each(|bytes| assert_eq!(peer.receive().as_ref(), Some(bytes)));
    }
}

/// Both ways, byte for byte, one packet with a tag that the driver takes out.
fn exchange(rig: &mut Rig, device: &mut dyn Device, peer: &mut Raw) {
    for some in packets(90).chunks(30) {
        some.iter().for_each(|bytes| peer.send(bytes));
        assert_eq!(rig.receive(device, some.len(), is_experiment), some);
    }
    exchange_one_way(rig, device, peer);
    let wire = tagged(&packet(0, 90), &[(0x8100, 0x6123)]);
    peer.send(&wire);
    assert_eq!(rig.receive(device, 1, is_experiment), [wire]);
}

/// EAL's thread lives where the first port opens, so this is one test in one process.
#[test]
fn a_device_that_is_back_is_taken_again() {
    if !possible() || !namespace::possible() {
        return;
    }
    let (here, there) = (Namespace::new(), Namespace::new());
    here.stay();
    counts_go_on(&here, &there);
    queues_take_it_one_by_one(&here, &there);
    it_may_be_closed_at_any_time(&here, &there);
    what_is_another_is_refused(&here);
}

fn counts_go_on(here: &Namespace, there: &Namespace) {
    here.veth("v0", there, "v1");
    let mut rig = Rig::new(2048);
    let mut devices = vec![rig.open(SPEC)];
    exchange(&mut rig, &mut *devices[0], &mut Raw::new(there, "v1"));
    let mut macs = vec![devices[0].mac()];
    for round in 1..=2 {
        here.ip("link del v0");
        let errors = until("gone", &mut devices, is_gone);
        assert_eq!(codes(&errors), [ErrorCode::InterfaceGone], "round {round}");
        // What is sent meanwhile is lost, and counts.
        rig.send(&mut *devices[0], &packets(7));
        assert_eq!(stats(&*devices[0]).tx_errors, 7 * round);
        assert_eq!(xstat(&*devices[0], "tags_restored"), round);
        here.veth("v0", there, "v1");
        assert_eq!(until("back", &mut devices, is_back), [], "round {round}");
        macs.push(devices[0].mac());
        exchange(&mut rig, &mut *devices[0], &mut Raw::new(there, "v1"));
        assert_eq!(stats(&*devices[0]).tx_errors, 7 * round);
        assert_eq!(xstat(&*devices[0], "tags_restored"), round + 1);
    }
    assert!(macs[0] != macs[1] && macs[1] != macs[2], "{macs:x?}");
    rig.close(devices);
    here.ip("link del v0");
}

/// An lcore that is busy elsewhere leaves its queue, or takes it again, late or never.
fn queues_take_it_one_by_one(here: &Namespace, there: &Namespace) {
    here.veth("v0", there, "v1");
    let mut rig = Rig::new(2048);
    let spec = SPEC.replace("v0", "v0,qpairs=2");
    let mut late = rig.try_open(&spec, 2).expect("two queues");
    let mut first = vec![late.remove(0)];
    for _ in 0..2 {
        here.ip("link del v0");
        assert_eq!(codes(&until("gone", &mut first, is_gone)), [ErrorCode::InterfaceGone]);
        here.veth("v0", there, "v1");
        // Longer than a look takes: the other queue has the device that is gone.
        std::thread::sleep(Duration::from_millis(1500));
        assert!(first[0].take_error().is_none() && first[0].finished());
        // In the second round it takes the second device first.
        assert!((0..2).all(|_| late[0].take_error().is_none()) && late[0].finished());
        assert_eq!(until("back", &mut first, is_back), []);
        exchange_one_way(&mut rig, &mut *first[0], &mut Raw::new(there, "v1"));
    }
    // The other queue has not taken this one, and it is gone again: it takes it, and leaves it.
    here.ip("link del v0");
    assert_eq!(codes(&until("gone", &mut first, is_gone)), [ErrorCode::InterfaceGone]);
    assert!(late[0].take_error().is_none() && !late[0].finished(), "taken");
    assert!(late[0].take_error().is_none() && late[0].finished(), "left");
    // Closed while the device is gone; the other one gets it back.
    late[0].close(&mut rig.frames).expect("closed");
    here.veth("v0", there, "v1");
    assert_eq!(until("back", &mut first, is_back), []);
    exchange_one_way(&mut rig, &mut *first[0], &mut Raw::new(there, "v1"));
    rig.close(first);
    here.ip("link del v0");
}

/// Gone, back and not taken, taken, and gone again; and while it is opened.
fn it_may_be_closed_at_any_time(here: &Namespace, there: &Namespace) {
    for delay_ms in [0, 300, 600, 800, 900, 1000, 1100, 1500] {
        here.veth("v0", there, "v1");
        let mut rig = Rig::new(1024);
        let mut devices = vec![rig.open(SPEC)];
        here.ip("link del v0");
        until("gone", &mut devices, is_gone);
        here.veth("v0", there, "v1");
        std::thread::sleep(Duration::from_millis(delay_ms));
        rig.close(devices);
        let again = rig.open(SPEC);
        rig.close([again]);
        here.ip("link del v0");
    }
    here.veth("v0", there, "v1");
    let mut rig = Rig::new(1024);
    let mut devices = vec![rig.open(SPEC)];
    for delete in ["link del v0", "link del v0"] {
        here.ip(delete);
        until("gone", &mut devices, is_gone);
        here.veth("v0", there, "v1");
        until("back", &mut devices, is_back);
    }
    here.ip("link del v0");
    until("gone", &mut devices, is_gone);
    rig.close(devices);
}

/// The tap driver makes its interface, and can't use one of another kind that has its name.
fn what_is_another_is_refused(here: &Namespace) {
    let mut rig = Rig::new(2048);
    let mut devices = vec![rig.open("dpdk:net_tap0,iface=wt0?rxd=64&txd=64")];
    let refused = |devices: &mut [Box<dyn Device>]| {
        let (started, mut errors) = (Instant::now(), Vec::new());
        while started.elapsed() < Duration::from_secs(2) {
            errors.extend(devices[0].take_error());
            std::thread::sleep(Duration::from_millis(5));
        }
        errors
    };
    here.ip("link del wt0");
    assert_eq!(codes(&until("gone", &mut devices, is_gone)), [ErrorCode::InterfaceGone]);
    for _ in 0..2 {
        here.ip("link add wt0 type veth peer name wt1");
        let errors = refused(&mut devices);
        assert_eq!(codes(&errors), [ErrorCode::DeviceOpen], "once");
        assert!(
            errors[0].message.contains("net_tap0") && errors[0].message.contains("is back, but")
        );
        assert!(is_gone(&*devices[0]));
        here.ip("link del wt0");
        assert_eq!(refused(&mut devices), []);
    }
    here.ip("tuntap add mode tap multi_queue name wt0");
    assert_eq!(until("back", &mut devices, |device| !device.finished()), []);
    here.ip("link set wt0 up");
    until("up", &mut devices, is_back);
    let mut kernel = Raw::new(here, "wt0");
    exchange_one_way(&mut rig, &mut *devices[0], &mut kernel);
    rig.close(devices);
}

fn codes(errors: &[Error]) -> Vec<ErrorCode> {
    errors.iter().map(|error| error.code).collect()
}
