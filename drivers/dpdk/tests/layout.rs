//! C and Rust mean the same: every offset, and what is refused when they don't.

mod rig;

use std::ffi::{CString, c_void};
use std::mem::offset_of;
use std::os::unix::ffi::OsStrExt;

use wirelet_abi::plugin::{Flow, Passed, PoolConfig, PortConfig, PortInfo, PortStats, QueueStats};
use wirelet_packet::Mbuf;

use rig::{plugin_path, possible};

macro_rules! offsets {
    ($type:ty: $($field:ident)*) => { vec![$(offset_of!($type, $field) as u64),*] };
}

#[test]
fn every_offset_is_the_same_in_c() {
    if !possible() {
        return;
    }
    let path = CString::new(plugin_path().as_os_str().as_bytes()).expect("a path");
    // SAFETY: the plugin's constructors only register; the function has the type that its source
    // says, and gives constants of a library that stays.
    let theirs = unsafe {
        let library = libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL);
        assert!(!library.is_null(), "{} opens", plugin_path().display());
        let symbol = libc::dlsym(library, c"wirelet_dpdk_offsets".as_ptr());
        assert!(!symbol.is_null());
        let offsets: unsafe extern "C" fn(*mut u64) -> *const u64 =
            std::mem::transmute::<*mut c_void, _>(symbol);
        let mut count = 0;
        let first = offsets(&raw mut count);
        std::slice::from_raw_parts(first, count as usize)
    };
    let ours = [
        offsets!(Mbuf: frame length offset reserved port scratch flags egress hash mark
            timestamp_ns),
        offsets!(PoolConfig: base bytes page_bytes frames frame_bytes cached node owner calls),
        offsets!(PortConfig: devargs pool port queues rx_descriptors tx_descriptors mtu promiscuous
            linearize fast_free timestamps reserved),
        offsets!(PortInfo: queues rx_descriptors tx_descriptors mac mtu fast_free xstat_count driver
            xstats rss pci interface),
        offsets!(PortStats: link_up link_mbps mtu promiscuous rx_missed rx_errors rx_no_frame
            tx_errors removed xstats),
        offsets!(QueueStats: too_short too_long unsupported drop_bytes linearized tags_restored),
        offsets!(Passed: shortest longest packets sent reserved bytes sent_bytes),
        offsets!(Flow: source source_mask destination destination_mask rule mark queue vlan
            ether_type source_ports destination_ports says tags ip protocol reserved),
    ];
    assert_eq!(theirs, ours.concat());
}
