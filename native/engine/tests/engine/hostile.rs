//! Hostile guests: whatever they touch, they get a clean error and nothing native changes.

use wirelet_abi::{ErrorCode, limits};
use wirelet_engine::program::ProgramConfig;
use wirelet_engine::runner::Runner;

use crate::common::{EMPTY, decide, importing, module, on_packets, per_packet, program};

const PACKET: ([u8; 60], u16) = ([7; 60], 0);

fn runner(wasm: Vec<u8>) -> Runner {
    Runner::new(program(wasm)).unwrap_or_else(|error| panic!("{error}"))
}

/// Runs two packets through a program; the fault's code.
#[track_caller]
fn fault_of(wasm: Vec<u8>) -> Option<ErrorCode> {
    let mut runner = runner(wasm);
    let packets = [(&PACKET.0[..], 0), (&PACKET.0[..], 1)];
    let code = |runner: &mut Runner| {
        let run = runner.run(&packets).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(run.packets.len(), 2);
        run.fault.map(|(fault, _)| fault.error.code)
    };
    let first = code(&mut runner);
    // Whatever happened, the next burst has a fresh instance and ends the same way.
    assert_eq!(code(&mut runner), first);
    first
}

#[track_caller]
fn load_error(code: &str) -> ErrorCode {
    let wasm = importing(&format!(r#"{EMPTY} (func $f (export "onLoad") (local i32) {code})"#));
    match Runner::new(program(wasm)) {
        Ok(_) => panic!("loaded: {code}"),
        Err(error) => error.code,
    }
}

/// Addresses that nothing is mapped at, or that may only be read.
const HOLES: &[&str] = &[
    "(i32.const 0)",
    "(i32.const 0xffff)",
    // Behind the settings page, before the packet window.
    "(i32.const 0x21000)",
    "(i32.const 0x1ffffc)",
    // Behind the region (256 frames of 16 KiB), behind the state, before and behind its own memory.
    "(i32.const 0x600000)",
    "(i32.const 0x1ffffffc)",
    "(i32.const 0x20002000)",
    "(i32.const 0x3ffffffc)",
    "(i32.const 0x40010000)",
    "(i32.const 0x7fffffff)",
    "(i32.const 0x80000000)",
    "(i32.const -1)",
    "(i32.const -4)",
];

#[test]
fn loads_and_stores_in_holes_are_traps() {
    for hole in HOLES {
        for access in [
            format!("(drop (i32.load {hole}))"),
            format!("(drop (v128.load {hole}))"),
            format!("(i64.store {hole} (i64.const -1))"),
            format!("(i32.store8 {hole} (i32.const 1))"),
        ] {
            // The byte at the edge exists where the access is wider than the rest of the page.
            let code = fault_of(per_packet(&access));
            assert_eq!(code, Some(ErrorCode::ProgramTrap), "{access}");
        }
    }
}

#[test]
fn the_largest_constant_offsets_reach_nothing() {
    for (address, offset) in
        [(0u32, u32::MAX), (u32::MAX, u32::MAX), (u32::MAX, 0), (1, 0xffff_fff0)]
    {
        for access in ["i32.load8_u", "i64.load", "v128.load"] {
            let code = format!("(drop ({access} offset={offset} (i32.const {address})))");
            assert_eq!(fault_of(per_packet(&code)), Some(ErrorCode::ProgramTrap), "{code}");
        }
        let code =
            format!("(v128.store offset={offset} (i32.const {address}) (v128.const i64x2 -1 -1))");
        assert_eq!(fault_of(per_packet(&code)), Some(ErrorCode::ProgramTrap), "{code}");
    }
}

#[test]
fn an_access_that_begins_inside_and_ends_outside_is_a_trap() {
    for last in [0x1_ffff_u32, 0x5f_ffff, 0x2000_1fff, 0x4000_ffff] {
        let inside = format!("(drop (i32.load8_u (i32.const {last}))) {}", decide(0));
        assert_eq!(fault_of(per_packet(&inside)), None, "{inside}");
        // The burst page is followed by the settings page, which may be read.
        if last != 0x1_ffff {
            let across = format!("(drop (i32.load16_u (i32.const {last})))");
            assert_eq!(fault_of(per_packet(&across)), Some(ErrorCode::ProgramTrap), "{across}");
        }
        let across = format!("(i64.store (i32.const {last}) (i64.const 0))");
        assert_eq!(fault_of(per_packet(&across)), Some(ErrorCode::ProgramTrap), "{across}");
    }
}

#[test]
fn settings_are_read_only() {
    let read = format!("(drop (i32.load (i32.const 0x20000))) {}", decide(0));
    assert_eq!(fault_of(per_packet(&read)), None);
    let write = "(i32.store (i32.const 0x20000) (i32.const 1))";
    assert_eq!(fault_of(per_packet(write)), Some(ErrorCode::ProgramTrap));
}

#[test]
fn windows_are_closed_until_on_load_has_returned() {
    for address in [0x10000, 0x1_0040, 0x20_0000, 0x20_0080, 0x2000_0000] {
        let load = format!("(drop (i32.load (i32.const {address})))");
        assert_eq!(load_error(&load), ErrorCode::LoadTrap, "{load}");
        let store = format!("(i32.store (i32.const {address}) (i32.const 1))");
        assert_eq!(load_error(&store), ErrorCode::LoadTrap, "{store}");
        let open = format!("(drop (i32.load (i32.const {address}))) {}", decide(0));
        assert_eq!(fault_of(per_packet(&open)), None, "{open}");
    }
}

#[test]
fn loading_has_a_deadline_and_its_traps_have_codes() {
    assert_eq!(load_error("(loop (br 0))"), ErrorCode::LoadDeadline);
    assert_eq!(load_error("unreachable"), ErrorCode::LoadTrap);
    assert_eq!(load_error("(call $f)"), ErrorCode::LoadTrap);
    let spec = "(drop (call $table (i32.const 0x40000000) (i32.const 12)))";
    assert_eq!(load_error(spec), ErrorCode::Tables);
    assert_eq!(
        load_error("(call $abort (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 1))"),
        ErrorCode::LoadTrap
    );
}

#[test]
fn every_kind_of_trap_is_a_fault() {
    for code in [
        "unreachable",
        "(drop (i32.div_u (i32.const 1) (local.get $x)))",
        "(drop (i32.rem_s (i32.const 1) (local.get $x)))",
        "(drop (i32.div_s (i32.const 0x80000000) (i32.sub (local.get $x) (i32.const 1))))",
        "(drop (i32.trunc_f64_s (f64.const 1e30)))",
        "(call $deeper (i32.const 0))",
        "(call_indirect (type $other) (i64.const 0) (i32.const 0))",
        "(call_indirect (type $other) (i64.const 0) (i32.const 1))",
        "(call_indirect (type $other) (i64.const 0) (i32.const 99))",
    ] {
        let rest = format!(
            "(type $other (func (param i64))) (table 2 2 funcref) (elem (i32.const 0) $deeper)
            (func $deeper (param i32) (local i64 i64 i64)
                (call $deeper (i32.add (local.get 0) (i32.const 1)))
                (i32.store (i32.const 0x40000000) (local.get 0)))
            {}",
            on_packets(code)
        );
        assert_eq!(fault_of(module(&rest)), Some(ErrorCode::ProgramTrap), "{code}");
    }
}

#[test]
fn a_burst_has_a_deadline() {
    assert_eq!(fault_of(per_packet("(loop $l (br $l))")), Some(ErrorCode::ProgramDeadline));
    let mut patient = program(per_packet(&format!(
        "(local.set $x (i32.const 20000000))
        (loop $l (br_if $l (local.tee $x (i32.sub (local.get $x) (i32.const 1))))) {}",
        decide(0)
    )));
    patient.deadline_ns = limits::DEADLINE_MAX_NS;
    let mut runner = Runner::new(patient).unwrap_or_else(|error| panic!("{error}"));
    let run = runner.run(&[(&PACKET.0, 0)]).unwrap_or_else(|error| panic!("{error}"));
    assert!(run.fault.is_none(), "long, but within its deadline: {:?}", run.fault);
}

#[test]
fn imports_check_the_addresses_they_are_given() {
    for address in ["0", "0x10000", "0x200000", "0x20000000", "0x3fffffff", "0x40010000", "-1"] {
        for code in [
            format!("(call $log (i32.const {address}) (i32.const 1))"),
            "(call $log (i32.const 0x40000000) (i32.const -1))".into(),
            "(call $log (i32.const 0x4000ffff) (i32.const 2))".into(),
            format!(
                "(call $abort (i32.const {address}) (i32.const {address}) (i32.const -1) (i32.const -1))"
            ),
            "(drop (call $counter (i32.const 0x40000000) (i32.const 1)))".into(),
        ] {
            let wasm = importing(&on_packets(&code));
            assert_eq!(fault_of(wasm), Some(ErrorCode::ProgramTrap), "{code}");
        }
        if address != "0x4000ffff" {
            let code = format!("(drop (call $counter (i32.const {address}) (i32.const 1)))");
            assert_eq!(load_error(&code), ErrorCode::ProgramTrap, "{code}");
        }
        let code = format!("(drop (call $table (i32.const {address}) (i32.const 64)))");
        assert_eq!(load_error(&code), ErrorCode::ProgramTrap, "{code}");
    }
    let wasm = importing(&on_packets("(drop (call $table (i32.const 0x40000000) (i32.const 64)))"));
    assert_eq!(fault_of(wasm), Some(ErrorCode::ProgramTrap));
}

/// The words of a good spec at the start of a program's own memory: name, kind, flags, capacity,
/// sizes, types.
const SPEC: [u32; 11] = [0x4000_0040, 3, 1, 0, 8, 8, 8, 0x4000_0040, 1, 0x4000_0040, 1];

/// What a program that asks for `spec` is answered.
fn asks_for(spec: &[u32]) -> Result<Runner, ErrorCode> {
    let word = |(index, word): (usize, &u32)| {
        format!("(i32.store (i32.const {}) (i32.const {word}))", 0x4000_0000_usize + 4 * index)
    };
    let words: String = spec.iter().enumerate().map(word).collect();
    let wasm = importing(&format!(
        r#"(data (i32.const 0x40000040) "abc")
        (func (export "onLoad") {words}
            (drop (call $table (i32.const 0x40000000) (i32.const 64))))
        {}"#,
        on_packets(&decide(0))
    ));
    Runner::new(program(wasm)).map_err(|error| error.code)
}

#[test]
fn a_table_that_nobody_can_have_is_refused() {
    assert!(asks_for(&SPEC).is_ok());
    // Which word, and what it says instead.
    for (word, lie) in [
        (0, 0x4001_0000),
        (0, 0),
        (1, 0),
        (1, 65),
        (1, u32::MAX),
        (2, 0),
        (2, 6),
        (4, 0),
        (4, u32::MAX),
        (5, 0),
        (5, u32::MAX),
        (6, u32::MAX),
        (7, 0x2000_0000),
        (8, u32::MAX),
        (9, 0x4000_fff0),
        (10, 0x8000_0000),
    ] {
        let mut spec = SPEC;
        spec[word] = lie;
        let code = asks_for(&spec).err();
        let refused = matches!(code, Some(ErrorCode::Tables | ErrorCode::ProgramTrap));
        assert!(refused || (word, lie) == (9, 0x4000_fff0), "word {word} is {lie:#x}: {code:?}");
    }
}

#[test]
fn the_table_page_is_read_only() {
    let spec: String = SPEC
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .fold(String::new(), |text, byte| text + &format!("\\{byte:02x}"));
    let asks = |code: &str| {
        importing(&format!(
            r#"(data (i32.const 0x40000000) "{spec}") (data (i32.const 0x40000040) "abc")
            (func (export "onLoad") (drop (call $table (i32.const 0x40000000) (i32.const 64))))
            {}"#,
            on_packets(code)
        ))
    };
    let read = format!("(drop (i32.load (i32.const 0x20002000))) {}", decide(0));
    assert_eq!(fault_of(asks(&read)), None);
    let write = "(i32.store (i32.const 0x20002000) (i32.const 1))";
    assert_eq!(fault_of(asks(write)), Some(ErrorCode::ProgramTrap));
    // The table's own memory is the program's: whatever it does there is its own loss.
    let fill = "(i32.store (i32.const 0x20200000) (i32.const -1))";
    assert_eq!(fault_of(asks(&format!("{fill} {}", decide(0)))), None);
}

/// An AssemblyScript string whose length lies: 4 bytes before it.
#[test]
fn an_abort_with_a_string_that_lies_is_still_an_abort() {
    for length in ["ffffffff", "00000080", "0000ffff", "03000000"] {
        let bytes: String = (0..4).map(|at| format!("\\{}", &length[2 * at..2 * at + 2])).collect();
        let call = "(call $abort (i32.const 0x40000004) (i32.const 0x40000004) (i32.const 1) (i32.const 1))";
        let rest =
            format!(r#"(data (i32.const 0x40000000) "{bytes}a\00b\00") {}"#, on_packets(call));
        assert_eq!(fault_of(importing(&rest)), Some(ErrorCode::ProgramTrap), "{length}");
    }
}

#[test]
fn counters_have_limits() {
    // Names of two bytes, the loop's number.
    let counters = |count: usize, bytes: usize| {
        format!(
            "(loop $l
                (i32.store16 (i32.const 0x40000000) (i32.add (local.get 0) (i32.const 0x2121)))
                (drop (call $counter (i32.const 0x40000000) (i32.const {bytes})))
                (local.set 0 (i32.add (local.get 0) (i32.const 1)))
                (br_if $l (i32.lt_u (local.get 0) (i32.const {count}))))"
        )
    };
    let wasm = |code: &str| {
        importing(&format!(
            r#"{EMPTY} (func (export "onLoad") (local i32) {code})
            (data (i32.const 0x40000002) "{}")"#,
            "x".repeat(100)
        ))
    };
    // Letters up to 0x7f only: 94 in the first byte; so many names of one length are few.
    let load =
        |code: &str| Runner::new(program(wasm(code))).map(|_| ()).map_err(|error| error.code);
    assert_eq!(load(&counters(90, 2)), Ok(()));
    assert_eq!(load(&counters(1, 64)), Ok(()));
    assert_eq!(load(&counters(1, 65)), Err(ErrorCode::Counters));
    assert_eq!(load(&counters(1, 0)), Err(ErrorCode::Counters));
    let many: String = (0..1025)
        .map(|index| {
            format!(
                "(i32.store (i32.const 0x40000000) (i32.const {}))
            (drop (call $counter (i32.const 0x40000000) (i32.const 4)))",
                u32::from_le_bytes(
                    format!("{index:04}").into_bytes().try_into().expect("four digits")
                )
            )
        })
        .collect();
    assert_eq!(load(&many), Err(ErrorCode::Counters));
    let one_less = many.rfind("(i32.store").expect("the last one");
    assert_eq!(load(&many[..one_less]), Ok(()));
}

#[test]
fn a_flood_of_log_lines_is_cut() {
    let call = format!("(call $log (i32.const 0x40000000) (i32.const 4096)) {}", decide(0));
    let mut runner = runner(importing(&on_packets(&call)));
    let packets = vec![(&PACKET.0[..], 0); 256];
    assert!(runner.run(&packets).is_ok_and(|run| run.fault.is_none()));
    let lines = runner.logs();
    assert_eq!(lines.len(), limits::LOG_LINES_PER_SECOND_MAX as usize);
    assert!(lines.iter().all(|line| line.len() == limits::LOG_LINE_BYTES_MAX));
}

#[test]
fn bursts_that_do_not_fit_are_refused() {
    let mut runner = runner(per_packet(&decide(0)));
    let long = vec![0; limits::FRAME_BYTES_MAX];
    for packets in [vec![], vec![(&PACKET.0[..], 0); 257], vec![(&long[..], 0)]] {
        let error = runner.run(&packets).err().map(|error| error.code);
        assert_eq!(error, Some(ErrorCode::ConfigLimit));
    }
    assert!(runner.run(&[(&PACKET.0[..], 0); 256]).is_ok());
}

#[test]
fn deadlines_outside_the_limits_are_refused() {
    for deadline_ns in [0, limits::DEADLINE_MIN_NS - 1, limits::DEADLINE_MAX_NS + 1, u64::MAX] {
        let config = ProgramConfig { deadline_ns, ..program(per_packet(&decide(0))) };
        assert_eq!(Runner::new(config).err().map(|error| error.code), Some(ErrorCode::ConfigLimit));
    }
}

/// A program that writes over all frames of the region changes bytes and nothing else.
#[test]
fn filling_the_packet_window_changes_only_bytes() {
    use crate::common::bench::{config, port, run};
    let fill = format!(
        "(local.set $x (i32.const 0x200000))
        (loop $l (i64.store (local.get $x) (i64.const -1))
            (br_if $l (i32.lt_u (local.tee $x (i32.add (local.get $x) (i32.const 8)))
                (i32.const {}))))",
        0x20_0000 + 2048 * 2240
    );
    let rest = on_packets(&decide(0));
    let wasm = module(&rest.replacen("(loop $next", &format!("{fill} (loop $next"), 1));
    let ports =
        vec![port("gen:?rate=max&count=2000&sizes=60-1500", 1, &[0]), port("null:", None, &[])];
    let mut config =
        config(ports, vec![ProgramConfig { deadline_ns: 1_000_000_000, ..program(wasm) }]);
    config.region.frames = 2048;
    let outcome = run(config);
    assert!(outcome.faults.is_empty() && outcome.errors.is_empty());
    assert_eq!(outcome.page.port(1, |port| port.tx_packets), 2000);
    let bytes =
        (outcome.page.port(0, |port| port.rx_bytes), outcome.page.port(1, |port| port.tx_bytes));
    assert_eq!(bytes.0, bytes.1);
}
