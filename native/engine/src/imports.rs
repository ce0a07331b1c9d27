//! What a program may call. None of it is needed per packet.

use std::sync::OnceLock;

use wasmtime::{Caller, Linker};
use wirelet_abi::table::{TableEntry, TableSpec, flags};
use wirelet_abi::{Error, ErrorCode, guest, limits};

use crate::engine::engine;
use crate::program::Guest;
use crate::state::Wanted;
use crate::table::Shape;

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

/// Remembers what the program asks for; the table itself is attached when onLoad has returned.
fn table(mut caller: Caller<'_, Guest>, spec: u32, bytes: u32) -> wasmtime::Result<u32> {
    let guest = caller.data_mut();
    if !guest.loading {
        let message = "tables are asked for at the top level or in onLoad, not per packet";
        return Err(Error::new(ErrorCode::ProgramTrap, message).into());
    }
    let wanted = read_spec(guest, spec, bytes)?;
    let known = guest.wanted.iter().position(|known| known.name == wanted.name);
    let index = match known {
        Some(index) if guest.wanted[index] == wanted => index,
        Some(_) => return Err(refused(format!("`{}` has two shapes", wanted.name))),
        None if guest.wanted.len() == limits::PROGRAM_TABLES_MAX => {
            return Err(refused(format!("{} tables already", limits::PROGRAM_TABLES_MAX)));
        }
        None => {
            guest.wanted.push(wanted);
            guest.wanted.len() - 1
        }
    };
    Ok(guest::TABLE_PAGE + (index * size_of::<TableEntry>()) as u32)
}

fn read_spec(guest: &Guest, address: u32, bytes: u32) -> wasmtime::Result<Wanted> {
    const BYTES: usize = size_of::<TableSpec>();
    let copy = guest.memory().copy_own(address, bytes, BYTES).ok_or_else(|| outside("table"))?;
    let Ok(copy) = <[u8; BYTES]>::try_from(copy) else {
        return Err(refused(format!("a spec has {BYTES} bytes, not {bytes}")));
    };
    // SAFETY: a TableSpec is made of u32s, for which all bytes are values; read unaligned.
    let spec = unsafe { copy.as_ptr().cast::<TableSpec>().read_unaligned() };
    let text = |address, bytes| -> wasmtime::Result<String> {
        let copy = guest.memory().copy_own(address, bytes, limits::NAME_BYTES_MAX + 1);
        let copy = copy.ok_or_else(|| outside("table"))?;
        let text = String::from_utf8_lossy(&copy).into_owned();
        if text.len() > limits::NAME_BYTES_MAX || text.contains(char::is_control) {
            return Err(refused(format!("{text:?} is no name")));
        }
        Ok(text)
    };
    let name = text(spec.name, spec.name_bytes)?;
    if name.is_empty() {
        return Err(refused("a table without a name".into()));
    }
    let shape = Shape {
        kind: spec.kind,
        shared: spec.flags & flags::SHARED != 0,
        capacity: spec.capacity,
        key_bytes: spec.key_bytes,
        value_bytes: spec.value_bytes,
    };
    shape.check().map_err(|error| refused(format!("`{name}`: {}", error.message)))?;
    let key_type = text(spec.key_type, spec.key_type_bytes)?;
    let types = [key_type, text(spec.value_type, spec.value_type_bytes)?];
    Ok(Wanted { name, shape, types })
}

fn refused(message: String) -> wasmtime::Error {
    Error::new(ErrorCode::Tables, message).into()
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
