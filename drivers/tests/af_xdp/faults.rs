//! Interfaces that go down or away under load, peers that never read, and frames that come back
//! all the same.

use std::time::Duration;

use wirelet_abi::{DropReason, ErrorCode};
use wirelet_drivers::{Device, Idle};
use wirelet_packet::Mbuf;

use crate::ends::{enter, ip, join};
use crate::raw::{EXPERIMENT, RawSocket, packet};
use crate::rig::{PATIENCE, Rig, drops, stats, until, xstat};

/// Sends bursts for a while; returns how many packets the device took.
fn load(rig: &mut Rig, device: &mut dyn Device, bursts: usize) -> u64 {
    let mut taken = 0;
    for number in 0..bursts {
        let burst: Vec<Mbuf> =
            (0..32).map(|_| rig.mbuf(&packet(200, number as u32), 128)).collect();
        let sent = device.tx_burst(&mut rig.frames, &burst);
        rig.frames.give_burst(&burst[sent..]);
        taken += sent as u64;
        let mut received = [Mbuf::default(); 32];
        let count = device.rx_burst(&mut rig.frames, &mut received);
        rig.frames.give_burst(&received[..count]);
        device.reclaim(&mut rig.frames);
    }
    taken
}

#[test]
fn a_link_that_goes_down_comes_back() {
    let Some(_here) = enter() else { return };
    let peer = join("here", "there", 1);
    let socket = peer.enter(|| RawSocket::open("there", EXPERIMENT));
    let mut rig = Rig::new(1024, 2048);
    let mut device = rig.open("af_xdp:here?rx=256&tx=256");
    load(&mut rig, &mut *device, 100);
    // A new veth gets its carrier in the kernel's own time.
    until("the link is up", || {
        assert_eq!(device.take_error(), None);
        stats(&*device).link_up
    });
    assert_eq!(stats(&*device).tx_errors, 0);
    ip("link set here down");
    until("the link is seen to be down", || {
        load(&mut rig, &mut *device, 10);
        assert_eq!(device.take_error(), None, "the port goes on");
        !stats(&*device).link_up
    });
    // Nothing piles up, and every packet is accounted for.
    let errors = stats(&*device).tx_errors;
    assert_eq!(load(&mut rig, &mut *device, 10), 320);
    assert_eq!(stats(&*device).tx_errors, errors + 320);
    assert_eq!(device.in_flight(), 0, "an lcore may sleep meanwhile");
    ip("link set here up");
    until("the link is up again", || {
        load(&mut rig, &mut *device, 10);
        let _ = device.take_error();
        stats(&*device).link_up
    });
    rig.drain(&mut *device);
    while socket.receive(Duration::from_millis(20)).is_some() {}
    assert!(rig.send(&mut *device, &packet(77, 77)));
    assert!(socket.receive(PATIENCE) == Some(packet(77, 77)));
    assert!(socket.send(&packet(78, 78)));
    assert!(rig.receive(&mut *device, 1) == [packet(78, 78)]);
    rig.close([device]);
}

#[test]
fn what_a_missing_carrier_drops_is_counted_one_by_one() {
    let Some(_here) = enter() else { return };
    let peer = join("here", "there", 1);
    let socket = peer.enter(|| RawSocket::open("there", EXPERIMENT));
    let mut rig = Rig::new(1024, 2048);
    let mut device = rig.open("af_xdp:here?rx=256&tx=256");
    assert!(rig.send(&mut *device, &packet(60, 0)));
    assert!(socket.receive(PATIENCE).is_some());
    peer.ip("link set there down");
    let taken = load(&mut rig, &mut *device, 100);
    assert_eq!(device.in_flight(), 0);
    assert_eq!((taken, stats(&*device).tx_errors), (3200, 3200));
    peer.ip("link set there up");
    until("the carrier is back", || {
        let _ = device.take_error();
        stats(&*device).link_up
    });
    let before = stats(&*device).tx_errors;
    std::thread::sleep(Duration::from_millis(5));
    load(&mut rig, &mut *device, 2);
    assert_eq!(stats(&*device).tx_errors, before);
    rig.close([device]);
}

