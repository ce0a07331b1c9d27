//! The Node addon: converts and delegates, no logic. `host/src/native.ts` mirrors it.

// napi registers nothing under `cfg(test)`, which clippy checks all the same.
#![cfg_attr(test, allow(dead_code))]

mod appliance;
mod bench;
mod convert;
mod machine;
mod rules;
mod runner;
mod shadow;
mod swap;
mod tables;
mod trace;

use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;
use wirelet_engine::program::{OnFault, Program, ProgramConfig};
use wirelet_engine::state::ProgramState;

use crate::convert::guarded;

/// What the engine found out about a module at the door.
#[napi(object)]
pub struct ModuleInfo {
    /// Functions, imported ones included.
    pub functions: u32,
    /// Bytes of the program's own memory.
    pub memory_bytes: u32,
    /// Names it imports from `wirelet`.
    pub imports: Vec<String>,
    /// Whether it exports onLoad.
    pub on_load: bool,
    /// Bytes of machine code.
    pub code_bytes: u32,
    /// Milliseconds that checking and compiling took.
    pub compile_ms: f64,
}

/// The addon's version.
#[napi]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").into()
}

/// Checks and compiles a module; throws `WIRELET_E_MODULE_*`.
#[napi]
pub fn check_module(wasm: Uint8Array) -> napi::Result<ModuleInfo> {
    guarded(|| {
        let started = std::time::Instant::now();
        let program = Program::new(
            ProgramConfig {
                name: "module".into(),
                wasm: wasm.to_vec(),
                settings: Vec::new(),
                deadline_ns: wirelet_abi::limits::DEADLINE_DEFAULT_NS,
                on_fault: OnFault::Drop,
                redirect_to: u64::MAX,
                affinity: wirelet_engine::steer::Affinity::None,
                table_types: Default::default(),
            },
            ProgramState::new(1)?,
        )?;
        Ok(ModuleInfo {
            functions: program.code.info.functions,
            memory_bytes: program.code.info.memory_bytes as u32,
            imports: program.code.info.imports.clone(),
            on_load: program.code.info.on_load,
            code_bytes: program.code.bytes as u32,
            compile_ms: started.elapsed().as_secs_f64() * 1e3,
        })
    })
}
