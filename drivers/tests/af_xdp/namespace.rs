//! Network namespaces that a test makes itself: they belong to threads, so the kernel removes them,
//! and every interface in them, when the test ends, whether it passes, panics or is killed.

use std::io;
use std::process::Command;
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;

type Job = Box<dyn FnOnce() + Send>;

/// Another network namespace, at the other end of a veth pair.
pub struct Peer {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    path: String,
}

/// Puts this thread into a fresh network namespace. False, with a printed reason, where that is not
/// allowed.
#[allow(clippy::print_stdout, reason = "a test that is skipped says so")]
pub fn enter() -> bool {
    // SAFETY: changes the network namespace of this thread only.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } < 0 {
        println!("skipped: no network namespace: {}", io::Error::last_os_error());
        return false;
    }
    if !can_load_programs() {
        println!("skipped: no right to load XDP programs: {}", io::Error::last_os_error());
        return false;
    }
    ip("link set lo up");
    true
}

/// Tries to make a map, the least that an XDP program needs.
fn can_load_programs() -> bool {
    // BPF_MAP_CREATE of an XSKMAP with one entry.
    let attributes: [u32; 5] = [17, 4, 4, 1, 0];
    // SAFETY: the kernel reads 20 bytes.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, 0, &raw const attributes, 20) };
    if fd >= 0 {
        // SAFETY: our own new descriptor.
        unsafe { libc::close(fd as i32) };
    }
    fd >= 0
}

/// Runs `ip` in this thread's namespace.
pub fn ip(arguments: &str) -> String {
    let (status, text) = try_ip(arguments);
    assert!(status, "ip {arguments}: {text}");
    text
}

/// As [`ip`]; whether it succeeded, and what it said.
pub fn try_ip(arguments: &str) -> (bool, String) {
    let output = Command::new("ip").args(arguments.split(' ')).output().expect("iproute2");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.success(), text + &String::from_utf8_lossy(&output.stderr))
}

impl Peer {
    /// A new namespace, joined to this thread's by a veth pair: `here` in this one, `there` in the
    /// new one, both up, both with `queues` queues. The kernel sends nothing of its own accord.
    pub fn join(here: &str, there: &str, queues: usize) -> Peer {
        let peer = Peer::new();
        let count = format!("numtxqueues {queues} numrxqueues {queues}");
        ip(&format!("link add {here} {count} type veth peer name {there} {count}"));
        ip(&format!("link set {there} netns {}", peer.path));
        quiet(here);
        let name = there.to_string();
        peer.run(move || quiet(&name));
        peer
    }

    fn new() -> Peer {
        let (jobs, todo) = mpsc::channel::<Job>();
        let (ready, path) = mpsc::channel();
        let body = move || {
            // SAFETY: as in `enter`.
            assert!(unsafe { libc::unshare(libc::CLONE_NEWNET) } == 0, "a second namespace");
            // SAFETY: a plain system call.
            let thread = unsafe { libc::gettid() };
            let path = format!("/proc/{}/task/{thread}/ns/net", std::process::id());
            ready.send(path).expect("the test waits");
            todo.into_iter().for_each(|job| job());
        };
        let thread = std::thread::Builder::new().name("peer".into()).spawn(body).expect("a thread");
        let path = path.recv().expect("its namespace");
        Peer { jobs: Some(jobs), thread: Some(thread), path }
    }

    /// Does something in the other namespace.
    pub fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, result) = mpsc::channel();
        let jobs = self.jobs.as_ref().expect("open until drop");
        jobs.send(Box::new(move || done.send(job()).expect("the test waits"))).expect("it lives");
        result.recv().expect("what was asked of the peer did not panic")
    }

    pub fn ip(&self, arguments: &str) -> String {
        let arguments = arguments.to_string();
        self.run(move || ip(&arguments))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn quiet(interface: &str) {
    ip(&format!("link set {interface} addrgenmode none"));
    ip(&format!("link set {interface} up"));
}
