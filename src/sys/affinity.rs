//! Pinning a thread to a CPU.
//!
//! Invariants, by letter, for the unsafe code below:
//! - (A) `cpu_set_t` is a plain bit set for which all-zero bytes are the empty set.
//! - (B) The set is a local that outlives each call that gets its address.

#![allow(unsafe_code, reason = "sched_setaffinity has no safe wrapper in std")]

use std::io;

use crate::base::cpu::CpuId;

/// Binds the calling thread to `cpu`.
///
/// Errors: `InvalidInput` for a number beyond what a CPU set holds, the system's own error for a
/// CPU that is absent or not allowed, `Unsupported` outside Linux. The thread then runs where it ran.
#[cfg(target_os = "linux")]
pub fn pin_current_thread(cpu: CpuId) -> io::Result<()> {
    let index = cpu.0 as usize;
    if index >= 8 * size_of::<libc::cpu_set_t>() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("no CPU set holds {cpu}")));
    }
    // SAFETY: (A).
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: (B); the index was checked against the size of the set.
    unsafe { libc::CPU_SET(index, &mut set) };
    // SAFETY: (B); thread 0 is the calling thread.
    let result = unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Binds the calling thread to `cpu`: not supported on this system.
#[cfg(not(target_os = "linux"))]
pub fn pin_current_thread(_cpu: CpuId) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "threads are pinned on Linux only"))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::{CpuId, pin_current_thread};

    #[test]
    fn a_cpu_that_is_not_there_is_an_error() {
        assert!(pin_current_thread(CpuId(1000)).is_err());
        assert!(pin_current_thread(CpuId(u32::MAX)).is_err());
    }
}
