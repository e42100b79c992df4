//! The wait strategies that come with the crate.

use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

use super::linger::{AWAKE, SPIN, Vigil};
use super::producer_wait::SPINS_PER_YIELD;
use super::sync::{spin_loop, yield_now};
use super::wait::{WaitStrategy, Waited, Waiter};
use crate::base::deadline::Deadline;

/// Spins with a pause hint. The lowest latency; one CPU per consumer is fully used.
///
/// Once in 4096 looks it yields, so that more threads than CPUs still get on.
#[derive(Clone, Copy, Debug, Default)]
pub struct BusySpinWaitStrategy;

impl WaitStrategy for BusySpinWaitStrategy {
    #[inline]
    fn wait(&self, waiter: &Waiter<'_>) -> Waited {
        loop {
            for _ in 0..SPINS_PER_YIELD {
                if waiter.is_ready() {
                    return Waited::Ready;
                }
                spin_loop();
            }
            yield_now();
        }
    }
}

/// Spins for about 3 microseconds, then yields the CPU between looks; at once where waits are longer
/// time after time. One CPU per consumer is used, but given to whoever wants it.
#[derive(Clone, Copy, Debug, Default)]
pub struct YieldingWaitStrategy;

impl WaitStrategy for YieldingWaitStrategy {
    #[inline]
    fn wait(&self, waiter: &Waiter<'_>) -> Waited {
        waiter.stay_awake(Deadline::NEVER);
        Waited::Ready
    }
}

/// Spins and yields for a moment, and then sleeps for fixed naps. Little CPU, and publishers never signal; an
/// event may wait for one nap.
#[derive(Clone, Copy, Debug)]
pub struct SleepingWaitStrategy {
    nap: Duration,
}

impl SleepingWaitStrategy {
    /// Naps of this length.
    pub const fn new(nap: Duration) -> Self {
        Self { nap }
    }
}

impl Default for SleepingWaitStrategy {
    /// Naps of 100 microseconds.
    fn default() -> Self {
        Self::new(Duration::from_micros(100))
    }
}

impl WaitStrategy for SleepingWaitStrategy {
    fn wait(&self, waiter: &Waiter<'_>) -> Waited {
        let mut vigil = Vigil::new(SPIN);
        while !waiter.is_ready() {
            if !vigil.pass(AWAKE) {
                std::thread::sleep(self.nap);
            }
        }
        Waited::Ready
    }
}

/// Spins and yields for a while, then sleeps until there is news: an idle consumer of any stage uses
/// no CPU.
///
/// It stays awake for 5 to 80 microseconds: longer if it was woken soon after it fell asleep, so that
/// the next wait is spent awake, and shorter if it slept for long.
#[derive(Clone, Copy, Debug, Default)]
pub struct BlockingWaitStrategy;

impl WaitStrategy for BlockingWaitStrategy {
    fn wait(&self, waiter: &Waiter<'_>) -> Waited {
        waiter.linger_and_park(None);
        Waited::Ready
    }

    fn parks(&self) -> bool {
        true
    }
}

/// As [`BlockingWaitStrategy`], but gives up after a timeout, which calls the handler's
/// `on_timeout`.
#[derive(Clone, Copy, Debug)]
pub struct TimeoutBlockingWaitStrategy {
    timeout: Duration,
}

impl TimeoutBlockingWaitStrategy {
    /// Calls `on_timeout` whenever nothing came for this long.
    pub const fn new(timeout: Duration) -> Self {
        Self { timeout }
    }
}

impl WaitStrategy for TimeoutBlockingWaitStrategy {
    fn wait(&self, waiter: &Waiter<'_>) -> Waited {
        if waiter.linger_and_park(Some(self.timeout)) { Waited::Ready } else { Waited::TimedOut }
    }

    fn parks(&self) -> bool {
        true
    }
}

/// Spins for a time, yields for a time, then leaves the wait to another strategy.
#[derive(Clone, Copy, Debug)]
pub struct PhasedBackoffWaitStrategy<W> {
    spin: Duration,
    yields: Duration,
    fallback: W,
}

impl<W: WaitStrategy> PhasedBackoffWaitStrategy<W> {
    /// Spins for `spin`, yields for `yields`, then waits as `fallback` does.
    pub const fn new(spin: Duration, yields: Duration, fallback: W) -> Self {
        Self { spin, yields, fallback }
    }
}

impl<W: WaitStrategy> WaitStrategy for PhasedBackoffWaitStrategy<W> {
    fn wait(&self, waiter: &Waiter<'_>) -> Waited {
        let mut vigil = Vigil::new(self.spin);
        while !waiter.is_ready() {
            if !vigil.pass(self.spin + self.yields) {
                return self.fallback.wait(waiter);
            }
        }
        Waited::Ready
    }

    fn parks(&self) -> bool {
        self.fallback.parks()
    }
}

/// A wait strategy by name, for configuration files and command lines.
///
/// ```
/// use badbatch::disruptor::{NamedWaitStrategy, WaitStrategy};
///
/// let strategy: Box<dyn WaitStrategy> = "yielding".parse::<NamedWaitStrategy>()?.build();
/// assert!("lazy".parse::<NamedWaitStrategy>().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NamedWaitStrategy {
    /// `busy-spin`
    BusySpin,
    /// `yielding`
    Yielding,
    /// `sleeping`, with the default nap
    Sleeping,
    /// `blocking`
    Blocking,
    /// `timeout-blocking`, with a timeout of one second
    TimeoutBlocking,
    /// `phased-backoff`: 10 microseconds of spinning, 100 of yielding, then blocking
    PhasedBackoff,
}

impl NamedWaitStrategy {
    const NAMES: [(&'static str, Self); 6] = [
        ("busy-spin", Self::BusySpin),
        ("yielding", Self::Yielding),
        ("sleeping", Self::Sleeping),
        ("blocking", Self::Blocking),
        ("timeout-blocking", Self::TimeoutBlocking),
        ("phased-backoff", Self::PhasedBackoff),
    ];

    /// The strategy itself, behind one virtual call per wait and per publication.
    pub fn build(self) -> Box<dyn WaitStrategy> {
        match self {
            Self::BusySpin => Box::new(BusySpinWaitStrategy),
            Self::Yielding => Box::new(YieldingWaitStrategy),
            Self::Sleeping => Box::new(SleepingWaitStrategy::default()),
            Self::Blocking => Box::new(BlockingWaitStrategy),
            Self::TimeoutBlocking => Box::new(TimeoutBlockingWaitStrategy::new(Duration::from_secs(1))),
            Self::PhasedBackoff => Box::new(PhasedBackoffWaitStrategy::new(
                Duration::from_micros(10),
                Duration::from_micros(100),
                BlockingWaitStrategy,
            )),
        }
    }
}

/// A name that no wait strategy has.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "no wait strategy is called `{name}`; there are busy-spin, yielding, sleeping, blocking, timeout-blocking and phased-backoff"
)]
pub struct UnknownWaitStrategy {
    /// The name that was given.
    pub name: String,
}

impl FromStr for NamedWaitStrategy {
    type Err = UnknownWaitStrategy;

    fn from_str(name: &str) -> Result<Self, UnknownWaitStrategy> {
        Self::NAMES
            .iter()
            .find_map(|&(known, strategy)| (known == name).then_some(strategy))
            .ok_or_else(|| UnknownWaitStrategy { name: name.to_owned() })
    }
}
