//! `Appliance`.

use std::sync::Arc;

use napi::Env;
use napi::bindgen_prelude::{ArrayBuffer, AsyncTask, BigInt, Uint8Array};
use napi_derive::napi;
use wirelet_abi::{Error, ErrorCode};
use wirelet_engine::appliance::{self, ApplianceConfig};
use wirelet_engine::event::{Event, What};
use wirelet_engine::idle::IdlePolicy;
use wirelet_engine::ports::PortConfig;
use wirelet_engine::punt::Punted;
use wirelet_engine::set_eal_arguments;
use wirelet_packet::{RegionConfig, clock};

use crate::convert::{CounterValue, Frame, ProgramSpec, frames, guarded};
use crate::rules::{self, RuleSpec};
use crate::shadow::{ShadowOptions, ShadowTask};
use crate::swap::{GenerationSpec, SwapTask};
use crate::tables::{self, Command, CommandTask, TableInfo, TablePart};
use crate::trace::{TraceSpec, TraceTask};

/// A port.
#[napi(object)]
pub struct PortSpec {
    /// Its name.
    pub name: String,
    /// Device spec.
    pub device: String,
    /// Queues; 0 for one per lcore.
    pub queues: u32,
    /// Port that passed packets leave by, or -1.
    pub forward: i32,
    /// Port that punted packets leave by, or -1.
    pub punt: i32,
    /// Programs, indexes.
    pub pipeline: Vec<u32>,
    /// What is decided before they see a packet.
    pub rules: Vec<RuleSpec>,
    /// `auto`, `never` or `always`.
    pub offload: String,
}

/// Everything an appliance is made of.
#[napi(object)]
pub struct ApplianceSpec {
    /// Frames of the region.
    pub frames: u32,
    /// Bytes of a frame.
    pub frame_bytes: u32,
    /// Use hugepages where there are any.
    pub hugepages: bool,
    /// CPU of each lcore; -1 for one that is not pinned.
    pub lcores: Vec<i32>,
    /// Packets per burst at most.
    pub burst: u32,
    /// `poll` or `adaptive`.
    pub idle: String,
    /// Rebuild faulted programs at once and on the lcore.
    pub offline: bool,
    /// Ports.
    pub ports: Vec<PortSpec>,
    /// Programs.
    pub programs: Vec<ProgramSpec>,
    /// Folder on tmpfs that their state is kept in.
    pub state_directory: Option<String>,
    /// Arguments of DPDK's environment; none: the defaults.
    pub eal: Option<Vec<String>>,
}

/// Something that happened.
#[napi(object)]
pub struct ApplianceEvent {
    /// `fault`, `log`, `link`, `device`, `state`, `lcore`, `rollback` or `quarantine`.
    pub kind: String,
    /// Nanoseconds since 1970.
    pub time_ns: BigInt,
    /// Where.
    pub lcore: u32,
    /// Program's or port's name.
    pub name: String,
    /// `WIRELET_E_...`, but for log lines.
    pub code: Option<String>,
    /// Description or log line; of a link, `up` or `down`.
    pub message: String,
    /// Generation of the pipeline.
    pub generation: u32,
    /// Of a fault: stack, innermost first.
    pub frames: Vec<Frame>,
    /// Of a fault: the packet being worked on.
    pub packet: Option<Uint8Array>,
}

/// A packet that a program has punted to the host.
#[napi(object)]
pub struct PuntedPacket {
    /// Nanoseconds since 1970.
    pub time_ns: BigInt,
    /// Where its program ran.
    pub lcore: u32,
    /// Name of the port that it came in by.
    pub port: String,
    /// The program's name.
    pub program: String,
    /// The 32 bits that it carries.
    pub mark: u32,
    /// Its bytes.
    pub packet: Uint8Array,
}

/// An appliance.
#[napi]
pub struct Appliance {
    appliance: appliance::Appliance,
    ports: Vec<String>,
    closed: bool,
}

