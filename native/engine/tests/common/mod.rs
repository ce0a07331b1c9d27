//! What tests of the engine need: programs written as text, appliances, and their numbers.

// Each test binary uses its own part of this.
#![allow(dead_code)]

pub mod bench;
pub mod page;

use wirelet_abi::Error;
use wirelet_engine::program::{OnFault, Program, ProgramConfig};
use wirelet_engine::state::ProgramState;

/// Pages of a program with one page (64 KiB) of its own.
pub const PAGES: u32 = 16385;

/// A memory as programs have it, and the ABI marker.
pub const FRAME: &str = r#"(memory (export "memory") 16385 16385) (func (export "wirelet_abi_1"))"#;

/// An `onBurst` that decides nothing.
pub const EMPTY: &str = r#"(func (export "onBurst") (param i32))"#;

/// Every import, for programs that call the engine.
pub const IMPORTS: &str = r#"
    (import "wirelet" "log" (func $log (param i32 i32)))
    (import "wirelet" "counter" (func $counter (param i32 i32) (result i32)))
    (import "wirelet" "table" (func $table (param i32 i32) (result i32)))
    (import "wirelet" "abort" (func $abort (param i32 i32 i32 i32)))"#;

/// A module from its text.
pub fn wasm(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// A module with memory and marker, and `rest`.
pub fn module(rest: &str) -> Vec<u8> {
    wasm(&format!("(module {FRAME} {rest})"))
}

/// A module that imports everything, and `rest`.
pub fn importing(rest: &str) -> Vec<u8> {
    wasm(&format!("(module {IMPORTS} {FRAME} {rest})"))
}

/// A program that runs `code` once per packet, with its descriptor in `$d` and its index in `$i`;
/// `$n` packets are in the burst, `$x` and `$y` are free.
pub fn per_packet(code: &str) -> Vec<u8> {
    module(&on_packets(code))
}

/// The `onBurst` of [`per_packet`].
pub fn on_packets(code: &str) -> String {
    format!(
        r#"(func (export "onBurst") (param $burst i32)
            (local $d i32) (local $i i32) (local $n i32) (local $x i32) (local $y i32)
            (local.set $n (i32.load (local.get $burst)))
            (local.set $d (i32.add (local.get $burst) (i32.const 64)))
            (loop $next
                {code}
                (local.set $d (i32.add (local.get $d) (i32.const 32)))
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if $next (i32.lt_u (local.get $i) (local.get $n)))))"#
    )
}

/// Code for [`per_packet`] that gives every packet `verdict`.
pub fn decide(verdict: u8) -> String {
    format!("(i32.store8 offset=12 (local.get $d) (i32.const {verdict}))")
}

/// A program that may redirect to every port and gets 10 ms.
pub fn program(wasm: Vec<u8>) -> ProgramConfig {
    ProgramConfig {
        name: "program".into(),
        wasm,
        settings: Vec::new(),
        deadline_ns: 10_000_000,
        on_fault: OnFault::Drop,
        redirect_to: u64::MAX,
        affinity: wirelet_engine::steer::Affinity::None,
        table_types: Default::default(),
    }
}

/// A program as [`program`] configures it, taken through the door and compiled.
pub fn load(wasm: Vec<u8>) -> Result<Program, Error> {
    Program::new(program(wasm), ProgramState::new(1)?)
}
