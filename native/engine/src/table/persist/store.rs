//! All state that is kept in one folder.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wirelet_abi::{Error, guest, limits};

use super::counters::{KeptCounters, KeptValues, NAME_STRIDE, Names};
use super::file::{Files, SUFFIX, SUFFIX_NEW, StateFile};
use super::folder::{Folder, refused};
use super::label::{Identity, KIND_COUNTERS, KIND_NAMES, Label, Unreadable};
use crate::table::memory::Memory;
use crate::table::repair::Repaired;
use crate::table::shape::{Geometry, Shape};
use crate::table::state::Table;

/// A folder of state; nobody else uses it meanwhile.
#[derive(Debug)]
pub struct Store {
    files: Arc<Files>,
    /// What was found and nobody has asked for yet.
    found: Mutex<HashMap<Identity, (String, Label)>>,
    set_aside: Vec<String>,
}

/// Whose a table is that is to be kept, and where.
#[derive(Clone, Debug)]
pub struct Home {
    files: Arc<Files>,
    program: String,
    lcore: Option<usize>,
    layouts: [String; 2],
}

/// A table that was kept.
#[derive(Debug)]
pub struct Kept {
    /// The lcore that wrote it; none for a shared one.
    pub lcore: Option<usize>,
    /// Fields of key and value.
    pub layouts: [String; 2],
    /// The table, whole.
    pub table: Table,
    /// What had to be repaired.
    pub repaired: Repaired,
}

impl Store {
    /// Opens the folder and looks at what lies in it. Files that can't be read are set aside: they
    /// stay, under another name. What was being made and what was replaced goes.
    ///
    /// # Errors
    /// `WIRELET_E_PERSIST`: not on tmpfs or hugetlbfs, not ours alone, in use, or written by
    /// another version.
    pub fn open(path: &Path) -> Result<Store, Error> {
        let files = Files::new(Folder::open(path)?);
        let failed = |name: &str, error: std::io::Error| {
            refused(&files.folder.path().join(name), &error.to_string())
        };
        for name in files.folder.names(SUFFIX_NEW)? {
            files.remove(&name).map_err(|error| failed(&name, error))?;
        }
        let (mut found, mut set_aside) = (HashMap::new(), Vec::new());
        for name in files.folder.names(SUFFIX)? {
            match files.peek(&name).and_then(check) {
                Ok((label, active)) => {
                    files.next_serial.fetch_max(label.serial + 1, Ordering::Relaxed);
                    if let Some(needless) = sort_in(&mut found, name, label, active) {
                        files.remove(&needless).map_err(|error| failed(&needless, error))?;
                    }
                }
                Err(Unreadable::Version(version)) => {
                    let why = format!("written by another version of Wirelet (format {version})");
                    return Err(refused(&files.folder.path().join(name), &why));
                }
                Err(Unreadable::Damaged(why)) => {
                    let aside = files.set_aside(&name).map_err(|error| failed(&name, error))?;
                    set_aside.push(format!("{aside}: {why}"));
                }
            }
        }
        Ok(Store { files, found: Mutex::new(found), set_aside })
    }

    /// Its tables are as their lcores left them: another process, or this one anew, may open it.
    pub fn release(&self) {
        self.files.release();
    }

    /// What could not be read when the folder was opened: the file, as it is called now, and why.
    pub fn set_aside(&self) -> &[String] {
        &self.set_aside
    }

    /// Programs whose state lies here and was not asked for yet.
    pub fn programs(&self) -> Vec<String> {
        let found = self.found();
        let mut programs: Vec<_> = found.values().map(|(_, label)| &label.program).collect();
        programs.sort_unstable();
        programs.dedup();
        programs.into_iter().cloned().collect()
    }

    fn found(&self) -> MutexGuard<'_, HashMap<Identity, (String, Label)>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a table of `program` is kept that `lcore` writes (none: a shared one) and whose key
    /// and value have these fields.
    pub fn home(&self, program: &str, lcore: Option<usize>, layouts: &[String; 2]) -> Home {
        let (files, program) = (Arc::clone(&self.files), program.into());
        Home { files, program, lcore, layouts: layouts.clone() }
    }

    /// The tables of a program, each repaired; once. Their writers have ended.
    ///
    /// # Errors
    /// `WIRELET_E_PERSIST`, `WIRELET_E_MEMORY_EXHAUSTED`.
    pub fn tables(&self, program: &str) -> Result<Vec<Kept>, Error> {
        let is_table = |label: &Label| !matches!(label.shape.kind, KIND_COUNTERS | KIND_NAMES);
        let taken: Vec<_> = self
            .found()
            .extract_if(|_, (_, label)| label.program == program && is_table(label))
            .map(|(_, found)| found)
            .collect();
        let mut tables = Vec::new();
        for (file_name, label) in taken {
            let file = StateFile::open(&self.files, &file_name, label)?;
            let Label { lcore, layouts, .. } = file.label().clone();
            let table = Table::in_file(file);
            let repaired = table.repair();
            let lcore = lcore.map(|lcore| lcore as usize);
            tables.push(Kept { lcore, layouts, table, repaired });
        }
        tables.sort_by(|a, b| (a.table.name(), a.lcore).cmp(&(b.table.name(), b.lcore)));
        Ok(tables)
    }

