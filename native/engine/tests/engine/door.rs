//! The door: structure. Each module is good but for one thing.

use wirelet_abi::ErrorCode;
use wirelet_engine::check::check;

use crate::common::{EMPTY, FRAME, PAGES, module, wasm};

const MARKER: &str = r#"(func (export "wirelet_abi_1"))"#;
const MEMORY: &str = r#"(memory (export "memory") 16385 16385)"#;

/// A module that is refused with `code`.
#[track_caller]
pub fn refused(text: &str, code: ErrorCode) {
    refused_bytes(&wasm(text), code, text);
}

/// Bytes that are refused with `code`.
#[track_caller]
pub fn refused_bytes(bytes: &[u8], code: ErrorCode, what: &str) {
    match check(bytes) {
        Err(error) => assert_eq!(error.code, code, "{error} for {what:.300}"),
        Ok(info) => panic!("accepted {info:?}: {what:.300}"),
    }
}

/// A module that passes the door and compiles.
#[track_caller]
pub fn accepted(bytes: &[u8]) {
    check(bytes).unwrap_or_else(|error| panic!("{error}"));
    let program = crate::common::load(bytes.to_vec());
    program.map(|_| ()).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn a_good_module_passes_and_is_described() {
    let rest = r#"(func (export "_initialize")) (func (export "onLoad"))"#;
    let bytes = crate::common::importing(&format!("{EMPTY} {rest}"));
    accepted(&bytes);
    let info = check(&bytes).expect("it was accepted");
    assert_eq!((info.functions, info.memory_bytes), (8, 65536));
    assert!(info.on_load && info.initialize);
    assert_eq!(info.imports, ["log", "counter", "table", "abort"]);
}

#[test]
fn everything_on_the_list_of_features_is_accepted() {
    for code in [
        "(drop (i32.extend8_s (local.get 0)))",
        "(drop (i64.extend32_s (i64.const 5)))",
        "(drop (i32.trunc_sat_f64_u (f64.const 5)))",
        "(drop (f32.sqrt (f32.const 5)))",
        "(v128.store (i32.const 0x10000) (i8x16.add (v128.const i64x2 1 2) (v128.load (local.get 0))))",
        "(global.set $g (i32.add (global.get $g) (i32.const 1)))",
        "(call $two) drop drop",
        "(call_indirect (type $none) (i32.const 0))",
        "i32.const 1 i32.const 2 (block (param i32 i32) (result i32) i32.add) drop",
    ] {
        accepted(&module(&format!(
            r#"(type $none (func)) (table 2 2 funcref) (elem (i32.const 0) $f)
            (global $g (export "g") (mut i32) (i32.const 0))
            (func $f) (func $two (result i32 i32) i32.const 1 i32.const 2)
            (func (export "onBurst") (param i32) {code})"#
        )));
    }
}

#[test]
fn another_abi_or_none_is_refused() {
    let of = |markers: &str| format!("(module {MEMORY} {EMPTY} {markers})");
    refused(&of(""), ErrorCode::ModuleAbi);
    refused(&of(r#"(func (export "wirelet_abi_2"))"#), ErrorCode::ModuleAbi);
    refused(
        &of(r#"(func (export "wirelet_abi_1") (export "wirelet_abi_2"))"#),
        ErrorCode::ModuleAbi,
    );
    refused(&of(r#"(func (export "wirelet_abi_01"))"#), ErrorCode::ModuleAbi);
    refused(&of(r#"(func (export "wirelet_abi_1") (param i32))"#), ErrorCode::ModuleExport);
    refused(&of(r#"(global (export "wirelet_abi_1") i32 (i32.const 1))"#), ErrorCode::ModuleExport);
}

#[test]
fn imports_that_nobody_offers_are_refused() {
    for import in [
        r#"(import "wirelet" "open" (func))"#,
        r#"(import "env" "log" (func (param i32 i32)))"#,
        r#"(import "wirelet" "log" (func (param i32 i64)))"#,
        r#"(import "wirelet" "log" (func (param i32 i32) (result i32)))"#,
        r#"(import "wirelet" "counter" (func (param i32 i32)))"#,
        r#"(import "wirelet" "abort" (func))"#,
        r#"(import "wirelet" "log" (global i32))"#,
        r#"(import "wirelet" "table" (table 1 funcref))"#,
        r#"(import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))"#,
    ] {
        refused(&format!("(module {import} {FRAME} {EMPTY})"), ErrorCode::ModuleImport);
    }
    refused(
        &format!(r#"(module (import "wirelet" "memory" (memory 1)) {MARKER} {EMPTY})"#),
        ErrorCode::ModuleMemory,
    );
}

#[test]
fn exports_that_are_missing_or_of_another_type_are_refused() {
    for rest in [
        "",
        r#"(func (export "onBurst"))"#,
        r#"(func (export "onBurst") (param i64))"#,
        r#"(func (export "onBurst") (param i32) (result i32) i32.const 0)"#,
        r#"(global (export "onBurst") i32 (i32.const 0))"#,
        r#"(func (export "onBurst") (param i32)) (func (export "onLoad") (param i32))"#,
        r#"(func (export "onBurst") (param i32)) (global (export "onLoad") i32 (i32.const 0))"#,
        r#"(func (export "onBurst") (param i32)) (func (export "_initialize") (result i32) i32.const 0)"#,
    ] {
        refused(&format!("(module {FRAME} {rest})"), ErrorCode::ModuleExport);
    }
    refused(&format!("(module (memory 16385 16385) {MARKER} {EMPTY})"), ErrorCode::ModuleExport);
    let other = r#"(func (export "memory"))"#;
    refused(
        &format!("(module (memory 16385 16385) {other} {MARKER} {EMPTY})"),
        ErrorCode::ModuleExport,
    );
}

#[test]
fn a_start_section_is_refused() {
    refused(&format!("(module {FRAME} {EMPTY} (func $f) (start $f))"), ErrorCode::ModuleStart);
}

#[test]
fn memories_that_are_not_ours_are_refused() {
    let of = |memory: &str| format!("(module {memory} {MARKER} {EMPTY})");
    for memory in [
        "",
        r#"(memory (export "memory") 16385)"#,
        r#"(memory (export "memory") 16385 16386)"#,
        r#"(memory (export "memory") 16384 16384)"#,
        r#"(memory (export "memory") 0 0)"#,
        r#"(memory (export "memory") 16641 16641)"#,
        r#"(memory (export "memory") 65536 65536)"#,
        r#"(memory (export "memory") 16385 16385) (memory 1 1)"#,
        r#"(memory (export "memory") 16385 16385 shared)"#,
        r#"(memory (export "memory") i64 16385 16385)"#,
        r#"(memory (export "memory") 16385 16385 (pagesize 1))"#,
    ] {
        refused(&of(memory), ErrorCode::ModuleMemory);
    }
    accepted(&wasm(&of(r#"(memory (export "memory") 16640 16640)"#)));
}

#[test]
fn data_outside_the_programs_own_memory_is_refused() {
    let of = |data: &str| format!("(module {FRAME} {EMPTY} {data})");
    let end = u64::from(PAGES) * 65536;
    for data in [
        r#"(data (i32.const 0) "x")"#.to_string(),
        r#"(data (i32.const 0x10000) "x")"#.into(),
        r#"(data (i32.const 0x20000) "x")"#.into(),
        r#"(data (i32.const 0x200000) "x")"#.into(),
        r#"(data (i32.const 0x3fffffff) "xy")"#.into(),
        r#"(data (i32.const 0x3fffffff) "")"#.into(),
        format!(r#"(data (i32.const {}) "xy")"#, end - 1),
        format!(r#"(data (i32.const {}) "")"#, end + 1),
        r#"(data (i32.const -1) "xy")"#.into(),
        r#"(data "passive")"#.into(),
        r#"(data (i32.add (i32.const 0x40000000) (i32.const 0)) "x")"#.into(),
        r#"(global i32 (i32.const 0x40000000)) (data (global.get 0) "x")"#.into(),
        r#"(data (i64.const 0x40000000) "x")"#.into(),
    ] {
        refused(&of(&data), ErrorCode::ModuleData);
    }
    accepted(&wasm(&of(&format!(
        r#"(data (i32.const 0x40000000) "x") (data (i32.const {}) "x") (data (i32.const {end}) "")"#,
        end - 1
    ))));
}

/// The very bytes are what onLoad sees: the host copies them, and only where they belong.
#[test]
fn data_is_where_it_belongs_before_anything_runs() {
    let bytes = crate::common::importing(&format!(
        r#"{EMPTY} (data (i32.const 0x40000010) "hello")
        (func (export "_initialize") (call $log (i32.const 0x40000010) (i32.const 5)))"#
    ));
    let runner = wirelet_engine::runner::Runner::new(crate::common::program(bytes));
    let runner = runner.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(runner.logs(), ["hello"]);
}
