//! The mempool of a region, and where its frames come from and go to.

use std::any::Any;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;
use std::slice;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use wirelet_abi::plugin::{self, FrameCalls, MESSAGE_BYTES, PoolConfig};
use wirelet_abi::{Error, ErrorCode};
use wirelet_packet::{FrameCache, Region};

use super::eal::{Eal, text};

/// Frames that DPDK keeps for each lcore, times 1.5 at most.
const CACHED_MAX: usize = 256;

/// All `dpdk` ports of a region share one pool, so that the frame of one may leave by the other.
#[derive(Debug)]
pub(super) struct Pool {
    eal: &'static Eal,
    raw: *mut plugin::Pool,
    /// Boxed: the plugin has a pointer to it. `None` once it must never be freed.
    owner: Option<Box<Owner>>,
}

// SAFETY: the plugin's pool is made and closed on EAL's thread, and used by lcores as mempools may
// be; `raw` itself is only a number.
unsafe impl Send for Pool {}
// SAFETY: as above.
unsafe impl Sync for Pool {}

/// Whom frames belong to when DPDK has none.
#[derive(Debug)]
struct Owner {
    region: Arc<Region>,
    /// Of threads that are in no burst: EAL's own, and those of drivers.
    shared: Mutex<FrameCache>,
    /// A panic in a call: it must not cross C, so it waits for the end of the burst.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    panicked: AtomicBool,
}

impl Pool {
    /// The pool of `region`; the first call makes it.
    ///
    /// # Errors
    /// `WIRELET_E_DPDK_EAL` when DPDK's own memory does not suffice.
    pub(super) fn of(eal: &'static Eal, region: &Arc<Region>) -> Result<Arc<Pool>, Error> {
        static POOLS: Mutex<Vec<Weak<Pool>>> = Mutex::new(Vec::new());
        let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
        pools.retain(|pool| pool.strong_count() > 0);
        let is_its = |pool: &Arc<Pool>| {
            pool.owner.as_ref().is_some_and(|owner| Arc::ptr_eq(&owner.region, region))
        };
        if let Some(pool) = pools.iter().filter_map(Weak::upgrade).find(is_its) {
            return Ok(pool);
        }
        let pool = Arc::new(Pool::new(eal, region)?);
        pools.push(Arc::downgrade(&pool));
        Ok(pool)
    }

    fn new(eal: &'static Eal, region: &Arc<Region>) -> Result<Pool, Error> {
        let owner = Box::new(Owner {
            region: Arc::clone(region),
            shared: Mutex::new(region.cache()),
            panic: Mutex::new(None),
            panicked: AtomicBool::new(false),
        });
        let config = Config(PoolConfig {
            base: region.backing().base(),
            bytes: region.backing().bytes() as u64,
            page_bytes: region.backing().pages().bytes() as u64,
            frames: region.frames() as u32,
            frame_bytes: region.frame_bytes() as u32,
            // A small region must not vanish in caches.
            cached: (region.frames() / 32).min(CACHED_MAX) as u32,
            node: region.node().map_or(-1, |node| node as i32),
            owner: (&raw const *owner).cast(),
            calls: FrameCalls { take, give, free },
        });
        let table = eal.table();
        let opened = eal.run(move || {
            let config = config;
            let (mut raw, mut message) = (ptr::null_mut(), [0; MESSAGE_BYTES]);
            // SAFETY: the config's pointers outlive the pool: the owner is in it, and has the
            // region. The message has its room.
            let status =
                unsafe { (table.open_pool)(&config.0, &raw mut raw, message.as_mut_ptr()) };
            if status == 0 { Ok(Raw(raw)) } else { Err(text(&message)) }
        });
        let Raw(raw) = opened.map_err(|message| Error::new(ErrorCode::DpdkEal, message))?;
        Ok(Pool { eal, raw, owner: Some(owner) })
    }

    pub(super) fn raw(&self) -> *mut plugin::Pool {
        self.raw
    }

    /// Goes on with a panic that a call of this burst has caught.
    #[inline]
    pub(super) fn check(&self) {
        let Some(owner) = &self.owner else { return };
        if owner.panicked.load(Ordering::Relaxed) {
            owner.resume();
        }
    }

    /// Frames that threads in no burst have given back go where everybody finds them.
    pub(super) fn spill(&self) {
        let Some(owner) = &self.owner else { return };
        let mut shared = owner.shared.lock().unwrap_or_else(PoisonError::into_inner);
        *shared = owner.region.cache();
    }

