//! Tables: reading at once, writing on a thread of libuv's pool.

use std::sync::{Arc, Mutex, PoisonError};

use napi::bindgen_prelude::Uint8Array;
use napi::{Env, Task};
use napi_derive::napi;
use wirelet_abi::table::kind;
use wirelet_abi::{Error, ErrorCode};
use wirelet_engine::state::StateTable;
use wirelet_engine::swap::Changes;

use crate::convert::guarded;

/// One of a program's tables.
#[napi(object)]
pub struct TableInfo {
    /// The program's name.
    pub program: String,
    /// The table's.
    pub name: String,
    /// `hash`, `lru`, `lpm4`, `lpm6` or `array`.
    pub kind: String,
    /// One for all lcores.
    pub shared: bool,
    /// Kept in a file.
    pub persist: bool,
    /// Keys that it holds at most.
    pub capacity: u32,
    /// Bytes of a key.
    pub key_bytes: u32,
    /// Bytes of a value.
    pub value_bytes: u32,
    /// Name of the key's type.
    pub key_type: String,
    /// Name of the value's type.
    pub value_type: String,
    /// Per lcore; one row for a shared table.
    pub lcores: Vec<TableCounts>,
}

/// What is in a table on one lcore.
#[napi(object)]
pub struct TableCounts {
    /// Keys.
    pub count: u32,
    /// New keys that found no room.
    pub refused: f64,
    /// Keys that made room for others.
    pub evicted: f64,
    /// Of memory.
    pub bytes: f64,
}

/// A part of a table.
#[napi(object)]
pub struct TablePart {
    /// Entries.
    pub count: u32,
    /// Their keys, one behind the other: an object for each would take most of the time.
    pub keys: Uint8Array,
    /// Bytes of one.
    pub key_bytes: u32,
    /// Their values.
    pub values: Uint8Array,
    /// Bytes of one.
    pub value_bytes: u32,
    /// Where the next part begins; -1 at the end.
    pub next: f64,
}

impl TableInfo {
    /// What the engine says of `table`.
    pub fn of(program: &str, table: &StateTable) -> TableInfo {
        let shape = *table.tables[0].shape();
        let rows = if shape.shared { 1 } else { table.tables.len() };
        let row = |table: &Arc<wirelet_engine::table::Table>| {
            let counts = table.counts();
            TableCounts {
                count: counts.count,
                refused: counts.refused as f64,
                evicted: counts.evicted as f64,
                bytes: table.backing().bytes() as f64,
            }
        };
        let [key_type, value_type] = table.wanted.types.clone();
        TableInfo {
            program: program.into(),
            name: table.wanted.name.clone(),
            kind: kind::NAMES[shape.kind as usize].into(),
            shared: shape.shared,
            persist: table.tables[0].home().is_some(),
            capacity: shape.capacity,
            key_bytes: shape.key_bytes,
            value_bytes: shape.value_bytes,
            key_type,
            value_type,
            lcores: table.tables[..rows].iter().map(row).collect(),
        }
    }
}

/// Entries of one lcore's table.
pub fn read(table: &StateTable, lcore: usize, cursor: f64, max: usize) -> Result<TablePart, Error> {
    let Some(table) = table.tables.get(lcore) else {
        let message = format!("lcore {lcore} of {}", table.tables.len());
        return Err(Error::new(ErrorCode::ConfigLimit, message));
    };
    let (entries, next) = table.read(cursor.max(0.0) as u64, max);
    let (key_bytes, value_bytes) =
        entries.first().map_or((0, 0), |(key, value)| (key.len() as u32, value.len() as u32));
    let count = entries.len() as u32;
    let (keys, values): (Vec<Vec<u8>>, Vec<Vec<u8>>) = entries.into_iter().unzip();
    let (keys, values) = (keys.concat().into(), values.concat().into());
    let next = next.map_or(-1.0, |next| next as f64);
    Ok(TablePart { count, keys, key_bytes, values, value_bytes, next })
}

/// A key's value on each lcore; once for a shared table.
pub fn get(table: &StateTable, key: &[u8]) -> Vec<Option<Uint8Array>> {
    let rows = if table.wanted.shape.shared { 1 } else { table.tables.len() };
    table.tables[..rows].iter().map(|table| table.get(key).map(Uint8Array::from)).collect()
}

/// What to write.
pub enum Command {
    /// One key.
    Set { key: Vec<u8>, value: Vec<u8> },
    /// Not this key.
    Delete { key: Vec<u8> },
    /// All of it.
    Replace { entries: Vec<(Vec<u8>, Vec<u8>)> },
}

/// A command that has not run yet.
pub struct CommandTask {
    /// Of the appliance.
    pub changes: Arc<Mutex<Changes>>,
    /// The program's name.
    pub program: String,
    /// The table's.
    pub table: String,
    /// `None`: all.
    pub lcore: Option<usize>,
    /// What to write.
    pub command: Command,
}

impl Task for CommandTask {
    type Output = bool;
    type JsValue = bool;

    fn compute(&mut self) -> napi::Result<bool> {
        guarded(|| {
            let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
            let CommandTask { program, table, lcore, command, .. } = self;
            match command {
                Command::Set { key, value } => {
                    let pair = (std::mem::take(key), std::mem::take(value));
                    changes.set_key(program, table, *lcore, pair).map(|()| true)
                }
                Command::Delete { key } => changes.delete_key(program, table, *lcore, key),
                Command::Replace { entries } => {
                    changes.replace_table(program, table, *lcore, entries).map(|()| true)
                }
            }
        })
    }

    fn resolve(&mut self, _env: Env, done: bool) -> napi::Result<bool> {
        Ok(done)
    }
}
