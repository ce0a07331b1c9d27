//! `tap:` against the kernel's stack.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use wirelet_abi::{DropReason, ErrorCode};

use crate::namespace::{Namespace, possible};
use crate::raw::{Raw, assert_same, is_experiment, packet, tagged};
use crate::rig::{PATIENCE, Rig, drops, stats, until, xstat};

#[test]
fn bytes_are_the_same_both_ways() {
    if !possible() {
        return;
    }
    let (namespace, mut rig) = (Namespace::new(), Rig::new());
    let mut device = rig.open(&namespace, "tap:wire0");
    assert!(device.mtu() == 1500 && device.tx_limits().max_bytes == 1518);
    let mut kernel = Raw::new(&namespace, "wire0");
    let mut packets: Vec<Vec<u8>> =
        (60..=1514).step_by(11).map(|length| packet(length, length)).collect();
    packets.push(packet(1, 1514));
    packets.push(tagged(&packet(2, 1514), &[(0x8100, 0x2064)]));
    packets.push(tagged(&packet(3, 100), &[(0x88A8, 5), (0x8100, 0x0FFF)]));
    for packet in &packets {
        kernel.send(packet);
    }
    assert_same(&rig.receive(&mut *device, packets.len(), is_experiment), &packets);
    packets.iter().for_each(|packet| assert!(rig.send(&mut *device, packet)));
    let received: Vec<Vec<u8>> = packets.iter().filter_map(|_| kernel.receive()).collect();
    assert_same(&received, &packets);
    assert_eq!((stats(&*device).rx_drops, stats(&*device).tx_errors), ([0; 32], 0));
    rig.close([device]);
}

#[test]
fn a_tap_of_ours_goes_with_us_and_others_stay() {
    if !possible() {
        return;
    }
    let (namespace, mut rig) = (Namespace::new(), Rig::new());
    let exists = |name: &str| {
        namespace
            .enter(|| std::fs::read_to_string("/proc/thread-self/net/dev"))
            .expect("procfs")
            .contains(name)
    };
    let device = rig.open(&namespace, "tap:ours0?mac=02:00:00:00:00:07&mtu=1400");
    assert_eq!((device.mac(), device.mtu()), ([2, 0, 0, 0, 0, 7], 1400));
    assert!(exists("ours0") && stats(&*device).link_up);
    let error = rig.error(&namespace, "tap:ours0", 1);
    assert_eq!(error.code, ErrorCode::Interface, "{error}");
    rig.close([device]);
    // A process that is being started somewhere else may hold the descriptor for a moment.
    let started = Instant::now();
    while exists("ours0") {
        assert!(started.elapsed() < PATIENCE, "the tap is still there");
        std::thread::sleep(Duration::from_millis(5));
    }

    let kept = rig.open(&namespace, "tap:kept0?persist&up=false");
    assert!(!stats(&*kept).link_up);
    rig.close([kept]);
    namespace.ip("tuntap add dev made0 mode tap multi_queue");
    namespace.ip("tuntap add dev mode0 mode tun");
    let made = rig.open(&namespace, "tap:made0");
    assert!(!stats(&*made).link_up, "somebody else's is used as it is");
    rig.close([made]);
    assert!(exists("kept0") && exists("made0"));
    let error = rig.error(&namespace, "tap:mode0", 1);
    assert!(error.code == ErrorCode::Interface && error.message.contains("no tap"), "{error}");
    let error = rig.error(&namespace, "tap:kept0", 2);
    assert!(error.message.contains("multi_queue"), "{error}");
    for spec in ["tap:", "tap:x%d", "tap:x?mac=1:2", "tap:x?mac=03:00:00:00:00:00", "tap:x?q=1"] {
        assert_eq!(rig.error(&namespace, spec, 1).code, ErrorCode::DeviceSpec, "{spec}");
    }
    assert_eq!(rig.error(&namespace, "tap:lo", 1).code, ErrorCode::Interface);
}

