//! Ends the pauses of a thread.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// Rung once, when the thread is to end.
#[derive(Default)]
pub struct Bell {
    is_rung: Mutex<bool>,
    changed: Condvar,
}

impl Bell {
    /// Ends every pause, now and from now on.
    pub fn ring(&self) {
        *self.is_rung.lock() = true;
        self.changed.notify_all();
    }

    /// Pauses; true if it has been rung.
    pub fn is_rung_within(&self, pause: Duration) -> bool {
        let mut is_rung = self.is_rung.lock();
        if !*is_rung {
            self.changed.wait_for(&mut is_rung, pause);
        }
        *is_rung
    }
}
