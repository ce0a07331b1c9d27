//! eBPF programs of others: one that tags packets, and one that has an interface before us.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

const PROG_LOAD: libc::c_int = 5;
const LINK_CREATE: libc::c_int = 28;

/// A kind of program, and where it is attached: linux/bpf.h.
#[derive(Clone, Copy)]
struct Kind {
    program: u32,
    attach: u32,
}

/// Packets that come in by an interface.
const XDP: Kind = Kind { program: 6, attach: 37 };
/// Packets that leave by one (BPF_PROG_TYPE_SCHED_CLS, BPF_TCX_EGRESS; Linux 6.6).
const EGRESS: Kind = Kind { program: 3, attach: 47 };

/// A program on an interface, as long as this lives.
pub struct Attached {
    _link: OwnedFd,
}

/// A sender that leaves VLAN tags beside its packets, as VLAN interfaces and bridges do: the kernel
/// pushes a tag, which veth then never writes out. `None` where the kernel has no such programs.
pub fn tagger(interface: &str, id: u16) -> Option<Attached> {
    // r2 = ETH_P_8021Q in network order; r3 = id; bpf_skb_vlan_push; r0 = next; exit
    let protocol = u16::to_be(0x8100).into();
    let code = [
        0x02b7 | immediate(protocol),
        0x03b7 | immediate(id.into()),
        0x0085 | immediate(18),
        0x00b7 | immediate(u32::MAX),
        0x0095,
    ];
    attach(interface, EGRESS, &code).ok()
}

/// A program that lets every packet pass to the kernel.
pub fn passer(interface: &str) -> Attached {
    // r0 = XDP_PASS; exit
    attach(interface, XDP, &[0x00b7 | immediate(2), 0x0095]).expect("an XDP program")
}

fn immediate(value: u32) -> u64 {
    u64::from(value) << 32
}

fn attach(interface: &str, kind: Kind, code: &[u64]) -> io::Result<Attached> {
    #[repr(C)]
    struct Load {
        kind: u32,
        instructions: u32,
        code: *const u64,
        licence: *const libc::c_char,
        log: [u64; 2],
        version_and_flags: u64,
        name: [u8; 16],
        interface: u32,
        attach_type: u32,
    }
    #[repr(C)]
    struct Link {
        program: i32,
        interface: u32,
        attach_type: u32,
        flags: u32,
        relative: [u64; 2],
    }
    let program = bpf(
        PROG_LOAD,
        &mut Load {
            kind: kind.program,
            instructions: code.len() as u32,
            code: code.as_ptr(),
            licence: c"Apache-2.0".as_ptr(),
            log: [0; 2],
            version_and_flags: 0,
            name: *b"somebody_elses\0\0",
            interface: 0,
            attach_type: kind.attach,
        },
    )?;
    let name = std::ffi::CString::new(interface).expect("a name");
    // SAFETY: a C string.
    let interface = unsafe { libc::if_nametoindex(name.as_ptr()) };
    let attach_type = kind.attach;
    let program = program.as_raw_fd();
    let mut link = Link { program, interface, attach_type, flags: 0, relative: [0; 2] };
    Ok(Attached { _link: bpf(LINK_CREATE, &mut link)? })
}

/// A command that returns a new descriptor.
fn bpf<T>(command: libc::c_int, attributes: &mut T) -> io::Result<OwnedFd> {
    let bytes = size_of::<T>();
    // SAFETY: the kernel reads the struct and what it points to, which outlives the call.
    let fd =
        unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), bytes) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}
