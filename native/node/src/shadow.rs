//! Shadow runs: on a thread of libuv's pool for as long as they last.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use napi::bindgen_prelude::Uint8Array;
use napi::{Env, Task};
use napi_derive::napi;
use wirelet_abi::Verdict;
use wirelet_engine::runner::Answered;
use wirelet_engine::shadow::{self, Difference, ShadowConfig, ShadowReport};
use wirelet_engine::swap::Changes;

use crate::convert::{ProgramSpec, guarded};
use crate::runner::{RunFault, run_fault};

/// How long, and how much.
#[napi(object)]
pub struct ShadowOptions {
    /// Milliseconds.
    pub duration_ms: f64,
    /// One flow in so many.
    pub sample_one_in: u32,
}

/// A packet that the two answered differently; the running program first.
#[napi(object)]
pub struct ShadowDifference {
    /// Where.
    pub lcore: u32,
    /// Port it came in by.
    pub port: u32,
    /// As both got it.
    pub packet: Uint8Array,
    /// Names of verdicts, or `undecided`.
    pub verdicts: Vec<String>,
    /// Ports of redirects.
    pub egress: Vec<u32>,
    /// Marks.
    pub marks: Vec<u32>,
    /// Bytes.
    pub packets: Vec<Uint8Array>,
}

/// What a shadow run found.
#[napi(object)]
pub struct ShadowResult {
    /// Packets that both ran over.
    pub sampled: f64,
    /// Packets that found no room.
    pub lost: f64,
    /// Packets that were answered differently.
    pub differences: f64,
    /// The first of them.
    pub examples: Vec<ShadowDifference>,
    /// Faults of the two.
    pub faults: Vec<f64>,
    /// The candidate's first.
    pub fault: Option<RunFault>,
}

/// A shadow run that has not run yet.
pub struct ShadowTask {
    changes: Arc<Mutex<Changes>>,
    candidate: Option<ProgramSpec>,
    options: ShadowOptions,
}

impl ShadowTask {
    /// Of `candidate` beside the program of its name.
    pub fn new(
        changes: &Arc<Mutex<Changes>>,
        candidate: ProgramSpec,
        options: ShadowOptions,
    ) -> ShadowTask {
        ShadowTask { changes: Arc::clone(changes), candidate: Some(candidate), options }
    }
}

impl Task for ShadowTask {
    type Output = ShadowReport;
    type JsValue = ShadowResult;

    fn compute(&mut self) -> napi::Result<Self::Output> {
        guarded(|| {
            let candidate = self.candidate.take().expect("a task is computed once");
            let config = ShadowConfig {
                candidate: candidate.into_config()?,
                duration: Duration::from_secs_f64(self.options.duration_ms.clamp(0.0, 3.6e6) / 1e3),
                one_in: self.options.sample_one_in,
            };
            shadow::run(&self.changes, config)
        })
    }

    fn resolve(&mut self, _env: Env, report: Self::Output) -> napi::Result<Self::JsValue> {
        Ok(ShadowResult {
            sampled: report.sampled as f64,
            lost: report.lost as f64,
            differences: report.differences as f64,
            examples: report.examples.into_iter().map(difference).collect(),
            faults: report.faults.map(|faults| faults as f64).into(),
            fault: report.fault.map(run_fault),
        })
    }
}

fn difference(difference: Difference) -> ShadowDifference {
    let answers = &difference.answers;
    let verdict = |answer: &Answered| answer.verdict.map_or("undecided", Verdict::name).into();
    ShadowDifference {
        lcore: difference.lcore as u32,
        port: difference.port.into(),
        verdicts: answers.iter().map(verdict).collect(),
        egress: answers.iter().map(|answer| answer.egress.into()).collect(),
        marks: answers.iter().map(|answer| answer.mark).collect(),
        packets: answers.iter().map(|answer| answer.bytes.clone().into()).collect(),
        packet: difference.packet.into(),
    }
}
