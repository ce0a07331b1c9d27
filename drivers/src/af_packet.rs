//! `af_packet:eth0`: any interface of the kernel, through a packet socket.
//!
//! | option | default | |
//! |---|---|---|
//! | `tpacket` | 2 | 2: packets arrive at once; 3: in blocks, for less, up to 1 ms later |
//! | `ring` | 4096 | packets that a queue has room for |
//! | `promiscuous` | true | packets for every MAC address |
//! | `fanout` | hash | how several queues share packets: `hash`, `lb`, `cpu`, `rnd`, `qm` |
//! | `qdisc` | false | packets leave by the interface's queueing discipline |
//!
//! The kernel goes on using the interface: its own stack sees the packets too. Received packets are
//! copied once from the ring into frames; the kernel copies sent ones. VLAN tags that it took out
//! come back, checksums that local senders left undone are completed, and large packets (GSO, GRO)
//! are cut into those that they stand for.

mod blocks;
mod packets;
mod receive;
mod ring;
mod socket;
mod transmit;

use std::io;
use std::sync::Arc;

use wirelet_abi::limits::PACKET_BYTES_PADDED;
use wirelet_abi::{Error, ErrorCode};
use wirelet_packet::{FrameCache, Mbuf, Region};

use crate::interface::{Interface, LinkWatch, open_error};
use crate::{Device, DeviceStats, Idle, OpenContext, Spec, TxLimits};
use blocks::Blocks;
use packets::Packets;
use receive::{Counts, Receiver};
use ring::Ring;
use socket::Socket;
use transmit::Sender;

/// Bytes before the MTU: an Ethernet header and a VLAN tag.
const HEADER_BYTES: usize = 18;
/// Packets on their way out of a socket.
const SEND_BYTES: i32 = 4 << 20;
const XSTATS: &[&str] = &["kernel_dropped", "checksums_completed", "packets_cut"];

struct AfPacketDevice {
    region: Arc<Region>,
    port: u16,
    /// `None` once it is closed.
    ends: Option<(Receiver, Sender)>,
    watch: LinkWatch,
    mac: [u8; 6],
    promiscuous: bool,
    keeps_flows: bool,
    stats: DeviceStats,
    /// Of a receiver that is closed.
    counts: Counts,
    /// The last burst brought nothing.
    quiet: bool,
}

/// What the spec asks for.
struct Options {
    version: u64,
    packets: usize,
    promiscuous: bool,
    fanout: u32,
    qdisc: bool,
}

/// Ways of sharing that keep a flow on a queue: by the kernel's hash, or by the interface's.
const FLOW_FANOUTS: [u32; 2] = [libc::PACKET_FANOUT_HASH, libc::PACKET_FANOUT_QM];

/// Opens a queue per lcore; several share the packets by fanout.
pub(crate) fn open(spec: &Spec, context: &OpenContext) -> Result<Vec<Box<dyn Device>>, Error> {
    let options = options(spec)?;
    let name = spec.target.as_str();
    let interface = Interface::find(name)?;
    let (index, mac) = (interface.index(), interface.mac()?);
    let room = context.region.data_room();
    let receivers = receivers(&options, index, context.queues, room);
    let receivers = receivers.map_err(|error| open_error(name, "a packet socket", &error))?;
    if context.queues > 1 {
        share(&receivers, options.fanout, name)?;
    }
    let mut devices: Vec<Box<dyn Device>> = Vec::new();
    for receiver in receivers {
        let sender = sender(&options, index);
        let sender = sender.map_err(|error| open_error(name, "a packet socket", &error))?;
        devices.push(Box::new(AfPacketDevice {
            region: Arc::clone(&context.region),
            port: context.port,
            ends: Some((receiver, sender)),
            watch: LinkWatch::new(Interface::find(name)?)?,
            mac,
            promiscuous: options.promiscuous,
            keeps_flows: FLOW_FANOUTS.contains(&options.fanout),
            stats: DeviceStats::default(),
            counts: Counts::default(),
            quiet: true,
        }));
    }
    Ok(devices)
}

fn options(spec: &Spec) -> Result<Options, Error> {
    spec.allow_options(&["tpacket", "ring", "promiscuous", "fanout", "qdisc"])?;
    if spec.target.is_empty() {
        return Err(spec.invalid("no interface; `af_packet:eth0`"));
    }
    let fanout = match spec.text("fanout") {
        None | Some("hash") => libc::PACKET_FANOUT_HASH,
        Some("lb") => libc::PACKET_FANOUT_LB,
        Some("cpu") => libc::PACKET_FANOUT_CPU,
        Some("rnd") => libc::PACKET_FANOUT_RND,
        Some("qm") => libc::PACKET_FANOUT_QM,
        Some(_) => return Err(spec.invalid("option `fanout` is hash, lb, cpu, rnd or qm")),
    };
    Ok(Options {
        version: spec.number("tpacket", 2, 2..=3)?,
        packets: spec.number("ring", 4096, 64..=1 << 18)? as usize,
        promiscuous: spec.text("promiscuous").is_none() || spec.switch("promiscuous")?,
        fanout,
        qdisc: spec.switch("qdisc")?,
    })
}

