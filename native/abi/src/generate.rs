//! Writes `runtime/abi.ts` (AssemblyScript) and `host/src/abi.ts` (TypeScript).

use std::fmt::Write;

use crate::{
    ABI_VERSION, BurstHeader, Descriptor, DropReason, ErrorCode, Exit, Layout, Verdict, descriptor,
    guest, histogram, limits, settings, stats, table, verdict,
};

const NOTICE: &str = "// DO NOT EDIT: written from native/abi by `npm run abi`.\n";

/// `runtime/abi.ts`: constants of the guest, as `u32` and typed smaller where the field is.
pub fn guest_source() -> String {
    let mut out = String::from(NOTICE);
    let mut constant = |name: &str, value: u64| {
        writeln!(out, "export const {name}: u32 = {value};").expect("a String takes every write");
    };
    constant("ABI_VERSION", ABI_VERSION.into());
    for (name, value) in addresses() {
        constant(name, value.into());
    }
    for verdict in Verdict::ALL {
        constant(&format!("VERDICT_{}", verdict.name().to_uppercase()), verdict as u64);
    }
    constant("VERDICT_UNDECIDED", verdict::UNDECIDED.into());
    constant("EGRESS_FLOOD", verdict::FLOOD.into());
    for (name, value) in packet_flags() {
        constant(name, value.into());
    }
    for (name, value) in setting_kinds() {
        constant(name, value.into());
    }
    for (name, value) in table_constants() {
        constant(name, value);
    }
    for name in ["BURST_MAX", "NAME_BYTES_MAX", "LOG_LINE_BYTES_MAX", "PACKET_BYTES_MIN"] {
        let limit = limits::ALL.iter().find(|limit| limit.0 == name).expect("a limit's name");
        constant(name, limit.1);
    }
    for (name, value) in [("HASH_WORD", table::HASH_WORD), ("HASH_LAST", table::HASH_LAST)] {
        writeln!(out, "export const {name}: u64 = 0x{value:x};")
            .expect("a String takes every write");
    }
    let own = [table::TableSpec::LAYOUT, table::TableEntry::LAYOUT, table::TableHeader::LAYOUT];
    for layout in guest_layouts().iter().chain(&own) {
        write_layout(&mut out, layout, ": u32");
    }
    out
}

/// `host/src/abi.ts`: constants of the host, the error table and the names of enumerations.
pub fn host_source() -> String {
    let mut out = String::from(NOTICE);
    writeln!(out, "export const ABI_VERSION = {ABI_VERSION};").expect("a String takes every write");
    for (name, value) in addresses() {
        writeln!(out, "export const {name} = {value};").expect("a String takes every write");
    }
    for (name, value, doc) in limits::ALL {
        writeln!(out, "/** {doc} */\nexport const {name} = {value};")
            .expect("a String takes every write");
    }
    for (name, value) in setting_kinds() {
        writeln!(out, "export const {name} = {value};").expect("a String takes every write");
    }
    write_names(&mut out);
    let host_only = [
        stats::PageHeader::LAYOUT,
        stats::LcoreBlock::LAYOUT,
        stats::PortBlock::LAYOUT,
        stats::ProgramBlock::LAYOUT,
    ];
    for layout in guest_layouts().iter().chain(&host_only) {
        write_layout(&mut out, layout, "");
    }
    write_errors(&mut out);
    out
}

fn write_names(out: &mut String) {
    let quoted = |names: Vec<&str>| {
        names.iter().map(|name| format!("  '{name}',\n")).collect::<Vec<_>>().concat()
    };
    let verdicts = quoted(Verdict::ALL.iter().map(|verdict| verdict.name()).collect());
    let reasons = quoted(DropReason::ALL.iter().map(|reason| reason.name()).collect());
    let at_edge = DropReason::ALL.iter().filter(|reason| reason.at_edge());
    let edge_reasons = quoted(at_edge.map(|reason| reason.name()).collect());
    let tables = quoted(table::kind::NAMES.to_vec());
    write!(
        out,
        "/** Kinds of tables; the index is the value in a spec. */\n\
         export const TABLE_KINDS = [\n{tables}] as const;\n\
         export const STATS_MAGIC = {}n;\n\
         export const HISTOGRAM_BUCKETS = {};\n\
         export const MANIFEST_SECTION = '{}';\n\
         /** Port of a redirect to all ports but the port of arrival. */\n\
         export const EGRESS_FLOOD = {};\n\
         /** Names of verdicts; the index is the value in a descriptor. */\n\
         export const VERDICTS = [\n{verdicts}] as const;\n\
         /** Names of drop reasons; the index is the place in a port's `drops`. */\n\
         export const DROP_REASONS = [\n{reasons}] as const;\n\
         /** Drop reasons of devices: no program saw the packet. */\n\
         export const EDGE_DROP_REASONS = [\n{edge_reasons}] as const;\n\
         /** States of an lcore; the index is the value in its block. */\n\
         export const LCORE_STATES = \
         ['starting', 'running', 'sleeping', 'stopped', 'failed'] as const;\n\
         export type Verdict = (typeof VERDICTS)[number];\n\
         export type DropReason = (typeof DROP_REASONS)[number];\n",
        stats::MAGIC,
        histogram::BUCKETS,
        guest::MANIFEST_SECTION,
        verdict::FLOOD,
    )
    .expect("a String takes every write");
}

