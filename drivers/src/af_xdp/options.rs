//! The options of an `af_xdp` spec.

use std::time::Duration;

use wirelet_abi::{Error, ErrorCode};

use super::rules::Rules;
use crate::{OpenContext, Spec};

/// Queue numbers end before this: the size of the XSKMAP.
pub(super) const QUEUES_MAX: u32 = 1024;
const RING_DEFAULT: usize = 1024;
const RING_MIN: usize = 64;
const RING_MAX: usize = 1 << 15;
/// Packets that one busy poll takes from the driver (NAPI_POLL_WEIGHT).
const BUDGET_DEFAULT: u64 = 64;
const KNOWN: &[&str] = &[
    "queue",
    "mode",
    "attach",
    "match",
    "rx",
    "tx",
    "checksum",
    "busy-poll",
    "busy-budget",
    "promiscuous",
];

/// Who copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Nobody, where driver and frame size allow it; else the kernel.
    Auto,
    /// Nobody, or it does not open.
    ZeroCopy,
    /// The kernel.
    Copy,
}

/// Who runs the XDP program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attach {
    /// The driver; the kernel where the driver can't.
    Auto,
    Native,
    Generic,
}

/// What becomes of checksums that a local sender left to hardware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Checksum {
    /// Completed where such packets can arrive: virtual interfaces and generic attachment.
    Auto,
    Complete,
    /// Left as they are.
    Trust,
}

/// Let the lcore drive the driver instead of interrupts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BusyPoll {
    pub(super) time: Duration,
    pub(super) budget: u16,
}

/// A parsed spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) first_queue: u32,
    pub(super) mode: Mode,
    pub(super) attach: Attach,
    pub(super) rules: Rules,
    /// Frames that wait for packets, per queue: size of fill and receive ring.
    pub(super) rx_frames: u32,
    /// Packets that may be on their way out, per queue: size of transmit and completion ring.
    pub(super) tx_frames: u32,
    pub(super) checksum: Checksum,
    pub(super) busy_poll: Option<BusyPoll>,
    pub(super) promiscuous: bool,
}

impl Options {
    /// # Errors
    /// `WIRELET_E_DEVICE_SPEC`; `WIRELET_E_CONFIG_LIMIT` when the queues want more than half of the
    /// region's frames.
    pub(super) fn parse(spec: &Spec, context: &OpenContext) -> Result<Options, Error> {
        spec.allow_options(KNOWN)?;
        let rules = spec.text("match").map_or(Ok(Rules::all()), |text| {
            Rules::parse(text)
                .map_err(|problem| spec.invalid(&format!("option `match`: {problem}")))
        })?;
        let first_queue = spec.number("queue", 0, 0..=u64::from(QUEUES_MAX) - 1)? as u32;
        let busy_us = spec.number("busy-poll", 0, 0..=1_000_000)?;
        let budget = spec.number("busy-budget", BUDGET_DEFAULT, 1..=u16::MAX.into())? as u16;
        if busy_us == 0 && spec.text("busy-budget").is_some() {
            return Err(spec.invalid("option `busy-budget` means nothing without `busy-poll`"));
        }
        Ok(Options {
            first_queue,
            mode: choice(spec, "mode", &MODES)?,
            attach: choice(spec, "attach", &ATTACHES)?,
            rules,
            rx_frames: ring(spec, context, "rx")?,
            tx_frames: ring(spec, context, "tx")?,
            checksum: choice(spec, "checksum", &CHECKSUMS)?,
            busy_poll: (busy_us > 0)
                .then(|| BusyPoll { time: Duration::from_micros(busy_us), budget }),
            promiscuous: spec.text("promiscuous").is_none() || spec.switch("promiscuous")?,
        })
    }
}

/// The first one is the default.
const MODES: [(&str, Mode); 3] =
    [("auto", Mode::Auto), ("zerocopy", Mode::ZeroCopy), ("copy", Mode::Copy)];
const ATTACHES: [(&str, Attach); 3] =
    [("auto", Attach::Auto), ("native", Attach::Native), ("generic", Attach::Generic)];
const CHECKSUMS: [(&str, Checksum); 3] =
    [("auto", Checksum::Auto), ("complete", Checksum::Complete), ("trust", Checksum::Trust)];

fn choice<T: Copy>(spec: &Spec, key: &str, values: &[(&str, T)]) -> Result<T, Error> {
    let text = spec.text(key).unwrap_or(values[0].0);
    let found = values.iter().find(|(name, _)| *name == text);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = values.iter().map(|(name, _)| *name).collect();
        spec.invalid(&format!("option `{key}`: `{text}` is none of {}", names.join(", ")))
    })
}

