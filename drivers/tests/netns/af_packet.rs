//! `af_packet:` at one end of a veth pair, the kernel's stack or a plain socket at the other.

use wirelet_abi::{DropReason, ErrorCode};

use crate::namespace::{Namespace, possible};
use crate::raw::{Raw, assert_same, is_experiment, packet, tagged};
use crate::rig::{Rig, drops, is_ready, stats, until, xstat};

/// Both rings: all that follows holds for either.
const SPECS: [&str; 2] = ["af_packet:ours?tpacket=2", "af_packet:ours?tpacket=3"];

/// A namespace with `ours`, joined to `theirs` in another one.
fn wire() -> (Namespace, Namespace) {
    let (here, there) = (Namespace::new(), Namespace::new());
    here.veth("ours", &there, "theirs");
    (here, there)
}

#[test]
fn bytes_are_the_same_both_ways() {
    if !possible() {
        return;
    }
    for spec in SPECS {
        let ((here, there), mut rig) = (wire(), Rig::new());
        let mut device = rig.open(&here, spec);
        let limits = device.tx_limits();
        assert_eq!((device.mtu(), limits.max_bytes, limits.padded_bytes), (1500, 1518, 60));
        assert!(device.promiscuous() && device.mac()[0] & 1 == 0 && device.mac() != [0; 6]);
        let mut peer = Raw::new(&there, "theirs");
        let mut packets: Vec<Vec<u8>> =
            (60..=1514).step_by(11).map(|length| packet(length, length)).collect();
        packets.push(packet(1, 1514));
        // The kernel takes the outermost tag out and leaves the others.
        packets.push(tagged(&packet(2, 1514), &[(0x8100, 0x2064)]));
        packets.push(tagged(&packet(3, 100), &[(0x88A8, 5), (0x8100, 0xEFFF)]));
        packets.push(tagged(&packet(4, 100), &[(0x8100, 0)]));
        packets.iter().for_each(|packet| peer.send(packet));
        assert_same(&rig.receive(&mut *device, packets.len(), is_experiment), &packets);
        packets.iter().for_each(|packet| assert!(rig.send(&mut *device, packet)));
        let received: Vec<Vec<u8>> = packets.iter().filter_map(|_| peer.receive()).collect();
        assert_same(&received, &packets);
        assert_eq!((stats(&*device).rx_drops, stats(&*device).tx_errors), ([0; 32], 0));
        rig.close([device]);
    }
}

#[test]
fn a_whole_burst_is_sent_in_order() {
    if !possible() {
        return;
    }
    let ((here, there), mut rig) = (wire(), Rig::new());
    let mut device = rig.open(&here, "af_packet:ours");
    let mut peer = Raw::new(&there, "theirs");
    let packets: Vec<Vec<u8>> = (0..256).map(|number| packet(number, 60 + number)).collect();
    assert_eq!(rig.send_burst(&mut *device, &packets), 256);
    let received: Vec<Vec<u8>> = packets.iter().filter_map(|_| peer.receive()).collect();
    assert_same(&received, &packets);
    rig.close([device]);
}

#[test]
fn what_we_sent_ourselves_does_not_come_back() {
    if !possible() {
        return;
    }
    for spec in SPECS {
        let ((here, there), mut rig) = (wire(), Rig::new());
        // Past a queueing discipline, so that the kernel shows it to packet sockets at all.
        let mut device = rig.open(&here, &format!("{spec}&qdisc"));
        let (mut peer, mut watcher) = (Raw::new(&there, "theirs"), Raw::outgoing(&here, "ours"));
        (0..10).for_each(|number| assert!(rig.send(&mut *device, &packet(number, 60))));
        peer.send(&packet(77, 60));
        assert_same(&rig.receive(&mut *device, 1, is_experiment), &[packet(77, 60)]);
        assert_eq!(watcher.receive(), Some(packet(0, 60)), "other sockets do see them");
        rig.close([device]);
    }
}

#[test]
fn without_promiscuous_mode_only_packets_for_us_arrive() {
    if !possible() {
        return;
    }
    let ((here, there), mut rig) = (wire(), Rig::new());
    let mut device = rig.open(&here, "af_packet:ours?promiscuous=false");
    assert!(!device.promiscuous());
    let mut peer = Raw::new(&there, "theirs");
    let to = |mac: [u8; 6]| [&mac, &packet(1, 60)[6..]].concat();
    let wanted = [to(device.mac()), to([255; 6]), to([1, 0, 94, 0, 0, 1])];
    peer.send(&packet(9, 60));
    wanted.iter().for_each(|packet| peer.send(packet));
    assert_same(&rig.receive(&mut *device, 3, is_experiment), &wanted);
    assert_eq!(stats(&*device).rx_drops, [0; 32]);
    here.ip("link set ours promisc on");
    until(&mut rig, &mut *device, "promiscuous", |device| device.promiscuous());
    rig.close([device]);
}

