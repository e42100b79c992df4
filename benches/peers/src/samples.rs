//! What was measured, and which of it counts.

use crate::batches::Counts;
use crate::latency::Latencies;
use crate::stats::Spread;

/// A sample counts if others used less than this part of the CPUs' time.
pub const FOREIGN_MAX: f64 = 0.1;
/// A sample counts if the CPUs were at most so many times as far apart as when they were near.
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
    /// Which of the run's processes took it.
    pub process: usize,
    pub figure: Figure,
    /// The longer of the round trips of a cache line right before and right after.
    pub round_trip: f64,
    /// The part of the CPUs' time that others had.
    pub foreign: f64,
}

/// All samples of a run.
pub struct Samples {
    all: Vec<Sample>,
    /// By scenario, how large our consumers' batches were.
    pub batches: Vec<(String, Counts)>,
}

/// A number to compare peers by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measure {
    /// The time per event.
    Nanos,
    /// The latency that so many percent of the events do not exceed.
    Percentile(f64),
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
    pub fn new() -> Self {
        Self { all: Vec::new(), batches: Vec::new() }
    }

    pub fn push(&mut self, sample: Sample) {
        self.all.push(sample);
    }

    pub fn iter(&self) -> impl Iterator<Item = &Sample> {
        self.all.iter()
    }

    pub fn of<'s>(&'s self, scenario: &'s str, peer: &'s str) -> impl Iterator<Item = &'s Sample> {
        self.all.iter().filter(move |sample| sample.scenario == scenario && sample.peer == peer)
    }

    /// The round trip of near CPUs: that of the lower quartile, since a few may be by far the shortest.
    pub fn near(&self) -> f64 {
        self.round_trips().map_or(f64::INFINITY, |spread| spread.quartiles[0])
    }

    fn round_trips(&self) -> Option<Spread> {
        let trips = self.all.iter().map(|sample| sample.round_trip).filter(|trip| trip.is_finite());
        Spread::of(&trips.collect::<Vec<_>>())
    }

    /// Whether it counts, and as what, if `near` is what near CPUs take.
    pub fn kind(&self, sample: &Sample, near: f64) -> Option<Kind> {
        if sample.is_disturbed() || sample.figure == Figure::Late {
            None
        } else if sample.round_trip > FARTHER_MAX * near {
            Some(Kind::Far)
        } else {
            Some(Kind::Clean)
        }
    }

    /// One number of each sample of one kind.
    pub fn values(&self, kind: Kind, measure: Measure, scenario: &str, peer: &str) -> Vec<f64> {
        let near = self.near();
        let counts = |sample: &&Sample| self.kind(sample, near) == Some(kind);
        self.of(scenario, peer).filter(counts).filter_map(|sample| sample.figure.value(measure)).collect()
    }

    /// Whether a lap of the cell took longer than it may.
    pub fn is_late(&self, scenario: &str, peer: &str) -> bool {
        self.of(scenario, peer).any(|sample| sample.figure == Figure::Late)
    }

    /// How many samples do not count, and why.
    pub fn conditions(&self) -> String {
        let near = self.near();
        let count = |kind| self.all.iter().filter(|sample| self.kind(sample, near) == Some(kind)).count();
        let [least, median] = self.round_trips().map_or([f64::NAN; 2], |spread| [spread.min, spread.median]);
        let disturbed = self.all.iter().filter(|sample| sample.is_disturbed()).count();
        format!(
            "round trip of a cache line: {least:.0} ns at the least, {near:.0} ns in the lower quartile, {median:.0} \
             ns in the median\n- samples: {}, of which {} are clean; {} are far (the round trip took more than \
             {FARTHER_MAX} times the lower quartile) and {disturbed} disturbed (others used {:.0} % of the CPUs or more)",
            self.all.len(),
            count(Kind::Clean),
            count(Kind::Far),
            100.0 * FOREIGN_MAX,
        )
    }
}

impl Figure {
    fn value(&self, measure: Measure) -> Option<f64> {
        match (self, measure) {
            (Self::Nanos(nanos), Measure::Nanos) => Some(*nanos),
            (Self::Latency(latencies), Measure::Percentile(percent)) => {
                Some(latencies.value_at_percentile(percent) as f64)
            }
            _ => None,
        }
    }
}

impl Sample {
    pub fn is_disturbed(&self) -> bool {
        self.foreign >= FOREIGN_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::{Figure, Kind, Measure, Sample, Samples};

    #[test]
    fn samples_of_distant_or_busy_cpus_do_not_count() {
        let sample = |nanos, round_trip, foreign| Sample {
            scenario: "u1".to_owned(),
            peer: "a".to_owned(),
            process: 0,
            figure: Figure::Nanos(nanos),
            round_trip,
            foreign,
        };
        let mut samples = Samples::new();
        samples.push(sample(1.0, 50.0, 0.0));
        samples.push(sample(2.0, 101.0, 0.0));
        samples.push(sample(3.0, 50.0, 0.1));
        samples.push(sample(4.0, 100.0, 0.09));
        assert_eq!(samples.values(Kind::Clean, Measure::Nanos, "u1", "a"), [1.0, 4.0]);
        assert_eq!(samples.values(Kind::Far, Measure::Nanos, "u1", "a"), [2.0]);
        assert!(samples.values(Kind::Clean, Measure::Nanos, "u1", "b").is_empty());
    }
}
