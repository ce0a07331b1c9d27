//! A port as one lcore sees it: its queue, if the lcore owns one, and what it counted.

use wirelet_abi::stats::PortBlock;
use wirelet_abi::{DropReason, limits};
use wirelet_drivers::{Device, DeviceStats, TxLimits};
use wirelet_packet::{FrameCache, Mbuf};

use crate::event::What;
use crate::generation::Route;
use crate::rules::RulesAt;
use crate::steer::Steering;
use crate::tracer::Tracer;
use crate::watch;

/// A port on one lcore.
pub struct Port {
    /// The queue of this lcore; `None` where another lcore has the port's only one.
    pub device: Option<Box<dyn Device>>,
    /// The lcore to hand packets to that leave by this port, where `device` is `None`.
    pub home: usize,
    /// Where its packets go.
    pub route: Route,
    /// Which lcore they run on.
    pub steering: Steering,
    /// Who carries out the rules of `route`.
    pub rules_at: RulesAt,
    /// What was counted.
    pub stats: PortBlock,
    /// What packets may leave.
    pub limits: TxLimits,
    /// Its name.
    pub name: String,
    /// Its device wants to know what becomes of packets.
    pub takes_notes: bool,
    /// Those that trace what comes in.
    pub trace_rx: Option<Box<Tracer>>,
    /// Those that trace what leaves.
    pub trace_tx: Option<Box<Tracer>>,
    /// The device's own counts at the last publication.
    device_stats: DeviceStats,
    /// Port whose packets left by this one last.
    last_ingress: u16,
    /// The link as the host was last told.
    link_told: bool,
}

impl Port {
    /// A port without counts.
    pub fn new(device: Option<Box<dyn Device>>, home: usize, limits: TxLimits) -> Port {
        Port {
            device,
            home,
            route: Route::default(),
            steering: Steering::default(),
            rules_at: RulesAt::Engine,
            stats: PortBlock::default(),
            limits,
            name: String::new(),
            takes_notes: false,
            trace_rx: None,
            trace_tx: None,
            device_stats: DeviceStats::default(),
            last_ingress: 0,
            link_told: true,
        }
    }

    /// Whether somebody asks what becomes of the packets that come in here.
    #[inline]
    pub fn is_watched(&self) -> bool {
        self.takes_notes || self.trace_rx.is_some()
    }

    /// Whether the device sends packets of this length.
    #[inline]
    pub fn sends(&self, length: u16) -> Result<(), DropReason> {
        if usize::from(length) < limits::PACKET_BYTES_MIN {
            return Err(DropReason::TxTooShort);
        }
        if usize::from(length) > self.limits.max_bytes {
            return Err(DropReason::TxTooLong);
        }
        Ok(())
    }

    /// Gives packets to the device; returns how many it took, which the caller counts. `number` is
    /// this port's.
    #[inline]
    pub fn transmit(&mut self, frames: &mut FrameCache, burst: &[Mbuf], number: u16) -> usize {
        let device = &mut **self.device.as_mut().expect("the caller has looked");
        let sent = match &mut self.trace_tx {
            None => device.tx_burst(frames, burst),
            Some(tracer) => watch::send(tracer, device, frames, burst, number),
        };
        assert!(sent <= burst.len(), "a device took more than there was");
        sent
    }

    /// Counts what the device took; the last of it came in by `ingress`.
    #[inline]
    pub fn sent(&mut self, packets: u64, bytes: u64, ingress: u16) {
        self.stats.tx_packets += packets;
        self.stats.tx_bytes += bytes;
        self.last_ingress = ingress;
    }

    /// Takes over what the device counts itself. Returns packets that it had taken and then could
    /// not send, and the port they came from, as far as that is known: the last one that sent here.
    pub fn read_device(&mut self) -> (u64, u16) {
        let Some(device) = &self.device else { return (0, 0) };
        let before = (self.edge_drops(), self.device_stats.rx_drop_bytes);
        let errors_before = self.device_stats.tx_errors;
        device.stats(&mut self.device_stats);
        for (reason, &count) in self.device_stats.rx_drops.iter().enumerate() {
            if DropReason::ALL.get(reason).is_some_and(|reason| reason.at_edge()) {
                self.stats.drops[reason] = count;
            }
        }
        // Edge drops came in too.
        self.stats.rx_packets += self.edge_drops() - before.0;
        self.stats.rx_bytes += self.device_stats.rx_drop_bytes - before.1;
        self.stats.edge_drop_bytes = self.device_stats.rx_drop_bytes;
        self.stats.xstats = self.device_stats.xstats;
        if self.rules_at != RulesAt::Engine {
            device.rule_hits(&mut self.stats.rule_hits);
        }
        self.stats.latency_ns = self.device_stats.latency_ns;
        self.stats.link_up = self.device_stats.link_up.into();
        self.stats.finished = device.finished().into();
        self.stats.mac = device.mac().iter().fold(0, |mac, &byte| mac << 8 | u64::from(byte));
        self.stats.mtu = device.mtu() as u64;
        self.stats.promiscuous = device.promiscuous().into();
        // An interface's MTU may have changed.
        self.limits = device.tx_limits();
        let failed = self.device_stats.tx_errors - errors_before;
        self.stats.tx_packets -= failed;
        (failed, self.last_ingress)
    }

    /// The link, if it is another one than at the last call; first of all when it is down.
    pub fn link_change(&mut self) -> Option<bool> {
        let up = self.device_stats.link_up;
        let changed = std::mem::replace(&mut self.link_told, up) != up;
        changed.then_some(up)
    }

    /// What the device has to tell: an error, or that it receives again. The latter is told by the
    /// lcore that is the port's home. `number` is the port's, `lcore` this one's.
    pub fn news(&mut self, number: u16, lcore: usize) -> Option<What> {
        let device = self.device.as_mut()?;
        let had_ended = device.finished();
        if let Some(error) = device.take_error() {
            return Some(What::Device { port: number, error });
        }
        if !had_ended || device.finished() {
            return None;
        }
        // Packets came before the device had its rules again.
        self.rules_at = self.rules_at.begun();
        (self.home == lcore).then_some(What::Reopened { port: number })
    }

    fn edge_drops(&self) -> u64 {
        self.device_stats.rx_drops.iter().sum()
    }
}
