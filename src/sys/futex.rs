//! A 32-bit word on which threads sleep until it changes.
//!
//! Invariants, by letter, for the unsafe code below:
//! - (A) The word is an `AtomicU32` borrowed for the whole call, so its address stays valid while
//!   the kernel looks at it.

#![allow(unsafe_code, reason = "the futex system call has no safe wrapper in std")]

#[cfg(target_os = "linux")]
use std::{sync::atomic::AtomicU32, time::Duration};

/// Sleeps while `word` holds `expected`, for at most `timeout`, or until [`wake_all`].
///
/// Returns early and without a reason now and then; callers look again and come back.
#[cfg(target_os = "linux")]
pub fn wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) {
    let timespec = timeout.map(|timeout| libc::timespec {
        tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: timeout.subsec_nanos() as libc::c_long,
    });
    let timespec = timespec.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: (A); `timespec` is null or points at a local that outlives the call.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
            expected,
            timespec,
        );
    }
}

/// Wakes every thread that sleeps on `word`.
#[cfg(target_os = "linux")]
pub fn wake_all(word: &AtomicU32) {
    // SAFETY: (A).
    unsafe {
        libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, i32::MAX);
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) use fallback::{wait, wake_all};

/// One lock and one condition for all words: correct everywhere, and only slow where many
/// rings sleep at once, which is why Linux has its own way.
#[cfg(not(target_os = "linux"))]
mod fallback {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use parking_lot::{Condvar, Mutex};

    static GATE: Mutex<()> = Mutex::new(());
    static CHANGED: Condvar = Condvar::new();

    /// Sleeps while `word` holds `expected`, for at most `timeout`, or until [`wake_all`].
    pub fn wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) {
        let mut gate = GATE.lock();
        // Acquire pairs with the waker's change of the word, which it makes before it takes the
        // lock: either this load sees the change or the wake-up comes after this thread sleeps.
        if word.load(Ordering::Acquire) != expected {
            return;
        }
        match timeout {
            Some(timeout) => {
                CHANGED.wait_for(&mut gate, timeout);
            }
            None => CHANGED.wait(&mut gate),
        }
    }

    /// Wakes every thread that sleeps on any word.
    pub fn wake_all(_word: &AtomicU32) {
        drop(GATE.lock());
        CHANGED.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use super::{wait, wake_all};

    #[test]
    fn a_word_that_has_changed_is_not_slept_on() {
        wait(&AtomicU32::new(1), 0, None);
    }

    #[test]
    fn a_sleeper_gives_up_at_its_timeout() {
        wait(&AtomicU32::new(0), 0, Some(Duration::from_micros(1)));
    }

    #[test]
    fn a_sleeper_is_woken() {
        let word = AtomicU32::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while word.load(Ordering::Acquire) == 0 {
                    wait(&word, 0, None);
                }
            });
            word.store(1, Ordering::Release);
            wake_all(&word);
        });
    }
}