#[test]
fn queues_share_flows_and_nothing_arrives_twice() {
    if !possible() {
        return;
    }
    for spec in SPECS {
        let ((here, there), mut rig) = (wire(), Rig::new());
        let mut queues = rig.try_open(&here, spec, 2).expect("two queues");
        there.ip("addr add 10.1.0.1/24 dev theirs");
        there.ip("neigh add 10.1.0.2 lladdr 02:00:00:00:00:02 dev theirs");
        there.enter(|| {
            for flow in 0..64u16 {
                let socket = std::net::UdpSocket::bind(("10.1.0.1", 4000 + flow)).expect("bound");
                for _ in 0..4 {
                    assert_eq!(socket.send_to(&[7; 32], "10.1.0.2:9").ok(), Some(32));
                }
            }
        });
        let mut flows = [Vec::new(), Vec::new()];
        let mut missing = 256;
        let started = std::time::Instant::now();
        while missing > 0 && started.elapsed() < crate::rig::PATIENCE {
            for (queue, flows) in queues.iter_mut().zip(&mut flows) {
                for (_, bytes) in rig.burst(&mut **queue) {
                    if bytes[12..14] == [8, 0] && bytes[23] == 17 {
                        flows.push(u16::from_be_bytes([bytes[34], bytes[35]]));
                        missing -= 1;
                    }
                }
            }
        }
        assert_eq!(missing, 0, "{} and {}", flows[0].len(), flows[1].len());
        assert!(flows.iter().all(|flows| !flows.is_empty()), "one queue has all flows");
        assert!(flows[0].iter().all(|flow| !flows[1].contains(flow)), "a flow on two queues");
        rig.close(queues);
    }
}

#[test]
fn an_interface_that_is_replaced_at_once_is_gone_all_the_same() {
    if !possible() {
        return;
    }
    let ((here, there), mut rig) = (wire(), Rig::new());
    let mut device = rig.open(&here, "af_packet:ours");
    let index = here.index_of("ours");
    here.ip("link del ours");
    // The same name and the same number: only the socket knows that it is another one.
    here.ip(&format!("link add ours index {index} type veth peer name other"));
    here.ip("link set ours up");
    here.ip("link set other up");
    until(&mut rig, &mut *device, "gone", |device| device.finished());
    assert_eq!(device.take_error().map(|error| error.code), Some(ErrorCode::InterfaceGone));
    drop(there);
    rig.close([device]);
}

#[test]
fn what_finds_no_frame_waits_and_what_finds_no_room_is_the_kernels_drop() {
    if !possible() {
        return;
    }
    for spec in SPECS {
        let ((here, there), mut rig) = (wire(), Rig::with_frames(64, 2048));
        let mut device = rig.open(&here, &format!("{spec}&ring=64"));
        let mut peer = Raw::new(&there, "theirs");
        let held: Vec<u32> = std::iter::from_fn(|| rig.frames.take()).collect();
        (0..20).for_each(|number| peer.send(&packet(number, 60)));
        assert!(rig.burst(&mut *device).is_empty());
        held.into_iter().for_each(|frame| rig.frames.give(frame));
        let expected: Vec<Vec<u8>> = (0..20).map(|number| packet(number, 60)).collect();
        assert_same(&rig.receive(&mut *device, 20, is_experiment), &expected);

        (0..4000).for_each(|number| peer.send(&packet(number, 1000)));
        let received = rig.receive_rest(&mut *device, is_experiment).len() as u64;
        device.close(&mut rig.frames).expect("closed");
        assert!(received >= 64 && received + xstat(&*device, "kernel_dropped") == 4000);
        rig.close([device]);
    }
}

#[test]
fn packets_that_are_too_long_are_counted_and_the_next_one_arrives() {
    if !possible() {
        return;
    }
    for spec in SPECS {
        let ((here, there), mut rig) = (wire(), Rig::with_frames(64, 2048));
        here.ip("link set ours mtu 9000");
        there.ip("link set theirs mtu 9000");
        let mut device = rig.open(&here, spec);
        let mut peer = Raw::new(&there, "theirs");
        let room = 1920;
        let packets = [
            packet(1, room),
            packet(2, room + 1),
            tagged(&packet(3, room - 4), &[(0x8100, 7)]),
            tagged(&packet(4, room - 3), &[(0x8100, 7)]),
            packet(5, 9014),
            packet(6, 60),
        ];
        packets.iter().for_each(|packet| peer.send(packet));
        let [first, _, third, _, _, last] = packets;
        assert_same(&rig.receive(&mut *device, 3, is_experiment), &[first, third, last]);
        assert_eq!(drops(&*device, DropReason::TooLong), 3);
        rig.close([device]);
    }
}

