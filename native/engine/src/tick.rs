//! The tick behind deadlines: a thread that moves the engine's epoch every millisecond, and rests
//! while no program runs.
//!
//! It can't see who runs, and an lcore must not write a shared word for each burst to show it. So
//! it asks: every [`TURN`] ticks it says that it will rest, ticks twice more, and rests when nobody
//! has objected. Who is about to run a program objects ([`keep`], a load of a word that hardly ever
//! changes), and so does a program that one of the last two ticks found running.
//!
//! Nobody slips through, even a thread that is preempted in between: its deadline was set before it
//! looked at the word. If it then saw that the tick was going on, both last ticks come after its
//! deadline was set, so the program's first look at the epoch is over the deadline, and that
//! objects. Only there wasmtime sets the next deadline after the objection; a thread that is kept
//! from its CPU for a whole turn between these two is found by the tick of each second of rest.

use std::sync::atomic::{AtomicU32, Ordering, fence};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use crate::engine::engine;

/// How often deadlines are looked at. A program that runs when it ticks pays one clock read.
pub const TICK: Duration = Duration::from_millis(1);
/// Ticks between two questions whether anybody needs them.
const TURN: u32 = 100;
/// While it rests it ticks this seldom, and looks whether it should end.
const REST: libc::timespec = libc::timespec { tv_sec: 1, tv_nsec: 0 };

/// 1 while the epoch moves, 0 before the last two ticks and while it rests: a futex.
static GOING: AtomicU32 = AtomicU32::new(0);

/// While one of these lives, deadlines hold. The thread ends with the last of them.
#[derive(Debug)]
pub struct Ticker(());

impl Ticker {
    /// Keeps the tick alive until the result is dropped.
    pub fn hold() -> Arc<Ticker> {
        static CURRENT: Mutex<Weak<Ticker>> = Mutex::new(Weak::new());
        let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ticker) = current.upgrade() {
            return ticker;
        }
        let ticker = Arc::new(Ticker(()));
        *current = Arc::downgrade(&ticker);
        let alive = Arc::downgrade(&ticker);
        let spawned =
            std::thread::Builder::new().name("wirelet-tick".into()).spawn(move || run(&alive));
        spawned.expect("a thread for the tick: without it no deadline would hold");
        ticker
    }
}

/// To be called after a deadline was set and before the program runs, and by each tick that finds
/// one running. A load; where the tick rests, a system call, once.
#[inline]
pub fn keep() {
    // The epoch that the deadline was counted from was read before this looks.
    fence(Ordering::Acquire);
    if GOING.load(Ordering::Relaxed) == 0 {
        go_on();
    }
}

#[cold]
fn go_on() {
    GOING.store(1, Ordering::Release);
    // SAFETY: wakes whoever waits on this word; reads nothing else.
    unsafe { libc::syscall(libc::SYS_futex, GOING.as_ptr(), libc::FUTEX_WAKE, i32::MAX) };
}

fn run(alive: &Weak<Ticker>) {
    let tick = || {
        std::thread::sleep(TICK);
        engine().increment_epoch();
    };
    GOING.store(1, Ordering::Release);
    while alive.strong_count() > 0 {
        (0..TURN).for_each(|_| tick());
        GOING.store(0, Ordering::Relaxed);
        // Whoever has seen one of these two ticks sees that, too.
        fence(Ordering::SeqCst);
        (0..2).for_each(|_| tick());
        while GOING.load(Ordering::Acquire) == 0 && alive.strong_count() > 0 {
            rest();
            engine().increment_epoch();
        }
    }
}

/// Returns when somebody has objected, after a second, or by accident.
fn rest() {
    let (wait, timeout) = (libc::FUTEX_WAIT, REST);
    // SAFETY: waits while the word is 0, at most for the timeout, which it only reads.
    unsafe { libc::syscall(libc::SYS_futex, GOING.as_ptr(), wait, 0, &raw const timeout) };
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn until(what: &str, holds: impl Fn() -> bool) {
        let started = Instant::now();
        while !holds() {
            assert!(started.elapsed() < Duration::from_secs(30), "not in time: {what}");
            std::thread::sleep(TICK);
        }
    }

    #[test]
    fn it_rests_when_nobody_runs_and_goes_on_for_whoever_does() {
        let _ticker = Ticker::hold();
        // Other tests run programs, too: not at any time, but again and again.
        for _ in 0..3 {
            until("it rests", || GOING.load(Ordering::Acquire) == 0);
            keep();
            assert_eq!(GOING.load(Ordering::Acquire), 1);
        }
    }
}
