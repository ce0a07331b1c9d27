//! What local senders leave to hardware: a veth peer hands it out undone.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};

use wirelet_abi::DropReason;

use crate::namespace::{Namespace, possible};
use crate::raw::Raw;
use crate::rig::{Rig, drops, stats, xstat};

const SPECS: [&str; 2] = ["af_packet:ours?tpacket=2", "af_packet:ours?tpacket=3"];
const UDP_SEGMENT: i32 = 103;

/// A sender at 10.1.0.1 and fd00::1 that believes in a neighbour, joined to `ours`.
fn wire() -> (Namespace, Namespace) {
    let (here, there) = (Namespace::new(), Namespace::new());
    here.veth("ours", &there, "theirs");
    there
        .enter(|| std::fs::write("/proc/sys/net/ipv6/conf/theirs/disable_ipv6", "0"))
        .expect("IPv6");
    for words in [
        "addr add 10.1.0.1/24 dev theirs",
        "addr add fd00::1/64 dev theirs nodad",
        "neigh add 10.1.0.2 lladdr 02:00:00:00:00:02 dev theirs",
        "neigh add fd00::2 lladdr 02:00:00:00:00:02 dev theirs",
    ] {
        there.ip(words);
    }
    (here, there)
}

fn send(namespace: &Namespace, to: &str, payload: &[u8], segment: i32) {
    let to: SocketAddr = to.parse().expect("an address");
    let any = if to.is_ipv6() { "[::]:7" } else { "0.0.0.0:7" };
    namespace.enter(|| {
        let socket = UdpSocket::bind(any).expect("bound");
        let length = size_of::<i32>() as u32;
        let value = (&raw const segment).cast();
        // SAFETY: the value lives during the call and has the length that is given.
        let status = unsafe {
            libc::setsockopt(socket.as_raw_fd(), libc::SOL_UDP, UDP_SEGMENT, value, length)
        };
        assert_eq!(status, 0, "UDP_SEGMENT");
        assert_eq!(socket.send_to(payload, to).expect("sent"), payload.len());
    });
}

/// Payload of a UDP packet to port 9 whose lengths and checksums are right.
fn payload(bytes: &[u8]) -> &[u8] {
    let sum = |bytes: &[u8]| -> u64 {
        let word = |pair: &[u8]| u64::from(pair[0]) << 8 | u64::from(*pair.get(1).unwrap_or(&0));
        bytes.chunks(2).map(word).sum()
    };
    let holds = |sum: u64| sum > 0 && sum.is_multiple_of(0xFFFF);
    let ip = if bytes[12..14] == [0x81, 0] { 18 } else { 14 };
    let (addresses, udp) = match bytes[ip] >> 4 {
        4 => {
            assert!(holds(sum(&bytes[ip..ip + 20])), "IPv4 checksum");
            assert_eq!(
                usize::from(bytes[ip + 2]) << 8 | usize::from(bytes[ip + 3]),
                bytes.len() - ip
            );
            (&bytes[ip + 12..ip + 20], &bytes[ip + 20..])
        }
        _ => (&bytes[ip + 8..ip + 40], &bytes[ip + 40..]),
    };
    assert_eq!(usize::from(udp[4]) << 8 | usize::from(udp[5]), udp.len(), "UDP length");
    assert!(holds(sum(addresses) + 17 + udp.len() as u64 + sum(udp)), "UDP checksum");
    &udp[8..]
}

fn is_udp(bytes: &[u8]) -> bool {
    let ip = if bytes[12..14] == [0x81, 0] { 18 } else { 14 };
    match (bytes[ip - 2], bytes[ip - 1]) {
        (8, 0) => bytes[ip + 9] == 17 && bytes[ip + 22..ip + 24] == [0, 9],
        (0x86, 0xDD) => bytes[ip + 6] == 17 && bytes[ip + 42..ip + 44] == [0, 9],
        _ => false,
    }
}

#[test]
fn checksums_are_completed() {
    if !possible() {
        return;
    }
    for spec in SPECS {
        let ((here, there), mut rig) = (wire(), Rig::new());
        let mut device = rig.open(&here, spec);
        for to in ["10.1.0.2:9", "[fd00::2]:9"] {
            for length in [1, 2, 100, 1400] {
                let bytes: Vec<u8> = (0..length).map(|at| (at * 13) as u8).collect();
                send(&there, to, &bytes, 0);
                let received = rig.receive(&mut *device, 1, is_udp);
                assert_eq!(payload(&received[0]), bytes, "{to}");
            }
        }
        assert!(xstat(&*device, "checksums_completed") >= 8);
        assert_eq!(stats(&*device).rx_drops, [0; 32]);
        rig.close([device]);
    }
}

