//! Finds the plugin, opens it, and believes nothing of it before sizes and version are compared.

use std::ffi::{CStr, CString, c_void};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use wirelet_abi::plugin::{
    self, Flow, PoolConfig, PortConfig, PortInfo, PortStats, QueueStats, Table,
};
use wirelet_abi::{Error, ErrorCode};
use wirelet_packet::Mbuf;

/// Its name, beside the addon.
const FILE: &str = "wirelet-dpdk.so";
/// Another place to look for it, for tests and packagers.
const VARIABLE: &str = "WIRELET_DPDK_PLUGIN";

/// The plugin, opened once; it stays for the life of the process, as EAL does.
///
/// # Errors
/// `WIRELET_E_DPDK_MISSING`.
pub(super) fn table() -> Result<&'static Table, Error> {
    static TABLE: OnceLock<Result<&'static Table, Error>> = OnceLock::new();
    TABLE.get_or_init(|| open(&path()?)).clone()
}

fn missing(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::DpdkMissing, message)
}

fn path() -> Result<PathBuf, Error> {
    if let Some(path) = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
        return Ok(path.into());
    }
    let own = own_path().ok_or_else(|| missing("the addon's own path is not known"))?;
    Ok(own.with_file_name(FILE))
}

/// The file that this code was loaded from: the addon, or a test.
fn own_path() -> Option<PathBuf> {
    // SAFETY: all zeros are a valid Dl_info.
    let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
    let code = own_path as fn() -> Option<PathBuf> as *const c_void;
    // SAFETY: any address may be asked for; `info` is written to.
    if unsafe { libc::dladdr(code, &raw mut info) } == 0 || info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: dladdr gives a C string that stays as long as the library does.
    let name = unsafe { CStr::from_ptr(info.dli_fname) };
    let path = PathBuf::from(std::ffi::OsString::from_vec(name.to_bytes().to_vec()));
    path.canonicalize().ok()
}

fn open(path: &Path) -> Result<&'static Table, Error> {
    if !path.exists() {
        return Err(missing(format!("there is no {}", path.display())));
    }
    let name = CString::new(path.as_os_str().as_bytes()).map_err(|_| missing("a 0 in its path"))?;
    // SAFETY: loading a library runs its constructors; this one, and DPDK's, only register
    // themselves. Local: its symbols are nobody else's.
    let library = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    if library.is_null() {
        return Err(missing(last_error()));
    }
    // SAFETY: `library` is open, the symbol's name is a C string.
    let symbol = unsafe { libc::dlsym(library, plugin::SYMBOL.as_ptr()) };
    if symbol.is_null() {
        return Err(missing(format!("{} was built without DPDK", path.display())));
    }
    // SAFETY: the plugin's function of that name has this type (drivers/dpdk/src/lib.rs).
    let entry: extern "C" fn() -> *const Table = unsafe { std::mem::transmute(symbol) };
    // SAFETY: the function gives a constant of the library, which is never closed.
    let table = unsafe { entry().as_ref() };
    table.filter(|table| fits(table)).ok_or_else(|| {
        missing(format!("{} is of another version of Wirelet; build it anew", path.display()))
    })
}

/// Whether both sides mean the same by every struct.
fn fits(table: &Table) -> bool {
    // In this order: of another version not even the sizes can be read.
    if (table.magic, table.version) != (plugin::MAGIC, plugin::VERSION) {
        return false;
    }
    let sizes = [
        (table.bytes, size_of::<Table>()),
        (table.mbuf_bytes, size_of::<Mbuf>()),
        (table.pool_config_bytes, size_of::<PoolConfig>()),
        (table.port_config_bytes, size_of::<PortConfig>()),
        (table.port_info_bytes, size_of::<PortInfo>()),
        (table.port_stats_bytes, size_of::<PortStats>()),
        (table.queue_stats_bytes, size_of::<QueueStats>()),
        (table.passed_bytes, size_of::<plugin::Passed>()),
        (table.flow_bytes, size_of::<Flow>()),
    ];
    sizes.iter().all(|&(theirs, ours)| theirs as usize == ours)
}

fn last_error() -> String {
    // SAFETY: dlerror gives a C string that stays until the next call on this thread, or null.
    let text = unsafe { libc::dlerror() };
    if text.is_null() {
        return "dlopen failed".into();
    }
    // SAFETY: as above, and it is not null.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
