//! `Runner`: a program on the calling thread.

use std::sync::Arc;

use napi::bindgen_prelude::{BigInt, Uint8Array};
use napi_derive::napi;
use wirelet_abi::{Error, ErrorCode};
use wirelet_engine::fault::Fault;
use wirelet_engine::runner::{self, Given};
use wirelet_engine::state::StateTable;
use wirelet_packet::clock;

use crate::convert::{CounterValue, Frame, ProgramSpec, frames, guarded};
use crate::tables::{self, TableInfo, TablePart};

/// What went wrong in a run.
#[napi(object)]
pub struct RunFault {
    /// `WIRELET_E_...`.
    pub code: String,
    /// Description.
    pub message: String,
    /// Stack, innermost first.
    pub frames: Vec<Frame>,
    /// Index of the packet being worked on, or -1.
    pub packet: i32,
}

/// A burst after a run.
#[napi(object)]
pub struct RunResult {
    /// Names of verdicts, or `undecided`.
    pub verdicts: Vec<String>,
    /// Ports of redirects.
    pub egress: Vec<u32>,
    /// Marks.
    pub marks: Vec<u32>,
    /// Bytes.
    pub packets: Vec<Uint8Array>,
    /// What went wrong.
    pub fault: Option<RunFault>,
}

/// A program on the calling thread: tests, tools, Workers.
#[napi]
pub struct Runner {
    runner: Option<runner::Runner>,
    name: String,
}

#[napi]
impl Runner {
    /// Loads the program.
    #[napi(constructor)]
    pub fn new(program: ProgramSpec) -> napi::Result<Runner> {
        guarded(|| {
            let name = program.name.clone();
            let runner = runner::Runner::new(program.into_config()?)?;
            Ok(Runner { runner: Some(runner), name })
        })
    }

    /// Puts another version in the program's place, with its state.
    #[napi]
    pub fn swap(&mut self, program: ProgramSpec) -> napi::Result<()> {
        guarded(|| self.open()?.swap(program.into_config()?))
    }

    /// Runs one burst, at a time of the monotonic clock, or now.
    #[napi]
    pub fn run(
        &mut self,
        packets: Vec<Uint8Array>,
        ports: Vec<u32>,
        now_ns: Option<BigInt>,
    ) -> napi::Result<RunResult> {
        guarded(|| {
            let port = |index: usize| ports.get(index).map_or(0, |&port| port as u16);
            let packets = packets.iter().enumerate();
            let packets: Vec<Given<'_>> = packets
                .map(|(index, bytes)| Given { bytes: bytes.as_ref(), port: port(index), mark: 0 })
                .collect();
            let now_ns = now_ns.map_or_else(clock::now_ns, |now_ns| now_ns.get_u64().1);
            self.open()?.run_at(&packets, now_ns).map(result)
        })
    }

    /// The program's counters.
    #[napi]
    pub fn counters(&mut self) -> napi::Result<Vec<CounterValue>> {
        guarded(|| {
            let program = self.name.clone();
            let value = |(name, value): (String, u64)| CounterValue {
                program: program.clone(),
                name,
                value: BigInt::from(value),
            };
            Ok(self.open()?.counters().into_iter().map(value).collect())
        })
    }

    /// The program's tables.
    #[napi]
    pub fn tables(&mut self) -> napi::Result<Vec<TableInfo>> {
        guarded(|| {
            let name = self.name.clone();
            let state = Arc::clone(self.open()?.state());
            let tables = state.tables();
            Ok(tables.iter().map(|table| TableInfo::of(&name, table)).collect())
        })
    }

    /// Entries of a table from `cursor` on, at most `max`.
    #[napi]
    pub fn table_read(&mut self, table: String, cursor: f64, max: u32) -> napi::Result<TablePart> {
        guarded(|| tables::read(&self.table(&table)?, 0, cursor, max as usize))
    }

    /// A key's value.
    #[napi]
    pub fn table_get(
        &mut self,
        table: String,
        key: Uint8Array,
    ) -> napi::Result<Option<Uint8Array>> {
        guarded(|| Ok(tables::get(&self.table(&table)?, &key).pop().flatten()))
    }

    /// Sets a key.
    #[napi]
    pub fn table_set(
        &mut self,
        table: String,
        key: Uint8Array,
        value: Uint8Array,
    ) -> napi::Result<()> {
        guarded(|| self.table(&table)?.tables[0].set(&key, &value))
    }

    /// Deletes a key; false when it was not there.
    #[napi]
    pub fn table_delete(&mut self, table: String, key: Uint8Array) -> napi::Result<bool> {
        guarded(|| Ok(self.table(&table)?.tables[0].delete(&key)))
    }

    fn table(&mut self, name: &str) -> Result<StateTable, Error> {
        self.open()?.state().table(name)
    }

    /// Log lines since the last call.
    #[napi]
    pub fn logs(&mut self) -> napi::Result<Vec<String>> {
        guarded(|| Ok(self.open()?.logs()))
    }

    /// Frees it.
    #[napi]
    pub fn close(&mut self) {
        self.runner = None;
    }

    fn open(&mut self) -> Result<&mut runner::Runner, Error> {
        self.runner.as_mut().ok_or_else(|| Error::new(ErrorCode::State, "the runner is closed"))
    }
}

/// A fault, and the packet's place in its burst.
pub fn run_fault((fault, packet): (Fault, Option<usize>)) -> RunFault {
    RunFault {
        code: fault.error.code.code().into(),
        message: fault.error.message.clone(),
        frames: frames(&fault),
        packet: packet.map_or(-1, |index| index as i32),
    }
}

fn result(run: runner::Run) -> RunResult {
    let verdict = |packet: &runner::Answered| {
        packet.verdict.map_or("undecided", wirelet_abi::Verdict::name).to_string()
    };
    RunResult {
        verdicts: run.packets.iter().map(verdict).collect(),
        egress: run.packets.iter().map(|packet| packet.egress.into()).collect(),
        marks: run.packets.iter().map(|packet| packet.mark).collect(),
        fault: run.fault.map(run_fault),
        packets: run.packets.into_iter().map(|packet| packet.bytes.into()).collect(),
    }
}
