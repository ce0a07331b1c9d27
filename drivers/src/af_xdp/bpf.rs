//! The bpf(2) system call: maps, programs and links, without a library.
//!
//! A *link* ties a program to an interface for as long as somebody has its descriptor: when the
//! process ends, in whatever way, the kernel takes the program off. Needs Linux 5.9.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

// enum bpf_cmd, enum bpf_map_type, enum bpf_prog_type, enum bpf_attach_type: linux/bpf.h.
const MAP_CREATE: libc::c_int = 0;
const MAP_UPDATE: libc::c_int = 2;
const PROG_LOAD: libc::c_int = 5;
#[cfg(test)]
const PROG_TEST_RUN: libc::c_int = 10;
const PROG_GET_FD_BY_ID: libc::c_int = 13;
const OBJECT_GET_INFO: libc::c_int = 15;
const LINK_CREATE: libc::c_int = 28;
const LINK_UPDATE: libc::c_int = 29;
const LINK_DETACH: libc::c_int = 34;
const MAP_TYPE_XSKMAP: u32 = 17;
const PROG_TYPE_XDP: u32 = 6;
const ATTACH_XDP: u32 = 37;
/// BPF_F_XDP_DEV_BOUND_ONLY.
const BOUND_ONLY: u32 = 1 << 6;
/// Name of our programs.
pub(super) const NAME: &str = "wirelet_xdp";
/// Bytes of a name, the closing zero included.
const NAME_BYTES: usize = 16;
const LOG_BYTES: usize = 64 << 10;

/// How a program is attached: XDP_FLAGS_*_MODE of linux/if_link.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum AttachMode {
    /// By the kernel, behind the driver: works everywhere, slower.
    Generic = 2,
    /// By the driver.
    Native = 4,
}

/// Why a program was not loaded.
#[derive(Debug)]
pub(super) struct LoadError {
    pub(super) cause: io::Error,
    /// The verifier's last words; empty when it was not reached.
    pub(super) log: String,
}

/// Whether the kernel refused for want of privilege.
pub(super) fn denied(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES))
}

fn bpf<T>(command: libc::c_int, attributes: &mut T) -> io::Result<libc::c_long> {
    let bytes = size_of::<T>();
    // SAFETY: `attributes` is a struct without padding that the kernel reads, and for some
    // commands writes, `bytes` long; what it points to outlives the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attributes as *mut T, bytes) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// A command that returns a new descriptor (close-on-exec, as all of bpf's are).
fn bpf_descriptor<T>(command: libc::c_int, attributes: &mut T) -> io::Result<OwnedFd> {
    let fd = bpf(command, attributes)? as RawFd;
    // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn name_of(text: &str) -> [u8; NAME_BYTES] {
    let mut name = [0; NAME_BYTES];
    name[..text.len()].copy_from_slice(text.as_bytes());
    name
}

/// A map from receive queues, up to `queues`, to AF_XDP sockets.
pub(super) fn create_socket_map(queues: u32) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attributes {
        map_type: u32,
        key_bytes: u32,
        value_bytes: u32,
        entries_max: u32,
        flags: u32,
        inner_map: u32,
        numa_node: u32,
        name: [u8; NAME_BYTES],
    }
    bpf_descriptor(
        MAP_CREATE,
        &mut Attributes {
            map_type: MAP_TYPE_XSKMAP,
            key_bytes: 4,
            value_bytes: 4,
            entries_max: queues,
            flags: 0,
            inner_map: 0,
            numa_node: 0,
            name: name_of("wirelet_sockets"),
        },
    )
}

/// Puts `socket` into a socket map under `queue`. It leaves the map by itself when it is closed.
pub(super) fn set_socket(
    map: BorrowedFd<'_>,
    queue: u32,
    socket: BorrowedFd<'_>,
) -> io::Result<()> {
    #[repr(C)]
    struct Attributes {
        map: u32,
        padding: u32,
        key: *const u32,
        value: *const u32,
        flags: u64,
    }
    let value = socket.as_raw_fd() as u32;
    let map = map.as_raw_fd() as u32;
    let mut attributes =
        Attributes { map, padding: 0, key: &raw const queue, value: &raw const value, flags: 0 };
    bpf(MAP_UPDATE, &mut attributes).map(drop)
}

/// Has the kernel check and translate an XDP program. One that is bound to an interface may ask its
/// driver about packets, and runs there only, in native mode.
pub(super) fn load_xdp(code: &[[u8; 8]], bound_to: Option<u32>) -> Result<OwnedFd, LoadError> {
    match load(code, bound_to, &mut []) {
        Ok(program) => Ok(program),
        // The log costs time and memory: ask for it only to say what is wrong.
        Err(cause) if matches!(cause.raw_os_error(), Some(libc::EINVAL | libc::EACCES)) => {
            let mut log = vec![0; LOG_BYTES];
            let cause = load(code, bound_to, &mut log).err().unwrap_or(cause);
            let end = log.iter().position(|&byte| byte == 0).unwrap_or(log.len());
            Err(LoadError { cause, log: String::from_utf8_lossy(&log[..end]).into_owned() })
        }
        Err(cause) => Err(LoadError { cause, log: String::new() }),
    }
}

