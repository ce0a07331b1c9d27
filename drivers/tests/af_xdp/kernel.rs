//! What does not match stays the kernel's, and what local senders leave to hardware is done.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use wirelet_abi::DropReason;
use wirelet_drivers::Device;
use wirelet_packet::Mbuf;

use crate::ends::{Namespace, enter, ip, join};
use crate::programs;
use crate::raw::{EXPERIMENT, RawSocket, packet};
use crate::rig::{PATIENCE, Rig, drops, xstat};

/// Both ends get addresses: 10.9.0.1 here, 10.9.0.2 there.
fn address(peer: &Namespace) {
    ip("addr add 10.9.0.1/24 dev here");
    peer.ip("addr add 10.9.0.2/24 dev there");
}

fn udp_socket(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind(address).expect("a UDP socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    socket
}

/// The next datagram. A machine that was paused interrupts calls that have a timeout (signal(7)).
fn hear(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match socket.recv_from(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result.map(|(length, _)| length),
        }
    }
}

/// Whether the UDP checksum of an IPv4 packet without options is right.
fn is_right(packet: &[u8]) -> bool {
    let length = u16::from_be_bytes([packet[38], packet[39]]);
    let segment = &packet[34..34 + usize::from(length)];
    let words = |bytes: &[u8]| -> u64 {
        let word = |pair: &[u8]| u64::from(pair[0]) << 8 | u64::from(*pair.get(1).unwrap_or(&0));
        bytes.chunks(2).map(word).sum()
    };
    let mut sum = words(&packet[26..34]) + 17 + u64::from(length) + words(segment);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum == 0xffff
}

#[test]
fn unmatched_traffic_reaches_the_kernel() {
    for attach in ["native", "generic"] {
        let Some(_here) = enter() else { return };
        let peer = join("here", "there", 1);
        address(&peer);
        let raw = peer.enter(|| RawSocket::open("there", EXPERIMENT));
        let mut rig = Rig::new(1024, 2048);
        let spec = format!("af_xdp:here?match=udp:5353,ethertype:0x88b5&attach={attach}");
        let mut device = rig.open(&spec);
        // ARP, and UDP to another port, both ways through the kernel.
        let here = udp_socket("10.9.0.1:7777");
        let there = peer.enter(|| udp_socket("10.9.0.2:7777"));
        let mut answer = [0; 8];
        for round in 0..50u8 {
            there.send_to(&[round; 8], "10.9.0.1:7777").expect("sent");
            hear(&here, &mut answer).expect("the kernel has it");
            here.send_to(&answer, "10.9.0.2:7777").expect("sent");
            hear(&there, &mut answer).expect("the answer came");
            assert_eq!(answer, [round; 8]);
        }
        assert!(rig.receive_within(&mut *device, 1, Duration::from_millis(20)).is_empty());
        // What matches does not reach it.
        let taken = udp_socket("10.9.0.1:5353");
        taken.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout");
        there.send_to(b"for us", "10.9.0.1:5353").expect("sent");
        assert!(raw.send(&packet(60, 1)));
        let ours = rig.receive(&mut *device, 2);
        assert!(ours[0].windows(6).any(|bytes| bytes == b"for us") && ours[1] == packet(60, 1));
        assert!(hear(&taken, &mut answer).is_err(), "the kernel has it too");
        rig.close([device]);
        // And after the end everything is the kernel's again.
        there.send_to(b"for it", "10.9.0.1:5353").expect("sent");
        taken.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        hear(&taken, &mut answer).expect("the kernel has it");
    }
}

#[test]
fn checksums_that_a_local_sender_left_undone_are_completed() {
    for (checksum, right) in [("auto", true), ("complete", true), ("trust", false)] {
        let Some(_here) = enter() else { return };
        let peer = join("here", "there", 1);
        address(&peer);
        // No neighbour has to be asked for.
        peer.ip("neigh add 10.9.0.1 lladdr ff:ff:ff:ff:ff:ff dev there");
        let there = peer.enter(|| udp_socket("10.9.0.2:7777"));
        let mut rig = Rig::new(1024, 2240);
        let mut device = rig.open(&format!("af_xdp:here?checksum={checksum}&match=udp:5353"));
        for length in [1, 2, 18, 100, 1471, 1472] {
            there.send_to(&vec![length as u8; length], "10.9.0.1:5353").expect("sent");
            let packet = rig.receive(&mut *device, 1).remove(0);
            assert_eq!(is_right(&packet), right, "checksum={checksum}: {length} bytes");
        }
        assert_eq!(xstat(&*device, "checksums_completed"), if right { 6 } else { 0 });
        rig.close([device]);
    }
}

