//! Ports of DPDK's software drivers: bytes, order, frames that come back, devices of others.

mod rig;

use wirelet_abi::{DropReason, ErrorCode};
use wirelet_packet::Mbuf;

use rig::{BURST, Folder, Rig, drops, packet, packets, possible, stats, xstat};

#[test]
fn null_receives_for_ever_and_opens_again() {
    if !possible() {
        return;
    }
    for _ in 0..3 {
        let mut rig = Rig::new(2048);
        let mut device = rig.open("dpdk:net_null0,size=70?rxd=64&txd=64");
        for _ in 0..100 {
            let burst = rig.burst(&mut *device, BURST);
            assert!(burst.len() == BURST && burst.iter().all(|mbuf| mbuf.length == 70));
            assert!(burst.iter().all(|mbuf| mbuf.timestamp_ns > 1 << 60), "ns since the epoch");
            rig.transmit(&mut *device, &burst);
        }
        assert!(stats(&*device).link_up && !device.finished());
        assert_eq!((device.mtu(), device.tx_limits().max_bytes), (1500, 1518));
        rig.close([device]);
    }
}

#[test]
fn a_memory_ring_gives_the_same_frames_back_in_order() {
    if !possible() {
        return;
    }
    let mut rig = Rig::new(2048);
    let mut device = rig.open("dpdk:net_ring0?rxd=64&txd=64");
    let sent: Vec<Mbuf> = packets(500).iter().map(|bytes| rig.mbuf(bytes)).collect();
    rig.transmit(&mut *device, &sent);
    let mut received = Vec::new();
    while received.len() < sent.len() {
        received.extend(rig.burst(&mut *device, BURST));
    }
    let place = |mbuf: &Mbuf| (mbuf.frame, mbuf.offset, mbuf.length);
    assert!(received.iter().map(place).eq(sent.iter().map(place)), "not the same frames");
    let bytes: Vec<Vec<u8>> = received.iter().map(|mbuf| rig.bytes(mbuf)).collect();
    assert_eq!(bytes, packets(500));
    // What nobody receives is freed with the port.
    rig.transmit(&mut *device, &received);
    rig.close([device]);
    let mut device = rig.open("dpdk:net_ring0?rxd=64&txd=64");
    assert!(rig.burst(&mut *device, BURST).is_empty(), "the ring outlived its port");
    rig.close([device]);
}

#[test]
fn a_capture_file_keeps_bytes_and_order() {
    if !possible() {
        return;
    }
    let (mut rig, folder) = (Rig::new(2048), Folder::new());
    folder.write("in.pcap", &packets(1000));
    let [from, to] = ["in.pcap", "out.pcap"].map(|name| folder.path(name));
    let mut device =
        rig.open(&format!("dpdk:net_pcap0,rx_pcap={},tx_pcap={}", from.display(), to.display()));
    let mut count = 0;
    while count < 1000 {
        let burst = rig.burst(&mut *device, BURST);
        assert!(!burst.is_empty(), "after {count} packets");
        // The file's times, not ours; it has whole microseconds.
        let times = burst.iter().enumerate().map(|(index, _)| (count + index) as u64 * 1000);
        assert!(burst.iter().map(|mbuf| mbuf.timestamp_ns).eq(times), "after {count} packets");
        rig.transmit(&mut *device, &burst);
        count += burst.len();
    }
    rig.close([device]);
    assert_eq!(folder.read("out.pcap"), packets(1000));
}

