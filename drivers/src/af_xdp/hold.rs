//! Our XDP program on an interface: one for all ports of this process that have queues there.
//!
//! It is tied to the interface by a link, whose descriptor only this process has: exit, crash or
//! kill -9, the kernel takes it off. Ports may come one by one, each with queues and rules of its
//! own: the program is then written anew and takes the old one's place without a gap.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::linux::fs::MetadataExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use wirelet_abi::{Error, ErrorCode};

use super::bpf::{self, AttachMode, LoadError};
use super::btf;
use super::netlink;
use super::options::{Attach, QUEUES_MAX};
use super::program;
use super::rules::Rules;
use crate::interface::Interface;

/// A process of ours that has just been killed needs a moment until the kernel has taken its
/// program off. Nobody waits for the programs of others.
const ATTACH_PATIENCE: Duration = Duration::from_secs(2);
const ATTACH_PAUSE: Duration = Duration::from_millis(10);

/// Network namespace and interface.
type Place = (u64, i32);

/// The program of one interface, attached as long as this lives.
#[derive(Debug)]
struct Hold {
    kind: Kind,
    link: OwnedFd,
    sockets: OwnedFd,
    queues: Mutex<Vec<(u32, Rules)>>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        // Fails when the interface is gone, and the program with it.
        let _ = bpf::unlink(self.link.as_fd());
    }
}

/// What kind of program it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Run by the driver, which tells it of VLAN tags beside packets.
    Asking { function: i32 },
    /// Run by the driver.
    Native,
    /// Run by the kernel.
    Generic,
}

impl Kind {
    fn mode(self) -> AttachMode {
        match self {
            Kind::Asking { .. } | Kind::Native => AttachMode::Native,
            Kind::Generic => AttachMode::Generic,
        }
    }

    /// What to try, in this order. Old kernels and drivers that can't be asked refuse the first.
    fn candidates(attach: Attach) -> Vec<Kind> {
        let asking = || btf::kernel_function(program::TAG_FUNCTION);
        let mut kinds = Vec::new();
        if attach != Attach::Generic {
            kinds.extend(asking().map(|function| Kind::Asking { function }));
            kinds.push(Kind::Native);
        }
        if attach != Attach::Native {
            kinds.push(Kind::Generic);
        }
        kinds
    }
}

/// Every interface that this process has a program on.
static HOLDS: Mutex<Vec<(Place, Weak<Hold>)>> = Mutex::new(Vec::new());

/// One queue of an interface, ours alone until this is dropped.
#[derive(Debug)]
pub(super) struct Claim {
    hold: Arc<Hold>,
    queue: u32,
}

impl Claim {
    /// How the program is attached.
    pub(super) fn mode(&self) -> AttachMode {
        self.hold.kind.mode()
    }

    pub(super) fn queue(&self) -> u32 {
        self.queue
    }

    /// Lets the program hand packets of this queue to `socket`.
    pub(super) fn give(&self, socket: BorrowedFd<'_>) -> io::Result<()> {
        bpf::set_socket(self.hold.sockets.as_fd(), self.queue, socket)
    }
}

