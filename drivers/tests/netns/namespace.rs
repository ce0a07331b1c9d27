//! Network namespaces without names.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::process::Command;

/// A network namespace; it lives while somebody has a descriptor of it or a socket in it.
#[derive(Debug)]
pub struct Namespace(File);

impl Namespace {
    /// A new one with nothing but loopback, which is down. IPv6 is off, so that nobody sends what
    /// the test did not ask for.
    pub fn new() -> Namespace {
        let made = std::thread::spawn(|| {
            // SAFETY: changes the namespace of this thread only, which ends here.
            assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNET) }, 0, "a network namespace");
            File::open("/proc/thread-self/ns/net").expect("its descriptor")
        });
        let namespace = Namespace(made.join().expect("a namespace"));
        namespace.enter(|| {
            for which in ["all", "default"] {
                let path = format!("/proc/sys/net/ipv6/conf/{which}/disable_ipv6");
                // A kernel without IPv6 has no such file.
                let _ = std::fs::write(path, "1");
            }
        });
        namespace
    }

    /// Runs `work` on a thread inside.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                // SAFETY: changes the namespace of this thread only, which ends here.
                let status = unsafe { libc::setns(self.0.as_raw_fd(), libc::CLONE_NEWNET) };
                assert_eq!(status, 0, "entering a namespace");
                work()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Moves this thread inside, for the rest of its life.
    #[allow(dead_code, reason = "not every test that shares this file needs it")]
    pub fn stay(&self) {
        // SAFETY: changes the namespace of this thread only.
        let status = unsafe { libc::setns(self.0.as_raw_fd(), libc::CLONE_NEWNET) };
        assert_eq!(status, 0, "entering a namespace");
    }

    /// For `ip link set X netns PATH`.
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }

    /// `ip` with these words, inside.
    pub fn ip(&self, words: &str) {
        let output = self.enter(|| Command::new("ip").args(words.split(' ')).output());
        let output = output.expect("ip runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "ip {words}: {errors}");
    }

    /// The kernel's number of an interface.
    #[allow(dead_code, reason = "not every test binary that has this file asks")]
    pub fn index_of(&self, name: &str) -> u32 {
        let name = std::ffi::CString::new(name).expect("a name");
        // SAFETY: the name is a C string that lives during the call.
        self.enter(|| unsafe { libc::if_nametoindex(name.as_ptr()) })
    }

    /// A pair of joined interfaces, `here` and `there` in the namespace `other`; both up.
    pub fn veth(&self, here: &str, other: &Namespace, there: &str) {
        let path = other.path();
        self.ip(&format!("link add {here} type veth peer name {there} netns {path}"));
        self.ip(&format!("link set {here} up"));
        other.ip(&format!("link set {there} up"));
    }
}

/// Whether these tests can run here; says why not, past the test runner's capture, so that the
/// closing summary counts it (scripts/summary.js).
pub fn possible() -> bool {
    let missing = if !is_root() {
        "not root"
    } else if Command::new("ip").arg("-V").output().is_err() {
        "no `ip` (apt-get install iproute2)"
    } else {
        return true;
    };
    let _ = writeln!(std::io::stdout(), "skipped: network namespaces: {missing}");
    false
}

fn is_root() -> bool {
    // SAFETY: asks for a number.
    unsafe { libc::geteuid() == 0 }
}