/// Entries of a pair of rings: a power of two. By default 1,024, and in a small region so many
/// that all queues together take a quarter of the frames for each direction.
fn ring(spec: &Spec, context: &OpenContext, key: &str) -> Result<u32, Error> {
    let (frames, queues) = (context.region.frames(), context.queues);
    let default = match (frames / 4 / queues).checked_ilog2() {
        Some(bits) => (1 << bits).clamp(RING_MIN, RING_DEFAULT),
        None => RING_MIN,
    };
    let entries = spec.number(key, default as u64, RING_MIN as u64..=RING_MAX as u64)? as usize;
    if !entries.is_power_of_two() {
        return Err(spec.invalid(&format!("option `{key}`: {entries} is no power of two")));
    }
    if entries * queues > frames / 2 {
        let message = format!(
            "option `{key}`: {queues} queues of {entries} frames; a device may have half of the \
             region's {frames}"
        );
        return Err(Error::new(ErrorCode::ConfigLimit, message));
    }
    Ok(entries as u32)
}

#[cfg(test)]
mod tests {
    use wirelet_packet::{Region, RegionConfig};

    use super::*;

    fn parse_in(frames: usize, queues: usize, text: &str) -> Result<Options, Error> {
        let config = RegionConfig { frames, hugepages: false, ..RegionConfig::default() };
        let region = Region::new(config).expect("a region");
        Options::parse(&text.parse()?, &OpenContext { region, port: 0, queues })
    }

    fn error(text: &str) -> Error {
        parse_in(4096, 1, text).expect_err(text)
    }

    #[test]
    fn without_options_it_takes_everything_of_queue_0() {
        let options = parse_in(16384, 1, "af_xdp:eth0").expect("options");
        let expected = Options {
            first_queue: 0,
            mode: Mode::Auto,
            attach: Attach::Auto,
            rules: Rules::all(),
            rx_frames: 1024,
            tx_frames: 1024,
            checksum: Checksum::Auto,
            busy_poll: None,
            promiscuous: true,
        };
        assert_eq!(options, expected);
    }

    #[test]
    fn every_option_is_read() {
        let text = "af_xdp:eth0?queue=3&mode=copy&attach=generic&match=udp:53,arp&rx=256&tx=128\
                    &checksum=trust&busy-poll=20&busy-budget=32&promiscuous=false";
        let options = parse_in(4096, 1, text).expect("options");
        assert_eq!((options.first_queue, options.mode), (3, Mode::Copy));
        assert_eq!((options.attach, options.checksum), (Attach::Generic, Checksum::Trust));
        assert_eq!(options.rules, Rules::parse("udp:53,arp").expect("rules"));
        assert_eq!((options.rx_frames, options.tx_frames), (256, 128));
        let time = Duration::from_micros(20);
        assert_eq!(options.busy_poll, Some(BusyPoll { time, budget: 32 }));
        assert!(!options.promiscuous);
    }

    #[test]
    fn a_small_region_gets_small_rings() {
        let sizes = |frames, queues| {
            let options = parse_in(frames, queues, "af_xdp:eth0").expect("options");
            (options.rx_frames, options.tx_frames)
        };
        assert_eq!(sizes(16384, 8), (512, 512));
        assert_eq!(sizes(1000, 1), (128, 128));
        assert_eq!(parse_in(100, 1, "af_xdp:x").expect_err("small").code, ErrorCode::ConfigLimit);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, part) in [
            ("af_xdp:x?mode=fast", "`fast` is none of auto, zerocopy, copy"),
            ("af_xdp:x?attach=xdp", "none of auto, native, generic"),
            ("af_xdp:x?match=upd", "option `match`: `upd` is no term"),
            ("af_xdp:x?rx=1000", "no power of two"),
            ("af_xdp:x?queue=1024", "not within 0 to 1023"),
            ("af_xdp:x?busy-budget=8", "nothing without `busy-poll`"),
            ("af_xdp:x?quue=1", "unknown option `quue`"),
        ] {
            let error = error(text);
            assert_eq!(error.code, ErrorCode::DeviceSpec, "{text}");
            assert!(error.message.contains(part), "{error}");
        }
        let error = error("af_xdp:x?rx=4096");
        assert_eq!(error.code, ErrorCode::ConfigLimit);
        assert!(error.message.contains("half of the region's 4096"), "{error}");
    }
}
