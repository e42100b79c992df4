//! A node's own health, by which it gives others more time before it calls them dead.
//!
//! Source: Dadgar, Phillips, Currey, "Lifeguard: Local Health Awareness for More Accurate Failure Detection", 2017.

use std::time::Duration;

/// Between 0, well, and a limit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Awareness {
    score: u32,
}

/// Beyond this it gets no worse.
pub const SCORE_MAX: u32 = 8;

impl Awareness {
    /// Better or worse by so much.
    pub fn add(&mut self, delta: i32) {
        self.score = self.score.saturating_add_signed(delta).min(SCORE_MAX);
    }

    /// How bad it is.
    pub fn score(self) -> u32 {
        self.score
    }

    /// A span for a node that may be slow itself.
    pub fn stretched(self, span: Duration) -> Duration {
        span * (self.score + 1)
    }
}
