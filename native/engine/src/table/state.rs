//! A table: memory that a program writes, and what native code may do with it meanwhile.

use std::sync::Arc;

use wirelet_abi::table::{TableEntry, TableHeader, kind};
use wirelet_abi::{Error, ErrorCode};
use wirelet_packet::{Backing, Pages};

use super::array::Array;
use super::hash::Hash;
use super::live;
use super::memory::Memory;
use super::shape::{Geometry, Shape};

/// From so many bytes on hugepages are tried: at random, nearly each look-up misses the TLB.
const HUGE_PAGES_BYTES: usize = 2 << 20;

/// A table. Whoever has it may read it at any time; `set`, `delete`, `clear` and `repair` are for
/// its only writer: the lcore it belongs to, or the control thread while no lcore has it.
#[derive(Debug)]
pub struct Table {
    name: String,
    shape: Shape,
    geometry: Geometry,
    seed: u64,
    backing: Arc<Backing>,
}

/// Numbers from a table's header: shown, never used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Keys in it.
    pub count: u32,
    /// New keys that found no room.
    pub refused: u64,
    /// Keys that made room for others (LRU).
    pub evicted: u64,
}

/// A key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);
/// Keys with their values, and where to go on.
pub type Listing = (Vec<Entry>, Option<u64>);

impl Table {
    /// An empty table with a random seed.
    ///
    /// # Errors
    /// `WIRELET_E_TABLES`, `WIRELET_E_MEMORY_EXHAUSTED`.
    pub fn new(name: &str, shape: &Shape) -> Result<Table, Error> {
        Self::with_seed(name, shape, random_seed()?)
    }

    /// An empty table whose hash begins at `seed`: a copy keeps the seed of its source.
    ///
    /// # Errors
    /// `WIRELET_E_TABLES`, `WIRELET_E_MEMORY_EXHAUSTED`.
    pub fn with_seed(name: &str, shape: &Shape, seed: u64) -> Result<Table, Error> {
        shape.check()?;
        if matches!(shape.kind, kind::LPM4 | kind::LPM6) {
            return Err(Error::new(ErrorCode::Tables, "LPM tables are not there yet"));
        }
        let geometry = Geometry::of(shape);
        let backing = Arc::new(allocate(geometry.bytes)?);
        Ok(Table { name: name.into(), shape: *shape, geometry, seed, backing })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What was asked for.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Where everything lies.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// Where its hash begins.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The memory, to map it into programs.
    pub fn backing(&self) -> &Arc<Backing> {
        &self.backing
    }

    /// What a program finds in its table page when the memory is mapped at guest address `at`.
    /// `tracking`: changed groups are marked, for a [`super::TableCopy`].
    pub fn entry(&self, at: u32, tracking: bool) -> TableEntry {
        self.geometry.entry(&self.shape, self.seed, at, tracking)
    }

    pub(super) fn memory(&self) -> Memory<'_> {
        Memory(&self.backing)
    }