#[test]
fn what_is_longer_than_a_frame_or_shorter_than_a_header_is_a_counted_drop() {
    if !possible() {
        return;
    }
    let (mut rig, folder) = (Rig::new(2048), Folder::new());
    let all = [packet(0, 100), packet(1, 3000), packet(2, 60)[..13].to_vec(), packet(3, 2112)];
    folder.write("in.pcap", &all);
    let spec = format!("dpdk:net_pcap1,rx_pcap={}", folder.path("in.pcap").display());
    let mut device = rig.open(&spec);
    let received = rig.receive(&mut *device, 2, |_| true);
    assert_eq!(received, [packet(0, 100), packet(3, 2112)]);
    let reasons = [DropReason::TooLong, DropReason::TooShort, DropReason::Unsupported];
    assert_eq!(reasons.map(|reason| drops(&*device, reason)), [1, 1, 0]);
    assert_eq!(stats(&*device).rx_drop_bytes, 3013);
    device.close(&mut rig.frames).expect("closed");
    assert_eq!(stats(&*device).rx_drop_bytes, 3013, "counts outlive the port");
    rig.close([device]);
    let mut device = rig.open(&format!("{spec}?segments=drop"));
    assert_eq!(rig.receive(&mut *device, 2, |_| true).len(), 2);
    assert_eq!(reasons.map(|reason| drops(&*device, reason)), [0, 1, 1]);
    rig.close([device]);
}

#[test]
fn frames_travel_between_dpdk_and_other_devices() {
    if !possible() {
        return;
    }
    let mut rig = Rig::new(2048);
    let mut ours = rig.open("loop:");
    let mut theirs = rig.open("dpdk:net_ring2?rxd=64&txd=64");
    let mut other = rig.open("dpdk:net_ring3?rxd=64&txd=64");
    let first: Vec<Mbuf> = packets(20).iter().map(|bytes| rig.mbuf(bytes)).collect();
    let frames: Vec<u32> = first.iter().map(|mbuf| mbuf.frame).collect();
    let mut burst = first;
    // Ours, theirs, another of theirs, and around again: never another frame, never another byte.
    for _ in 0..50 {
        for device in [&mut ours, &mut theirs, &mut other] {
            rig.transmit(&mut **device, &burst);
            burst = rig.burst(&mut **device, BURST);
        }
    }
    assert!(burst.iter().map(|mbuf| mbuf.frame).eq(frames));
    let bytes: Vec<Vec<u8>> = burst.iter().map(|mbuf| rig.bytes(mbuf)).collect();
    assert_eq!(bytes, packets(20));
    // Frames that a driver took leave by a device that knows nothing of DPDK, and the reverse.
    let mut null = rig.open("dpdk:net_null1?rxd=64&txd=64");
    let received = rig.burst(&mut *null, BURST);
    rig.transmit(&mut *null, &burst);
    rig.frames.give_burst(&received);
    rig.close([ours, theirs, other, null]);
}

#[test]
fn a_program_may_move_a_packet_within_its_frame() {
    if !possible() {
        return;
    }
    let mut rig = Rig::new(1024);
    let mut device = rig.open("dpdk:net_ring4?rxd=64&txd=64");
    let mut mbuf = rig.mbuf(&packet(9, 200));
    (mbuf.offset, mbuf.length) = (mbuf.offset + 50, mbuf.length - 50);
    rig.transmit(&mut *device, &[mbuf]);
    let received = rig.burst(&mut *device, BURST);
    assert_eq!(rig.bytes(&received[0]), packet(9, 200)[50..]);
    rig.transmit(&mut *device, &received);
    // The next packet in that frame begins where packets begin.
    rig.close([device]);
    let mut device = rig.open("dpdk:net_null2?rxd=64&txd=64");
    for _ in 0..1024 / BURST {
        let burst = rig.burst(&mut *device, BURST);
        assert!(burst.iter().all(|mbuf| mbuf.offset == 128));
        rig.transmit(&mut *device, &burst);
    }
    rig.close([device]);
}

