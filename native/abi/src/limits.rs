//! Every limit, in one place: what is larger is refused at the door with a coded error.

macro_rules! limits {
    ($($(#[doc = $doc:literal])+ $name:ident: $ty:ty = $value:expr;)*) => {
        $($(#[doc = $doc])+ pub const $name: $ty = $value;)*

        /// Name, value and sentence of each limit, for the generator and the docs.
        pub const ALL: &[(&str, u64, &str)] = &[
            $((stringify!($name), $name as u64, concat!($($doc,)+).trim_ascii()),)*
        ];
    };
}

limits! {
    /// Packets in one burst.
    BURST_MAX: usize = 256;
    /// Programs in one pipeline.
    PIPELINE_PROGRAMS_MAX: usize = 16;
    /// Programs of one appliance.
    PROGRAMS_MAX: usize = 256;
    /// Programs that can be added to an appliance while it runs.
    PROGRAMS_SPARE: usize = 16;
    /// Ports of one appliance.
    PORTS_MAX: usize = 64;
    /// Lcores of one appliance.
    LCORES_MAX: usize = 64;
    /// Counters of one program.
    PROGRAM_COUNTERS_MAX: usize = 1024;
    /// Tables of one program.
    PROGRAM_TABLES_MAX: usize = 64;
    /// Keys that one table can hold, and elements of an array.
    TABLE_CAPACITY_MAX: u32 = 1 << 24;
    /// Bytes of an array that its program writes: it is copied in one go, at a burst boundary.
    TABLE_ARRAY_BYTES_MAX: u64 = 4 << 20;
    /// Bytes of a table's key.
    TABLE_KEY_BYTES_MAX: u32 = 256;
    /// Bytes of a table's value.
    TABLE_VALUE_BYTES_MAX: u32 = 1024;
    /// Bytes of a counter's, program's, port's or table's name.
    NAME_BYTES_MAX: usize = 64;
    /// Bytes of one log line; the rest is cut.
    LOG_LINE_BYTES_MAX: usize = 256;
    /// Log lines a program may write in a second, per lcore; the rest is counted.
    LOG_LINES_PER_SECOND_MAX: u32 = 100;
    /// Bytes of a program's settings page.
    SETTINGS_BYTES_MAX: usize = 1 << 20;
    /// Bytes of a module.
    MODULE_BYTES_MAX: usize = 4 << 20;
    /// Functions of a module, imported ones included.
    MODULE_FUNCTIONS_MAX: u32 = 4096;
    /// Bytes of one function's body.
    MODULE_BODY_BYTES_MAX: u32 = 256 << 10;
    /// Locals of one function.
    MODULE_LOCALS_MAX: u32 = 1024;
    /// Compiler's work on one function: its blocks times its locals, and 50 for each value that a
    /// block takes or returns. The most takes about 4 s (measured).
    FUNCTION_WORK_MAX: u64 = 200_000;
    /// Compiler's work on all functions of a module.
    MODULE_WORK_MAX: u64 = 800_000;
    /// Globals of a module.
    MODULE_GLOBALS_MAX: u32 = 1024;
    /// Types of a module.
    MODULE_TYPES_MAX: u32 = 1024;
    /// Exports of a module.
    MODULE_EXPORTS_MAX: u32 = 256;
    /// Data segments of a module.
    MODULE_DATA_SEGMENTS_MAX: u32 = 4096;
    /// Entries of a module's table.
    MODULE_TABLE_ENTRIES_MAX: u64 = 4096;
    /// Bytes of a program's own memory: data, stack, heap.
    PROGRAM_MEMORY_BYTES_MAX: usize = 16 << 20;
    /// Stack of native and Wasm frames under one call.
    PROGRAM_STACK_BYTES_MAX: usize = 256 << 10;
    /// CPU time of one burst, default.
    DEADLINE_DEFAULT_NS: u64 = 10_000_000;
    /// CPU time of one burst, the least that can be asked for.
    DEADLINE_MIN_NS: u64 = 2_000_000;
    /// CPU time of one burst, the most that can be asked for.
    DEADLINE_MAX_NS: u64 = 1_000_000_000;
    /// CPU time of onLoad.
    ON_LOAD_DEADLINE_NS: u64 = 1_000_000_000;
    /// Bytes of a frame, the least: room for an Ethernet frame of 1,500 bytes and headroom.
    FRAME_BYTES_MIN: usize = 2048;
    /// Bytes of a frame, the most.
    FRAME_BYTES_MAX: usize = 16384;
    /// Bytes of a frame when the config says nothing: 35 cache lines, 128 headroom and 2,112 data.
    FRAME_BYTES_DEFAULT: usize = 2240;
    /// Frames of a region when the config says nothing.
    FRAMES_DEFAULT: usize = 16384;
    /// Free bytes before a received packet.
    HEADROOM_BYTES: usize = 128;
    /// Bytes of an Ethernet header: what is shorter is no packet.
    PACKET_BYTES_MIN: usize = 14;
    /// Bytes that a shorter packet is padded to before it is sent (60 and 4 of FCS).
    PACKET_BYTES_PADDED: usize = 60;
    /// Extra statistics of one port.
    XSTATS_MAX: usize = 16;
    /// Rules of one port.
    RULES_MAX: usize = 64;
    /// Room for drop reasons in a port's block of the counters page.
    DROP_REASONS_MAX: usize = 32;
    /// Times a program is rebuilt after faults in a row before it is quarantined.
    REBUILDS_MAX: u32 = 8;
}
