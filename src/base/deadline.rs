//! The moment at which a bounded wait gives up.

use std::time::{Duration, Instant};

/// A moment on the monotonic clock, or never.
///
/// A timeout is turned into a deadline once, at the door, so that retries inside do not stretch it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// The deadline that never passes.
    pub const NEVER: Self = Self(None);

    /// The moment `timeout` from now; a timeout beyond the clock's range never passes.
    pub fn after(timeout: Duration) -> Self {
        Self(Instant::now().checked_add(timeout))
    }

    /// Whether the moment has passed. Reads the clock, except for [`Deadline::NEVER`].
    pub fn has_passed(self) -> bool {
        self.0.is_some_and(|at| Instant::now() >= at)
    }

    /// The time that is left, zero once it has passed; `None` if it never passes.
    pub fn remaining(self) -> Option<Duration> {
        self.0.map(|at| at.saturating_duration_since(Instant::now()))
    }
}
