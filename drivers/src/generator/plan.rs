//! What a `gen:` spec asks for.

use std::net::{Ipv4Addr, Ipv6Addr};

use wirelet_abi::Error;
use wirelet_abi::limits::PACKET_BYTES_PADDED;

use super::template::Protocol;
use crate::{OpenContext, Spec};

const OPTIONS: &[&str] = &[
    "rate",
    "count",
    "size",
    "sizes",
    "flows",
    "seed",
    "protocols",
    "names",
    "vlan",
    "src",
    "dst",
    "src6",
    "dst6",
    "src_mac",
    "dst_mac",
    "ring",
];

/// Most packets per second: an interval of 2 ns.
const RATE_MAX: u64 = 500_000_000;
/// Flows of one generator: the stamp has 16 bits for them.
const FLOWS_MAX: u64 = 1 << 16;
const RING_DEFAULT: u64 = 1024;
const RING_MAX: u64 = 1 << 20;
const NAMES_MAX: usize = 1024;

/// A parsed `gen:` spec.
pub(super) struct Plan {
    /// Packets per second; `None` for as fast as they are taken.
    pub(super) rate: Option<u64>,
    pub(super) count: u64,
    pub(super) sizes: Sizes,
    pub(super) flows: u32,
    pub(super) seed: u64,
    pub(super) protocols: Vec<Protocol>,
    pub(super) names: Vec<String>,
    pub(super) vlan: Option<u16>,
    pub(super) source: Prefix<u32>,
    pub(super) destination: Prefix<u32>,
    pub(super) source6: Prefix<u128>,
    pub(super) destination6: Prefix<u128>,
    pub(super) source_mac: [u8; 6],
    pub(super) destination_mac: [u8; 6],
    pub(super) ring: usize,
}

/// Bytes of packets, without the frame check sequence: each of the table equally often, or each of
/// a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sizes {
    Range { first: u16, count: u32 },
    Table(Box<[u16]>),
}

/// Addresses with the same first bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Prefix<T> {
    pub(super) base: T,
    /// The bits that differ.
    pub(super) host_mask: T,
}

impl Plan {
    pub(super) fn parse(spec: &Spec, context: &OpenContext) -> Result<Plan, Error> {
        spec.allow_options(OPTIONS)?;
        spec.allow_no_target()?;
        let rate = match spec.text("rate") {
            Some("max") => None,
            _ => Some(spec.number("rate", 1_000_000, 1..=RATE_MAX)?),
        };
        let vlan = match spec.text("vlan") {
            None => None,
            Some(_) => Some(spec.number("vlan", 0, 0..=4094)? as u16),
        };
        Ok(Plan {
            rate,
            count: spec.number("count", u64::MAX, 0..=u64::MAX)?,
            sizes: Sizes::parse(spec, context.region.data_room().min(usize::from(u16::MAX)))?,
            flows: spec.number("flows", 64, 1..=FLOWS_MAX)? as u32,
            seed: spec.number("seed", 1, 0..=u64::MAX)?,
            protocols: protocols(spec)?,
            names: names(spec)?,
            vlan,
            source: prefix4(spec, "src", "198.18.0.0/16")?,
            destination: prefix4(spec, "dst", "198.19.0.0/16")?,
            source6: prefix6(spec, "src6", "2001:2:0:1::/64")?,
            destination6: prefix6(spec, "dst6", "2001:2:0:2::/64")?,
            source_mac: mac(spec, "src_mac", [2, 0, 0, 0, 0, context.port as u8])?,
            destination_mac: mac(spec, "dst_mac", [2, 0, 0, 0, 1, context.port as u8])?,
            ring: (spec.number("ring", RING_DEFAULT, 1..=RING_MAX)? as usize).next_power_of_two(),
        })
    }
}

