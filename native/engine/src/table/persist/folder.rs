//! The folder that state is kept in: on a file system of memory, ours alone, used by one process.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use wirelet_abi::{Error, ErrorCode};
use wirelet_packet::Pages;

/// `f_type` of the file systems whose pages never wait for a disk (statfs(2)).
const TMPFS: i64 = 0x0102_1994;
const HUGETLBFS: i64 = 0x9584_58F6;

/// Small pages hold a label and its texts in four.
const TAIL_PAGES_SMALL: usize = 4;

/// A folder that is locked until it is released, as long as this lives at most.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    pages: Pages,
    /// Its lock ends when it is closed, however the process ends.
    lock: File,
}

impl Drop for Folder {
    /// A child that is just being started has the descriptor, too, until it runs its own program.
    fn drop(&mut self) {
        self.release();
    }
}

impl Folder {
    /// Opens and locks the folder; makes it if only the last part of its path is missing.
    ///
    /// # Errors
    /// `WIRELET_E_PERSIST`.
    pub fn open(path: &Path) -> Result<Folder, Error> {
        let failed = |error: io::Error| refused(path, &error.to_string());
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed(error));
            }
            _ => {}
        }
        let flags = libc::O_DIRECTORY | libc::O_NOFOLLOW;
        let lock = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(failed)?;
        check_owner(&lock.metadata().map_err(failed)?).map_err(|why| refused(path, why))?;
        let pages = pages_of(&lock).map_err(|why| refused(path, &why))?;
        // SAFETY: a plain system call on a descriptor that we own.
        if unsafe { libc::flock(lock.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } < 0 {
            let error = io::Error::last_os_error();
            if error.kind() == io::ErrorKind::WouldBlock {
                return Err(refused(path, "another process keeps its state there"));
            }
            return Err(failed(error));
        }
        Ok(Folder { path: path.into(), pages, lock })
    }

    /// Ends the lock: others may use it from now on.
    pub fn release(&self) {
        // SAFETY: a plain system call on a descriptor that we own.
        unsafe { libc::flock(self.lock.as_raw_fd(), libc::LOCK_UN) };
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The pages that its files have.
    pub fn pages(&self) -> Pages {
        self.pages
    }

    /// Bytes behind a file's memory.
    pub fn tail_bytes(&self) -> usize {
        match self.pages {
            Pages::Small => TAIL_PAGES_SMALL * self.pages.bytes(),
            Pages::Huge => self.pages.bytes(),
        }
    }

    /// Names of all that lies in it and ends in `suffix`.
    ///
    /// # Errors
    /// `WIRELET_E_PERSIST`.
    pub fn names(&self, suffix: &str) -> Result<Vec<String>, Error> {
        let failed = |error: io::Error| refused(&self.path, &error.to_string());
        let mut names = Vec::new();
        for entry in self.path.read_dir().map_err(failed)? {
            let name = entry.map_err(failed)?.file_name().into_string().unwrap_or_default();
            if name.ends_with(suffix) {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// Opens a file to read and write; makes it if it is to be `new`.
    ///
    /// # Errors
    /// When it is a link, is not there, or is not ours alone.
    pub fn file(&self, name: &str, new: bool) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
        let file = options.create_new(new).open(self.path.join(name))?;
        let metadata = file.metadata()?;
        let owned = check_owner(&metadata);
        let plain = metadata.is_file() && metadata.nlink() == 1;
        if let Err(why) = owned.and(if plain { Ok(()) } else { Err("it is no file of its own") }) {
            return Err(io::Error::other(why));
        }
        Ok(file)
    }
}

/// What others may write they may truncate, and so kill us.
fn check_owner(metadata: &Metadata) -> Result<(), &'static str> {
    // SAFETY: a plain system call.
    if metadata.uid() != unsafe { libc::geteuid() } {
        return Err("it belongs to another user");
    }
    if metadata.mode() & 0o022 != 0 {
        return Err("others than its owner may write it");
    }
    Ok(())
}

fn pages_of(folder: &File) -> Result<Pages, String> {
    // SAFETY: all zeros are a valid `statfs`.
    let mut status: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: a plain system call that fills in `status`.
    if unsafe { libc::fstatfs(folder.as_raw_fd(), &raw mut status) } < 0 {
        return Err(io::Error::last_os_error().to_string());
    }
    #[allow(clippy::unnecessary_cast, reason = "other types on other architectures")]
    match (status.f_type as i64, status.f_bsize as i64) {
        (TMPFS, _) => Ok(Pages::Small),
        (HUGETLBFS, bytes) if bytes as usize == Pages::Huge.bytes() => Ok(Pages::Huge),
        (HUGETLBFS, bytes) => Err(format!("its hugepages have {bytes} bytes, not 2 MiB")),
        (other, _) => Err(format!("it is on a file system of type {other:#x}, no tmpfs")),
    }
}

/// The error about a path.
pub fn refused(path: &Path, why: &str) -> Error {
    Error::new(ErrorCode::Persist, format!("{}: {why}", path.display()))
}
