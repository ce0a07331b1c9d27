//! Time on the data path: one counter read, no system call.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

struct Calibration {
    hz: u64,
    start_cycles: u64,
    start_ns: u64,
    /// Nanoseconds per cycle, times 2^32.
    ns_per_cycle_32: u64,
}

/// The cycle counter: TSC on x86-64, the virtual counter on AArch64. About 10 ns to read in a
/// virtual machine that traps nothing.
#[inline]
pub fn cycles() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: RDTSC reads a register and exists on every x86-64 CPU.
    return unsafe { core::arch::x86_64::_rdtsc() };
    #[cfg(target_arch = "aarch64")]
    {
        let value: u64;
        // SAFETY: CNTVCT_EL0 is readable from user space on Linux; reading it changes nothing.
        unsafe { core::arch::asm!("mrs {}, cntvct_el0", out(reg) value, options(nomem, nostack)) };
        return value;
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return monotonic_ns();
}

/// Ticks of [`cycles`] in a second, measured once in 20 ms against the kernel's clock.
pub fn cycles_hz() -> u64 {
    calibration().hz
}

/// Nanoseconds of the monotonic clock, computed from [`cycles`].
#[inline]
pub fn now_ns() -> u64 {
    // Calibrated before the counter is read: the first call would otherwise be 20 ms early.
    calibration();
    ns_at(cycles())
}

/// The monotonic clock's nanoseconds when the counter stood at `cycles`.
#[inline]
pub fn ns_at(cycles: u64) -> u64 {
    let calibration = calibration();
    let elapsed = cycles.wrapping_sub(calibration.start_cycles);
    // The very first caller read the counter before it was calibrated: that is "at the start".
    let elapsed = if elapsed > u64::MAX / 2 { 0 } else { elapsed };
    calibration.start_ns + scale(elapsed, calibration.ns_per_cycle_32)
}

/// How many nanoseconds `cycles` last.
#[inline]
pub fn to_ns(cycles: u64) -> u64 {
    scale(cycles, calibration().ns_per_cycle_32)
}

/// How many cycles `ns` last.
pub fn from_ns(ns: u64) -> u64 {
    (u128::from(ns) * u128::from(calibration().hz) / 1_000_000_000) as u64
}

/// CPU time of the calling thread in nanoseconds: a system call, so only off the fast path.
pub fn thread_cpu_ns() -> u64 {
    read_clock(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// Nanoseconds since the epoch: the vDSO's clock, about 30 ns, so once a burst and not per packet.
pub fn wall_ns() -> u64 {
    read_clock(libc::CLOCK_REALTIME)
}

/// Nanoseconds since the epoch when [`now_ns`] was `ns`. Only how long ago that is comes from the
/// counter, so that its drift since the start does not matter.
pub fn wall_ns_at(ns: u64) -> u64 {
    let ago_ns = now_ns().saturating_sub(ns);
    wall_ns().saturating_sub(ago_ns)
}

#[inline]
fn scale(cycles: u64, ns_per_cycle_32: u64) -> u64 {
    ((u128::from(cycles) * u128::from(ns_per_cycle_32)) >> 32) as u64
}

fn monotonic_ns() -> u64 {
    read_clock(libc::CLOCK_MONOTONIC)
}

fn read_clock(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec to write to and the clock exists on every Linux.
    let status = unsafe { libc::clock_gettime(clock, &mut time) };
    assert!(status == 0, "clock_gettime({clock}) failed");
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn calibration() -> &'static Calibration {
    static CALIBRATION: OnceLock<Calibration> = OnceLock::new();
    CALIBRATION.get_or_init(|| {
        let started = Instant::now();
        let start_ns = monotonic_ns();
        let start_cycles = cycles();
        // Busy: a sleep could end anywhere, and this must not be preempted between two reads.
        while started.elapsed() < Duration::from_millis(20) {
            std::hint::spin_loop();
        }
        let elapsed_ns = monotonic_ns() - start_ns;
        let elapsed_cycles = cycles().wrapping_sub(start_cycles).max(1);
        Calibration {
            hz: (u128::from(elapsed_cycles) * 1_000_000_000 / u128::from(elapsed_ns)) as u64,
            start_cycles,
            start_ns,
            ns_per_cycle_32: ((u128::from(elapsed_ns) << 32) / u128::from(elapsed_cycles)) as u64,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn computed_time_follows_the_kernels_clock() {
        calibration();
        let (ours, kernel) = (now_ns(), monotonic_ns());
        std::thread::sleep(Duration::from_millis(50));
        let (ours, kernel) = (now_ns() - ours, monotonic_ns() - kernel);
        let difference = ours.abs_diff(kernel);
        assert!(difference < kernel / 20, "{ours} against {kernel}");
        assert!(to_ns(from_ns(1_000_000)).abs_diff(1_000_000) < 1_000);
    }

    #[test]
    fn a_moment_lies_between_two_looks_at_the_kernels_wall_clock() {
        for _ in 0..100 {
            let before = wall_ns();
            let moment = now_ns();
            let after = wall_ns();
            std::thread::sleep(Duration::from_micros(300));
            // Between its two readings the thread may have lost its CPU, and only then it is off.
            let told = (0..20).map(|_| wall_ns_at(moment)).min().expect("some");
            // The counter's rate is known to some percent at worst.
            let slack_ns = 200_000;
            assert!(told + slack_ns >= before, "{told} before {before}");
            assert!(told <= after + slack_ns, "{told} after {after}");
        }
    }
}
