//! Swaps: on a thread of libuv's pool, so that the event loop goes on.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use napi::{Env, Task};
use napi_derive::napi;
use wirelet_abi::Error;
use wirelet_engine::generation::{GenerationConfig, NextProgram, RollbackPolicy, Route};
use wirelet_engine::swap::{self, Changes, SwapReport};

use crate::convert::{ProgramSpec, guarded};
use crate::rules::{self, RuleSpec};

/// A program of the next generation.
#[napi(object)]
pub struct NextProgramSpec {
    /// The program; only its name is read when it is kept.
    pub program: ProgramSpec,
    /// It is unchanged: its instances stay.
    pub keep: bool,
}

/// Where the packets of a port go.
#[napi(object)]
pub struct RouteSpec {
    /// Port that passed packets leave by, or -1.
    pub forward: i32,
    /// Port that punted packets leave by, or -1.
    pub punt: i32,
    /// Programs, indexes.
    pub pipeline: Vec<u32>,
    /// What is decided before they see a packet.
    pub rules: Vec<RuleSpec>,
}

/// Everything that a generation is.
#[napi(object)]
pub struct GenerationSpec {
    /// Every program.
    pub programs: Vec<NextProgramSpec>,
    /// Of each port.
    pub ports: Vec<RouteSpec>,
    /// Tables of another shape begin empty.
    pub reset_state: bool,
    /// Stop before publishing.
    pub dry_run: bool,
    /// Faults of changed programs that bring the old ones back; 0: never.
    pub rollback_faults: u32,
    /// Within this time.
    pub rollback_ms: f64,
}

/// What became of a table.
#[napi(object)]
pub struct TableChange {
    /// The program's name.
    pub program: String,
    /// The table's.
    pub table: String,
    /// `attach`, `create`, `grow`, `extend` or `reset`.
    pub action: String,
}

/// A generation that all lcores have adopted.
#[napi(object)]
pub struct SwapResult {
    /// Its number.
    pub generation: u32,
    /// What became of tables.
    pub tables: Vec<TableChange>,
    /// Milliseconds of checking and compiling to machine code.
    pub compile_ms: f64,
    /// Milliseconds of making instances.
    pub instantiate_ms: f64,
    /// Milliseconds of copying tables.
    pub copy_ms: f64,
    /// Milliseconds from the publication to the last adoption.
    pub adopt_ms: f64,
}

/// A swap or rollback that has not run yet.
pub struct SwapTask {
    changes: Arc<Mutex<Changes>>,
    /// `None`: back to the generation before.
    next: Option<GenerationConfig>,
}

impl SwapTask {
    /// To the generation that `spec` describes.
    pub fn swap(changes: &Arc<Mutex<Changes>>, spec: GenerationSpec) -> Result<SwapTask, Error> {
        Ok(SwapTask { changes: Arc::clone(changes), next: Some(generation(spec)?) })
    }

    /// To the generation before.
    pub fn rollback(changes: &Arc<Mutex<Changes>>) -> SwapTask {
        SwapTask { changes: Arc::clone(changes), next: None }
    }
}

impl Task for SwapTask {
    type Output = SwapReport;
    type JsValue = SwapResult;

    fn compute(&mut self) -> napi::Result<Self::Output> {
        guarded(|| {
            let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
            match self.next.take() {
                Some(next) => changes.swap(next),
                None => changes.rollback(),
            }
        })
    }

    fn resolve(&mut self, _env: Env, report: Self::Output) -> napi::Result<Self::JsValue> {
        let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
        Ok(SwapResult {
            generation: report.generation,
            tables: report.tables.into_iter().map(table_change).collect(),
            compile_ms: ms(report.compile),
            instantiate_ms: ms(report.instantiate),
            copy_ms: ms(report.copy),
            adopt_ms: ms(report.adopt),
        })
    }
}

fn table_change(change: swap::TableChange) -> TableChange {
    let action = change.action.name().into();
    TableChange { program: change.program, table: change.table, action }
}

fn generation(spec: GenerationSpec) -> Result<GenerationConfig, Error> {
    let next = |next: NextProgramSpec| {
        Ok(NextProgram { config: next.program.into_config()?, keep: next.keep })
    };
    let route = |route: RouteSpec| {
        Ok(Route {
            forward: u16::try_from(route.forward).ok(),
            punt: u16::try_from(route.punt).ok(),
            chain: route.pipeline.into_iter().map(|program| program as usize).collect(),
            rules: rules::rules(route.rules)?,
        })
    };
    Ok(GenerationConfig {
        programs: spec.programs.into_iter().map(next).collect::<Result<_, Error>>()?,
        routes: spec.ports.into_iter().map(route).collect::<Result<_, Error>>()?,
        reset_state: spec.reset_state,
        dry_run: spec.dry_run,
        rollback: RollbackPolicy {
            faults: spec.rollback_faults,
            window: Duration::from_secs_f64(spec.rollback_ms.clamp(0.0, 1e9) / 1e3),
        },
    })
}
