//! Writes `runtime/abi.ts` and `host/src/abi.ts` below the repository's root.

use std::fs;
use std::path::Path;

use wirelet_abi::generate::{guest_source, host_source};

fn main() -> std::io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::write(root.join("runtime/abi.ts"), guest_source())?;
    fs::write(root.join("host/src/abi.ts"), host_source())
}
