//! A file descriptor that becomes readable when something happened.
//!
//! Invariants, by letter, for the unsafe code below:
//! - (A) The descriptor was just returned by the kernel and is owned by nobody else.
//! - (B) The buffer is a local of eight bytes, the size an eventfd reads and writes.
//! - (C) The `pollfd` is one local that outlives the call.

#![allow(unsafe_code, reason = "eventfd has no safe wrapper in std")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::task::Wake;

/// A counter of the kernel that `epoll`, `poll` and `select` can wait on.
///
/// It is a [`Wake`]: `Waker::from(Arc::new(EventFd::new()?))` makes it readable when woken, which
/// is how a ring meets a foreign event loop.
#[derive(Debug)]
pub struct EventFd(OwnedFd);

impl EventFd {
    /// A new counter at zero, non-blocking and closed on exec.
    pub fn new() -> io::Result<Self> {
        // SAFETY: eventfd takes two integers and touches no memory of ours.
        let descriptor = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: (A).
        Ok(Self(unsafe { OwnedFd::from_raw_fd(descriptor) }))
    }

    /// Makes the descriptor readable until the next [`EventFd::reset`].
    pub fn notify(&self) {
        let one = 1_u64.to_ne_bytes();
        // A full counter (2^64 - 2 notifications) is readable already, so the result is not needed.
        // SAFETY: (B).
        unsafe { libc::write(self.0.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    /// Sleeps until the descriptor is readable, then resets it.
    ///
    /// Errors: the system's; a signal that interrupts the sleep is not one.
    pub fn wait(&self) -> io::Result<()> {
        while self.reset() == 0 {
            let mut poll = libc::pollfd { fd: self.0.as_raw_fd(), events: libc::POLLIN, revents: 0 };
            // SAFETY: (C).
            if unsafe { libc::poll(&raw mut poll, 1, -1) } < 0 {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Makes the descriptor unreadable again; returns how often it was notified since.
    pub fn reset(&self) -> u64 {
        let mut count = [0_u8; 8];
        // SAFETY: (B).
        let read = unsafe { libc::read(self.0.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
        if read == 8 { u64::from_ne_bytes(count) } else { 0 }
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Wake for EventFd {
    fn wake(self: Arc<Self>) {
        self.notify();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.notify();
    }
}

#[cfg(test)]
mod tests {
    use super::EventFd;

    #[test]
    fn notifications_add_up_until_the_reset() {
        let event = EventFd::new().expect("an eventfd can be made");
        assert_eq!(event.reset(), 0);
        event.notify();
        event.notify();
        assert_eq!((event.reset(), event.reset()), (2, 0));
    }
}
