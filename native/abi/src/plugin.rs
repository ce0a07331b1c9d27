//! What the engine and the DPDK plugin agree on: one table of functions over plain structs.
//!
//! The plugin is C (`drivers/dpdk/shim`) in a library of its own, opened at run time. Its side of
//! these declarations is `drivers/dpdk/shim/plugin.h`; a test of the plugin compares every offset.
//! Sizes, magic and version stand at the head of the table, and the engine uses nothing else of it
//! before it has compared them.
//!
//! Functions that can fail return 0, or a negative errno and a text in `message`, which holds
//! [`MESSAGE_BYTES`]. No panic and no exception crosses this border in either direction.

use core::ffi::{c_char, c_int, c_void};

use crate::layout::layout;

/// First word of the table.
pub const MAGIC: u32 = u32::from_le_bytes(*b"WDPK");
/// Changes with any of these declarations.
pub const VERSION: u32 = 3;
/// The symbol that gives the table.
pub const SYMBOL: &core::ffi::CStr = c"wirelet_dpdk_plugin";
/// Room for a text, its 0 included.
pub const MESSAGE_BYTES: usize = 1024;
/// Statistics of the driver's own that a port shows.
pub const DRIVER_XSTATS_MAX: usize = 10;
/// Room for the name of one, its 0 included.
pub const XSTAT_NAME_BYTES: usize = 64;

/// Opaque: the pool of a region.
#[repr(C)]
pub struct Pool {
    private: [u8; 0],
}

/// Opaque: a port of DPDK's.
#[repr(C)]
pub struct Port {
    private: [u8; 0],
}

/// Opaque: a receive and a transmit queue of a port.
#[repr(C)]
pub struct Queue {
    private: [u8; 0],
}

/// Where the pool's frames come from and go to. `cache` is what the burst call was given, or null
/// on threads that are in none.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FrameCalls {
    /// Takes `count` free frames, or none and returns false.
    pub take: unsafe extern "C" fn(
        owner: *const c_void,
        cache: *mut c_void,
        frames: *mut u32,
        count: u32,
    ) -> bool,
    /// Gives frames back.
    pub give: unsafe extern "C" fn(
        owner: *const c_void,
        cache: *mut c_void,
        frames: *const u32,
        count: u32,
    ),
    /// How many are free, about.
    pub free: unsafe extern "C" fn(owner: *const c_void) -> u32,
}

layout! {
    /// A region, as a pool sees it.
    pub struct PoolConfig: 72 {
        /// First byte of the first frame.
        base: *mut u8 = 0,
        /// Bytes of the memory that they lie in, whole pages.
        bytes: u64 = 8,
        /// Bytes of such a page.
        page_bytes: u64 = 16,
        /// How many frames.
        frames: u32 = 24,
        /// Bytes of each.
        frame_bytes: u32 = 28,
        /// Frames that DPDK may keep for each lcore.
        cached: u32 = 32,
        /// NUMA node that it is on; -1 when nobody knows.
        node: i32 = 36,
        /// First argument of the calls.
        owner: *const c_void = 40,
        /// Where frames come from.
        calls: FrameCalls = 48,
    }
}

layout! {
    /// What is asked of a port.
    pub struct PortConfig: 40 {
        /// DPDK's name of the device and its arguments.
        devargs: *const c_char = 0,
        /// Its frames.
        pool: *mut Pool = 8,
        /// Port's number, which goes into each packet.
        port: u16 = 16,
        /// Queues at most.
        queues: u16 = 18,
        /// Receive descriptors of a queue.
        rx_descriptors: u16 = 20,
        /// Transmit descriptors of a queue.
        tx_descriptors: u16 = 22,
        /// MTU; 0 for the driver's.
        mtu: u16 = 24,
        /// Whether to receive packets for every MAC address.
        promiscuous: u8 = 26,
        /// Whether packets of several segments are made one, rather than dropped.
        linearize: u8 = 27,
        /// Whether frames may be freed without a look at them, where the driver can do that.
        fast_free: u8 = 28,
        /// Whether packets are to have the time by the device's clock.
        timestamps: u8 = 29,
        /// Zero.
        reserved: [u8; 10] = 30,
    }
}

layout! {
    /// What a port is, once it is open.
    pub struct PortInfo: 768 {
        /// Its queues.
        queues: u16 = 0,
        /// Receive descriptors of a queue.
        rx_descriptors: u16 = 2,
        /// Transmit descriptors of a queue.
        tx_descriptors: u16 = 4,
        /// Its MAC address.
        mac: [u8; 6] = 6,
        /// MTU.
        mtu: u32 = 12,
        /// Whether frames are freed without a look at them.
        fast_free: u32 = 16,
        /// Names in `xstats`.
        xstat_count: u32 = 20,
        /// Name of the driver.
        driver: [u8; 64] = 24,
        /// Names of the driver's own statistics, each with a 0 at its end.
        xstats: [[u8; XSTAT_NAME_BYTES]; DRIVER_XSTATS_MAX] = 88,
        /// Whether the device spreads flows over its queues.
        rss: u32 = 728,
        /// Its address on the PCI bus, as /sys writes it, with a 0 at its end; empty elsewhere.
        pci: [u8; 20] = 732,
        /// Name of the kernel's interface that a software driver is on, likewise.
        interface: [u8; 16] = 752,
    }
}