    /// The counters of a program on so many lcores, as they were or new. Those of lcores that are
    /// no more are added to the first one's. Nothing is left of those whose names are lost.
    ///
    /// # Errors
    /// `WIRELET_E_PERSIST`, `WIRELET_E_MEMORY_EXHAUSTED`.
    pub fn counters(&self, program: &str, lcores: usize) -> Result<KeptCounters, Error> {
        let count = limits::PROGRAM_COUNTERS_MAX as u32;
        let names = counters_label(program, None, KIND_NAMES, count, NAME_STRIDE as u32);
        let had_names = self.found().contains_key(&names.identity());
        let names = Names(self.open_or_create(names)?);
        let values = (0..lcores).map(|lcore| {
            let label = counters_label(program, Some(lcore), KIND_COUNTERS, count, 8);
            let file = self.open_or_create(label)?;
            if !had_names {
                zero(&file);
            }
            Ok(KeptValues(file))
        });
        let values = values.collect::<Result<Vec<_>, Error>>()?;
        if let Some(first) = values.first() {
            self.gather(program, first, had_names)?;
        }
        Ok(KeptCounters { values, names })
    }

    /// Adds the values that nobody has asked for to those of `first`, if their names are known.
    fn gather(&self, program: &str, first: &KeptValues, named: bool) -> Result<(), Error> {
        let is_rest = |label: &Label| label.program == program && label.shape.kind == KIND_COUNTERS;
        let rest: Vec<_> = self.found().extract_if(|_, (_, label)| is_rest(label)).collect();
        for (_, (file_name, label)) in rest {
            let file = StateFile::open(&self.files, &file_name, label)?;
            let (from, to) = (Memory(file.backing()), Memory(first.backing()));
            if !named {
                zero(&file);
            }
            for at in (0..guest::COUNTERS_BYTES as usize).step_by(8) {
                to.store64(at, to.load64(at).wrapping_add(from.load64(at)));
                from.store64(at, 0);
            }
            file.discard();
        }
        Ok(())
    }

    fn open_or_create(&self, label: Label) -> Result<StateFile, Error> {
        let found = self.found().remove(&label.identity());
        if let Some((file_name, label)) = found {
            return StateFile::open(&self.files, &file_name, label);
        }
        let bytes = label.shape.capacity as usize * label.shape.value_bytes as usize;
        let file = StateFile::create(&self.files, label, bytes)?;
        file.activate();
        Ok(file)
    }
}

impl Home {
    /// Where the table in `file` is kept.
    pub fn of(file: &StateFile) -> Home {
        let Label { program, lcore, layouts, .. } = file.label().clone();
        let lcore = lcore.map(|lcore| lcore as usize);
        Home { files: Arc::clone(file.files()), program, lcore, layouts }
    }

    /// The same place for a table with other fields.
    pub fn with_layouts(self, layouts: &[String; 2]) -> Home {
        Home { layouts: layouts.clone(), ..self }
    }

    /// A new table's file, not active.
    ///
    /// # Errors
    /// `WIRELET_E_PERSIST`, `WIRELET_E_MEMORY_EXHAUSTED`.
    pub fn create(
        &self,
        name: &str,
        shape: &Shape,
        geometry: &Geometry,
        seed: u64,
    ) -> Result<StateFile, Error> {
        let label = Label {
            program: self.program.clone(),
            name: name.into(),
            lcore: self.lcore.map(|lcore| lcore as u32),
            shape: *shape,
            layouts: self.layouts.clone(),
            nodes: geometry.nodes as u32,
            seed,
            serial: 0,
            memory_bytes: 0,
        };
        StateFile::create(&self.files, label, geometry.bytes)
    }
}

/// Adds a file to those that were found. Gives back the one of two that is of no use, if any.
fn sort_in(
    found: &mut HashMap<Identity, (String, Label)>,
    name: String,
    label: Label,
    active: bool,
) -> Option<String> {
    if !active {
        return Some(name);
    }
    match found.entry(label.identity()) {
        Entry::Vacant(entry) => {
            entry.insert((name, label));
            None
        }
        Entry::Occupied(mut entry) if entry.get().1.serial < label.serial => {
            Some(entry.insert((name, label)).0)
        }
        Entry::Occupied(_) => Some(name),
    }
}

/// Whether the memory that a label tells of is what its shape needs.
fn check((label, active): (Label, bool)) -> Result<(Label, bool), Unreadable> {
    const SHAPE: Unreadable = Unreadable::Damaged("there is no table of that shape");
    let Shape { kind, capacity, value_bytes, .. } = label.shape;
    let bytes = if matches!(kind, KIND_COUNTERS | KIND_NAMES) {
        let stride = if kind == KIND_NAMES { NAME_STRIDE as u32 } else { 8 };
        if value_bytes != stride || capacity as usize != limits::PROGRAM_COUNTERS_MAX {
            return Err(SHAPE);
        }
        capacity as usize * stride as usize
    } else {
        let geometry = Geometry::exactly(&label.shape, label.nodes as usize);
        let fits = label.shape.check().and_then(|()| geometry.check());
        fits.map_err(|_| SHAPE)?;
        geometry.bytes
    };
    // Whole pages: at most one hugepage more.
    if !(bytes as u64..bytes as u64 + (2 << 20)).contains(&label.memory_bytes) {
        return Err(Unreadable::Damaged("its memory has another size than its shape"));
    }
    Ok((label, active))
}

fn counters_label(
    program: &str,
    lcore: Option<usize>,
    kind: u32,
    capacity: u32,
    value_bytes: u32,
) -> Label {
    Label {
        program: program.into(),
        name: if kind == KIND_NAMES { "counter names" } else { "counters" }.into(),
        lcore: lcore.map(|lcore| lcore as u32),
        shape: Shape { kind, shared: lcore.is_none(), capacity, key_bytes: 0, value_bytes },
        layouts: Default::default(),
        nodes: 0,
        seed: 0,
        serial: 0,
        memory_bytes: 0,
    }
}

fn zero(file: &StateFile) {
    let memory = Memory(file.backing());
    for at in (0..guest::COUNTERS_BYTES as usize).step_by(8) {
        memory.store64(at, 0);
    }
}