#[test]
fn large_packets_are_cut_into_those_they_stand_for() {
    if !possible() {
        return;
    }
    for spec in SPECS {
        let ((here, there), mut rig) = (wire(), Rig::with_frames(20, 2240));
        let mut device = rig.open(&here, spec);
        for to in ["10.1.0.2:9", "[fd00::2]:9"] {
            let cut = xstat(&*device, "packets_cut");
            let bytes: Vec<u8> = (0..50_000u32).map(|at| ((at * at) >> 7) as u8).collect();
            send(&there, to, &bytes, 1200);
            // 42 packets: more than a burst holds, and more than there are frames.
            let received = rig.receive(&mut *device, 42, is_udp);
            let joined: Vec<u8> =
                received.iter().flat_map(|bytes| payload(bytes)).copied().collect();
            assert!(joined == bytes, "{to}: {} packets, {} bytes", received.len(), joined.len());
            assert_eq!(xstat(&*device, "packets_cut"), cut + 1, "the kernel cut it itself");
        }
        assert_eq!(stats(&*device).rx_drops, [0; 32]);
        rig.close([device]);
    }
}

/// A UDP packet behind a tag, its checksum left to hardware; with a segment, it stands for several.
fn undone(payload: &[u8], segment: u16, gso_type: u8) -> Vec<u8> {
    let length = (payload.len() + 8) as u16;
    let pseudo = 0x0A01 + 0x0001 + 0x0A01 + 0x0002 + 17 + u32::from(length);
    let pseudo = ((pseudo & 0xFFFF) + (pseudo >> 16)) as u16;
    let mut ip = [0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, 17, 0, 0, 10, 1, 0, 1, 10, 1, 0, 2];
    ip[2..4].copy_from_slice(&(length + 20).to_be_bytes());
    let sum: u32 = ip.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    ip[10..12].copy_from_slice(&(!((sum & 0xFFFF) + (sum >> 16)) as u16).to_be_bytes());
    let [to, from] = [[2, 0, 0, 0, 0, 2], [2, 0, 0, 0, 0, 1]];
    let udp = [[0, 7], [0, 9], length.to_be_bytes(), pseudo.to_be_bytes()];
    let words = [46u16, segment, 38, 6].map(u16::to_ne_bytes);
    let vnet = [&[1, gso_type][..], words.as_flattened()].concat();
    [&vnet, &to[..], &from, &[0x81, 0, 0x20, 5, 8, 0], &ip, udp.as_flattened(), payload].concat()
}

#[test]
fn tags_come_back_around_completed_and_cut_packets() {
    if !possible() {
        return;
    }
    for spec in SPECS {
        let ((here, there), mut rig) = (wire(), Rig::new());
        let mut device = rig.open(&here, spec);
        let mut peer = Raw::offloading(&there, "theirs");
        let bytes: Vec<u8> = (0..3000).map(|at| (at * 13) as u8).collect();
        peer.send(&undone(&bytes[..99], 0, 0));
        peer.send(&undone(&bytes, 1400, 5));
        let received = rig.receive(&mut *device, 4, is_udp);
        assert!(received.iter().all(|packet| packet[12..16] == [0x81, 0, 0x20, 5]));
        let payloads: Vec<&[u8]> = received.iter().map(|packet| payload(packet)).collect();
        assert!(payloads == [&bytes[..99], &bytes[..1400], &bytes[1400..2800], &bytes[2800..]]);
        rig.close([device]);
    }
}

/// UDP over IPv6 that stands for three, behind 256 bytes of destination options: more headers than
/// we copy for each.
fn long_headers() -> Vec<u8> {
    let length = (256u16 + 8 + 3000).to_be_bytes();
    let words = [318u16, 1000, 310, 6].map(u16::to_ne_bytes);
    let vnet = [&[1, 5][..], words.as_flattened()].concat();
    let ethernet = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x86, 0xDD];
    let ip = [&[0x60, 0, 0, 0][..], &length, &[60, 64], &[0xFD; 32]].concat();
    // Padding options (RFC 8200 section 4.2), then UDP.
    let options = [&[17, 31, 1, 252][..], &[0; 252]].concat();
    let udp = [0, 7, 0, 9, 0x0B, 0xC0, 0, 0];
    [&vnet[..], &ethernet, &ip, &options, &udp, &[0; 3000]].concat()
}