impl Drop for Claim {
    /// The socket leaves the map by itself when it is closed; from then on the queue's packets are
    /// the kernel's.
    fn drop(&mut self) {
        lock(&self.hold.queues).retain(|(queue, _)| *queue != self.queue);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Attaches the program, or widens the one that we have there, for `queues`.
///
/// # Errors
/// `WIRELET_E_XDP_ATTACHED` when somebody else's is there, `WIRELET_E_DEVICE_SPEC` when a queue is
/// another port's, `WIRELET_E_PRIVILEGE`, `WIRELET_E_DEVICE_OPEN`.
pub(super) fn claim(
    interface: &Interface,
    attach: Attach,
    queues: std::ops::Range<u32>,
    rules: &Rules,
) -> Result<Vec<Claim>, Error> {
    let place = (network_namespace(), interface.index());
    let mut holds = lock(&HOLDS);
    holds.retain(|(_, hold)| hold.strong_count() > 0);
    let wanted = || queues.clone().map(|queue| (queue, rules.clone()));
    let ours = holds.iter().find(|(other, _)| *other == place);
    let hold = match ours.and_then(|(_, hold)| hold.upgrade()) {
        Some(hold) => {
            widen(&hold, interface, attach, wanted().collect())?;
            hold
        }
        None => {
            let hold = Arc::new(attach_new(interface, attach, wanted().collect())?);
            holds.push((place, Arc::downgrade(&hold)));
            hold
        }
    };
    Ok(queues.map(|queue| Claim { hold: Arc::clone(&hold), queue }).collect())
}

/// Adds queues to a program of ours.
fn widen(
    hold: &Hold,
    interface: &Interface,
    attach: Attach,
    wanted: Vec<(u32, Rules)>,
) -> Result<(), Error> {
    let name = interface.name();
    let fits = match attach {
        Attach::Auto => true,
        Attach::Native => hold.kind.mode() == AttachMode::Native,
        Attach::Generic => hold.kind.mode() == AttachMode::Generic,
    };
    if !fits {
        let mode = hold.kind.mode();
        let message = format!("`{name}`: another port has attached in {mode:?} mode");
        return Err(Error::new(ErrorCode::DeviceSpec, message));
    }
    let mut queues = lock(&hold.queues);
    if let Some((queue, _)) = wanted.iter().find(|(queue, _)| queues.iter().any(|q| q.0 == *queue))
    {
        let message = format!("`{name}`: queue {queue} is another port's");
        return Err(Error::new(ErrorCode::DeviceSpec, message));
    }
    let all = [queues.clone(), wanted].concat();
    let program = load(interface, &all, hold.sockets.as_fd(), hold.kind)?;
    bpf::relink(hold.link.as_fd(), program.as_fd())
        .map_err(|error| attach_error(name, interface.index(), &error))?;
    *queues = all;
    Ok(())
}

fn attach_new(
    interface: &Interface,
    attach: Attach,
    queues: Vec<(u32, Rules)>,
) -> Result<Hold, Error> {
    let name = interface.name();
    let sockets = bpf::create_socket_map(QUEUES_MAX)
        .map_err(|error| bpf_error(name, "an XSKMAP", &error, ""))?;
    let mut refused = None;
    for kind in Kind::candidates(attach) {
        let program = match load(interface, &queues, sockets.as_fd(), kind) {
            Err(error) if matches!(kind, Kind::Asking { .. }) => {
                refused = Some(error);
                continue;
            }
            program => program?,
        };
        match link(&program, interface.index(), kind.mode()) {
            Ok(link) => return Ok(Hold { kind, link, sockets, queues: Mutex::new(queues) }),
            Err(error) => {
                let all_alike = decided(&error);
                let error = attach_error(name, interface.index(), &error);
                if all_alike {
                    return Err(error);
                }
                // Drivers say in many ways that they can't: no XDP, MTU too large, too few queues.
                refused = Some(error);
            }
        }
    }
    Err(refused.expect("there is something to try in every mode"))
}

/// Writes and loads the program of that kind.
fn load(
    interface: &Interface,
    queues: &[(u32, Rules)],
    map: BorrowedFd<'_>,
    kind: Kind,
) -> Result<OwnedFd, Error> {
    let (function, bound_to) = match kind {
        Kind::Asking { function } => (Some(function), Some(interface.index() as u32)),
        Kind::Native | Kind::Generic => (None, None),
    };
    let code = program::redirect(queues, map.as_raw_fd(), function);
    bpf::load_xdp(&code, bound_to).map_err(|LoadError { cause, log }| {
        // The verifier's verdict is in its last lines.
        let lines: Vec<&str> = log.lines().rev().take(3).collect();
        bpf_error(interface.name(), "its XDP program", &cause, &lines.join("; "))
    })
}

/// Attaches it; waits a moment for a program that may be on its way out.
fn link(program: &OwnedFd, index: i32, mode: AttachMode) -> io::Result<OwnedFd> {
    let until = Instant::now() + ATTACH_PATIENCE;
    loop {
        match bpf::link(program.as_fd(), index as u32, mode) {
            Err(error)
                if occupied(&error) && Instant::now() < until && !is_somebody_elses(index) =>
            {
                std::thread::sleep(ATTACH_PAUSE);
            }
            result => return result,
        }
    }
}

/// Whether the interface has a program that is not like ours.
fn is_somebody_elses(index: i32) -> bool {
    let program = netlink::describe(index).ok().and_then(|found| found.program);
    program.and_then(bpf::program_name).is_some_and(|name| name != bpf::NAME)
}

/// There is a program: EBUSY behind a link, EEXIST behind netlink or in the other mode.
fn occupied(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EBUSY | libc::EEXIST))
}