impl Sizes {
    /// `size=64`, `sizes=imix`, `sizes=64-1500`, `sizes=64,594,1514`.
    fn parse(spec: &Spec, room: usize) -> Result<Sizes, Error> {
        let text = match (spec.text("size"), spec.text("sizes")) {
            (Some(_), Some(_)) => return Err(spec.invalid("either `size` or `sizes`")),
            (Some(size), None) | (None, Some(size)) => size,
            (None, None) => "60",
        };
        let size = |text: &str| match text.parse::<u16>() {
            Ok(size) if (PACKET_BYTES_PADDED..=room).contains(&usize::from(size)) => Ok(size),
            _ => Err(spec.invalid(&format!(
                "`{text}` is no size: {PACKET_BYTES_PADDED} to {room} bytes (no FCS counted)"
            ))),
        };
        if text == "imix" {
            // The simple IMIX: IP packets of 46 (or less), 576 and 1,500 bytes as 7 : 4 : 1.
            let table = [vec![60; 7], vec![590; 4], vec![1514; 1]].concat();
            return Ok(Sizes::Table(table.into()));
        }
        if let Some((first, last)) = text.split_once('-') {
            let (first, last) = (size(first)?, size(last)?);
            if first > last {
                return Err(spec.invalid(&format!("sizes from {first} to {last}")));
            }
            return Ok(Sizes::Range { first, count: u32::from(last - first) + 1 });
        }
        let table = text.split(',').map(size).collect::<Result<Vec<u16>, Error>>()?;
        match table[..] {
            [size] => Ok(Sizes::Range { first: size, count: 1 }),
            _ => Ok(Sizes::Table(table.into())),
        }
    }

    /// The only size there is.
    pub(super) fn fixed(&self) -> Option<u16> {
        match *self {
            Sizes::Range { first, count: 1 } => Some(first),
            _ => None,
        }
    }

    /// One of them, by 32 random bits.
    #[inline]
    pub(super) fn pick(&self, random: u32) -> u16 {
        let below = |count: u32| (u64::from(random) * u64::from(count)) >> 32;
        match self {
            Sizes::Range { first, count } => first + below(*count) as u16,
            Sizes::Table(table) => table[below(table.len() as u32) as usize],
        }
    }
}

fn protocols(spec: &Spec) -> Result<Vec<Protocol>, Error> {
    let known = |name: &str| {
        let found = Protocol::ALL.iter().find(|(other, _)| *other == name);
        found.map(|(_, protocol)| *protocol).ok_or_else(|| {
            let list = Protocol::ALL.map(|(name, _)| name).join(", ");
            spec.invalid(&format!("unknown protocol `{name}`; protocols: {list}"))
        })
    };
    spec.text("protocols").unwrap_or("udp").split(',').map(known).collect()
}

fn names(spec: &Spec) -> Result<Vec<String>, Error> {
    let names: Vec<&str> = spec.text("names").unwrap_or("example.com").split(',').collect();
    if names.len() > NAMES_MAX {
        return Err(spec.invalid(&format!("more than {NAMES_MAX} names")));
    }
    let check = |name: &&str| {
        // RFC 1035 section 2.3.4: labels of 1 to 63 bytes, names of at most 255 with their lengths.
        let labels = name.split('.').all(|label| (1..=63).contains(&label.len()));
        if labels && name.len() <= 253 {
            return Ok(name.to_string());
        }
        Err(spec.invalid(&format!("`{name}` is no domain name")))
    };
    names.iter().map(check).collect()
}

fn prefix4(spec: &Spec, key: &str, default: &str) -> Result<Prefix<u32>, Error> {
    let (address, bits) = split_prefix(spec, key, default, 32)?;
    let address: Ipv4Addr = address.parse().map_err(|_| not_a_prefix(spec, key))?;
    let host_mask = u32::MAX.checked_shr(bits).unwrap_or(0);
    Ok(Prefix { base: address.to_bits() & !host_mask, host_mask })
}

