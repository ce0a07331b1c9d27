//! How tables come to be.

use wirelet_abi::{Error, ErrorCode};
use wirelet_packet::{Backing, Pages};

use super::lpm::{self, Prefix};
use super::shape::{Geometry, Shape};
use super::state::Table;

/// From so many bytes on hugepages are tried: at random, nearly each look-up misses the TLB.
const HUGE_PAGES_BYTES: usize = 2 << 20;

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
        Self::with_geometry(name, shape, Geometry::of(shape), seed)
    }

    /// An empty table of another shape for a copy of this one: its name and seed, and nodes for all
    /// prefixes that fit into this one.
    ///
    /// # Errors
    /// `WIRELET_E_TABLES`, `WIRELET_E_MEMORY_EXHAUSTED`.
    pub fn successor(&self, shape: &Shape) -> Result<Table, Error> {
        shape.check()?;
        let geometry = Geometry::of(shape).with_nodes(shape, self.geometry().nodes);
        Self::with_geometry(self.name(), shape, geometry, self.seed())
    }

    /// A table that holds `entries`, with as many nodes as those prefixes need and some to spare.
    ///
    /// # Errors
    /// `WIRELET_E_TABLES`, `WIRELET_E_MEMORY_EXHAUSTED`, and those of [`Table::set`].
    pub fn build<'a, I>(name: &str, shape: &Shape, entries: I) -> Result<Table, Error>
    where
        I: IntoIterator<Item = (&'a [u8], &'a [u8])> + Clone,
    {
        shape.check()?;
        let geometry = geometry_for(shape, entries.clone().into_iter().map(|(key, _)| key));
        let table = Self::with_geometry(name, shape, geometry, random_seed()?)?;
        table.fill(entries)?;
        Ok(table)
    }

    fn with_geometry(
        name: &str,
        shape: &Shape,
        geometry: Geometry,
        seed: u64,
    ) -> Result<Table, Error> {
        geometry.check()?;
        Ok(Table::over(name, shape, geometry, seed, allocate(geometry.bytes)?))
    }
}

/// A geometry with nodes for these prefixes, a quarter of them and 64 to spare.
pub fn geometry_for<'a>(shape: &Shape, keys: impl Iterator<Item = &'a [u8]>) -> Geometry {
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
///
/// # Errors
/// `WIRELET_E_INTERNAL`.
pub fn random_seed() -> Result<u64, Error> {
    let mut seed = [0u8; 8];
    // SAFETY: the buffer has the length that is told.
    let got = unsafe { libc::getrandom(seed.as_mut_ptr().cast(), seed.len(), 0) };
    if got != seed.len() as isize {
        let message = format!("getrandom: {}", std::io::Error::last_os_error());
        return Err(Error::new(ErrorCode::Internal, message));
    }
    Ok(u64::from_ne_bytes(seed))
}