#[test]
fn an_interface_that_is_deleted_or_renamed_under_load_costs_no_frame() {
    let Some(_here) = enter() else { return };
    let peer = join("here", "there", 1);
    let mut rig = Rig::new(1024, 2048);
    let mut device = rig.open("af_xdp:here?rx=256&tx=256");
    load(&mut rig, &mut *device, 50);
    ip("link set here name renamed");
    std::thread::sleep(Duration::from_millis(150));
    load(&mut rig, &mut *device, 50);
    assert_eq!((device.take_error(), stats(&*device).link_up), (None, true));
    ip("link set renamed mtu 1400");
    until("the new MTU is seen", || {
        let _ = device.take_error();
        device.mtu() == 1400
    });
    assert_eq!(device.tx_limits().max_bytes, 1418);
    let socket = peer.enter(|| RawSocket::open("there", EXPERIMENT));
    assert!((0..300).all(|number| socket.send(&packet(300, number))));
    ip("link del renamed");
    let mut error = None;
    until("the end is seen", || {
        load(&mut rig, &mut *device, 10);
        error = device.take_error();
        error.is_some()
    });
    let error = error.expect("an error");
    assert_eq!((error.code, error.message.as_str()), (ErrorCode::InterfaceGone, "`renamed`"));
    let errors = stats(&*device).tx_errors;
    assert_eq!(load(&mut rig, &mut *device, 10), 320);
    assert_eq!(stats(&*device).tx_errors, errors + 320);
    // A socket without its interface is readable for ever: nobody may wait for it.
    assert_eq!((device.idle(), device.in_flight()), (Idle::Waker, 0));
    assert!(device.finished() && !stats(&*device).link_up);
    rig.close([device]);
}

#[test]
fn a_peer_that_never_reads_holds_no_more_than_its_share() {
    let Some(_here) = enter() else { return };
    ip("link add here type veth peer name there");
    for name in ["here", "there"] {
        ip(&format!("link set {name} addrgenmode none"));
        ip(&format!("link set {name} up"));
    }
    let mut rig = Rig::new(4096, 2048);
    let mut sender = rig.open("af_xdp:here?rx=64&tx=128");
    let deaf = rig.open("af_xdp:there?rx=256&tx=64");
    let lent = rig.region.used();
    let mut taken = 0;
    for number in 0..1000 {
        let burst: Vec<Mbuf> = (0..64).map(|_| rig.mbuf(&packet(100, number), 128)).collect();
        let sent = sender.tx_burst(&mut rig.frames, &burst);
        rig.frames.give_burst(&burst[sent..]);
        taken += sent as u64;
        sender.reclaim(&mut rig.frames);
        assert!(rig.region.used() <= lent + 128, "{} frames", rig.region.used());
    }
    rig.drain(&mut *sender);
    // What the peer has no frame for is dropped there, with a reason; the rest waits.
    let errors = stats(&*sender).tx_errors;
    let dropped = drops(&*deaf, DropReason::NoFrame);
    assert!(dropped > 50_000, "{dropped} of {taken}");
    let mut deaf = deaf;
    let waiting = rig.receive_within(&mut *deaf, 1000, Duration::from_millis(100)).len() as u64;
    assert_eq!(waiting, 256);
    assert_eq!(taken, errors + dropped + waiting, "{errors} + {dropped} + {waiting}");
    assert_eq!(drops(&*deaf, DropReason::TooLong), 0);
    rig.close([sender, deaf]);
}

