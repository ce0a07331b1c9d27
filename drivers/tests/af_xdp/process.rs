//! What a process leaves on an interface: nothing, in whatever way it ends.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use wirelet_abi::ErrorCode;
use wirelet_drivers::{OpenContext, Rings, open};
use wirelet_packet::{Region, RegionConfig};

use crate::ends::{enter, ip, join};
use crate::programs;
use crate::raw::{EXPERIMENT, RawSocket, packet};
use crate::rig::{Rig, until};

const SPEC: &str = "WIRELET_TEST_AF_XDP_SPEC";
/// The capabilities that it keeps, as a number; all when it is not set.
const CAPABILITIES: &str = "WIRELET_TEST_AF_XDP_CAPABILITIES";
/// Bits of a set of capabilities: linux/capability.h.
const NET_ADMIN: u64 = 1 << 12;
const NET_RAW: u64 = 1 << 13;
const IPC_LOCK: u64 = 1 << 14;
const BPF: u64 = 1 << 39;

/// How long it waits for another process of ours to end.
const OWN_PATIENCE: Duration = Duration::from_secs(2);

/// Another process, in this thread's network namespace, that has the device open.
struct Holder(Child);

impl Holder {
    fn start(spec: &str) -> Holder {
        Holder::try_start(spec, u64::MAX).unwrap_or_else(|refusal| panic!("{refusal}"))
    }

    /// With some capabilities only; what it says when the device does not open.
    fn try_start(spec: &str, capabilities: u64) -> Result<Holder, String> {
        let own = std::env::current_exe().expect("this program");
        let mut child = Command::new(own)
            .args(["process::the_other_process", "--exact", "--nocapture"])
            .env(SPEC, spec)
            .env(CAPABILITIES, capabilities.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .expect("another process");
        let output = child.stdout.take().expect("its output");
        let holder = Holder(child);
        let mut lines = BufReader::new(output).lines().map(|line| line.expect("text"));
        let line = lines.find(|line| line.contains("device ")).expect("a word from it");
        if line.contains("device open") { Ok(holder) } else { Err(line) }
    }

    /// kill -9: nothing of it runs any more.
    fn kill(mut self) {
        self.0.kill().expect("killed");
        self.0.wait().expect("gone");
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Not a test of its own: what the other process does until it is killed.
#[test]
fn the_other_process() {
    let Ok(spec) = std::env::var(SPEC) else { return };
    let number = |text: String| text.parse().expect("a number");
    match std::env::var(CAPABILITIES).map_or(u64::MAX, number) {
        u64::MAX => {}
        some => keep(some),
    }
    let config = RegionConfig { frames: 256, frame_bytes: 2048, hugepages: false, node: None };
    let region = Region::new(config).expect("a region");
    let context = OpenContext { region: Arc::clone(&region), port: 0, queues: 1 };
    match open(&spec, &context, &mut Rings::default()) {
        Err(error) => println!("device refused: {error}"),
        Ok(_devices) => {
            println!("device open");
            loop {
                std::thread::park();
            }
        }
    }
}

/// Gives up every capability but these, and the right to lock more than 64 KiB.
fn keep(capabilities: u64) {
    // _LINUX_CAPABILITY_VERSION_3, this thread; then effective, permitted, inheritable: the low
    // halves, and the high ones.
    let header = [0x2008_0522u32, 0];
    let (low, high) = (capabilities as u32, (capabilities >> 32) as u32);
    let sets = [low, low, 0, high, high, 0];
    let limit = libc::rlimit { rlim_cur: 64 << 10, rlim_max: 64 << 10 };
    // SAFETY: reads one rlimit, and a header and two triples as capset(2) describes them.
    unsafe {
        assert_eq!(libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit), 0);
        let status = libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr());
        assert_eq!(status, 0, "{}", std::io::Error::last_os_error());
    }
}

#[test]
fn each_missing_privilege_is_named_and_no_other_is_needed() {
    let Some(_here) = enter() else { return };
    let _peer = join("here", "there", 1);
    let refusal = |capabilities: u64| match Holder::try_start("af_xdp:here", capabilities) {
        Ok(_) => panic!("{capabilities:#x} are enough"),
        Err(refusal) => refusal,
    };
    let needed = NET_ADMIN | NET_RAW | BPF | IPC_LOCK;
    let without = refusal(needed & !NET_RAW);
    assert!(
        without.contains("WIRELET_E_PRIVILEGE") && without.contains("CAP_NET_RAW"),
        "{without}"
    );
    for missing in [NET_ADMIN, BPF] {
        let without = refusal(needed & !missing);
        let named = without.contains("CAP_BPF and CAP_NET_ADMIN");
        assert!(without.contains("WIRELET_E_PRIVILEGE") && named, "{without}");
    }
    let without = refusal(needed & !IPC_LOCK);
    assert!(without.contains("WIRELET_E_MEMORY_LOCK"), "{without}");
    assert!(without.contains("RLIMIT_MEMLOCK) is 0 MiB"), "{without}");
    for attach in ["native", "generic"] {
        let spec = format!("af_xdp:here?attach={attach}&match=udp:53,vlan:7&busy-poll=20");
        let holder = Holder::try_start(&spec, needed);
        holder.unwrap_or_else(|refusal| panic!("{refusal}")).kill();
    }
}

#[test]
fn nothing_is_left_by_a_killed_process() {
    for attach in ["native", "generic"] {
        let Some(_here) = enter() else { return };
        let peer = join("here", "there", 1);
        let socket = peer.enter(|| RawSocket::open("there", EXPERIMENT));
        let spec = format!("af_xdp:here?attach={attach}&rx=64&tx=64");
        for round in 0..3 {
            let holder = Holder::start(&spec);
            assert!(ip("link show here").contains("xdp"));
            holder.kill();
            if round == 0 {
                until("the program is off", || !ip("link show here").contains("xdp"));
            }
            // The next start does not wait for that: it may come while the kernel tidies up.
            let mut rig = Rig::new(256, 2048);
            let mut device = rig.open(&spec);
            assert!(socket.send(&packet(99, round)));
            assert!(rig.receive(&mut *device, 1) == [packet(99, round)]);
            rig.close([device]);
        }
    }
}

#[test]
fn a_program_that_is_attached_already_is_never_replaced() {
    let Some(_here) = enter() else { return };
    let _peer = join("here", "there", 1);
    let rig = Rig::new(256, 2048);
    let refusal = |attach: &str| {
        let attached = ip("link show here");
        let spec = format!("af_xdp:here?attach={attach}");
        let error = rig.try_open(&spec, 1).err().unwrap_or_else(|| panic!("{spec} opened"));
        assert_eq!(error.code, ErrorCode::XdpAttached, "{error}");
        assert!(error.message.contains("`here` has an XDP program already, number "), "{error}");
        assert_eq!(ip("link show here"), attached, "their program is still there");
        error.message
    };
    let others = programs::passer("here");
    let started = Instant::now();
    for attach in ["auto", "native", "generic"] {
        assert!(refusal(attach).contains("`somebody_elses`"));
    }
    assert!(started.elapsed() < OWN_PATIENCE, "nobody waits for the program of somebody else");
    drop(others);
    // Another process of ours may be about to end; this one is not.
    for theirs in ["native", "generic"] {
        let holder = Holder::start(&format!("af_xdp:here?attach={theirs}&rx=64&tx=64"));
        assert!(refusal("auto").contains("`wirelet_xdp`"));
        holder.kill();
    }
}
