//! Rounds: who runs when, and which samples count.

use crate::machine::{CpuTime, Cpus};
use crate::peer::{Lap, Peer};
use crate::probe::round_trip;
use crate::scenario::SCENARIOS;

/// A sample counts if others used less than this part of the CPUs' time.
const FOREIGN_MAX: f64 = 0.1;
/// A sample counts if the CPUs were at most so many times as far apart as at their nearest.
const FARTHER_MAX: f64 = 2.0;

/// One scenario with one peer in one round, and how quiet the machine was.
struct Sample {
    scenario: usize,
    peer: usize,
    /// Per event.
    nanos: f64,
    /// The longer of the round trips right before and right after.
    round_trip: f64,
    /// The part of the CPUs' time that others had, over all peers of the scenario.
    foreign: f64,
}

/// All samples of a run.
pub struct Rounds {
    samples: Vec<Sample>,
    /// The shortest round trip of the run.
    nearest: f64,
}

impl Rounds {
    /// Takes `rounds` samples of each scenario with each peer. Fails if events get lost.
    pub fn run(rounds: usize, peers: &[Box<dyn Peer>], cpus: Cpus) -> Result<Self, String> {
        let mut measured = Self { samples: Vec::new(), nearest: f64::INFINITY };
        for round in 0..rounds {
            eprintln!("round {} of {rounds}", round + 1);
            for scenario in 0..SCENARIOS.len() {
                let begin = CpuTime::now();
                let first = measured.samples.len();
                for turn in 0..peers.len() {
                    measured.sample(scenario, (round + turn) % peers.len(), peers, cpus)?;
                }
                let foreign = CpuTime::now().foreign_since(begin);
                measured.samples[first..].iter_mut().for_each(|sample| sample.foreign = foreign);
            }
        }
        Ok(measured)
    }

    fn sample(
        &mut self,
        scenario: usize,
        peer: usize,
        peers: &[Box<dyn Peer>],
        cpus: Cpus,
    ) -> Result<(), String> {
        let before = round_trip(cpus);
        let lap = Lap::new(&SCENARIOS[scenario], cpus);
        if peers[peer].run(&lap) {
            let nanos = lap.nanos().map_err(|error| format!("{}: {error}", peers[peer].name()))?;
            let after = round_trip(cpus);
            self.nearest = self.nearest.min(before).min(after);
            self.samples.push(Sample { scenario, peer, nanos, round_trip: before.max(after), foreign: 0.0 });
        }
        Ok(())
    }

    fn of(&self, scenario: usize, peer: usize) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(move |sample| (sample.scenario, sample.peer) == (scenario, peer))
    }

    /// How many samples there are.
    pub fn taken(&self, scenario: usize, peer: usize) -> usize {
        self.of(scenario, peer).count()
    }

    /// The nanoseconds per event of the samples that count.
    pub fn clean(&self, scenario: usize, peer: usize) -> Vec<f64> {
        let clean = self.of(scenario, peer).filter(|sample| !self.is_far(sample) && !is_disturbed(sample));
        clean.map(|sample| sample.nanos).collect()
    }

    fn is_far(&self, sample: &Sample) -> bool {
        sample.round_trip > FARTHER_MAX * self.nearest
    }

    /// How many samples do not count, and why.
    pub fn conditions(&self) -> String {
        let far = self.samples.iter().filter(|sample| self.is_far(sample)).count();
        let disturbed = self.samples.iter().filter(|sample| is_disturbed(sample)).count();
        format!(
            "cache line round trip: {:.0} ns at the nearest; of {} samples, {far} were more than {FARTHER_MAX} \
             times as far, and {disturbed} had others use {:.0} % of the CPUs or more",
            self.nearest,
            self.samples.len(),
            100.0 * FOREIGN_MAX,
        )
    }
}

fn is_disturbed(sample: &Sample) -> bool {
    sample.foreign >= FOREIGN_MAX
}

#[cfg(test)]
mod tests {
    use super::{Rounds, Sample};

    #[test]
    fn samples_of_distant_or_busy_cpus_do_not_count() {
        let sample = |nanos, round_trip, foreign| Sample { scenario: 0, peer: 1, nanos, round_trip, foreign };
        let samples = vec![
            sample(1.0, 50.0, 0.0),
            sample(2.0, 101.0, 0.0),
            sample(3.0, 50.0, 0.1),
            sample(4.0, 100.0, 0.09),
        ];
        let rounds = Rounds { samples, nearest: 50.0 };
        assert_eq!(rounds.taken(0, 1), 4);
        assert_eq!(rounds.clean(0, 1), [1.0, 4.0]);
        assert!(rounds.clean(1, 0).is_empty());
    }
}