#[test]
fn queues_are_counted_once_and_close_one_by_one() {
    if !possible() {
        return;
    }
    let mut rig = Rig::new(2048);
    let mut queues = rig.try_open("dpdk:net_null3?rxd=64&txd=64", 3).expect("three queues");
    assert_eq!(queues.len(), 3);
    // This driver says that it does RSS; a port of one queue has nothing to spread.
    assert!(queues.iter().all(|queue| queue.keeps_flows()));
    for queue in &mut queues {
        let burst = rig.burst(&mut **queue, BURST);
        rig.transmit(&mut **queue, &burst);
    }
    let last = queues.pop().expect("three");
    rig.close(queues);
    // The others are closed, and this one still works.
    let mut last = last;
    let burst = rig.burst(&mut *last, BURST);
    assert_eq!(burst.len(), BURST);
    rig.frames.give_burst(&burst);
    assert_eq!(xstat(&*last, "rx_missed"), 0);
    rig.close([last]);
}

#[test]
fn a_region_without_free_frames_receives_nothing_and_recovers() {
    if !possible() {
        return;
    }
    let mut rig = Rig::new(512);
    let mut device = rig.open("dpdk:net_null4?rxd=64&txd=64");
    let held: Vec<u32> = std::iter::from_fn(|| rig.frames.take()).collect();
    assert!(rig.burst(&mut *device, BURST).is_empty());
    held.into_iter().for_each(|frame| rig.frames.give(frame));
    let burst = rig.burst(&mut *device, BURST);
    assert_eq!(burst.len(), BURST);
    rig.frames.give_burst(&burst);
    rig.close([device]);
}

#[test]
fn devices_that_nobody_closes_are_closed_when_they_are_dropped() {
    if !possible() {
        return;
    }
    let mut rig = Rig::new(1024);
    drop(rig.try_open("dpdk:net_null5?rxd=64&txd=64", 2).expect("two queues"));
    assert_eq!(rig.region.used(), 0);
    let device = rig.open("dpdk:net_null5?rxd=64&txd=64");
    rig.close([device]);
}

#[test]
fn what_does_not_open_says_why_and_leaves_nothing() {
    if !possible() {
        return;
    }
    let mut rig = Rig::new(1024);
    let error = rig.error("dpdk:net_nothing0?rxd=64");
    assert_eq!(error.code, ErrorCode::DeviceOpen);
    assert!(error.message.contains("net_nothing0"), "{error}");
    let error = rig.error("dpdk:net_pcap2,rx_pcap=/nowhere/in.pcap?rxd=64");
    assert_eq!(error.code, ErrorCode::DeviceOpen);
    assert!(error.message.contains("/nowhere/in.pcap"), "what the driver logged: {error}");
    let error = rig.error("dpdk:net_null6?rxd=64&mtu=4000");
    assert_eq!(error.code, ErrorCode::DeviceOpen);
    assert!(error.message.contains("room for 2094"), "{error}");
    let error = rig.error("dpdk:net_null6?rxd=1k");
    assert_eq!(error.code, ErrorCode::ConfigLimit);
    let error = rig.error("dpdk:net_null6?rxd=64&timestamps=true");
    assert_eq!(error.code, ErrorCode::DeviceOpen);
    assert!(error.message.contains("`timestamps`"), "{error}");
    let device = rig.open("dpdk:net_null6?rxd=64");
    let error = rig.error("dpdk:net_null6?rxd=64");
    assert!(error.message.contains("is a port already"), "{error}");
    rig.close([device]);
}

#[test]
fn a_frame_freed_twice_ends_the_burst_that_found_it() {
    if !possible() {
        return;
    }
    let mut rig = Rig::new(1024);
    let mut device = rig.open("dpdk:net_null7?rxd=64&txd=64");
    let mbuf = rig.mbuf(&packet(0, 60));
    rig.transmit(&mut *device, &[mbuf]);
    let twice = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        device.tx_burst(&mut rig.frames, &[mbuf])
    }));
    let panic = twice.expect_err("a frame that is free already");
    let text = panic.downcast_ref::<String>().expect("a text");
    assert!(text.contains("twice"), "{text}");
    // It was caught on our side of C, so the device goes on.
    let burst = rig.burst(&mut *device, BURST);
    rig.transmit(&mut *device, &burst);
    rig.close([device]);
}
