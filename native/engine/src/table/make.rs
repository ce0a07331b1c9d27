//! How tables come to be.

use std::sync::Arc;
use wirelet_abi::{Error, ErrorCode};
use wirelet_packet::{Backing, Pages};

use super::lpm::{self, Prefix};
use super::persist::Home;
use super::shape::{Geometry, Shape};
use super::state::Table;

/// From so many bytes on hugepages are tried: at random, nearly each look-up misses the TLB.
const HUGE_PAGES_BYTES: usize = 2 << 20;

/// What a table is to be, and where its memory comes from.
#[derive(Clone, Debug)]
pub struct Blueprint<'a> {
    /// Its name.
    pub name: &'a str,
    /// Kind, capacity, sizes.
    pub shape: &'a Shape,
    /// Where it is kept, not active yet; in memory without a name if nowhere.
    pub home: Option<Home>,
}

impl Blueprint<'_> {
    /// An empty table with a random seed.
    ///
    /// # Errors
    /// `WIRELET_E_TABLES`, `WIRELET_E_MEMORY_EXHAUSTED`, `WIRELET_E_PERSIST`.
    pub fn empty(&self) -> Result<Table, Error> {
        self.shape.check()?;
        self.make(Geometry::of(self.shape), random_seed()?)
    }

    /// An empty table for a copy of `from`: its seed, and nodes for all prefixes that fit into it.
    ///
    /// # Errors
    /// `WIRELET_E_TABLES`, `WIRELET_E_MEMORY_EXHAUSTED`, `WIRELET_E_PERSIST`.
    pub fn empty_like(&self, from: &Table) -> Result<Table, Error> {
        self.shape.check()?;
        let geometry = Geometry::of(self.shape).with_nodes(self.shape, from.geometry().nodes);
        self.make(geometry, from.seed())
    }

    /// A table that holds `entries`, with as many nodes as those prefixes need and some to spare.
    ///
    /// # Errors
    /// `WIRELET_E_TABLES`, `WIRELET_E_MEMORY_EXHAUSTED`, `WIRELET_E_PERSIST`, and those of
    /// [`Table::set`].
    pub fn filled<'a, I>(&self, entries: I) -> Result<Table, Error>
    where
        I: IntoIterator<Item = (&'a [u8], &'a [u8])> + Clone,
    {
        self.shape.check()?;
        let keys = entries.clone().into_iter().map(|(key, _)| key);
        let table = self.make(geometry_for(self.shape, keys), random_seed()?)?;
        table.fill(entries)?;
        Ok(table)
    }

    fn make(&self, geometry: Geometry, seed: u64) -> Result<Table, Error> {
        geometry.check()?;
        if let Some(home) = &self.home {
            return Ok(Table::in_file(home.create(self.name, self.shape, &geometry, seed)?));
        }
        let backing = Arc::new(allocate(geometry.bytes)?);
        Ok(Table::over(self.name, self.shape, geometry, seed, backing))
    }
}

impl Table {
    /// An empty table with a random seed, that is not kept.
    ///
    /// # Errors
    /// `WIRELET_E_TABLES`, `WIRELET_E_MEMORY_EXHAUSTED`.
    pub fn new(name: &str, shape: &Shape) -> Result<Table, Error> {
        Blueprint { name, shape, home: None }.empty()
    }

    /// An empty table that is not kept, whose hash begins at `seed`.
    ///
    /// # Errors
    /// `WIRELET_E_TABLES`, `WIRELET_E_MEMORY_EXHAUSTED`.
    pub fn with_seed(name: &str, shape: &Shape, seed: u64) -> Result<Table, Error> {
        shape.check()?;
        Blueprint { name, shape, home: None }.make(Geometry::of(shape), seed)
    }

    /// A table that holds `entries`, with nodes for all of them, that is not kept.
    ///
    /// # Errors
    /// `WIRELET_E_TABLES`, `WIRELET_E_MEMORY_EXHAUSTED`, and those of [`Table::set`].
    pub fn build<'a, I>(name: &str, shape: &Shape, entries: I) -> Result<Table, Error>
    where
        I: IntoIterator<Item = (&'a [u8], &'a [u8])> + Clone,
    {
        Blueprint { name, shape, home: None }.filled(entries)
    }

    /// An empty table for a copy that takes this one's place: kept where this one is, with the same
    /// fields. ([`Blueprint`] for other fields.)
    ///
    /// # Errors
    /// `WIRELET_E_TABLES`, `WIRELET_E_MEMORY_EXHAUSTED`, `WIRELET_E_PERSIST`.
    pub fn successor(&self, shape: &Shape) -> Result<Table, Error> {
        Blueprint { name: self.name(), shape, home: self.home() }.empty_like(self)
    }

    /// A table that holds `entries` and takes this one's place: kept where this one is.
    ///
    /// # Errors
    /// As [`Blueprint::filled`].
    pub fn rebuilt<'a, I>(&self, entries: I) -> Result<Table, Error>
    where
        I: IntoIterator<Item = (&'a [u8], &'a [u8])> + Clone,
    {
        Blueprint { name: self.name(), shape: self.shape(), home: self.home() }.filled(entries)
    }

    /// An empty table for a copy that is looked at beside this one, and never kept.
    ///
    /// # Errors
    /// `WIRELET_E_MEMORY_EXHAUSTED`.
    pub fn twin(&self) -> Result<Table, Error> {
        Blueprint { name: self.name(), shape: self.shape(), home: None }.empty_like(self)
    }
}

/// A geometry with nodes for these prefixes, a quarter of them and 64 to spare.
fn geometry_for<'a>(shape: &Shape, keys: impl Iterator<Item = &'a [u8]>) -> Geometry {
    let geometry = Geometry::of(shape);
    if geometry.root_bits == 0 {
        return geometry;
    }
    let prefixes = keys.filter_map(|key| Prefix::parse(key, shape.key_bytes));
    let nodes = lpm::nodes_for(prefixes, geometry.root_bits);
    geometry.with_nodes(shape, nodes + nodes / 4 + 64)
}

fn allocate(bytes: usize) -> Result<Backing, Error> {
    if bytes >= HUGE_PAGES_BYTES
        && let Ok(backing) = Backing::new("wirelet-table", bytes, Pages::Huge)
    {
        return Ok(backing);
    }
    Backing::new("wirelet-table", bytes, Pages::Small)
}

/// A seed that nobody can guess.
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
