//! What is measured, and how its threads wait.

use std::fmt;
use std::thread;

use crate::flow::Flow;

/// Who takes part in the second set.
const SIZE_PEERS: [&str; 3] = ["badbatch", "disruptor", "crossbeam-channel"];

/// One row of the tables.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    pub name: String,
    pub wait: Wait,
    pub work: Work,
    /// Of the second set, which varies one size at a time.
    pub is_size: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    /// As many events as fit through.
    Flow(Flow),
    /// One event there and back again, over two rings.
    PingPong { trips: u64, capacity: usize },
    /// One event at a time, each at its appointed time.
    Paced { rate: u64, events: u64, capacity: usize },
}

/// What a thread does while it has nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Looks again at once.
    Busy,
    /// Looks again a hundred times, then lets others run between looks.
    Yielding,
    /// Sleeps until it is woken.
    Blocking,
}

impl Scenario {
    /// Whether each thread gets a CPU of its own. More than two threads go where the system puts them.
    pub fn is_pinned(&self) -> bool {
        self.threads() == 2
    }

    pub fn is_oversubscribed(&self) -> bool {
        thread::available_parallelism().is_ok_and(|cpus| self.threads() > cpus.get())
    }

    /// Whether `peer` takes part.
    pub fn includes(&self, peer: &str) -> bool {
        !self.is_size || SIZE_PEERS.contains(&peer)
    }

    pub fn is_latency(&self) -> bool {
        !matches!(self.work, Work::Flow(_))
    }

    fn threads(&self) -> usize {
        match &self.work {
            Work::Flow(flow) => flow.producers as usize + flow.shape.consumers(),
            Work::PingPong { .. } | Work::Paced { .. } => 2,
        }
    }

    /// Whether `word` means this one: its name, or the part before the first hyphen.
    pub fn answers_to(&self, word: &str) -> bool {
        self.name == word || self.name.split_once('-').is_some_and(|(family, _)| family == word)
    }

    /// The same with `1 / divisor` of the events.
    pub fn shortened(mut self, divisor: u64) -> Self {
        match &mut self.work {
            Work::Flow(flow) => {
                let step = flow.producers * flow.batch;
                flow.events = flow.events / divisor / step * step;
            }
            Work::PingPong { trips, .. } => *trips /= divisor,
            Work::Paced { events, .. } => *events /= divisor,
        }
        self
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.name)?;
        match &self.work {
            Work::Flow(flow) => write!(f, "{flow}")?,
            Work::PingPong { trips, capacity } => {
                write!(f, "{trips} round trips over two rings of {capacity}")?
            }
            Work::Paced { rate, events, capacity } => {
                write!(f, "{events} events at {rate} per second through a ring of {capacity}")?;
            }
        }
        let pinned = if self.is_pinned() { "pinned" } else { "not pinned" };
        let crowd = if self.is_oversubscribed() { ", oversubscribed" } else { "" };
        write!(f, ", {}, {pinned}{crowd}", self.wait)
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Busy => "busy",
            Self::Yielding => "yielding",
            Self::Blocking => "blocking",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Scenario, Wait, Work};

    #[test]
    fn a_scenario_answers_to_its_name_and_its_family() {
        let work = Work::PingPong { trips: 10, capacity: 8 };
        let scenario = Scenario { name: "pingpong-busy".to_owned(), wait: Wait::Busy, work, is_size: false };
        assert!(scenario.answers_to("pingpong-busy") && scenario.answers_to("pingpong"));
        assert!(!scenario.answers_to("ping") && !scenario.answers_to("busy"));
    }
}
