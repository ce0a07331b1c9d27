//! A process that is killed while it writes.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use super::super::Store;
use super::persist::{SHAPE, TestFolder, make};
use super::*;

const CHILD: &str = "WIRELET_TEST_STATE_FOLDER";

/// Only as the child of the next test: writes until it is killed.
#[test]
fn the_process_that_is_killed() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let store = Store::open(Path::new(&path)).expect("the folder");
    let mut kept = store.tables("nat/main").expect("its tables");
    let table = match kept.pop() {
        Some(kept) => Arc::new(kept.table),
        None => make(&store, &SHAPE, 0),
    };
    table.activate();
    std::io::stderr().write_all(b"!").expect("the parent");
    // An end, should nobody kill it.
    for round in 0..50_000_000u32 {
        let number = (round % 290) as u16;
        let content = round.to_le_bytes().repeat(2);
        table.set(&key(&SHAPE, number), &content).expect("room");
        if round % 3 == 0 {
            table.delete(&key(&SHAPE, number ^ 1));
        }
    }
}

#[test]
fn whenever_it_is_killed_every_entry_is_whole() {
    let folder = TestFolder::new();
    let keys: Vec<_> = (0..300).map(|number| key(&SHAPE, number)).collect();
    for round in 0..8 {
        let test = "table::tests::persist_killed::the_process_that_is_killed";
        let mut child = Command::new(std::env::current_exe().expect("this very test"))
            .args(["--exact", test, "--nocapture"])
            .env(CHILD, &folder.0)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a child");
        let mut started = [0];
        child.stderr.take().expect("a pipe").read_exact(&mut started).expect("it has begun");
        std::thread::sleep(std::time::Duration::from_micros(300 * round));
        child.kill().expect("SIGKILL");
        child.wait().expect("it is gone");
        let store = folder.open().expect("its lock is gone, too");
        let kept = store.tables("nat/main").expect("its table").remove(0);
        assert!(kept.repaired.busy <= 1 && kept.repaired.misplaced == 0, "{:?}", kept.repaired);
        let all = listed(&kept.table, 100);
        assert_eq!(all.len(), kept.table.counts().count as usize);
        for (key, value) in all {
            assert!(keys.contains(&key) && value[..4] == value[4..], "{key:?}: {value:?}");
        }
    }
}
