//! Whether NICs, frames and lcores are on the same NUMA node, and what to say where they are not.

use wirelet_drivers::numa::Topology;
use wirelet_packet::RegionConfig;

use crate::event::{EventSender, What};
use crate::port::Port;
use crate::ports::PortConfig;

/// The region, on the node of its NICs unless the host wants another one.
pub fn of_region(mut region: RegionConfig, ports: &[PortConfig]) -> RegionConfig {
    let home = || Topology::new().home(ports.iter().map(|port| port.device.as_str()));
    region.node = region.node.or_else(home);
    region
}

/// Tells of every port whose packets cross between sockets: `per_lcore` are the ports as each lcore
/// sees them, `cpus` where lcores run, `frames` the node of the region.
pub fn remark(
    ports: &[PortConfig],
    per_lcore: &[Vec<Port>],
    cpus: &[Option<usize>],
    frames: Option<u32>,
    events: &EventSender,
) {
    let topology = Topology::new();
    for (number, port) in ports.iter().enumerate() {
        let owns = |&(lcore, _): &(usize, &Option<usize>)| {
            per_lcore.get(lcore).is_some_and(|seen| seen[number].device.is_some())
        };
        let cpus = cpus.iter().enumerate().filter(owns).filter_map(|(_, &cpu)| cpu);
        if let Some(message) = remark_of(&topology, &port.device, cpus, frames) {
            events.send(What::Placement { port: number as u16, message: message.into() });
        }
    }
}

/// What is far from the NIC of `device`.
fn remark_of(
    topology: &Topology,
    device: &str,
    cpus: impl Iterator<Item = usize>,
    frames: Option<u32>,
) -> Option<String> {
    let node = topology.of_device(device)?;
    let elsewhere = |other: Option<u32>| other.is_some_and(|other| other != node);
    let far = cpus.filter(|&cpu| elsewhere(topology.of_cpu(cpu)));
    let mut parts: Vec<String> = far.map(|cpu| format!("CPU {cpu}")).collect();
    if elsewhere(frames) {
        parts.push("its frames".into());
    }
    let verb = if parts.len() == 1 && parts[0] != "its frames" { "is" } else { "are" };
    let list = parts.join(", ");
    let message = format!("its NIC is on NUMA node {node}, {list} {verb} not: slower");
    (!parts.is_empty()).then_some(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_far_from_a_nic_is_named() {
        let root = std::env::temp_dir().join(format!("wirelet-placement-{}", std::process::id()));
        for (path, text) in [
            ("devices/system/node/node0/cpulist", "0-1"),
            ("devices/system/node/node1/cpulist", "2-3"),
            ("class/net/eth0/device/numa_node", "1"),
        ] {
            std::fs::create_dir_all(root.join(path).parent().expect("a folder")).expect("made");
            std::fs::write(root.join(path), text).expect("written");
        }
        let topology = Topology::at(&root);
        let said = |device, cpus: &[usize], frames| {
            remark_of(&topology, device, cpus.iter().copied(), frames)
        };
        let text = |what: &str| Some(format!("its NIC is on NUMA node 1, {what} not: slower"));
        assert_eq!(said("af_xdp:eth0", &[2, 3], Some(1)), None);
        assert_eq!(said("af_xdp:eth0", &[2, 1], Some(1)), text("CPU 1 is"));
        assert_eq!(said("af_xdp:eth0", &[0, 1], Some(0)), text("CPU 0, CPU 1, its frames are"));
        assert_eq!(said("af_xdp:eth0", &[9], Some(0)), text("its frames are"));
        assert_eq!(said("af_xdp:eth0", &[9], None), None);
        assert_eq!(said("null:", &[0], Some(0)), None);
        std::fs::remove_dir_all(&root).expect("removed");
    }

    #[test]
    fn a_region_is_where_the_host_wants_it() {
        let wanted = RegionConfig { node: Some(3), ..RegionConfig::default() };
        assert_eq!(of_region(wanted, &[]).node, Some(3));
        assert_eq!(of_region(RegionConfig::default(), &[]).node, None);
    }
}