    pub(super) fn hash(&self) -> Hash<'_> {
        let (geometry, shape) = (&self.geometry, &self.shape);
        Hash { memory: self.memory(), geometry, shape, seed: self.seed }
    }

    pub(super) fn array(&self) -> Array<'_> {
        Array { memory: self.memory(), geometry: &self.geometry, shape: &self.shape }
    }

    /// The value of `key`, while programs go on. A value that a program writes in place, through a
    /// reference, is whole per field only.
    pub fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let value_bytes = self.shape.value_bytes as usize;
        match self.shape.kind {
            kind::ARRAY => {
                let at = self.array().find(key)?;
                Some(self.memory().load(at, value_bytes))
            }
            _ if key.len() != self.shape.key_bytes as usize => None,
            _ => live::get(&self.hash(), key),
        }
    }

    /// At most `max` keys from `cursor` on (0 at first), while programs go on: `(key, value)`, and
    /// the cursor to go on from, `None` at the end. A key that stays is listed exactly once, unless
    /// the table is replaced by a larger one meanwhile: then perhaps twice.
    pub fn read(&self, cursor: u64, max: usize) -> Listing {
        match self.shape.kind {
            kind::ARRAY => self.read_array(cursor, max),
            _ => live::read(&self.hash(), cursor, max),
        }
    }

    /// Elements that are not zero.
    fn read_array(&self, cursor: u64, max: usize) -> Listing {
        let array = self.array();
        let mut entries = Vec::new();
        for index in u32::try_from(cursor).unwrap_or(u32::MAX)..self.shape.capacity {
            let at = array.element(index);
            if array.is_zero(at) {
                continue;
            }
            if entries.len() >= max.max(1) {
                return (entries, Some(index.into()));
            }
            let value = self.memory().load(at, self.shape.value_bytes as usize);
            entries.push((index.to_le_bytes().to_vec(), value));
        }
        (entries, None)
    }

    /// Sets the value of `key`; by the table's only writer.
    ///
    /// # Errors
    /// `WIRELET_E_TABLE_VALUE` when key or value are not of the table's sizes,
    /// `WIRELET_E_TABLE_FULL` when a new key finds no room.
    pub fn set(&self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        self.check_value(value)?;
        match self.shape.kind {
            kind::ARRAY => {
                let at = self.array().find(key).ok_or_else(|| self.bad_key(key))?;
                self.memory().store(at, value);
                Ok(())
            }
            _ if key.len() != self.shape.key_bytes as usize => Err(self.bad_key(key)),
            _ if self.hash().set(key, value) => Ok(()),
            _ => {
                let message = format!("{}: {} keys at most", self.name, self.shape.capacity);
                Err(Error::new(ErrorCode::TableFull, message))
            }
        }
    }

    fn check_value(&self, value: &[u8]) -> Result<(), Error> {
        let bytes = self.shape.value_bytes as usize;
        if value.len() == bytes {
            return Ok(());
        }
        let message = format!("{}: a value of {} bytes, not {bytes}", self.name, value.len());
        Err(Error::new(ErrorCode::TableValue, message))
    }

    fn bad_key(&self, key: &[u8]) -> Error {
        let message = match self.shape.kind {
            kind::ARRAY => format!("no element {key:?}, there are {}", self.shape.capacity),
            _ => format!("a key of {} bytes, not {}", key.len(), self.shape.key_bytes),
        };
        Error::new(ErrorCode::TableValue, format!("{}: {message}", self.name))
    }

    /// Takes `key` out, an array's element back to zero; by the table's only writer. Whether it was
    /// there.
    pub fn delete(&self, key: &[u8]) -> bool {
        match self.shape.kind {
            kind::ARRAY => {
                let array = self.array();
                let Some(at) = array.find(key) else { return false };
                let was = !array.is_zero(at);
                array.reset(at);
                was
            }
            _ => key.len() == self.shape.key_bytes as usize && self.hash().delete(key),
        }
    }

    /// Takes everything out; by the table's only writer.
    pub fn clear(&self) {
        match self.shape.kind {
            kind::ARRAY => {
                let array = self.array();
                (0..self.shape.capacity).for_each(|index| array.reset(array.element(index)));
            }
            _ => self.hash().clear(),
        }
    }

    /// Sets all of `entries`: for a table that is built aside and not in use yet.
    ///
    /// # Errors
    /// As [`Table::set`]; what came before the failing entry is set.
    pub fn fill<'a>(
        &self,
        entries: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Result<(), Error> {
        entries.into_iter().try_for_each(|(key, value)| self.set(key, value))
    }

    /// What the header says.
    pub fn counts(&self) -> Counts {
        let memory = self.memory();
        Counts {
            count: memory.load32(std::mem::offset_of!(TableHeader, count)),
            refused: memory.load64(std::mem::offset_of!(TableHeader, refused)),
            evicted: memory.load64(std::mem::offset_of!(TableHeader, evicted)),
        }
    }
}

fn allocate(bytes: usize) -> Result<Backing, Error> {
    if bytes >= HUGE_PAGES_BYTES
        && let Ok(backing) = Backing::new("wirelet-table", bytes, Pages::Huge)
    {
        return Ok(backing);
    }
    Backing::new("wirelet-table", bytes, Pages::Small)
}

fn random_seed() -> Result<u64, Error> {
    let mut seed = [0u8; 8];
    // SAFETY: the buffer has the length that is told.
    let got = unsafe { libc::getrandom(seed.as_mut_ptr().cast(), seed.len(), 0) };
    if got != seed.len() as isize {
        let message = format!("getrandom: {}", std::io::Error::last_os_error());
        return Err(Error::new(ErrorCode::Internal, message));
    }
    Ok(u64::from_ne_bytes(seed))
}
