//! DPDK's packet socket driver on a veth pair, in namespaces of this test's own. EAL and its
//! threads live where the first port opens, so this is one test in one process.

#[path = "../../tests/netns/namespace.rs"]
mod namespace;
#[allow(dead_code, reason = "not all of it is needed here")]
#[path = "../../tests/netns/raw.rs"]
mod raw;
mod rig;

use namespace::Namespace;
use raw::Raw;
use rig::{Rig, packets, possible, stats};

#[test]
fn packets_pass_both_ways_byte_for_byte() {
    if !possible() || !namespace::possible() {
        return;
    }
    let (here, there) = (Namespace::new(), Namespace::new());
    here.veth("v0", &there, "v1");
    let mut peer = Raw::new(&there, "v1");
    here.stay();
    for _ in 0..2 {
        let mut rig = Rig::new(2048);
        let mut device = rig.open("dpdk:net_af_packet0,iface=v0?rxd=64&txd=64");
        assert!(stats(&*device).link_up);
        assert_ne!(device.mac(), [0; 6]);
        for some in packets(300).chunks(30) {
            some.iter().for_each(|bytes| peer.send(bytes));
            let ours = |bytes: &[u8]| bytes[12..14] == [0x88, 0xb5];
            assert_eq!(rig.receive(&mut *device, some.len(), ours), some);
        }
        for some in packets(300).chunks(30) {
            rig.send(&mut *device, some);
            some.iter().for_each(|bytes| assert_eq!(peer.receive().as_ref(), Some(bytes)));
        }
        rig.close([device]);
    }
}