#[test]
fn what_cannot_be_cut_is_a_counted_drop() {
    if !possible() {
        return;
    }
    for spec in SPECS {
        let ((here, there), mut rig) = (wire(), Rig::with_frames(64, 2048));
        here.ip("link set ours mtu 9000");
        there.ip("link set theirs mtu 9000");
        let mut device = rig.open(&here, spec);
        let mut peer = Raw::offloading(&there, "theirs");
        peer.send(&long_headers());
        // Segments that are longer than a frame.
        peer.send(&undone(&[2; 6000], 2900, 5));
        peer.send(&undone(&[3; 50], 0, 0));
        let received = rig.receive(&mut *device, 1, is_udp);
        assert_eq!(payload(&received[0]), [3; 50]);
        let (unsupported, long) = (DropReason::Unsupported, DropReason::TooLong);
        assert_eq!((drops(&*device, unsupported), drops(&*device, long)), (1, 1));
        rig.close([device]);
    }
}

/// Two stacks that reach each other only through us.
fn stacks(left: &Namespace, right: &Namespace, names: [&str; 2]) {
    for (namespace, name, address) in [(left, names[0], 1), (right, names[1], 2)] {
        namespace.ip(&format!("link set {name} up"));
        namespace.ip(&format!("addr add 10.3.0.{address}/24 dev {name}"));
    }
}

/// Sends `bytes` each way at once and compares what arrives.
fn exchange(left: &Namespace, right: &Namespace, bytes: &[u8]) {
    let listener = right.enter(|| TcpListener::bind("10.3.0.2:5000").expect("listening"));
    let patience = Some(crate::rig::PATIENCE);
    let talk = |stream: TcpStream| {
        stream.set_read_timeout(patience).expect("a timeout");
        stream.set_write_timeout(patience).expect("a timeout");
        let (mut reader, mut writer) = (stream.try_clone().expect("two handles"), stream);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                writer.write_all(bytes).expect("written");
                writer.shutdown(std::net::Shutdown::Write).expect("ended");
            });
            let mut received = Vec::new();
            reader.read_to_end(&mut received).expect("read");
            assert!(received == bytes, "{} of {} bytes, or others", received.len(), bytes.len());
        });
    };
    std::thread::scope(|scope| {
        scope.spawn(|| talk(listener.accept().expect("a peer").0));
        let to = SocketAddr::from(([10, 3, 0, 2], 5000));
        let stream = left.enter(|| TcpStream::connect_timeout(&to, crate::rig::PATIENCE));
        talk(stream.expect("connected"));
    });
}

fn tcp_flows_through(specs: [&str; 2], cuts: bool) {
    let (left, middle, right) = (Namespace::new(), Namespace::new(), Namespace::new());
    let mut rig = Rig::new();
    let names = if cuts {
        left.veth("left", &middle, "one");
        right.veth("right", &middle, "two");
        ["left", "right"]
    } else {
        ["one", "two"]
    };
    let places = if cuts { [&middle, &middle] } else { [&left, &right] };
    let mut devices = [0, 1].map(|side| rig.open(places[side], specs[side]));
    stacks(&left, &right, names);
    let bytes: Vec<u8> = (0..8u32 << 20).map(|at| ((at * at) >> 9) as u8).collect();
    let stop = AtomicBool::new(false);
    let counts = std::thread::scope(|scope| {
        let forward = scope.spawn(|| rig.forward(&mut devices, &stop));
        let exchanged = std::panic::catch_unwind(|| exchange(&left, &right, &bytes));
        stop.store(true, Ordering::Relaxed);
        let counts = forward.join().expect("forwarded");
        exchanged.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        counts
    });
    // Each way, at least as many packets as the MTU makes of the bytes.
    assert!(counts.received.iter().all(|&count| count > bytes.len() as u64 / 1500), "{counts:?}");
    for device in &devices {
        assert_eq!(stats(&**device).rx_drops, [0; 32]);
        assert!(!cuts || xstat(&**device, "packets_cut") > 0, "the kernel cut them itself");
    }
    rig.close(devices);
}

#[test]
fn tcp_between_two_stacks_through_af_packet() {
    if possible() {
        tcp_flows_through(["af_packet:one", "af_packet:two"], true);
        tcp_flows_through(["af_packet:one?tpacket=3", "af_packet:two?tpacket=3"], true);
    }
}

#[test]
fn tcp_between_two_stacks_through_taps() {
    if possible() {
        tcp_flows_through(["tap:one", "tap:two"], false);
    }
}
