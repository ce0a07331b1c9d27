//! One state file.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wirelet_abi::{Error, ErrorCode};
use wirelet_packet::Backing;

use super::folder::{Folder, refused};
use super::label::{ACTIVE, Identity, Label, Unreadable};

/// What ends the name of a state file.
pub const SUFFIX: &str = ".state";
/// What ends the name of one that is being made.
pub const SUFFIX_NEW: &str = ".new";
/// What ends the name of one that could not be read.
pub const SUFFIX_DAMAGED: &str = ".damaged";

/// The folder, and the files in it that are open.
#[derive(Debug)]
pub struct Files {
    /// Where they lie.
    pub folder: Folder,
    /// The serial that the next new file gets.
    pub next_serial: AtomicU64,
    open: Mutex<OpenFiles>,
    /// Somebody else may use the folder: nothing of it is ours to delete any more.
    released: AtomicBool,
}

/// Serial and memory of those that take each other's place.
type OpenFiles = HashMap<Identity, Vec<(u64, Arc<Backing>)>>;

/// A state file that is open. When it is dropped its memory goes, and the file itself if it never
/// became active, or another one has taken its place, or nobody needs it any more.
#[derive(Debug)]
pub struct StateFile {
    files: Arc<Files>,
    file_name: String,
    label: Label,
    backing: Arc<Backing>,
    discarded: AtomicBool,
}

impl Files {
    /// No file open.
    pub fn new(folder: Folder) -> Arc<Files> {
        let (next_serial, open) = (AtomicU64::new(1), Mutex::default());
        Arc::new(Files { folder, next_serial, open, released: AtomicBool::new(false) })
    }

    /// Another process, or this one anew, may open the folder: nothing is made or deleted any more.
    pub fn release(&self) {
        // With the lock: whoever is deleting has done so.
        let open = self.open();
        self.released.store(true, Ordering::Relaxed);
        self.folder.release();
        drop(open);
    }

    fn open(&self) -> MutexGuard<'_, OpenFiles> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The label of a file, and whether it is active. Maps nothing.
    pub fn peek(&self, file_name: &str) -> Result<(Label, bool), Unreadable> {
        const CUT_OFF: Unreadable = Unreadable::Damaged("it is cut off");
        let unreadable = |_| Unreadable::Damaged("it can't be opened, or others may write it");
        let file = self.folder.file(file_name, false).map_err(unreadable)?;
        let bytes = file.metadata().map_err(unreadable)?.len();
        let mut tail = vec![0; self.folder.tail_bytes()];
        let start = bytes.checked_sub(tail.len() as u64).ok_or(CUT_OFF)?;
        file.read_exact_at(&mut tail, start).map_err(|_| CUT_OFF)?;
        let (label, active) = Label::decode(&tail)?;
        if label.memory_bytes != start {
            return Err(Unreadable::Damaged("it has not the length that it should have"));
        }
        Ok((label, active))
    }

    /// Takes a file out of the way; what it is called now.
    pub fn set_aside(&self, file_name: &str) -> io::Result<String> {
        let aside = format!("{file_name}{SUFFIX_DAMAGED}");
        let path = self.folder.path();
        fs::rename(path.join(file_name), path.join(&aside))?;
        Ok(aside)
    }

    /// Deletes a file that nothing refers to.
    pub fn remove(&self, file_name: &str) -> io::Result<()> {
        fs::remove_file(self.folder.path().join(file_name))
    }
}

impl StateFile {
    /// A new file with that label (but for serial and bytes), of at least `bytes` bytes of memory,
    /// zeroed, not active.
    ///
    /// # Errors
    /// `WIRELET_E_PERSIST`, `WIRELET_E_MEMORY_EXHAUSTED`.
    pub fn create(files: &Arc<Files>, label: Label, bytes: usize) -> Result<StateFile, Error> {
        let folder = &files.folder;
        let serial = files.next_serial.fetch_add(1, Ordering::Relaxed);
        let memory_bytes = bytes.next_multiple_of(folder.pages().bytes());
        let label = Label { serial, memory_bytes: memory_bytes as u64, ..label };
        let encoded = label.encode();
        if encoded.len() > folder.tail_bytes() {
            let message = format!("{}: {} bytes of fields", label.name, encoded.len());
            return Err(Error::new(ErrorCode::Persist, message));
        }
        let base_name = file_name(&label);
        let (new, file_name) = (format!("{base_name}{SUFFIX_NEW}"), format!("{base_name}{SUFFIX}"));
        let failed = |error: io::Error| refused(&folder.path().join(&new), &error.to_string());
        let file = folder.file(&new, true).map_err(failed)?;
        let made = Backing::of_file(file.into(), memory_bytes, folder.tail_bytes(), folder.pages())
            .and_then(|backing| {
                write_label(&backing, &encoded);
                let path = folder.path();
                fs::rename(path.join(&new), path.join(&file_name)).map_err(failed)?;
                Ok(backing)
            });
        // What it was made of is no state; nobody needs it.
        let backing = made.inspect_err(|_| drop(files.remove(&new)))?;
        Ok(Self::over(files, file_name, label, backing))
    }

