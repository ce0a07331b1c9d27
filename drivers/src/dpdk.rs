//! `dpdk:net_null0`, `dpdk:0000:01:00.0`: every device that DPDK drives, by its devargs.
//!
//! | option | default | |
//! |---|---|---|
//! | `rxd` | 1024 | receive descriptors of a queue |
//! | `txd` | 1024 | transmit descriptors of a queue |
//! | `mtu` | 1500 | bytes behind the Ethernet header |
//! | `promiscuous` | true | packets for every MAC address |
//! | `segments` | linearize | packets of several segments: `linearize` or `drop` |
//! | `timestamps` | false | packets have the time by the device's clock |
//! | `fast-free` | true | frames are freed without a look at them, where the driver can |
//!
//! DPDK is in a plugin (drivers/dpdk) that is opened when the first such port is; nothing links it.
//! Its mempool is the region: a received packet is where programs see it, and its frame may leave
//! by any device. See docs/design/dpdk.md.

mod addresses;
mod again;
mod eal;
mod flows;
mod place;
mod plugin;
mod pool;
mod port;
mod queue;
mod seen;

use std::ffi::CString;
use std::sync::Arc;

use wirelet_abi::plugin::PortConfig;
use wirelet_abi::{Error, ErrorCode};

use crate::{Device, OpenContext, Spec};
use eal::Eal;
pub use eal::set_eal_arguments;
use pool::Pool;
use port::Port;
use queue::DpdkQueue;

/// Descriptors of a queue; drivers have limits of their own, which are kept.
const DESCRIPTORS: std::ops::RangeInclusive<u64> = 16..=16_384;

/// What the config asks of a port.
struct Options {
    devargs: CString,
    rx_descriptors: u16,
    tx_descriptors: u16,
    mtu: u16,
    promiscuous: bool,
    linearize: bool,
    fast_free: bool,
    timestamps: bool,
}

impl Options {
    fn parse(spec: &Spec) -> Result<Options, Error> {
        let known = ["rxd", "txd", "mtu", "promiscuous", "segments", "fast-free", "timestamps"];
        spec.allow_options(&known)?;
        let devargs = CString::new(spec.target.as_str()).unwrap_or_default();
        if devargs.is_empty() {
            return Err(spec.invalid("no device; `dpdk:0000:01:00.0`, `dpdk:net_null0`"));
        }
        let linearize = match spec.text("segments") {
            None | Some("linearize") => true,
            Some("drop") => false,
            Some(other) => {
                let message = format!("option `segments`: `{other}` is not linearize or drop");
                return Err(spec.invalid(&message));
            }
        };
        let yes = |name| Ok(spec.text(name).is_none() || spec.switch(name)?);
        Ok(Options {
            devargs,
            rx_descriptors: spec.number("rxd", 1024, DESCRIPTORS)? as u16,
            tx_descriptors: spec.number("txd", 1024, DESCRIPTORS)? as u16,
            mtu: spec.number("mtu", 0, 68..=9_600)? as u16,
            promiscuous: yes("promiscuous")?,
            linearize,
            fast_free: yes("fast-free")?,
            timestamps: spec.switch("timestamps")?,
        })
    }
}

/// Opens as many queues as the config asks for and the driver has.
pub(crate) fn open(spec: &Spec, context: &OpenContext) -> Result<Vec<Box<dyn Device>>, Error> {
    let options = Options::parse(spec)?;
    check_frames(&options, context)?;
    let eal = Eal::get()?;
    let pool = Pool::of(eal, &context.region)?;
    let config = PortConfig {
        devargs: std::ptr::null(),
        pool: pool.raw(),
        port: context.port,
        queues: u16::try_from(context.queues).unwrap_or(u16::MAX),
        rx_descriptors: options.rx_descriptors,
        tx_descriptors: options.tx_descriptors,
        mtu: options.mtu,
        promiscuous: options.promiscuous.into(),
        linearize: options.linearize.into(),
        fast_free: options.fast_free.into(),
        timestamps: options.timestamps.into(),
        reserved: [0; 10],
    };
    let port = Port::open(eal, &pool, &spec.target, options.devargs, config)?;
    let queues = 0..port.queues();
    Ok(queues.map(|index| DpdkQueue::device(Arc::clone(&port), index)).collect())
}

/// A driver takes a frame for each receive descriptor at once, and one for each transmit descriptor
/// while it is on its way.
fn check_frames(options: &Options, context: &OpenContext) -> Result<(), Error> {
    let frames = context.region.frames();
    let wanted = context.queues * usize::from(options.rx_descriptors);
    if wanted <= frames / 2 {
        return Ok(());
    }
    let message = format!(
        "dpdk:{}: {} queues of {} receive descriptors take {wanted} frames, and the region has \
         {frames}; set `frames` to {} or more, or `rxd` to less",
        options.devargs.to_string_lossy(),
        context.queues,
        options.rx_descriptors,
        2 * wanted,
    );
    Err(Error::new(ErrorCode::ConfigLimit, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Options, Error> {
        Options::parse(&text.parse().expect("a spec"))
    }

    #[test]
    fn devargs_keep_their_commas_and_colons() {
        let options = parse("dpdk:net_pcap0,rx_pcap=a.pcap,tx_pcap=b.pcap?rxd=64&segments=drop");
        let options = options.expect("a spec");
        assert_eq!(options.devargs, c"net_pcap0,rx_pcap=a.pcap,tx_pcap=b.pcap".to_owned());
        assert_eq!((options.rx_descriptors, options.tx_descriptors), (64, 1024));
        assert!(
            !options.linearize && options.promiscuous && options.fast_free && !options.timestamps
        );
        assert_eq!(parse("dpdk:0000:01:00.0").expect("PCI").devargs, c"0000:01:00.0".to_owned());
    }

    #[test]
    fn what_no_device_can_be_is_refused() {
        for text in [
            "dpdk:",
            "dpdk:?rxd=64",
            "dpdk:net_null0?rxd=1",
            "dpdk:net_null0?txd=20k",
            "dpdk:net_null0?mtu=20000",
            "dpdk:net_null0?segments=keep",
            "dpdk:net_null0?fast-free=maybe",
            "dpdk:net_null0?queue=1",
        ] {
            let error = parse(text).err().unwrap_or_else(|| panic!("{text}"));
            assert_eq!(error.code, ErrorCode::DeviceSpec, "{text}");
        }
    }
}
