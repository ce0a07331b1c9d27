//! The door: every Wasm feature that is not on the list is refused, one by one.

use wirelet_abi::ErrorCode;

use super::door::{refused, refused_bytes};
use super::door_limits::with_body;
use crate::common::{EMPTY, FRAME, module};

/// (proposal, what stands in the module). All of it is valid where the proposal is on.
const FORBIDDEN: &[(&str, &str)] = &[
    ("bulk memory: copy", "(func (memory.copy (i32.const 0) (i32.const 0) (i32.const 0)))"),
    ("bulk memory: fill", "(func (memory.fill (i32.const 0) (i32.const 0) (i32.const 0)))"),
    (
        "bulk memory: table.copy",
        "(table 1 1 funcref) (func (table.copy (i32.const 0) (i32.const 0) (i32.const 0)))",
    ),
    (
        "bulk memory: table.init",
        "(table 1 1 funcref) (elem funcref (ref.func $f)) (func $f (table.init 0 (i32.const 0) (i32.const 0) (i32.const 0)))",
    ),
    ("bulk memory: elem.drop", "(elem func $f) (func $f (elem.drop 0))"),
    ("bulk memory: passive elements", "(elem func $f) (func $f)"),
    ("reference types: externref", "(func (param externref))"),
    ("reference types: externref table", "(table 1 1 externref)"),
    ("reference types: ref.null", "(func (drop (ref.null func)))"),
    ("reference types: ref.is_null", "(func (param funcref) (drop (ref.is_null (local.get 0))))"),
    ("reference types: funcref local", "(func (local funcref))"),
    ("reference types: funcref global", "(global funcref (ref.null func))"),
    ("reference types: table.get", "(table 1 1 funcref) (func (drop (table.get (i32.const 0))))"),
    (
        "reference types: table.grow",
        "(table 1 1 funcref) (func (drop (table.grow (ref.null func) (i32.const 1))))",
    ),
    (
        "reference types: typed select",
        "(func (drop (select (result i32) (i32.const 0) (i32.const 0) (i32.const 0))))",
    ),
    ("reference types: declared elements", "(elem declare func $f) (func $f)"),
    ("tail calls", "(func $f (return_call $f))"),
    ("tail calls: indirect", "(table 1 1 funcref) (func (return_call_indirect (i32.const 0)))"),
    ("threads: atomic load", "(func (drop (i32.atomic.load (i32.const 0x10000))))"),
    ("threads: atomic rmw", "(func (drop (i64.atomic.rmw.add (i32.const 0x10000) (i64.const 1))))"),
    (
        "threads: wait",
        "(func (drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1))))",
    ),
    ("threads: notify", "(func (drop (memory.atomic.notify (i32.const 0) (i32.const 0))))"),
    ("threads: fence", "(func (atomic.fence))"),
    (
        "relaxed SIMD",
        "(func (drop (i8x16.relaxed_swizzle (v128.const i64x2 0 0) (v128.const i64x2 0 0))))",
    ),
    ("exceptions: tag", "(tag)"),
    ("exceptions: throw", "(tag $t) (func (throw $t))"),
    ("exceptions: try_table", "(func (block $l (try_table (catch_all $l))))"),
    ("exceptions: exnref", "(func (param exnref))"),
    (
        "function references: call_ref",
        "(type $t (func)) (func (param (ref $t)) (call_ref $t (local.get 0)))",
    ),
    (
        "function references: ref.as_non_null",
        "(func (param funcref) (drop (ref.as_non_null (local.get 0))))",
    ),
    ("function references: typed null", "(type $t (func)) (func (local (ref null $t)))"),
    ("GC: struct", "(type (struct (field i32)))"),
    ("GC: array", "(type (array i8))"),
    ("GC: recursion group", "(rec (type (func)) (type (struct)))"),
    ("GC: open type", "(type (sub (func)))"),
    ("GC: i31", "(func (drop (ref.i31 (i32.const 0))))"),
    ("GC: anyref", "(func (param anyref))"),
    ("extended const: add", "(global i32 (i32.add (i32.const 1) (i32.const 2)))"),
    ("extended const: i64", "(global i64 (i64.mul (i64.const 1) (i64.const 2)))"),
    ("wide arithmetic", "(func (result i64 i64) (i64.mul_wide_u (i64.const 1) (i64.const 2)))"),
    ("stack switching: cont type", "(type $f (func)) (type (cont $f))"),
    ("memory64: table", "(table i64 1 1 funcref)"),
];

#[test]
fn each_feature_that_is_not_on_the_list_is_refused() {
    for (feature, text) in FORBIDDEN {
        let text = format!("(module {FRAME} {EMPTY} {text})");
        let bytes = wat::parse_str(&text).unwrap_or_else(|error| panic!("{feature}: {error}"));
        refused_bytes(&bytes, ErrorCode::ModuleFeature, feature);
    }
    // (try (do) (catch_all)), which text has no words for any more.
    let legacy = with_body(&[0, 0x06, 0x40, 0x19, 0x0b, 0x0b]);
    refused_bytes(&legacy, ErrorCode::ModuleFeature, "legacy exceptions");
}

/// A data count section (what `memory.init` needs) and `memory.init` come with a passive segment,
/// which the door names first.
#[test]
fn bulk_initialisation_is_refused() {
    let init = "(func (memory.init 0 (i32.const 0) (i32.const 0) (i32.const 0)))";
    refused(&format!(r#"(module {FRAME} {EMPTY} {init} (data "x"))"#), ErrorCode::ModuleData);
    let active = r#"(data (i32.const 0x40000000) "x")"#;
    refused(&format!("(module {FRAME} {EMPTY} {init} {active})"), ErrorCode::ModuleFeature);
    let drop = "(func (data.drop 0))";
    refused(&format!("(module {FRAME} {EMPTY} {drop} {active})"), ErrorCode::ModuleFeature);
}

#[test]
fn more_memories_are_refused_however_they_come() {
    let copy = r#"(memory 1 1) (func (drop (i32.load 1 (i32.const 0))))"#;
    refused(&format!("(module {FRAME} {EMPTY} {copy})"), ErrorCode::ModuleMemory);
}

#[test]
fn what_does_not_validate_is_refused() {
    for text in [
        "(func (result i32))",
        "(func (i32.add))",
        "(func (drop (i32.const 0)) (drop))",
        "(func (local.get 5) drop)",
        "(func (call 99))",
        "(func (br 3))",
        "(func (i64.store (i32.const 0) (i32.const 0)))",
        "(func (drop (i32.load align=8 (i32.const 0))))",
        "(elem (i32.const 0) func)",
        r#"(export "x" (func 99))"#,
        r#"(export "memory" (func 0))"#,
    ] {
        refused_bytes(&module(&format!("{EMPTY} {text}")), ErrorCode::ModuleFeature, text);
    }
}
