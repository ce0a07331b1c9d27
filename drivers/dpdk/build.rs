//! Compiles the shim where `pkg-config` knows libdpdk. Elsewhere the crate is empty, so that a
//! workspace without DPDK builds and tests all the same.

use std::env;
use std::process::Command;

const SOURCES: [&str; 9] = [
    "plugin.c",
    "log.c",
    "pool.c",
    "bus.c",
    "port.c",
    "counts.c",
    "burst.c",
    "offload.c",
    "flow.c",
];
/// What the shim calls. Drivers are loaded by EAL itself.
const LIBRARIES: [&str; 4] = ["rte_ethdev", "rte_mbuf", "rte_mempool", "rte_eal"];

fn main() {
    println!("cargo::rustc-check-cfg=cfg(dpdk)");
    println!("cargo::rerun-if-changed=shim");
    for name in ["PKG_CONFIG_PATH", "PKG_CONFIG"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    if pkg_config("--modversion").is_none() {
        return;
    }
    // Another libdpdk has other structs: its description is as much a source as the shim.
    if let Some(folder) = pkg_config("--variable=pcfiledir") {
        println!("cargo::rerun-if-changed={folder}/libdpdk.pc");
    }
    println!("cargo::rustc-cfg=dpdk");
    let mut build = cc::Build::new();
    for flag in pkg_config("--cflags").unwrap_or_default().split_whitespace() {
        match flag.strip_prefix("-I") {
            // Warnings about DPDK's headers are not ours.
            Some(folder) => build.flag("-isystem").flag(folder),
            None => build.flag(flag),
        };
    }
    build
        .files(SOURCES.map(|name| format!("shim/{name}")))
        .define("ALLOW_EXPERIMENTAL_API", None)
        .opt_level(3)
        // It would gather words on the stack to store two at once.
        .flag_if_supported("-fno-tree-slp-vectorize")
        .warnings(true)
        .extra_warnings(true)
        .warnings_into_errors(env::var_os("CI").is_some())
        .compile("wirelet_shim");
    for flag in pkg_config("--libs-only-L").unwrap_or_default().split_whitespace() {
        println!("cargo::rustc-link-search=native={}", flag.trim_start_matches("-L"));
    }
    for library in LIBRARIES {
        println!("cargo::rustc-link-lib=dylib={library}");
    }
}

/// What pkg-config answers; `None` where it or libdpdk is not there.
fn pkg_config(question: &str) -> Option<String> {
    let program = env::var("PKG_CONFIG").unwrap_or_else(|_| "pkg-config".into());
    let output = Command::new(program).args([question, "libdpdk"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
