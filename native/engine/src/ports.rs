//! Opens the ports of an appliance and spreads their queues over the lcores.

use std::sync::Arc;

use wirelet_abi::Error;
use wirelet_drivers::{Device, OpenContext, Rings, Rule, open};
use wirelet_packet::{Region, Waker};

use crate::generation::Route;
use crate::port::Port;
use crate::rules::{Offload, RulesPlace};

/// What the host says of a port.
#[derive(Clone, Debug)]
pub struct PortConfig {
    /// Its name.
    pub name: String,
    /// Its device's spec.
    pub device: String,
    /// Queues; 0 for one per lcore.
    pub queues: usize,
    /// Port that passed packets leave by.
    pub forward: Option<u16>,
    /// Port that punted packets leave by.
    pub punt: Option<u16>,
    /// Programs, indexes.
    pub pipeline: Vec<usize>,
    /// What is decided before they see a packet.
    pub rules: Vec<Rule>,
    /// Who shall carry these out.
    pub offload: Offload,
}

impl PortConfig {
    /// Where its packets go at first.
    pub fn route(&self) -> Route {
        Route {
            forward: self.forward,
            punt: self.punt,
            chain: self.pipeline.clone(),
            rules: self.rules.clone(),
        }
    }
}

/// Every port as every lcore sees it.
pub struct OpenPorts {
    /// Per lcore, per port.
    pub per_lcore: Vec<Vec<Port>>,
    /// Per port.
    pub facts: Vec<PortFacts>,
}

/// What is known of a port once it is open.
#[derive(Clone, Debug)]
pub struct PortFacts {
    /// Names of its extra statistics.
    pub xstat_names: &'static [&'static str],
    /// Who carries out its rules.
    pub rules: RulesPlace,
}

/// Opens all ports. A port with fewer queues than lcores gets them on the lcores that come next,
/// but a port of one queue sits on the lcore of the port it is paired with, so that packets stay
/// there.
///
/// # Errors
/// The codes of [`wirelet_drivers::open`].
pub fn open_ports(
    configs: &[PortConfig],
    region: &Arc<Region>,
    wakers: &[Arc<Waker>],
) -> Result<OpenPorts, Error> {
    let lcores = wakers.len();
    let mut rings = Rings::default();
    let mut per_lcore: Vec<Vec<Port>> = (0..lcores).map(|_| Vec::new()).collect();
    let (mut facts, mut homes, mut next) = (Vec::new(), Vec::new(), 0);
    for (number, config) in configs.iter().enumerate() {
        let queues = if config.queues == 0 { lcores } else { config.queues.min(lcores) };
        let context = OpenContext { region: Arc::clone(region), port: number as u16, queues };
        let add =
            |error: Error| Error::new(error.code, format!("{}: {}", config.name, error.message));
        let mut devices = open(&config.device, &context, &mut rings).map_err(add)?;
        let place = RulesPlace::choose(config, &mut *devices[0]).map_err(add)?;
        let names = devices[0].xstat_names();
        let limits = devices[0].tx_limits();
        let first = match (devices.len(), paired_home(configs, &homes, number)) {
            (1, Some(home)) => home,
            (count, _) if count == lcores => 0,
            (count, _) => {
                next += count;
                (next - count) % lcores
            }
        };
        homes.push(first);
        let mut queue: Vec<Option<Box<dyn Device>>> = (0..lcores).map(|_| None).collect();
        for (index, mut device) in devices.into_iter().enumerate() {
            let lcore = (first + index) % lcores;
            device.set_waker(Arc::clone(&wakers[lcore]));
            queue[lcore] = Some(device);
        }
        for (lcore, device) in queue.into_iter().enumerate() {
            let mut port = Port::new(device, first, limits);
            port.route = config.route();
            port.rules_at = place.at();
            port.name.clone_from(&config.name);
            port.takes_notes = port.device.as_mut().is_some_and(|device| device.take_notes());
            per_lcore[lcore].push(port);
        }
        facts.push(PortFacts { xstat_names: names, rules: place });
    }
    rings.finish()?;
    Ok(OpenPorts { per_lcore, facts })
}

/// Home of a port opened before `number` that forwards to it, or that it forwards to.
fn paired_home(configs: &[PortConfig], homes: &[usize], number: usize) -> Option<usize> {
    let to = configs[number].forward.map(usize::from);
    let pairs = |&other: &usize| {
        configs[other].forward.map(usize::from) == Some(number) || to == Some(other)
    };
    (0..homes.len()).find(pairs).map(|other| homes[other])
}
