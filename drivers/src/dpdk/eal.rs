//! DPDK's environment (EAL): once per process, on a thread of its own that also does everything
//! with DPDK that is not a burst.

use std::ffi::{CStr, CString, c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use wirelet_abi::plugin::{MESSAGE_BYTES, Table};
use wirelet_abi::{Error, ErrorCode};

use super::port::Port;
use super::{addresses, plugin};

/// How often links and counts of open ports are looked at.
const WATCH_EVERY: Duration = Duration::from_millis(100);
/// How long a process that ends waits for EAL to clean up.
const CLEAN_UP_MAX: Duration = Duration::from_secs(2);

type Job = Box<dyn FnOnce() + Send>;

/// EAL, running.
#[derive(Debug)]
pub(super) struct Eal {
    table: &'static Table,
    jobs: Mutex<Sender<Job>>,
    watched: Arc<Mutex<Vec<Weak<Port>>>>,
}

/// Arguments that the config asks for, and whether it is too late for others.
#[derive(Default)]
struct Arguments {
    wanted: Option<Vec<String>>,
    used: Option<Option<Vec<String>>>,
}

static ARGUMENTS: Mutex<Arguments> = Mutex::new(Arguments { wanted: None, used: None });
static EAL: OnceLock<Result<Eal, Error>> = OnceLock::new();

/// Sets EAL's arguments for when the first `dpdk` port opens; `None` for the defaults, or for those
/// that it runs with.
///
/// # Errors
/// `WIRELET_E_DPDK_EAL` when EAL runs already, with others.
pub fn set_eal_arguments(arguments: Option<Vec<String>>) -> Result<(), Error> {
    let mut held = ARGUMENTS.lock().unwrap_or_else(PoisonError::into_inner);
    if arguments.is_some() && held.used.as_ref().is_some_and(|used| *used != arguments) {
        let message = "EAL runs with other arguments, and can be started once in a process";
        return Err(Error::new(ErrorCode::DpdkEal, message));
    }
    held.wanted = arguments;
    Ok(())
}

impl Eal {
    /// EAL; the first call starts it. One that did not start never will.
    ///
    /// # Errors
    /// `WIRELET_E_DPDK_MISSING`, `WIRELET_E_DPDK_EAL`.
    pub(super) fn get() -> Result<&'static Eal, Error> {
        // Not remembered: the plugin itself remembers, and arguments may still change.
        let table = plugin::table()?;
        EAL.get_or_init(|| Eal::start(table)).as_ref().map_err(Error::clone)
    }

    fn start(table: &'static Table) -> Result<Eal, Error> {
        let mut held = ARGUMENTS.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = held.wanted.clone();
        held.used = Some(wanted.clone());
        drop(held);
        let arguments = arguments(wanted.as_deref());
        // Only who asks for a log gets one; without, it is kept for the texts of errors.
        let tee = wanted.iter().flatten().any(|argument| argument.starts_with("--log-level"));
        let (jobs, receiver) = mpsc::channel();
        let (started, result) = mpsc::channel();
        let watched = Arc::new(Mutex::new(Vec::new()));
        let watched_there = Arc::clone(&watched);
        let body = move || {
            let result = initialise(table, &arguments, tee);
            let failed = result.is_err();
            let _ = started.send(result);
            if !failed {
                serve(&receiver, &watched_there);
            }
        };
        let failed = |error| Error::new(ErrorCode::DpdkEal, format!("a thread: {error}"));
        std::thread::Builder::new().name("wirelet-eal".into()).spawn(body).map_err(failed)?;
        let gone = |_| Error::new(ErrorCode::DpdkEal, "its thread ended");
        result.recv().map_err(gone)??;
        // SAFETY: `clean_up` is a function that stays and does not unwind.
        unsafe { libc::atexit(clean_up) };
        Ok(Eal { table, jobs: Mutex::new(jobs), watched })
    }

    pub(super) fn table(&self) -> &'static Table {
        self.table
    }

    /// Runs `work` on EAL's thread and waits for it. A panic there is a panic here.
    pub(super) fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, result) = mpsc::channel();
        self.post(move || {
            let _ = done.send(catch_unwind(AssertUnwindSafe(work)));
        });
        match result.recv().expect("every job is run") {
            Ok(value) => value,
            Err(panic) => resume_unwind(panic),
        }
    }

    /// Has EAL's thread do `work`, after what it was given before.
    pub(super) fn post(&self, work: impl FnOnce() + Send + 'static) {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.send(Box::new(work)).expect("EAL's thread serves until the process ends");
    }

    /// Looks at `port` now and then, as long as it is there.
    pub(super) fn watch(&self, port: &Arc<Port>) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.push(Arc::downgrade(port));
        drop(watched);
        // The thread may be waiting for ever.
        self.run(|| ());
    }
}

