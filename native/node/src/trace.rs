//! Filters, and traces of ports and programs.

use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use napi::bindgen_prelude::{AsyncTask, BigInt, Uint8Array};
use napi::{Env, Task};
use napi_derive::napi;
use wirelet_abi::{Error, ErrorCode};
use wirelet_engine::swap::Changes;
use wirelet_engine::trace::{self, Target, Traced};
use wirelet_engine::tracer::{Moment, Wanted};
use wirelet_engine::{Filter, Instruction, packet_line as packet_line_of};

use crate::convert::guarded;

/// Numbers of one instruction: code, jt, jf, k.
const NUMBERS: usize = 4;

/// Instructions of a filter, four numbers each.
#[napi]
pub fn compile_filter(expression: String) -> AsyncTask<FilterTask> {
    AsyncTask::new(FilterTask { expression })
}

/// The first bytes of a packet of `length` as a line, `[|tcp]` for what they don't hold.
#[napi]
pub fn packet_line(bytes: Uint8Array, length: u32) -> String {
    packet_line_of(&bytes, (length as usize).max(bytes.len()))
}

/// Looks up the names of an expression, so not on the thread of JavaScript.
pub struct FilterTask {
    expression: String,
}

impl Task for FilterTask {
    type Output = Vec<u32>;
    type JsValue = Vec<u32>;

    fn compute(&mut self) -> napi::Result<Self::Output> {
        guarded(|| {
            let instructions = Filter::compile(&self.expression)?;
            Filter::new(&instructions)?;
            let numbers =
                |each: &Instruction| [each.code.into(), each.jt.into(), each.jf.into(), each.k];
            Ok(instructions.iter().flat_map(numbers).collect())
        })
    }

    fn resolve(&mut self, _env: Env, output: Self::Output) -> napi::Result<Self::JsValue> {
        Ok(output)
    }
}

/// What to trace.
#[napi(object)]
pub struct TraceSpec {
    /// Index of a port, or -1 for a program.
    pub port: i32,
    /// Name of a program.
    pub program: String,
    /// Instructions, as `compileFilter` makes them; empty for all packets.
    pub filter: Vec<u32>,
    /// One of so many that match, at least 1.
    pub every: f64,
    /// Bytes of a packet to keep.
    pub snap: u32,
}

/// A packet of a trace.
#[napi(object)]
pub struct TracedPacket {
    /// Where.
    pub lcore: u32,
    /// `rx`, `tx`, `before` or `after`.
    pub moment: String,
    /// Port it came in by.
    pub port: u32,
    /// Bytes of it.
    pub length: u32,
    /// Nanoseconds since 1970.
    pub time_ns: BigInt,
    /// A verdict, `fault`, or nothing.
    pub verdict: String,
    /// Who decided it.
    pub program: String,
    /// What became of it.
    pub note: String,
    /// Its first bytes.
    pub packet: Uint8Array,
}

/// A part of a trace.
#[napi(object)]
pub struct TracePart {
    /// By their time.
    pub packets: Vec<TracedPacket>,
    /// Packets that matched and found no room so far.
    pub lost: f64,
    /// Nothing comes any more.
    pub over: bool,
}

/// A trace.
#[napi]
pub struct Trace {
    trace: Arc<Mutex<trace::Trace>>,
    ports: Vec<String>,
}

#[napi]
impl Trace {
    /// Packets that wait, at most `max`; none while it is being ended.
    #[napi]
    pub fn take(&self, max: u32) -> TracePart {
        let mut trace = match self.trace.try_lock() {
            Ok(trace) => trace,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                return TracePart { packets: Vec::new(), lost: 0.0, over: false };
            }
        };
        let over = trace.is_over();
        let packets = trace.take(max as usize);
        let over = over && packets.len() < max as usize;
        let packets = packets.into_iter().map(|packet| self.packet(&trace, packet)).collect();
        TracePart { packets, lost: trace.lost() as f64, over }
    }

    /// Takes it from the lcores; what was copied until then can still be taken.
    #[napi]
    pub fn end(&self) -> AsyncTask<EndTask> {
        AsyncTask::new(EndTask { trace: Arc::clone(&self.trace) })
    }

    fn packet(&self, trace: &trace::Trace, packet: Traced) -> TracedPacket {
        let (program, note) = trace.describe(&packet, &self.ports);
        let Traced { lcore, copied, bytes } = packet;
        let moment = match copied.moment {
            Moment::Rx => "rx",
            Moment::Tx => "tx",
            Moment::Before => "before",
            Moment::After => "after",
        };
        TracedPacket {
            lcore: lcore as u32,
            moment: moment.into(),
            port: copied.port.into(),
            length: copied.length.into(),
            time_ns: BigInt::from(copied.timestamp_ns),
            verdict: copied.fate.verdict().into(),
            program,
            note,
            packet: bytes.into(),
        }
    }
}

/// A trace that has not begun.
pub struct TraceTask {
    changes: Arc<Mutex<Changes>>,
    ports: Vec<String>,
    spec: TraceSpec,
}

impl TraceTask {
    /// Of what `spec` says; `ports` are names.
    pub fn new(changes: &Arc<Mutex<Changes>>, ports: Vec<String>, spec: TraceSpec) -> TraceTask {
        TraceTask { changes: Arc::clone(changes), ports, spec }
    }
}

impl Task for TraceTask {
    type Output = trace::Trace;
    type JsValue = Trace;

    fn compute(&mut self) -> napi::Result<Self::Output> {
        guarded(|| {
            let target = match usize::try_from(self.spec.port) {
                Ok(port) => Target::Port(port),
                Err(_) => Target::Program(self.spec.program.clone()),
            };
            let filter = match self.spec.filter.as_slice() {
                [] => None,
                numbers => Some(Filter::new(&instructions(numbers)?)?),
            };
            let every = (self.spec.every as u64).max(1);
            let snap = (self.spec.snap as usize).min(usize::from(u16::MAX));
            trace::Trace::start(&self.changes, &target, &Wanted { filter, every, snap })
        })
    }

    fn resolve(&mut self, _env: Env, output: Self::Output) -> napi::Result<Self::JsValue> {
        Ok(Trace { trace: Arc::new(Mutex::new(output)), ports: std::mem::take(&mut self.ports) })
    }
}

/// The end of a trace: lcores are asked to give it back.
pub struct EndTask {
    trace: Arc<Mutex<trace::Trace>>,
}

impl Task for EndTask {
    type Output = ();
    type JsValue = ();

    fn compute(&mut self) -> napi::Result<Self::Output> {
        self.trace.lock().unwrap_or_else(PoisonError::into_inner).end();
        Ok(())
    }

    fn resolve(&mut self, _env: Env, (): Self::Output) -> napi::Result<Self::JsValue> {
        Ok(())
    }
}

fn instructions(numbers: &[u32]) -> Result<Vec<Instruction>, Error> {
    let wrong = || Error::new(ErrorCode::Filter, "a number that no instruction has");
    let instruction = |each: &[u32]| {
        let &[code, jt, jf, k] = each else { return Err(wrong()) };
        let code = u16::try_from(code).map_err(|_| wrong())?;
        let [jt, jf] = [u8::try_from(jt), u8::try_from(jf)];
        Ok(Instruction { code, jt: jt.map_err(|_| wrong())?, jf: jf.map_err(|_| wrong())?, k })
    };
    numbers.chunks(NUMBERS).map(instruction).collect()
}
