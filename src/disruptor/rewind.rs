//! When a batch may begin again.

use std::time::Duration;

/// Decides whether a batch begins again. Source: LMAX `BatchRewindStrategy`.
pub trait RewindStrategy: Send + 'static {
    /// The handler has asked for the `attempt`-th time in a row, from 1, for its batch to begin
    /// again; false makes the last reason a failure of the event.
    fn may_rewind(&mut self, attempt: u32) -> bool;
}

/// Begins again at once, however often. Source: LMAX `SimpleBatchRewindStrategy`.
#[derive(Clone, Copy, Debug, Default)]
pub struct RewindAtOnce;

impl RewindStrategy for RewindAtOnce {
    fn may_rewind(&mut self, _attempt: u32) -> bool {
        true
    }
}

/// Begins again after a pause, however often. Source: LMAX `NanosecondPauseBatchRewindStrategy`.
#[derive(Clone, Copy, Debug)]
pub struct RewindAfterPause {
    /// The time between two attempts.
    pub pause: Duration,
}

impl RewindStrategy for RewindAfterPause {
    fn may_rewind(&mut self, _attempt: u32) -> bool {
        std::thread::sleep(self.pause);
        true
    }
}

/// Begins again a bounded number of times. Source: LMAX `EventuallyGiveUpBatchRewindStrategy`.
#[derive(Clone, Copy, Debug)]
pub struct RewindUpTo {
    /// How often the batch may begin again.
    pub times: u32,
}

impl RewindStrategy for RewindUpTo {
    fn may_rewind(&mut self, attempt: u32) -> bool {
        attempt <= self.times
    }
}