/// Sockets that receive, one for each queue.
fn receivers(
    options: &Options,
    interface: i32,
    queues: usize,
    room: usize,
) -> io::Result<Vec<Receiver>> {
    let open = |_| {
        let socket = Socket::new()?;
        // Before the ring: it has room for this header then.
        socket.set(libc::PACKET_VNET_HDR, &1i32)?;
        // Since Linux 4.20; before, what we sent ourselves is skipped in the ring.
        let _ = socket.set(libc::PACKET_IGNORE_OUTGOING, &1i32);
        let ring = match options.version {
            2 => Ring::Packets(Packets::new(&socket, options.packets, room)?),
            _ => Ring::Blocks(Blocks::new(&socket, options.packets, room)?),
        };
        if queues > 1 {
            socket.set_closed(true)?;
        }
        socket.bind(interface, libc::ETH_P_ALL)?;
        if options.promiscuous {
            let request = libc::packet_mreq {
                mr_ifindex: interface,
                mr_type: libc::PACKET_MR_PROMISC as u16,
                mr_alen: 0,
                mr_address: [0; 8],
            };
            socket.set(libc::PACKET_ADD_MEMBERSHIP, &request)?;
        }
        Ok(Receiver::new(socket, ring, options.promiscuous))
    };
    (0..queues).map(open).collect()
}

/// Makes a group of the sockets, so that each packet goes to one of them; then lets packets in.
fn share(receivers: &[Receiver], mode: u32, name: &str) -> Result<(), Error> {
    let mut group = None;
    for receiver in receivers {
        let joined = receiver.socket.join(mode, group).map_err(|error| {
            if error.raw_os_error() == Some(libc::EINVAL) {
                let message = format!("`{name}`: it must be up for several queues (fanout)");
                return Error::new(ErrorCode::Interface, message);
            }
            open_error(name, "fanout", &error)
        })?;
        group = Some(joined);
    }
    for receiver in receivers {
        let opened = receiver.socket.set_closed(false);
        opened.map_err(|error| open_error(name, "a packet socket", &error))?;
    }
    Ok(())
}

/// A socket of its own: with offload headers, every packet sent would need one too.
fn sender(options: &Options, interface: i32) -> io::Result<Sender> {
    let socket = Socket::new()?;
    socket.set_buffer(true, SEND_BYTES);
    if !options.qdisc {
        socket.set(libc::PACKET_QDISC_BYPASS, &1i32)?;
    }
    socket.bind(interface, 0)?;
    // Binding to an interface that is down leaves an error for the next call.
    let _ = socket.take_error();
    Ok(Sender::new(socket))
}

impl AfPacketDevice {
    /// Looks at the link and asks the kernel for its counts.
    fn look(&mut self) {
        self.watch.look();
        let Some((receiver, _)) = &mut self.ends else { return };
        receiver.read_drops();
        if self.watch.gone() || receiver.socket.unbound() {
            self.watch.lose();
        }
    }
}

impl Device for AfPacketDevice {
    fn rx_burst(&mut self, frames: &mut FrameCache, burst: &mut [Mbuf]) -> usize {
        if self.watch.due() {
            self.look();
        }
        // What arrived before the interface went is delivered still.
        let Some((receiver, _)) = &mut self.ends else { return 0 };
        let count = receiver.receive(self.port, frames, burst, &mut self.stats);
        self.quiet = count == 0;
        count
    }

    fn tx_burst(&mut self, frames: &mut FrameCache, burst: &[Mbuf]) -> usize {
        let Some((_, sender)) = &mut self.ends else { return 0 };
        let sent = sender.send(&self.region, burst, self.watch.link().up);
        self.stats.tx_errors += sent.failed as u64;
        frames.give_burst(&burst[..sent.taken]);
        if sent.down && !self.watch.gone() && self.watch.stale() {
            self.look();
        }
        sent.taken
    }

    fn flush(&mut self) {
        let Some((receiver, _)) = &mut self.ends else { return };
        // It would end every wait at once.
        let error = receiver.socket.take_error();
        if error.is_some() || self.watch.stale() {
            self.look();
        }
    }

    fn keeps_flows(&self) -> bool {
        self.keeps_flows
    }

    fn stats(&self, stats: &mut DeviceStats) {
        stats.clone_from(&self.stats);
        stats.link_up = self.watch.link().up;
        let counts = self.ends.as_ref().map_or(self.counts, |(receiver, _)| receiver.counts);
        let values = [counts.kernel_drops, counts.completed, counts.cut];
        stats.xstats[..values.len()].copy_from_slice(&values);
    }

    fn xstat_names(&self) -> &'static [&'static str] {
        XSTATS
    }

    fn tx_limits(&self) -> TxLimits {
        let max_bytes = self.watch.link().mtu + HEADER_BYTES;
        TxLimits { padded_bytes: PACKET_BYTES_PADDED, max_bytes }
    }

    fn mac(&self) -> [u8; 6] {
        self.mac
    }

    fn mtu(&self) -> usize {
        self.watch.link().mtu
    }

    fn promiscuous(&self) -> bool {
        self.promiscuous || self.watch.link().promiscuous
    }

    fn idle(&self) -> Idle {
        match &self.ends {
            Some((receiver, _)) if !self.watch.gone() => Idle::Readable(receiver.socket.fd()),
            _ => Idle::Waker,
        }
    }

    fn finished(&self) -> bool {
        self.ends.is_none() || self.watch.gone() && self.quiet
    }

    fn take_error(&mut self) -> Option<Error> {
        self.watch.take_error()
    }

    fn close(&mut self, _frames: &mut FrameCache) -> Result<(), Error> {
        if let Some((receiver, _)) = &mut self.ends {
            receiver.read_drops();
            self.counts = receiver.counts;
        }
        // Packets still in the ring were never received.
        self.ends = None;
        Ok(())
    }
}
