//! State that survives the process. A killed process leaves files as they are at that moment: so a
//! test copies the folder while tables live, and opens the copy.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use wirelet_abi::Error;
use wirelet_abi::table::TAG_BUSY;

use super::super::{Blueprint, Store, TableCopy};
use super::*;

pub const SHAPE: Shape =
    Shape { kind: kind::HASH, shared: false, capacity: 300, key_bytes: 6, value_bytes: 8 };

/// A folder on tmpfs that goes with the test.
pub struct TestFolder(pub PathBuf);

impl TestFolder {
    pub fn new() -> TestFolder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("wirelet-test-{}-{number}", std::process::id());
        TestFolder(Path::new("/dev/shm").join(name))
    }

    pub fn open(&self) -> Result<Store, Error> {
        Store::open(&self.0)
    }

    /// What a process that is killed right now leaves behind.
    fn after_a_kill(&self) -> TestFolder {
        let copy = TestFolder::new();
        fs::DirBuilder::new().create(&copy.0).expect("a folder");
        for name in self.names() {
            fs::copy(self.0.join(&name), copy.0.join(&name)).expect("a copy");
        }
        copy
    }

    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("the folder");
        let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("a name").file_name();
        let mut names: Vec<_> =
            entries.map(|entry| name(entry).into_string().expect("UTF-8")).collect();
        names.sort();
        names
    }

    /// The only state file.
    pub fn file(&self) -> PathBuf {
        let names = self.names();
        assert_eq!(names.len(), 1, "{names:?}");
        self.0.join(&names[0])
    }
}

impl Drop for TestFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub fn layouts() -> [String; 2] {
    ["a:u32,b:u16".into(), "packets:u64".into()]
}

pub fn make(store: &Store, shape: &Shape, entries: u16) -> Arc<Table> {
    let lcore = (!shape.shared).then_some(2);
    let home = store.home("nat/main", lcore, &layouts());
    let table = Blueprint { name: "flows", shape, home: Some(home) }.empty().expect("a table");
    for number in 0..entries {
        table.set(&key(shape, number), &value(shape, number.into())).expect("room");
    }
    Arc::new(table)
}

pub fn expected(shape: &Shape, entries: u16) -> Model {
    (0..entries).map(|number| (key(shape, number), value(shape, number.into()))).collect()
}

/// The only table in a folder, and whether it was whole.
pub fn reopened(folder: &TestFolder) -> (Table, bool) {
    let store = folder.open().expect("the folder");
    assert!(store.set_aside().is_empty(), "{:?}", store.set_aside());
    let mut kept = store.tables("nat/main").expect("its tables");
    assert_eq!(kept.len(), 1);
    let kept = kept.remove(0);
    assert_eq!(kept.layouts, layouts());
    (kept.table, kept.repaired.was_whole())
}

#[test]
fn a_table_is_found_again_as_it_was() {
    let folder = TestFolder::new();
    let store = folder.open().expect("a new folder");
    let table = make(&store, &SHAPE, 250);
    table.activate();
    let (seed, entry) = (table.seed(), table.entry(0x2020_0000, true));
    drop((table, store));
    let store = folder.open().expect("it is there");
    assert_eq!(store.programs(), ["nat/main"]);
    assert!(store.tables("nat").expect("none").is_empty());
    let mut kept = store.tables("nat/main").expect("its tables");
    assert!(store.tables("nat/main").expect("once").is_empty() && store.programs().is_empty());
    let kept = kept.remove(0);
    assert_eq!((kept.lcore, &kept.layouts), (Some(2), &layouts()));
    assert_eq!((kept.table.name(), kept.table.shape(), kept.table.seed()), ("flows", &SHAPE, seed));
    assert_eq!(format!("{:?}", kept.table.entry(0x2020_0000, true)), format!("{entry:?}"));
    assert!(kept.repaired.was_whole());
    assert_equal(&kept.table, &expected(&SHAPE, 250));
    kept.table.discard();
    drop((kept, store));
    assert!(folder.names().is_empty(), "nobody needs it any more");
}

