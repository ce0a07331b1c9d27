//! EAL's arguments: those of the config, once and never again.

mod rig;

use wirelet_abi::ErrorCode;
use wirelet_drivers::dpdk::set_eal_arguments;

use rig::{BURST, Rig, possible};

#[test]
fn arguments_of_the_config_are_used_and_then_stay() {
    if !possible() {
        return;
    }
    let words = |text: &str| Some(text.split(' ').map(str::to_owned).collect());
    let wanted = "--no-huge --no-shconf --no-telemetry --no-pci -m 64 --vdev=net_null7,size=99";
    set_eal_arguments(words("--not-an-argument")).expect("nothing runs yet");
    set_eal_arguments(words(wanted)).expect("nothing runs yet");
    let mut rig = Rig::new(1024);
    // A device that EAL has plugged by its arguments.
    let mut device = rig.open("dpdk:net_null7?rxd=64");
    let burst = rig.burst(&mut *device, BURST);
    assert!(burst.len() == BURST && burst.iter().all(|mbuf| mbuf.length == 99));
    rig.transmit(&mut *device, &burst);
    rig.close([device]);
    set_eal_arguments(words(wanted)).expect("the same ones");
    set_eal_arguments(None).expect("whatever there is");
    let error = set_eal_arguments(words("--no-huge")).expect_err("EAL runs");
    assert_eq!(error.code, ErrorCode::DpdkEal);
}
