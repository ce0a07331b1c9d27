//! The door: each limit, just under and just over.

use std::time::{Duration, Instant};

use wirelet_abi::{ErrorCode, limits};
use wirelet_engine::check::check;

use super::door::refused_bytes;
use crate::common::{EMPTY, module};

/// `what(max)` passes the door, `what(max + 1)` does not. `own` of them are in every module.
#[track_caller]
fn bounded(max: u64, own: u64, what: impl Fn(u64) -> Vec<u8>) {
    let under = check(&what(max - own));
    assert!(under.is_ok(), "{under:?}");
    refused_bytes(&what(max - own + 1), ErrorCode::ModuleLimit, "one too many");
}

/// A module with `EMPTY` and `count` times `text`.
fn repeated(count: u64, text: &str) -> Vec<u8> {
    module(&format!("{EMPTY} {}", text.repeat(count as usize)))
}

#[test]
fn functions() {
    bounded(limits::MODULE_FUNCTIONS_MAX.into(), 2, |count| repeated(count, "(func)"));
}

#[test]
fn globals() {
    bounded(limits::MODULE_GLOBALS_MAX.into(), 0, |count| {
        repeated(count, "(global i32 (i32.const 0))")
    });
}

#[test]
fn types() {
    // Types of functions are written once each: a result more makes a new one of every type.
    bounded(limits::MODULE_TYPES_MAX.into(), 2, |count| {
        repeated(count, "(type (func (result i64)))")
    });
}

