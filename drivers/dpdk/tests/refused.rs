//! An EAL that does not start: one clear error, for ever.

mod rig;

use wirelet_abi::ErrorCode;
use wirelet_drivers::dpdk::set_eal_arguments;

use rig::{Rig, possible};

#[test]
fn an_eal_that_does_not_start_says_why() {
    if !possible() {
        return;
    }
    // These exclude each other.
    let arguments = ["--no-huge", "--in-memory"].map(str::to_owned).to_vec();
    set_eal_arguments(Some(arguments)).expect("nothing runs yet");
    let mut rig = Rig::new(256);
    for _ in 0..2 {
        let error = rig.error("dpdk:net_null0?rxd=64");
        assert_eq!(error.code, ErrorCode::DpdkEal);
        for part in ["DPDK 2", "EAL does not start", "--no-huge --in-memory", "not compatible"] {
            assert!(error.message.contains(part), "{error}");
        }
        assert!(error.message.lines().count() == 1, "{error}");
    }
    assert_eq!(rig.region.used(), 0);
}
