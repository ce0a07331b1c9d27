//! What an instance sees of its program's tables: a page that says where they are, which it can
//! only read, and their memory.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wirelet_abi::table::TableEntry;
use wirelet_abi::{Error, ErrorCode, guest};
use wirelet_packet::{Backing, Pages};

use crate::memory::{Access, GuestMemory};
use crate::table::Table;

/// Tables lie at multiples of this, so that hugetlb mappings are possible.
const ALIGNMENT: u32 = 2 << 20;

/// The state window of one instance, beside its counters. Control threads map and unmap; the lcore
/// only rewrites entries of the page, between two bursts.
pub struct Windows {
    memory: Arc<GuestMemory>,
    page: Backing,
    placed: Mutex<Vec<Placed>>,
}

/// A table that is mapped.
#[derive(Clone)]
struct Placed {
    at: u32,
    table: Arc<Table>,
}

impl Placed {
    fn end(&self) -> u32 {
        self.at + self.table.backing().bytes() as u32
    }
}

/// A table that was mapped beside the one it will take the place of.
pub struct Aside {
    index: usize,
    placed: Placed,
}

impl Aside {
    /// The table.
    pub fn table(&self) -> &Arc<Table> {
        &self.placed.table
    }
}

impl Windows {
    /// Maps the page and `tables`, in the order in which the program asked for them.
    ///
    /// # Errors
    /// `WIRELET_E_TABLES` when the window is too small for them, and those of mapping memory.
    pub fn open(memory: &Arc<GuestMemory>, tables: &[Arc<Table>]) -> Result<Arc<Windows>, Error> {
        let bytes = guest::TABLE_PAGE_BYTES as usize;
        let page = Backing::new("wirelet-tables", bytes, Pages::Small)?;
        memory.open(guest::TABLE_PAGE, &page, Access::Read)?;
        let memory = Arc::clone(memory);
        let windows = Windows { memory, page, placed: Mutex::default() };
        for (index, table) in tables.iter().enumerate() {
            let placed = windows.map(table)?;
            windows.write(index, &table.entry(placed.at, false));
            windows.placed().push(placed);
        }
        Ok(Arc::new(windows))
    }

    /// Which of its tables this is.
    pub fn find(&self, table: &Arc<Table>) -> Option<usize> {
        self.placed().iter().position(|placed| Arc::ptr_eq(&placed.table, table))
    }

    /// Marks of changed groups go to their own bytes, or all to one. At a burst boundary.
    pub fn track(&self, index: usize, tracking: bool) {
        let placed = self.placed();
        let Placed { at, table } = &placed[index];
        self.write(index, &table.entry(*at, tracking));
    }

    /// Maps `table` beside the one at `index`, to be flipped to.
    ///
    /// # Errors
    /// As [`Windows::open`].
    pub fn map_aside(&self, index: usize, table: &Arc<Table>) -> Result<Aside, Error> {
        Ok(Aside { index, placed: self.map(table)? })
    }

    /// At a burst boundary: the program finds the other table from now on.
    pub fn flip(&self, aside: &Aside) {
        let Aside { index, placed } = aside;
        self.write(*index, &placed.table.entry(placed.at, false));
    }

    /// After the flip: the table before is unmapped.
    pub fn settle(&self, aside: Aside) {
        let old = std::mem::replace(&mut self.placed()[aside.index], aside.placed);
        self.memory.close(old.at, old.table.backing().bytes());
    }

    /// Instead of a flip: the table beside is unmapped.
    pub fn discard(&self, aside: &Aside) {
        self.memory.close(aside.placed.at, aside.placed.table.backing().bytes());
    }

    fn map(&self, table: &Arc<Table>) -> Result<Placed, Error> {
        let at = self.room_for(table.backing().bytes())?;
        let shared = table.shape().shared;
        let access = if shared { Access::Read } else { Access::ReadWrite };
        self.memory.open(at, table.backing(), access)?;
        Ok(Placed { at, table: Arc::clone(table) })
    }

    /// The first gap that is large enough.
    fn room_for(&self, bytes: usize) -> Result<u32, Error> {
        let mut taken: Vec<(u32, u32)> =
            self.placed().iter().map(|placed| (placed.at, placed.end())).collect();
        taken.sort_unstable();
        let mut at = guest::TABLES;
        for (first, end) in taken {
            if (first - at) as usize >= bytes {
                return Ok(at);
            }
            at = end.next_multiple_of(ALIGNMENT);
        }
        if bytes <= (guest::STATE_WINDOW_END - at) as usize {
            return Ok(at);
        }
        let mib = (guest::STATE_WINDOW_END - guest::TABLES) >> 20;
        let message = format!("no room for {} MiB more of {mib} MiB", bytes.div_ceil(1 << 20));
        Err(Error::new(ErrorCode::Tables, message))
    }

    fn write(&self, index: usize, entry: &TableEntry) {
        assert!(index < wirelet_abi::limits::PROGRAM_TABLES_MAX, "table {index}");
        // SAFETY: the index lies within the page (asserted), aligned to 64; no program of this
        // lcore runs now, and the guest can only read the page.
        unsafe { self.page.base().cast::<TableEntry>().add(index).write(*entry) };
    }

    /// Uncontended on an lcore: only control threads take it, and one that does waits for this
    /// lcore's boundary without it.
    fn placed(&self) -> MutexGuard<'_, Vec<Placed>> {
        self.placed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The windows of one lcore's instances, by slot: the program's, and those of the generation before
/// it where that is kept as fallback.
#[derive(Default)]
pub struct LiveWindows(Vec<[Option<Arc<Windows>>; 2]>);

impl LiveWindows {
    /// Of all instances of a slot.
    pub fn of(&self, slot: usize) -> impl Iterator<Item = &Arc<Windows>> {
        self.0.get(slot).into_iter().flatten().flatten()
    }

    /// Another instance has the slot; the one before stays as fallback, or goes.
    pub fn replace(&mut self, slot: usize, windows: Option<Arc<Windows>>, keeps_previous: bool) {
        if self.0.len() <= slot {
            self.0.resize_with(slot + 1, Default::default);
        }
        let [current, fallback] = &mut self.0[slot];
        let old = std::mem::replace(current, windows);
        *fallback = if keeps_previous { old } else { None };
    }

    /// The same program has a new instance; its fallback stays.
    pub fn rebuilt(&mut self, slot: usize, windows: Option<Arc<Windows>>) {
        self.0[slot][0] = windows;
    }
}