#[test]
fn without_free_frames_it_waits_for_some() {
    let Some(_here) = enter() else { return };
    let peer = join("here", "there", 1);
    let socket = peer.enter(|| RawSocket::open("there", EXPERIMENT));
    let mut rig = Rig::new(256, 2048);
    let mut device = rig.open("af_xdp:here?rx=64&tx=64");
    // Somebody else has all other frames, and then those of the packets that come.
    let mut hoard: Vec<u32> = std::iter::from_fn(|| rig.frames.take()).collect();
    assert_eq!(hoard.len(), 192);
    let mut kept = Vec::new();
    for number in 0..200 {
        assert!(socket.send(&packet(100, number)));
    }
    until("64 packets", || {
        let mut burst = [Mbuf::default(); 64];
        let count = device.rx_burst(&mut rig.frames, &mut burst);
        kept.extend_from_slice(&burst[..count]);
        kept.len() == 64
    });
    assert_eq!(drops(&*device, DropReason::NoFrame), 136);
    assert!(matches!(device.idle(), Idle::Until(_)), "nothing can wake it");
    assert!(rig.receive_within(&mut *device, 1, Duration::from_millis(5)).is_empty());
    hoard.drain(..).for_each(|frame| rig.frames.give(frame));
    rig.frames.give_burst(&kept);
    assert!(rig.receive_within(&mut *device, 1, Duration::from_millis(5)).is_empty());
    assert!(matches!(device.idle(), Idle::Readable(_)));
    assert!(socket.send(&packet(100, 1000)));
    assert!(rig.receive(&mut *device, 1) == [packet(100, 1000)]);
    rig.close([device]);
}

#[test]
fn opening_closing_and_dropping_leaks_nothing() {
    let Some(_here) = enter() else { return };
    let peer = join("here", "there", 2);
    let socket = peer.enter(|| RawSocket::open("there", EXPERIMENT));
    let mut rig = Rig::new(2048, 2240);
    let descriptors = || std::fs::read_dir("/proc/self/fd").expect("procfs").count();
    let mut before = 0;
    for round in 0..20 {
        let mut devices =
            rig.try_open("af_xdp:here?rx=128&tx=128", 2).unwrap_or_else(|error| panic!("{error}"));
        (0..50).for_each(|number| assert!(socket.send(&packet(500, number))));
        for device in &mut devices {
            load(&mut rig, &mut **device, 5);
        }
        if round % 2 == 0 {
            rig.close(devices);
        } else {
            drop(devices);
            assert_eq!(rig.region.used(), 0, "dropped without being closed");
        }
        // Other tests open and close theirs: what leaks would leak twenty times.
        if round == 0 {
            before = descriptors();
        }
    }
    assert!(descriptors() < before + 100, "{} descriptors, {before} before", descriptors());
}

#[test]
fn a_sleeping_reader_is_woken_by_a_packet() {
    let Some(_here) = enter() else { return };
    let peer = join("here", "there", 1);
    let socket = peer.enter(|| RawSocket::open("there", EXPERIMENT));
    let mut rig = Rig::new(256, 2048);
    let mut device = rig.open("af_xdp:here?rx=64&tx=64");
    let Idle::Readable(fd) = device.idle() else { panic!("a descriptor to wait on") };
    let wait = |timeout: Duration| {
        let mut descriptor = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        // SAFETY: one pollfd.
        unsafe { libc::poll(&mut descriptor, 1, timeout.as_millis() as i32) }
    };
    assert_eq!(wait(Duration::from_millis(20)), 0, "nothing there");
    let sender = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        assert!(socket.send(&packet(60, 1)));
        socket
    });
    assert_eq!(wait(PATIENCE), 1);
    assert!(rig.receive(&mut *device, 1) == [packet(60, 1)]);
    assert_eq!(wait(Duration::from_millis(20)), 0, "and read");
    drop(sender.join());
    rig.close([device]);
}

#[test]
fn busy_polling_drives_the_interface() {
    let Some(_here) = enter() else { return };
    let peer = join("here", "there", 1);
    let socket = peer.enter(|| RawSocket::open("there", EXPERIMENT));
    let mut rig = Rig::new(256, 2048);
    let mut device = rig.open("af_xdp:here?rx=64&tx=64&busy-poll=20&busy-budget=32");
    for number in 0..200 {
        assert_eq!(device.rx_burst(&mut rig.frames, &mut [Mbuf::default()]), 0);
        assert!(socket.send(&packet(100, number)));
        assert!(rig.receive(&mut *device, 1) == [packet(100, number)]);
    }
    assert!(xstat(&*device, "rx_calls") >= 200, "each empty poll asks the driver");
    rig.close([device]);
}
