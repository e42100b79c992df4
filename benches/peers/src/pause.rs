//! How a thread passes the time between two looks, for peers that leave it to their callers.

use std::hint::spin_loop;
use std::thread::yield_now;

use crate::scenario::Wait;

/// Looks with nothing but a pause hint in between, before a yielding thread yields.
pub const SPINS: u32 = 100;

/// The looks of one wait.
pub struct Pause {
    spins_max: u32,
    looks: u32,
}

impl Pause {
    /// Between the looks of a thread that does not sleep: a blocking one passes the time as a yielding one.
    pub fn new(wait: Wait) -> Self {
        Self { spins_max: if wait == Wait::Busy { u32::MAX } else { SPINS }, looks: 0 }
    }

    /// After a look in vain.
    #[inline]
    pub fn pass(&mut self) {
        if self.looks < self.spins_max {
            self.looks += 1;
            spin_loop();
        } else if self.spins_max < u32::MAX {
            yield_now();
        }
    }

    /// After a look that found something.
    #[inline]
    pub fn reset(&mut self) {
        self.looks = 0;
    }

    /// Looks until there is something.
    #[inline]
    pub fn until<T>(&mut self, mut look: impl FnMut() -> Option<T>) -> T {
        loop {
            if let Some(found) = look() {
                self.reset();
                return found;
            }
            self.pass();
        }
    }
}