/// EAL's thread: jobs as they come, and open ports ten times a second.
fn serve(jobs: &Receiver<Job>, watched: &Mutex<Vec<Weak<Port>>>) {
    let mut looked = Instant::now();
    loop {
        let mut held = watched.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|port| port.strong_count() > 0);
        let ports: Vec<Arc<Port>> = held.iter().filter_map(Weak::upgrade).collect();
        drop(held);
        if !ports.is_empty() && looked.elapsed() >= WATCH_EVERY {
            ports.iter().for_each(|port| port.look());
            looked = Instant::now();
        }
        let idle = ports.is_empty();
        // A port that the last queue has dropped meanwhile must not be closed by this thread, which
        // would wait for itself: `Port` closes by its queues, not when it is dropped.
        drop(ports);
        let job = if idle {
            jobs.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            jobs.recv_timeout(WATCH_EVERY.saturating_sub(looked.elapsed()))
        };
        match job {
            Ok(job) => job(),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Removes what EAL has in /run. At the end of the process, whatever thread ends it.
extern "C" fn clean_up() {
    let Some(Ok(eal)) = EAL.get() else { return };
    let watched = eal.watched.lock().unwrap_or_else(PoisonError::into_inner);
    // Lcores that still run (`process.exit` in the middle of it) go on to the very end.
    let in_use = watched.iter().any(|port| port.strong_count() > 0);
    drop(watched);
    if in_use {
        return;
    }
    let table = eal.table;
    let (done, cleaned) = mpsc::channel();
    let job: Job = Box::new(move || {
        // SAFETY: EAL runs, no port is open, and no call follows.
        unsafe { (table.stop)() };
        let _ = done.send(());
    });
    let jobs = eal.jobs.lock().unwrap_or_else(PoisonError::into_inner);
    if jobs.send(job).is_ok() {
        let _ = cleaned.recv_timeout(CLEAN_UP_MAX);
    }
}

fn initialise(table: &Table, arguments: &[String], tee: bool) -> Result<(), Error> {
    let bad = |_| Error::new(ErrorCode::DpdkEal, "an argument with a 0 in it");
    let owned = arguments.iter().map(|argument| CString::new(argument.as_str()));
    let owned = owned.collect::<Result<Vec<_>, _>>().map_err(bad)?;
    // EAL keeps pointers to its arguments, and permutes the array.
    let owned: &'static [CString] = owned.leak();
    let mut pointers: Vec<*mut c_char> =
        owned.iter().map(|text| text.as_ptr().cast_mut()).collect();
    let count = pointers.len() as c_int;
    pointers.push(std::ptr::null_mut());
    let pointers = pointers.leak();
    let mut message = [0; MESSAGE_BYTES];
    // SAFETY: `count` C strings and a null that stay for ever; the message has its room.
    let status = unsafe { (table.start)(count, pointers.as_mut_ptr(), tee, message.as_mut_ptr()) };
    if status == 0 {
        return Ok(());
    }
    // SAFETY: gives a text that stays.
    let version = unsafe { CStr::from_ptr((table.dpdk)()) }.to_string_lossy();
    let message = format!("{version}: {} [{}]", text(&message), arguments.join(" "));
    Err(Error::new(ErrorCode::DpdkEal, message))
}

/// What a function of the plugin wrote into its message.
pub(super) fn text(message: &[c_char; MESSAGE_BYTES]) -> String {
    let bytes: Vec<u8> = message.iter().map(|&byte| byte as u8).collect();
    String::from_utf8_lossy(bytes.split(|&byte| byte == 0).next().unwrap_or_default()).into_owned()
}

/// EAL's command line: what the config says, or what suits this machine. In both cases its one
/// thread may run on every CPU that we may use, unless the config says where.
fn arguments(wanted: Option<&[String]>) -> Vec<String> {
    let defaults = || defaults(has_hugepages()).iter().map(|&text| text.to_owned()).collect();
    let rest = wanted.map_or_else(defaults, <[String]>::to_vec);
    let places =
        |text: &String| ["--lcores", "-l", "-c"].iter().any(|option| text.starts_with(option));
    let mut all = vec!["wirelet".to_owned()];
    if !rest.iter().any(places) {
        let cpus: Vec<String> = allowed_cpus().iter().map(usize::to_string).collect();
        all.push(format!("--lcores=0@({})", cpus.join(",")));
    }
    let has = |name: &str| rest.iter().any(|text| text.starts_with(name));
    if !has("--no-huge")
        && !has("--base-virtaddr")
        && let Some(base) = addresses::base()
    {
        all.push(format!("--base-virtaddr={base:#x}"));
    }
    all.extend(rest);
    all
}

/// Frames have one address after another, which only virtual ones have on a bus. The address that
/// no device has is an allow-list that keeps EAL from taking every NIC that it may: devices are
/// plugged by name. Without hugepages there is no DMA, so there are no PCI devices.
fn defaults(hugepages: bool) -> &'static [&'static str] {
    if hugepages {
        &["--in-memory", "--iova-mode=va", "-a", "0000:00:00.0"]
    } else {
        &["--no-huge", "--no-shconf", "--no-telemetry", "--no-pci", "-m", "256"]
    }
}

/// Whether the kernel has free hugepages of any size.
fn has_hugepages() -> bool {
    let free = |folder: &Path| {
        let text = std::fs::read_to_string(folder.join("free_hugepages")).ok()?;
        text.trim().parse::<u64>().ok()
    };
    let folders = std::fs::read_dir("/sys/kernel/mm/hugepages").into_iter().flatten().flatten();
    folders.filter_map(|folder| free(&folder.path())).any(|pages| pages > 0)
}

fn allowed_cpus() -> Vec<usize> {
    // SAFETY: a cpu_set_t is plain bits, for which all zeros is a value.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is valid for its own size; 0 is the calling thread.
    unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set) };
    // SAFETY: CPU_SETSIZE bits are in the set.
    (0..libc::CPU_SETSIZE as usize).filter(|&cpu| unsafe { libc::CPU_ISSET(cpu, &set) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_config_replaces_the_defaults_and_may_say_where_eal_runs() {
        let wanted = ["--no-huge".to_owned(), "-m".to_owned(), "64".to_owned()];
        let all = arguments(Some(&wanted));
        assert!(all[1].starts_with("--lcores=0@("), "{all:?}");
        assert_eq!(all[2..], wanted);
        let wanted = ["-l".to_owned(), "1".to_owned(), "--base-virtaddr=0x100000000".to_owned()];
        assert_eq!(arguments(Some(&wanted))[..3], ["wirelet", "-l", "1"]);
        assert_eq!(arguments(Some(&wanted)).len(), 4);
        let base = |text: &String| text.starts_with("--base-virtaddr=0x");
        assert!(arguments(Some(&wanted[..2])).iter().any(base));
    }

    #[test]
    fn hugepages_decide_the_defaults() {
        // These exclude each other (EAL refuses to start).
        assert!(defaults(true).contains(&"--in-memory") && !defaults(true).contains(&"--no-huge"));
        assert!(defaults(false).contains(&"--no-huge"));
        assert!(!defaults(false).contains(&"--in-memory"));
    }
}
