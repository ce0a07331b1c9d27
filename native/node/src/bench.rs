//! `bench`: on a thread of libuv's pool, so that the event loop goes on.

use napi::bindgen_prelude::{AsyncTask, Uint8Array};
use napi::{Env, Task};
use napi_derive::napi;
use wirelet_engine::bench::{Row, bench as run};
use wirelet_engine::program::ProgramConfig;

use crate::convert::{ProgramSpec, guarded};

/// One burst size.
#[napi(object)]
pub struct BenchRow {
    /// Packets per burst.
    pub burst: u32,
    /// Median.
    pub ns_per_packet: f64,
    /// Median of the twin.
    pub native_ns_per_packet: Option<f64>,
    /// Raw, ns per packet.
    pub samples: Vec<f64>,
    /// Raw, of the twin.
    pub native_samples: Vec<f64>,
}

/// A bench that has not run yet.
pub struct BenchTask {
    program: Option<ProgramConfig>,
    twin: String,
    packets: Vec<Vec<u8>>,
    bursts: Vec<usize>,
    rounds: usize,
}

impl Task for BenchTask {
    type Output = Vec<Row>;
    type JsValue = Vec<BenchRow>;

    fn compute(&mut self) -> napi::Result<Self::Output> {
        let program = self.program.take().expect("a task is computed once");
        guarded(|| run(program, &self.twin, &self.packets, &self.bursts, self.rounds))
    }

    fn resolve(&mut self, _env: Env, rows: Self::Output) -> napi::Result<Self::JsValue> {
        let row = |row: Row| BenchRow {
            burst: row.burst as u32,
            ns_per_packet: median(&row.samples).unwrap_or(f64::NAN),
            native_ns_per_packet: median(&row.native_samples),
            samples: row.samples,
            native_samples: row.native_samples,
        };
        Ok(rows.into_iter().map(row).collect())
    }
}

fn median(samples: &[f64]) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

/// Times a program, interleaved with the twin called `twin` where there is one.
#[napi]
pub fn bench(
    program: ProgramSpec,
    twin: String,
    packets: Vec<Uint8Array>,
    bursts: Vec<u32>,
    rounds: u32,
) -> napi::Result<AsyncTask<BenchTask>> {
    guarded(|| {
        Ok(AsyncTask::new(BenchTask {
            program: Some(program.into_config()?),
            twin,
            packets: packets.iter().map(|bytes| bytes.to_vec()).collect(),
            bursts: bursts.into_iter().map(|burst| burst as usize).collect(),
            rounds: rounds as usize,
        }))
    })
}

/// Names of the programs that have a native twin.
#[napi]
pub fn bench_twins() -> Vec<String> {
    wirelet_engine::TWINS.iter().map(|(name, _)| (*name).to_string()).collect()
}
