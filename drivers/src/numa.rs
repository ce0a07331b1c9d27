//! NUMA nodes of CPUs and of the hardware behind a device, from /sys. A frame, a descriptor ring
//! or an lcore on another node than the NIC makes each packet cross between sockets.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{Spec, wrap};

/// Where the machine's parts lie.
#[derive(Clone, Debug)]
pub struct Topology {
    /// `/sys`, or a copy of it.
    root: PathBuf,
    /// Of each node, its CPUs.
    nodes: Vec<(u32, Vec<usize>)>,
}

impl Topology {
    /// This machine's.
    pub fn new() -> Topology {
        Topology::at(Path::new("/sys"))
    }

    /// What stands under `root`, a folder like /sys. What is not there is not known.
    pub fn at(root: &Path) -> Topology {
        let folders = fs::read_dir(root.join("devices/system/node")).into_iter().flatten();
        let node = |entry: fs::DirEntry| {
            let number = entry.file_name().to_str()?.strip_prefix("node")?.parse().ok()?;
            let cpus = fs::read_to_string(entry.path().join("cpulist")).ok()?;
            Some((number, cpu_list(&cpus)))
        };
        let mut nodes: Vec<_> = folders.flatten().filter_map(node).collect();
        nodes.sort_unstable();
        Topology { root: root.into(), nodes }
    }

    /// Nodes, with their CPUs.
    pub fn nodes(&self) -> &[(u32, Vec<usize>)] {
        &self.nodes
    }

    /// Node of a CPU.
    pub fn of_cpu(&self, cpu: usize) -> Option<u32> {
        self.nodes.iter().find(|(_, cpus)| cpus.contains(&cpu)).map(|&(node, _)| node)
    }

    /// Node of the hardware behind a device's spec; `None` for software, and where the firmware
    /// does not say.
    pub fn of_device(&self, spec: &str) -> Option<u32> {
        let mut spec: Spec = spec.parse().ok()?;
        for _ in 0..wrap::DEPTH_MAX {
            if !wrap::is_wrapper(&spec.driver) {
                break;
            }
            spec = spec.target.parse().ok()?;
        }
        match spec.driver.as_str() {
            "af_packet" | "af_xdp" => self.of_interface(&spec.target),
            "dpdk" => self.of_devargs(&spec.target),
            _ => None,
        }
    }

    /// `0000:01:00.0,option=1`, `01:00.0`, `net_af_packet0,iface=eth0`.
    fn of_devargs(&self, devargs: &str) -> Option<u32> {
        let mut arguments = devargs.split(',');
        let name = arguments.next().unwrap_or_default();
        let name = name.strip_prefix("pci:").unwrap_or(name);
        let interface = arguments.find_map(|argument| argument.strip_prefix("iface="));
        if name.starts_with("net_") {
            return interface.and_then(|interface| self.of_interface(interface));
        }
        let domain = if name.matches(':').count() == 1 { "0000:" } else { "" };
        self.read(&["bus/pci/devices", &format!("{domain}{name}")])
    }

    fn of_interface(&self, name: &str) -> Option<u32> {
        self.read(&["class/net", name, "device"])
    }

    /// `numa_node` of a device; -1 is a node that nobody knows.
    fn read(&self, folders: &[&str]) -> Option<u32> {
        // A name comes from the config: it must not lead out of here.
        if folders[1].contains('/') || folders[1].starts_with('.') {
            return None;
        }
        let path = folders.iter().fold(self.root.clone(), |path, folder| path.join(folder));
        fs::read_to_string(path.join("numa_node")).ok()?.trim().parse().ok()
    }

    /// The node that memory for these devices should be of: that of most of them, and of the first
    /// one where several are equal.
    pub fn home<'a>(&self, specs: impl IntoIterator<Item = &'a str>) -> Option<u32> {
        let known: Vec<u32> = specs.into_iter().filter_map(|spec| self.of_device(spec)).collect();
        let votes = |node: &u32| known.iter().filter(|other| *other == node).count();
        let most = known.iter().map(votes).max()?;
        known.iter().find(|node| votes(node) == most).copied()
    }
}

impl Default for Topology {
    fn default() -> Self {
        Self::new()
    }
}

/// `0-3,8` to numbers.
fn cpu_list(text: &str) -> Vec<usize> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse().ok()?..=last.parse().ok()?)
    };
    text.trim().split(',').filter_map(range).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine of two sockets, as its kernel shows it.
    struct Machine(PathBuf);

    impl Machine {
        fn new(files: &[(&str, &str)]) -> Machine {
            let name = format!("wirelet-numa-{}-{}", std::process::id(), files.len());
            let root = std::env::temp_dir().join(name);
            for (path, text) in files {
                let path = root.join(path);
                fs::create_dir_all(path.parent().expect("a folder")).expect("made");
                fs::write(path, text).expect("written");
            }
            Machine(root)
        }
    }

    impl Drop for Machine {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn nodes_of_cpus_and_of_the_hardware_behind_devices() {
        let machine = Machine::new(&[
            ("devices/system/node/node0/cpulist", "0-1,4\n"),
            ("devices/system/node/node1/cpulist", "2-3\n"),
            ("devices/system/node/node2/cpulist", "\n"),
            ("devices/system/node/possible", "0-2\n"),
            ("bus/pci/devices/0000:01:00.0/numa_node", "1\n"),
            ("bus/pci/devices/0000:02:00.0/numa_node", "-1\n"),
            ("class/net/eth0/device/numa_node", "0\n"),
            ("class/net/eth1/device/numa_node", "1\n"),
            ("class/net/veth0/mtu", "1500\n"),
        ]);
        let topology = Topology::at(&machine.0);
        let nodes = [(0, vec![0, 1, 4]), (1, vec![2, 3]), (2, vec![])];
        assert_eq!(topology.nodes(), nodes);
        assert_eq!([0, 3, 4, 9].map(|cpu| topology.of_cpu(cpu)), [Some(0), Some(1), Some(0), None]);
        for (spec, node) in [
            ("dpdk:0000:01:00.0", Some(1)),
            ("dpdk:01:00.0,representor=0?rxd=64", Some(1)),
            ("dpdk:pci:0000:01:00.0", Some(1)),
            ("dpdk:0000:02:00.0", None),
            ("dpdk:0000:03:00.0", None),
            ("dpdk:net_af_packet0,iface=eth1,qpairs=2", Some(1)),
            ("dpdk:net_null0", None),
            ("dpdk:../../class/net/eth0/device", None),
            ("af_xdp:eth0?queue=1", Some(0)),
            ("fault(loss=1%):trace(every=2):af_packet:eth1", Some(1)),
            ("af_packet:veth0", None),
            ("af_packet:..", None),
            ("pcap:eth0", None),
            ("", None),
        ] {
            assert_eq!(topology.of_device(spec), node, "{spec}");
        }
        let home = |specs: &[&str]| topology.home(specs.iter().copied());
        assert_eq!(home(&["null:", "af_xdp:eth1", "af_xdp:eth0"]), Some(1));
        assert_eq!(home(&["af_xdp:eth1", "af_xdp:eth0", "af_packet:eth0"]), Some(0));
        assert_eq!(home(&["null:", "dpdk:0000:02:00.0"]), None);
    }

    #[test]
    fn a_machine_that_tells_nothing_has_no_nodes() {
        let topology = Topology::at(Path::new("/nowhere/at/all"));
        assert!(topology.nodes().is_empty());
        assert_eq!((topology.of_cpu(0), topology.of_device("af_xdp:eth0")), (None, None));
    }
}
