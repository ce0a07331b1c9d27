//! libpcap, opened when somebody filters: nothing links it, and building needs none of its headers.
//! Only its compiler is used (pcap_compile(3PCAP)).

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr;
use std::sync::{Mutex, OnceLock, PoisonError};

use wirelet_abi::{Error, ErrorCode};

use super::{Instruction, invalid};

/// Everybody's name for it, and Debian's.
const NAMES: [&CStr; 2] = [c"libpcap.so.1", c"libpcap.so.0.8"];
/// DLT_EN10MB.
const ETHERNET: c_int = 1;
/// Longer than any packet here.
const SNAPSHOT_BYTES: c_int = 65_535;
/// PCAP_NETMASK_UNKNOWN: `ip broadcast` is refused.
const NO_NETMASK: u32 = 0xFFFF_FFFF;

/// `struct bpf_program`.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Program {
    count: u32,
    instructions: *mut Instruction,
}

// SAFETY: what these ask of their callers stands in pcap.h; `compile` keeps it.
type OpenDead = unsafe extern "C" fn(c_int, c_int) -> *mut c_void;
type Compile = unsafe extern "C" fn(*mut c_void, *mut Program, *const c_char, c_int, u32) -> c_int;
type GetError = unsafe extern "C" fn(*mut c_void) -> *const c_char;
type FreeCode = unsafe extern "C" fn(*mut Program);
type Close = unsafe extern "C" fn(*mut c_void);

#[derive(Clone, Copy)]
struct Library {
    open_dead: OpenDead,
    compile: Compile,
    get_error: GetError,
    free_code: FreeCode,
    close: Close,
}

/// The instructions of `expression`, which may be any text.
pub(super) fn compile(expression: &str) -> Result<Vec<Instruction>, Error> {
    /// pcap_compile is not safe on two threads before libpcap 1.8.
    static ONE: Mutex<()> = Mutex::new(());
    let library = library()?;
    let text = CString::new(expression).map_err(|_| invalid("a NUL in the expression"))?;
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut program = Program { count: 0, instructions: ptr::null_mut() };
    // SAFETY: the signatures are those of pcap.h; the handle is closed and the program freed below,
    // once each, and not used after that. Text and message are read while they live.
    unsafe {
        let handle = (library.open_dead)(ETHERNET, SNAPSHOT_BYTES);
        if handle.is_null() {
            return Err(Error::new(ErrorCode::Libpcap, "pcap_open_dead failed"));
        }
        let status = (library.compile)(handle, &raw mut program, text.as_ptr(), 1, NO_NETMASK);
        let result = match status {
            0 if !program.instructions.is_null() => {
                let count = program.count as usize;
                Ok(std::slice::from_raw_parts(program.instructions, count).to_vec())
            }
            _ => {
                let message = CStr::from_ptr((library.get_error)(handle)).to_string_lossy();
                Err(invalid(format!("`{expression}`: {message}")))
            }
        };
        if status == 0 {
            (library.free_code)(&raw mut program);
        }
        (library.close)(handle);
        result
    }
}

fn library() -> Result<Library, Error> {
    static LIBRARY: OnceLock<Result<Library, String>> = OnceLock::new();
    let library = LIBRARY.get_or_init(|| load(&NAMES)).clone();
    library.map_err(|message| Error::new(ErrorCode::Libpcap, message))
}

/// Stays loaded for the life of the process.
fn load(names: &[&CStr]) -> Result<Library, String> {
    let mut handle = ptr::null_mut();
    for name in names {
        // SAFETY: a name that ends with NUL. Its initialisers are those of a library of the system.
        handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        if !handle.is_null() {
            break;
        }
    }
    if handle.is_null() {
        let names: Vec<_> = names.iter().map(|name| name.to_string_lossy()).collect();
        return Err(format!("there is no {}", names.join(" and no ")));
    }
    let find = |name: &CStr| {
        // SAFETY: a living handle and a name that ends with NUL.
        let symbol = unsafe { libc::dlsym(handle, name.as_ptr()) };
        if symbol.is_null() { Err(format!("it has no {name:?}")) } else { Ok(symbol) }
    };
    // SAFETY: each symbol is the function of its name, with the signature that pcap.h gives it
    // since libpcap 1.0 (the netmask has always had 32 bits).
    unsafe {
        Ok(Library {
            open_dead: std::mem::transmute::<*mut c_void, OpenDead>(find(c"pcap_open_dead")?),
            compile: std::mem::transmute::<*mut c_void, Compile>(find(c"pcap_compile")?),
            get_error: std::mem::transmute::<*mut c_void, GetError>(find(c"pcap_geterr")?),
            free_code: std::mem::transmute::<*mut c_void, FreeCode>(find(c"pcap_freecode")?),
            close: std::mem::transmute::<*mut c_void, Close>(find(c"pcap_close")?),
        })
    }
}

/// What libpcap itself says of a packet; `None` without a libpcap.
#[cfg(test)]
pub(super) fn offline_filter(
    instructions: &[Instruction],
    bytes: &[u8],
    length: usize,
) -> Option<u32> {
    // SAFETY: as bpf.h declares it.
    type Run = unsafe extern "C" fn(*const Instruction, *const u8, u32, u32) -> u32;
    let names = NAMES.iter();
    // SAFETY: as in `load`; `bpf_filter` reads `bytes.len()` bytes of the packet.
    unsafe {
        let mut handles = names.map(|name| libc::dlopen(name.as_ptr(), libc::RTLD_NOW));
        let handle = handles.find(|handle| !handle.is_null())?;
        let symbol = libc::dlsym(handle, c"bpf_filter".as_ptr());
        assert!(!symbol.is_null(), "a libpcap without bpf_filter");
        let run = std::mem::transmute::<*mut c_void, Run>(symbol);
        Some(run(instructions.as_ptr(), bytes.as_ptr(), length as u32, bytes.len() as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_libpcap_says_what_it_looked_for() {
        let error = load(&[c"libwirelet-none.so.1", c"libwirelet-none.so.0"]).err();
        let expected = "there is no libwirelet-none.so.1 and no libwirelet-none.so.0";
        assert_eq!(error.as_deref(), Some(expected));
        let error = load(&[c"libc.so.6"]).err().expect("no libpcap");
        assert!(error.contains("pcap_open_dead"), "{error}");
    }
}
