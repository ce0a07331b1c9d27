//! What can't be state, and where state can't be kept.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use wirelet_abi::ErrorCode;

use super::super::Store;
use super::persist::{SHAPE, TestFolder, expected, make, reopened};
use super::*;

#[test]
fn files_that_can_not_be_state_are_set_aside() {
    let folder = TestFolder::new();
    let store = folder.open().expect("a new folder");
    let table = make(&store, &SHAPE, 250);
    table.activate();
    drop((table, store));
    let good = fs::read(folder.file()).expect("its bytes");
    let name = folder.file();
    let tail = good.len() - (16 << 10);
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] ^= byte;
        bytes
    };
    let longer = [good.clone(), vec![0; 4096]].concat();
    let without_head = good[4096..].to_vec();
    let cases = [
        ("empty", vec![]),
        ("a byte", vec![1]),
        ("cut off", good[..good.len() - 4096].to_vec()),
        ("cut at the label", good[..tail].to_vec()),
        ("longer", longer),
        ("its first page is missing", without_head),
        ("another magic", with(tail, 1)),
        ("length of the label", with(tail + 18, 1)),
        ("checksum", with(tail + 24, 1)),
        ("kind", with(tail + 32, 1)),
        ("capacity", with(tail + 40, 1)),
        ("text", with(tail + 90, 1)),
        ("zeros", vec![0; good.len()]),
        ("no state at all", vec![0x5A; 100_000]),
    ];
    for (what, bytes) in cases {
        fs::write(&name, bytes).expect("written");
        let store = folder.open().expect(what);
        assert_eq!(store.set_aside().len(), 1, "{what}");
        assert!(store.tables("nat/main").expect(what).is_empty(), "{what}");
        assert!(folder.file().to_string_lossy().ends_with(".damaged"), "{what}");
        fs::remove_file(folder.file()).expect("removed");
    }
    fs::write(&name, with(tail + 8, 2)).expect("written");
    let error = folder.open().expect_err("of another version");
    assert!(error.code == ErrorCode::Persist && error.message.contains("version"), "{error}");
    // What is not ours is left alone.
    fs::remove_file(&name).expect("removed");
    fs::write(folder.0.join("notes.txt"), "mine").expect("written");
    fs::write(folder.0.join("half.new"), "a file that was being made").expect("written");
    assert!(folder.open().expect("fine").set_aside().is_empty());
    assert_eq!(folder.names(), ["notes.txt"]);
}

#[test]
fn a_file_that_shrinks_after_it_was_found_is_noticed() {
    let folder = TestFolder::new();
    let store = folder.open().expect("a new folder");
    let table = make(&store, &SHAPE, 9);
    table.activate();
    drop((table, store));
    let store = folder.open().expect("it is whole");
    let file = fs::OpenOptions::new().write(true).open(folder.file()).expect("the file");
    file.set_len(4096).expect("truncated");
    assert_eq!(store.tables("nat/main").expect_err("short").code, ErrorCode::Persist);
}

#[test]
fn only_a_folder_of_memory_that_is_ours_alone_will_do() {
    let folder = TestFolder::new();
    let refused = |path: &Path, why: &str| {
        let error = Store::open(path).expect_err(why);
        assert_eq!(error.code, ErrorCode::Persist);
        assert!(error.message.contains(why), "{error}");
    };
    refused(Path::new("/dev/shm/no-such-folder/state"), "No such file");
    refused(Path::new(&format!("/proc/{}", std::process::id())), "file system");
    let store = folder.open().expect("a new folder");
    let mode = fs::metadata(&folder.0).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    refused(&folder.0, "another process");
    drop(store);
    let link = TestFolder::new();
    symlink(&folder.0, &link.0).expect("a link");
    assert!(Store::open(&link.0).is_err(), "a link may lead anywhere tomorrow");
    fs::remove_file(&link.0).expect("removed");
    fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o777)).expect("open to all");
    refused(&folder.0, "others than its owner");
    fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o700)).expect("closed again");
    let store = folder.open().expect("it was let go");
    make(&store, &SHAPE, 1).activate();
    drop(store);
    fs::set_permissions(folder.file(), fs::Permissions::from_mode(0o666)).expect("open to all");
    assert_eq!(folder.open().expect("it opens").set_aside().len(), 1);
}

/// A tmpfs of 128 KiB over the folder, that only this thread sees.
fn small_tmpfs(folder: &Path) {
    fs::create_dir(folder).expect("a folder");
    let path = std::ffi::CString::new(folder.to_str().expect("UTF-8")).expect("no zero");
    let (none, tmpfs) = (std::ptr::null::<libc::c_char>(), c"tmpfs".as_ptr());
    let options = c"size=128k,mode=0700".as_ptr();
    // SAFETY: a namespace of this thread's own; as root only.
    assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNS) }, 0, "a mount namespace");
    let private = libc::MS_REC | libc::MS_PRIVATE;
    // SAFETY: C strings that outlive the calls; the first keeps the second to this namespace.
    let mounted = unsafe {
        libc::mount(none, c"/".as_ptr(), none, private, none.cast()) == 0
            && libc::mount(tmpfs, path.as_ptr(), tmpfs, 0, options.cast()) == 0
    };
    assert!(mounted, "{}", std::io::Error::last_os_error());
}

#[test]
fn a_full_tmpfs_is_a_coded_error_and_leaves_nothing() {
    // It outlives the thread, and so the mount.
    let folder = TestFolder::new();
    let in_namespace = || {
        small_tmpfs(&folder.0);
        let store = folder.open().expect("a small one");
        let table = make(&store, &SHAPE, 250);
        table.activate();
        let large = Shape { capacity: 5000, ..SHAPE };
        let error = table.successor(&large).expect_err("no room");
        assert_eq!(error.code, ErrorCode::MemoryExhausted, "{error}");
        assert_eq!(folder.names().len(), 1);
        assert_equal(&table, &expected(&SHAPE, 250));
        let kept = store.counters("nat/main", 1).expect_err("no room for names");
        assert_eq!(kept.code, ErrorCode::MemoryExhausted);
        drop((table, store));
        assert_equal(&reopened(&folder).0, &expected(&SHAPE, 250));
    };
    std::thread::scope(|scope| scope.spawn(in_namespace).join()).expect("the thread");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_label_is_read_or_refused(
        junk in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
        cuts in any::<bool>(),
    ) {
        let folder = TestFolder::new();
        let store = folder.open().expect("a new folder");
        let table = make(&store, &SHAPE, 20);
        table.activate();
        drop((table, store));
        let file = folder.file();
        let mut bytes = fs::read(&file).expect("its bytes");
        let tail = bytes.len() - (16 << 10);
        for (at, byte) in junk {
            bytes[tail + at.index(256)] = byte;
        }
        if cuts {
            bytes.truncate(cut.index(bytes.len()));
        }
        fs::write(&file, bytes).expect("written");
        match folder.open() {
            Ok(store) => {
                let kept = store.tables("nat/main").expect("tables that open");
                prop_assert_eq!(kept.len() + store.set_aside().len(), folder.names().len());
                for kept in kept {
                    assert_equal(&kept.table, &expected(&SHAPE, 20));
                }
            }
            Err(error) => prop_assert_eq!(error.code, ErrorCode::Persist),
        }
    }
}