fn write_errors(out: &mut String) {
    out.push_str("/** Every coded error: exit status of the CLI, what it means, what to do. */\n");
    out.push_str("export const ERRORS = {\n");
    for error in ErrorCode::ALL {
        writeln!(
            out,
            "  {}: {{\n    exit: {},\n    meaning: {:?},\n    hint: {:?},\n  }},",
            error.code(),
            exit_status(error.exit()),
            error.meaning(),
            error.hint()
        )
        .expect("a String takes every write");
    }
    out.push_str("} as const;\nexport type ErrorCode = keyof typeof ERRORS;\n");
}

const fn exit_status(exit: Exit) -> u8 {
    exit as u8
}

fn write_layout(out: &mut String, layout: &Layout, ty: &str) {
    let prefix = screaming(layout.name);
    writeln!(out, "export const SIZEOF_{prefix}{ty} = {};", layout.size)
        .expect("a String takes every write");
    for field in layout.fields.iter().filter(|field| !field.name.starts_with("reserved")) {
        writeln!(
            out,
            "export const {prefix}_{}{ty} = {};",
            field.name.to_uppercase(),
            field.offset
        )
        .expect("a String takes every write");
    }
}

/// `PageHeader` to `PAGE_HEADER`.
fn screaming(name: &str) -> String {
    let mut out = String::new();
    for (index, letter) in name.char_indices() {
        if letter.is_uppercase() && index > 0 {
            out.push('_');
        }
        out.push(letter.to_ascii_uppercase());
    }
    out
}

fn guest_layouts() -> [Layout; 4] {
    [
        BurstHeader::LAYOUT,
        Descriptor::LAYOUT,
        settings::SettingsHeader::LAYOUT,
        settings::SettingsEntry::LAYOUT,
    ]
}

fn addresses() -> [(&'static str, u32); 9] {
    [
        ("BURST_PAGE", guest::BURST_PAGE),
        ("DESCRIPTORS", guest::DESCRIPTORS),
        ("SETTINGS_PAGE", guest::SETTINGS_PAGE),
        ("PACKET_WINDOW", guest::PACKET_WINDOW),
        ("PACKET_WINDOW_END", guest::PACKET_WINDOW_END),
        ("STATE_WINDOW", guest::STATE_WINDOW),
        ("STATE_WINDOW_END", guest::STATE_WINDOW_END),
        ("PROGRAM_MEMORY", guest::PROGRAM_MEMORY),
        ("WASM_PAGE_BYTES", guest::WASM_PAGE_BYTES),
    ]
}

fn packet_flags() -> [(&'static str, u8); 3] {
    use descriptor::flags;
    [
        ("FLAG_IP_CHECKSUM_GOOD", flags::IP_CHECKSUM_GOOD),
        ("FLAG_L4_CHECKSUM_GOOD", flags::L4_CHECKSUM_GOOD),
        ("FLAG_HASH_VALID", flags::HASH_VALID),
    ]
}

/// What guests need to find a key, and to ask for a table.
fn table_constants() -> [(&'static str, u64); 15] {
    use table::{flags, kind};
    [
        ("HISTOGRAM_BUCKETS", histogram::BUCKETS as u64),
        ("HISTOGRAM_SUB_BITS", histogram::SUB_BITS.into()),
        ("TABLE_GROUP_ENTRIES", table::GROUP_ENTRIES as u64),
        ("TABLE_GROUP_CROWDED", table::GROUP_CROWDED.into()),
        ("TABLE_TAG_EMPTY", table::TAG_EMPTY.into()),
        ("TABLE_TAG_BUSY", table::TAG_BUSY.into()),
        ("TABLE_TAG_USED", table::TAG_USED.into()),
        ("TABLE_LPM_NODE", table::LPM_NODE.into()),
        ("TABLE_HASH", kind::HASH.into()),
        ("TABLE_LRU", kind::LRU.into()),
        ("TABLE_LPM4", kind::LPM4.into()),
        ("TABLE_LPM6", kind::LPM6.into()),
        ("TABLE_ARRAY", kind::ARRAY.into()),
        ("TABLE_SHARED", flags::SHARED.into()),
        ("TABLE_CAPACITY_MAX", limits::TABLE_CAPACITY_MAX.into()),
    ]
}

fn setting_kinds() -> [(&'static str, u32); 5] {
    use settings::kind;
    [
        ("SETTING_NUMBER", kind::NUMBER),
        ("SETTING_BOOLEAN", kind::BOOLEAN),
        ("SETTING_STRING", kind::STRING),
        ("SETTING_STRINGS", kind::STRINGS),
        ("SETTING_NUMBERS", kind::NUMBERS),
    ]
}
