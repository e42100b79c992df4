//! What a set of samples says.

use std::fmt;

use badbatch::base::rng::Rng;

/// How often the samples are drawn anew to see how far chance carries a ratio.
const RESAMPLES: usize = 2000;

/// As many clean samples of both as a verdict takes.
pub const CLEAN_MIN: usize = 12;
/// Medians that are nearer to each other than by this factor are equal.
const DIFFERENT_MIN: f64 = 1.15;

/// The middle, the quartiles and the ends of some samples.
#[derive(Debug, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub quartiles: [f64; 2],
    pub min: f64,
    pub max: f64,
}

impl Spread {
    /// Of at least one sample.
    pub fn of(samples: &[f64]) -> Option<Self> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        let [low, median, high] = [0.25, 0.5, 0.75].map(|part| quantile(&sorted, part));
        Some(Self { median, quartiles: [low, high], min, max })
    }
}

/// Between the two nearest of the sorted samples, in proportion.
fn quantile(sorted: &[f64], part: f64) -> f64 {
    let place = part * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

/// What may be said of ours beside a peer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Faster,
    Equal,
    Slower,
}

impl Verdict {
    /// Of at least one sample each. Different are those whose medians differ by more than 15 % and whose
    /// middle halves do not overlap.
    pub fn of(ours: &[f64], peer: &[f64]) -> Self {
        let is_less = |one: &Spread, other: &Spread| {
            other.median > DIFFERENT_MIN * one.median && one.quartiles[1] < other.quartiles[0]
        };
        match (Spread::of(ours), Spread::of(peer)) {
            (Some(ours), Some(peer)) if is_less(&ours, &peer) => Self::Faster,
            (Some(ours), Some(peer)) if is_less(&peer, &ours) => Self::Slower,
            _ => Self::Equal,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Faster => "faster",
            Self::Equal => "equal",
            Self::Slower => "slower",
        })
    }
}

/// The ratio of two medians, and the ends of its 95 % bootstrap interval.
///
/// Source: Efron, "Bootstrap Methods: Another Look at the Jackknife", 1979; percentile method.
pub fn ratio(peer: &[f64], ours: &[f64]) -> Option<(f64, f64, f64)> {
    let medians = |peer: &[f64], ours: &[f64]| Some(Spread::of(peer)?.median / Spread::of(ours)?.median);
    let ratio = medians(peer, ours)?;
    // A fixed seed: the same samples give the same interval.
    let mut rng = Rng::new(1);
    let mut draw = |samples: &[f64]| -> Vec<f64> {
        samples.iter().map(|_| samples[rng.below(samples.len() as u64) as usize]).collect()
    };
    let mut ratios: Vec<f64> = (0..RESAMPLES).filter_map(|_| medians(&draw(peer), &draw(ours))).collect();
    ratios.sort_by(f64::total_cmp);
    let tail = RESAMPLES / 40;
    Some((ratio, ratios[tail], ratios[RESAMPLES - 1 - tail]))
}

#[cfg(test)]
mod tests {
    use super::{Spread, Verdict, ratio};

    #[test]
    fn the_median_is_the_middle_or_halfway_between_the_two_in_the_middle() {
        let spread = |median, quartiles, min, max| Some(Spread { median, quartiles, min, max });
        assert_eq!(Spread::of(&[]), None);
        assert_eq!(Spread::of(&[3.0]), spread(3.0, [3.0, 3.0], 3.0, 3.0));
        assert_eq!(Spread::of(&[9.0, 1.0, 2.0]), spread(2.0, [1.5, 5.5], 1.0, 9.0));
        assert_eq!(Spread::of(&[4.0, 1.0, 2.0, 1001.0]), spread(3.0, [1.75, 253.25], 1.0, 1001.0));
    }

    #[test]
    fn a_difference_takes_distant_medians_and_separate_quartiles() {
        let check = |ours: &[f64], peer: &[f64], expected| {
            assert_eq!(Verdict::of(ours, peer), expected, "{ours:?} beside {peer:?}");
        };
        check(&[1.0, 1.0, 1.0], &[2.0, 2.0, 2.0], Verdict::Faster);
        check(&[2.0, 2.0, 2.0], &[1.0, 1.0, 1.0], Verdict::Slower);
        check(&[1.0, 1.0, 1.0], &[1.14, 1.14, 1.14], Verdict::Equal);
        check(&[1.0, 1.0, 3.0, 3.0], &[2.0, 2.5, 2.5, 2.6], Verdict::Equal);
        check(&[], &[1.0], Verdict::Equal);
    }

    #[test]
    fn samples_without_spread_have_an_exact_ratio() {
        assert_eq!(ratio(&[4.0; 5], &[2.0; 7]), Some((2.0, 2.0, 2.0)));
        assert_eq!(ratio(&[], &[2.0]), None);
        assert_eq!(ratio(&[2.0], &[]), None);
    }

    #[test]
    fn the_interval_holds_the_ratio_and_narrows_with_more_samples() {
        let samples = |count: u32| (0..count).map(|n| 1.0 + f64::from(n * 7 % 10) / 10.0).collect::<Vec<_>>();
        let width = |count| {
            let (ratio, low, high) = ratio(&samples(count), &samples(count)).expect("there are samples");
            assert!(low <= ratio && ratio <= high, "{ratio} is not in {low} to {high}");
            high - low
        };
        assert!(width(100) < width(10));
    }
}
