//! Every coded error of engine and host: code, exit status of the CLI, what it means, what to do.
//! `docs/errors.md` lists the same codes; a test compares both ways.

/// Exit status of the CLI (DESIGN §11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// The operation failed.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The config is wrong.
    Config = 3,
    /// A program was rejected.
    Program = 4,
    /// No running appliance.
    NoAppliance = 5,
    /// Not permitted, or memory, hugepages or a NIC are missing.
    NotPermitted = 6,
}

macro_rules! errors {
    ($($variant:ident, $code:literal, $exit:ident, $meaning:literal, $hint:literal;)*) => {
        /// A coded error.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorCode { $(#[doc = $meaning] $variant,)* }

        impl ErrorCode {
            /// All of them, in the order of the docs.
            pub const ALL: &'static [ErrorCode] = &[$(ErrorCode::$variant,)*];

            /// The code: `WIRELET_E_...`.
            pub const fn code(self) -> &'static str {
                match self { $(ErrorCode::$variant => $code,)* }
            }

            /// Exit status of a command that ends with it.
            pub const fn exit(self) -> Exit {
                match self { $(ErrorCode::$variant => Exit::$exit,)* }
            }

            /// What it means, one sentence.
            pub const fn meaning(self) -> &'static str {
                match self { $(ErrorCode::$variant => $meaning,)* }
            }

            /// What to do about it, one sentence.
            pub const fn hint(self) -> &'static str {
                match self { $(ErrorCode::$variant => $hint,)* }
            }
        }
    };
}

