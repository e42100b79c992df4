//! How a producer passes the time while the ring is full.

use std::time::Duration;

use super::linger::Vigil;
use super::sync::{spin_loop, yield_now};

/// How a producer waits for a full ring.
///
/// The default is the one that goes with the wait strategy: `Park` beside a strategy that parks,
/// `Yield` beside one that does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProducerWait {
    /// Spin with a pause hint, and yield the CPU once in 4096 looks.
    Spin,
    /// Spin for a moment, then yield the CPU between looks.
    Yield,
    /// Spin and yield for a moment, then sleep until the slowest consumer moves. Costs each
    /// consumer a fence per batch.
    Park,
}

/// Looks of a pure spinner between two yields, so that more spinners than CPUs still get on.
pub(crate) const SPINS_PER_YIELD: u32 = 4096;

impl ProducerWait {
    pub(crate) fn parks(self) -> bool {
        self == Self::Park
    }

    /// Passes a little time; `looks` counts the calls. False, at once, if it is time to sleep, after
    /// `awake`.
    pub(crate) fn pass_time(self, looks: u32, vigil: &mut Vigil, awake: Duration) -> bool {
        match self {
            Self::Spin if looks % SPINS_PER_YIELD == SPINS_PER_YIELD - 1 => yield_now(),
            Self::Spin => spin_loop(),
            Self::Yield => return vigil.pass(Duration::MAX),
            Self::Park => return vigil.pass(awake),
        }
        true
    }
}
