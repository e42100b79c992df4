//! How a producer passes the time while the ring is full.

use super::sync::{SPINS, YIELDS, spin_loop, yield_now};

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

    /// Passes a little time; `looks` counts the calls, `park` sleeps.
    pub(crate) fn pass_time(self, looks: u32, park: impl FnOnce()) {
        match self {
            Self::Spin if looks % SPINS_PER_YIELD != SPINS_PER_YIELD - 1 => spin_loop(),
            Self::Park if looks >= SPINS + YIELDS => park(),
            Self::Yield | Self::Park if looks < SPINS => spin_loop(),
            _ => yield_now(),
        }
    }
}
