//! Rules of ports.

use napi_derive::napi;
use wirelet_abi::{Error, ErrorCode};
use wirelet_engine::ports::PortFacts;
use wirelet_engine::rules::Offload;
use wirelet_engine::{Match, Rule, RuleAction, VlanMatch};

/// A rule. What it does not say is `None`.
#[napi(object)]
pub struct RuleSpec {
    /// Number of the outermost tag; -1 for packets without one.
    pub vlan: Option<i32>,
    /// EtherType behind tags.
    pub ether_type: Option<u32>,
    /// Prefix of addresses.
    pub source: Option<String>,
    /// Prefix of addresses.
    pub destination: Option<String>,
    /// IP protocol.
    pub protocol: Option<u32>,
    /// First and last port.
    pub source_port: Option<Vec<u32>>,
    /// First and last port.
    pub destination_port: Option<Vec<u32>>,
    /// Drop what matches.
    pub drop: bool,
    /// Take it to the lcore of this queue.
    pub queue: Option<u32>,
    /// Mark it.
    pub mark: Option<u32>,
}

/// Who carries out a port's rules.
#[napi(object)]
pub struct RulesPlace {
    /// The device.
    pub hardware: bool,
    /// Hits are counted.
    pub counted: bool,
    /// Why not the device, where it was asked.
    pub refused: String,
}

impl From<Option<&PortFacts>> for RulesPlace {
    fn from(facts: Option<&PortFacts>) -> RulesPlace {
        let place = facts.map(|facts| facts.rules.clone()).unwrap_or_default();
        RulesPlace { hardware: place.hardware, counted: place.counted, refused: place.refused }
    }
}

/// Who shall carry them out.
pub(crate) fn offload(text: &str) -> Result<Offload, Error> {
    match text {
        "auto" => Ok(Offload::Auto),
        "never" => Ok(Offload::Never),
        "always" => Ok(Offload::Always),
        other => Err(wrong(&format!("offload: `{other}` is not auto, never or always"))),
    }
}

/// What the host says, for the engine.
pub(crate) fn rules(specs: Vec<RuleSpec>) -> Result<Vec<Rule>, Error> {
    specs.iter().map(rule).collect()
}

fn rule(spec: &RuleSpec) -> Result<Rule, Error> {
    let vlan = match spec.vlan {
        None => VlanMatch::Any,
        Some(-1) => VlanMatch::Untagged,
        Some(id) => VlanMatch::Id(number(id)?),
    };
    let action = match (spec.drop, spec.queue) {
        (true, _) => RuleAction::Drop,
        (false, Some(queue)) => RuleAction::Queue(number(queue)?),
        (false, None) => RuleAction::Pass,
    };
    let range = |ports: &Option<Vec<u32>>| match ports.as_deref() {
        None => Ok(None),
        Some(&[first, last]) => Ok(Some((number(first)?, number(last)?))),
        Some(_) => Err(wrong("ports are the first and the last")),
    };
    let when = Match {
        vlan,
        ether_type: spec.ether_type.map(number).transpose()?,
        source: spec.source.as_deref().map(str::parse).transpose()?,
        destination: spec.destination.as_deref().map(str::parse).transpose()?,
        protocol: spec.protocol.map(number).transpose()?,
        source_port: range(&spec.source_port)?,
        destination_port: range(&spec.destination_port)?,
    };
    Ok(Rule { when, action, mark: spec.mark })
}

fn number<From, To: TryFrom<From>>(value: From) -> Result<To, Error>
where
    From: Copy + std::fmt::Display,
{
    To::try_from(value).map_err(|_| wrong(&format!("{value} is too large")))
}

fn wrong(message: &str) -> Error {
    Error::new(ErrorCode::Rules, message)
}
