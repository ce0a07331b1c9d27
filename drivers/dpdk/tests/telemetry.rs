//! DPDK's own tools see our ports: its telemetry socket answers while they are open.

mod rig;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::FromRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use wirelet_drivers::dpdk::set_eal_arguments;

use rig::{Rig, possible};

/// As `dpdk-telemetry.py` asks: a socket of packets, whose first one is a greeting.
fn ask(path: &Path, question: &str) -> String {
    let bytes = path.as_os_str().as_bytes();
    // SAFETY: all zeros are a sockaddr_un; the system calls get values that live during the call,
    // with their sizes; the descriptor is new and nobody else's.
    let mut socket = unsafe {
        let mut address: libc::sockaddr_un = std::mem::zeroed();
        address.sun_family = libc::AF_UNIX as u16;
        for (to, from) in address.sun_path.iter_mut().zip(bytes) {
            *to = *from as libc::c_char;
        }
        let fd = libc::socket(libc::AF_UNIX, libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC, 0);
        assert!(fd >= 0);
        let size = size_of::<libc::sockaddr_un>() as u32;
        let status = libc::connect(fd, (&raw const address).cast(), size);
        assert_eq!(status, 0, "{}: {}", path.display(), std::io::Error::last_os_error());
        let wait = libc::timeval { tv_sec: 10, tv_usec: 0 };
        let (level, option) = (libc::SOL_SOCKET, libc::SO_RCVTIMEO);
        libc::setsockopt(fd, level, option, (&raw const wait).cast(), size_of_val(&wait) as u32);
        File::from_raw_fd(fd)
    };
    let mut answer = vec![0; 16 << 10];
    let greeting = socket.read(&mut answer).expect("a greeting");
    assert!(answer[..greeting].starts_with(b"{"));
    socket.write_all(question.as_bytes()).expect("a question");
    let length = socket.read(&mut answer).expect("an answer");
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

#[test]
fn the_telemetry_socket_knows_our_ports() {
    if !possible() {
        return;
    }
    let prefix = format!("wirelet-{}", std::process::id());
    // SAFETY: asks for a number.
    let is_root = unsafe { libc::geteuid() == 0 };
    let home = std::env::var_os("XDG_RUNTIME_DIR").map_or("/tmp".into(), PathBuf::from);
    let run = if is_root { PathBuf::from("/var/run") } else { home };
    let folder = run.join("dpdk").join(&prefix);
    let arguments = format!("--no-huge --no-pci -m 64 --file-prefix={prefix}");
    set_eal_arguments(Some(arguments.split(' ').map(str::to_owned).collect())).expect("early");
    let mut rig = Rig::new(1024);
    let device = rig.open("dpdk:net_null0?rxd=64&txd=64");
    let socket = folder.join("dpdk_telemetry.v2");
    assert!(ask(&socket, "/ethdev/list").contains("[0]"), "{}", ask(&socket, "/ethdev/list"));
    assert!(ask(&socket, "/ethdev/xstats,0").contains("rx_good_packets"));
    rig.close([device]);
    assert!(!ask(&socket, "/ethdev/list").contains('0'), "the port is gone");
    // EAL removes the rest when the process ends; its folder it leaves.
    std::fs::remove_dir_all(&folder).expect("it was this test's own");
}