#[napi]
impl Appliance {
    /// Opens devices and loads programs; nothing runs yet.
    #[napi(constructor)]
    pub fn new(mut spec: ApplianceSpec) -> napi::Result<Appliance> {
        guarded(|| {
            set_eal_arguments(spec.eal.take())?;
            let ports = spec.ports.iter().map(|port| port.name.clone()).collect();
            let appliance = appliance::Appliance::new(config(spec)?)?;
            Ok(Appliance { appliance, ports, closed: false })
        })
    }

    /// Starts the lcores.
    #[napi]
    pub fn start(&mut self) -> napi::Result<()> {
        guarded(|| self.appliance.start())
    }

    /// The counters page, shared with the lcores; it outlives the appliance.
    #[napi]
    pub fn stats_page<'env>(&self, env: &'env Env) -> napi::Result<ArrayBuffer<'env>> {
        let page = Arc::clone(self.appliance.stats_page());
        // SAFETY: the finalizer's `page` keeps the mapping until the buffer is collected. Lcores
        // write it while JavaScript reads: words tear at worst between two u64s, which the sequence
        // in each block tells.
        unsafe { ArrayBuffer::from_external(env, page.base(), page.bytes(), page, |_, _| {}) }
    }

    /// Names of a port's extra statistics.
    #[napi]
    pub fn xstat_names(&self, port: u32) -> Vec<String> {
        let facts = self.appliance.port_facts(port as usize);
        let names = facts.map(|facts| facts.xstat_names).unwrap_or_default();
        names.iter().map(|name| (*name).into()).collect()
    }

    /// Who carries out a port's rules.
    #[napi]
    pub fn rules_place(&self, port: u32) -> rules::RulesPlace {
        self.appliance.port_facts(port as usize).into()
    }

    /// Every program's counters.
    #[napi]
    pub fn counters(&self) -> Vec<CounterValue> {
        let value = |counter: appliance::Counter| CounterValue {
            program: self.appliance.program_name(counter.program),
            name: counter.name,
            value: BigInt::from(counter.value),
        };
        self.appliance.counters().into_iter().map(value).collect()
    }

    /// Names of programs by slot, `` for free ones: the order of the counters page.
    #[napi]
    pub fn program_slots(&self) -> Vec<String> {
        self.appliance.slot_names()
    }

    /// Number of the newest generation that all lcores have adopted.
    #[napi]
    pub fn generation(&self) -> u32 {
        self.appliance.generation()
    }

    /// Makes `spec` the next generation.
    #[napi]
    pub fn swap(&self, spec: GenerationSpec) -> napi::Result<AsyncTask<SwapTask>> {
        guarded(|| SwapTask::swap(self.appliance.changes(), spec).map(AsyncTask::new))
    }

    /// Publishes the programs of the generation before.
    #[napi]
    pub fn rollback(&self) -> AsyncTask<SwapTask> {
        AsyncTask::new(SwapTask::rollback(self.appliance.changes()))
    }

    /// Runs `candidate` beside the running program of its name over a sample of its packets.
    #[napi]
    pub fn shadow(&self, candidate: ProgramSpec, options: ShadowOptions) -> AsyncTask<ShadowTask> {
        AsyncTask::new(ShadowTask::new(self.appliance.changes(), candidate, options))
    }

    /// Puts a trace on the lcores.
    #[napi]
    pub fn trace(&self, spec: TraceSpec) -> AsyncTask<TraceTask> {
        AsyncTask::new(TraceTask::new(self.appliance.changes(), self.ports.clone(), spec))
    }

    /// Every program's tables.
    #[napi]
    pub fn tables(&self) -> Vec<TableInfo> {
        let tables = self.appliance.tables();
        tables.iter().map(|(program, table)| TableInfo::of(program, table)).collect()
    }

    /// Entries of one lcore's table from `cursor` on, at most `max`.
    #[napi]
    pub fn table_read(
        &self,
        program: String,
        table: String,
        lcore: u32,
        cursor: f64,
        max: u32,
    ) -> napi::Result<TablePart> {
        guarded(|| {
            let table = self.appliance.table(&program, &table)?;
            tables::read(&table, lcore as usize, cursor, max as usize)
        })
    }

    /// Value of a key on each lcore.
    #[napi]
    pub fn table_get(
        &self,
        program: String,
        table: String,
        key: Uint8Array,
    ) -> napi::Result<Vec<Option<Uint8Array>>> {
        guarded(|| Ok(tables::get(&self.appliance.table(&program, &table)?, &key)))
    }

    /// Sets a key on one lcore, or on all with -1.
    #[napi]
    pub fn table_set(
        &self,
        program: String,
        table: String,
        lcore: i32,
        key: Uint8Array,
        value: Uint8Array,
    ) -> AsyncTask<CommandTask> {
        let command = Command::Set { key: key.to_vec(), value: value.to_vec() };
        self.command(program, table, lcore, command)
    }

    /// Deletes a key on one lcore, or on all with -1; false when it was on none.
    #[napi]
    pub fn table_delete(
        &self,
        program: String,
        table: String,
        lcore: i32,
        key: Uint8Array,
    ) -> AsyncTask<CommandTask> {
        self.command(program, table, lcore, Command::Delete { key: key.to_vec() })
    }

    /// Builds a table aside and flips to it, on one lcore, or on all with -1.
    #[napi]
    pub fn table_replace(
        &self,
        program: String,
        table: String,
        lcore: i32,
        keys: Vec<Uint8Array>,
        values: Vec<Uint8Array>,
    ) -> AsyncTask<CommandTask> {
        let pairs = keys.iter().zip(&values);
        let entries = pairs.map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
        self.command(program, table, lcore, Command::Replace { entries })
    }

    fn command(
        &self,
        program: String,
        table: String,
        lcore: i32,
        command: Command,
    ) -> AsyncTask<CommandTask> {
        let lcore = usize::try_from(lcore).ok();
        let changes = Arc::clone(self.appliance.changes());
        AsyncTask::new(CommandTask { changes, program, table, lcore, command })
    }

    /// Takes the events since the last call.
    #[napi]
    pub fn events(&self) -> Vec<ApplianceEvent> {
        self.appliance.events().into_iter().map(|event| self.event(event)).collect()
    }

    /// Events that nobody took in time.
    #[napi]
    pub fn events_lost(&self) -> f64 {
        self.appliance.events_lost() as f64
    }

    /// Whether punted packets without a port to leave by are kept for `punted`.
    #[napi]
    pub fn listen_to_punts(&self, listens: bool) {
        self.appliance.listen_to_punts(listens);
    }

    /// Takes the packets that were punted to the host since the last call.
    #[napi]
    pub fn punted(&self) -> Vec<PuntedPacket> {
        let packet = |punted: Punted| PuntedPacket {
            time_ns: BigInt::from(clock::wall_ns_at(punted.time_ns)),
            lcore: punted.lcore,
            port: self.ports[usize::from(punted.port)].clone(),
            program: self.appliance.program_name(punted.program.into()),
            mark: punted.mark,
            packet: punted.packet.into(),
        };
        self.appliance.punted().into_iter().map(packet).collect()
    }

    /// Whether all inputs have ended and nothing is inside.
    #[napi]
    pub fn finished(&self) -> bool {
        self.appliance.finished()
    }

    /// Asks the lcores to receive no more, to drain, and to end.
    #[napi]
    pub fn request_stop(&self, drain_ms: f64) {
        self.appliance.request_stop((drain_ms.max(0.0) * 1e6) as u64);
    }

    /// Whether all lcores have ended.
    #[napi]
    pub fn stopped(&self) -> bool {
        self.appliance.stopped()
    }

    /// Frames that somebody still has.
    #[napi]
    pub fn frames_used(&self) -> u32 {
        self.appliance.frames_used() as u32
    }

    /// Stops, closes devices and frees everything.
    #[napi]
    pub fn close(&mut self) -> napi::Result<()> {
        if std::mem::replace(&mut self.closed, true) {
            return Ok(());
        }
        guarded(|| self.appliance.close())
    }

    fn event(&self, event: Event) -> ApplianceEvent {
        let mut out = ApplianceEvent {
            kind: String::new(),
            time_ns: BigInt::from(clock::wall_ns_at(event.time_ns)),
            lcore: event.lcore,
            name: String::new(),
            code: None,
            message: String::new(),
            generation: 1,
            frames: Vec::new(),
            packet: None,
        };
        let mut fail = |kind: &str, name: &str, error: Error| {
            out.kind = kind.into();
            out.name = name.into();
            out.code = Some(error.code.code().into());
            out.message = error.message;
        };
        match event.what {
            What::Log(line) => {
                let text = &line.text[..usize::from(line.bytes)];
                out.kind = "log".into();
                out.name = self.appliance.program_name(line.program.into());
                out.message = String::from_utf8_lossy(text).into_owned();
            }
            What::Fault(report) => {
                let name = self.appliance.program_name(report.program.into());
                fail("fault", &name, report.fault.error.clone());
                out.generation = report.generation;
                out.frames = frames(&report.fault);
                out.packet =
                    Some(report.packet.into()).filter(|packet: &Uint8Array| !packet.is_empty());
            }
            What::Device { port, error } => {
                fail("device", &self.ports[usize::from(port)], error);
            }
            What::Link { port, up } => {
                out.kind = "link".into();
                out.name = self.ports[usize::from(port)].clone();
                out.message = if up { "up" } else { "down" }.into();
            }
            What::Reopened { port } => {
                out.kind = "reopened".into();
                out.name = self.ports[usize::from(port)].clone();
            }
            What::Placement { port, message } => {
                out.kind = "placement".into();
                out.name = self.ports[usize::from(port)].clone();
                out.message = message.into();
            }
            What::Rollback { program, to, message } => {
                out.kind = "rollback".into();
                out.name = self.appliance.program_name(program.into());
                (out.generation, out.message) = (to, message);
            }
            What::Quarantine { program } => {
                out.kind = "quarantine".into();
                out.name = self.appliance.program_name(program.into());
                out.generation = self.appliance.generation();
            }
            What::State(error) => fail("state", "state", error),
            What::Lcore(error) => fail("lcore", &format!("lcore{}", event.lcore), error),
        }
        out
    }
}

