//! What is measured.

use std::fmt;
use std::thread;

/// The slots of every ring, and the capacity of every channel.
pub const CAPACITY: usize = 65_536;

/// One way to use a ring with one consumer. No thread sleeps.
pub struct Scenario {
    pub name: &'static str,
    /// Whether the ring is of the kind that takes any number of producers.
    pub is_shared: bool,
    pub producers: u64,
    /// The events of one publication.
    pub batch: u64,
    /// The events of one round, from all producers together.
    pub events: u64,
}

pub const SCENARIOS: &[Scenario] = &[
    Scenario { name: "u1", is_shared: false, producers: 1, batch: 1, events: 20_000_000 },
    Scenario { name: "u10", is_shared: false, producers: 1, batch: 10, events: 100_000_000 },
    Scenario { name: "u100", is_shared: false, producers: 1, batch: 100, events: 100_000_000 },
    Scenario { name: "mp1", is_shared: true, producers: 1, batch: 1, events: 10_000_000 },
    Scenario { name: "mp1b10", is_shared: true, producers: 1, batch: 10, events: 10_000_000 },
    Scenario { name: "m2", is_shared: true, producers: 2, batch: 1, events: 10_000_000 },
];

impl Scenario {
    /// What each producer has to publish.
    pub fn share(&self) -> Share {
        Share { values: self.events / self.producers, batch: self.batch }
    }

    /// The sum of all values. Since no value is 0, the last event is the one that reaches it.
    pub fn sum(&self) -> u64 {
        let Share { values, .. } = self.share();
        self.producers * (values * (values + 1) / 2)
    }

    /// Whether each thread gets a CPU of its own. More than two threads go where the system puts them.
    pub fn is_pinned(&self) -> bool {
        self.producers == 1
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, is_shared, producers, batch, events } = self;
        let kind = if *is_shared { "multi-producer" } else { "single-producer" };
        let pinned = if self.is_pinned() { "pinned" } else { "not pinned" };
        let cpus = thread::available_parallelism().map_or(1, |cpus| cpus.get() as u64);
        let crowd = if producers + 1 > cpus { ", oversubscribed" } else { "" };
        write!(
            f,
            "{name}: {kind} ring, {producers} to 1, {batch} per publication, {events} events, {pinned}{crowd}"
        )
    }
}

/// What one producer publishes: the values 1, 2, 3 and so on, in batches of one size.
#[derive(Clone, Copy)]
pub struct Share {
    pub values: u64,
    pub batch: u64,
}

impl Share {
    /// Half open, since the closed form would cost each event a few instructions more.
    pub fn singles(self) -> impl Iterator<Item = u64> {
        1..self.values + 1
    }

    /// The first value of each batch.
    pub fn batches(self) -> impl Iterator<Item = u64> {
        (0..self.values / self.batch).map(move |number| number * self.batch + 1)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_events_divide_into_shares_and_batches() {
        for scenario in super::SCENARIOS {
            assert_eq!(scenario.events % (scenario.producers * scenario.batch), 0, "{scenario}");
        }
    }
}
