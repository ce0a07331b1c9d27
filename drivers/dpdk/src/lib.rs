//! The DPDK plugin: a C shim (`shim/`) behind one exported function.
//!
//! DPDK's burst calls are static inline functions and its structs change from version to version,
//! so C that is compiled against the installed headers is the only thing that can call it.
//! `wirelet_abi::plugin` is the border; `drivers/src/dpdk.rs` stands on its other side.
#![cfg(dpdk)]

use wirelet_abi::plugin::Table;

// SAFETY: declared as shim/plugin.c defines them.
unsafe extern "C" {
    safe fn wirelet_shim_table() -> *const Table;
    static wirelet_shim_offsets: [u64; 0];
    static wirelet_shim_offset_count: u64;
}

/// The table of the plugin's functions ([`wirelet_abi::plugin::SYMBOL`]). It stays.
#[unsafe(no_mangle)]
pub extern "C" fn wirelet_dpdk_plugin() -> *const Table {
    wirelet_shim_table()
}

/// Offsets of all fields as C sees them, and how many: a test compares them with Rust's.
///
/// # Safety
/// `count` must be valid for a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wirelet_dpdk_offsets(count: *mut u64) -> *const u64 {
    // SAFETY: the caller's promise; the statics are constants of the shim.
    unsafe {
        count.write(wirelet_shim_offset_count);
        (&raw const wirelet_shim_offsets).cast()
    }
}
