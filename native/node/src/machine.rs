//! What only native code can ask of the machine (`wirelet doctor`) and say to a service manager.

use std::path::Path;

use crate::convert::guarded;
use napi_derive::napi;
use wirelet_drivers::numa::Topology;
use wirelet_drivers::survey::{self, InterfaceSurvey, Support};

/// What the kernel gives this process: `yes`, `denied` or `no`.
#[napi(object)]
pub struct KernelFacts {
    /// AF_XDP sockets.
    pub af_xdp: String,
    /// Packet sockets.
    pub af_packet: String,
    /// Memory whose size can be sealed.
    pub memfd: String,
}

/// One interface of this network namespace.
#[napi(object)]
pub struct InterfaceFacts {
    /// Its name.
    pub name: String,
    /// Whether it is there; if not, nothing else is known.
    pub present: bool,
    /// Whether it is Ethernet, or loopback.
    pub ethernet: bool,
    /// Up, with a carrier.
    pub up: bool,
    /// Bytes behind the Ethernet header.
    pub mtu: u32,
    /// Driver's name, or empty.
    pub driver: String,
    /// `veth`, `tun` and so on; empty for hardware.
    pub kind: String,
    /// Bits of the kernel's `enum netdev_xdp_act`; -1 where it does not tell them.
    pub xdp_features: f64,
    /// Number of the XDP program that is attached; 0 for none.
    pub xdp_program: u32,
    /// Packets of the receive ring; 0 where the driver does not say.
    pub rx_ring: u32,
    /// The most it could have.
    pub rx_ring_max: u32,
    /// Packets of the transmit ring.
    pub tx_ring: u32,
    /// The most it could have.
    pub tx_ring_max: u32,
    /// Queues that receive; 0 where the driver does not say.
    pub rx_queues: u32,
}

/// NUMA nodes, as far as /sys tells of them.
#[napi(object)]
pub struct NumaFacts {
    /// Nodes with CPUs or memory.
    pub nodes: Vec<NumaNode>,
    /// Of the hardware behind each device; -1 for software, and where nobody knows.
    pub devices: Vec<i32>,
}

/// One node.
#[napi(object)]
pub struct NumaNode {
    /// Its number.
    pub node: u32,
    /// Its CPUs.
    pub cpus: Vec<u32>,
}

/// NUMA nodes of this machine, and those that the devices of these specs are on. `root` is a folder
/// like /sys.
#[napi]
pub fn numa_facts(devices: Vec<String>, root: Option<String>) -> NumaFacts {
    let topology = Topology::at(Path::new(root.as_deref().unwrap_or("/sys")));
    let node = |(node, cpus): &(u32, Vec<usize>)| NumaNode {
        node: *node,
        cpus: cpus.iter().map(|&cpu| cpu as u32).collect(),
    };
    let of = |spec: &String| topology.of_device(spec).map_or(-1, |node| node as i32);
    NumaFacts {
        nodes: topology.nodes().iter().map(node).collect(),
        devices: devices.iter().map(of).collect(),
    }
}

/// Sends lines such as `READY=1` to the service manager's socket; false when it has no room.
#[napi]
pub fn notify_service(socket: String, state: String) -> napi::Result<bool> {
    guarded(|| wirelet_engine::notify::notify(&socket, &state))
}

/// Tries what devices need of the kernel.
#[napi]
pub fn kernel_facts() -> KernelFacts {
    let text = |support| match support {
        Support::Yes => "yes".into(),
        Support::Denied => "denied".into(),
        Support::No => "no".into(),
    };
    let survey::Kernel { af_xdp, af_packet, memfd } = survey::kernel();
    KernelFacts { af_xdp: text(af_xdp), af_packet: text(af_packet), memfd: text(memfd) }
}

/// Looks at these interfaces, or at all but loopback.
#[napi]
pub fn interface_facts(names: Option<Vec<String>>) -> Vec<InterfaceFacts> {
    let names = names.unwrap_or_else(survey::names);
    names.iter().map(|name| facts(survey::interface(name))).collect()
}

fn facts(survey: InterfaceSurvey) -> InterfaceFacts {
    InterfaceFacts {
        name: survey.name,
        present: survey.present,
        ethernet: survey.ethernet,
        up: survey.up,
        mtu: survey.mtu as u32,
        driver: survey.driver,
        kind: survey.kind,
        xdp_features: survey.xdp_features.map_or(-1.0, |features| features as f64),
        xdp_program: survey.xdp_program.unwrap_or(0),
        rx_ring: survey.rx_ring.0,
        rx_ring_max: survey.rx_ring.1,
        tx_ring: survey.tx_ring.0,
        tx_ring_max: survey.tx_ring.1,
        rx_queues: survey.rx_queues,
    }
}