    /// Closes the pool, when this is its last user; frames that did not come back are an error.
    pub(super) fn close(self: Arc<Pool>) -> Result<(), Error> {
        let Some(mut pool) = Arc::into_inner(self) else { return Ok(()) };
        match pool.end() {
            0 => Ok(()),
            missing => {
                let message = format!("a driver of DPDK's has not given {missing} frames back");
                Err(Error::new(ErrorCode::Internal, message))
            }
        }
    }

    /// Gives all frames back; returns how many are missing.
    fn end(&mut self) -> u64 {
        let raw = Raw(std::mem::replace(&mut self.raw, ptr::null_mut()));
        if raw.0.is_null() {
            return 0;
        }
        let table = self.eal.table();
        let missing = self.eal.run(move || {
            let raw = raw;
            // SAFETY: the pool is open, and this is its last user.
            unsafe { (table.close_pool)(raw.0) }
        });
        self.spill();
        if missing > 0 {
            // Somebody in DPDK still has pointers into it: better a leak than a wild write.
            std::mem::forget(self.owner.take());
        }
        missing
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.end();
    }
}

impl Owner {
    #[cold]
    fn resume(&self) {
        self.panicked.store(false, Ordering::Relaxed);
        let held = self.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(panic) = held {
            resume_unwind(panic);
        }
    }

    /// Runs `work` on the frames of the burst under way, or the shared ones; no panic gets out.
    ///
    /// # Safety
    /// `cache` is null, or what the burst call under way on this thread was given.
    unsafe fn with<T: Default>(
        &self,
        cache: *mut c_void,
        work: impl FnOnce(&mut FrameCache) -> T,
    ) -> T {
        let result = catch_unwind(AssertUnwindSafe(|| {
            if cache.is_null() {
                return work(&mut self.shared.lock().unwrap_or_else(PoisonError::into_inner));
            }
            // SAFETY: it is the `&mut FrameCache` of the burst call that is our caller's caller
            // and does not touch it meanwhile (queue.rs).
            let frames = unsafe { &mut *cache.cast::<FrameCache>() };
            assert!(Arc::ptr_eq(frames.region(), &self.region), "frames of another region");
            work(frames)
        }));
        result.unwrap_or_else(|panic| {
            *self.panic.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic);
            self.panicked.store(true, Ordering::Relaxed);
            T::default()
        })
    }
}

/// See [`FrameCalls::take`].
unsafe extern "C" fn take(
    owner: *const c_void,
    cache: *mut c_void,
    frames: *mut u32,
    count: u32,
) -> bool {
    // SAFETY: the plugin gives back the owner that it was given, which outlives the pool.
    let owner = unsafe { &*owner.cast::<Owner>() };
    let all = |free: &mut FrameCache| {
        for index in 0..count as usize {
            let Some(frame) = free.take() else {
                // SAFETY: these were written just now.
                (0..index).for_each(|index| free.give(unsafe { frames.add(index).read() }));
                return false;
            };
            // SAFETY: the plugin has room for `count` numbers.
            unsafe { frames.add(index).write(frame) };
        }
        true
    };
    // SAFETY: the plugin passes on what its burst call was given.
    unsafe { owner.with(cache, all) }
}

/// See [`FrameCalls::give`].
unsafe extern "C" fn give(
    owner: *const c_void,
    cache: *mut c_void,
    frames: *const u32,
    count: u32,
) {
    // SAFETY: as in `take`.
    let owner = unsafe { &*owner.cast::<Owner>() };
    // SAFETY: the plugin has `count` numbers there.
    let frames = unsafe { slice::from_raw_parts(frames, count as usize) };
    // SAFETY: as in `take`.
    unsafe { owner.with(cache, |free| frames.iter().for_each(|&frame| free.give(frame))) }
}

/// See [`FrameCalls::free`].
unsafe extern "C" fn free(owner: *const c_void) -> u32 {
    // SAFETY: as in `take`.
    let owner = unsafe { &*owner.cast::<Owner>() };
    owner.region.pooled() as u32
}

/// Pointers that go to EAL's thread.
struct Config(PoolConfig);
// SAFETY: what it points to outlives the call, which the sender waits for.
unsafe impl Send for Config {}
struct Raw(*mut plugin::Pool);
// SAFETY: as above.
unsafe impl Send for Raw {}
