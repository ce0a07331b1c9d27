//! A sender that leaves VLAN tags beside its packets, as VLAN interfaces and bridges do: an eBPF
//! program at the exit of an interface has the kernel push a tag, which veth then never writes out.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

const PROG_LOAD: libc::c_int = 5;
const LINK_CREATE: libc::c_int = 28;
const SCHEDULER_CLASSIFIER: u32 = 3;
const TCX_EGRESS: u32 = 47;

/// Tags packets that leave by an interface, as long as it lives.
pub struct Tagger {
    _link: OwnedFd,
}

fn bpf<T>(command: libc::c_int, attributes: &mut T) -> io::Result<OwnedFd> {
    // SAFETY: the kernel reads the struct and what it points to, which outlives the call; both
    // commands used here return a new descriptor.
    unsafe {
        let bytes = size_of::<T>();
        let fd = libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), bytes);
        match fd {
            0.. => Ok(OwnedFd::from_raw_fd(fd as i32)),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Tagger {
    /// With `id`, at the exit of `interface` of this thread's namespace; `None` where the kernel has
    /// no TCX (before Linux 6.6).
    pub fn new(interface: &str, id: u16) -> Option<Tagger> {
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
        let immediate = |value: u32| u64::from(value) << 32;
        let code = [
            // r2 = ETH_P_8021Q in network order; r3 = id; bpf_skb_vlan_push; r0 = next; exit
            0x02b7 | immediate(u16::to_be(0x8100).into()),
            0x03b7 | immediate(id.into()),
            0x0085 | immediate(18),
            0x00b7 | immediate(u32::MAX),
            0x0095,
        ];
        let mut load = Load {
            kind: SCHEDULER_CLASSIFIER,
            instructions: code.len() as u32,
            code: code.as_ptr(),
            licence: c"Apache-2.0".as_ptr(),
            log: [0; 2],
            version_and_flags: 0,
            name: [0; 16],
            interface: 0,
            attach_type: TCX_EGRESS,
        };
        let program = bpf(PROG_LOAD, &mut load).ok()?;
        let name = std::ffi::CString::new(interface).expect("a name");
        use std::os::fd::AsRawFd;
        let mut link = Link {
            program: program.as_raw_fd(),
            // SAFETY: a C string.
            interface: unsafe { libc::if_nametoindex(name.as_ptr()) },
            attach_type: TCX_EGRESS,
            flags: 0,
            relative: [0; 2],
        };
        Some(Tagger { _link: bpf(LINK_CREATE, &mut link).ok()? })
    }
}
