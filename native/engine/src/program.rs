//! A program, and its instance on one lcore.

use std::collections::HashMap;
use std::sync::Arc;

use wasmtime::{Store, TypedFunc, UpdateDeadline};
use wirelet_abi::{Error, ErrorCode, guest, limits};
use wirelet_packet::{Backing, Pages, Region, clock};

use crate::code::Code;
use crate::engine::engine;
use crate::fault::{DeadlineMissed, Fault};
use crate::log::LogWriter;
use crate::memory::{Access, GuestMemory, take_created};
use crate::state::{ProgramState, StateRules, Wanted};
use crate::steer::Affinity;
use crate::table::Table;
use crate::tick::{self, Ticker};
use crate::windows::Windows;

/// What the host says of a program.
#[derive(Clone, Debug)]
pub struct ProgramConfig {
    /// Its name in stats, counters and reports.
    pub name: String,
    /// The module.
    pub wasm: Vec<u8>,
    /// Its settings page, as [`wirelet_abi::settings`] describes it; empty for none.
    pub settings: Vec<u8>,
    /// CPU time of a burst in nanoseconds.
    pub deadline_ns: u64,
    /// What untouched packets of a faulted burst get.
    pub on_fault: OnFault,
    /// Ports it may redirect to, a bit each.
    pub redirect_to: u64,
    /// Which packets it must see on one lcore.
    pub affinity: Affinity,
    /// Fields of the types that its tables have as keys and values, by the type's name.
    pub table_types: HashMap<String, String>,
}

/// What packets get that a faulted program has not touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFault {
    /// Dropped.
    Drop,
    /// Passed to the next program.
    Pass,
    /// Given to the program of the generation before; dropped where there is none, or where its
    /// tables have another shape.
    Previous,
}

/// A program: checked, compiled, ready to be instantiated on any lcore. Shared by all of them.
pub struct Program {
    /// What the host said, without the module.
    pub config: ProgramConfig,
    /// Its machine code.
    pub code: Arc<Code>,
    /// What it shares with its earlier and later generations.
    pub state: Arc<ProgramState>,
    settings: Option<Arc<Backing>>,
    _ticker: Arc<Ticker>,
}

impl Program {
    /// Checks and compiles; `state` is attached to its instances.
    ///
    /// # Errors
    /// `WIRELET_E_MODULE_*`, `WIRELET_E_SETTINGS`, `WIRELET_E_CONFIG_LIMIT`,
    /// `WIRELET_E_MEMORY_EXHAUSTED`.
    pub fn new(config: ProgramConfig, state: Arc<ProgramState>) -> Result<Program, Error> {
        let deadlines = limits::DEADLINE_MIN_NS..=limits::DEADLINE_MAX_NS;
        if !deadlines.contains(&config.deadline_ns) {
            let message = format!("{}: a deadline of {} ns", config.name, config.deadline_ns);
            return Err(Error::new(ErrorCode::ConfigLimit, message));
        }
        let code = Code::of(&config.wasm)?;
        let settings = settings_page(&config)?;
        // The code keeps the module's bytes.
        let config = ProgramConfig { wasm: Vec::new(), ..config };
        Ok(Program { config, code, state, settings, _ticker: Ticker::hold() })
    }

    /// The same code with other state.
    pub fn with_state(&self, state: Arc<ProgramState>) -> Program {
        let (config, code) = (self.config.clone(), Arc::clone(&self.code));
        let settings = self.settings.clone();
        Program { config, code, state, settings, _ticker: Arc::clone(&self._ticker) }
    }

    /// A new instance of a program that has run here before, with the tables as they are.
    ///
    /// # Errors
    /// As [`Program::load`] and [`Loaded::open`], and `WIRELET_E_TABLE_SCHEMA` when it asks for
    /// other tables than before.
    pub fn instantiate(&self, places: &Places, log: LogWriter) -> Result<Instance, Fault> {
        let loaded = self.load(log)?;
        let tables = self.state.attach(loaded.wanted(), places.lcore).map_err(Fault::plain)?;
        loaded.open(places, &tables).map_err(Fault::plain)
    }

