//! Packets come and go as they are, in every mode and with every frame size.

use crate::ends::{enter, ip, join};
use crate::raw::{EXPERIMENT, RawSocket, packet};
use crate::rig::{PATIENCE, Rig, stats, until, xstat};
use wirelet_abi::ErrorCode;

/// Every length around the borders, and some between.
fn lengths() -> impl Iterator<Item = usize> {
    (60..70).chain([127, 128, 129, 255, 256, 257, 511, 512, 1023, 1024]).chain(1500..=1514)
}

fn both_ways(frame_bytes: usize, attach: &str, mode: &str) {
    let what = format!("{frame_bytes} {attach} {mode}");
    let peer = join("here", "there", 1);
    let socket = peer.enter(|| RawSocket::open("there", EXPERIMENT));
    let mut rig = Rig::new(1024, frame_bytes);
    let mut device = rig.open(&format!("af_xdp:here?attach={attach}&mode={mode}"));
    assert_eq!(xstat(&*device, "native"), u64::from(attach == "native"), "{what}");
    let lengths: Vec<usize> = lengths().collect();
    // More packets than frames: each frame is used several times.
    for (number, length) in (0..2000).zip(lengths.iter().cycle()) {
        assert!(socket.send(&packet(*length, number)));
        let received = rig.receive(&mut *device, 1).remove(0);
        assert!(received == packet(*length, number), "{what}: {length} bytes received");
        assert!(rig.send(&mut *device, &packet(*length, !number)));
        let sent = socket.receive(PATIENCE).unwrap_or_else(|| panic!("{what}: {length} sent"));
        assert!(sent == packet(*length, !number), "{what}: {length} bytes sent");
    }
    assert_eq!(stats(&*device).rx_drops.iter().sum::<u64>(), 0, "{what}");
    assert_eq!((stats(&*device).tx_errors, xstat(&*device, "tx_invalid")), (0, 0), "{what}");
    rig.close([device]);
}

#[test]
fn bytes_are_kept_in_native_mode() {
    // veth has no zero copy: with `auto` the kernel falls back to copying.
    for (frame_bytes, mode) in [(2048, "copy"), (2048, "auto"), (2240, "auto"), (4096, "auto")] {
        let Some(_here) = enter() else { return };
        both_ways(frame_bytes, "native", mode);
    }
}

#[test]
fn bytes_are_kept_in_generic_mode() {
    for frame_bytes in [2048, 2240, 4096] {
        let Some(_here) = enter() else { return };
        both_ways(frame_bytes, "generic", "auto");
    }
}

#[test]
fn packets_may_lie_anywhere_in_their_frames() {
    for frame_bytes in [2048, 2240] {
        let Some(_here) = enter() else { return };
        let peer = join("here", "there", 1);
        let socket = peer.enter(|| RawSocket::open("there", EXPERIMENT));
        let mut rig = Rig::new(256, frame_bytes);
        let mut device = rig.open("af_xdp:here?rx=64&tx=64");
        let ends = [0, 1, 63, 64, frame_bytes - 1514, frame_bytes - 1600];
        for (number, offset) in (0..600).zip(ends.into_iter().cycle()) {
            let expected = packet(1514, number);
            let mbuf = rig.mbuf(&expected, offset);
            assert_eq!(device.tx_burst(&mut rig.frames, &[mbuf]), 1);
            assert!(socket.receive(PATIENCE) == Some(expected), "{frame_bytes}: at {offset}");
            device.reclaim(&mut rig.frames);
        }
        rig.close([device]);
    }
}

#[test]
fn tags_and_the_longest_packets_pass() {
    let Some(_here) = enter() else { return };
    let peer = join("here", "there", 1);
    let socket = peer.enter(|| RawSocket::open("there", EXPERIMENT));
    let mut rig = Rig::new(256, 2048);
    let mut device = rig.open("af_xdp:here?rx=64&tx=64");
    assert_eq!(device.tx_limits().max_bytes, 1518);
    assert_eq!((device.mtu(), device.tx_limits().padded_bytes), (1500, 60));
    let mut tagged = packet(1514, 7);
    tagged.splice(12..12, [0x81, 0x00, 0x00, 0x64]);
    assert!(rig.send(&mut *device, &tagged));
    // The kernel takes the tag off before packet sockets see the rest.
    assert!(socket.receive(PATIENCE) == Some(packet(1514, 7)));
    assert!(socket.send(&tagged));
    assert!(rig.receive(&mut *device, 1) == [tagged]);
    rig.close([device]);
}

#[test]
fn the_mac_and_the_link_are_the_interfaces() {
    let Some(_here) = enter() else { return };
    let _peer = join("here", "there", 1);
    ip("link set here address 02:00:00:00:77:01");
    let mut rig = Rig::new(256, 2048);
    let quiet = rig.open("af_xdp:here?promiscuous=false");
    assert!(!quiet.promiscuous() && ip("-d link show here").contains("promiscuity 0"));
    rig.close([quiet]);
    let device = rig.open("af_xdp:here");
    assert_eq!(device.mac(), [2, 0, 0, 0, 0x77, 1]);
    assert!(device.promiscuous() && ip("-d link show here").contains("promiscuity 1"));
    assert!(stats(&*device).link_up);
    rig.close([device]);
    until("nobody asks for promiscuous mode", || ip("-d link show here").contains("promiscuity 0"));
}

#[test]
fn frames_and_interfaces_that_can_not_work_are_refused() {
    let Some(_here) = enter() else { return };
    let _peer = join("here", "there", 1);
    let code = |frame_bytes: usize, spec: &str| {
        let error = Rig::new(256, frame_bytes).try_open(spec, 1).err();
        let error = error.unwrap_or_else(|| panic!("{spec} opened"));
        println!("{error}");
        until("nothing is left attached", || !ip("link show here").contains("xdp"));
        error.code
    };
    assert_eq!(code(8192, "af_xdp:here"), ErrorCode::FrameSize);
    assert_eq!(code(2240, "af_xdp:here?mode=zerocopy"), ErrorCode::FrameSize);
    assert_eq!(code(2048, "af_xdp:here?mode=zerocopy"), ErrorCode::Interface);
    assert_eq!(code(2048, "af_xdp:nowhere"), ErrorCode::Interface);
    assert_eq!(code(2048, "af_xdp:"), ErrorCode::Interface);
    assert_eq!(code(2048, "af_xdp:here?queue=5"), ErrorCode::Interface);
    ip("link set here mtu 3000");
    assert_eq!(code(2048, "af_xdp:here"), ErrorCode::FrameSize);
    let mut rig = Rig::new(256, 4096);
    let device = rig.open("af_xdp:here");
    rig.close([device]);
}