#[test]
fn flows_stay_on_one_queue_and_use_both() {
    if !possible() {
        return;
    }
    let (namespace, mut rig) = (Namespace::new(), Rig::new());
    let mut queues = rig.try_open(&namespace, "tap:wire0", 2).expect("two queues");
    namespace.ip("addr add 10.1.0.1/24 dev wire0");
    namespace.ip("neigh add 10.1.0.2 lladdr 02:00:00:00:00:02 dev wire0");
    namespace.enter(|| {
        for flow in 0..64u16 {
            let socket = UdpSocket::bind(("10.1.0.1", 4000 + flow)).expect("a socket");
            (0..4).for_each(|_| assert_eq!(socket.send_to(&[7; 32], "10.1.0.2:9").ok(), Some(32)));
        }
    });
    let udp = |bytes: &[u8]| bytes[12..14] == [8, 0] && bytes[23] == 17;
    let mut flows = [Vec::new(), Vec::new()];
    for (queue, flows) in queues.iter_mut().zip(&mut flows) {
        while let burst = rig.burst(&mut **queue)
            && !burst.is_empty()
        {
            let port = |bytes: &[u8]| u16::from_be_bytes([bytes[34], bytes[35]]);
            flows.extend(burst.iter().filter(|(_, b)| udp(b)).map(|(_, bytes)| port(bytes)));
        }
    }
    assert_eq!(flows[0].len() + flows[1].len(), 256);
    assert!(flows.iter().all(|flows| !flows.is_empty()), "one queue has all flows");
    assert!(flows[0].iter().all(|flow| !flows[1].contains(flow)), "a flow on two queues");
    rig.close(queues);
}

#[test]
fn what_cannot_be_received_or_sent_is_counted() {
    if !possible() {
        return;
    }
    let (namespace, mut rig) = (Namespace::new(), Rig::with_frames(16, 2048));
    let mut device = rig.open(&namespace, "tap:wire0?mtu=4000");
    let mut kernel = Raw::new(&namespace, "wire0");
    kernel.send(&packet(1, 1920));
    kernel.send(&packet(2, 1921));
    kernel.send(&packet(3, 4014));
    kernel.send(&packet(4, 60));
    let packets = rig.receive(&mut *device, 2, is_experiment);
    assert_same(&packets, &[packet(1, 1920), packet(4, 60)]);
    assert_eq!(drops(&*device, DropReason::TooLong), 2);
    assert_eq!(stats(&*device).rx_drop_bytes, 1921 + 4014);

    namespace.ip("link set wire0 down");
    assert!(rig.send(&mut *device, &packet(5, 60)), "it takes what it counts as an error");
    assert_eq!(stats(&*device).tx_errors, 1);
    until(&mut rig, &mut *device, "link down", |device| !stats(device).link_up);
    namespace.ip("link set wire0 up");
    until(&mut rig, &mut *device, "link up", |device| stats(device).link_up);
    assert!(device.take_error().is_none() && rig.send(&mut *device, &packet(6, 60)));
    rig.close([device]);
}

#[test]
fn packets_that_nobody_read_in_time_show_as_the_kernels_drops() {
    if !possible() {
        return;
    }
    let (namespace, mut rig) = (Namespace::new(), Rig::new());
    let mut device = rig.open(&namespace, "tap:wire0");
    namespace.ip("link set wire0 txqueuelen 50");
    let mut kernel = Raw::new(&namespace, "wire0");
    (0..80).for_each(|number| kernel.send(&packet(number, 60)));
    let received = rig.receive(&mut *device, 50, is_experiment);
    assert_same(&received, &(0..50).map(|number| packet(number, 60)).collect::<Vec<_>>());
    device.close(&mut rig.frames).expect("closed");
    assert_eq!(xstat(&*device, "kernel_dropped"), 30);
}

#[test]
fn an_interface_that_is_being_renamed_is_not_gone() {
    if !possible() {
        return;
    }
    let (namespace, mut rig) = (Namespace::new(), Rig::new());
    let mut device = rig.open(&namespace, "tap:wire0");
    // The kernel knows neither name for a part of each renaming, and some looks fall into it.
    std::thread::scope(|scope| {
        let renaming = scope.spawn(|| {
            for _ in 0..100 {
                namespace.ip("link set wire0 name other0");
                namespace.ip("link set other0 name wire0");
            }
        });
        while !renaming.is_finished() {
            rig.burst(&mut *device);
            device.flush();
            std::thread::yield_now();
        }
    });
    assert!(device.take_error().is_none() && !device.finished());
    rig.close([device]);
}

#[test]
fn a_tap_that_is_removed_ends_with_one_error() {
    if !possible() {
        return;
    }
    let (namespace, mut rig) = (Namespace::new(), Rig::new());
    let mut device = rig.open(&namespace, "tap:wire0");
    namespace.ip("link set wire0 name other0");
    until(&mut rig, &mut *device, "renamed", |device| stats(device).link_up);
    assert!(rig.send(&mut *device, &packet(1, 60)));
    namespace.ip("link del other0");
    until(&mut rig, &mut *device, "gone", |device| device.finished());
    let error = device.take_error().expect("an error");
    assert_eq!(error.code, ErrorCode::InterfaceGone, "{error}");
    (0..3).for_each(|number| assert!(rig.send(&mut *device, &packet(number, 60))));
    assert!(rig.burst(&mut *device).is_empty() && device.take_error().is_none());
    assert_eq!((stats(&*device).tx_errors, stats(&*device).link_up), (3, false));
    rig.close([device]);
}
