//! A memory barrier on all threads of the process, at the expense of the one that asks.
//!
//! Where two threads each store and then look at what the other has stored, both need a full fence
//! in between. If one of them does so rarely and the other all the time, the rare one can have the
//! kernel put a barrier into every running thread of the process, and the other needs none:
//! `membarrier(2)`, Linux 4.14. It takes microseconds, and interrupts the process's running threads.
//!
//! Invariants, by letter, for the unsafe code below:
//! - (A) The call takes two integers and no pointer, and changes nothing but the order of accesses.

#![allow(unsafe_code, reason = "the system call has no safe wrapper in std")]

/// Whether [`barrier`] works in this process. The first call registers the process for it.
///
/// False where the system has no such call, forbids it, or was not asked: under Miri.
pub fn is_available() -> bool {
    #[cfg(all(target_os = "linux", not(miri)))]
    {
        use std::sync::OnceLock;
        static REGISTERED: OnceLock<bool> = OnceLock::new();
        *REGISTERED.get_or_init(|| call(REGISTER_PRIVATE_EXPEDITED))
    }
    #[cfg(not(all(target_os = "linux", not(miri))))]
    false
}

/// A full barrier on every thread of this process, before it returns.
///
/// Panics: if [`is_available`] did not say that it works.
pub fn barrier() {
    #[cfg(all(target_os = "linux", not(miri)))]
    // A fork may have lost the registration.
    if call(PRIVATE_EXPEDITED) || (call(REGISTER_PRIVATE_EXPEDITED) && call(PRIVATE_EXPEDITED)) {
        return;
    }
    panic!("membarrier is only called where it is available");
}

/// `MEMBARRIER_CMD_PRIVATE_EXPEDITED` of `linux/membarrier.h`.
#[cfg(all(target_os = "linux", not(miri)))]
const PRIVATE_EXPEDITED: libc::c_int = 1 << 3;
/// `MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED`.
#[cfg(all(target_os = "linux", not(miri)))]
const REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;

#[cfg(all(target_os = "linux", not(miri)))]
fn call(command: libc::c_int) -> bool {
    const FLAGS: libc::c_int = 0;
    // SAFETY: (A).
    unsafe { libc::syscall(libc::SYS_membarrier, command, FLAGS) == 0 }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_available_works() {
        if super::is_available() {
            super::barrier();
        }
    }
}
