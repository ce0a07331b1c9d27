//! The one wasmtime engine of the process, and the clock tick behind deadlines.

use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use wasmtime::{Config, OptLevel};
use wirelet_abi::limits;

use crate::check::ALLOWED_FEATURES;
use crate::memory::{GUARD_BYTES, GuestMemoryCreator, RESERVATION_BYTES};

/// How often deadlines are looked at. A program that runs when it ticks pays one clock read.
pub const TICK: Duration = Duration::from_millis(1);

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

/// While one of these lives, a thread moves the engine's epoch on every [`TICK`]. It ends with the
/// last of them, so an idle host runs no timer.
#[derive(Debug)]
pub struct Ticker(());

impl Ticker {
    /// Keeps the epoch moving until the result is dropped.
    pub fn hold() -> Arc<Ticker> {
        static CURRENT: Mutex<Weak<Ticker>> = Mutex::new(Weak::new());
        let mut current = CURRENT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(ticker) = current.upgrade() {
            return ticker;
        }
        let ticker = Arc::new(Ticker(()));
        *current = Arc::downgrade(&ticker);
        let alive = Arc::downgrade(&ticker);
        let tick = move || {
            while alive.strong_count() > 0 {
                std::thread::sleep(TICK);
                engine().increment_epoch();
            }
        };
        let spawned = std::thread::Builder::new().name("wirelet-tick".into()).spawn(tick);
        spawned.expect("a thread for the tick: without it no deadline would hold");
        ticker
    }
}