#[test]
fn every_kind_is_found_again() {
    let array = Shape { kind: kind::ARRAY, key_bytes: 0, ..SHAPE };
    let lru = Shape { kind: kind::LRU, ..SHAPE };
    let lpm = Shape { kind: kind::LPM4, shared: true, capacity: 50, key_bytes: 4, value_bytes: 4 };
    for shape in [array, lru, lpm] {
        let folder = TestFolder::new();
        let store = folder.open().expect("a new folder");
        let table = make(&store, &shape, 0);
        for number in 1..30u8 {
            let key = match shape.kind {
                kind::ARRAY => u32::from(number).to_le_bytes().to_vec(),
                kind::LPM4 => vec![10, number, 0, 0, 8 + number.min(8)],
                _ => vec![number; 6],
            };
            let _ = table.set(&key, &value(&shape, number.into()));
        }
        table.activate();
        let (before, at) = (listed(&table, 100), table.get(&[10, 20, 3, 4]));
        assert!(before.len() > 20, "{}", before.len());
        drop(store);
        drop(table);
        let (table, _) = reopened(&folder);
        assert_eq!(listed(&table, 100), before);
        assert_eq!(table.get(&[10, 20, 3, 4]), at);
    }
}

#[test]
fn a_replacement_counts_from_the_moment_it_is_active() {
    let folder = TestFolder::new();
    let store = folder.open().expect("a new folder");
    let old = make(&store, &SHAPE, 200);
    let unborn = folder.after_a_kill();
    assert!(unborn.open().expect("it opens").tables("nat/main").expect("none").is_empty());
    old.activate();
    let larger = Shape { capacity: 5000, ..SHAPE };
    let new = Arc::new(old.successor(&larger).expect("room"));
    assert_eq!(new.seed(), old.seed());
    let mut copy = TableCopy::new(Arc::clone(&old), Arc::clone(&new)).expect("it fits");
    copy.copy_all();
    old.set(&key(&SHAPE, 200), &value(&SHAPE, 200)).expect("room");
    let half_done = folder.after_a_kill();
    copy.harvest();
    assert!(copy.finish(64));
    let done = folder.after_a_kill();
    new.activate();
    let flipped = folder.after_a_kill();
    assert_eq!(flipped.names().len(), 2);
    for (killed, capacity) in [(half_done, 300), (done, 300), (flipped, 5000)] {
        let (table, was_whole) = reopened(&killed);
        assert_eq!((table.shape().capacity, was_whole), (capacity, true));
        assert_equal(&table, &expected(&SHAPE, 201));
        assert_eq!(killed.names().len(), 1, "the other one is gone");
    }
    drop(copy);
    drop(old);
    assert_eq!(folder.names().len(), 1, "what was replaced goes when nobody has it any more");
    drop((new, store));
    let (kept, _) = reopened(&folder);
    assert_equal(&kept, &expected(&SHAPE, 201));
    // Built aside, by `replace`; and one to look at, which is never kept.
    let twin = kept.twin().expect("room");
    twin.activate();
    let built = kept.rebuilt([(&key(&SHAPE, 7)[..], &value(&SHAPE, 7)[..])]).expect("room");
    built.activate();
    drop((twin, kept, built));
    assert_eq!(listed(&reopened(&folder).0, 10).len(), 1);
}

#[test]
fn one_that_never_became_active_leaves_nothing() {
    let folder = TestFolder::new();
    let store = folder.open().expect("a new folder");
    drop(make(&store, &SHAPE, 5));
    assert!(folder.names().is_empty());
}

#[test]
fn a_writer_killed_in_the_middle_loses_one_entry() {
    let folder = TestFolder::new();
    let store = folder.open().expect("a new folder");
    let table = make(&store, &SHAPE, 250);
    table.activate();
    let place = table.hash().find(&key(&SHAPE, 9)).expect("it is there");
    table.hash().set_tag(place, TAG_BUSY);
    table.memory().store32(0, 33);
    let (kept, was_whole) = reopened(&folder.after_a_kill());
    assert!(!was_whole);
    let mut model = expected(&SHAPE, 250);
    model.remove(&key(&SHAPE, 9));
    assert_equal(&kept, &model);
}