layout! {
    /// What a port counts and how its link is. Absolute values.
    pub struct PortStats: 152 {
        /// Whether the link is up.
        link_up: u64 = 0,
        /// Its speed, Mbit/s; 0 when nobody knows.
        link_mbps: u64 = 8,
        /// MTU.
        mtu: u64 = 16,
        /// Whether it receives packets for every MAC address.
        promiscuous: u64 = 24,
        /// Packets for which the device had no descriptor.
        rx_missed: u64 = 32,
        /// Packets with errors.
        rx_errors: u64 = 40,
        /// Times that there was no frame.
        rx_no_frame: u64 = 48,
        /// Packets that could not be sent.
        tx_errors: u64 = 56,
        /// Whether the device is gone.
        removed: u64 = 64,
        /// The driver's own, as [`PortInfo`] names them.
        xstats: [u64; DRIVER_XSTATS_MAX] = 72,
    }
}

layout! {
    /// What a queue counts. Absolute values.
    pub struct QueueStats: 48 {
        /// Packets shorter than an Ethernet header.
        too_short: u64 = 0,
        /// Packets longer than a frame has room for.
        too_long: u64 = 8,
        /// Packets of several segments, and packets whose frame is not of the region.
        unsupported: u64 = 16,
        /// Bytes of all of these.
        drop_bytes: u64 = 24,
        /// Packets of several segments that were made one.
        linearized: u64 = 32,
        /// Packets that a driver took VLAN tags out of, and that have them again.
        tags_restored: u64 = 40,
    }
}

layout! {
    /// What a call of `pass_burst` may pass, and what it did.
    pub struct Passed: 32 {
        /// Bytes of the shortest packet that may leave as it is.
        shortest: u16 = 0,
        /// And of the longest.
        longest: u16 = 2,
        /// Packets that were received and passed on, or refused; 0 when there were none.
        packets: u32 = 4,
        /// Of them, those that the other queue took; the others are freed.
        sent: u32 = 8,
        /// Zero.
        reserved: u32 = 12,
        /// Bytes of all of them.
        bytes: u64 = 16,
        /// Bytes of those that were taken.
        sent_bytes: u64 = 24,
    }
}

layout! {
    /// A pattern and what becomes of the packets that it fits: one rule of rte_flow. What `says`
    /// does not name is not looked at. Numbers are in the machine's byte order, addresses in the
    /// network's; an IPv4 address is the first four bytes.
    pub struct Flow: 96 {
        /// Source address.
        source: [u8; 16] = 0,
        /// Its bits that count.
        source_mask: [u8; 16] = 16,
        /// Destination address.
        destination: [u8; 16] = 32,
        /// Its bits that count.
        destination_mask: [u8; 16] = 48,
        /// The rule that it is a part of: also its priority, 0 being the first.
        rule: u32 = 64,
        /// With [`flow::MARK`].
        mark: u32 = 68,
        /// With [`flow::QUEUE`].
        queue: u16 = 72,
        /// Number of the outermost tag, with [`flow::VLAN`].
        vlan: u16 = 74,
        /// Behind the tags, with [`flow::ETHER_TYPE`].
        ether_type: u16 = 76,
        /// First and last source port, with [`flow::SOURCE_PORT`].
        source_ports: [u16; 2] = 78,
        /// First and last destination port, with [`flow::DESTINATION_PORT`].
        destination_ports: [u16; 2] = 82,
        /// Bits of [`flow`].
        says: u16 = 86,
        /// VLAN tags that the packet has, with [`flow::TAGS`].
        tags: u8 = 88,
        /// 4 or 6; 0: not said.
        ip: u8 = 89,
        /// With [`flow::PROTOCOL`].
        protocol: u8 = 90,
        /// Zero.
        reserved: [u8; 5] = 91,
    }
}

/// Bits of [`Flow::says`].
pub mod flow {
    /// How many tags there are.
    pub const TAGS: u16 = 1 << 0;
    /// The outermost tag's number.
    pub const VLAN: u16 = 1 << 1;
    /// The EtherType; of packets that are no IP.
    pub const ETHER_TYPE: u16 = 1 << 2;
    /// The protocol.
    pub const PROTOCOL: u16 = 1 << 3;
    /// The source port; then the protocol is TCP, UDP or SCTP.
    pub const SOURCE_PORT: u16 = 1 << 4;
    /// The destination port; likewise.
    pub const DESTINATION_PORT: u16 = 1 << 5;
    /// Packets get a mark.
    pub const MARK: u16 = 1 << 6;
    /// Packets go to a queue.
    pub const QUEUE: u16 = 1 << 7;
    /// Packets are dropped.
    pub const DROP: u16 = 1 << 8;
}

