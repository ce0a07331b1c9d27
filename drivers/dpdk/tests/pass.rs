//! From queue to queue without a look: what passes, what is received instead, what finds no room.

mod rig;

use wirelet_drivers::{Device, Passage, Passed};
use wirelet_packet::Mbuf;

use rig::{BURST, Rig, packet, possible};

fn pass(rig: &mut Rig, from: &mut dyn Device, to: &dyn Device) -> (Passage, Vec<Mbuf>) {
    let mut burst = [Mbuf::default(); BURST];
    let passage = from.pass_burst(to, &mut rig.frames, &mut burst);
    let count = if let Passage::Received(count) = passage { count } else { 0 };
    (passage, burst[..count].to_vec())
}

fn mbufs(rig: &mut Rig, lengths: &[usize]) -> Vec<Mbuf> {
    let packets = lengths.iter().enumerate().map(|(index, &bytes)| packet(index, bytes));
    packets.map(|bytes| rig.mbuf(&bytes)).collect()
}

#[test]
fn a_burst_passes_whole_and_in_order() {
    if !possible() {
        return;
    }
    let mut rig = Rig::new(4096);
    let mut from = rig.open("dpdk:net_ring0?rxd=64&txd=64");
    let mut to = rig.open("dpdk:net_ring1?rxd=64&txd=64");
    assert_eq!(pass(&mut rig, &mut *from, &*to).0, Passage::Received(0));
    let sent = mbufs(&mut rig, &[60, 1518, 61, 1000]);
    rig.transmit(&mut *from, &sent);
    let counts = Passed { packets: 4, bytes: 2639, sent: 4, sent_bytes: 2639 };
    assert_eq!(pass(&mut rig, &mut *from, &*to).0, Passage::Passed(counts));
    let received = rig.burst(&mut *to, BURST);
    let place = |mbuf: &Mbuf| (mbuf.frame, mbuf.offset, mbuf.length);
    assert!(received.iter().map(place).eq(sent.iter().map(place)), "not the same frames");
    for (index, mbuf) in received.iter().enumerate() {
        assert_eq!(rig.bytes(mbuf), packet(index, mbuf.length.into()));
    }
    rig.frames.give_burst(&received);
    rig.close([from, to]);
}

#[test]
fn a_burst_with_a_packet_that_needs_more_is_received() {
    if !possible() {
        return;
    }
    let mut rig = Rig::new(4096);
    let mut from = rig.open("dpdk:net_ring2?rxd=64&txd=64");
    let mut to = rig.open("dpdk:net_ring3?rxd=64&txd=64");
    // Too short to leave without padding, too long for the other's MTU.
    for odd in [59, 1519] {
        let sent = mbufs(&mut rig, &[60, odd, 1518]);
        rig.transmit(&mut *from, &sent);
        let (passage, received) = pass(&mut rig, &mut *from, &*to);
        assert_eq!(passage, Passage::Received(3), "{odd}");
        assert!(received.iter().map(|mbuf| mbuf.length).eq([60, odd as u16, 1518]), "{odd}");
        rig.frames.give_burst(&received);
    }
    // Another kind of device.
    let mut other = rig.open("loop:");
    let sent = mbufs(&mut rig, &[60]);
    rig.transmit(&mut *from, &sent);
    let (passage, received) = pass(&mut rig, &mut *from, &*other);
    assert_eq!(passage, Passage::Received(1));
    rig.transmit(&mut *other, &received);
    let (passage, received) = pass(&mut rig, &mut *other, &*to);
    assert_eq!(passage, Passage::Received(1));
    rig.frames.give_burst(&received);
    assert!(rig.burst(&mut *to, BURST).is_empty());
    rig.close([from, to, other]);
}

#[test]
fn what_finds_no_room_is_counted_and_free_again() {
    if !possible() {
        return;
    }
    let mut rig = Rig::new(4096);
    let mut from = rig.open("dpdk:net_ring4?rxd=64&txd=64");
    let mut to = rig.open("dpdk:net_ring5?rxd=64&txd=64");
    let mut room = 0;
    loop {
        let sent = mbufs(&mut rig, &[100]);
        if to.tx_burst(&mut rig.frames, &sent) == 0 {
            rig.frames.give_burst(&sent);
            break;
        }
        room += 1;
    }
    let received = rig.burst(&mut *to, 3);
    assert_eq!(received.len(), 3);
    let sent = mbufs(&mut rig, &[60, 70, 80, 90, 100]);
    rig.transmit(&mut *from, &sent);
    let counts = Passed { packets: 5, bytes: 400, sent: 3, sent_bytes: 210 };
    assert_eq!(pass(&mut rig, &mut *from, &*to).0, Passage::Passed(counts));
    rig.frames.give_burst(&received);
    let mut lengths = Vec::new();
    while lengths.len() < room {
        let received = rig.burst(&mut *to, BURST);
        lengths.extend(received.iter().map(|mbuf| mbuf.length));
        rig.frames.give_burst(&received);
    }
    assert_eq!(lengths[room - 3..], [60, 70, 80]);
    rig.close([from, to]);
}
