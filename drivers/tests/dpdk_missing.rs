//! Without the plugin, a `dpdk` port is one clear error, and nothing else of Wirelet minds.

use wirelet_abi::ErrorCode;
use wirelet_drivers::{OpenContext, Rings, open};
use wirelet_packet::{Region, RegionConfig};

#[test]
fn a_plugin_that_is_not_there_or_is_none_is_a_coded_error() {
    let folder = std::env::temp_dir().join(format!("wirelet-plugin-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let none = folder.join("wirelet-dpdk.so");
    // SAFETY: the only test of this process, and it has started no thread yet.
    unsafe { std::env::set_var("WIRELET_DPDK_PLUGIN", &none) };
    let region = Region::new(RegionConfig { frames: 256, ..RegionConfig::default() });
    let context = OpenContext { region: region.expect("a region"), port: 0, queues: 1 };
    let error = |spec| open(spec, &context, &mut Rings::default()).err().expect("no plugin");
    let missing = error("dpdk:net_null0?rxd=64");
    assert_eq!(missing.code, ErrorCode::DpdkMissing);
    assert!(missing.message.contains("wirelet-dpdk.so"), "{missing}");
    assert!(missing.code.hint().contains("libdpdk-dev"));
    // A typo is found before the plugin is asked for.
    assert_eq!(error("dpdk:net_null0?rdx=64").code, ErrorCode::DeviceSpec);
    std::fs::remove_dir_all(&folder).expect("it was ours");
    assert!(open("null:", &context, &mut Rings::default()).is_ok());
}