/// Forwards between two ports until `done`, as an lcore would.
fn forward(rig: &mut Rig, ports: &mut [Box<dyn Device>; 2], done: impl Fn() -> bool) {
    let mut burst = [Mbuf::default(); 64];
    while !done() {
        let mut idle = true;
        for ingress in 0..2 {
            let count = ports[ingress].rx_burst(&mut rig.frames, &mut burst);
            let sent = ports[1 - ingress].tx_burst(&mut rig.frames, &burst[..count]);
            rig.frames.give_burst(&burst[sent..count]);
            ports[ingress].reclaim(&mut rig.frames);
            idle &= count == 0;
        }
        if idle {
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_tcp_stream_between_two_hosts_arrives_whole() {
    let Some(_here) = enter() else { return };
    let left = join("left", "inside", 1);
    let right = join("right", "inside", 1);
    left.ip("addr add 10.8.0.1/24 dev inside");
    right.ip("addr add 10.8.0.2/24 dev inside");
    let mut rig = Rig::new(8192, 2240);
    let mut ports = [rig.open("af_xdp:left"), rig.open("af_xdp:right")];
    let listener = right.enter(|| TcpListener::bind("10.8.0.2:80").expect("listens"));
    let bytes: usize = 8 << 20;
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut received = Vec::new();
        stream.read_to_end(&mut received).expect("everything");
        stream.write_all(&(received.len() as u64).to_be_bytes()).expect("the answer");
        received
    });
    let client = std::thread::spawn(move || {
        let content: Vec<u8> = (0..bytes).map(|at| (at * 7 + at / 251) as u8).collect();
        let stream = left.enter(|| TcpStream::connect("10.8.0.2:80"));
        let mut stream = stream.expect("connects");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.write_all(&content).expect("sends");
        stream.shutdown(std::net::Shutdown::Write).expect("no more");
        let mut answer = [0; 8];
        stream.read_exact(&mut answer).expect("the answer");
        (content, u64::from_be_bytes(answer))
    });
    let started = Instant::now();
    forward(&mut rig, &mut ports, || client.is_finished() || started.elapsed() > 2 * PATIENCE);
    let (content, answer) = client.join().expect("the client is content");
    assert_eq!(answer, bytes as u64);
    assert!(server.join().expect("the server is content") == content);
    for port in &ports {
        // A native program on a veth makes its peer cut segments itself: none was too long.
        assert_eq!(drops(&**port, DropReason::TooLong), 0);
        assert!(xstat(&**port, "checksums_completed") > 100);
    }
    rig.close(ports);
}

#[test]
fn segments_that_nobody_cut_are_counted_as_too_long() {
    let Some(_here) = enter() else { return };
    let left = join("left", "inside", 1);
    let right = join("right", "inside", 1);
    left.ip("addr add 10.8.0.1/24 dev inside");
    right.ip("addr add 10.8.0.2/24 dev inside");
    let mut rig = Rig::new(8192, 2240);
    let generic = |name: &str| rig.open(&format!("af_xdp:{name}?attach=generic"));
    let mut ports = [generic("left"), generic("right")];
    let listener = right.enter(|| TcpListener::bind("10.8.0.2:80").expect("listens"));
    let client = std::thread::spawn(move || {
        let stream = left.enter(|| TcpStream::connect("10.8.0.2:80"));
        let mut stream = stream.expect("connects");
        stream.set_write_timeout(Some(Duration::from_millis(300))).expect("a timeout");
        let _ = stream.write_all(&[7; 1 << 20]);
    });
    let started = Instant::now();
    forward(&mut rig, &mut ports, || client.is_finished() || started.elapsed() > PATIENCE);
    client.join().expect("the client ends");
    drop(listener);
    assert!(drops(&*ports[0], DropReason::TooLong) > 0, "a segment of many times the MTU came");
    assert_eq!(drops(&*ports[0], DropReason::NoFrame), 0);
    rig.close(ports);
}

/// A tag that the sender leaves beside the packet: in native mode the driver tells of it.
#[test]
fn tags_of_local_senders_are_kept() {
    for (rules, ours) in [("all", true), ("vlan:7", true), ("vlan:8", false), ("!vlan,all", false)]
    {
        let Some(_here) = enter() else { return };
        let peer = join("here", "there", 1);
        let Some(_tagger) = peer.enter(|| programs::tagger("there", 7)) else {
            println!("skipped: no TCX in this kernel");
            return;
        };
        let socket = peer.enter(|| RawSocket::open("there", EXPERIMENT));
        let kernel = RawSocket::open("here", EXPERIMENT);
        let mut rig = Rig::new(1024, 2240);
        let mut device = rig.open(&format!("af_xdp:here?attach=native&match={rules}"));
        for (number, length) in [(1, 60), (2, 100), (3, 1514)] {
            assert!(socket.send(&packet(length, number)));
            if !ours {
                assert!(kernel.receive(PATIENCE) == Some(packet(length, number)), "{rules}");
                continue;
            }
            let mut expected = packet(length, number);
            expected.splice(12..12, [0x81, 0x00, 0x00, 0x07]);
            let received = rig.receive(&mut *device, 1).remove(0);
            assert!(received == expected, "{rules}: {:02x?}", &received[..20]);
        }
        assert!(rig.receive_within(&mut *device, 1, Duration::from_millis(5)).is_empty());
        rig.close([device]);
        // Without a socket the kernel has the packet, with one tag and not with two.
        if rules == "all" {
            assert!(socket.send(&packet(100, 4)));
            assert!(kernel.receive(PATIENCE) == Some(packet(100, 4)));
        }
    }
}
