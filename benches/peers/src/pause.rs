//! How a thread passes the time between two looks, for peers that leave it to their callers.

use std::hint::spin_loop;
use std::thread::yield_now;

use crate::scenario::Wait;

/// Looks with nothing but a pause hint in between, before a yielding thread yields.
pub const SPINS: u32 = 100;

impl Wait {
    /// Looks until there is something. A look of a blocking thread may sleep; without, it waits as a
    /// yielding one. In line: a call per event would be part of what is measured.
    #[inline(always)]
    pub fn until<T>(self, mut look: impl FnMut() -> Option<T>) -> T {
        let mut pause = Pause::new(self);
        loop {
            if let Some(found) = look() {
                return found;
            }
            pause.pass();
        }
    }
}

/// The time between the looks of one wait.
pub struct Pause {
    wait: Wait,
    spins: u32,
}

impl Pause {
    #[inline]
    pub fn new(wait: Wait) -> Self {
        Self { wait, spins: 0 }
    }

    /// After a look in vain.
    #[inline]
    pub fn pass(&mut self) {
        if self.wait == Wait::Busy || self.spins < SPINS {
            self.spins = self.spins.saturating_add(1);
            spin_loop();
        } else {
            yield_now();
        }
    }
}