/// What a function that can fail writes its text to.
pub type Message = *mut c_char;

/// The plugin.
#[repr(C)]
#[derive(Debug)]
pub struct Table {
    /// [`MAGIC`].
    pub magic: u32,
    /// [`VERSION`].
    pub version: u32,
    /// Bytes of this table, and of what follows below, in this order.
    pub bytes: u32,
    /// Of an `Mbuf` (wirelet-packet).
    pub mbuf_bytes: u32,
    /// Of [`PoolConfig`].
    pub pool_config_bytes: u32,
    /// Of [`PortConfig`].
    pub port_config_bytes: u32,
    /// Of [`PortInfo`].
    pub port_info_bytes: u32,
    /// Of [`PortStats`].
    pub port_stats_bytes: u32,
    /// Of [`QueueStats`].
    pub queue_stats_bytes: u32,
    /// Of [`Passed`].
    pub passed_bytes: u32,
    /// Of [`Flow`].
    pub flow_bytes: u32,
    /// Zero.
    pub reserved: u32,
    /// Version of DPDK, a text that stays.
    pub dpdk: unsafe extern "C" fn() -> *const c_char,
    /// Initialises EAL, once; `tee` shows its log on standard error, too.
    pub start: unsafe extern "C" fn(c_int, *mut *mut c_char, tee: bool, Message) -> c_int,
    /// Cleans EAL up, at the end of the process.
    pub stop: unsafe extern "C" fn(),
    /// Makes the calling thread one of DPDK's lcores; false where there is no room for it.
    pub register_thread: unsafe extern "C" fn() -> bool,
    /// And no more.
    pub unregister_thread: unsafe extern "C" fn(),
    /// Makes a pool of a region.
    pub open_pool: unsafe extern "C" fn(*const PoolConfig, *mut *mut Pool, Message) -> c_int,
    /// Gives all its frames back; returns how many are missing. If there are any, the pool stays:
    /// somebody may still point into it.
    pub close_pool: unsafe extern "C" fn(*mut Pool) -> u64,
    /// Finds or plugs a device, configures and starts it.
    pub open_port:
        unsafe extern "C" fn(*const PortConfig, *mut *mut Port, *mut PortInfo, Message) -> c_int,
    /// Stops and unplugs it. Nobody uses its queues any more.
    pub close_port: unsafe extern "C" fn(*mut Port),
    /// Reads what it counts. Only ever by one thread at a time.
    pub read_port: unsafe extern "C" fn(*mut Port, *mut PortStats),
    /// One of its queues.
    pub queue: unsafe extern "C" fn(*mut Port, u16) -> *mut Queue,
    /// Receives up to so many packets into `Mbuf`s.
    pub rx_burst:
        unsafe extern "C" fn(*mut Queue, cache: *mut c_void, *mut c_void, count: u16) -> u16,
    /// Sends `Mbuf`s; returns how many were taken.
    pub tx_burst:
        unsafe extern "C" fn(*mut Queue, cache: *mut c_void, *const c_void, count: u16) -> u16,
    /// Whether packets are still on their way out.
    pub tx_pending: unsafe extern "C" fn(*mut Queue) -> bool,
    /// Gives frames of packets that were sent back, as far as the driver can do that on demand.
    pub tx_cleanup: unsafe extern "C" fn(*mut Queue, cache: *mut c_void),
    /// Reads what a queue counts, on the lcore that owns it.
    pub read_queue: unsafe extern "C" fn(*const Queue, *mut QueueStats),
    /// Receives a burst and sends it by another queue of the same pool, without a copy of what is
    /// known of it; a burst with a packet that can't leave as it is becomes `Mbuf`s instead, and
    /// returns their number.
    pub pass_burst: unsafe extern "C" fn(
        *mut Queue,
        to: *mut Queue,
        cache: *mut c_void,
        *mut c_void,
        count: u16,
        *mut Passed,
    ) -> u16,
    /// Has the device carry out flows, all of them or none; whether it counts them is written to
    /// `counted`. Once for a port.
    pub take_flows: unsafe extern "C" fn(
        *mut Port,
        flows: *const Flow,
        count: u32,
        counted: *mut bool,
        Message,
    ) -> c_int,
    /// Writes how many packets each of the first `count` rules has met.
    pub read_hits: unsafe extern "C" fn(*mut Port, hits: *mut u64, count: u32),
}
