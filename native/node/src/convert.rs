//! Values between Node and the engine; errors with their code in front.

use std::panic::{AssertUnwindSafe, catch_unwind};

use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;
use wirelet_abi::{Error, ErrorCode};
use wirelet_engine::fault;
use wirelet_engine::program::{OnFault, ProgramConfig};
use wirelet_engine::steer::Affinity;

/// Runs `body`; no panic gets past it, and an error becomes a JavaScript one.
pub fn guarded<T>(body: impl FnOnce() -> Result<T, Error>) -> napi::Result<T> {
    let result = catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic");
        Err(Error::new(ErrorCode::Internal, text))
    });
    result.map_err(|error| napi::Error::from_reason(error.to_string()))
}

/// A program of an appliance or a runner.
#[napi(object)]
pub struct ProgramSpec {
    /// Its name.
    pub name: String,
    /// The module.
    pub wasm: Uint8Array,
    /// Its settings page; empty for none.
    pub settings: Uint8Array,
    /// CPU time of a burst.
    pub deadline_ns: f64,
    /// What untouched packets of a faulted burst get: `drop`, `pass` or `previous`.
    pub on_fault: String,
    /// Ports it may redirect to; all when missing.
    pub redirect_to: Option<Vec<u32>>,
    /// Which packets it must see on one lcore: `none`, `flow` or `symmetric`; none when missing.
    pub affinity: Option<String>,
    /// Fields of the types that its tables have as keys and values.
    pub table_types: Option<Vec<TableType>>,
}

/// A key's or value's type.
#[napi(object)]
pub struct TableType {
    /// Its name.
    pub name: String,
    /// `source:u32@0,destination:u32@4`.
    pub layout: String,
}

impl ProgramSpec {
    /// The engine's config.
    pub fn into_config(self) -> Result<ProgramConfig, Error> {
        let on_fault = match self.on_fault.as_str() {
            "drop" => OnFault::Drop,
            "pass" => OnFault::Pass,
            "previous" => OnFault::Previous,
            other => {
                let message =
                    format!("{}: onFault `{other}` is not drop, pass or previous", self.name);
                return Err(Error::new(ErrorCode::ConfigInvalid, message));
            }
        };
        let affinity = match self.affinity.as_deref() {
            None | Some("none") => Affinity::None,
            Some("flow") => Affinity::Flow,
            Some("symmetric") => Affinity::Symmetric,
            Some(other) => {
                let message =
                    format!("{}: affinity `{other}` is not none, flow or symmetric", self.name);
                return Err(Error::new(ErrorCode::ConfigInvalid, message));
            }
        };
        let bit = |port: &u32| if *port < 64 { 1u64 << port } else { 0 };
        let redirect_to = match &self.redirect_to {
            None => u64::MAX,
            Some(ports) => ports.iter().map(bit).fold(0, std::ops::BitOr::bitor),
        };
        Ok(ProgramConfig {
            name: self.name,
            wasm: self.wasm.to_vec(),
            settings: self.settings.to_vec(),
            deadline_ns: self.deadline_ns as u64,
            on_fault,
            redirect_to,
            affinity,
            table_types: self
                .table_types
                .into_iter()
                .flatten()
                .map(|ty| (ty.name, ty.layout))
                .collect(),
        })
    }
}

/// One function of a fault's stack.
#[napi(object)]
pub struct Frame {
    /// Bytes from the module's start.
    pub offset: f64,
    /// The function's name, or empty.
    pub name: String,
}

/// The stack of a fault.
pub fn frames(fault: &fault::Fault) -> Vec<Frame> {
    let frame =
        |frame: &fault::Frame| Frame { offset: frame.offset as f64, name: frame.name.clone() };
    fault.frames.iter().map(frame).collect()
}

/// A counter's value, summed over lcores.
#[napi(object)]
pub struct CounterValue {
    /// The program's name.
    pub program: String,
    /// The counter's name.
    pub name: String,
    /// Its value.
    pub value: napi::bindgen_prelude::BigInt,
}
