//! What a program may call. None of it is needed per packet.

use std::sync::OnceLock;

use wasmtime::{Caller, Linker};
use wirelet_abi::{Error, ErrorCode, guest, limits};

use crate::engine::engine;
use crate::program::Guest;

/// The imports, defined once per process.
pub fn linker() -> &'static Linker<Guest> {
    static LINKER: OnceLock<Linker<Guest>> = OnceLock::new();
    LINKER.get_or_init(|| {
        let mut linker = Linker::new(engine());
        define(&mut linker).expect("every import is defined once");
        linker
    })
}

fn define(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let module = guest::IMPORT_MODULE;
    linker.func_wrap(module, guest::IMPORT_LOG, log)?;
    linker.func_wrap(module, guest::IMPORT_COUNTER, counter)?;
    linker.func_wrap(module, guest::IMPORT_TABLE, table)?;
    linker.func_wrap(module, guest::IMPORT_ABORT, abort)?;
    Ok(())
}

/// A line longer than the limit is cut, one too many counted.
fn log(mut caller: Caller<'_, Guest>, address: u32, bytes: u32) -> wasmtime::Result<()> {
    let guest = caller.data_mut();
    let shown = bytes.min(limits::LOG_LINE_BYTES_MAX as u32);
    let start = guest.memory().own(address, bytes as usize).ok_or_else(|| outside("log"))?;
    guest.log(start, shown as usize);
    Ok(())
}

fn counter(caller: Caller<'_, Guest>, name: u32, bytes: u32) -> wasmtime::Result<u32> {
    let guest = caller.data();
    if !guest.loading {
        let message = "counters are made at the top level or in onLoad, not per packet";
        return Err(Error::new(ErrorCode::ProgramTrap, message).into());
    }
    let name = guest
        .memory()
        .copy_own(name, bytes, limits::NAME_BYTES_MAX + 1)
        .ok_or_else(|| outside("counter"))?;
    Ok(guest.state.counters.address(&String::from_utf8_lossy(&name))?)
}

fn table(_caller: Caller<'_, Guest>, _spec: u32, _bytes: u32) -> wasmtime::Result<u32> {
    Err(Error::new(ErrorCode::Tables, "this version has no tables").into())
}

fn abort(
    caller: Caller<'_, Guest>,
    message: u32,
    file: u32,
    line: u32,
    column: u32,
) -> wasmtime::Result<()> {
    let guest = caller.data();
    let text = |address| string(guest, address).unwrap_or_default();
    let (message, file) = (text(message), text(file));
    let place = if file.is_empty() { String::new() } else { format!(" ({file}:{line}:{column})") };
    let message = if message.is_empty() { "abort".into() } else { message };
    let code = if guest.loading { ErrorCode::LoadTrap } else { ErrorCode::ProgramTrap };
    Err(Error::new(code, format!("{message}{place}")).into())
}

/// An AssemblyScript string: UTF-16, its bytes in the u32 before the first.
fn string(guest: &Guest, address: u32) -> Option<String> {
    let bytes = guest.memory().copy_own(address.checked_sub(4)?, 4, 4)?;
    let bytes = u32::from_le_bytes(bytes.try_into().ok()?);
    let text = guest.memory().copy_own(address, bytes, 2 * limits::LOG_LINE_BYTES_MAX)?;
    let units: Vec<u16> =
        text.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    Some(String::from_utf16_lossy(&units))
}

fn outside(import: &str) -> wasmtime::Error {
    let message = format!("{import}: the address is not in the program's own memory");
    Error::new(ErrorCode::ProgramTrap, message).into()
}
