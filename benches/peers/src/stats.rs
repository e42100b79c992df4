//! What a set of samples says.

use badbatch::base::rng::Rng;

/// How often the samples are drawn anew to see how far chance carries a ratio.
const RESAMPLES: usize = 2000;

/// The middle and the ends of some samples.
#[derive(Debug, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    /// Of at least one sample.
    pub fn of(samples: &[f64]) -> Option<Self> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        };
        Some(Self { median, min, max })
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
    use super::{Spread, ratio};

    #[test]
    fn the_median_is_the_middle_or_halfway_between_the_two_in_the_middle() {
        let spread = |median, min, max| Some(Spread { median, min, max });
        assert_eq!(Spread::of(&[]), None);
        assert_eq!(Spread::of(&[3.0]), spread(3.0, 3.0, 3.0));
        assert_eq!(Spread::of(&[9.0, 1.0, 2.0]), spread(2.0, 1.0, 9.0));
        assert_eq!(Spread::of(&[4.0, 1.0, 2.0, 1000.0]), spread(3.0, 1.0, 1000.0));
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
