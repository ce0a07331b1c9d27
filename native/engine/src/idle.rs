//! What an lcore does when it finds nothing: spin, then pause, then sleep if all devices allow it.

use std::ptr;

use wirelet_abi::stats::state;
use wirelet_drivers::Idle;
use wirelet_packet::clock;

use crate::control::Stop;
use crate::lcore::{Lcore, publish};

/// Empty rounds before pauses begin.
const SPINS: u32 = 256;
/// Empty rounds before the counters are published.
const PUBLISH_AT: u32 = 64;
/// Empty rounds between two publications after that.
const PUBLISH_EVERY: u32 = 1 << 16;
/// Empty rounds before it announces that it will sleep: about 50 µs.
const ANNOUNCE_AT: u32 = 2_000;
/// A wait shorter than this is spun: a sleep costs about as much.
const SLEEP_MIN_NS: u64 = 100_000;
/// It looks around at least this often.
const SLEEP_MAX_NS: u64 = 100_000_000;
/// The same between a stop and the end.
const SLEEP_STOPPING_NS: u64 = 1_000_000;

/// Whether an lcore may sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdlePolicy {
    /// Never: it spins.
    Poll,
    /// When every device of the lcore has something to wait for.
    Adaptive,
}

/// One lcore's idling.
pub struct Idler {
    policy: IdlePolicy,
    rounds: u32,
    /// Empty rounds since there was work; `rounds` starts anew with each pause.
    quiet: u32,
    announced: bool,
    descriptors: Vec<libc::pollfd>,
}

impl Idler {
    /// `devices` is how many the lcore has.
    pub fn new(policy: IdlePolicy, devices: usize) -> Idler {
        let descriptors = Vec::with_capacity(devices + 1);
        Idler { policy, rounds: 0, quiet: 0, announced: false, descriptors }
    }

    /// The first pause since there was work, and now and then later: a good time to publish.
    pub fn publishes(&self) -> bool {
        self.quiet % PUBLISH_EVERY == PUBLISH_AT
    }
}

/// A round has found packets.
#[inline]
pub fn worked(lcore: &mut Lcore) {
    (lcore.idler.rounds, lcore.idler.quiet) = (0, 0);
    if lcore.idler.announced {
        lcore.idler.announced = false;
        lcore.control.lcores[lcore.index].waker.awake();
    }
}

/// A round has found nothing. True when it slept.
pub fn wait(lcore: &mut Lcore) -> bool {
    let idler = &mut lcore.idler;
    idler.rounds = idler.rounds.wrapping_add(1);
    idler.quiet = idler.quiet.wrapping_add(1);
    std::hint::spin_loop();
    if idler.rounds < SPINS {
        return false;
    }
    if idler.announced {
        // Announced, fenced, and looked at everything once more: still nothing.
        idler.announced = false;
        idler.rounds = SPINS;
        return sleep(lcore);
    }
    (0..8).for_each(|_| std::hint::spin_loop());
    if idler.policy == IdlePolicy::Adaptive && idler.rounds >= ANNOUNCE_AT {
        idler.rounds = SPINS;
        if plan(lcore).is_some() {
            lcore.idler.announced = true;
            lcore.control.lcores[lcore.index].waker.announce();
        }
    }
    false
}

/// How long it may sleep, in ns; fills the descriptors to wait on. `None`: a device must be polled.
fn plan(lcore: &mut Lcore) -> Option<u64> {
    let Lcore { idler, ports, control, .. } = lcore;
    let readable = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    idler.descriptors.clear();
    idler.descriptors.push(readable(control.lcores[lcore.index].waker.fd()));
    let now_ns = clock::now_ns();
    // While it drains nobody wakes it when the others are done.
    let stopping = control.stopping() != Stop::No;
    let mut sleep_ns = if stopping { SLEEP_STOPPING_NS } else { SLEEP_MAX_NS };
    for device in ports.iter().filter_map(|port| port.device.as_ref()) {
        if device.in_flight() > 0 && !device.internal() {
            return None;
        }
        match device.idle() {
            Idle::Poll => return None,
            Idle::Readable(fd) => idler.descriptors.push(readable(fd)),
            Idle::Until(due_ns) => sleep_ns = sleep_ns.min(due_ns.saturating_sub(now_ns)),
            Idle::Waker => {}
        }
    }
    // Wake a little early: a late packet is worse than a short spin.
    let sleep_ns = sleep_ns.saturating_sub(SLEEP_MIN_NS / 2);
    (sleep_ns >= SLEEP_MIN_NS).then_some(sleep_ns)
}

/// Lets devices write out what they have collected.
pub fn flush(lcore: &mut Lcore) {
    for device in lcore.ports.iter_mut().filter_map(|port| port.device.as_mut()) {
        device.flush();
    }
}

fn sleep(lcore: &mut Lcore) -> bool {
    let slept = if let Some(sleep_ns) = plan(lcore) {
        lcore.stats.state = state::SLEEPING;
        lcore.stats.sleeps += 1;
        flush(lcore);
        publish(lcore);
        // Which may have found a device that is back, and has to be polled.
        if plan(lcore).is_none() {
            lcore.stats.state = state::RUNNING;
            lcore.control.lcores[lcore.index].waker.awake();
            return false;
        }
        let timeout = libc::timespec { tv_sec: 0, tv_nsec: sleep_ns.min(999_999_999) as i64 };
        let descriptors = &mut lcore.idler.descriptors;
        let count = descriptors.len() as libc::nfds_t;
        // SAFETY: the array has `count` entries and outlives the call; no signal mask is given.
        let ready = unsafe { libc::ppoll(descriptors.as_mut_ptr(), count, &timeout, ptr::null()) };
        lcore.stats.state = state::RUNNING;
        // Nobody has called: if one look finds nothing it sleeps on. Ten times a second, spinning
        // first would be the greater part of what an idle appliance costs.
        if ready == 0 {
            lcore.idler.rounds = ANNOUNCE_AT;
        }
        true
    } else {
        false
    };
    lcore.control.lcores[lcore.index].waker.awake();
    slept
}
