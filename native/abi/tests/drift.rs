//! The generated files are what this crate would generate now.

use std::fs;
use std::path::Path;

use wirelet_abi::generate::{guest_source, host_source};

fn committed(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::read_to_string(root.join(path)).expect("the generated file is committed")
}

#[test]
fn guest_abi_is_up_to_date() {
    assert!(committed("runtime/abi.ts") == guest_source(), "run `npm run abi`");
}

#[test]
fn host_abi_is_up_to_date() {
    assert!(committed("host/src/abi.ts") == host_source(), "run `npm run abi`");
}