#[test]
fn exports() {
    bounded(limits::MODULE_EXPORTS_MAX.into(), 3, |count| {
        let export = |index| format!(r#"(export "e{index}" (func 0))"#);
        module(&format!("{EMPTY} {}", (0..count).map(export).collect::<String>()))
    });
}

#[test]
fn data_segments() {
    bounded(limits::MODULE_DATA_SEGMENTS_MAX.into(), 0, |count| {
        repeated(count, r#"(data (i32.const 0x40000000) "x")"#)
    });
}

#[test]
fn element_segments() {
    bounded(limits::MODULE_TABLE_ENTRIES_MAX, 0, |count| {
        module(&format!(
            "{EMPTY} (table 1 1 funcref) {}",
            "(elem (i32.const 0))".repeat(count as usize)
        ))
    });
}

#[test]
fn table_entries() {
    bounded(limits::MODULE_TABLE_ENTRIES_MAX, 0, |count| {
        module(&format!("{EMPTY} (table {count} {count} funcref)"))
    });
    bounded(limits::MODULE_TABLE_ENTRIES_MAX, 0, |count| {
        module(&format!("{EMPTY} (table 1 {count} funcref)"))
    });
    refused_bytes(
        &module(&format!("{EMPTY} (table 1 1 funcref) (table 1 1 funcref)")),
        ErrorCode::ModuleLimit,
        "two tables",
    );
}

#[test]
fn locals() {
    let max = u64::from(limits::MODULE_LOCALS_MAX);
    bounded(max, 0, |count| {
        module(&format!("{EMPTY} (func (local {}))", "i32 ".repeat(count as usize)))
    });
    // In groups, as a bomb writes them: 5 bytes for 4 billion.
    bounded(max, 1000, |count| {
        module(&format!(
            "{EMPTY} (func (local {} {}))",
            "i32 ".repeat(1000),
            "i64 ".repeat(count as usize)
        ))
    });
    let bomb = with_body(&[1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x7f, 0x0b]);
    refused_bytes(&bomb, ErrorCode::ModuleLimit, "4 billion locals");
}

#[test]
fn bytes_of_a_body() {
    // No locals, `nop`s, `end`.
    bounded(limits::MODULE_BODY_BYTES_MAX.into(), 0, |bytes| {
        let mut body = vec![1; bytes as usize];
        (body[0], body[bytes as usize - 1]) = (0, 0x0b);
        with_body(&body)
    });
}

#[test]
fn bytes_of_a_module() {
    bounded(limits::MODULE_BYTES_MAX as u64, 0, |bytes| {
        // A custom section fills the rest.
        let mut wasm = module(EMPTY);
        let rest = bytes as usize - wasm.len();
        wasm.push(0);
        wasm.extend(leb(rest as u64 - 5, 4));
        wasm.resize(bytes as usize, 0);
        wasm
    });
}

/// A module whose last function has `body` (locals and code).
pub fn with_body(body: &[u8]) -> Vec<u8> {
    // The last section is the code section, its last entry an empty function of 2 bytes.
    let wasm = module(&format!("{EMPTY} (func)"));
    let code = wasm.windows(2).rposition(|pair| pair == [0x0a, 10]).expect("a code section");
    let mut functions = wasm[code + 2..wasm.len() - 3].to_vec();
    functions.extend(leb(body.len() as u64, 4));
    functions.extend(body);
    let mut bytes = wasm[..=code].to_vec();
    bytes.extend(leb(functions.len() as u64, 4));
    bytes.extend(functions);
    bytes
}

/// LEB128 of exactly `bytes` bytes.
fn leb(value: u64, bytes: usize) -> Vec<u8> {
    let byte = |index: usize| {
        let more = if index + 1 < bytes { 0x80 } else { 0 };
        (value >> (7 * index)) as u8 & 0x7f | more
    };
    (0..bytes).map(byte).collect()
}

/// What a module may cost to compile, whatever it holds: generous, this is no benchmark.
const COMPILE_MAX: Duration = Duration::from_secs(60);

/// Either the door refuses it, or it compiles within bounds.
#[track_caller]
#[expect(clippy::print_stdout, reason = "a test's output, shown when it fails")]
fn no_bomb(what: &str, wasm: &[u8]) {
    let started = Instant::now();
    let result = crate::common::load(wasm.to_vec());
    let elapsed = started.elapsed();
    println!("{what}: {} bytes, {elapsed:?}, {:?}", wasm.len(), result.as_ref().err());
    assert!(elapsed < COMPILE_MAX, "{what}: {elapsed:?}");
    if let Err(error) = result {
        assert_eq!(error.code, ErrorCode::ModuleLimit, "{what}: {error}");
    }
}

#[test]
fn blocks_up_to_the_limits_compile_in_seconds() {
    // Loops in loops, and as many locals as there may be, all alive across them.
    let nested = |depth: usize, locals: usize| {
        let sum: String = (0..locals)
            .map(|local| {
                format!("(local.set {} (i32.add (local.get {}) (i32.const 1)))", local + 1, local)
            })
            .collect();
        let text = format!(
            r#"(func (export "onBurst") (param i32) (local {}) {} {sum} {})"#,
            "i32 ".repeat(locals),
            "(loop (br_if 0 (local.get 0)) ".repeat(depth),
            ")".repeat(depth)
        );
        module(&text)
    };
    for (depth, locals) in [(199, 1000), (447, 447), (1000, 200), (3920, 50)] {
        no_bomb("nested loops", &nested(depth, locals));
    }
    refused_bytes(&nested(1001, 200), ErrorCode::ModuleLimit, "blocks times locals");
    // Blocks that carry many values.
    let carried = |blocks: usize, values: usize| {
        let list = "i32 ".repeat(values);
        let text = format!(
            r#"(type $t (func (param {list}) (result {list})))
            (func (export "onBurst") (param i32) {} {} {})"#,
            "local.get 0 ".repeat(values),
            "loop (type $t) local.get 0 br_if 0 end ".repeat(blocks),
            "drop ".repeat(values)
        );
        module(&text)
    };
    for (blocks, values) in [(124, 16), (19, 100), (1, 999), (1980, 1)] {
        no_bomb("carried values", &carried(blocks, values));
    }
    refused_bytes(&carried(125, 16), ErrorCode::ModuleLimit, "values of blocks");
    let table = format!(
        r#"(func (export "onBurst") (param i32) {} {})"#,
        "(block ".repeat(100),
        format!("(br_table {} (local.get 0)))", "0 ".repeat(1000)).repeat(100)
    );
    no_bomb("jump tables", &module(&table));
}

#[test]
fn many_functions_with_much_work_are_too_much_for_a_module() {
    let function = format!("(func (local {}) {})", "i32 ".repeat(10), "(block)".repeat(19_900));
    assert!(check(&repeated(4, &function)).is_ok());
    refused_bytes(&repeated(5, &function), ErrorCode::ModuleLimit, "work on the module");
}
