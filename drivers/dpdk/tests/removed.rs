//! A device that is asked back while packets flow. What vfio-pci would make EAL say, this says: the
//! event is the same for every device, by its name. The lab does it with real drivers.

mod rig;

use std::ffi::{CStr, CString, c_char, c_int};
use std::time::Instant;

use wirelet_abi::ErrorCode;
use wirelet_drivers::Device;

use rig::{BURST, PATIENCE, Rig, packet, packets, possible, stats};

const REMOVED: c_int = 1;

/// Tells EAL that a device is to go.
fn ask_back(name: &CStr) {
    let path = CString::new(rig::plugin_path().into_os_string().into_encoded_bytes());
    let path = path.expect("a path without a 0");
    let symbol = c"rte_dev_event_callback_process";
    // SAFETY: the plugin is open already; names are looked up in what it links, too.
    let found =
        unsafe { libc::dlsym(libc::dlopen(path.as_ptr(), libc::RTLD_LAZY), symbol.as_ptr()) };
    assert!(!found.is_null(), "no {symbol:?} in EAL");
    // SAFETY: DPDK declares it so.
    let process: unsafe extern "C" fn(*const c_char, c_int) = unsafe { std::mem::transmute(found) };
    // SAFETY: EAL runs, and the name is a C string.
    unsafe { process(name.as_ptr(), REMOVED) };
}

/// Asks it for its error until there is one, as an lcore does between bursts.
fn error_of(device: &mut dyn Device) -> Option<ErrorCode> {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        if let Some(error) = device.take_error() {
            assert!(error.message.contains("net_null0"), "{error}");
            return Some(error.code);
        }
    }
    None
}

#[test]
fn a_device_that_is_asked_back_is_let_go_and_the_others_go_on() {
    if !possible() {
        return;
    }
    let mut rig = Rig::new(4096);
    let mut queues = rig.try_open("dpdk:net_null0?rxd=64&txd=64", 2).expect("two queues");
    let mut other = rig.open("dpdk:net_ring0?rxd=64&txd=64");
    assert_eq!(queues.len(), 2);
    for queue in &mut queues {
        let burst = rig.burst(&mut **queue, BURST);
        rig.transmit(&mut **queue, &burst);
        assert!(!burst.is_empty() && queue.take_error().is_none() && stats(&**queue).link_up);
    }
    ask_back(c"net_null0");
    // The first queue speaks for the port; the device is let go when the other has seen it, too.
    assert_eq!(error_of(&mut *queues[0]), Some(ErrorCode::InterfaceGone));
    assert!(queues[0].finished() && !stats(&*queues[0]).link_up);
    assert!(rig.try_open("dpdk:net_null0?rxd=64&txd=64", 1).is_err(), "it is still in use");
    assert!(!queues[1].finished() && queues[1].take_error().is_none() && queues[1].finished());
    // It receives nothing any more, and what is sent to it counts.
    for queue in &mut queues {
        assert!(rig.burst(&mut **queue, BURST).is_empty());
        rig.send(&mut **queue, &[packet(0, 60), packet(1, 60)]);
        assert_eq!((stats(&**queue).tx_errors, queue.in_flight()), (2, 0));
        assert!(queue.take_error().is_none(), "told twice");
    }
    // Nobody has closed it, and it is free for others already.
    let again = rig.open("dpdk:net_null0?rxd=64&txd=64");
    rig.send(&mut *other, &packets(40));
    assert_eq!(rig.receive(&mut *other, 40, |_| true), packets(40));
    rig.close(queues.into_iter().chain([other, again]));
}
