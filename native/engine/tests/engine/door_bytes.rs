//! The door: bytes that are no good module, whatever they are, are refused in bounded time.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use wirelet_abi::ErrorCode;
use wirelet_engine::check::check;

use super::door::refused_bytes;
use crate::common::{importing, on_packets};

/// A module with one of everything that is allowed.
fn rich() -> Vec<u8> {
    importing(&format!(
        r#"{} (type $t (func (param i32) (result i32 i32)))
        (table 4 4 funcref) (elem (i32.const 1) $two $two)
        (global $g (mut i64) (i64.const 5)) (data (i32.const 0x40000000) "hello")
        (func $two (param i32) (result i32 i32) local.get 0 local.get 0)
        (func (export "onLoad") (local v128 f64)
            (call_indirect (type $t) (i32.const 7) (i32.const 1)) drop drop
            (global.set $g (i64.const -1)))"#,
        on_packets("(i32.store8 offset=12 (local.get $d) (i32.const 0))")
    ))
}

/// The answer does not matter, that there is one does.
fn answered(bytes: &[u8]) {
    let started = Instant::now();
    if let Err(error) = check(bytes) {
        assert!(error.code.code().starts_with("WIRELET_E_MODULE_"), "{error}");
        assert!(error.message.len() < 4096, "{error}");
    }
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn what_is_no_module_is_refused() {
    let component = wat::parse_str("(module)").map(|mut bytes| {
        bytes[4..8].copy_from_slice(&[0x0d, 0, 1, 0]);
        bytes
    });
    let component = component.expect("an empty module");
    let inputs: [&[u8]; 8] = [
        b"",
        b"\0",
        b"\0asm",
        b"\0asm\x02\0\0\0",
        b"\x7fELF\x02\x01\x01\0",
        b"(module)",
        b"export function onPacket(packet: Packet): Verdict { return Verdict.Pass; }",
        &component,
    ];
    for input in inputs {
        refused_bytes(input, ErrorCode::ModuleNotWasm, &String::from_utf8_lossy(input));
    }
    refused_bytes(b"\0asm\x01\0\0\0", ErrorCode::ModuleAbi, "an empty module");
}

#[test]
fn a_module_cut_off_anywhere_is_refused() {
    let good = rich();
    assert!(check(&good).is_ok(), "{:?}", check(&good));
    for length in 0..good.len() {
        // Without its data, or the names of its functions, it is still a module.
        if check(&good[..length]).is_ok() {
            assert!([0, 11].contains(&good[length]), "section {}", good[length]);
            assert!(length > good.len() / 2, "{length} of {} bytes are a module", good.len());
        }
    }
    let mut longer = good.clone();
    longer.push(0);
    assert!(check(&longer).is_err(), "a byte too many");
}

#[test]
fn every_byte_of_a_good_module_may_be_anything() {
    let mut bytes = rich();
    for index in 0..bytes.len() {
        for value in [0x00, 0x01, 0x7f, 0x80, 0xff, bytes[index] ^ 1] {
            let good = std::mem::replace(&mut bytes[index], value);
            answered(&bytes);
            bytes[index] = good;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 512,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn random_bytes_are_answered(
        bytes in proptest::collection::vec(any::<u8>(), 0..2000),
        wasm: bool,
    ) {
        let mut bytes = bytes;
        if wasm {
            bytes.splice(0..0, *b"\0asm\x01\0\0\0");
        }
        answered(&bytes);
    }

    /// Sections of a good module with random bytes written over, removed and repeated.
    #[test]
    fn changed_modules_are_answered_and_what_passes_compiles(
        changes in proptest::collection::vec(
            (any::<prop::sample::Index>(), any::<u8>(), 0..4u8, 1..16usize),
            1..8,
        )
    ) {
        let mut bytes = rich();
        for (index, value, kind, length) in changes {
            let at = 8 + index.index(bytes.len() - 8);
            let end = (at + length).min(bytes.len());
            match kind {
                0 | 1 => bytes[at] = value,
                2 => drop(bytes.drain(at..end)),
                _ => {
                    let copy = bytes[at..end].to_vec();
                    bytes.splice(at..at, copy);
                }
            }
            if bytes.len() < 16 {
                break;
            }
        }
        answered(&bytes);
        if check(&bytes).is_ok() {
            let program = crate::common::load(bytes);
            prop_assert!(program.is_ok(), "{:?}", program.err());
        }
    }
}
