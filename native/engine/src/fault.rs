//! What goes wrong inside a program, and where.

use wasmtime::{Trap, WasmBacktrace};
use wirelet_abi::{Error, ErrorCode};

/// A trap, a missed deadline or a descriptor that lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Kind and description.
    pub error: Error,
    /// Where, innermost first.
    pub frames: Vec<Frame>,
}

/// One function of a fault's stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Bytes from the module's start: what source maps speak of.
    pub offset: usize,
    /// The function's name, or empty.
    pub name: String,
}

/// Raised by the epoch callback when a burst's CPU time is over.
#[derive(Debug)]
pub struct DeadlineMissed {
    /// What it had, in nanoseconds.
    pub deadline_ns: u64,
}

impl std::fmt::Display for DeadlineMissed {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "it used more than {} ms of CPU time", self.deadline_ns as f64 / 1e6)
    }
}

impl std::error::Error for DeadlineMissed {}

impl Fault {
    /// What wasmtime reports, in our words. `load` tells onLoad from a burst.
    pub fn from_wasmtime(error: &wasmtime::Error, load: bool) -> Fault {
        let (trap_code, deadline_code) = match load {
            true => (ErrorCode::LoadTrap, ErrorCode::LoadDeadline),
            false => (ErrorCode::ProgramTrap, ErrorCode::ProgramDeadline),
        };
        let error_of = |code, message: String| Error::new(code, message);
        let described = if let Some(missed) = error.downcast_ref::<DeadlineMissed>() {
            error_of(deadline_code, missed.to_string())
        } else if let Some(own) = error.downcast_ref::<Error>() {
            own.clone()
        } else if let Some(trap) = error.downcast_ref::<Trap>() {
            error_of(trap_code, trap.to_string())
        } else {
            error_of(trap_code, error.root_cause().to_string())
        };
        Fault { error: described, frames: frames(error) }
    }

    /// Something that is no code's fault: memory, tables.
    pub fn plain(error: Error) -> Fault {
        Fault { error, frames: Vec::new() }
    }

    /// A descriptor that lies: no stack, the program had returned.
    pub fn lie(message: String) -> Fault {
        Fault::plain(Error::new(ErrorCode::Descriptor, message))
    }
}

fn frames(error: &wasmtime::Error) -> Vec<Frame> {
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else { return Vec::new() };
    let frame = |info: &wasmtime::FrameInfo| {
        let name = info.func_name().unwrap_or_default().into();
        Some(Frame { offset: info.module_offset()?, name })
    };
    // Endless recursion has a stack of thousands of frames; the innermost ones tell.
    backtrace.frames().iter().take(32).filter_map(frame).collect()
}
