//! `af_xdp:eth0`: a queue of an interface, its packets received straight into frames.
//!
//! | option | default | |
//! |---|---|---|
//! | `queue` | 0 | first queue; a port of several queues takes those that follow |
//! | `mode` | auto | `zerocopy`: nobody copies, or it does not open; `copy`: the kernel copies |
//! | `attach` | auto | `native`: the driver runs the XDP program; `generic`: the kernel does |
//! | `match` | all | packets that are ours, the others stay the kernel's: [`rules`] |
//! | `rx` | 1024 | frames that wait for packets, a power of two |
//! | `tx` | 1024 | packets that may be on their way out, a power of two |
//! | `checksum` | auto | `complete` what local senders left undone, or `trust` them |
//! | `busy-poll` | off | µs: the lcore drives the driver, not interrupts |
//! | `busy-budget` | 64 | packets of one busy poll |
//! | `promiscuous` | true | packets for every MAC address |
//!
//! The UMEM is the region, so a received packet is where programs see it, without a conversion and,
//! in zero copy, without a copy. Our XDP program is on the interface as long as this process
//! lives; one that is there already is never replaced. See docs/design/af-xdp.md.

mod assembler;
mod bpf;
mod btf;
mod checksum;
mod frames;
mod hold;
mod options;
mod program;
mod promiscuous;
mod queue;
mod ring;
mod rules;
mod socket;
mod transmit;

use wirelet_abi::{Error, ErrorCode};

use crate::interface::{Interface, LinkWatch, netlink, open_error};
use crate::{Device, OpenContext, Spec};
use bpf::AttachMode;
use frames::Chunks;
use options::{Checksum, Mode, Options};
use promiscuous::Promiscuous;
use queue::{Queue, Traits};
use socket::{Setup, Socket};

/// Bytes before the MTU: an Ethernet header and a VLAN tag.
const HEADER_BYTES: usize = 18;

/// Opens as many queues as the config asks for and the interface has, from `queue` on.
pub(crate) fn open(spec: &Spec, context: &OpenContext) -> Result<Vec<Box<dyn Device>>, Error> {
    let options = Options::parse(spec, context)?;
    let chunks = Chunks::of(&context.region)?;
    check_mode(options.mode, chunks)?;
    let name = spec.target.as_str();
    let interface = Interface::find(name)?;
    let mac = interface.mac()?;
    let watch = LinkWatch::new(interface)?;
    check_mtu(&watch, chunks)?;
    let interface = watch.interface();
    let first = options.first_queue;
    let last = (first + context.queues as u32).min(options::QUEUES_MAX);
    let claims = hold::claim(interface, options.attach, first..last, &options.rules)?;
    let setup = Setup {
        region: &context.region,
        chunks,
        interface: name,
        index: interface.index(),
        attached: claims[0].mode(),
        options: &options,
        queues: claims.len(),
    };
    let completes_checksums =
        completes_checksums(options.checksum, setup.attached, interface.index());
    let mut devices: Vec<Box<dyn Device>> = Vec::new();
    for claim in claims {
        let Some(socket) = Socket::open(&setup, claim.queue())? else { break };
        let failed = |error| open_error(name, "to receive by its XDP program", &error);
        claim.give(socket.fd()).map_err(failed)?;
        // The first one asks for all of them.
        let asks = options.promiscuous && devices.is_empty();
        let traits = Traits {
            port: context.port,
            mac,
            completes_checksums,
            promiscuous: options.promiscuous,
            _membership: asks.then(|| Promiscuous::new(interface)).transpose()?,
        };
        let watch = LinkWatch::new(Interface::find(name)?)?;
        devices.push(Box::new(Queue::new(socket, claim, watch, &setup, traits)));
    }
    if devices.is_empty() {
        let message = format!("`{name}` has no queue {first}, or can't bind it");
        return Err(Error::new(ErrorCode::Interface, message));
    }
    Ok(devices)
}

fn check_mode(mode: Mode, chunks: Chunks) -> Result<(), Error> {
    if mode != Mode::ZeroCopy || chunks.aligned() {
        return Ok(());
    }
    let bytes = chunks.room() + frames::HEADROOM_BYTES;
    let message = format!("af_xdp: zero copy takes frames of 2048 or 4096 bytes, not {bytes}");
    Err(Error::new(ErrorCode::FrameSize, message))
}

/// Every packet that the MTU allows must fit into a frame.
fn check_mtu(watch: &LinkWatch, chunks: Chunks) -> Result<(), Error> {
    let (mtu, room) = (watch.link().mtu, chunks.room());
    if mtu + HEADER_BYTES <= room {
        return Ok(());
    }
    let message = format!(
        "`{}` has an MTU of {mtu}; frames of {} bytes have room for {}: set larger frames (4096 at \
         most), or `ip link set {0} mtu 1500`",
        watch.interface().name(),
        room + frames::HEADROOM_BYTES,
        room - HEADER_BYTES,
    );
    Err(Error::new(ErrorCode::FrameSize, message))
}

/// Senders on this machine leave checksums to the interface when it is virtual; in generic mode
/// any driver may hand over such packets.
fn completes_checksums(option: Checksum, attached: AttachMode, index: i32) -> bool {
    match option {
        Checksum::Complete => true,
        Checksum::Trust => false,
        Checksum::Auto => {
            let kind = netlink::describe(index).ok().and_then(|found| found.kind);
            attached == AttachMode::Generic || kind.is_some()
        }
    }
}
