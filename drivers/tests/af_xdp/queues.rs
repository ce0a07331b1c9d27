//! Several queues, each with a socket of its own.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use wirelet_abi::ErrorCode;
use wirelet_drivers::Device;

use crate::ends::{enter, ip, join};
use crate::raw::{EXPERIMENT, RawSocket, packet, udp};
use crate::rig::{PATIENCE, Rig};

const IPV4: u16 = 0x0800;
const FLOWS: u16 = 400;
/// All packets are in a ring when `send` returns: what has not come by now does not.
const QUIET: Duration = Duration::from_millis(300);

/// Receives on all devices until nothing more comes; the source ports that each has seen.
fn spread(rig: &mut Rig, devices: &mut [Box<dyn Device>]) -> Vec<BTreeSet<u16>> {
    let mut ports = vec![BTreeSet::new(); devices.len()];
    let mut until = Instant::now() + QUIET;
    while Instant::now() < until {
        for (device, ports) in devices.iter_mut().zip(&mut ports) {
            for bytes in rig.receive_within(&mut **device, 64, Duration::from_millis(1)) {
                ports.insert(u16::from_be_bytes([bytes[34], bytes[35]]));
                until = Instant::now() + QUIET;
            }
        }
    }
    ports
}

#[test]
fn two_queues_share_the_flows_and_both_send() {
    for attach in ["native", "generic"] {
        let Some(_here) = enter() else { return };
        let peer = join("here", "there", 2);
        let socket = peer.enter(|| RawSocket::open("there", IPV4));
        let mut rig = Rig::new(4096, 2048);
        let spec = format!("af_xdp:here?attach={attach}&rx=1024&tx=64&checksum=trust");
        let mut devices = rig.try_open(&spec, 2).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(devices.len(), 2);
        for port in 0..FLOWS {
            assert!(socket.send(&udp(port, 53, b"hello")));
        }
        let ports = spread(&mut rig, &mut devices);
        // Every flow once, on one queue, and a good part of them on each. For a generic program the
        // kernel knows only of queue 0: a veth does not record the others.
        assert_eq!(ports.iter().map(BTreeSet::len).sum::<usize>(), FLOWS.into());
        assert!(ports[0].is_disjoint(&ports[1]));
        let least = if attach == "native" { 50 } else { 0 };
        assert!(ports.iter().all(|ports| ports.len() >= least), "{attach}: {ports:?}");
        let socket = peer.enter(|| RawSocket::open("there", EXPERIMENT));
        for (number, device) in (0..).zip(&mut devices) {
            assert!(rig.send(&mut **device, &packet(100, number)));
            assert_eq!(socket.receive(PATIENCE), Some(packet(100, number)));
        }
        rig.close(devices);
    }
}

#[test]
fn there_are_no_more_queues_than_the_interface_has() {
    let Some(_here) = enter() else { return };
    let _peer = join("here", "there", 2);
    let mut rig = Rig::new(4096, 2048);
    let devices = rig.try_open("af_xdp:here?rx=256&tx=64", 4).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(devices.len(), 2);
    rig.close(devices);
    let devices =
        rig.try_open("af_xdp:here?queue=1&rx=256&tx=64", 4).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(devices.len(), 1);
    rig.close(devices);
}

#[test]
fn each_port_has_its_own_queue_and_its_own_rules() {
    let Some(_here) = enter() else { return };
    let peer = join("here", "there", 2);
    let socket = peer.enter(|| RawSocket::open("there", IPV4));
    let mut rig = Rig::new(4096, 2048);
    let mut first = rig.open("af_xdp:here?queue=0&match=udp:53&rx=512&tx=64");
    let twice = rig.try_open("af_xdp:here?queue=0", 1).err().expect("queue 0 is taken");
    assert_eq!(twice.code, ErrorCode::DeviceSpec, "{twice}");
    let other = rig.try_open("af_xdp:here?queue=1&attach=generic", 1).err().expect("native now");
    assert_eq!(other.code, ErrorCode::DeviceSpec, "{other}");
    let second = rig.open("af_xdp:here?queue=1&match=!udp:53,all&rx=512&tx=64");
    for port in 0..FLOWS {
        assert!(socket.send(&udp(port, 53 + port % 2, b"hello")));
    }
    let mut devices = [first, second];
    // Each queue gets every second packet of about half of the flows.
    let ports = spread(&mut rig, &mut devices);
    assert!(ports.iter().all(|ports| ports.len() > 25), "{ports:?}");
    assert!(ports[0].iter().all(|port| port % 2 == 0) && ports[1].iter().all(|port| port % 2 == 1));
    // The program stays while one port is there, and a queue that is free can be had again.
    let [closing, mut staying] = devices;
    let staying_used = {
        let mut closing = closing;
        closing.close(&mut rig.frames).expect("closes");
        rig.region.used()
    };
    assert!(staying_used > 0 && ip("link show here").contains("xdp"));
    first = rig.open("af_xdp:here?queue=0&match=all&rx=512&tx=64");
    assert!(socket.send(&udp(7, 7, b"hello")) && socket.send(&udp(8, 7, b"hello")));
    let both = |rig: &mut Rig, device: &mut dyn Device| {
        rig.receive_within(device, 9, Duration::from_millis(300)).len()
    };
    assert_eq!(both(&mut rig, &mut *first) + both(&mut rig, &mut *staying), 2);
    rig.close([first, staying]);
    assert!(!ip("link show here").contains("xdp"), "nobody needs it any more");
}
