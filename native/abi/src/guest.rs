//! The linear memory of a program instance (DESIGN §4), guest addresses in bytes.

/// The burst page: [`crate::BurstHeader`] and descriptors.
pub const BURST_PAGE: u32 = 0x0001_0000;
/// Bytes of the burst page.
pub const BURST_PAGE_BYTES: u32 = 0x0001_0000;
/// First descriptor.
pub const DESCRIPTORS: u32 = BURST_PAGE + size_of::<crate::BurstHeader>() as u32;
/// The settings page, read-only.
pub const SETTINGS_PAGE: u32 = 0x0002_0000;
/// First frame of the region; a multiple of 2 MiB, as hugetlb mappings must be.
pub const PACKET_WINDOW: u32 = 0x0020_0000;
/// End of the packet window.
pub const PACKET_WINDOW_END: u32 = 0x2000_0000;
/// The program's tables and counters on this lcore.
pub const STATE_WINDOW: u32 = 0x2000_0000;
/// End of the state window.
pub const STATE_WINDOW_END: u32 = 0x4000_0000;
/// The program's own data, stack and heap (`asc --memoryBase 1073741824`).
pub const PROGRAM_MEMORY: u32 = 0x4000_0000;
/// Bytes of a Wasm page.
pub const WASM_PAGE_BYTES: u32 = 0x0001_0000;

const _: () = {
    let page =
        size_of::<crate::BurstHeader>() + crate::limits::BURST_MAX * size_of::<crate::Descriptor>();
    assert!(page <= BURST_PAGE_BYTES as usize);
    assert!(BURST_PAGE + BURST_PAGE_BYTES <= SETTINGS_PAGE);
    assert!(SETTINGS_PAGE as usize + crate::limits::SETTINGS_BYTES_MAX <= PACKET_WINDOW as usize);
    assert!(PACKET_WINDOW.is_multiple_of(2 << 20));
    assert!(PACKET_WINDOW_END == STATE_WINDOW && STATE_WINDOW_END == PROGRAM_MEMORY);
};

/// Module that every import of a program comes from.
pub const IMPORT_MODULE: &str = "wirelet";
/// `log(address: u32, bytes: u32)`: one line of UTF-8 from the program's own memory.
pub const IMPORT_LOG: &str = "log";
/// `counter(name: u32, bytes: u32) -> u32`: the state window's address of a u64. While loading
/// only.
pub const IMPORT_COUNTER: &str = "counter";
/// `table(spec: u32, bytes: u32) -> u32`: the address, in the table page, of the
/// [`crate::table::TableEntry`] for the [`crate::table::TableSpec`] at `spec`. While loading only;
/// readable after it.
pub const IMPORT_TABLE: &str = "table";
/// `abort(message: u32, file: u32, line: u32, column: u32)`: asc's abort; never returns. The two
/// addresses are AssemblyScript strings (UTF-16, bytes in the u32 before the first) or 0.
pub const IMPORT_ABORT: &str = "abort";
/// The burst entry point, `(burst: u32) -> ()`.
pub const EXPORT_ON_BURST: &str = "onBurst";
/// The optional load entry point, `() -> ()`.
pub const EXPORT_ON_LOAD: &str = "onLoad";
/// The optional initialiser of top-level code, `() -> ()`; called once, before `onLoad`. It is what
/// asc's `--exportStart` names: a start section would run before the engine has set its limits.
pub const EXPORT_INITIALIZE: &str = "_initialize";
/// The ABI marker function, `() -> ()`; never called.
pub const EXPORT_ABI: &str = "wirelet_abi_1";
/// The memory.
pub const EXPORT_MEMORY: &str = "memory";

/// Custom section that holds the manifest as JSON.
pub const MANIFEST_SECTION: &str = "wirelet.manifest";

/// First address and bytes of a program's counters in its state window.
pub const COUNTERS: u32 = STATE_WINDOW;
/// Bytes of the counters area.
pub const COUNTERS_BYTES: u32 = (crate::limits::PROGRAM_COUNTERS_MAX * 8) as u32;
/// The table page: one [`crate::table::TableEntry`] for each table, read-only.
pub const TABLE_PAGE: u32 = COUNTERS + COUNTERS_BYTES;
/// Bytes of the table page.
pub const TABLE_PAGE_BYTES: u32 =
    (crate::limits::PROGRAM_TABLES_MAX * size_of::<crate::table::TableEntry>()) as u32;
/// Where the memory of tables begins; each lies at a multiple of 2 MiB.
pub const TABLES: u32 = STATE_WINDOW + 0x0020_0000;

const _: () = assert!(TABLE_PAGE + TABLE_PAGE_BYTES <= TABLES);