errors! {
    // Command line and config.
    Usage, "WIRELET_E_USAGE", Usage,
        "The command line is wrong.", "Run `wirelet help` for the commands.";
    ConfigNotFound, "WIRELET_E_CONFIG_NOT_FOUND", Config,
        "There is no config file.", "Create wirelet.config.ts or name a file with --config.";
    ConfigInvalid, "WIRELET_E_CONFIG_INVALID", Config,
        "The config does not have the shape it should.", "See docs/start.md for a complete config.";
    ConfigUnknownKey, "WIRELET_E_CONFIG_UNKNOWN_KEY", Config,
        "The config has a key that nobody reads.", "Remove it or correct its spelling.";
    ConfigUnknownDevice, "WIRELET_E_CONFIG_UNKNOWN_DEVICE", Config,
        "A port names a device that does not exist.", "Devices and wrappers: docs/devices.md.";
    ConfigUnknownPort, "WIRELET_E_CONFIG_UNKNOWN_PORT", Config,
        "The config refers to a port that it does not define.", "Define it under `ports`.";
    ConfigUnknownProgram, "WIRELET_E_CONFIG_UNKNOWN_PROGRAM", Config,
        "A pipeline refers to a program that the config does not define.",
        "Define it under `programs`.";
    ConfigLimit, "WIRELET_E_CONFIG_LIMIT", Config,
        "A number in the config is outside its limits.", "Limits: docs/architecture.md.";
    Rules, "WIRELET_E_RULES", Config,
        "A port can't have the rules that the config gives it.",
        "Rules: docs/operating.md. `queues`, `offload` and programs' `affinity` set limits to them.";
    DeviceSpec, "WIRELET_E_DEVICE_SPEC", Config,
        "A device's spec is wrong.", "Specs: docs/devices.md, `device:where?option=value`.";
    Settings, "WIRELET_E_SETTINGS", Config,
        "A program's settings can't be written to its settings page.",
        "Settings are numbers, booleans, strings and lists of numbers or strings, 1 MiB in all.";
    // Programs: source to module.
    ProgramNotFound, "WIRELET_E_PROGRAM_NOT_FOUND", Program,
        "There is no program at that path.", "Name a folder with index.ts, a .ts or a .wasm file.";
    ProgramCompile, "WIRELET_E_PROGRAM_COMPILE", Program,
        "The program does not compile.", "Mend the lines shown above.";
    ProgramEntry, "WIRELET_E_PROGRAM_ENTRY", Program,
        "The program exports neither onPacket nor onBurst, or both.",
        "Export one: `export function onPacket(packet: Packet): Verdict`.";
    ProgramAllocates, "WIRELET_E_PROGRAM_ALLOCATES", Program,
        "The program allocates memory for each packet.",
        "Allocate once, in onLoad or at the top level.";
    TableType, "WIRELET_E_TABLE_TYPE", Program,
        "A table's keys or values are of a type that tables can't hold.",
        "Keys: integers, or classes of integer fields. Values: floats, too. No references.";
    CompilerFailed, "WIRELET_E_COMPILER_FAILED", Program,
        "The compiler itself failed or ran out of its time or memory.",
        "Try the program in halves to find the line, and report it.";
    // Modules: the door of the engine.
    ModuleNotWasm, "WIRELET_E_MODULE_NOT_WASM", Program,
        "That is no WebAssembly module.", "Build one with `wirelet build`.";
    ModuleFeature, "WIRELET_E_MODULE_FEATURE", Program,
        "The module is invalid or uses a Wasm feature that is not allowed.",
        "Allowed: the MVP, mutable globals, sign extension, saturating conversions, multi-value, SIMD.";
    ModuleLimit, "WIRELET_E_MODULE_LIMIT", Program,
        "The module is larger than a limit allows.", "Limits: docs/architecture.md.";
    ModuleAbi, "WIRELET_E_MODULE_ABI", Program,
        "The module was built for another ABI version, or for none.",
        "Build it again with this version's `wirelet build`.";
    ModuleImport, "WIRELET_E_MODULE_IMPORT", Program,
        "The module imports something that the engine does not offer.",
        "Offered: wirelet.log, wirelet.counter, wirelet.table, wirelet.abort.";
    ModuleExport, "WIRELET_E_MODULE_EXPORT", Program,
        "The module lacks an export, or one has the wrong type.",
        "Needed: memory, onBurst(u32), wirelet_abi_1().";
    ModuleStart, "WIRELET_E_MODULE_START", Program,
        "The module has a start function.", "Move its work to onLoad.";
    ModuleData, "WIRELET_E_MODULE_DATA", Program,
        "A data segment is passive, computed or outside the program's own memory.",
        "Build with `--memoryBase 1073741824` (asconfig.json of this project does).";
    ModuleMemory, "WIRELET_E_MODULE_MEMORY", Program,
        "The module's memory is missing, imported, growable, too small or too large.",
        "Initial and maximum size must be equal: 1 GiB of windows and at most 16 MiB of its own.";
    // Programs at work.
    LoadTrap, "WIRELET_E_LOAD_TRAP", Program,
        "onLoad trapped, or the program refused a setting.",
        "Mend the setting, if it names one. Packets and tables are there when onLoad has returned.";
    LoadDeadline, "WIRELET_E_LOAD_DEADLINE", Program,
        "onLoad did not return in time.", "onLoad has one second of CPU time.";
    ProgramTrap, "WIRELET_E_PROGRAM_TRAP", Failed,
        "The program trapped on a packet.", "The report names the line; the packet was dropped.";
    ProgramDeadline, "WIRELET_E_PROGRAM_DEADLINE", Failed,
        "The program took longer for a burst than its deadline.",
        "Bound its loops, or raise `deadline`.";
    Descriptor, "WIRELET_E_DESCRIPTOR", Failed,
        "The program wrote a descriptor that points outside its frame or has no such verdict.",
        "Use Packet's methods; raw descriptors must stay within headroom and tailroom.";
    Counters, "WIRELET_E_COUNTERS", Program,
        "The program asks for too many counters, or one has a bad name.",
        "At most 1,024 counters with names of 1 to 64 bytes.";
    Tables, "WIRELET_E_TABLES", Program,
        "The program asks for a table that it can't have.",
        "At most 64 tables, names of 1 to 64 bytes, asked for at the top level or in onLoad.";
    TableSchema, "WIRELET_E_TABLE_SCHEMA", Program,
        "A table has another shape than the state that is kept.",
        "Append fields, or raise the capacity; --reset-state begins with an empty table.";
    TableUnknown, "WIRELET_E_TABLE_UNKNOWN", Failed,
        "There is no such table, or no such key in it.",
        "`wirelet table list` shows the tables, `wirelet table export` their keys.";
    TableValue, "WIRELET_E_TABLE_VALUE", Usage,
        "A key or value does not fit the table.",
        "`wirelet table list` shows the fields of keys and values.";
    TableFull, "WIRELET_E_TABLE_FULL", Failed,
        "The table holds as many keys as it can.",
        "Delete some, or raise the capacity that the program asks for.";
    Persist, "WIRELET_E_PERSIST", NotPermitted,
        "Persistent state can't be kept there.",
        "`state.directory` must be a writable folder on tmpfs, such as /dev/shm/wirelet-mine.";
    // Swapping.
    SwapTimeout, "WIRELET_E_SWAP_TIMEOUT", Failed,
        "An lcore did not take over the new generation in time.",
        "The old generation goes on there; see `wirelet status` for what keeps the lcore.";
    RestartNeeded, "WIRELET_E_RESTART_NEEDED", Config,
        "The change can't be made while the appliance runs.",
        "Ports, devices, lcores, bursts and frames are fixed: stop it and start it anew.";
    Rollback, "WIRELET_E_ROLLBACK", Failed,
        "There is no earlier generation to go back to.",
        "The earlier generation is kept until the next change; a rollback can't be rolled back.";
    ShadowDiffers, "WIRELET_E_SHADOW_DIFFERS", Program,
        "The candidate decides differently from the running program.",
        "The report shows the packets; raise --max-differences when they are as intended.";
    Control, "WIRELET_E_CONTROL", Failed,
        "The control socket can't be used.",
        "Another appliance may own it: name one with --socket, for the appliance and for the verb.";
    // Looking at packets.
    Filter, "WIRELET_E_FILTER", Usage,
        "The filter of packets is wrong.", "The language is tcpdump's: man pcap-filter.";
    Libpcap, "WIRELET_E_LIBPCAP", NotPermitted,
        "There is no libpcap, which reads filters of packets.",
        "Install it, `apt install libpcap0.8` on Debian; or leave the filter out.";
    Trace, "WIRELET_E_TRACE", Failed,
        "There is no port and no program of that name to trace, or too many traces run.",
        "`wirelet status` shows the names; `port:NAME` and `program:NAME` tell two apart.";
    // Devices, memory, machine.
    DeviceOpen, "WIRELET_E_DEVICE_OPEN", Failed,
        "A device can't be opened.", "The message names the file or interface and the reason.";
    Interface, "WIRELET_E_INTERFACE", NotPermitted,
        "There is no such network interface, or it can't do what is asked.",
        "`ip link` lists the interfaces of this network namespace; `wirelet doctor` looks at them.";
    Privilege, "WIRELET_E_PRIVILEGE", NotPermitted,
        "A device needs a privilege that this process does not have.",
        "Run `wirelet doctor`: it names the capability and how to get it.";
    MemoryLock, "WIRELET_E_MEMORY_LOCK", NotPermitted,
        "The frames can't be locked in memory, as an AF_XDP socket needs them.",
        "Raise the limit (`ulimit -l`, systemd's LimitMEMLOCK) or grant CAP_IPC_LOCK: `wirelet doctor`.";
    XdpAttached, "WIRELET_E_XDP_ATTACHED", Failed,
        "The interface has an XDP program of somebody else.",
        "See it with `ip link show`; take it off with `ip link set NAME xdp off` if nobody needs it.";
    InterfaceGone, "WIRELET_E_INTERFACE_GONE", Failed,
        "The interface of a port was removed or moved to another network namespace.",
        "A `dpdk` port goes on when it is back; for other devices, start the appliance again then.";
    DpdkMissing, "WIRELET_E_DPDK_MISSING", NotPermitted,
        "The DPDK plugin is not built, or does not load.",
        "Install DPDK (Debian: apt-get install libdpdk-dev dpdk-dev) and run `npm run build`.";
    DpdkEal, "WIRELET_E_DPDK_EAL", NotPermitted,
        "DPDK's environment (EAL) does not start, or has no memory left.",
        "Its arguments are `dpdk: { eal: [...] }` in the config; docs/devices.md names the defaults.";
    PcapFormat, "WIRELET_E_PCAP_FORMAT", Failed,
        "The file is no capture file, or its first bytes are damaged.",
        "Supported: pcap and pcapng, both byte orders, gzip too.";
    InputFailed, "WIRELET_E_INPUT", Failed,
        "A file that was open can't be read any further.",
        "The message names the file and the reason.";
    OutputFailed, "WIRELET_E_OUTPUT", Failed,
        "A file can't be written.",
        "The message names the file and the reason, such as a full disk.";
    MemoryExhausted, "WIRELET_E_MEMORY_EXHAUSTED", NotPermitted,
        "There is not enough memory of the kind the region needs.",
        "Ask for fewer frames or set `hugepages: false`; `wirelet doctor` shows what there is.";
    FrameSize, "WIRELET_E_FRAME_SIZE", Config,
        "No frame size suits all devices of the config.",
        "2,048 to 16,384 bytes in multiples of 64.";
    MapCount, "WIRELET_E_MAP_COUNT", NotPermitted,
        "The appliance needs more memory mappings than the kernel allows.",
        "sysctl -w vm.max_map_count=262144; `wirelet doctor` counts what is planned.";
    Lcore, "WIRELET_E_LCORE", NotPermitted,
        "An lcore can't be pinned to its CPU.", "Name CPUs that this process may use, or a number.";
    LcoreFailed, "WIRELET_E_LCORE_FAILED", Failed,
        "An lcore ended by a bug of Wirelet; its packets were counted as stopped.",
        "Please report the message and the stack.";
    // Host.
    NoAppliance, "WIRELET_E_NO_APPLIANCE", NoAppliance,
        "No appliance is running here.", "Start one with `wirelet run`.";
    State, "WIRELET_E_STATE", Failed,
        "The call does not fit the state: started twice, read after stop.",
        "create, start, stats, stop, in this order.";
    AddonMissing, "WIRELET_E_ADDON_MISSING", Failed,
        "The native addon is not built or does not load.", "Build it with `npm run build`.";
    Internal, "WIRELET_E_INTERNAL", Failed,
        "Something that should never happen happened.", "Please report the message and the stack.";
}
