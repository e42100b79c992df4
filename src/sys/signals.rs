//! Signals that ask a program to end or to read its configuration again, as values instead of interruptions.
//!
//! Invariants, by letter, for the unsafe code below:
//! - (A) A signal set is a local that `sigemptyset` has initialised; the calls read or write it and keep nothing.

#![allow(unsafe_code, reason = "the signal calls have no safe wrapper in std")]

use std::io;
use std::mem::MaybeUninit;

/// What somebody asks of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT, as from Ctrl-C.
    Interrupt,
    /// SIGTERM, as from `kill` or a service manager.
    Terminate,
    /// SIGHUP: read the configuration again.
    Reload,
}

const NUMBERS: [(Signal, libc::c_int); 3] =
    [(Signal::Interrupt, libc::SIGINT), (Signal::Terminate, libc::SIGTERM), (Signal::Reload, libc::SIGHUP)];

/// The right to wait for signals, which no longer interrupt the program.
#[derive(Debug)]
pub struct Signals {
    set: libc::sigset_t,
}

impl Signals {
    /// Holds all of them back, in this thread and in those that it starts later: call it before any thread
    /// starts. What a signal does otherwise, it no longer does.
    ///
    /// Errors: the operating system's.
    pub fn hold_back() -> io::Result<Self> {
        Self::hold_back_only(&NUMBERS.map(|(signal, _)| signal))
    }

    /// Holds some of them back, as [`hold_back`](Self::hold_back) does.
    ///
    /// Errors: the operating system's.
    pub fn hold_back_only(signals: &[Signal]) -> io::Result<Self> {
        let mut set = MaybeUninit::uninit();
        // SAFETY: (A).
        unsafe { libc::sigemptyset(set.as_mut_ptr()) };
        // SAFETY: (A): `sigemptyset` has initialised the whole set.
        let mut set = unsafe { set.assume_init() };
        for (_, number) in NUMBERS.iter().filter(|(signal, _)| signals.contains(signal)) {
            // SAFETY: (A).
            unsafe { libc::sigaddset(&raw mut set, *number) };
        }
        // SAFETY: (A); the old mask is not asked for.
        match unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) } {
            0 => Ok(Self { set }),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }

    /// Sleeps until one of the signals comes.
    ///
    /// Errors: the operating system's.
    pub fn wait(&self) -> io::Result<Signal> {
        loop {
            let mut number = 0;
            // SAFETY: (A); `number` outlives the call.
            match unsafe { libc::sigwait(&raw const self.set, &raw mut number) } {
                0 => {}
                libc::EINTR => continue,
                error => return Err(io::Error::from_raw_os_error(error)),
            }
            if let Some((signal, _)) = NUMBERS.iter().find(|(_, known)| *known == number) {
                return Ok(*signal);
            }
        }
    }

    /// One of the signals, if it has come and nobody has waited for it. It stays.
    ///
    /// Errors: the operating system's.
    pub fn pending(&self) -> io::Result<Option<Signal>> {
        let mut set = MaybeUninit::uninit();
        // SAFETY: (A).
        unsafe { libc::sigemptyset(set.as_mut_ptr()) };
        // SAFETY: (A).
        if unsafe { libc::sigpending(set.as_mut_ptr()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: (A): `sigemptyset` has initialised the whole set.
        let set = unsafe { set.assume_init() };
        // SAFETY: (A).
        let has_come = |number| unsafe { libc::sigismember(&raw const set, number) } == 1;
        Ok(NUMBERS.into_iter().find(|(_, number)| has_come(*number)).map(|(signal, _)| signal))
    }
}

/// Sends this process a signal, as another one would.
///
/// Errors: the operating system's.
pub fn raise(signal: Signal) -> io::Result<()> {
    let (_, number) =
        NUMBERS.into_iter().find(|(known, _)| *known == signal).expect("every signal has a number");
    // SAFETY: the calls take and return numbers only.
    let process = unsafe { libc::getpid() };
    // SAFETY: as above.
    match unsafe { libc::kill(process, number) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
