//! Lookups of programs against native code's, in turn: `npm run bench:tables` runs it with those of
//! test/tables. Prints a JSON object a line, with every sample in ns per lookup.
//!
//! The native hash table is std's `HashMap`, which is hashbrown, with the program's hash function;
//! the native LPM is DIR-24-8, as DPDK's rte_lpm has it. Both do the same work on the same keys,
//! and every answer is compared.

use std::collections::HashMap;
use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use wirelet_abi::limits::DEADLINE_MAX_NS;
use wirelet_engine::program::{OnFault, Program, ProgramConfig};
use wirelet_engine::runner::{Given, Runner};
use wirelet_engine::state::ProgramState;
use wirelet_engine::table::Table;

use dir24::Dir24;
use keys::{Flow, FlowKey, SameHash};
use sums::{sum_numbers, sum_routes, touch_flows};

mod dir24;
mod keys;
mod prefixes;
mod sums;

/// Lookups of one call: the program's answer is compared after each.
const LOOKUPS: u32 = 1 << 14;
/// A sample takes about this long: short ones are disturbed less often.
const SAMPLE_NS: u64 = 1_000_000;
/// What comes before the addresses.
const PACKET_BYTES: usize = 32;
type Failure = Box<dyn Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, folder, rounds] = &arguments[..] else { return Err("lookups FOLDER ROUNDS".into()) };
    let rounds = rounds.parse()?;
    for bits in [10, 16, 20] {
        numbers(Path::new(folder), bits, rounds)?;
        flows(Path::new(folder), bits, rounds)?;
    }
    routes(Path::new(folder), rounds)
}

/// A u32 to a u64: read.
fn numbers(folder: &Path, bits: u32, rounds: usize) -> Result<(), Failure> {
    let mut guest = Guest::load(folder, "numbers", bits)?;
    let entries = 1u32 << bits;
    let hash = SameHash(guest.table()?.seed());
    let mut map = HashMap::with_capacity_and_hasher(entries as usize, hash);
    map.extend((0..entries).map(|id| (id, u64::from(id))));
    guest.ask(question(0, bits, 0, 0), 0)?;
    for (outcome, base) in [("hit", 0), ("miss", entries)] {
        let mut wasm = |start| guest.ask(question(1, bits, LOOKUPS, start), base);
        let mut native = |start| Ok(sum_numbers(&map, bits, base, start));
        let name = format!("u32 to u64, {outcome}");
        compare(rounds, &name, entries, LOOKUPS, &mut wasm, &mut native)?;
    }
    Ok(())
}

/// A 5-tuple to packets and bytes: both are counted up.
fn flows(folder: &Path, bits: u32, rounds: usize) -> Result<(), Failure> {
    let mut guest = Guest::load(folder, "flows", bits)?;
    let entries = 1u32 << bits;
    let hash = SameHash(guest.table()?.seed());
    let mut map = HashMap::with_capacity_and_hasher(entries as usize, hash);
    map.extend((0..entries).map(|id| (FlowKey::of(id), Flow::default())));
    guest.ask(question(0, bits, 0, 0), 0)?;
    for (outcome, base) in [("hit", 0), ("miss", entries)] {
        let mut wasm = |start| guest.ask(question(1, bits, LOOKUPS, start), base);
        let mut native = |start| Ok(touch_flows(&mut map, bits, base, start));
        let name = format!("5-tuple to flow, {outcome}");
        compare(rounds, &name, entries, LOOKUPS, &mut wasm, &mut native)?;
    }
    Ok(())
}

/// A full table of prefixes; they are also written to a file, for others to look up in.
fn routes(folder: &Path, rounds: usize) -> Result<(), Failure> {
    let mut guest = Guest::load(folder, "routes", 0)?;
    let prefixes = prefixes::generate();
    let (table, mut native) = (guest.table()?, Dir24::new());
    let mut text = String::new();
    for (number, &(address, length)) in prefixes.iter().enumerate() {
        let value = number as u32 & 0xFFFF;
        let [a, b, c, d] = address.to_be_bytes();
        table.set(&[a, b, c, d, length], &value.to_le_bytes())?;
        native.add(address, length, value);
        text.push_str(&format!("{address} {length} {value}\n"));
    }
    std::fs::write(folder.join("prefixes"), text)?;
    let entries = prefixes.len() as u32;
    for (bits, name) in [(32, "IPv4 LPM, any address"), (11, "IPv4 LPM, 2,048 addresses")] {
        let mut wasm = |start| guest.ask(question(1, bits, LOOKUPS, start), 0);
        let mut twin = |start| Ok(sum_routes(&native, bits, start));
        compare(rounds, name, entries, LOOKUPS, &mut wasm, &mut twin)?;
    }
    Ok(())
}