fn load(code: &[[u8; 8]], bound_to: Option<u32>, log: &mut [u8]) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attributes {
        program_type: u32,
        instructions: u32,
        code: *const [u8; 8],
        licence: *const libc::c_char,
        log_level: u32,
        log_bytes: u32,
        log: *mut u8,
        kernel_version: u32,
        flags: u32,
        name: [u8; NAME_BYTES],
        interface: u32,
        attach_type: u32,
    }
    let log_at = if log.is_empty() { std::ptr::null_mut() } else { log.as_mut_ptr() };
    bpf_descriptor(
        PROG_LOAD,
        &mut Attributes {
            program_type: PROG_TYPE_XDP,
            instructions: code.len() as u32,
            code: code.as_ptr(),
            licence: c"Dual BSD/GPL".as_ptr(),
            log_level: u32::from(!log.is_empty()),
            log_bytes: log.len() as u32,
            log: log_at,
            kernel_version: 0,
            flags: if bound_to.is_some() { BOUND_ONLY } else { 0 },
            name: name_of(NAME),
            interface: bound_to.unwrap_or(0),
            attach_type: ATTACH_XDP,
        },
    )
}

/// Attaches a program to an interface until the link's descriptor is closed. Fails with EBUSY or
/// EEXIST when there is a program already; never replaces one.
pub(super) fn link(
    program: BorrowedFd<'_>,
    interface: u32,
    mode: AttachMode,
) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Attributes {
        program: u32,
        interface: u32,
        attach_type: u32,
        flags: u32,
    }
    bpf_descriptor(
        LINK_CREATE,
        &mut Attributes {
            program: program.as_raw_fd() as u32,
            interface,
            attach_type: ATTACH_XDP,
            flags: mode as u32,
        },
    )
}

/// Puts another program in the place of our own; no packet meets none.
pub(super) fn relink(link: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    #[repr(C)]
    struct Attributes {
        link: u32,
        program: u32,
        flags: u32,
        old_program: u32,
    }
    let mut attributes = Attributes {
        link: link.as_raw_fd() as u32,
        program: program.as_raw_fd() as u32,
        flags: 0,
        old_program: 0,
    };
    bpf(LINK_UPDATE, &mut attributes).map(drop)
}

/// Takes our program off now, whoever still has a copy of the descriptor: a child process has, from
/// its start until it runs another program.
pub(super) fn unlink(link: BorrowedFd<'_>) -> io::Result<()> {
    let mut link = link.as_raw_fd() as u32;
    bpf(LINK_DETACH, &mut link).map(drop)
}

/// The name of the program with that id, where the kernel tells us.
pub(super) fn program_name(id: u32) -> Option<String> {
    #[repr(C)]
    struct ById {
        id: u32,
        next_id: u32,
        flags: u32,
        padding: u32,
    }
    #[repr(C)]
    struct Info {
        object: u32,
        bytes: u32,
        info: *mut [u8; INFO_BYTES],
    }
    /// Of struct bpf_prog_info, up to and with its name.
    const INFO_BYTES: usize = NAME_AT + NAME_BYTES;
    const NAME_AT: usize = 64;
    let program =
        bpf_descriptor(PROG_GET_FD_BY_ID, &mut ById { id, next_id: 0, flags: 0, padding: 0 });
    let program = program.ok()?;
    let mut info = [0; INFO_BYTES];
    let object = program.as_raw_fd() as u32;
    let mut attributes = Info { object, bytes: INFO_BYTES as u32, info: &raw mut info };
    bpf(OBJECT_GET_INFO, &mut attributes).ok()?;
    let name = info[NAME_AT..].split(|&byte| byte == 0).next()?;
    let name = String::from_utf8_lossy(name).into_owned();
    (!name.is_empty()).then_some(name)
}

/// Runs an XDP program on `packet`; returns its action.
#[cfg(test)]
pub(super) fn test_run(program: BorrowedFd<'_>, packet: &[u8]) -> io::Result<u32> {
    #[repr(C)]
    struct Attributes {
        program: u32,
        result: u32,
        bytes_in: u32,
        bytes_out: u32,
        data_in: *const u8,
        data_out: *mut u8,
        repeat: u32,
        duration: u32,
        context_bytes_in: u32,
        context_bytes_out: u32,
        context_in: u64,
        context_out: u64,
    }
    let mut attributes = Attributes {
        program: program.as_raw_fd() as u32,
        result: 0,
        bytes_in: packet.len() as u32,
        bytes_out: 0,
        data_in: packet.as_ptr(),
        data_out: std::ptr::null_mut(),
        repeat: 1,
        duration: 0,
        context_bytes_in: 0,
        context_bytes_out: 0,
        context_in: 0,
        context_out: 0,
    };
    bpf(PROG_TEST_RUN, &mut attributes)?;
    Ok(attributes.result)
}
