//! The one wasmtime engine of the process.

use std::sync::{Arc, OnceLock};

use wasmtime::{Config, OptLevel};
use wirelet_abi::limits;

use crate::check::ALLOWED_FEATURES;
use crate::memory::{GUARD_BYTES, GuestMemoryCreator, RESERVATION_BYTES};

/// The process's wasmtime engine. Compiled code, and the addresses that its signal handler knows,
/// are per engine, so appliances, runners and benches share one.
pub fn engine() -> &'static wasmtime::Engine {
    static ENGINE: OnceLock<wasmtime::Engine> = OnceLock::new();
    ENGINE.get_or_init(|| wasmtime::Engine::new(&config()).expect("the config is constant"))
}

fn config() -> Config {
    let mut config = Config::new();
    config
        .wasm_features(!ALLOWED_FEATURES, false)
        .wasm_features(ALLOWED_FEATURES, true)
        .cranelift_opt_level(OptLevel::Speed)
        .with_host_memory(Arc::new(GuestMemoryCreator))
        .memory_reservation(RESERVATION_BYTES as u64)
        .memory_guard_size(GUARD_BYTES as u64)
        .memory_may_move(false)
        // A memory creator and copy-on-write images exclude each other (wasmtime #10740).
        .memory_init_cow(false)
        // A lazily filled table would make the first indirect call on an lcore allocate.
        .table_lazy_init(false)
        .max_wasm_stack(limits::PROGRAM_STACK_BYTES_MAX)
        .epoch_interruption(true);
    config
}
