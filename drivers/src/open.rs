//! From a spec to devices.

use wirelet_abi::{Error, ErrorCode};

use crate::{Device, OpenContext, Rings, Spec};
use crate::{af_packet, af_xdp, dpdk, generator, loopback, null, pcap, ring, sink, tap, wrap};

type Open = fn(&Spec, &OpenContext, &mut Rings) -> Result<Vec<Box<dyn Device>>, Error>;

/// Every driver, in the order of the docs.
const DRIVERS: &[(&str, Open)] = &[
    ("null", |spec, context, _| null::open(spec, context)),
    ("loop", |spec, context, _| loopback::open(spec, context)),
    ("ring", ring::open),
    ("pcap", |spec, context, _| pcap::open(spec, context)),
    ("gen", |spec, context, _| generator::open(spec, context)),
    ("sink", |spec, context, _| sink::open(spec, context)),
    ("af_packet", |spec, context, _| af_packet::open(spec, context)),
    ("tap", |spec, context, _| tap::open(spec, context)),
    ("af_xdp", |spec, context, _| af_xdp::open(spec, context)),
    ("dpdk", |spec, context, _| dpdk::open(spec, context)),
];

/// Opens the device that `spec` describes: one [`Device`] per queue, `context.queues` of them or as
/// many as the driver can do, at least one.
///
/// `rings` is the same for all ports of an appliance; ask [`Rings::finish`] after the last one.
///
/// ```
/// # use wirelet_drivers::{OpenContext, Rings, open};
/// # use wirelet_packet::{Region, RegionConfig};
/// let region = Region::new(RegionConfig { frames: 64, ..RegionConfig::default() })?;
/// let context = OpenContext { region, port: 0, queues: 2 };
/// assert_eq!(open("null:?rx=64", &context, &mut Rings::default())?.len(), 2);
/// # Ok::<(), wirelet_abi::Error>(())
/// ```
///
/// # Errors
/// `WIRELET_E_CONFIG_UNKNOWN_DEVICE`, `WIRELET_E_DEVICE_SPEC`, `WIRELET_E_DEVICE_OPEN`,
/// `WIRELET_E_PCAP_FORMAT`, `WIRELET_E_OUTPUT`, `WIRELET_E_DPDK_MISSING`, `WIRELET_E_DPDK_EAL`.
pub fn open(
    spec: &str,
    context: &OpenContext,
    rings: &mut Rings,
) -> Result<Vec<Box<dyn Device>>, Error> {
    assert!(context.queues > 0);
    open_inside(spec, context, rings, wrap::DEPTH_MAX)
}

/// Opens a device inside `depth` more wrappers at most.
fn open_inside(
    spec: &str,
    context: &OpenContext,
    rings: &mut Rings,
    depth: usize,
) -> Result<Vec<Box<dyn Device>>, Error> {
    let spec: Spec = spec.parse()?;
    if wrap::is_wrapper(&spec.driver) {
        let Some(depth) = depth.checked_sub(1) else {
            return Err(spec.invalid(&format!("more than {} wrappers", wrap::DEPTH_MAX)));
        };
        let devices = open_inside(&spec.target, context, rings, depth)?;
        return wrap::around(&spec, context, devices);
    }
    let Some((_, open)) = DRIVERS.iter().find(|(name, _)| *name == spec.driver) else {
        return Err(unknown_driver(&spec.driver));
    };
    if spec.wraps {
        let message =
            format!("unknown wrapper `{}`; options of a device stand behind `?`", spec.driver);
        return Err(spec.invalid(&message));
    }
    let devices = open(&spec, context, rings)?;
    assert!((1..=context.queues).contains(&devices.len()));
    Ok(devices)
}

fn unknown_driver(driver: &str) -> Error {
    let drivers = DRIVERS.iter().map(|(name, _)| *name);
    let names: Vec<&str> = drivers.chain(wrap::names()).collect();
    let nearest = names.iter().min_by_key(|name| edits(driver, name));
    let suggestion = match nearest {
        Some(name) if edits(driver, name) <= 2 => format!(" — did you mean \"{name}\"?"),
        _ => String::new(),
    };
    let list = names.join(", ");
    let message = format!("unknown driver \"{driver}\"{suggestion} Drivers: {list}.");
    Error::new(ErrorCode::ConfigUnknownDevice, message)
}

/// Letters to insert, remove, change or swap with their neighbour to make `b` of `a`.
fn edits(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(32).collect(), b.chars().collect());
    let mut table = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            table[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let change = table[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                change.min(table[i - 1][j] + 1).min(table[i][j - 1] + 1)
            };
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                table[i][j] = table[i][j].min(table[i - 2][j - 2] + 1);
            }
        }
    }
    table[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use wirelet_packet::{Region, RegionConfig};

    use super::*;

    fn error_of(spec: &str) -> Error {
        let region = Region::new(RegionConfig { frames: 64, ..RegionConfig::default() });
        let context = OpenContext { region: region.expect("a region"), port: 0, queues: 1 };
        match open(spec, &context, &mut Rings::default()) {
            Ok(_) => panic!("{spec} opened"),
            Err(error) => error,
        }
    }

    #[test]
    fn an_unknown_driver_gets_a_suggestion_and_the_list() {
        let error = error_of("pcpa:in.pcap");
        assert_eq!(error.code, ErrorCode::ConfigUnknownDevice);
        assert!(error.message.contains("did you mean \"pcap\"?"), "{error}");
        assert!(error.message.contains("null, loop, ring, pcap"), "{error}");
        assert!(!error_of("ethernet:0").message.contains("did you mean"));
    }

    #[test]
    fn specs_that_say_too_much_are_refused() {
        for spec in ["null:x", "null:?rx=1", "loop:x", "loop:?size=1", "ring:", "null:?size=4"] {
            assert_eq!(error_of(spec).code, ErrorCode::DeviceSpec, "{spec}");
        }
    }

    #[test]
    fn edits_count_swaps_as_one() {
        assert_eq!(edits("pcpa", "pcap"), 1);
        assert_eq!(edits("", "gen"), 3);
        assert_eq!(edits("sinc", "sink"), 1);
    }
}