#[test]
fn any_bytes_in_a_table_s_memory_are_repaired() {
    let folder = TestFolder::new();
    let store = folder.open().expect("a new folder");
    let table = make(&store, &SHAPE, 250);
    table.activate();
    drop((table, store));
    let file = fs::OpenOptions::new().write(true).open(folder.file()).expect("the file");
    let junk: Vec<u8> =
        (0..16_000u32).map(|at| (at.wrapping_mul(0x9E37_79B9) >> 13) as u8).collect();
    file.write_all_at(&junk, 0).expect("written");
    let (table, was_whole) = reopened(&folder);
    assert!(!was_whole && table.repair().was_whole());
    assert_eq!(listed(&table, 50).len(), table.counts().count as usize);
}

#[test]
fn a_table_is_used_after_its_store_has_gone() {
    let folder = TestFolder::new();
    let store = folder.open().expect("a new folder");
    let table = make(&store, &SHAPE, 3);
    drop(store);
    assert!(folder.open().is_err(), "the table is still in use");
    table.activate();
    drop(table);
    folder.open().expect("now it is not");
}

#[test]
fn what_was_released_is_somebody_else_s() {
    let folder = TestFolder::new();
    let store = folder.open().expect("a new folder");
    let table = make(&store, &SHAPE, 3);
    table.activate();
    let candidate = table.successor(&SHAPE).expect("room");
    store.release();
    let next = folder.open().expect("it was released");
    assert_eq!(folder.names().len(), 1, "what never became active is gone");
    // It gets the serial, and so the name, that the candidate had.
    let kept = next.tables("nat/main").expect("the table").remove(0);
    let newer = kept.table.successor(&SHAPE).expect("room");
    newer.activate();
    table.discard();
    drop((candidate, table, store));
    assert_eq!(folder.names().len(), 2, "both belong to the next one");
}

#[test]
fn counters_keep_names_and_values() {
    let folder = TestFolder::new();
    let store = folder.open().expect("a new folder");
    let counters = store.counters("nat/main", 2).expect("new ones");
    assert!(counters.names.list().is_empty());
    for (index, name) in ["packets", "größe"].into_iter().enumerate() {
        counters.names.add(index, name);
    }
    let value = |counters: &super::super::KeptCounters, lcore: usize| {
        // SAFETY: the second counter lies within the backing, aligned.
        unsafe { counters.values[lcore].backing().base().cast::<u64>().add(1) }
    };
    // SAFETY: as above, and nobody else writes it.
    unsafe { value(&counters, 1).write(77) };
    let killed = folder.after_a_kill();
    drop((counters, store));
    for folder in [&folder, &killed] {
        let store = folder.open().expect("it is there");
        let counters = store.counters("nat/main", 3).expect("one lcore more");
        assert_eq!(counters.names.list(), ["packets", "größe"]);
        // SAFETY: as above.
        let values = [0, 1, 2].map(|lcore| unsafe { value(&counters, lcore).read() });
        assert_eq!(values, [0, 77, 0]);
        assert!(store.counters("other", 1).expect("new ones").names.list().is_empty());
    }
    // With fewer lcores the sums stay.
    let store = folder.open().expect("it is there");
    let counters = store.counters("nat/main", 1).expect("two lcores less");
    // SAFETY: as above.
    assert_eq!(unsafe { value(&counters, 0).read() }, 77);
    drop((counters, store));
    assert_eq!(folder.names().iter().filter(|name| name.starts_with("nat")).count(), 2);
    // Names that are lost leave no values behind: they would count for others.
    let names = folder.names().into_iter().find(|name| name.contains("counter-names"));
    fs::remove_file(folder.0.join(names.expect("a file of names"))).expect("removed");
    let store = folder.open().expect("it is there");
    let counters = store.counters("nat/main", 2).expect("new names");
    // SAFETY: as above.
    assert_eq!(unsafe { value(&counters, 0).read() }, 0);
    counters.discard();
    drop(counters);
    assert!(folder.names().iter().all(|name| !name.starts_with("nat")), "{:?}", folder.names());
}