/// Errors that the other mode would give too.
fn decided(error: &io::Error) -> bool {
    occupied(error) || bpf::denied(error) || error.raw_os_error() == Some(libc::ENODEV)
}

fn attach_error(name: &str, index: i32, error: &io::Error) -> Error {
    if occupied(error) {
        let program = netlink::describe(index).ok().and_then(|found| found.program);
        let which = program.map_or_else(String::new, |id| match bpf::program_name(id) {
            Some(name) => format!(", number {id}, `{name}`"),
            None => format!(", number {id}"),
        });
        let message = format!("`{name}` has an XDP program already{which}");
        return Error::new(ErrorCode::XdpAttached, message);
    }
    bpf_error(name, "to attach its XDP program", error, "")
}

fn bpf_error(name: &str, what: &str, error: &io::Error, log: &str) -> Error {
    let log = if log.is_empty() { String::new() } else { format!(" ({log})") };
    if bpf::denied(error) && log.is_empty() {
        let message = format!("`{name}`: {what}: {error}; it needs CAP_BPF and CAP_NET_ADMIN");
        return Error::new(ErrorCode::Privilege, message);
    }
    let code = match error.raw_os_error() {
        Some(libc::ENODEV | libc::ENXIO) => ErrorCode::Interface,
        _ => ErrorCode::DeviceOpen,
    };
    Error::new(code, format!("`{name}`: {what}: {error}{log}"))
}

/// Which network namespace this thread is in: interfaces' indexes are those of their namespace.
fn network_namespace() -> u64 {
    std::fs::metadata("/proc/thread-self/ns/net").map_or(0, |file| file.st_ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_which_privilege_is_missing_or_what_is_in_the_way() {
        let error = |number| io::Error::from_raw_os_error(number);
        let denied = bpf_error("eth0", "an XSKMAP", &error(libc::EPERM), "");
        assert_eq!(denied.code, ErrorCode::Privilege);
        assert!(denied.message.contains("CAP_BPF and CAP_NET_ADMIN"), "{denied}");
        // The verifier says EACCES too, but has something to say about it.
        let refused = bpf_error("eth0", "its XDP program", &error(libc::EACCES), "R1 is bad");
        assert_eq!(refused.code, ErrorCode::DeviceOpen);
        let attached = attach_error("lo", 1, &error(libc::EBUSY));
        assert_eq!(attached.code, ErrorCode::XdpAttached);
        assert_eq!(attached.message, "`lo` has an XDP program already");
    }

    #[test]
    fn only_what_the_other_mode_could_do_is_tried_there() {
        let error = io::Error::from_raw_os_error;
        let final_ones = [libc::EPERM, libc::EBUSY, libc::EEXIST, libc::ENODEV];
        assert!(final_ones.into_iter().all(|number| decided(&error(number))));
        let drivers = [libc::EOPNOTSUPP, libc::EINVAL, libc::ERANGE, libc::ENOSPC];
        assert!(!drivers.into_iter().any(|number| decided(&error(number))));
    }
}
