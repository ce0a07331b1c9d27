//! Lcores and CPUs.

use wirelet_abi::{Error, ErrorCode};

/// Whether this process may run on `cpu`.
///
/// # Errors
/// `WIRELET_E_LCORE`, naming the CPUs that it may use.
pub fn check(cpu: usize) -> Result<(), Error> {
    let allowed = allowed();
    if allowed.contains(&cpu) {
        return Ok(());
    }
    let message = format!("CPU {cpu}; this process may use {allowed:?}");
    Err(Error::new(ErrorCode::Lcore, message))
}

/// CPUs that this process may use.
pub fn allowed() -> Vec<usize> {
    // SAFETY: a cpu_set_t is plain bits, for which all zeros is a value.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is valid for its own size; 0 is the calling thread.
    unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set) };
    // SAFETY: CPU_SETSIZE bits are in the set.
    (0..libc::CPU_SETSIZE as usize).filter(|&cpu| unsafe { libc::CPU_ISSET(cpu, &set) }).collect()
}

/// Pins the calling thread. `check` has said that this is possible; where it fails all the same the
/// thread runs unpinned, which costs speed and nothing else.
pub fn pin(cpu: usize) {
    // SAFETY: as in `allowed`; `cpu` is below CPU_SETSIZE because `allowed` held it.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set);
    }
}