fn prefix6(spec: &Spec, key: &str, default: &str) -> Result<Prefix<u128>, Error> {
    let (address, bits) = split_prefix(spec, key, default, 128)?;
    let address: Ipv6Addr = address.parse().map_err(|_| not_a_prefix(spec, key))?;
    let host_mask = u128::MAX.checked_shr(bits).unwrap_or(0);
    Ok(Prefix { base: address.to_bits() & !host_mask, host_mask })
}

/// Address and bits of `10.0.0.0/16`; all bits when none are given.
fn split_prefix<'a>(
    spec: &'a Spec,
    key: &str,
    default: &'a str,
    bits_max: u32,
) -> Result<(&'a str, u32), Error> {
    let text = spec.text(key).unwrap_or(default);
    let Some((address, bits)) = text.split_once('/') else { return Ok((text, bits_max)) };
    match bits.parse() {
        Ok(bits) if bits <= bits_max => Ok((address, bits)),
        _ => Err(not_a_prefix(spec, key)),
    }
}

fn not_a_prefix(spec: &Spec, key: &str) -> Error {
    let text = spec.text(key).unwrap_or_default();
    spec.invalid(&format!("option `{key}`: `{text}` is no address or prefix"))
}

fn mac(spec: &Spec, key: &str, default: [u8; 6]) -> Result<[u8; 6], Error> {
    let Some(text) = spec.text(key) else { return Ok(default) };
    let bytes: Option<Vec<u8>> = text
        .split(':')
        .map(|part| u8::from_str_radix(part, 16).ok().filter(|_| part.len() == 2))
        .collect();
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| spec.invalid(&format!("option `{key}`: `{text}` is no MAC address")))
}

#[cfg(test)]
mod tests {
    use wirelet_packet::{Region, RegionConfig};

    use super::*;

    fn parse(text: &str) -> Result<Plan, Error> {
        let region = Region::new(RegionConfig { frames: 64, ..RegionConfig::default() })?;
        Plan::parse(&text.parse()?, &OpenContext { region, port: 0, queues: 1 })
    }

    #[test]
    fn every_option_is_understood() {
        let plan = parse(
            "gen:?rate=2M&count=10&sizes=64-1500&flows=8&seed=9&protocols=udp,dns6&names=a.example\
             &vlan=100&src=10.0.0.0/8&dst=10.1.2.3&src6=fd00::/8&dst6=::1&src_mac=02:00:00:00:00:0a\
             &dst_mac=ff:ff:ff:ff:ff:ff&ring=100",
        )
        .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((plan.rate, plan.ring, plan.vlan), (Some(2_000_000), 128, Some(100)));
        assert_eq!(plan.sizes, Sizes::Range { first: 64, count: 1437 });
        assert_eq!(plan.source, Prefix { base: 10 << 24, host_mask: 0x00FF_FFFF });
        assert_eq!(plan.destination.host_mask, 0);
        assert_eq!(plan.destination6, Prefix { base: 1, host_mask: 0 });
        assert_eq!(plan.source_mac[5], 10);
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (spec, part) in [
            ("gen:?size=59", "60 to 2112"),
            ("gen:?size=9000", "is no size"),
            ("gen:?sizes=100-64", "from 100 to 64"),
            ("gen:?size=64&sizes=imix", "either"),
            ("gen:?protocols=upd", "protocols: udp, tcp"),
            ("gen:?names=a..b", "`a..b` is no domain name"),
            ("gen:?src=10.0.0.0/33", "is no address"),
            ("gen:?dst6=10.0.0.0/8", "is no address"),
            ("gen:?src_mac=2:0:0:0:0:1", "is no MAC"),
            ("gen:?vlan=4095", "not within"),
            ("gen:?rate=0", "not within"),
            ("gen:?flows=65537", "not within"),
            ("gen:?speed=1", "unknown option"),
            ("gen:eth0", "stands for nothing"),
        ] {
            match parse(spec) {
                Ok(_) => panic!("{spec} was taken"),
                Err(error) => assert!(error.message.contains(part), "{spec}: {error}"),
            }
        }
    }
}
