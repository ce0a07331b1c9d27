//! A table: memory that a program writes, and what native code may do with it meanwhile.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wirelet_abi::table::{TableEntry, TableHeader, kind};
use wirelet_abi::{Error, ErrorCode};
use wirelet_packet::Backing;

use super::array::Array;
use super::hash::Hash;
use super::lpm::Lpm;
use super::memory::Memory;
use super::persist::{Home, StateFile};
use super::shape::{Geometry, Shape};
use super::{live, prefixes};

/// A table. Whoever has it may read it at any time; `set`, `delete`, `clear` and `repair` are for
/// its only writer: the lcore it belongs to, or the control thread while no lcore has it.
#[derive(Debug)]
pub struct Table {
    name: String,
    shape: Shape,
    geometry: Geometry,
    seed: u64,
    backing: Arc<Backing>,
    /// The rules of an LPM table; its writers and readers of them wait for each other.
    lpm: Option<Mutex<Lpm>>,
    /// Where it is kept when the process ends.
    file: Option<StateFile>,
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
    /// A table in zeroed memory.
    pub(super) fn over(
        name: &str,
        shape: &Shape,
        geometry: Geometry,
        seed: u64,
        backing: Arc<Backing>,
    ) -> Table {
        assert!(geometry.bytes <= backing.bytes(), "{name}: {} bytes", geometry.bytes);
        let is_lpm = geometry.root_bits > 0;
        let lpm = is_lpm.then(|| Mutex::new(Lpm::new(&backing, &geometry, shape)));
        Table { name: name.into(), shape: *shape, geometry, seed, backing, lpm, file: None }
    }

    /// A table in a file, as it lies there: to be repaired, if it is not new.
    pub(super) fn in_file(file: StateFile) -> Table {
        let label = file.label();
        let geometry = Geometry::exactly(&label.shape, label.nodes as usize);
        let backing = Arc::clone(file.backing());
        let table = Self::over(&label.name, &label.shape, geometry, label.seed, backing);
        Table { file: Some(file), ..table }
    }

    /// From now on a restart finds this table, and no longer the one whose place it takes; nothing
    /// when it is not kept. One store: for the lcore that adopts the table.
    #[inline]
    pub fn activate(&self) {
        if let Some(file) = &self.file {
            file.activate();
        }
    }

    /// Where it is kept, if it is: a table that is to take its place belongs there.
    pub fn home(&self) -> Option<Home> {
        self.file.as_ref().map(Home::of)
    }

    /// It is not kept any longer than it lives.
    pub fn discard(&self) {
        if let Some(file) = &self.file {
            file.discard();
        }
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

    pub(super) fn lpm(&self) -> Option<MutexGuard<'_, Lpm>> {
        // A writer that panicked has left rules and tree as they were or as they were to be.
        Some(self.lpm.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The value of `key`, while programs go on. A value that a program writes in place, through a
    /// reference, is whole per field only. LPM: of the longest prefix that the address `key` lies
    /// in, or of exactly the prefix `key`, when its length follows the address.
    pub fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let value_bytes = self.shape.value_bytes as usize;
        if let Some(lpm) = self.lpm() {
            return prefixes::get(self, &lpm, key);
        }
        match self.shape.kind {
            kind::ARRAY => {
                let at = self.array().find(key)?;
                Some(self.memory().load(at, value_bytes))
            }
            _ if key.len() != self.shape.key_bytes as usize => None,
            _ => live::get(&self.hash(), key),
        }
    }

    /// Where the value of `key` lies, in bytes from the start of the memory: what a program's
    /// look-up does, for benches to compare with. HASH and LRU only.
    ///
    /// # Panics
    /// When the table has no groups.
    #[inline]
    pub fn find(&self, key: &[u8]) -> Option<usize> {
        let hash = self.hash();
        hash.find(key).map(|place| hash.value(place))
    }

    /// At most `max` keys from `cursor` on (0 at first), while programs go on: `(key, value)`, and
    /// the cursor to go on from, `None` at the end. A key that stays is listed exactly once, unless
    /// the table is replaced by a larger one meanwhile: then perhaps twice.
    pub fn read(&self, cursor: u64, max: usize) -> Listing {
        if let Some(lpm) = self.lpm() {
            return prefixes::read(&lpm, cursor, max);
        }
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

    /// Sets the value of `key`; by the table's only writer. LPM: `key` is an address in network
    /// order and a byte with the prefix's length, `value` a little-endian u32.
    ///
    /// # Errors
    /// `WIRELET_E_TABLE_VALUE` when key or value are not what the table holds,
    /// `WIRELET_E_TABLE_FULL` when a new key finds no room. An LPM table that is full before it has
    /// as many prefixes as its capacity lacks nodes: [`Table::build`] makes one that has them.
    pub fn set(&self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        self.check_value(value)?;
        if let Some(mut lpm) = self.lpm() {
            return prefixes::set(self, &mut lpm, key, value);
        }
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

    pub(super) fn check_value(&self, value: &[u8]) -> Result<(), Error> {
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
        if let Some(mut lpm) = self.lpm() {
            return prefixes::delete(self, &mut lpm, key);
        }
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
        if let Some(mut lpm) = self.lpm() {
            lpm.clear();
            return self.set_count(0);
        }
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

    /// All lcores that read this LPM table have passed a burst boundary since its last change: what
    /// that has left free is used again. Nothing for other tables.
    pub fn settle(&self) {
        if let Some(mut lpm) = self.lpm() {
            lpm.settle();
        }
    }

    pub(super) fn set_count(&self, count: usize) {
        self.memory().store32(std::mem::offset_of!(TableHeader, count), count as u32);
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
