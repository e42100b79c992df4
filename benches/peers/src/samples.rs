//! What was measured, and which of it counts.

use crate::latency::Latencies;

/// A sample counts if others used less than this part of the CPUs' time.
pub const FOREIGN_MAX: f64 = 0.1;
/// A sample counts if the CPUs were at most so many times as far apart as at their nearest.
pub const FARTHER_MAX: f64 = 2.0;

/// The result of one lap.
#[derive(Clone, Debug, PartialEq)]
pub enum Figure {
    /// Per event.
    Nanos(f64),
    /// In nanoseconds, by event or by round trip.
    Latency(Latencies),
    /// Stopped, since it took longer than a lap may.
    Late,
}

/// One scenario with one peer, once, and how quiet the machine was.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub scenario: String,
    pub peer: String,
    pub figure: Figure,
    /// The longer of the round trips of a cache line right before and right after.
    pub round_trip: f64,
    /// The part of the CPUs' time that others had.
    pub foreign: f64,
}

/// All samples of a run.
#[derive(Default)]
pub struct Samples {
    pub all: Vec<Sample>,
}

/// Which samples of a cell are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Of near CPUs that nobody else used.
    Clean,
    /// Of CPUs that were far apart, and that nobody else used.
    Far,
}

impl Samples {
    /// The shortest round trip of the run.
    pub fn nearest(&self) -> f64 {
        self.all.iter().map(|sample| sample.round_trip).fold(f64::INFINITY, f64::min)
    }

    pub fn of<'s>(&'s self, scenario: &'s str, peer: &'s str) -> impl Iterator<Item = &'s Sample> {
        self.all.iter().filter(move |sample| sample.scenario == scenario && sample.peer == peer)
    }

    pub fn of_kind<'s>(
        &'s self,
        kind: Kind,
        scenario: &'s str,
        peer: &'s str,
    ) -> impl Iterator<Item = &'s Figure> {
        let limit = FARTHER_MAX * self.nearest();
        self.of(scenario, peer)
            .filter(move |sample| {
                !sample.is_disturbed() && (sample.round_trip > limit) == (kind == Kind::Far)
            })
            .map(|sample| &sample.figure)
    }

    /// The nanoseconds per event of the samples of one kind.
    pub fn nanos(&self, kind: Kind, scenario: &str, peer: &str) -> Vec<f64> {
        let nanos = |figure: &Figure| if let Figure::Nanos(nanos) = figure { Some(*nanos) } else { None };
        self.of_kind(kind, scenario, peer).filter_map(nanos).collect()
    }

    /// The given percentile of each sample of one kind.
    pub fn percentiles(&self, kind: Kind, scenario: &str, peer: &str, percentile: f64) -> Vec<f64> {
        let value = |figure: &Figure| {
            if let Figure::Latency(latencies) = figure {
                Some(latencies.value_at_percentile(percentile) as f64)
            } else {
                None
            }
        };
        self.of_kind(kind, scenario, peer).filter_map(value).collect()
    }
}

impl Sample {
    pub fn is_disturbed(&self) -> bool {
        self.foreign >= FOREIGN_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::{Figure, Kind, Sample, Samples};

    #[test]
    fn samples_of_distant_or_busy_cpus_do_not_count() {
        let sample = |nanos, round_trip, foreign| Sample {
            scenario: "u1".to_owned(),
            peer: "a".to_owned(),
            figure: Figure::Nanos(nanos),
            round_trip,
            foreign,
        };
        let samples = Samples {
            all: vec![
                sample(1.0, 50.0, 0.0),
                sample(2.0, 101.0, 0.0),
                sample(3.0, 50.0, 0.1),
                sample(4.0, 100.0, 0.09),
            ],
        };
        assert_eq!(samples.nanos(Kind::Clean, "u1", "a"), [1.0, 4.0]);
        assert_eq!(samples.nanos(Kind::Far, "u1", "a"), [2.0]);
        assert!(samples.nanos(Kind::Clean, "u1", "b").is_empty());
    }
}