#[test]
fn a_link_that_goes_down_comes_back() {
    if !possible() {
        return;
    }
    for spec in SPECS {
        let ((here, there), mut rig) = (wire(), Rig::new());
        let mut device = rig.open(&here, spec);
        for (namespace, interface) in [(&here, "ours"), (&there, "theirs")] {
            let errors = stats(&*device).tx_errors;
            namespace.ip(&format!("link set {interface} down"));
            until(&mut rig, &mut *device, "down", |device| !stats(device).link_up);
            assert!(rig.send(&mut *device, &packet(1, 60)), "it counts what it takes");
            assert_eq!(stats(&*device).tx_errors, errors + 1);
            assert!(device.take_error().is_none() && !device.finished());
            device.flush();
            assert!(!is_ready(device.idle()), "an error that waits would wake the lcore for ever");
            namespace.ip(&format!("link set {interface} up"));
            until(&mut rig, &mut *device, "up", |device| stats(device).link_up);
        }
        let mut peer = Raw::new(&there, "theirs");
        assert!(rig.send(&mut *device, &packet(2, 60)));
        assert_eq!(peer.receive(), Some(packet(2, 60)));
        peer.send(&packet(3, 60));
        assert_same(&rig.receive(&mut *device, 1, is_experiment), &[packet(3, 60)]);
        rig.close([device]);
    }
}

#[test]
fn an_interface_that_opens_while_it_is_down_works_when_it_is_up() {
    if !possible() {
        return;
    }
    let ((here, there), mut rig) = (wire(), Rig::new());
    here.ip("link set ours down");
    let mut device = rig.open(&here, "af_packet:ours");
    assert!(!stats(&*device).link_up && device.take_error().is_none());
    here.ip("link set ours up");
    until(&mut rig, &mut *device, "up", |device| stats(device).link_up);
    Raw::new(&there, "theirs").send(&packet(1, 60));
    assert_same(&rig.receive(&mut *device, 1, is_experiment), &[packet(1, 60)]);
    rig.close([device]);
}

#[test]
fn an_interface_that_is_removed_under_load_ends_with_one_error() {
    if !possible() {
        return;
    }
    for spec in SPECS {
        let ((here, there), mut rig) = (wire(), Rig::new());
        let mut device = rig.open(&here, spec);
        let mut peer = Raw::new(&there, "theirs");
        let load = std::thread::spawn(move || while peer.try_send(&packet(1, 200)) {});
        rig.receive(&mut *device, 1000, is_experiment);
        here.ip("link set ours name other0");
        rig.receive(&mut *device, 1000, is_experiment);
        assert!(device.take_error().is_none());
        here.ip("link del other0");
        until(&mut rig, &mut *device, "gone", |device| device.finished());
        load.join().expect("the load ends with its interface");
        let error = device.take_error().expect("an error");
        assert_eq!((error.code, stats(&*device).link_up), (ErrorCode::InterfaceGone, false));
        // The next interface of that name is another one.
        here.veth("other0", &there, "theirs");
        (0..3).for_each(|number| assert!(rig.send(&mut *device, &packet(number, 60))));
        assert!(rig.burst(&mut *device).is_empty() && device.take_error().is_none());
        assert_eq!(stats(&*device).tx_errors, 3);
        rig.close([device]);
    }
}

#[test]
fn an_mtu_that_shrinks_costs_only_what_is_longer() {
    if !possible() {
        return;
    }
    let ((here, there), mut rig) = (wire(), Rig::new());
    let mut device = rig.open(&here, "af_packet:ours");
    let mut peer = Raw::new(&there, "theirs");
    here.ip("link set ours mtu 500");
    let packets = [packet(1, 514), packet(2, 515), packet(3, 1514), packet(4, 60)];
    assert_eq!(rig.send_burst(&mut *device, &packets), 4);
    assert_eq!(stats(&*device).tx_errors, 2);
    let [first, .., last] = packets;
    assert_eq!([peer.receive(), peer.receive()], [Some(first), Some(last)]);
    until(&mut rig, &mut *device, "MTU", |device| device.tx_limits().max_bytes == 518);
    rig.close([device]);
}

#[test]
fn what_cannot_be_opened_says_why() {
    if !possible() {
        return;
    }
    let ((here, _there), rig) = (wire(), Rig::new());
    for spec in [
        "af_packet:",
        "af_packet:ours?tpacket=1",
        "af_packet:ours?fanout=x",
        "af_packet:ours?ring=1",
        "af_packet:ours?promiscuous=maybe",
        "af_packet:ours?speed=1",
    ] {
        assert_eq!(rig.error(&here, spec, 1).code, ErrorCode::DeviceSpec, "{spec}");
    }
    let error = rig.error(&here, "af_packet:none0", 1);
    assert!(error.code == ErrorCode::Interface && error.message.contains("`none0`"), "{error}");
    here.ip("tuntap add dev tunnel0 mode tun");
    let error = rig.error(&here, "af_packet:tunnel0", 1);
    assert!(error.message.contains("no Ethernet interface"), "{error}");
    let error = here.enter(|| {
        // SAFETY: this call, and not libc's function, changes the user of this thread only.
        let status = unsafe { libc::syscall(libc::SYS_setresuid, 65_534, 65_534, 65_534) };
        assert_eq!(status, 0, "another user");
        rig.open_here("af_packet:ours", 1).err().expect("not permitted")
    });
    assert!(error.code == ErrorCode::Privilege && error.message.contains("`ours`"), "{error}");
}