    /// The first instances: tables that it asks for are made, empty or as they are.
    ///
    /// # Errors
    /// As [`Program::instantiate`].
    pub fn instantiate_first(&self, places: &Places, log: LogWriter) -> Result<Instance, Fault> {
        let loaded = self.load(log)?;
        let (types, rules) = (&self.config.table_types, StateRules::default());
        let mut draft = self.state.draft(loaded.wanted(), types, rules).map_err(Fault::plain)?;
        // State that was kept, and needs more room: nobody writes it yet.
        for (_, copy) in &mut draft.copies {
            copy.copy_all();
            let copied = copy.finish(usize::MAX);
            assert!(copied, "nobody writes a table before the lcores run");
        }
        let tables = draft.of(places.lcore);
        self.state.commit(draft);
        loaded.open(places, &tables).map_err(Fault::plain)
    }

    /// The first half of an instance: memory, `_initialize`, `onLoad`. It can touch nothing but
    /// itself.
    ///
    /// # Errors
    /// A fault with `WIRELET_E_LOAD_*` or what the program asked for in vain; memory that is not
    /// there, as a fault without frames.
    pub fn load(&self, log: LogWriter) -> Result<Loaded<'_>, Fault> {
        let guest = Guest {
            memory: None,
            state: Arc::clone(&self.state),
            wanted: Vec::new(),
            loading: true,
            deadline_ns: limits::ON_LOAD_DEADLINE_NS,
            calls: 0,
            seen: None,
            log,
        };
        let mut store = Store::new(engine(), guest);
        store.epoch_deadline_callback(|mut context| context.data_mut().on_tick());
        // Before instantiating: with the default of 0 the instantiation itself traps once the epoch
        // has moved (DESIGN §6).
        arm(&mut store);
        let instance = self.code.pre.instantiate(&mut store);
        let memory = take_created().transpose().map_err(Fault::plain)?;
        let of_load = |error: wasmtime::Error| Fault::from_wasmtime(&error, true);
        let instance = instance.map_err(of_load)?;
        let memory = memory.expect("every module that passed the door has a memory");
        if let Some(settings) = &self.settings {
            let opened = memory.open(guest::SETTINGS_PAGE, settings, Access::Read);
            opened.map_err(Fault::plain)?;
        }
        store.data_mut().memory = Some(Arc::clone(&memory));
        for export in [guest::EXPORT_INITIALIZE, guest::EXPORT_ON_LOAD] {
            if let Ok(function) = instance.get_typed_func::<(), ()>(&mut store, export) {
                store.data_mut().calls += 1;
                arm(&mut store);
                function.call(&mut store, ()).map_err(of_load)?;
            }
        }
        let on_burst = instance
            .get_typed_func::<u32, ()>(&mut store, guest::EXPORT_ON_BURST)
            .expect("the door has checked the export and its type");
        Ok(Loaded { program: self, store, on_burst, memory })
    }
}

/// An instance that has loaded and sees nothing yet.
pub struct Loaded<'a> {
    program: &'a Program,
    store: Store<Guest>,
    on_burst: TypedFunc<u32, ()>,
    memory: Arc<GuestMemory>,
}

impl Loaded<'_> {
    /// The tables that it asked for, in order.
    pub fn wanted(&self) -> &[Wanted] {
        &self.store.data().wanted
    }

    /// The second half: packets, bursts and state come into sight.
    ///
    /// # Errors
    /// Those of mapping memory; `WIRELET_E_TABLES` when the tables don't fit into their window.
    pub fn open(mut self, places: &Places, tables: &[Arc<Table>]) -> Result<Instance, Error> {
        places.open(&self.memory, &self.program.state)?;
        let windows = match tables {
            [] => None,
            tables => Some(Windows::open(&self.memory, tables)?),
        };
        let guest = self.store.data_mut();
        guest.loading = false;
        guest.deadline_ns = self.program.config.deadline_ns;
        let Loaded { store, on_burst, memory, .. } = self;
        Ok(Instance { store, on_burst, memory, windows })
    }
}

/// What the windows of an instance show.
#[derive(Clone, Debug)]
pub struct Places {
    /// The lcore's burst page.
    pub burst_page: Arc<Backing>,
    /// The frames.
    pub region: Arc<Region>,
    /// The lcore's number.
    pub lcore: usize,
}