    /// Opens a file that was there.
    ///
    /// # Errors
    /// `WIRELET_E_PERSIST`, `WIRELET_E_MEMORY_EXHAUSTED`.
    pub fn open(files: &Arc<Files>, file_name: &str, label: Label) -> Result<StateFile, Error> {
        let folder = &files.folder;
        let path = folder.path().join(file_name);
        let failed = |error: io::Error| refused(&path, &error.to_string());
        let file = folder.file(file_name, false).map_err(failed)?;
        let (bytes, tail_bytes) = (label.memory_bytes as usize, folder.tail_bytes());
        let backing = Backing::of_file(file.into(), bytes, tail_bytes, folder.pages())
            .map_err(|error| Error::new(error.code, format!("{}: {error}", path.display())))?;
        Ok(Self::over(files, file_name.into(), label, backing))
    }

    fn over(files: &Arc<Files>, file_name: String, label: Label, backing: Backing) -> StateFile {
        let backing = Arc::new(backing);
        let entry = (label.serial, Arc::clone(&backing));
        files.open().entry(label.identity()).or_default().push(entry);
        let discarded = AtomicBool::new(false);
        StateFile { files: Arc::clone(files), file_name, label, backing, discarded }
    }

    /// Where it lies.
    pub fn files(&self) -> &Arc<Files> {
        &self.files
    }

    /// Its memory.
    pub fn backing(&self) -> &Arc<Backing> {
        &self.backing
    }

    /// Whose it is.
    pub fn label(&self) -> &Label {
        &self.label
    }

    /// From now on this is the file that a restart finds. One store: an lcore may do it.
    pub fn activate(&self) {
        active(&self.backing).store(1, Ordering::Release);
    }

    /// The file goes when this is dropped.
    pub fn discard(&self) {
        self.discarded.store(true, Ordering::Relaxed);
    }
}

impl Drop for StateFile {
    fn drop(&mut self) {
        let serial = self.label.serial;
        let mut open = self.files.open();
        let identity = self.label.identity();
        let others = open.entry(identity.clone()).or_default();
        others.retain(|(other, _)| *other != serial);
        let replaced = others.iter().any(|(other, backing)| *other > serial && is_active(backing));
        if others.is_empty() {
            open.remove(&identity);
        }
        let needless = self.discarded.load(Ordering::Relaxed) || !is_active(&self.backing);
        // After a release its name may be somebody else's; the next start finds what is needless.
        let ours = !self.files.released.load(Ordering::Relaxed);
        if ours && (needless || replaced) {
            let _ = self.files.remove(&self.file_name);
        }
    }
}

fn active(backing: &Backing) -> &AtomicU32 {
    assert!(backing.tail_bytes() >= ACTIVE + size_of::<u32>(), "a file without a label");
    // SAFETY: within the tail, aligned, and mapped as long as the backing is borrowed.
    unsafe { AtomicU32::from_ptr(backing.tail().add(ACTIVE).cast()) }
}

fn is_active(backing: &Backing) -> bool {
    active(backing).load(Ordering::Acquire) == 1
}

fn write_label(backing: &Backing, label: &[u8]) {
    assert!(label.len() <= backing.tail_bytes(), "{} bytes of label", label.len());
    // SAFETY: the tail has room for it, and nobody else has mapped the file yet.
    unsafe { std::ptr::copy_nonoverlapping(label.as_ptr(), backing.tail(), label.len()) };
}

/// A name for people; what counts is in the label. The serial makes it the only one.
fn file_name(label: &Label) -> String {
    let plain = |text: &str| -> String {
        let letter = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '-' };
        text.chars().take(32).map(letter).collect()
    };
    let lcore = label.lcore.map_or_else(|| "shared".into(), |lcore| lcore.to_string());
    format!("{}.{}.{lcore}.{}", plain(&label.program), plain(&label.name), label.serial)
}
