//! What others ask of an lcore: done by it between two bursts, then given back to who asked.
//!
//! One parcel at a time travels to an lcore and back in the same box, so that the lcore neither
//! allocates nor frees. All that is sent goes through [`crate::swap::Changes`], which a lock
//! guards, so there is one sender at a time.

use std::any::Any;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::time::{Duration, Instant};

use wirelet_abi::{Error, ErrorCode};

use crate::control::Control;
use crate::lcore::Lcore;

/// A burst may last its deadline, one second at most, for each program of a chain; after this an
/// lcore counts as stuck.
const PATIENCE: Duration = Duration::from_secs(20);

/// Work for an lcore. Bounded; allocates, frees and waits for nothing.
pub trait Errand: Send {
    /// Between two bursts. False: not done yet, call again at the next boundary.
    fn run(&mut self, lcore: &mut Lcore) -> bool;

    /// So that the sender finds in it what the lcore left there.
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
}

/// A function as an errand, and what it returned: `None` asks to be called again.
struct Call<F, R> {
    body: F,
    result: Option<R>,
}

impl<F, R> Errand for Call<F, R>
where
    F: FnMut(&mut Lcore) -> Option<R> + Send + 'static,
    R: Send + 'static,
{
    fn run(&mut self, lcore: &mut Lcore) -> bool {
        self.result = (self.body)(lcore);
        self.result.is_some()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

/// A thin pointer's worth: what travels.
struct Parcel(Box<dyn Errand>);

/// Two places: one on the way to the lcore, one on the way back.
pub struct Mailbox {
    todo: AtomicPtr<Parcel>,
    done: AtomicPtr<Parcel>,
}

impl Default for Mailbox {
    fn default() -> Self {
        Mailbox { todo: AtomicPtr::new(ptr::null_mut()), done: AtomicPtr::new(ptr::null_mut()) }
    }
}

impl Mailbox {
    fn take(place: &AtomicPtr<Parcel>) -> Option<Box<Parcel>> {
        if place.load(Ordering::Relaxed).is_null() {
            return None;
        }
        let taken = place.swap(ptr::null_mut(), Ordering::Acquire);
        // SAFETY: a non-null pointer here came from `Box::into_raw`, and the swap made it ours
        // alone.
        (!taken.is_null()).then(|| unsafe { Box::from_raw(taken) })
    }

    /// Into an empty place: there is one sender, and at most one parcel.
    fn put(place: &AtomicPtr<Parcel>, parcel: Box<Parcel>) {
        let before = place.swap(Box::into_raw(parcel), Ordering::Release);
        assert!(before.is_null(), "two errands under way to one lcore");
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        Self::take(&self.todo);
        Self::take(&self.done);
    }
}

/// The lcore, between two bursts: one load when there is nothing.
#[inline]
pub fn run_pending(lcore: &mut Lcore) {
    if !lcore.control.lcores[lcore.index].mailbox.todo.load(Ordering::Relaxed).is_null() {
        run_parcel(lcore);
    }
}

#[cold]
fn run_parcel(lcore: &mut Lcore) {
    let control = std::sync::Arc::clone(&lcore.control);
    let mailbox = &control.lcores[lcore.index].mailbox;
    let Some(mut parcel) = Mailbox::take(&mailbox.todo) else { return };
    let place = if parcel.0.run(lcore) { &mailbox.done } else { &mailbox.todo };
    Mailbox::put(place, parcel);
}

impl Control {
    /// Sends an errand and wakes the lcore. What an earlier call gave up waiting for is waited for
    /// first.
    ///
    /// # Errors
    /// `WIRELET_E_STATE` when the lcore does not run, `WIRELET_E_SWAP_TIMEOUT` when it is stuck
    /// with the errand before.
    pub fn send(&self, lcore: usize, errand: Box<dyn Errand>) -> Result<(), Error> {
        let target = &self.lcores[lcore];
        if target.errands_out.load(Ordering::Relaxed) {
            self.collect(lcore)?;
        }
        self.check_runs(lcore)?;
        target.errands_out.store(true, Ordering::Relaxed);
        Mailbox::put(&target.mailbox.todo, Box::new(Parcel(errand)));
        target.waker.wake();
        Ok(())
    }

    /// Waits until the lcore has done what was sent, and takes it back.
    ///
    /// # Errors
    /// As [`Control::send`]; after a time-out the errand stays with the lcore, which does it when
    /// it comes around.
    pub fn collect(&self, lcore: usize) -> Result<Box<dyn Errand>, Error> {
        let target = &self.lcores[lcore];
        let started = Instant::now();
        let mut pause = Duration::from_micros(10);
        loop {
            let ended = target.ended.load(Ordering::Acquire);
            if let Some(parcel) = Mailbox::take(&target.mailbox.done) {
                target.errands_out.store(false, Ordering::Relaxed);
                return Ok(parcel.0);
            }
            if ended {
                // It will never look again; what lies there is ours.
                Mailbox::take(&target.mailbox.todo);
                target.errands_out.store(false, Ordering::Relaxed);
                return Err(not_running(lcore));
            }
            if started.elapsed() > PATIENCE {
                let message = format!("lcore {lcore} is in one burst for {PATIENCE:?}");
                return Err(Error::new(ErrorCode::SwapTimeout, message));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_micros(200));
        }
    }

    /// Has `body` run by an lcore between two bursts; it is called again, at later boundaries,
    /// while it returns `None`.
    ///
    /// # Errors
    /// As [`Control::send`] and [`Control::collect`].
    pub fn at_boundary<R: Send + 'static>(
        &self,
        lcore: usize,
        body: impl FnMut(&mut Lcore) -> Option<R> + Send + 'static,
    ) -> Result<R, Error> {
        let errand = Call { body, result: None };
        let opened = opener(&errand);
        self.send(lcore, Box::new(errand))?;
        Ok(opened(self.collect(lcore)?.into_any()))
    }

    /// # Errors
    /// `WIRELET_E_STATE` when one of the lcores does not run.
    pub fn check_all_run(&self) -> Result<(), Error> {
        (0..self.lcores.len()).try_for_each(|lcore| self.check_runs(lcore))
    }

    fn check_runs(&self, lcore: usize) -> Result<(), Error> {
        let ended = self.lcores[lcore].ended.load(Ordering::Acquire);
        if ended || self.started.load(Ordering::Acquire) == 0 {
            return Err(not_running(lcore));
        }
        Ok(())
    }
}

fn not_running(lcore: usize) -> Error {
    Error::new(ErrorCode::State, format!("lcore {lcore} does not run"))
}

/// How to find the result in what came back: a closure's type has no name, so it is taken from the
/// errand itself.
fn opener<F: 'static, R: 'static>(_: &Call<F, R>) -> fn(Box<dyn Any>) -> R {
    |back| {
        let call = back.downcast::<Call<F, R>>().expect("what was sent comes back");
        call.result.expect("an errand comes back when it is done")
    }
}
