//! Wrappers: devices around devices, `fault(loss=1%):af_packet:eth0`. The outermost stands first,
//! nearest to the programs.

mod capture;
mod fault;
mod layer;
mod trace;

use wirelet_abi::Error;

use crate::{Device, OpenContext, Spec};
use layer::Wrapped;
pub use trace::line as packet_line;

/// Wrappers around one device at most: more are a mistake, and each costs stack.
pub(crate) const DEPTH_MAX: usize = 4;

type Wrap = fn(&Spec, &OpenContext, Vec<Box<dyn Device>>) -> Result<Vec<Box<dyn Device>>, Error>;

/// Every wrapper, in the order of the docs.
const WRAPPERS: &[(&str, Wrap)] =
    &[("fault", fault::around), ("trace", trace::around), ("capture", capture::around)];

/// Their names.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    WRAPPERS.iter().map(|(name, _)| *name)
}

pub(crate) fn is_wrapper(name: &str) -> bool {
    names().any(|other| other == name)
}

/// Puts the wrapper that `spec` names around each queue of a port.
///
/// # Errors
/// `WIRELET_E_DEVICE_SPEC`, `WIRELET_E_OUTPUT`.
pub(crate) fn around(
    spec: &Spec,
    context: &OpenContext,
    devices: Vec<Box<dyn Device>>,
) -> Result<Vec<Box<dyn Device>>, Error> {
    let wrap = WRAPPERS.iter().find(|(name, _)| *name == spec.driver);
    let (_, wrap) = wrap.expect("the caller has asked is_wrapper");
    wrap(spec, context, devices)
}