/// One of the programs, loaded.
struct Guest {
    program: Arc<Program>,
    runner: Runner,
}

impl Guest {
    fn load(folder: &Path, name: &str, bits: u32) -> Result<Guest, Failure> {
        let config = ProgramConfig {
            name: name.into(),
            wasm: std::fs::read(folder.join(format!("{name}.wasm")))?,
            settings: std::fs::read(folder.join(format!("settings-{bits}")))?,
            deadline_ns: DEADLINE_MAX_NS,
            on_fault: OnFault::Drop,
            redirect_to: 0,
            affinity: wirelet_engine::steer::Affinity::None,
            table_types: HashMap::new(),
        };
        let program = Arc::new(Program::new(config, ProgramState::new(1)?)?);
        let runner = Runner::of(Arc::clone(&program))?;
        Ok(Guest { program, runner })
    }

    fn table(&self) -> Result<Arc<Table>, Failure> {
        Ok(Arc::clone(&self.program.state.table("table")?.tables[0]))
    }

    fn ask(&mut self, packet: impl AsRef<[u8]>, mark: u32) -> Result<u32, Failure> {
        let given = Given { bytes: packet.as_ref(), port: 0, mark };
        let run = self.runner.run_at(&[given], 0)?;
        match run.fault {
            Some((fault, _)) => Err(fault.error.into()),
            None => Ok(run.packets[0].mark),
        }
    }
}

/// A packet for the programs: what to do, by how much to shift ids of `bits`, how often, and where
/// to begin.
fn question(operation: u8, bits: u32, count: u32, start: u32) -> [u8; PACKET_BYTES] {
    let mut packet = [0; PACKET_BYTES];
    packet[14] = operation;
    packet[15] = (32 - bits) as u8;
    packet[16..20].copy_from_slice(&count.to_be_bytes());
    packet[24..28].copy_from_slice(&start.to_be_bytes());
    packet
}

/// Of the two that take turns: the sum of lookups that begin with a number.
type Side<'a> = &'a mut dyn FnMut(u32) -> Result<u32, Failure>;

/// Samples of both, whoever goes first alternating. Their answers must be the same.
fn compare<'a>(
    rounds: usize,
    name: &str,
    entries: u32,
    lookups: u32,
    wasm: Side<'a>,
    native: Side<'a>,
) -> Result<(), Failure> {
    let sides = [wasm, native];
    let began = cpu_ns();
    let warm = [sides[0](1)?, sides[1](1)?];
    agree(name, entries, warm.map(u64::from))?;
    let calls = (2 * SAMPLE_NS / (cpu_ns() - began).max(1)).clamp(1, 1000) as u32;
    let mut samples = [Vec::new(), Vec::new()];
    let mut start = 1;
    for round in 0..rounds {
        let mut sums = [0; 2];
        for turn in [round % 2, 1 - round % 2] {
            let began = cpu_ns();
            for call in 0..calls {
                sums[turn] += u64::from(sides[turn](start + call)?);
            }
            let ns = (cpu_ns() - began) as f64;
            samples[turn].push(ns / (f64::from(calls) * f64::from(lookups)));
        }
        agree(name, entries, sums)?;
        start += calls;
    }
    let [wasm, native] = samples;
    let line = format!(
        "{{\"name\":\"{name}\",\"entries\":{entries},\"wasm\":{wasm:?},\"native\":{native:?}}}\n"
    );
    Ok(std::io::stdout().write_all(line.as_bytes())?)
}

/// Time of this thread on its CPU: who is preempted waits, but has not become slower.
fn cpu_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the place that is written is ours.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut now) };
    assert_eq!(status, 0, "every Linux has this clock");
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

fn agree(name: &str, entries: u32, [wasm, native]: [u64; 2]) -> Result<(), Failure> {
    if wasm == native {
        return Ok(());
    }
    Err(format!("{name}, {entries}: {wasm} in WebAssembly, {native} natively").into())
}
