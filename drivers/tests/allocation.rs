//! The data path allocates nothing: a counting allocator watches every burst.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use wirelet_abi::limits::HEADROOM_BYTES;
use wirelet_drivers::{Device, OpenContext, Rings, open};
use wirelet_packet::{FrameCache, Mbuf, Region, RegionConfig};

#[path = "netns/namespace.rs"]
#[allow(dead_code, reason = "shared with the tests of real interfaces")]
mod namespace;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator as it came; counting touches a thread-local
// that needs no allocation of its own.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise about `layout` is the one that System asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as above; `pointer` came from System.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Receives by `source` and sends by `target`, 2,000 bursts, and returns how many packets.
fn pump(frames: &mut FrameCache, source: &mut dyn Device, target: &mut dyn Device) -> usize {
    let mut burst = [Mbuf { offset: HEADROOM_BYTES as u16, ..Mbuf::default() }; 64];
    let mut packets = 0;
    for _ in 0..2000 {
        let count = source.rx_burst(frames, &mut burst);
        let sent = target.tx_burst(frames, &burst[..count]);
        frames.give_burst(&burst[sent..count]);
        packets += sent;
        source.reclaim(frames);
        target.reclaim(frames);
    }
    packets
}

#[test]
fn no_burst_of_any_device_allocates() {
    let file = std::env::temp_dir().join(format!("wirelet-allocation-{}.pcap", std::process::id()));
    let capture = format!("pcap:{}?loop=0", file.display());
    let pairs = [
        ("null:?rx=64", "null:"),
        ("null:?rx=1514", "pcap:,/dev/null"),
        ("gen:?rate=max&sizes=imix&protocols=udp,tcp,dns6&flows=100", "sink:"),
        ("gen:?rate=10M&ring=64", "gen:"),
        ("gen:?rate=max", "loop:"),
        ("gen:?rate=max", "ring:a"),
        (capture.as_str(), "null:"),
        (
            "fault(loss=1%,duplicate=9%,reorder=9%,corrupt=9%,jitter=9us):gen:?rate=max",
            "fault(loss=1%,duplicate=9%,reorder=9%,rate=100G,limit=99):null:",
        ),
        ("trace(file=/dev/null):gen:?rate=max", "capture(file=/dev/null):null:"),
    ];
    let region = Region::new(RegionConfig { frames: 4096, ..RegionConfig::default() });
    let region = region.expect("a region");
    let mut frames = region.cache();
    let mut rings = Rings::default();
    let mut device = |spec: &str| {
        let context = OpenContext { region: region.clone(), port: 0, queues: 1 };
        open(spec, &context, &mut rings).unwrap_or_else(|error| panic!("{error}")).remove(0)
    };
    let mut writer = device(&format!("pcap:,{}", file.display()));
    pump(&mut frames, &mut *device("gen:?rate=max&count=1000"), &mut *writer);
    writer.close(&mut frames).expect("written");
    let mut back = device("ring:a");
    for (receive, send) in pairs {
        let (mut source, mut target) = (device(receive), device(send));
        let before = ALLOCATIONS.get();
        let packets = pump(&mut frames, &mut *source, &mut *target);
        // A loop and a ring are full by now: the other direction empties them.
        let returned = match send {
            "loop:" => {
                let mut burst = [Mbuf::default(); 64];
                let count = target.rx_burst(&mut frames, &mut burst);
                frames.give_burst(&burst[..count]);
                count
            }
            "ring:a" => {
                let mut burst = [Mbuf::default(); 64];
                let count = back.rx_burst(&mut frames, &mut burst);
                frames.give_burst(&burst[..count]);
                count
            }
            _ => 64,
        };
        assert_eq!(ALLOCATIONS.get() - before, 0, "{receive} > {send}");
        assert!(packets > 500 && returned > 0, "{receive} > {send}: {packets}");
        source.close(&mut frames).expect("closes");
        target.close(&mut frames).expect("closes");
    }
    back.close(&mut frames).expect("closes");
    assert_eq!(region.used(), 0);
    std::fs::remove_file(file).expect("removed");
}

/// The counter counts: without this the test above could be blind.
#[test]
fn an_allocation_is_noticed() {
    let before = ALLOCATIONS.get();
    drop(std::hint::black_box(vec![1u8]));
    assert_eq!(ALLOCATIONS.get() - before, 2);
}

/// Two ports of real interfaces send to each other, long enough for some looks at their links.
#[test]
fn no_burst_of_a_real_interface_allocates() {
    if !namespace::possible() {
        return;
    }
    let here = namespace::Namespace::new();
    here.veth("left", &here, "right");
    here.stay();
    for driver in ["af_xdp", "af_packet"] {
        let config = RegionConfig { frames: 4096, frame_bytes: 2048, hugepages: false, node: None };
        let region = Region::new(config).expect("a region");
        let mut frames = region.cache();
        let device = |spec: &str| {
            let context = OpenContext { region: region.clone(), port: 0, queues: 1 };
            let opened = open(spec, &context, &mut Rings::default());
            opened.unwrap_or_else(|error| panic!("{error}")).remove(0)
        };
        let (mut left, mut right) =
            (device(&format!("{driver}:left")), device(&format!("{driver}:right")));
        let mut source = device("null:?rx=64");
        let before = ALLOCATIONS.get();
        let (mut packets, mut returned) = (0, 0);
        for _ in 0..3 {
            packets += pump(&mut frames, &mut *source, &mut *left);
            let mut burst = [Mbuf::default(); 64];
            for _ in 0..2000 {
                let count = right.rx_burst(&mut frames, &mut burst);
                frames.give_burst(&burst[..count]);
                returned += count;
            }
            std::thread::sleep(Duration::from_millis(110));
        }
        assert_eq!(ALLOCATIONS.get() - before, 0, "{driver}");
        assert!(packets > 1000 && returned > 500, "{driver}: {packets} and {returned}");
        for mut device in [left, right, source] {
            device.close(&mut frames).expect("closes");
        }
        assert_eq!(region.used(), 0, "{driver}");
    }
}