impl Places {
    fn open(&self, memory: &GuestMemory, state: &ProgramState) -> Result<(), Error> {
        memory.open(guest::BURST_PAGE, &self.burst_page, Access::ReadWrite)?;
        memory.open(guest::PACKET_WINDOW, self.region.backing(), Access::ReadWrite)?;
        memory.open(guest::COUNTERS, state.values(self.lcore), Access::ReadWrite)
    }
}

/// A program's instance on one lcore.
pub struct Instance {
    store: Store<Guest>,
    on_burst: TypedFunc<u32, ()>,
    memory: Arc<GuestMemory>,
    windows: Option<Arc<Windows>>,
}

impl Instance {
    /// Runs the burst that stands in the burst page.
    ///
    /// # Errors
    /// The fault it ended with; the instance must not be used again then.
    #[inline]
    pub fn run(&mut self) -> Result<(), Fault> {
        self.store.data_mut().calls += 1;
        arm(&mut self.store);
        match self.on_burst.call(&mut self.store, guest::BURST_PAGE) {
            Ok(()) => Ok(()),
            Err(error) => Err(Fault::from_wasmtime(&error, false)),
        }
    }

    /// Its address space.
    pub fn memory(&self) -> &Arc<GuestMemory> {
        &self.memory
    }

    /// Its tables; `None` when it asked for none.
    pub fn windows(&self) -> Option<&Arc<Windows>> {
        self.windows.as_ref()
    }

    /// Log lines that were cut off by the limit since the last call.
    pub fn take_lost_log_lines(&mut self) -> u64 {
        self.store.data_mut().log.take_lost()
    }
}

/// What the engine keeps beside an instance, out of its reach.
pub struct Guest {
    memory: Option<Arc<GuestMemory>>,
    /// The program's state.
    pub state: Arc<ProgramState>,
    /// Tables that it asked for so far.
    pub wanted: Vec<Wanted>,
    /// In `_initialize` or `onLoad`.
    pub loading: bool,
    deadline_ns: u64,
    /// Calls so far: tells one call from the next.
    calls: u64,
    /// The call that the tick last found running, and the thread's CPU time when it first did.
    seen: Option<(u64, u64)>,
    log: LogWriter,
}

impl Guest {
    /// Its address space.
    ///
    /// # Panics
    /// While it is being instantiated: no code of the guest runs before the memory is there.
    pub fn memory(&self) -> &GuestMemory {
        self.memory.as_ref().expect("set before the first call")
    }

    /// Writes a log line that starts at a native address within the program's own memory.
    pub fn log(&mut self, start: *const u8, bytes: usize) {
        self.log.write(start, bytes);
    }

    /// The tick found this program running. Epochs are wall time; a preempted lcore is no
    /// program's fault, so what counts is CPU time since the tick first found this very call: a
    /// call ends between its deadline and two ticks more.
    fn on_tick(&mut self) -> wasmtime::Result<UpdateDeadline> {
        tick::keep();
        let now_ns = clock::thread_cpu_ns();
        match self.seen {
            Some((call, first_ns)) if call == self.calls => {
                if now_ns - first_ns > self.deadline_ns {
                    return Err(DeadlineMissed { deadline_ns: self.deadline_ns }.into());
                }
            }
            _ => self.seen = Some((self.calls, now_ns)),
        }
        Ok(UpdateDeadline::Continue(1))
    }
}

/// The next tick looks at what is about to run.
#[inline]
fn arm(store: &mut Store<Guest>) {
    store.set_epoch_deadline(1);
    tick::keep();
}

fn settings_page(config: &ProgramConfig) -> Result<Option<Arc<Backing>>, Error> {
    if config.settings.len() > limits::SETTINGS_BYTES_MAX {
        let message = format!("{}: {} bytes of settings", config.name, config.settings.len());
        return Err(Error::new(ErrorCode::Settings, message));
    }
    let header = wirelet_abi::settings::SettingsHeader::LAYOUT.size;
    let page = Backing::new("wirelet-settings", config.settings.len().max(header), Pages::Small)?;
    // SAFETY: the page is at least as long as the settings and nobody else has it yet.
    unsafe {
        page.base().copy_from_nonoverlapping(config.settings.as_ptr(), config.settings.len());
    }
    Ok(Some(Arc::new(page)))
}