fn config(spec: ApplianceSpec) -> Result<ApplianceConfig, Error> {
    let idle = match spec.idle.as_str() {
        "poll" => IdlePolicy::Poll,
        "adaptive" => IdlePolicy::Adaptive,
        other => {
            let message = format!("idle: `{other}` is not poll or adaptive");
            return Err(Error::new(ErrorCode::ConfigInvalid, message));
        }
    };
    let programs = spec.programs.into_iter().map(ProgramSpec::into_config);
    Ok(ApplianceConfig {
        region: RegionConfig {
            frames: spec.frames as usize,
            frame_bytes: spec.frame_bytes as usize,
            hugepages: spec.hugepages,
            // Where the NICs are: the engine looks.
            node: None,
        },
        lcores: spec.lcores.into_iter().map(|cpu| usize::try_from(cpu).ok()).collect(),
        burst: spec.burst as usize,
        idle,
        offline: spec.offline,
        ports: spec.ports.into_iter().map(port).collect::<Result<_, _>>()?,
        programs: programs.collect::<Result<_, _>>()?,
        state_directory: spec.state_directory.map(Into::into),
    })
}

fn port(spec: PortSpec) -> Result<PortConfig, Error> {
    Ok(PortConfig {
        rules: rules::rules(spec.rules)?,
        offload: rules::offload(&spec.offload)?,
        name: spec.name,
        device: spec.device,
        queues: spec.queues as usize,
        forward: u16::try_from(spec.forward).ok(),
        punt: u16::try_from(spec.punt).ok(),
        pipeline: spec.pipeline.into_iter().map(|program| program as usize).collect(),
    })
}
